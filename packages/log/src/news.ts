/** News that many can wait for. */

/** Waits at one time; beyond, a wait ends at once. */
const WAITS_MAX = 100_000;

export class News {
  #waits = new Set<() => void>();

  get isFull(): boolean {
    return this.#waits.size >= WAITS_MAX;
  }

  /** Wakes everybody who waits. */
  notify(): void {
    const waits = this.#waits;
    this.#waits = new Set();
    for (const wake of waits) wake();
  }

  /** Resolves when there is news, the time is over, or the signal fires. */
  async wait(timeoutMs: number, signal?: AbortSignal): Promise<void> {
    if (this.isFull || signal?.aborted === true) return;
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
