/** Reading the body of a request: not more than so much, and not for longer than so long. */
import { WitnessError } from "./error.ts";

export interface BodyLimits {
  /** What is longer is refused without buffering the rest. */
  readonly bytesMax: number;
  /** For the whole body, so that a client which sends a byte a second is cut off. */
  readonly timeoutMs: number;
}

type Reader = ReadableStreamDefaultReader<Uint8Array>;

/**
 * Reads a whole body.
 *
 * @throws {WitnessError} `body-too-large`, `body-too-slow`; `request-malformed`: the client went away.
 */
export async function readBody(request: Request, limits: BodyLimits): Promise<Uint8Array> {
  const announced = Number(request.headers.get("content-length") ?? 0);
  if (announced > limits.bytesMax) throw tooLarge(limits);
  if (request.body === null) return new Uint8Array();
  const reader: Reader = request.body.getReader();
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(tooSlow(limits)), limits.timeoutMs);
  try {
    return await Promise.race([readAll(reader, limits), late]);
  } catch (cause) {
    // Not awaited: the client may never let it end.
    reader.cancel().catch(() => undefined);
    if (cause instanceof WitnessError) throw cause;
    throw new WitnessError("request-malformed", "the body was cut off", { cause });
  } finally {
    clearTimeout(timer);
  }
}

async function readAll(reader: Reader, limits: BodyLimits): Promise<Uint8Array> {
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

function tooLarge({ bytesMax }: BodyLimits): WitnessError {
  return new WitnessError("body-too-large", `expected a body of at most ${bytesMax} bytes`);
}

function tooSlow({ timeoutMs }: BodyLimits): WitnessError {
  return new WitnessError("body-too-slow", `expected the whole body within ${timeoutMs} ms`);
}
