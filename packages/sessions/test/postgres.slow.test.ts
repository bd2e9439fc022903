/** Both stores over PostgreSQL: a real server, through pools of node-postgres; or PGlite, where there is none. */
import { createRequire } from "node:module";
import { openPostgresSessionStore } from "@tallystick/sessions/postgres";
import { type OpenStore, sessionStoreContract } from "@tallystick/sessions/store-contract";
import { createBetterAuthSessionStore } from "@tallystick/sessions/better-auth";
import { betterAuth } from "better-auth";
import type { Pool } from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openBetterAuthStore, optionsOf } from "./support/better-auth-store.ts";
import { MINUTE } from "./support/policies.ts";
import { NO_POSTGRES, type TestPostgres, hasPostgres, openTestPostgres } from "./support/postgres.ts";
import { refusalOf, remainingOf, webScene } from "./support/web-scene.ts";

if (!hasPostgres) process.stderr.write(`${NO_POSTGRES}: tested on PGlite, which has one connection\n`);

let postgres: TestPostgres;
/** As two processes have them. */
let pools: readonly [Pool, Pool];
beforeAll(async () => {
  postgres = await openTestPostgres();
  pools = [postgres.connect(), postgres.connect()];
  await openBetterAuthStore(pools[0], { migrate: true });
});
afterAll(async () => postgres.close());

/** The one, the other, and the one again. */
function inTurn<Result>(take: (turn: 0 | 1) => Result): () => Result {
  let turns = 0;
  return () => take((turns += 1) % 2 === 0 ? 0 : 1);
}

function contract(openEmpty: () => Promise<OpenStore>): void {
  for (const { statement, check } of sessionStoreContract) test(statement, async () => check(openEmpty));
}

async function serverTime(): Promise<number> {
  const { rows } = await pools[0].query<{ now: string }>("SELECT extract(epoch FROM clock_timestamp()) * 1000 AS now");
  return Number(rows[0]?.now);
}

async function dropTables(): Promise<void> {
  await pools[0].query("DROP TABLE IF EXISTS tallystick_session_entry, tallystick_session_store");
}

describe("openPostgresSessionStore", () => {
  contract(async () => {
    await dropTables();
    return inTurn(async (turn) => openPostgresSessionStore(pools[turn]));
  });

  test("S19 an answer that comes late does not put the clock ahead of the server's", async () => {
    const late: (() => void)[] = [];
    let delays = false;
    const store = await openPostgresSessionStore({
      async query(text, values) {
        const held = delays ? Promise.withResolvers<void>() : undefined;
        delays = false;
        const answer = await pools[0].query(text, values);
        if (held !== undefined) late.push(held.resolve);
        await held?.promise;
        return answer;
      },
    });
    for (let round = 0; round < 10; round += 1) {
      delays = true;
      const first = store.now();
      while (late.length === 0) await pools[0].query("SELECT pg_sleep(0.02)");
      const second = await store.now();
      late.pop()?.();
      expect(await first).toBe(second);
    }
    expect(await store.now()).toBeLessThanOrEqual(await serverTime());
  });

  test("S19 goes on from its mark where the server's clock was set back", async () => {
    const ahead = Date.now() + 3_600_000;
    const store = await openPostgresSessionStore(pools[0]);
    await pools[0].query("UPDATE tallystick_session_store SET mark = $1", [ahead]);
    const first = await store.now();
    expect(first).toBe(ahead);
    const startMs = performance.now();
    while (performance.now() - startMs < 20) await store.get("a");
    expect(await store.now()).toBeGreaterThan(first);
  });
});

describe.skipIf(!hasPostgres)("openPostgresSessionStore over a server", () => {
  test("S18 opens however many make its tables at the same moment", async () => {
    const many = Array.from({ length: 8 }, () => postgres.connect({ max: 1 }));
    await Promise.all(many.map(async (pool) => pool.query("SELECT 1")));
    for (let round = 0; round < 8; round += 1) {
      await dropTables();
      await pools[0].query("DROP SEQUENCE tallystick_session_version");
      const stores = await Promise.all(many.map(async (pool) => openPostgresSessionStore(pool)));
      const puts = await Promise.all(stores.map(async (store, at) => store.put("a", `${at}`, 0)));
      expect(puts.filter(Boolean)).toHaveLength(1);
    }
  });

  test("opens for a role that may make no tables, where they are there", async () => {
    await openPostgresSessionStore(pools[0]);
    await pools[0].query(`CREATE ROLE app LOGIN;
      GRANT SELECT, INSERT, UPDATE, DELETE ON tallystick_session_entry, tallystick_session_store TO app;
      GRANT USAGE ON SEQUENCE tallystick_session_version TO app`);
    const store = await openPostgresSessionStore(postgres.connect({ user: "app" }));
    expect(await store.put("of app", "x", 0)).toBe(true);
    expect((await store.get("of app"))?.value).toBe("x");
    await dropTables();
    await expect(openPostgresSessionStore(postgres.connect({ user: "app" }))).rejects.toThrow("permission denied");
  });

  test("has tables of its own in a schema of its own, though another's can be seen from there", async () => {
    await pools[0].query("CREATE SCHEMA tenant");
    const [others, own] = [
      await openPostgresSessionStore(pools[0]),
      await openPostgresSessionStore(postgres.connect({ options: "-c search_path=tenant,public" })),
    ];
    expect([await others.put("a", "x", 0), await own.get("a"), await own.put("a", "y", 0)]).toEqual([
      true,
      undefined,
      true,
    ]);
    expect((await others.get("a"))?.value).toBe("x");
  });
});

