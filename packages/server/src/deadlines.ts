/** Many waits of one length on a single timer: to set and clear one for each request takes longer than to read its body. */
import { Slots } from "./slots.ts";

/** One wait. */
export interface Deadline<T> {
  readonly waiting: T;
  /** On the clock of `performance`. */
  readonly dueMs: number;
  readonly slot: number;
}

export class Deadlines<T> {
  readonly #timeoutMs: number;
  readonly #onDue: (waiting: T) => void;
  readonly #slots = new Slots<Deadline<T>>();
  #isTimerSet = false;

  constructor(timeoutMs: number, onDue: (waiting: T) => void) {
    this.#timeoutMs = timeoutMs;
    this.#onDue = onDue;
  }

  add(waiting: T): Deadline<T> {
    const deadline = { waiting, dueMs: performance.now() + this.#timeoutMs, slot: -1 };
    deadline.slot = this.#slots.add(deadline);
    if (!this.#isTimerSet) this.#setTimer(this.#timeoutMs);
    return deadline;
  }

  /** One that is over already may be deleted again. */
  delete(deadline: Deadline<T>): void {
    if (this.#slots.get(deadline.slot) === deadline) this.#slots.delete(deadline.slot);
  }

  /** Those that wait, the first due first. */
  all(): readonly T[] {
    return this.#inOrder().map(({ waiting }) => waiting);
  }

  #inOrder(): Deadline<T>[] {
    return this.#slots.all().toSorted((a, b) => a.dueMs - b.dueMs);
  }

  #setTimer(ms: number): void {
    this.#isTimerSet = true;
    // What waits has a connection, and that keeps the process; an empty set is to keep nothing.
    setTimeout(() => this.#look(), ms).unref();
  }

  #look(): void {
    this.#isTimerSet = false;
    const now = performance.now();
    for (const deadline of this.#inOrder()) {
      if (deadline.dueMs > now) return this.#setTimer(Math.ceil(deadline.dueMs - now));
      this.delete(deadline);
      this.#onDue(deadline.waiting);
    }
  }
}
