/** PostgreSQL for tests: a real server through node-postgres, or PGlite where there is none. */
import type { PGlite } from "@electric-sql/pglite";
import { Client, type Pool, type PoolConfig } from "pg";
import { type PostgresServer, findPostgres } from "../../../../test/support/postgres-server.ts";
import { removeFolder, temporaryFolder } from "../../../../test/support/processes.ts";
import { poolTo } from "./postgres-pool.ts";

const start = findPostgres();
export const hasPostgres: boolean = start !== undefined;
/** What tests say that need the server, where there is none. */
export const NO_POSTGRES =
  "postgres: there is no server on this machine, and Debian's (package postgresql) cannot be fetched";

/** A server of the test's own, in a folder of its own. */
export interface TestServer extends PostgresServer {
  /** Makes an empty database, and gives its name. */
  createDatabase(): Promise<string>;
}

export async function startTestServer(): Promise<TestServer> {
  if (start === undefined) throw new Error(NO_POSTGRES);
  const folder = await temporaryFolder();
  const server = await start(folder);
  let databases = 0;
  return {
    ...server,
    async createDatabase() {
      const name = `test_${(databases += 1)}`;
      const client = new Client({ host: server.host, user: "postgres" });
      await client.connect();
      await client.query(`CREATE DATABASE ${name}`);
      await client.end();
      return name;
    },
    async stop() {
      await server.stop();
      await removeFolder(folder);
    },
  };
}

/** One database. */
export interface TestPostgres {
  readonly server: TestServer | undefined;
  /** The one of another process: a pool of several connections of its own, where there is a server. */
  connect(config?: PoolConfig): Pool;
  close(): Promise<void>;
}

export async function openTestPostgres(): Promise<TestPostgres> {
  if (!hasPostgres) return openPGlite();
  const server = await startTestServer();
  const database = await server.createDatabase();
  const pools: Pool[] = [];
  return {
    server,
    connect(config) {
      const pool = poolTo({ host: server.host, database, ...config });
      pools.push(pool);
      return pool;
    },
    async close() {
      await Promise.all(pools.map(async (pool) => pool.end()));
      await server.stop();
    },
  };
}

async function openPGlite(): Promise<TestPostgres> {
  const { PGlite } = await import("@electric-sql/pglite");
  const database = await PGlite.create();
  return { server: undefined, connect: () => poolOf(database), close: async () => database.close() };
}

/** As node-postgres shows a server: a pool, whose clients say how many rows a statement changed. */
function poolOf(database: PGlite): Pool {
  const query = async (text: string, values: unknown[] = []): Promise<object> => {
    const { rows, affectedRows } = await database.query(text, values);
    const [command] = /^\w+/.exec(text) ?? [""];
    return { command: command.toUpperCase(), rowCount: affectedRows ?? rows.length, rows };
  };
  const client = { query, release: () => undefined };
  return { query, connect: async () => client, end: async () => undefined } as unknown as Pool;
}
