/**
 * Reads that need no token, and those with large answers, are done a few at a time, in the order in which they came: whoever
 * asks for thousands of tiles, heads or ranges waits for them himself, and those who report events do not.
 */
import { LogError } from "@tallystick/log";

/** A page of heads is a quarter of a megabyte, and takes five milliseconds of the one thread that there is. */
const AT_ONCE_MAX = 4;
/** A request that waits takes some kilobytes. */
const WAITING_MAX = 2000;

export class QueuedReads {
  #running = 0;
  readonly #waiting: (() => void)[] = [];

  /** @throws {LogError} `log-overloaded`: too many wait already. */
  async with<T>(work: () => Promise<T>): Promise<T> {
    await this.#enter();
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      // The place goes on to whoever has waited longest, after everybody else's turn: what is read is often in memory, and
      // thousands that wait would be done in one go.
      if (next === undefined) this.#running -= 1;
      else setImmediate(next);
    }
  }

  async #enter(): Promise<void> {
    if (this.#running < AT_ONCE_MAX) {
      this.#running += 1;
      return;
    }
    if (this.#waiting.length >= WAITING_MAX) {
      const message = `${WAITING_MAX} requests of this kind wait already: try again in a second`;
      throw new LogError("log-overloaded", message, { details: { retryAfterSeconds: 1 } });
    }
    await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }
}
