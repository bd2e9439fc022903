/** Reading the body of a request: not more than so much, not for longer than so long, and not too many at a time. */
import { LogError } from "@tallystick/log";
import { type Deadline, Deadlines } from "./deadlines.ts";
import { ServerError } from "./error.ts";
import { type BodySink, type BodySource, isSmall } from "./http/body-source.ts";

export interface BodyLimits {
  readonly bytesMax: number;
  /** For the whole body, so that a client which sends a byte a second is cut off. */
  readonly timeoutMs: number;
  /** Of all bodies that are under way together. */
  readonly totalBytesMax: number;
}

/** The bodies of all requests under way: bounds the memory that clients can take. */
export class Bodies {
  readonly #shared: Shared;

  /** `closing` refuses every body that is not whole by then. */
  constructor(limits: BodyLimits, closing: AbortSignal) {
    const underWay = new Deadlines<Body>(limits.timeoutMs, (body) => body.fail(tooSlow(limits)));
    closing.addEventListener("abort", () => {
      for (const body of underWay.all()) body.fail(closed());
    });
    this.#shared = { limits, closing, underWay, bytes: 0 };
  }

  /** The body of one request. It has to be released in the end. */
  open(source: BodySource): Body {
    return new Body(source, this.#shared);
  }
}

interface Shared {
  readonly limits: BodyLimits;
  readonly closing: AbortSignal;
  readonly underWay: Deadlines<Body>;
  /** Of all bodies that are not released yet. */
  bytes: number;
}

/** One request's body. Its bytes count from when it is read until it is released. */
export class Body implements BodySink {
  readonly #source: BodySource;
  readonly #shared: Shared;
  readonly #parts: Uint8Array[] = [];
  #bytesMax: number;
  #size = 0;
  #counted = 0;
  #reader: PromiseWithResolvers<Uint8Array> | undefined;
  #deadline: Deadline<Body> | undefined;
  #stop: () => void = () => undefined;

  constructor(source: BodySource, shared: Shared) {
    this.#source = source;
    this.#shared = shared;
    this.#bytesMax = shared.limits.bytesMax;
  }

  /**
   * Reads the body. Once.
   *
   * @param bytesMax - What this one may have; never more than any.
   * @throws {ServerError} `body-too-large`, `body-too-slow`, `request-malformed` (the client went away)
   * @throws {LogError} `log-overloaded`, `log-closed`
   */
  async read(bytesMax: number = this.#bytesMax): Promise<Uint8Array> {
    const { closing, underWay } = this.#shared;
    const { announcedBytes } = this.#source;
    this.#bytesMax = Math.min(bytesMax, this.#bytesMax);
    if (announcedBytes !== undefined && announcedBytes > this.#bytesMax) throw tooLarge(this.#bytesMax);
    if (isSmall(announcedBytes)) this.#count(announcedBytes);
    if (closing.aborted) throw closed();
    const reader = Promise.withResolvers<Uint8Array>();
    this.#reader = reader;
    this.#deadline = underWay.add(this);
    try {
      this.#stop = this.#source.sendTo(this);
    } catch (cause) {
      // The web's types give no body to an address that they do not like.
      this.fail(cause);
    }
    return reader.promise;
  }

  part(bytes: Uint8Array): undefined {
    if (this.#reader === undefined) return;
    this.#size += bytes.length;
    try {
      if (this.#size > this.#bytesMax) throw tooLarge(this.#bytesMax);
      this.#count(this.#size);
      this.#parts.push(bytes);
    } catch (error) {
      this.fail(error);
    }
  }

  end(): void {
    this.#settle()?.resolve(joined(this.#parts, this.#size));
  }

  fail(cause: unknown): void {
    const reader = this.#settle();
    if (reader === undefined) return;
    this.#stop();
    const isOurs = cause instanceof ServerError || cause instanceof LogError;
    reader.reject(isOurs ? cause : new ServerError("request-malformed", "the body was cut off", { cause }));
  }

  /** Gives the bytes back. */
  release(): void {
    this.#shared.bytes -= this.#counted;
    this.#counted = 0;
  }

  /** Who waits for the body, the first time that this is asked. */
  #settle(): PromiseWithResolvers<Uint8Array> | undefined {
    const reader = this.#reader;
    this.#reader = undefined;
    if (this.#deadline !== undefined) this.#shared.underWay.delete(this.#deadline);
    this.#deadline = undefined;
    return reader;
  }

  /** Counts as many bytes as are there, or as are to come. @throws {LogError} `log-overloaded` */
  #count(bytes: number): void {
    const more = Math.max(0, bytes - this.#counted);
    this.#counted += more;
    this.#shared.bytes += more;
    if (this.#shared.bytes > this.#shared.limits.totalBytesMax) throw overloaded();
  }
}

function joined(parts: readonly Uint8Array[], size: number): Uint8Array {
  const [first] = parts;
  // Most bodies come in one part. Not as the Buffer that it may be, whose slice() copies nothing.
  if (first !== undefined && parts.length === 1) return new Uint8Array(first.buffer, first.byteOffset, first.length);
  const bytes = new Uint8Array(size);
  let offset = 0;
  for (const part of parts) {
    bytes.set(part, offset);
    offset += part.length;
  }
  return bytes;
}

function tooLarge(bytesMax: number): ServerError {
  return new ServerError("body-too-large", `expected a body of at most ${bytesMax} bytes`, { details: { bytesMax } });
}

function tooSlow({ timeoutMs }: BodyLimits): ServerError {
  return new ServerError("body-too-slow", `expected the whole body within ${timeoutMs} ms`);
}

function closed(): LogError {
  return new LogError("log-closed", "the server is closing: nothing of this was taken");
}

function overloaded(): LogError {
  return new LogError("log-overloaded", "too many bodies are under way: try again in a second", {
    details: { retryAfterSeconds: 1 },
  });
}
