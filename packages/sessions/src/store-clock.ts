/** A clock that never runs back, and never stands still either, made of one that is set now and then. */

/**
 * Where the clock below is set back, time goes on from where it was, at the same pace.
 *
 * That puts it ahead of the clock below, by as much as that was set back: a session must not live longer for it.
 */
export class StoreClock {
  readonly #now: () => number;
  #last = 0;
  #ahead = 0;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** The latest time that was read. */
  get last(): number {
    return this.#last;
  }

  /**
   * @param mark - The latest time that others over the same store have seen.
   * @param asked - What `last` was when a clock far away was asked. Answers may come in another order than they were
   *   given: one that is between the two is late, and does not say that the clock was set back.
   */
  read(mark = 0, asked: number = this.#last): number {
    const seen = Math.max(asked, mark);
    const now = Math.floor(this.#now()) + this.#ahead;
    if (now < seen) this.#ahead += seen - now;
    this.#last = Math.max(now, seen, this.#last);
    return this.#last;
  }
}
