/** The clock of the database that better-auth has: of the machine for SQLite, the server's for PostgreSQL. */

/** Ms since 1970. */
export type DatabaseClock = () => number | Promise<number>;

type Rows = Promise<{ readonly rows: readonly Readonly<Record<string, unknown>>[] }>;

/** A pool of node-postgres. */
interface Pool {
  query(text: string): Rows;
}

/** Kysely, where the application made it itself. */
interface Queries {
  executeQuery(query: object): Rows;
}

const NOW = "SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now";

/** @throws {Error} PostgreSQL, and nothing to ask it by. */
export function databaseClock(type: "sqlite" | "postgres", database: unknown): DatabaseClock {
  if (type === "sqlite") return Date.now;
  const given = (database ?? {}) as Partial<Pool> & { readonly db?: Partial<Queries> };
  if (given.query !== undefined) return async () => timeOf((database as Pool).query(NOW));
  if (given.db?.executeQuery !== undefined)
    return async () => timeOf((given.db as Queries).executeQuery(rawQuery(NOW)));
  throw new Error(
    "better-auth over PostgreSQL: expected database to be a pool or { db, type }, to ask the server the time by; or the option now",
  );
}

async function timeOf(answer: Rows): Promise<number> {
  const [row] = (await answer).rows;
  const time = Number(row?.["now"]);
  if (!Number.isSafeInteger(time)) throw new Error(`postgres: expected the time, got ${String(row?.["now"])}`);
  return time;
}

/** As Kysely's `CompiledQuery.raw` makes it. */
function rawQuery(sql: string): object {
  const query = { kind: "RawNode", sqlFragments: [sql], parameters: [] };
  return { sql, query, parameters: [], queryId: { queryId: "tallystick-now" } };
}
