/** Several processes over one store are as one. */
import { join } from "node:path";
import { afterAll, beforeAll } from "vitest";
import { NO_POSTGRES, type TestServer, hasPostgres, startTestServer } from "./support/postgres.ts";
import { type MakeStore, testRaces } from "./support/races.ts";

if (!hasPostgres) process.stderr.write(`${NO_POSTGRES}: races over it are skipped\n`);

let server: TestServer | undefined;
beforeAll(async () => {
  if (hasPostgres) server = await startTestServer();
});
afterAll(async () => server?.stop());

const postgres: MakeStore = async () => {
  if (server === undefined) throw new Error(NO_POSTGRES);
  return { kind: "postgres", host: server.host, database: await server.createDatabase() };
};

testRaces({
  SQLite: async (folder) => ({ kind: "sqlite", path: join(folder, "sessions.sqlite") }),
  ...(hasPostgres ? { PostgreSQL: postgres } : {}),
});
