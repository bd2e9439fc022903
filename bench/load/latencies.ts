/** Latencies of one run, all of them kept, so that no percentile is rounded to a bucket. */

export interface LatencySummary {
  readonly count: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly max: number;
}

const FIRST_CAPACITY = 65_536;

export class Latencies {
  #values = new Float64Array(FIRST_CAPACITY);
  #count = 0;
  #sorted = true;

  add(ms: number): void {
    if (this.#count === this.#values.length) {
      const wider = new Float64Array(2 * this.#count);
      wider.set(this.#values);
      this.#values = wider;
    }
    this.#values[this.#count] = ms;
    this.#count += 1;
    this.#sorted = false;
  }

  get count(): number {
    return this.#count;
  }

  /** The smallest value that at least this share of the values does not exceed (nearest rank); 0 where there is none. */
  percentile(share: number): number {
    if (!(share >= 0 && share <= 1)) throw new RangeError(`share: expected 0 to 1, got ${share}`);
    if (!this.#sorted) this.#values.subarray(0, this.#count).sort();
    this.#sorted = true;
    // A share such as 0.07 has no exact form: 0.07 * 100 is a little more than 7.
    const rank = Math.ceil(share * this.#count - 1e-9);
    return this.#values[Math.max(0, rank - 1)] ?? 0;
  }

  summary(): LatencySummary {
    return {
      count: this.#count,
      p50: round(this.percentile(0.5)),
      p90: round(this.percentile(0.9)),
      p99: round(this.percentile(0.99)),
      max: round(this.percentile(1)),
    };
  }
}

/** The middle one of a few figures; of an even number of them the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const [low, high] = [sorted[Math.ceil(sorted.length / 2) - 1], sorted[Math.floor(sorted.length / 2)]];
  if (low === undefined || high === undefined) throw new RangeError("values: expected at least one");
  return (low + high) / 2;
}

/** To microseconds. */
function round(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}
