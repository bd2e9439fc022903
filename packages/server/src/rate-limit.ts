/** A bucket for each credential: so many requests a second on average, and so many at once. */
import { Lru } from "@tallystick/log";
import { ServerError } from "./error.ts";

export interface RateLimit {
  readonly requestsPerSecond: number;
  readonly burst: number;
}

/** Credentials whose bucket is remembered: those that came last, half of this or more. A forgotten bucket is full. */
const BUCKETS_MAX = 10_000;

interface Bucket {
  level: number;
  at: number;
}

export class RateLimiter {
  readonly #limit: RateLimit;
  readonly #buckets = new Lru<Bucket>(BUCKETS_MAX);

  constructor(limit: RateLimit) {
    this.#limit = limit;
  }

  /** @throws {ServerError} `rate-limited`: nothing is taken from the bucket, so that trying does not cost. */
  take(credential: string, nowMs: number): void {
    const { requestsPerSecond, burst } = this.#limit;
    const known = this.#buckets.get(credential);
    const bucket = known ?? { level: burst, at: nowMs };
    if (known === undefined) this.#buckets.set(credential, bucket);
    const level = Math.min(burst, bucket.level + ((nowMs - bucket.at) / 1000) * requestsPerSecond);
    if (level < 1) {
      throw new ServerError("rate-limited", `more than ${requestsPerSecond} requests a second with this token`, {
        details: { retryAfterSeconds: Math.ceil((1 - level) / requestsPerSecond) },
      });
    }
    bucket.level = level - 1;
    bucket.at = nowMs;
  }
}
