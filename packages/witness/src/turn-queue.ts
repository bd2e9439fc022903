/** Lets one step at a time through, in the order of asking, and turns away when too many wait. */
export class TurnQueue {
  readonly #waitingMax: number;
  #waiting = 0;
  #last: Promise<unknown> = Promise.resolve();

  constructor(waitingMax: number) {
    this.#waitingMax = waitingMax;
  }

  get isFull(): boolean {
    return this.#waiting >= this.#waitingMax;
  }

  /** Resolves or rejects as `step` does, which begins when all earlier ones have ended, however they ended. */
  run<T>(step: () => Promise<T>): Promise<T> {
    this.#waiting += 1;
    const result = this.#last.then(step);
    // The caller owns the rejection; the queue only waits.
    this.#last = result.then(
      () => this.#leave(),
      () => this.#leave(),
    );
    return result;
  }

  /** Resolves when all steps asked for so far have ended. */
  async idle(): Promise<void> {
    await this.#last;
  }

  #leave(): void {
    this.#waiting -= 1;
  }
}
