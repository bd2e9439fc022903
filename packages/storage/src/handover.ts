/**
 * Whether work is done at once, on this thread, or handed to another.
 *
 * Where it is quick it is done at once: to hand it over, and to be woken by who did it, would take as long. After one that was
 * slow others are handed over, the more the slower it was and the more were slow of late, so that little else waits for a
 * disk; then one is tried again.
 */

/** So long it may take on this thread. */
const QUICK_MS = 0.5;
/** In a row that are handed over, at most. */
const HANDED_OVER_MAX = 512;

export class Handover {
  readonly #quickMs: number;
  readonly #now: () => number;
  #left = 0;
  /** How often it was slow of late: doubled each time, and halved by a quick one. */
  #slowness = 1;

  /** @param now - In ms, of a clock that only goes forward. */
  constructor(quickMs: number = QUICK_MS, now: () => number = () => performance.now()) {
    this.#quickMs = quickMs;
    this.#now = now;
  }

  /** Whether the next is to be handed over. Asked once for each. */
  isDue(): boolean {
    if (this.#left === 0) return false;
    this.#left -= 1;
    return true;
  }

  /** Does it on this thread, and sees how long that takes. */
  time<T>(work: () => T): T {
    const began = this.#now();
    const done = work();
    const tookMs = this.#now() - began;
    if (tookMs > this.#quickMs) {
      this.#left = Math.min(HANDED_OVER_MAX, Math.ceil((this.#slowness * tookMs) / this.#quickMs));
      this.#slowness = Math.min(HANDED_OVER_MAX, 2 * this.#slowness);
    } else this.#slowness = Math.max(1, this.#slowness / 2);
    return done;
  }
}
