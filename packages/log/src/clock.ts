/**
 * The log's clock, which must not run ahead: logged-at never decreases, so a jump forward would stay in the log for ever.
 *
 * It is held against what witnesses sign, carried on by a clock that cannot be set, and as long as no witness has
 * answered against the time at start. After a long silence nothing is sequenced until a witness has answered, unless
 * somebody confirmed the clock. A clock that is behind does no harm: logged-at waits for it.
 */
export interface ClockOptions {
  readonly now: () => number;
  /** A clock that cannot be set, in ms. */
  readonly monotonic: () => number;
  /** Of the last entry; 0 where there is none. */
  readonly lastLoggedAt: number;
  /** Somebody has looked at the clock: its word counts, not the witnesses'. */
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
  /** The clock that is believed, less the one that cannot be set; `undefined` until there is one. */
  #offset: number | undefined;
  /** By witness: the same difference, as its last cosignature gives it. */
  readonly #witnesses = new Map<string, number>();

  constructor(options: ClockOptions) {
    this.#options = options;
    const { now, monotonic, lastLoggedAt, confirmed } = options;
    const time = now();
    if (confirmed || lastLoggedAt === 0 || time <= lastLoggedAt + SILENCE_MAX_MS) this.#offset = time - monotonic();
  }

  /** Takes in the time of a cosignature that was made just now. */
  observe(witness: string, seconds: bigint): void {
    if (this.#options.confirmed) return;
    // Of the witness's time the part below a second was cut off.
    this.#witnesses.set(witness, Number(seconds) * 1000 + 1000 - this.#options.monotonic());
    this.#offset = lowerMedian([...this.#witnesses.values()]);
  }

  /** The time, or why it is not believed. */
  read(): ClockReading {
    const { lastLoggedAt, monotonic } = this.#options;
    const now = this.#options.now();
    if (this.#offset === undefined) {
      const hours = Math.round((now - lastLoggedAt) / 360_000) / 10;
      const message = `the clock is ${hours} h past the last entry, and no witness has confirmed it yet: check it, then start with --confirm-clock, or wait for a witness`;
      return { ok: false, message };
    }
    const ahead = now - (this.#offset + monotonic());
    if (ahead <= AHEAD_MAX_MS || now <= lastLoggedAt) return { ok: true, now };
    const message = `the clock is ${Math.round(ahead / 1000)} s ahead of ${this.#witnesses.size === 0 ? "where it should be by now" : "witness time"}: set it right; or, if it is right, start again with --confirm-clock`;
    return { ok: false, message };
  }
}

/** One witness that lies, of three, moves it only within what the other two say. */
function lowerMedian(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) / 2)] ?? 0;
}
