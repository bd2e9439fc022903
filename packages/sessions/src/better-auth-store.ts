/**
 * Session states in the database that better-auth has already, through its own adapter: a table more, and no other store.
 *
 * An update or a delete that names the version, and says how many rows it changed, is a compare-and-swap; a unique key sees to
 * it that of two who make an entry one does. Versions are random, so that none comes back and no row counts for all.
 */
import { randomBytes, randomUUID } from "node:crypto";
import type { AuthContext, BetterAuthPlugin } from "better-auth";
import { type DatabaseClock, databaseClock } from "./better-auth-clock.ts";
import { unblocked } from "./database-busy.ts";
import { StoreClock } from "./store-clock.ts";
import type { SessionStore, StoredEntry } from "./store.ts";

export interface BetterAuthSessionStoreOptions {
  /**
   * Ms since 1970. By default over SQLite the clock of this machine, and over PostgreSQL the server's, where better-auth has a
   * pool or `{ db, type }` to ask it by.
   */
  readonly now?: DatabaseClock | undefined;
  /** How long to wait for an answer; 5,000 by default. */
  readonly timeoutMs?: number | undefined;
}

/** What is needed of better-auth. */
export type BetterAuthDatabase = Pick<AuthContext, "adapter"> & { readonly options: { readonly database?: unknown } };

/** Waits until `tallystickPlugin` has it begin: give it to the sessions and to the plugin. */
export interface BetterAuthSessionStore extends SessionStore {
  /** Called by the plugin. */
  begin(database: BetterAuthDatabase): void;
}

/** The table, as better-auth's migration makes it. */
export const SESSION_STORE_SCHEMA: NonNullable<BetterAuthPlugin["schema"]> = {
  tallystickSession: {
    fields: {
      key: { type: "string", unique: true },
      value: { type: "string" },
      version: { type: "number", bigint: true },
      deadline: { type: "number", bigint: true, required: false, index: true },
    },
  },
};

interface Row {
  readonly key: string;
  readonly value: string;
  /** PostgreSQL's clients give numbers of 64 bits as text. */
  readonly version: number | string;
  readonly deadline: number | null;
}

type Where = Parameters<AuthContext["adapter"]["updateMany"]>[0]["where"];

/** How far the mark may be behind: it is one row for all, and must not be written with each put. */
const MARK_INTERVAL_MS = 1000;
const BEGIN_MS = 10_000;
const TIMEOUT_MS = 5000;
const LATE = "better-auth's database did not answer in time";
const MODEL = "tallystickSession";
const ENTRY = "entry/";
const MARK = "mark";

/** Makes the store. Its table is there once better-auth's migration was run. */
export function createBetterAuthSessionStore(options: BetterAuthSessionStoreOptions = {}): BetterAuthSessionStore {
  return new BetterAuthStore(options);
}

class BetterAuthStore implements BetterAuthSessionStore {
  readonly #options: BetterAuthSessionStoreOptions;
  readonly #begun: PromiseWithResolvers<void> = Promise.withResolvers<void>();
  #database: BetterAuthDatabase | undefined;
  #opened: Promise<Opened> | undefined;
  /** What the clock below said last. */
  #told = 0;
  readonly #clock: StoreClock = new StoreClock(() => this.#told);
  #closed = false;

  constructor(options: BetterAuthSessionStoreOptions) {
    this.#options = options;
  }

  begin(database: BetterAuthDatabase): void {
    this.#database = database;
    this.#opened = undefined;
    this.#begun.resolve();
  }

  async now(): Promise<number> {
    const { table, clock } = await this.#open();
    const asked = this.#clock.last;
    const [told, row] = await Promise.all([clock(), table.find(MARK)]);
    const mark = Number(row?.value ?? 0);
    // The mark may be younger than the answer: only a time that was asked for after it was read can be behind it.
    this.#told = mark > told ? await clock() : told;
    const now = this.#clock.read(mark, asked);
    // Whoever else writes it now does it for all.
    if (now - mark >= MARK_INTERVAL_MS) await table.swap(markOf(now), Number(row?.version ?? 0));
    return now;
  }

  async get(key: string): Promise<StoredEntry | undefined> {
    const { table } = await this.#open();
    const row = await table.find(ENTRY + key);
    return row === undefined ? undefined : { value: row.value, version: Number(row.version) };
  }

  async put(key: string, value: string | null, version: number, deadline?: number): Promise<boolean> {
    const { table } = await this.#open();
    if (value !== null) return table.swap({ key: ENTRY + key, value, deadline: deadline ?? null }, version);
    return version === 0 ? (await table.find(ENTRY + key)) === undefined : table.remove(ENTRY + key, version);
  }

  async due(before: number, limit: number): Promise<readonly string[]> {
    const { table } = await this.#open();
    return (await table.due(before, limit)).map((key) => key.slice(ENTRY.length));
  }

