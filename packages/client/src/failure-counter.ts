/**
 * Counting failures that repeat: whoever tries a thousand passwords in a minute fills no log with them.
 *
 * Per type, account and address, the first few of a minute are events of their own; what follows is counted, and told
 * in one event when the minute is over. Holds times and counts in memory, and decides; recording is the caller's.
 */
import type { TallyEvent } from "@tallystick/events";

export interface FailureCounterOptions {
  /** Events of their own in a window; 0 for all. */
  readonly countMax: number;
  readonly windowMs: number;
}

/** Failures that were counted and not recorded one by one. */
export interface CountedFailures {
  /** The first of them: what all of them share. */
  readonly sample: TallyEvent;
  readonly count: number;
  /** The times of the first and of the last, in ms since 1970. */
  readonly from: number;
  readonly to: number;
}

interface Window<T> {
  readonly begunAt: number;
  /** What became of the last event of its own. */
  answer: Promise<T> | undefined;
  recorded: number;
  counted: CountedFailures | undefined;
}

/** Windows that are held at once: an attacker with many addresses must not fill the memory. Then all is recorded. */
const WINDOWS_MAX = 10_000;

/** `T`: the answer for an event that is recorded, which those that are counted after it get too. */
export class FailureCounter<T> {
  readonly #options: FailureCounterOptions;
  /** The oldest first. */
  readonly #windows = new Map<string, Window<T>>();

  constructor(options: FailureCounterOptions) {
    this.#options = options;
  }

  /**
   * Records an event by `record`, or counts it. Windows that are over are to be taken out before, by `over`.
   *
   * @param now - In ms since 1970.
   */
  take(
    event: TallyEvent,
    now: number,
    record: () => Promise<T>,
  ): { readonly answer: Promise<T>; readonly counted: number } {
    const window = this.#options.countMax > 0 && isFailure(event) ? this.#windowOf(event, now) : undefined;
    if (window === undefined) return { answer: record(), counted: 0 };
    if (window.answer === undefined || window.recorded < this.#options.countMax) {
      window.recorded += 1;
      window.answer = record();
      return { answer: window.answer, counted: 0 };
    }
    const { sample = event, count = 0, from = event.time } = window.counted ?? {};
    window.counted = { sample, count: count + 1, from, to: event.time };
    return { answer: window.answer, counted: count + 1 };
  }

  /** Takes out the windows that are over, or all; gives what was counted in them. */
  over(now: number, { all = false }: { readonly all?: boolean } = {}): CountedFailures[] {
    const counted: CountedFailures[] = [];
    for (const [key, window] of this.#windows) {
      if (!all && !this.#isOver(window, now)) break;
      this.#windows.delete(key);
      if (window.counted !== undefined) counted.push(window.counted);
    }
    return counted;
  }

  #windowOf(event: TallyEvent, now: number): Window<T> | undefined {
    const key = keyOf(event);
    const known = this.#windows.get(key);
    if (known !== undefined || this.#windows.size >= WINDOWS_MAX) return known;
    const window: Window<T> = { begunAt: now, answer: undefined, recorded: 0, counted: undefined };
    this.#windows.set(key, window);
    return window;
  }

  /** A clock that was set back ends a window too. */
  #isOver({ begunAt }: Window<T>, now: number): boolean {
    return now - begunAt >= this.#options.windowMs || now < begunAt;
  }
}

function isFailure({ type, outcome }: TallyEvent): boolean {
  return (outcome === "failure" || outcome === "denied") && type.startsWith("auth.");
}

function keyOf({ type, outcome, actor, source, tenant }: TallyEvent): string {
  return JSON.stringify([type, outcome, actor?.type, actor?.id, source?.ip, tenant]);
}
