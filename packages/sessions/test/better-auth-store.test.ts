/** The store on better-auth's own adapter: the contract over each database, and better-auth with no other store. */
import { createRequire } from "node:module";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import { PGlite } from "@electric-sql/pglite";
import { createSessions } from "@tallystick/sessions";
import {
  type BetterAuthSessionStore,
  type BetterAuthSessionStoreOptions,
  createBetterAuthSessionStore,
  tallystickPlugin,
} from "@tallystick/sessions/better-auth";
import { guard, sessionOf } from "@tallystick/sessions/hono";
import { type OpenStore, sessionStoreContract } from "@tallystick/sessions/store-contract";
import { type BetterAuthOptions, betterAuth } from "better-auth";
import { memoryAdapter } from "better-auth/adapters/memory";
import { getMigrations } from "better-auth/db/migration";
import { Hono } from "hono";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { removeFolder, temporaryFolder } from "../../../test/support/processes.ts";
import { EventList } from "./support/setup.ts";

const URL = "http://app.example";
const ANN = { email: "ann@example.org", password: "a long password", name: "Ann" };

let folder: string;
let files = 0;
const databases: DatabaseSync[] = [];
beforeAll(async () => {
  folder = await temporaryFolder();
});
afterAll(async () => {
  for (const database of databases) database.close();
  await removeFolder(folder);
});

/** A file, and a connection of its own to it for whoever asks. */
function sqliteFile(): () => DatabaseSync {
  const path = join(folder, `${(files += 1)}.sqlite`);
  return () => {
    const database = new DatabaseSync(path);
    databases.push(database);
    database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL");
    return database;
  };
}

function optionsOf(database: BetterAuthOptions["database"], store: BetterAuthSessionStore): BetterAuthOptions {
  return {
    baseURL: URL,
    secret: "of this test alone, and 32 characters",
    database,
    logger: { disabled: true },
    plugins: [tallystickPlugin(new EventList(), { store })],
  };
}

/** better-auth over a database, and the store that comes of it. */
async function opened(
  database: BetterAuthOptions["database"],
  { migrate = false, ...options }: BetterAuthSessionStoreOptions & { migrate?: boolean } = {},
): Promise<BetterAuthSessionStore> {
  const store = createBetterAuthSessionStore(options);
  const settings = optionsOf(database, store);
  if (migrate) await (await getMigrations(settings)).runMigrations();
  await betterAuth(settings).$context;
  return store;
}

function contract(openEmpty: () => Promise<OpenStore>): void {
  for (const { statement, check } of sessionStoreContract) test(statement, async () => check(openEmpty));
}

describe("better-auth's adapter over SQLite", () => {
  contract(async () => {
    const connect = sqliteFile();
    await opened(connect(), { migrate: true });
    return async () => opened(connect());
  });

  test("S19 the latest time that any process saw holds for all, also after a restart", async () => {
    const connect = sqliteFile();
    const late = await opened(connect(), { migrate: true, now: () => 1_769_850_600_000 });
    const early = await opened(connect(), { now: () => 1_769_850_000_000 });
    const times = [await late.now(), await early.now()];
    const again = await opened(connect(), { now: () => 1_769_850_000_000 });
    expect([...times, await again.now()]).toEqual([1_769_850_600_000, 1_769_850_600_000, 1_769_850_600_000]);
  });

  test("waits while somebody else has the lock to write", async () => {
    const connect = sqliteFile();
    const store = await opened(connect(), { migrate: true });
    await store.get("a");
    const other = connect();
    other.exec("BEGIN IMMEDIATE");
    const put = store.put("a", "x", 0);
    await sleep(30);
    other.exec("COMMIT");
    expect(await put).toBe(true);
  });

  test("gives up within a transaction of better-auth's, which has the one connection, and goes on after it", async () => {
    const store = createBetterAuthSessionStore({ timeoutMs: 300 });
    const settings = optionsOf(sqliteFile()(), store);
    await (await getMigrations(settings)).runMigrations();
    const { adapter } = await betterAuth(settings).$context;
    await store.put("a", "x", 0);
    const inside = adapter.transaction(async () => store.get("a"));
    await expect(inside).rejects.toThrow("better-auth's database did not answer in time");
    expect((await store.get("a"))?.value).toBe("x");
  });

  test("says what is missing before the migration has run, and goes on once it has", async () => {
    const connect = sqliteFile();
    const store = await opened(connect());
    await expect(store.get("a")).rejects.toThrow("no such table: tallystickSession");
    await opened(connect(), { migrate: true });
    expect(await store.put("a", "x", 0)).toBe(true);
  });

  test("refuses a table that somebody made without the unique key", async () => {
    const connect = sqliteFile();
    const database = connect();
    database.exec("CREATE TABLE tallystickSession (id TEXT, key TEXT, value TEXT, version BIGINT, deadline BIGINT)");
    const store = await opened(connect());
    await expect(store.get("a")).rejects.toThrow("better-auth: expected a unique key of tallystickSession");
    expect(database.prepare("SELECT count(*) AS n FROM tallystickSession").get()?.["n"]).toBe(0);
  });
});

