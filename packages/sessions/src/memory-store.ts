/** Session states in the memory of one process: for development and tests. A restart signs everybody out. */
import { StoreClock } from "./store-clock.ts";
import type { SessionStore, StoredEntry } from "./store.ts";

export interface MemorySessionStoreOptions {
  /** Ms since 1970; `Date.now` by default. */
  readonly now?: (() => number) | undefined;
  /** For one process that may sign everybody out when it restarts; `false` by default. */
  readonly allowInProduction?: boolean | undefined;
}

interface Kept {
  readonly entry: StoredEntry;
  readonly deadline: number;
}

/**
 * Makes an empty store.
 *
 * @throws {TypeError} NODE_ENV is production, and nobody said that this is meant.
 */
export function createMemorySessionStore(options: MemorySessionStoreOptions = {}): SessionStore {
  if (process.env["NODE_ENV"] === "production" && options.allowInProduction !== true) {
    throw new TypeError(
      "store: expected one that outlives the process, as NODE_ENV is production: see @tallystick/sessions/sqlite and /redis",
    );
  }
  return new MemorySessionStore(new StoreClock(options.now ?? Date.now));
}

class MemorySessionStore implements SessionStore {
  readonly #clock: StoreClock;
  readonly #entries = new Map<string, Kept>();
  #versions = 0;
  #closed = false;

  constructor(clock: StoreClock) {
    this.#clock = clock;
  }

  async now(): Promise<number> {
    this.#assertOpen();
    return this.#clock.read();
  }

  async get(key: string): Promise<StoredEntry | undefined> {
    this.#assertOpen();
    return this.#entries.get(key)?.entry;
  }

  async put(key: string, value: string | null, version: number, deadline = Infinity): Promise<boolean> {
    this.#assertOpen();
    if ((this.#entries.get(key)?.entry.version ?? 0) !== version) return false;
    if (value === null) this.#entries.delete(key);
    else this.#entries.set(key, { entry: { value, version: (this.#versions += 1) }, deadline });
    return true;
  }

  async due(before: number, limit: number): Promise<readonly string[]> {
    this.#assertOpen();
    return [...this.#entries]
      .filter(([, { deadline }]) => deadline !== Infinity && deadline <= before)
      .toSorted(([, one], [, other]) => one.deadline - other.deadline)
      .slice(0, limit)
      .map(([key]) => key);
  }

  async close(): Promise<void> {
    this.#closed = true;
  }

  #assertOpen(): void {
    if (this.#closed) throw new Error("this store is closed");
  }
}
