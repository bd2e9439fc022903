/** Many waits of one length on a single timer: to set and clear one for each request takes longer than to read its body. */

export class Deadlines<T> {
  readonly #timeoutMs: number;
  readonly #onDue: (waiting: T) => void;
  /** With the time at which each is due: all wait equally long, so the first in is the first due. */
  readonly #waiting = new Map<T, number>();
  #isTimerSet = false;

  constructor(timeoutMs: number, onDue: (waiting: T) => void) {
    this.#timeoutMs = timeoutMs;
    this.#onDue = onDue;
  }

  add(waiting: T): void {
    this.#waiting.set(waiting, performance.now() + this.#timeoutMs);
    if (!this.#isTimerSet) this.#setTimer(this.#timeoutMs);
  }

  delete(waiting: T): void {
    this.#waiting.delete(waiting);
  }

  /** Those that wait, the first due first. */
  all(): readonly T[] {
    return [...this.#waiting.keys()];
  }

  #setTimer(ms: number): void {
    this.#isTimerSet = true;
    // What waits has a connection, and that keeps the process; an empty set is to keep nothing.
    setTimeout(() => this.#look(), ms).unref();
  }

  #look(): void {
    this.#isTimerSet = false;
    const now = performance.now();
    for (const [waiting, dueMs] of this.#waiting) {
      if (dueMs > now) return this.#setTimer(Math.ceil(dueMs - now));
      this.#waiting.delete(waiting);
      this.#onDue(waiting);
    }
  }
}
