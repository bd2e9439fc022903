/** Seeded randomness: the only kind that a simulation has. The same seed and name give the same numbers, for ever. */

/** sfc32: small, fast, good enough to choose what happens next; not for secrets of anybody. */
export class Random {
  readonly #state: Uint32Array;

  /** @param name - Streams of other names are independent: what one consumes does not move another. */
  constructor(seed: number, name: string) {
    this.#state = Uint32Array.from([hashText(name), seed >>> 0, Math.floor(seed / 2 ** 32), 1]);
    for (let warm = 0; warm < 16; warm += 1) this.uint32();
  }

  uint32(): number {
    const [a = 0, b = 0, c = 0, count = 0] = this.#state;
    const sum = (a + b + count) >>> 0;
    this.#state.set([b ^ (b >>> 9), (c + (c << 3)) >>> 0, (((c << 21) | (c >>> 11)) + sum) >>> 0, count + 1]);
    return sum;
  }

  /** From 0 up to, not including, 1. */
  unit(): number {
    return this.uint32() / 2 ** 32;
  }

  /** A whole number below `limit`. */
  below(limit: number): number {
    return Math.floor(this.unit() * limit);
  }

  between(from: number, to: number): number {
    return from + this.unit() * (to - from);
  }

  chance(probability: number): boolean {
    return this.unit() < probability;
  }

  pick<T>(values: readonly T[]): T {
    const value = values[this.below(values.length)];
    if (value === undefined) throw new RangeError("pick: expected one value or more, got none");
    return value;
  }

  /** Around `typical`, mostly near it, and now and then many times longer: as waits on disks and networks are. */
  wait(typical: number): number {
    const spread = typical * (0.5 + this.unit());
    return this.chance(0.02) ? spread * this.between(5, 50) : spread;
  }

  bytes(size: number): Uint8Array {
    const bytes = new Uint8Array(size);
    for (let at = 0; at < size; at += 1) bytes[at] = this.uint32() >>> 24;
    return bytes;
  }
}

/** FNV-1a. */
export function hashText(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at += 1) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  return hash >>> 0;
}
