/** A bucket for each credential: so many requests a second on average, and so many at once. */
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
  // Two generations, so that a known bucket is changed in its place: a map whose every use moves something makes garbage.
  #young = new Map<string, Bucket>();
  #old = new Map<string, Bucket>();

  constructor(limit: RateLimit) {
    this.#limit = limit;
  }

  /** @throws {ServerError} `rate-limited`: nothing is taken from the bucket, so that trying does not cost. */
  take(credential: string, nowMs: number): void {
    const { requestsPerSecond, burst } = this.#limit;
    const bucket = this.#bucketOf(credential, nowMs);
    const level = Math.min(burst, bucket.level + ((nowMs - bucket.at) / 1000) * requestsPerSecond);
    if (level < 1) {
      throw new ServerError("rate-limited", `more than ${requestsPerSecond} requests a second with this token`, {
        details: { retryAfterSeconds: Math.ceil((1 - level) / requestsPerSecond) },
      });
    }
    bucket.level = level - 1;
    bucket.at = nowMs;
  }

  #bucketOf(credential: string, nowMs: number): Bucket {
    const young = this.#young.get(credential);
    if (young !== undefined) return young;
    const bucket = this.#old.get(credential) ?? { level: this.#limit.burst, at: nowMs };
    if (this.#young.size >= BUCKETS_MAX / 2) {
      this.#old = this.#young;
      this.#young = new Map();
    }
    this.#young.set(credential, bucket);
    return bucket;
  }
}
