/** A store whose failures all say the same: nobody can tell whether a session is alive. */
import { SessionError } from "./error.ts";
import type { SessionStore, StoredEntry } from "./store.ts";

/** A store that does not answer in so many seconds, or one more, does not answer. The stores' own limits are shorter. */
const ANSWER_SECONDS = 6;

/**
 * Every failure becomes a `session-state-unavailable` that has the store's own as its cause. So do no answer at all, and a
 * time that is none: by that nothing would ever be over.
 */
export class GuardedStore implements SessionStore {
  readonly #store: SessionStore;
  /** What is asked, and what to do where there is no answer. One timer for all: each check asks three times. */
  readonly #asked = new Set<Asked>();
  #timer: NodeJS.Timeout | undefined;
  #seconds = 0;

  constructor(store: SessionStore) {
    this.#store = store;
  }

  async now(): Promise<number> {
    const now = await this.#answer(async () => this.#store.now());
    if (!Number.isSafeInteger(now) || now < 0) unavailable(new Error(`expected ms since 1970, got ${String(now)}`));
    return now;
  }

  async get(key: string): Promise<StoredEntry | undefined> {
    return this.#answer(async () => this.#store.get(key));
  }

  async put(key: string, value: string | null, version: number, deadline?: number): Promise<boolean> {
    return this.#answer(async () => this.#store.put(key, value, version, deadline));
  }

  async due(before: number, limit: number): Promise<readonly string[]> {
    return this.#answer(async () => this.#store.due(before, limit));
  }

  async close(): Promise<void> {
    await this.#store.close();
  }

  async #answer<Result>(ask: () => Promise<Result>): Promise<Result> {
    return new Promise((resolve, reject) => {
      const fail = (cause: unknown): void => {
        this.#asked.delete(asked);
        reject(asUnavailable(cause));
      };
      const asked: Asked = { since: this.#seconds, fail };
      this.#asked.add(asked);
      this.#timer ??= setInterval(() => this.#tick(), 1000).unref();
      ask().then((result) => {
        this.#asked.delete(asked);
        resolve(result);
      }, fail);
    });
  }

  #tick(): void {
    this.#seconds += 1;
    if (this.#asked.size === 0) {
      clearInterval(this.#timer);
      this.#timer = undefined;
    }
    for (const { since, fail } of this.#asked) {
      if (this.#seconds - since > ANSWER_SECONDS) fail(new Error(`no answer within ${ANSWER_SECONDS} s`));
    }
  }
}

interface Asked {
  /** Ticks of the timer, when it was asked. */
  readonly since: number;
  readonly fail: (cause: Error) => void;
}

function unavailable(cause: unknown): never {
  throw asUnavailable(cause);
}

function asUnavailable(cause: unknown): SessionError {
  const text = `the store of session states failed: ${cause instanceof Error ? cause.message : String(cause)}`;
  return new SessionError("session-state-unavailable", text, { cause });
}
