/** Runs asynchronous steps one after the other, in the order in which they were asked for. */
export class SerialQueue {
  #last: Promise<unknown> = Promise.resolve();

  /** Resolves or rejects as `step` does, which begins when all earlier steps have ended, however they ended. */
  run<T>(step: () => Promise<T>): Promise<T> {
    const result = this.#last.then(step);
    // The caller owns the rejection; the queue only waits.
    this.#last = result.catch(() => undefined);
    return result;
  }

  /** Resolves when all steps asked for so far have ended. */
  async idle(): Promise<void> {
    await this.#last;
  }
}
