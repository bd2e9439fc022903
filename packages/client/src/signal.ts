/**
 * Waiting that can be cut short: by a time, or by news.
 *
 * News between a look for work and the wait after it must not be missed: read `news` before looking, hand it to `wait`.
 */
export class Signal {
  #news = 0;
  readonly #waiting = new Set<() => void>();

  /** Counts the notifications so far. */
  get news(): number {
    return this.#news;
  }

  /** Wakes everybody who waits now, and whoever has not waited since. */
  notify(): void {
    this.#news += 1;
    for (const wake of this.#waiting) wake();
  }

  /**
   * Resolves when there is other news than `seen`, or after `timeoutMs`. Keeps the process alive only where somebody
   * waits for the outcome: background work must not.
   */
  async wait(timeoutMs: number, { seen = this.#news, keepAlive = false }: WaitOptions = {}): Promise<void> {
    if (seen !== this.#news) return;
    await new Promise<void>((resolve) => {
      const wake = (): void => {
        clearTimeout(timer);
        this.#waiting.delete(wake);
        resolve();
      };
      const timer = setTimeout(wake, timeoutMs);
      if (!keepAlive) unref(timer);
      this.#waiting.add(wake);
    });
  }
}

/** Lets the process end although the timer runs; where a timer is a number, nothing keeps the process anyway. */
export function unref(timer: ReturnType<typeof setTimeout> | number): void {
  if (typeof timer === "object") timer.unref();
}

interface WaitOptions {
  readonly seen?: number;
  readonly keepAlive?: boolean;
}

const BACKOFF_FIRST_MS = 200;
const BACKOFF_MAX_MS = 30_000;

/** How long to wait before try number `attempt` (from 0): doubling up to half a minute, and up to half of it off by chance. */
export function backoffMs(attempt: number, random: () => number): number {
  const ceiling = Math.min(BACKOFF_MAX_MS, BACKOFF_FIRST_MS * 2 ** Math.min(attempt, 20));
  return Math.ceil(ceiling * (0.5 + random() / 2));
}
