/** Reading the body of a request: not more than so much, not for longer than so long, and not too many at a time. */
import { LogError } from "@tallystick/log";
import { ServerError } from "./error.ts";

export interface BodyLimits {
  readonly bytesMax: number;
  /** For the whole body, so that a client which sends a byte a second is cut off. */
  readonly timeoutMs: number;
  /** Of all bodies that are under way together. */
  readonly totalBytesMax: number;
}

/** The bodies of all requests under way: bounds the memory that clients can take. */
export class Bodies {
  readonly #limits: BodyLimits;
  readonly #closing: AbortSignal;
  #bytes = 0;

  /** `closing` refuses every body that is not whole by then. */
  constructor(limits: BodyLimits, closing: AbortSignal) {
    this.#limits = limits;
    this.#closing = closing;
  }

  /** Gives `work` a way to read the request's body; its bytes count until `work` is done. */
  async with<T>(request: Request, work: (read: () => Promise<Uint8Array>) => Promise<T>): Promise<T> {
    let bytes = 0;
    const take = (more: number): void => {
      bytes += more;
      this.#bytes += more;
      if (this.#bytes > this.#limits.totalBytesMax) throw overloaded();
    };
    try {
      return await work(async () => readBody(request, { ...this.#limits, closing: this.#closing, take }));
    } finally {
      this.#bytes -= bytes;
    }
  }
}

interface Reading extends BodyLimits {
  readonly closing: AbortSignal;
  /** @throws {LogError} `log-overloaded` */
  readonly take: (bytes: number) => void;
}

/**
 * @throws {ServerError} `body-too-large`, `body-too-slow`, `request-malformed` (the client went away)
 * @throws {LogError} `log-overloaded`, `log-closed`
 */
async function readBody(request: Request, reading: Reading): Promise<Uint8Array> {
  const announced = Number(request.headers.get("content-length") ?? 0);
  if (announced > reading.bytesMax) throw tooLarge(reading);
  if (request.body === null) return new Uint8Array();
  const reader = request.body.getReader();
  const { promise: cut, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(tooSlow(reading)), reading.timeoutMs);
  const close = (): void => reject(new LogError("log-closed", "the server is closing: nothing of this was taken"));
  reading.closing.addEventListener("abort", close, { once: true });
  if (reading.closing.aborted) close();
  try {
    return await Promise.race([cut, readAll(reader, reading)]);
  } catch (cause) {
    // Not awaited: the client may never let it end.
    reader.cancel().catch(() => undefined);
    if (cause instanceof ServerError || cause instanceof LogError) throw cause;
    throw new ServerError("request-malformed", "the body was cut off", { cause });
  } finally {
    clearTimeout(timer);
    reading.closing.removeEventListener("abort", close);
  }
}

async function readAll(reader: ReadableStreamDefaultReader<Uint8Array>, reading: Reading): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return Buffer.concat(parts);
    size += value.length;
    if (size > reading.bytesMax) throw tooLarge(reading);
    reading.take(value.length);
    parts.push(value);
  }
}

function tooLarge({ bytesMax }: BodyLimits): ServerError {
  return new ServerError("body-too-large", `expected a body of at most ${bytesMax} bytes`, { details: { bytesMax } });
}

function tooSlow({ timeoutMs }: BodyLimits): ServerError {
  return new ServerError("body-too-slow", `expected the whole body within ${timeoutMs} ms`);
}

function overloaded(): LogError {
  return new LogError("log-overloaded", "too many bodies are under way: try again in a second", {
    details: { retryAfterSeconds: 1 },
  });
}
