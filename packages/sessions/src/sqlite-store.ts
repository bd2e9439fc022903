/** Session states in one SQLite file, by Node's own SQLite: for one process or several on one machine. */
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { unblocked } from "./database-busy.ts";
import { StoreClock } from "./store-clock.ts";
import type { SessionStore, StoredEntry } from "./store.ts";

export interface SqliteSessionStoreOptions {
  /** Ms since 1970; `Date.now` by default. All processes over a file are on one machine, and have its clock. */
  readonly now?: (() => number) | undefined;
  /**
   * "always" (the default): a put is synced before it resolves. "checkpoints": a power cut may undo the last of them, so
   * that who signed out is signed in again; a kill of the process undoes nothing.
   */
  readonly sync?: "always" | "checkpoints" | undefined;
}

/** SQLite itself waits so long for a lock, and the process with it; then it is asked again, without blocking. */
const BLOCKED_MS = 20;
const FORMAT = 1;

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS session_entry (
    key TEXT PRIMARY KEY, value TEXT NOT NULL, version INTEGER NOT NULL, deadline INTEGER
  ) WITHOUT ROWID;
  CREATE INDEX IF NOT EXISTS session_deadline ON session_entry (deadline) WHERE deadline IS NOT NULL;
  CREATE TABLE IF NOT EXISTS session_store (one INTEGER PRIMARY KEY CHECK (one = 1), format INTEGER, versions INTEGER, mark INTEGER);
  INSERT OR IGNORE INTO session_store VALUES (1, ${FORMAT}, 0, 0);
`;

/**
 * Opens the file, and makes it where there is none.
 *
 * Any number of processes may have it open. They have to be on one machine: SQLite's write-ahead log is shared memory.
 *
 * @throws {Error} It cannot be opened, or is of another format.
 */
export async function openSqliteSessionStore(
  path: string,
  options: SqliteSessionStoreOptions = {},
): Promise<SessionStore> {
  const database = new DatabaseSync(path, { timeout: BLOCKED_MS });
  try {
    await unblocked(() => database.exec("PRAGMA journal_mode = WAL"));
    database.exec(`PRAGMA synchronous = ${options.sync === "checkpoints" ? "NORMAL" : "FULL"}`);
    await unblocked(() => inTransaction(database, () => database.exec(SCHEMA)));
    const format = database.prepare("SELECT format FROM session_store").get()?.["format"];
    if (format !== FORMAT) throw new Error(`${path}: expected format ${FORMAT}, got ${String(format)}`);
    return new SqliteSessionStore(database, new StoreClock(options.now ?? Date.now));
  } catch (error) {
    database.close();
    throw error;
  }
}

class SqliteSessionStore implements SessionStore {
  readonly #database: DatabaseSync;
  readonly #clock: StoreClock;
  readonly #mark: StatementSync;
  readonly #get: StatementSync;
  readonly #count: StatementSync;
  readonly #insert: StatementSync;
  readonly #update: StatementSync;
  readonly #delete: StatementSync;
  readonly #due: StatementSync;

  constructor(database: DatabaseSync, clock: StoreClock) {
    this.#database = database;
    this.#clock = clock;
    this.#mark = database.prepare("SELECT mark FROM session_store");
    this.#get = database.prepare("SELECT value, version FROM session_entry WHERE key = ?");
    this.#count = database.prepare(
      "UPDATE session_store SET versions = versions + 1, mark = max(mark, ?) RETURNING versions",
    );
    this.#insert = database.prepare(
      "INSERT INTO session_entry (key, value, version, deadline) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
    );
    this.#update = database.prepare(
      "UPDATE session_entry SET value = ?, version = ?, deadline = ? WHERE key = ? AND version = ?",
    );
    this.#delete = database.prepare("DELETE FROM session_entry WHERE key = ? AND version = ?");
    this.#due = database.prepare("SELECT key FROM session_entry WHERE deadline <= ? ORDER BY deadline LIMIT ?");
  }

  async now(): Promise<number> {
    return unblocked(() => this.#clock.read(Number(this.#mark.get()?.["mark"])));
  }

  async get(key: string): Promise<StoredEntry | undefined> {
    const row = await unblocked(() => this.#get.get(key));
    return row === undefined ? undefined : { value: String(row["value"]), version: Number(row["version"]) };
  }

  async put(key: string, value: string | null, version: number, deadline?: number): Promise<boolean> {
    return unblocked(() => inTransaction(this.#database, () => this.#swap({ key, value, version, deadline }) === 1));
  }

  async due(before: number, limit: number): Promise<readonly string[]> {
    const rows = await unblocked(() => this.#due.all(before, limit));
    return rows.map((row) => String(row["key"]));
  }

  async close(): Promise<void> {
    if (this.#database.isOpen) this.#database.close();
  }

  /** How many rows changed. The mark goes along with each change, so that no other process is behind it. */
  #swap({ key, value, version, deadline = null }: Swap): number {
    const next = Number(this.#count.get(this.#clock.read())?.["versions"]);
    if (value === null)
      return version === 0 ? Number(this.#get.get(key) === undefined) : changes(this.#delete.run(key, version));
    return version === 0
      ? changes(this.#insert.run(key, value, next, deadline))
      : changes(this.#update.run(value, next, deadline, key, version));
  }
}

interface Swap {
  readonly key: string;
  readonly value: string | null;
  readonly version: number;
  readonly deadline: number | null | undefined;
}

function changes(result: { readonly changes: number | bigint }): number {
  return Number(result.changes);
}

/** Takes the lock to write at once: who reads first and writes then is refused where somebody wrote in between. */
function inTransaction<Result>(database: DatabaseSync, work: () => Result): Result {
  database.exec("BEGIN IMMEDIATE");
  try {
    const result = work();
    database.exec("COMMIT");
    return result;
  } catch (error) {
    if (database.isTransaction) database.exec("ROLLBACK");
    throw error;
  }
}
