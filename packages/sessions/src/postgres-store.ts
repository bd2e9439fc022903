/** Session states in PostgreSQL: for any number of machines. The server's clock counts. */
import { unblocked } from "./database-busy.ts";
import { StoreClock } from "./store-clock.ts";
import type { SessionStore, StoredEntry } from "./store.ts";

/** What is needed of a client: a pool of node-postgres has it, and PGlite. */
export interface PostgresQueries {
  query(text: string, values?: unknown[]): Promise<{ readonly rows: readonly unknown[] }>;
}

type Row = Readonly<Record<string, unknown>>;

/** How far the mark may be behind: it is one row for all, and must not be written with each put. */
const MARK_INTERVAL_MS = 1000;
/** What PostgreSQL answers to whoever makes the same table at the same moment as somebody else. */
const MADE_MEANWHILE = new Set(["23505", "42P07", "42710"]);
const TRIES_MAX = 5;

const NOW = "floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint";

/**
 * Whether all is where it would be made. To make what is there already takes the right to make it, as PostgreSQL looks at
 * that first.
 */
const THERE = `SELECT count(to_regclass(format('%I.%I', current_schema(), name))) = 4 AS there
  FROM unnest(ARRAY['tallystick_session_entry', 'tallystick_session_deadline', 'tallystick_session_version',
    'tallystick_session_store']) AS name`;
const SCHEMA: readonly string[] = [
  `CREATE TABLE IF NOT EXISTS tallystick_session_entry (
    key text PRIMARY KEY, value text NOT NULL, version bigint NOT NULL, deadline bigint)`,
  `CREATE INDEX IF NOT EXISTS tallystick_session_deadline ON tallystick_session_entry (deadline)
    WHERE deadline IS NOT NULL`,
  "CREATE SEQUENCE IF NOT EXISTS tallystick_session_version",
  "CREATE TABLE IF NOT EXISTS tallystick_session_store (one int PRIMARY KEY CHECK (one = 1), mark bigint NOT NULL)",
];
const FIRST_MARK = "INSERT INTO tallystick_session_store VALUES (1, 0) ON CONFLICT DO NOTHING";

/** Whoever else writes the mark now does it for all. */
const MARK = `UPDATE tallystick_session_store SET mark = $1::bigint WHERE one IN
  (SELECT one FROM tallystick_session_store WHERE mark <= $1::bigint - ${MARK_INTERVAL_MS} FOR UPDATE SKIP LOCKED)`;
const INSERT = `INSERT INTO tallystick_session_entry (key, value, version, deadline)
  VALUES ($1, $2, nextval('tallystick_session_version'), $3) ON CONFLICT DO NOTHING RETURNING 1`;
const UPDATE = `UPDATE tallystick_session_entry SET value = $2, version = nextval('tallystick_session_version'), deadline = $3
  WHERE key = $1 AND version = $4 RETURNING 1`;
const DELETE = "DELETE FROM tallystick_session_entry WHERE key = $1 AND version = $2 RETURNING 1";

/**
 * Opens the store over a client that the application opened, and closes; makes its tables where there are none. Where they
 * are, a role that may read and write them is enough.
 *
 * Text with a NUL character is refused by PostgreSQL, and is in nothing that sessions put there.
 */
export async function openPostgresSessionStore(client: PostgresQueries): Promise<SessionStore> {
  const { rows } = await client.query(THERE);
  if ((rows[0] as Row | undefined)?.["there"] !== true) for (const statement of SCHEMA) await made(client, statement);
  await unblocked(async () => client.query(FIRST_MARK));
  return new PostgresSessionStore(client);
}

class PostgresSessionStore implements SessionStore {
  readonly #client: PostgresQueries;
  /** What the server said last: the clock below this process's own view of it. */
  #told = 0;
  readonly #clock: StoreClock = new StoreClock(() => this.#told);
  #closed = false;

  constructor(client: PostgresQueries) {
    this.#client = client;
  }

  async now(): Promise<number> {
    const asked = this.#clock.last;
    const [row] = await this.#query(`SELECT ${NOW} AS now, mark FROM tallystick_session_store`);
    if (row === undefined) throw new Error("postgres: the row of tallystick_session_store is gone");
    this.#told = Number(row["now"]);
    const [mark, now] = [Number(row["mark"]), this.#clock.read(Number(row["mark"]), asked)];
    if (now - mark >= MARK_INTERVAL_MS) await this.#query(MARK, [now]);
    return now;
  }

  async get(key: string): Promise<StoredEntry | undefined> {
    const [row] = await this.#query("SELECT value, version FROM tallystick_session_entry WHERE key = $1", [key]);
    return row === undefined ? undefined : { value: String(row["value"]), version: Number(row["version"]) };
  }

  async put(key: string, value: string | null, version: number, deadline?: number): Promise<boolean> {
    if (value === null) {
      if (version === 0) return (await this.get(key)) === undefined;
      return (await this.#query(DELETE, [key, version])).length === 1;
    }
    const values = [key, value, deadline ?? null];
    const rows = version === 0 ? this.#query(INSERT, values) : this.#query(UPDATE, [...values, version]);
    return (await rows).length === 1;
  }

  async due(before: number, limit: number): Promise<readonly string[]> {
    const text = "SELECT key FROM tallystick_session_entry WHERE deadline <= $1::bigint ORDER BY deadline LIMIT $2";
    return (await this.#query(text, [before, limit])).map((row) => String(row["key"]));
  }

  /** The client is the application's. */
  async close(): Promise<void> {
    this.#closed = true;
  }

  async #query(text: string, values: unknown[] = []): Promise<readonly Row[]> {
    if (this.#closed) throw new Error("this store is closed");
    return (await unblocked(async () => this.#client.query(text, values))).rows as readonly Row[];
  }
}

/** IF NOT EXISTS looks first and makes then: of two that come at once, one fails. */
async function made(client: PostgresQueries, statement: string): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    try {
      await client.query(statement);
      return;
    } catch (error) {
      const code = error instanceof Error && "code" in error ? String(error.code) : "";
      if (!MADE_MEANWHILE.has(code) || tries === TRIES_MAX) throw error;
    }
  }
}