const CONCURRENT = sessionStoreContract.filter(({ statement }) => /many/.test(statement));

describe.skipIf(!hasPostgres)("a server whose transactions are serializable", () => {
  const strict = inTurn((turn) => strictPools[turn]);
  let strictPools: readonly [Pool, Pool];
  beforeAll(() => {
    const options = "-c default_transaction_isolation=serializable";
    strictPools = [postgres.connect({ options }), postgres.connect({ options })];
  });

  test.each(CONCURRENT)("openPostgresSessionStore: $statement", async ({ check }) => {
    await dropTables();
    await check(async () => async () => openPostgresSessionStore(strict()));
  });

  test.each(CONCURRENT)("better-auth's adapter: $statement", async ({ check }) => {
    await pools[0].query('DELETE FROM "tallystickSession"');
    await check(async () => async () => openBetterAuthStore(strict()));
  });
});

describe("better-auth's adapter over PostgreSQL", () => {
  contract(async () => {
    await pools[0].query('DELETE FROM "tallystickSession"');
    return inTurn(async (turn) => openBetterAuthStore(pools[turn]));
  });

  test("S19 the server's clock counts, and goes on from its mark where that was set back", async () => {
    const store = await openBetterAuthStore(pools[0]);
    const first = await store.now();
    expect(first).toBeLessThanOrEqual(await serverTime());
    const ahead = first + 3_600_000;
    await pools[0].query(`UPDATE "tallystickSession" SET value = $1 WHERE key = 'mark'`, [`${ahead}`]);
    const again = await openBetterAuthStore(pools[1]);
    expect([await again.now(), await store.now()].every((time) => time >= ahead)).toBe(true);
  });

  test("S19 asks the server the time by the application's own Kysely too", async () => {
    const fromBetterAuth = createRequire(createRequire(import.meta.url).resolve("better-auth"));
    const { Kysely, PostgresDialect } = (await import(fromBetterAuth.resolve("kysely"))) as KyselyModule;
    const db = new Kysely({ dialect: new PostgresDialect({ pool: pools[0] }) });
    const store = await openBetterAuthStore({ db, type: "postgres" });
    await pools[0].query(`UPDATE "tallystickSession" SET value = '0' WHERE key = 'mark'`);
    const before = await serverTime();
    const now = await store.now();
    expect(now).toBeGreaterThanOrEqual(Math.floor(before));
    expect(now).toBeLessThanOrEqual(await serverTime());
  });

  test("refuses PostgreSQL that it cannot ask the time, unless it is told whose clock counts", async () => {
    const { options } = await betterAuth(optionsOf(pools[0], createBetterAuthSessionStore())).$context;
    const { adapter } = await betterAuth(options).$context;
    const store = createBetterAuthSessionStore();
    store.begin({ adapter, options: {} });
    await expect(store.get("a")).rejects.toThrow("better-auth over PostgreSQL: expected database to be a pool or");
    const told = createBetterAuthSessionStore({ now: Date.now });
    told.begin({ adapter, options: {} });
    expect(await told.get("a")).toBeUndefined();
  });
});

describe.skipIf(!hasPostgres)("a server that is killed", () => {
  test.each(["openPostgresSessionStore", "better-auth's adapter"])(
    "S17 S20 %s: nothing is served until it is back, and then all goes on",
    async (name) => {
      const open = name === "openPostgresSessionStore" ? openPostgresSessionStore : openBetterAuthStore;
      await using scene = await webScene("Hono", { store: await open(pools[0]) });
      const browser = await scene.signedIn();
      const { deadlineAt } = await onlySession(scene);
      await postgres.server?.kill();
      const refused = [await browser.get("/app/hello"), await scene.browser().post("/login", { user: "u2" })];
      const expected = { status: 503, code: "session-state-unavailable" };
      for (const response of refused) expect(await refusalOf(response)).toMatchObject(expected);
      expect(scene.app.ran).toEqual([]);
      await postgres.server?.restart();
      const served = await browser.get("/app/hello", { "tallystick-activity": "background" });
      expect([served.status, scene.app.ran]).toEqual([200, ["hello"]]);
      expect(remainingOf(served)).toBeLessThanOrEqual((10 * MINUTE) / 1000);
      expect((await onlySession(scene)).deadlineAt).toBe(deadlineAt);
      expect((await scene.browser().post("/login", { user: "u2" })).status).toBe(200);
      await scene.sessions.endAll("u1");
    },
  );
});

async function onlySession({
  sessions,
}: Awaited<ReturnType<typeof webScene>>): Promise<{ readonly deadlineAt: number }> {
  const [session, ...others] = await sessions.list("u1");
  if (session === undefined || others.length > 0) throw new Error("expected one session");
  return session;
}

/** What better-auth brings, as an application would import it. */
interface KyselyModule {
  readonly Kysely: new (config: object) => object;
  readonly PostgresDialect: new (config: object) => object;
}