  /** The database is better-auth's. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#begun.resolve();
  }

  async #open(): Promise<Opened> {
    if (this.#database === undefined) await this.#untilBegun();
    if (this.#closed || this.#database === undefined) throw new Error("this store is closed");
    this.#opened ??= opened(this.#database, this.#options);
    const mine = this.#opened;
    try {
      return await mine;
    } catch (error) {
      // The next who asks tries again: the database may be back, or the migration have run.
      if (this.#opened === mine) this.#opened = undefined;
      throw error;
    }
  }

  async #untilBegun(): Promise<void> {
    await within(
      BEGIN_MS,
      "better-auth did not begin: give this store to tallystickPlugin, as its option store",
      this.#begun.promise,
    );
  }
}

interface Opened {
  readonly table: Table;
  readonly clock: DatabaseClock;
}

/** @throws {Error} The adapter is of another kind, or the database does not do what compare-and-swap stands on. */
async function opened(
  database: BetterAuthDatabase,
  { now, timeoutMs = TIMEOUT_MS }: BetterAuthSessionStoreOptions,
): Promise<Opened> {
  const { adapter, options } = database;
  const type: unknown = adapter.options?.["type"];
  if (adapter.id !== "kysely" || (type !== "sqlite" && type !== "postgres")) {
    const got = adapter.id === "kysely" ? `kysely over ${String(type)}` : adapter.id;
    throw new Error(
      `better-auth: expected its own (Kysely) adapter over SQLite or PostgreSQL, got ${got}: sessions need another store`,
    );
  }
  const clock = now ?? databaseClock(type, options.database);
  const table = new Table(adapter, timeoutMs);
  await assertSwaps(table);
  return { table, clock: async () => within(timeoutMs, LATE, Promise.resolve(clock())) };
}

/** Tries on the real thing what all depends on. A table that somebody made by hand may lack the unique key. */
async function assertSwaps(table: Table): Promise<void> {
  const row = { key: `probe/${randomUUID()}`, value: "", deadline: null };
  const seen: boolean[] = [await table.swap(row, 0)];
  const version = Number((await table.find(row.key))?.version);
  try {
    seen.push(!(await table.swap(row, 0)));
    seen.push(!(await table.swap(row, version + 1)), !(await table.remove(row.key, version + 1)));
    seen.push(await table.swap(row, version), !(await table.swap(row, version)));
  } finally {
    await table.clear(row.key);
  }
  if (seen.every(Boolean)) return;
  throw new Error(
    `better-auth: expected a unique key of ${MODEL}, and to be told how many rows an update changed: run better-auth's migration`,
  );
}

/** The rows, each found by its key. */
class Table {
  readonly #adapter: AuthContext["adapter"];
  readonly #timeoutMs: number;

  constructor(adapter: AuthContext["adapter"], timeoutMs: number) {
    this.#adapter = adapter;
    this.#timeoutMs = timeoutMs;
  }

  async find(key: string): Promise<Row | undefined> {
    const where = [{ field: "key", value: key }];
    return (await this.#ask(async (adapter) => adapter.findOne<Row>({ model: MODEL, where }))) ?? undefined;
  }

  /** Puts the row in place of the one of that version; 0: of none. */
  async swap(row: Omit<Row, "version">, version: number): Promise<boolean> {
    const next = { ...row, version: newVersion() };
    if (version === 0) return this.#insert(next);
    const { key, ...update } = next;
    const where = whereIs(key, version);
    return (await this.#ask(async (adapter) => adapter.updateMany({ model: MODEL, where, update }))) === 1;
  }

  async remove(key: string, version: number): Promise<boolean> {
    const where = whereIs(key, version);
    return (await this.#ask(async (adapter) => adapter.deleteMany({ model: MODEL, where }))) === 1;
  }

  /** Whatever its version. */
  async clear(key: string): Promise<void> {
    const where = [{ field: "key", value: key }];
    await this.#ask(async (adapter) => adapter.deleteMany({ model: MODEL, where }));
  }

  async due(before: number, limit: number): Promise<string[]> {
    const where: Where = [{ field: "deadline", operator: "lte", value: before }];
    const sortBy = { field: "deadline", direction: "asc" } as const;
    const what = { model: MODEL, where, limit, sortBy, select: ["key", "deadline"] };
    return (await this.#ask(async (adapter) => adapter.findMany<Row>(what))).map(({ key }) => key);
  }

  /** Databases say in words of their own that a key is there: who is in its place tells, as versions are random. */
  async #insert(row: Row): Promise<boolean> {
    try {
      await this.#ask(async (adapter) => adapter.create({ model: MODEL, data: row }));
      return true;
    } catch (error) {
      const found = await this.find(row.key);
      if (found === undefined) throw error;
      return Number(found.version) === row.version;
    }
  }

  /**
   * Not for ever: over SQLite better-auth has one connection, and who asks from within a transaction of better-auth's waits for
   * that to end, as that does for him.
   */
  async #ask<Result>(work: (adapter: AuthContext["adapter"]) => Promise<Result>): Promise<Result> {
    return within(
      this.#timeoutMs,
      LATE,
      unblocked(async () => work(this.#adapter)),
    );
  }
}

async function within<Result>(timeoutMs: number, text: string, work: Promise<Result>): Promise<Result> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(text)), timeoutMs);
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

function markOf(now: number): Omit<Row, "version"> {
  return { key: MARK, value: `${now}`, deadline: null };
}

function whereIs(key: string, version: number): Where {
  return [
    { field: "key", value: key },
    { field: "version", value: version },
  ];
}

/** 1 or more, of 53 bits. */
function newVersion(): number {
  return Math.max(1, Number(randomBytes(8).readBigUInt64BE() >> 11n));
}
