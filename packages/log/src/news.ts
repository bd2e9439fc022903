/** News that many can wait for. */

export class News {
  #waits = new Set<() => void>();

  /** How many wait. */
  get size(): number {
    return this.#waits.size;
  }

  /** Wakes everybody who waits. */
  notify(): void {
    const waits = this.#waits;
    this.#waits = new Set();
    for (const wake of waits) wake();
  }

  /** Resolves when there is news, the time is over, or the signal fires. */
  async wait(timeoutMs: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted === true) return;
    await new Promise<void>((resolve) => {
      const wake = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", wake);
        this.#waits.delete(wake);
        resolve();
      };
      const timer = setTimeout(wake, timeoutMs);
      signal?.addEventListener("abort", wake, { once: true });
      this.#waits.add(wake);
    });
  }
}
