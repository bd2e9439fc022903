/** The store on better-auth's own adapter: the contract over each database, and better-auth with no other store. */
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import { createSessions } from "@tallystick/sessions";
import { createBetterAuthSessionStore, tallystickPlugin } from "@tallystick/sessions/better-auth";
import { guard, sessionOf } from "@tallystick/sessions/hono";
import { type OpenStore, sessionStoreContract } from "@tallystick/sessions/store-contract";
import { betterAuth } from "better-auth";
import { memoryAdapter } from "better-auth/adapters/memory";
import { getMigrations } from "better-auth/db/migration";
import BetterSqlite from "better-sqlite3";
import { Hono } from "hono";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { removeFolder, temporaryFolder } from "../../../test/support/processes.ts";
import { URL, openBetterAuthStore, optionsOf } from "./support/better-auth-store.ts";
import { EventList } from "./support/setup.ts";

const ANN = { email: "ann@example.org", password: "a long password", name: "Ann" };

let folder: string;
let files = 0;
const databases: Database[] = [];
beforeAll(async () => {
  folder = await temporaryFolder();
});
afterAll(async () => {
  for (const database of databases) database.close();
  await removeFolder(folder);
});

/** What better-auth takes for SQLite. */
const DRIVERS = { "node:sqlite": DatabaseSync, "better-sqlite3": BetterSqlite } as const;
type Driver = (typeof DRIVERS)[keyof typeof DRIVERS];
type Database = DatabaseSync | BetterSqlite.Database;

/** A file, and a connection of its own to it for whoever asks. */
function sqliteFile(Driver: Driver = DatabaseSync): () => Database {
  const path = join(folder, `${(files += 1)}.sqlite`);
  return () => {
    const database = new Driver(path);
    databases.push(database);
    database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA busy_timeout = 10");
    return database;
  };
}

function contract(openEmpty: () => Promise<OpenStore>): void {
  for (const { statement, check } of sessionStoreContract) test(statement, async () => check(openEmpty));
}

describe.each(Object.entries(DRIVERS))("better-auth's adapter over SQLite by %s", (_, Driver) => {
  contract(async () => {
    const connect = sqliteFile(Driver);
    await openBetterAuthStore(connect(), { migrate: true });
    return async () => openBetterAuthStore(connect());
  });

  test("waits while somebody else has the lock to write", async () => {
    const connect = sqliteFile(Driver);
    const store = await openBetterAuthStore(connect(), { migrate: true });
    await store.get("a");
    const other = connect();
    other.exec("BEGIN IMMEDIATE");
    const put = store.put("a", "x", 0);
    await sleep(30);
    other.exec("COMMIT");
    expect(await put).toBe(true);
  });
});

describe("better-auth's adapter over SQLite", () => {
  test("S19 the latest time that any process saw holds for all, also after a restart", async () => {
    const connect = sqliteFile();
    const late = await openBetterAuthStore(connect(), { migrate: true, now: () => 1_769_850_600_000 });
    const early = await openBetterAuthStore(connect(), { now: () => 1_769_850_000_000 });
    const times = [await late.now(), await early.now()];
    const again = await openBetterAuthStore(connect(), { now: () => 1_769_850_000_000 });
    expect([...times, await again.now()]).toEqual([1_769_850_600_000, 1_769_850_600_000, 1_769_850_600_000]);
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
    const store = await openBetterAuthStore(connect());
    await expect(store.get("a")).rejects.toThrow("no such table: tallystickSession");
    await openBetterAuthStore(connect(), { migrate: true });
    expect(await store.put("a", "x", 0)).toBe(true);
  });

  test("refuses a table that somebody made without the unique key", async () => {
    const connect = sqliteFile();
    const database = connect();
    database.exec("CREATE TABLE tallystickSession (id TEXT, key TEXT, value TEXT, version BIGINT, deadline BIGINT)");
    const store = await openBetterAuthStore(connect());
    await expect(store.get("a")).rejects.toThrow("better-auth: expected a unique key of tallystickSession");
    expect(database.prepare("SELECT count(*) AS n FROM tallystickSession").get()).toMatchObject({ n: 0 });
  });
});

describe("createBetterAuthSessionStore", () => {
  test("refuses an adapter that does not keep a key unique", async () => {
    const store = await openBetterAuthStore(memoryAdapter({ tallystickSession: [] }));
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
