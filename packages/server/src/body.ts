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
 * Bodies of up to these bytes are read in one go: to make a web stream of a request takes longer than to log its event.
 * All that is announced counts from the start, so it must not be much that a client can claim without sending it.
 */
const SMALL_BYTES_MAX = 16_384;

/**
 * @throws {ServerError} `body-too-large`, `body-too-slow`, `request-malformed` (the client went away)
 * @throws {LogError} `log-overloaded`, `log-closed`
 */
async function readBody(request: Request, reading: Reading): Promise<Uint8Array> {
  const announced = announcedBytes(request.headers);
  if (announced !== undefined && announced > reading.bytesMax) throw tooLarge(reading);
  if (announced !== undefined && announced <= SMALL_BYTES_MAX)
    return inTime(readSmall(request, announced, reading), reading);
  if (request.body === null) return new Uint8Array();
  const reader = request.body.getReader();
  // The cancelling is not awaited: the client may never let it end.
  return inTime(readAll(reader, reading), reading, () => void reader.cancel().catch(() => undefined));
}

/** `undefined` where the body comes in chunks, and nothing says how long it will be. */
function announcedBytes(headers: Headers): number | undefined {
  const text = headers.get("content-length") ?? "";
  return /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

/** Gives up on a body at its timeout or when the server closes. */
async function inTime(
  work: Promise<Uint8Array>,
  reading: Reading,
  giveUp: () => void = () => undefined,
): Promise<Uint8Array> {
  const { promise: cut, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(tooSlow(reading)), reading.timeoutMs);
  const close = (): void => reject(new LogError("log-closed", "the server is closing: nothing of this was taken"));
  reading.closing.addEventListener("abort", close, { once: true });
  if (reading.closing.aborted) close();
  try {
    return await Promise.race([cut, work]);
  } catch (cause) {
    giveUp();
    if (cause instanceof ServerError || cause instanceof LogError) throw cause;
    throw new ServerError("request-malformed", "the body was cut off", { cause });
  } finally {
    clearTimeout(timer);
    reading.closing.removeEventListener("abort", close);
  }
}

async function readSmall(request: Request, announced: number, reading: Reading): Promise<Uint8Array> {
  reading.take(announced);
  const bytes = new Uint8Array(await request.arrayBuffer());
  // Over HTTP a body has the length that was announced; only a request made in this process can say what it likes.
  if (bytes.length > reading.bytesMax) throw tooLarge(reading);
  reading.take(Math.max(0, bytes.length - announced));
  return bytes;
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
