/**
 * The log's clock, which must not run ahead: logged-at never decreases, so a jump forward would stay in the log for ever.
 *
 * Time is believed as long as it agrees with what witnesses sign, carried on by a clock that cannot be set. Before the
 * first such word after a long silence nothing is sequenced, unless somebody confirmed the clock.
 */
export interface ClockOptions {
  readonly now: () => number;
  /** A clock that cannot be set, in ms. */
  readonly monotonic: () => number;
  /** Of the last entry; 0 where there is none. */
  readonly lastLoggedAt: number;
  readonly confirmed: boolean;
}

export type ClockReading =
  | { readonly ok: true; readonly now: number }
  | { readonly ok: false; readonly message: string };

/** How far the clock may be ahead of witness time. */
const AHEAD_MAX_MS = 300_000;
/** How long a log may have been silent before its clock has to be confirmed. */
const SILENCE_MAX_MS = 3_600_000;

export class LogClock {
  readonly #options: ClockOptions;
  /** A moment that is believed, and when that was on the clock that cannot be set. */
  #anchor: { readonly time: number; readonly monotonic: number } | undefined;

  constructor(options: ClockOptions) {
    this.#options = options;
    const { now, monotonic, lastLoggedAt, confirmed } = options;
    const time = now();
    if (confirmed || lastLoggedAt === 0 || time <= lastLoggedAt + SILENCE_MAX_MS) {
      this.#anchor = { time, monotonic: monotonic() };
    }
  }

  /** Takes in the time of a cosignature that was made just now. */
  observe(witnessSeconds: bigint): void {
    // A whole second was cut off the witness's time.
    const time = Number(witnessSeconds) * 1000 + 1000;
    if (Math.abs(this.#options.now() - time) > AHEAD_MAX_MS && this.#anchor !== undefined) return;
    this.#anchor = { time, monotonic: this.#options.monotonic() };
  }

  /** The time, or why it is not believed. */
  read(): ClockReading {
    const { lastLoggedAt } = this.#options;
    const now = this.#options.now();
    if (this.#anchor === undefined) {
      const hours = Math.round((now - lastLoggedAt) / 360_000) / 10;
      const message = `the clock is ${hours} h past the last entry, and no witness has confirmed it yet: check it, then start with --confirm-clock, or wait for a witness`;
      return { ok: false, message };
    }
    const expected = this.#anchor.time + (this.#options.monotonic() - this.#anchor.monotonic);
    if (now <= expected + AHEAD_MAX_MS) return { ok: true, now };
    const message = `the clock is ${Math.round((now - expected) / 1000)} s ahead of witness time: set it right; or, if it is right, start again with --confirm-clock`;
    return { ok: false, message };
  }
}
