/** A bucket for each credential: so many requests a second on average, and so many at once. */
import { ServerError } from "./error.ts";

export interface RateLimit {
  readonly requestsPerSecond: number;
  readonly burst: number;
}

/** Credentials whose bucket is remembered; a forgotten one is full. */
const BUCKETS_MAX = 10_000;

export class RateLimiter {
  readonly #limit: RateLimit;
  readonly #buckets = new Map<string, { readonly level: number; readonly at: number }>();

  constructor(limit: RateLimit) {
    this.#limit = limit;
  }

  /** @throws {ServerError} `rate-limited`: nothing is taken from the bucket, so that trying does not cost. */
  take(credential: string, nowMs: number): void {
    const { requestsPerSecond, burst } = this.#limit;
    const known = this.#buckets.get(credential) ?? { level: burst, at: nowMs };
    const level = Math.min(burst, known.level + ((nowMs - known.at) / 1000) * requestsPerSecond);
    if (level < 1) {
      throw new ServerError("rate-limited", `more than ${requestsPerSecond} requests a second with this token`, {
        details: { retryAfterSeconds: Math.ceil((1 - level) / requestsPerSecond) },
      });
    }
    this.#buckets.delete(credential);
    this.#buckets.set(credential, { level: level - 1, at: nowMs });
    const [oldest] = this.#buckets.keys();
    if (this.#buckets.size > BUCKETS_MAX && oldest !== undefined) this.#buckets.delete(oldest);
  }
}
