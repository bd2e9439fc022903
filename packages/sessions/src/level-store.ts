/** Session states in LevelDB: for one process, and without a server. */
import { StoreClock } from "./store-clock.ts";
import type { SessionStore, StoredEntry } from "./store.ts";

type Operation =
  | { readonly type: "put"; readonly key: string; readonly value: string }
  | { readonly type: "del"; readonly key: string };

/** What is needed of a database: `new Level(path)` of the package level has it. */
export interface LevelDatabase {
  get(key: string): Promise<string | undefined>;
  batch(operations: Operation[], options: { sync: boolean }): Promise<void>;
  iterator(range: { gt: string; lt: string; limit: number }): AsyncIterable<[string, string]>;
}

export interface LevelSessionStoreOptions {
  /** Ms since 1970; `Date.now` by default. */
  readonly now?: (() => number) | undefined;
}

interface Kept extends StoredEntry {
  readonly deadline: number | null;
}

interface Own {
  readonly versions: number;
  readonly mark: number;
}

const ENTRY = "entry/";
const DEADLINE = "deadline/";
const OWN = "store";
/** Digits of the largest time: text sorts as numbers do. */
const DIGITS = 16;

/**
 * Opens the store over a database that the application opened with text as keys and values, and closes. One store for a
 * database: two would not see each other's puts in time. Each put is synced.
 */
export async function openLevelSessionStore(
  database: LevelDatabase,
  options: LevelSessionStoreOptions = {},
): Promise<SessionStore> {
  const text = await database.get(OWN);
  const own = text === undefined ? { versions: 0, mark: 0 } : (JSON.parse(text) as Own);
  return new LevelSessionStore(database, new StoreClock(options.now ?? Date.now), own);
}

class LevelSessionStore implements SessionStore {
  readonly #database: LevelDatabase;
  readonly #clock: StoreClock;
  #versions: number;
  /** Puts follow each other: each reads what the one before has written. */
  #last: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor(database: LevelDatabase, clock: StoreClock, { versions, mark }: Own) {
    this.#database = database;
    this.#clock = clock;
    this.#versions = versions;
    clock.read(mark);
  }

  async now(): Promise<number> {
    this.#assertOpen();
    return this.#clock.read();
  }

  async get(key: string): Promise<StoredEntry | undefined> {
    const kept = await this.#read(key);
    return kept === undefined ? undefined : { value: kept.value, version: kept.version };
  }

  async put(key: string, value: string | null, version: number, deadline?: number): Promise<boolean> {
    this.#assertOpen();
    const mine = this.#last.then(async () => this.#swap({ key, value, version, deadline: deadline ?? null }));
    this.#last = mine.catch(() => undefined);
    return mine;
  }

  async due(before: number, limit: number): Promise<readonly string[]> {
    this.#assertOpen();
    const keys: string[] = [];
    const range = { gt: DEADLINE, lt: DEADLINE + digits(before + 1), limit };
    for await (const [, key] of this.#database.iterator(range)) keys.push(key);
    return keys;
  }

  /** The database is the application's. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#last;
  }

  async #swap(next: Omit<Kept, "value"> & { readonly key: string; readonly value: string | null }): Promise<boolean> {
    const { key, value, deadline } = next;
    const kept = await this.#read(key);
    if ((kept?.version ?? 0) !== next.version) return false;
    this.#versions += 1;
    const own: Own = { versions: this.#versions, mark: this.#clock.read() };
    const operations: Operation[] = [{ type: "put", key: OWN, value: JSON.stringify(own) }];
    if (kept !== undefined && kept.deadline !== null)
      operations.push({ type: "del", key: indexKey(kept.deadline, key) });
    if (value === null) operations.push({ type: "del", key: ENTRY + key });
    else {
      const entry: Kept = { value, version: this.#versions, deadline };
      operations.push({ type: "put", key: ENTRY + key, value: JSON.stringify(entry) });
      if (deadline !== null) operations.push({ type: "put", key: indexKey(deadline, key), value: key });
    }
    await this.#database.batch(operations, { sync: true });
    return true;
  }

  async #read(key: string): Promise<Kept | undefined> {
    this.#assertOpen();
    const text = await this.#database.get(ENTRY + key);
    return text === undefined ? undefined : (JSON.parse(text) as Kept);
  }

  #assertOpen(): void {
    if (this.#closed) throw new Error("this store is closed");
  }
}

function indexKey(deadline: number, key: string): string {
  return `${DEADLINE}${digits(deadline)}/${key}`;
}

function digits(time: number): string {
  return `${time}`.padStart(DIGITS, "0");
}
