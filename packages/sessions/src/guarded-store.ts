/** A store whose failures all say the same: nobody can tell whether a session is alive. */
import { SessionError } from "./error.ts";
import type { SessionStore, StoredEntry } from "./store.ts";

/** Every failure becomes a `session-state-unavailable` that has the store's own as its cause. */
export class GuardedStore implements SessionStore {
  readonly #store: SessionStore;

  constructor(store: SessionStore) {
    this.#store = store;
  }

  async now(): Promise<number> {
    return this.#store.now().catch(unavailable);
  }

  async get(key: string): Promise<StoredEntry | undefined> {
    return this.#store.get(key).catch(unavailable);
  }

  async put(key: string, value: string | null, version: number, deadline?: number): Promise<boolean> {
    return this.#store.put(key, value, version, deadline).catch(unavailable);
  }

  async due(before: number, limit: number): Promise<readonly string[]> {
    return this.#store.due(before, limit).catch(unavailable);
  }

  async close(): Promise<void> {
    await this.#store.close();
  }
}

function unavailable(cause: unknown): never {
  const text = `the store of session states failed: ${cause instanceof Error ? cause.message : String(cause)}`;
  throw new SessionError("session-state-unavailable", text, { cause });
}