describe("better-auth's adapter over PostgreSQL", () => {
  let postgres: PGlite;
  beforeAll(async () => {
    postgres = await PGlite.create();
    await opened(poolOf(postgres), { migrate: true });
  });
  afterAll(async () => postgres.close());

  async function serverTime(): Promise<number> {
    const { rows } = await postgres.query<{ now: string }>(
      "SELECT extract(epoch FROM clock_timestamp()) * 1000 AS now",
    );
    return Number(rows[0]?.now);
  }

  contract(async () => {
    await postgres.exec('DELETE FROM "tallystickSession"');
    return async () => opened(poolOf(postgres));
  });

  test("S19 the server's clock counts, and goes on from its mark where that was set back", async () => {
    const store = await opened(poolOf(postgres));
    const first = await store.now();
    const { rows } = await postgres.query<{ now: string }>(
      "SELECT extract(epoch FROM clock_timestamp()) * 1000 AS now",
    );
    expect(first).toBeLessThanOrEqual(Number(rows[0]?.now));
    const ahead = first + 3_600_000;
    await postgres.query(`UPDATE "tallystickSession" SET value = $1 WHERE key = 'mark'`, [`${ahead}`]);
    const again = await opened(poolOf(postgres));
    expect([await again.now(), await store.now()].every((time) => time >= ahead)).toBe(true);
  });

  test("S19 asks the server the time by the application's own Kysely too", async () => {
    const fromBetterAuth = createRequire(createRequire(import.meta.url).resolve("better-auth"));
    const { Kysely, PostgresDialect } = (await import(fromBetterAuth.resolve("kysely"))) as KyselyModule;
    const db = new Kysely({ dialect: new PostgresDialect({ pool: poolOf(postgres) }) });
    const store = await opened({ db, type: "postgres" });
    await postgres.query(`UPDATE "tallystickSession" SET value = '0' WHERE key = 'mark'`);
    const before = await serverTime();
    const now = await store.now();
    expect(now).toBeGreaterThanOrEqual(Math.floor(before));
    expect(now).toBeLessThanOrEqual(await serverTime());
  });

  test("refuses PostgreSQL that it cannot ask the time, unless it is told whose clock counts", async () => {
    const { options } = await betterAuth(optionsOf(poolOf(postgres), createBetterAuthSessionStore())).$context;
    const { adapter } = await betterAuth(options).$context;
    const store = createBetterAuthSessionStore();
    store.begin({ adapter, options: {} });
    await expect(store.get("a")).rejects.toThrow("better-auth over PostgreSQL: expected database to be a pool or");
    const told = createBetterAuthSessionStore({ now: Date.now });
    told.begin({ adapter, options: {} });
    expect(await told.get("a")).toBeUndefined();
  });
});

