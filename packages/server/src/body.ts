/** Reading the body of a request: not more than so much, and not for longer than so long. */
import { ServerError } from "./error.ts";

export interface BodyLimits {
  readonly bytesMax: number;
  readonly timeoutMs: number;
}

/** @throws {ServerError} `body-too-large`, `body-too-slow`, `request-malformed` (the client went away) */
export async function readBody(request: Request, limits: BodyLimits): Promise<Uint8Array> {
  const announced = Number(request.headers.get("content-length") ?? 0);
  if (announced > limits.bytesMax) throw tooLarge(limits);
  if (request.body === null) return new Uint8Array();
  const reader = request.body.getReader();
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => late.reject(new ServerError("body-too-slow", `expected the whole body within ${limits.timeoutMs} ms`)),
    limits.timeoutMs,
  );
  try {
    return await Promise.race([readAll(reader, limits), late.promise]);
  } catch (cause) {
    reader.cancel().catch(() => undefined);
    if (cause instanceof ServerError) throw cause;
    throw new ServerError("request-malformed", "the body was cut off", { cause });
  } finally {
    clearTimeout(timer);
  }
}

async function readAll(reader: ReadableStreamDefaultReader<Uint8Array>, limits: BodyLimits): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return Buffer.concat(parts);
    size += value.length;
    if (size > limits.bytesMax) throw tooLarge(limits);
    parts.push(value);
  }
}

function tooLarge({ bytesMax }: BodyLimits): ServerError {
  return new ServerError("body-too-large", `expected a body of at most ${bytesMax} bytes`, { details: { bytesMax } });
}
