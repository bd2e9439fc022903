/**
 * The log's clock, which must not run ahead: logged-at never decreases, so a jump forward would stay in the log for ever.
 *
 * It is held against what witnesses sign, as far as more than half of them agree, carried on by a clock that cannot be
 * set. As long as they have not answered, or do not agree, it is held against the time at start. After a long silence
 * nothing is sequenced until a witness has confirmed the time, unless somebody did. A clock that is behind stops
 * nothing, since logged-at waits for it, but it is told: senders do not believe such a logged-at.
 */
export interface ClockOptions {
  readonly now: () => number;
  /** A clock that cannot be set, in ms. */
  readonly monotonic: () => number;
  /** Of the last entry; 0 where there is none. */
  readonly lastLoggedAt: number;
  /** Somebody has looked at the clock: its word counts, not the witnesses'. */
  readonly confirmed: boolean;
  /** How many witnesses are asked. */
  readonly witnesses: number;
}

export type ClockReading =
  | { readonly ok: true; readonly now: number }
  | { readonly ok: false; readonly message: string };

/** Something about clocks that stops nothing, and that somebody should see to. */
export interface ClockTrouble {
  readonly code: "clock-behind" | "clock-disputed";
  readonly message: string;
}

/** How far clocks may differ: the five minutes that verifiers allow too. */
const DIFFERENCE_MAX_MS = 300_000;
/** How long a log may have been silent before its clock has to be confirmed. */
const SILENCE_MAX_MS = 3_600_000;

export class LogClock {
  readonly #options: ClockOptions;
  /** Our clock as it was when it was believed, less the one that cannot be set; `undefined` until it is. */
  #own: number | undefined;
  /** By witness: the same difference, as its last cosignature gives it. */
  readonly #witnesses = new Map<string, number>();
  /** The same difference, as more than half of the witnesses give it. */
  #agreed: number | undefined;

  constructor(options: ClockOptions) {
    this.#options = options;
    const { now, monotonic, lastLoggedAt, confirmed } = options;
    const time = now();
    if (confirmed || lastLoggedAt === 0 || time <= lastLoggedAt + SILENCE_MAX_MS) this.#own = time - monotonic();
  }

  /** Takes in the time of a cosignature that was made just now. */
  observe(witness: string, seconds: bigint): void {
    const { confirmed, now, monotonic, witnesses } = this.#options;
    if (confirmed) return;
    // Of the witness's time the part below a second was cut off.
    const difference = Number(seconds) * 1000 + 1000 - monotonic();
    this.#witnesses.set(witness, difference);
    this.#agreed = agreement([...this.#witnesses.values()], Math.floor(witnesses / 2) + 1);
    const own = now() - monotonic();
    if (isClose(own, difference)) this.#own ??= own;
  }

  /** The time, or why it is not believed. */
  read(): ClockReading {
    const { lastLoggedAt, monotonic } = this.#options;
    const now = this.#options.now();
    const offset = this.#agreed ?? this.#own;
    if (offset === undefined) {
      const hours = Math.round((now - lastLoggedAt) / 360_000) / 10;
      const message = `the clock is ${hours} h past the last entry, and no witness has confirmed it yet: check it, then start with --confirm-clock, or wait for a witness`;
      return { ok: false, message };
    }
    const ahead = now - (offset + monotonic());
    if (ahead <= DIFFERENCE_MAX_MS || now <= lastLoggedAt) return { ok: true, now };
    const message = `the clock is ${inSeconds(ahead)} s ahead of ${this.#agreed === undefined ? "where it should be by now" : "witness time"}: set it right; or, if it is right, start again with --confirm-clock`;
    return { ok: false, message };
  }

  /** What is wrong with clocks besides. */
  trouble(): ClockTrouble | undefined {
    const { now, monotonic, witnesses } = this.#options;
    const own = now() - monotonic();
    if (this.#agreed !== undefined) {
      const behind = this.#agreed - own;
      if (behind <= DIFFERENCE_MAX_MS) return undefined;
      const message = `the clock is ${inSeconds(behind)} s behind witness time: senders do not believe what it says; set it right`;
      return { code: "clock-behind", message };
    }
    const others = [...this.#witnesses].filter(([, difference]) => !isClose(difference, own));
    if (others.length === 0 || this.#witnesses.size <= witnesses / 2) return undefined;
    const says = others.map(([name, difference]) => `${name} is ${describeDifference(difference - own)}`).join(", ");
    const message = `the witnesses do not agree on the time: ${says} this log's clock, which goes on by itself: see whose is wrong`;
    return { code: "clock-disputed", message };
  }

  /** Why a cosignature that was made just now does not count; `undefined` where it does. */
  refusalOf(seconds: bigint): string | undefined {
    const difference = Number(seconds) * 1000 + 1000 - this.#believed();
    if (Math.abs(difference) <= DIFFERENCE_MAX_MS) return undefined;
    return `its clock is ${describeDifference(difference)} the time: what it cosigns does not count until it is set right`;
  }

  #believed(): number {
    const { now, monotonic, confirmed } = this.#options;
    if (confirmed) return now();
    if (this.#agreed !== undefined) return this.#agreed + monotonic();
    // A clock that jumped ahead is not believed; one that was put back may have been put right.
    return Math.min(now(), (this.#own ?? Infinity) + monotonic());
  }
}

function isClose(a: number, b: number): boolean {
  return Math.abs(a - b) <= DIFFERENCE_MAX_MS;
}

/** The middle of the values that so many have in common; those that lie move it only within what the others say. */
function agreement(values: readonly number[], enough: number): number | undefined {
  const sorted = values.toSorted((a, b) => a - b);
  for (const [at, first] of sorted.entries()) {
    const last = sorted[at + enough - 1];
    if (last === undefined) return undefined;
    if (isClose(first, last)) return sorted[at + Math.floor((enough - 1) / 2)];
  }
  return undefined;
}

function describeDifference(ms: number): string {
  return ms < 0 ? `${inSeconds(-ms)} s behind` : `${inSeconds(ms)} s ahead of`;
}

function inSeconds(ms: number): number {
  return Math.round(ms / 1000);
}