describe("createBetterAuthSessionStore", () => {
  test("refuses an adapter that does not keep a key unique", async () => {
    const store = await opened(memoryAdapter({ tallystickSession: [] }));
    await expect(store.get("a")).rejects.toThrow(
      "better-auth: expected its own (Kysely) adapter over SQLite or PostgreSQL, got memory: sessions need another store",
    );
  });

  test("S1 S11 S13 S17 S18 holds the sessions of better-auth with no other store, in two instances", async () => {
    const connect = sqliteFile();
    let now = 1_769_850_000_000;
    const instance = async (migrate: boolean): Promise<Instance> => {
      const log = new EventList();
      const store = createBetterAuthSessionStore({ now: () => now });
      const sessions = createSessions(log, { store, idle: "5m", absolute: "1h", sweepIntervalMs: 0 });
      const settings = {
        ...optionsOf(connect(), store),
        emailAndPassword: { enabled: true },
        rateLimit: { enabled: false },
        plugins: [tallystickPlugin(log, { sessions, store })],
      };
      if (migrate) await (await getMigrations(settings)).runMigrations();
      const auth = betterAuth(settings);
      const app = new Hono();
      app.on(["GET", "POST"], "/api/auth/*", async (context) => auth.handler(context.req.raw));
      app.get("/own", guard(sessions), (context) => context.text(sessionOf(context).user));
      return { app, sessions, log };
    };
    const [one, two] = [await instance(true), await instance(false)];
    // It signs in too, while the transaction of the sign-up holds better-auth's one connection.
    const cookie = cookiesOf(await post(one, "/sign-up/email", ANN));
    expect((await two.app.request(`${URL}/own`, { headers: { cookie } })).status).toBe(200);
    now += 4 * 60_000;
    expect((await one.app.request(`${URL}/own`, { headers: { cookie } })).status).toBe(200);
    now += 5 * 60_000;
    const swept = await Promise.all([one.sessions.sweep(), two.sessions.sweep()]);
    expect(swept[0].ended + swept[1].ended).toBe(1);
    for (const { app } of [one, two]) {
      const response = await app.request(`${URL}/own`, { headers: { cookie } });
      expect([response.status, await response.json()]).toMatchObject([401, { code: "session-expired" }]);
    }
    const again = cookiesOf(await post(two, "/sign-in/email", ANN));
    expect((await post(one, "/revoke-sessions", {}, again)).status).toBe(200);
    expect((await two.app.request(`${URL}/own`, { headers: { cookie: again } })).status).toBe(401);
    await Promise.all([one.sessions.close(), two.sessions.close()]);
    const ends = [...one.log.events, ...two.log.events].filter(({ type }) => /timeout|\.end$/.test(type));
    expect(ends.map(({ type, reason }) => `${type} ${reason}`).toSorted()).toEqual([
      "session.end revoked",
      "session.timeout idle",
    ]);
  });
});

/** What better-auth brings, as an application would import it. */
interface KyselyModule {
  readonly Kysely: new (config: object) => object;
  readonly PostgresDialect: new (config: object) => object;
}

interface Instance {
  readonly app: Hono;
  readonly sessions: ReturnType<typeof createSessions>;
  readonly log: EventList;
}

async function post({ app }: Instance, path: string, body: object, cookie = ""): Promise<Response> {
  const headers = { "content-type": "application/json", origin: URL, cookie };
  return app.request(`${URL}/api/auth${path}`, { method: "POST", headers, body: JSON.stringify(body) });
}

function cookiesOf(response: Response): string {
  expect(response.status).toBe(200);
  return response.headers
    .getSetCookie()
    .map((line) => line.slice(0, line.indexOf(";")))
    .join("; ");
}

/** PGlite as node-postgres shows a server: a pool, whose clients say how many rows a statement changed. */
function poolOf(database: PGlite): BetterAuthOptions["database"] {
  const query = async (text: string, values: unknown[] = []): Promise<object> => {
    const { rows, affectedRows } = await database.query(text, values);
    const [command] = /^\w+/.exec(text) ?? [""];
    return { command: command.toUpperCase(), rowCount: affectedRows ?? rows.length, rows };
  };
  const client = { query, release: () => undefined };
  return { query, connect: async () => client, end: async () => undefined } as never;
}
