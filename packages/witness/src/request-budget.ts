/** How often a log may have larger trees cosigned: what its list allows it a day, saved up for a day at most. */

const DAY_MS = 86_400_000;

/**
 * Counts down what a log may still have today.
 *
 * Only what makes the log grow is counted. Anybody can send a checkpoint that the log has published once more, and must not
 * be able to use up the log's day with it.
 */
export class RequestBudget {
  readonly #perDay: number;
  #left: number;
  #sinceMs: number;

  constructor(perDay: number, nowMs: number) {
    this.#perDay = perDay;
    this.#left = perDay;
    this.#sinceMs = nowMs;
  }

  /** Takes one, or gives in how many milliseconds there will be one. */
  take(nowMs: number): number | undefined {
    // A clock that was set back gives nothing and takes nothing.
    const elapsedMs = Math.max(0, nowMs - this.#sinceMs);
    this.#left = Math.min(this.#perDay, this.#left + (elapsedMs * this.#perDay) / DAY_MS);
    this.#sinceMs = nowMs;
    if (this.#left < 1) return Math.ceil(((1 - this.#left) * DAY_MS) / this.#perDay);
    this.#left -= 1;
    return undefined;
  }
}
