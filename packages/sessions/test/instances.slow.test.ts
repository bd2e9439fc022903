/** Several processes over one store are as one: over the other servers, and while theirs is killed. */
import { openPostgresSessionStore } from "@tallystick/sessions/postgres";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { removeFolder, temporaryFolder } from "../../../test/support/processes.ts";
import { type RedisServer, findRedis } from "../../../test/support/redis-server.ts";
import { openBetterAuthStore } from "./support/better-auth-store.ts";
import { Instance, type StorePlace, recordedIn } from "./support/instance.ts";
import { HOUR, MINUTE, T0, USUAL } from "./support/policies.ts";
import { poolTo } from "./support/postgres-pool.ts";
import { NO_POSTGRES, type TestServer, hasPostgres, startTestServer } from "./support/postgres.ts";
import { type MakeStore, chainsOf, numberOf, testRaces } from "./support/races.ts";
import { refusalOf, webScene } from "./support/web-scene.ts";

const startRedis = findRedis();
if (!hasPostgres) process.stderr.write(`${NO_POSTGRES}: skipped\n`);
if (startRedis === undefined) {
  process.stderr.write("redis: skipped, there is no redis-server on this machine and Debian's cannot be fetched\n");
}

let folder: string;
let postgres: TestServer | undefined;
let redis: RedisServer | undefined;
let prefixes = 0;
beforeAll(async () => {
  folder = await temporaryFolder();
  [postgres, redis] = await Promise.all([hasPostgres ? startTestServer() : undefined, startRedis?.(folder)]);
});
afterAll(async () => {
  await Promise.all([postgres?.stop(), redis?.stop()]);
  await removeFolder(folder);
});

async function newDatabase(kind: "postgres" | "better-auth"): Promise<StorePlace & { kind: typeof kind }> {
  if (postgres === undefined) throw new Error(NO_POSTGRES);
  const place = { kind, host: postgres.host, database: await postgres.createDatabase() };
  if (kind === "better-auth") {
    const pool = poolTo(place);
    await openBetterAuthStore(pool, { migrate: true });
    await pool.end();
  }
  return place;
}

const stores: Record<string, MakeStore> = {};
if (hasPostgres) stores["better-auth's adapter over PostgreSQL"] = async () => newDatabase("better-auth");
if (startRedis !== undefined) {
  stores["Redis"] = async () => ({ kind: "redis", socket: redis?.socket ?? "", prefix: `{${(prefixes += 1)}}:` });
}
if (Object.keys(stores).length > 0) testRaces(stores);

describe.skipIf(!hasPostgres)("a server that is killed while five processes ask it", () => {
  test.each(["postgres", "better-auth"] as const)(
    "S17 S18 S20 %s: what was answered holds, nobody lives longer, and no entry is lost",
    async (kind) => {
      const log = await temporaryFolder();
      const store = await newDatabase(kind);
      const five = Array.from({ length: 5 }, () => new Instance());
      await Promise.all(five.map(async (each) => each.open(log, { store, limits: USUAL, clockOffsetMs: 0 })));
      const [first] = five;
      if (first === undefined) throw new Error("expected an instance");
      const tokens: string[] = [];
      for (let user = 0; user < 12; user += 1) {
        tokens.push((await first.call("start", [{ user: `u${user}` }], T0)).token);
      }
      const ended = new Set<string>();
      let [refused, served] = [0, 0];
      for (let round = 1; round <= 4; round += 1) {
        const now = T0 + round * 5 * MINUTE;
        const over = new AbortController();
        const asked = five.map(async (instance, at) => {
          for (let turn = at; !over.signal.aborted; turn += 1) {
            const token = tokens[turn % tokens.length] ?? "";
            // In each round two are ended, by several at once.
            const ends = turn % tokens.length < round * 2;
            try {
              const { kind: verdict } = await instance.call(ends ? "end" : "check", [token], now);
              if (verdict === "ended") ended.add(token);
              served += 1;
            } catch (error) {
              if (!String(error).includes("the store of session states failed")) throw error;
              refused += 1;
            }
          }
        });
        await untilMore(() => served, 100);
        await postgres?.kill();
        await untilMore(() => refused, 25);
        await postgres?.restart();
        await untilMore(() => served, 100);
        over.abort();
        await Promise.all(asked);
      }
      expect(ended.size).toBe(8);
      for (const token of ended) expect((await first.call("check", [token])).kind).toBe("ended");
      // Idle from the last time that anybody could have been served.
      const late = T0 + 20 * MINUTE + 30 * MINUTE;
      for (const token of tokens.filter((each) => !ended.has(each))) {
        expect((await first.call("check", [token, { activity: false }], late - 1)).kind).toBe("ok");
        expect((await first.call("check", [token], late)).kind).toBe("expired");
      }
      // What was decided when the server went is reported by who sweeps.
      for (const afterMs of [HOUR, 2 * HOUR]) await first.call("sweep", [], late + afterMs);
      await Promise.all(five.map(async (each) => each.call("flush", [])));
      const chains = chainsOf(recordedIn(log));
      expect(chains).toHaveLength(12);
      for (const chain of chains) {
        expect(chain.map(numberOf)).toEqual(chain.map((_, at) => at));
        expect(chain.filter(({ type }) => /^session\.(end|timeout)$/.test(type))).toHaveLength(1);
      }
      await Promise.all(five.map(async (each) => each.stop()));
      await removeFolder(log);
    },
  );
});

describe.skipIf(!hasPostgres)("a server that hangs", () => {
  test.each(["postgres", "better-auth"] as const)(
    "S20 %s: nothing is served, nothing stays in the pool's line, and all goes on after it",
    { timeout: 60_000 },
    async (kind) => {
      const pool = poolTo({ ...(await newDatabase(kind)), connectionTimeoutMillis: 2000 });
      const store = kind === "postgres" ? await openPostgresSessionStore(pool) : await openBetterAuthStore(pool);
      await using scene = await webScene("Hono", { store });
      const browser = await scene.signedIn();
      await scene.sessions.flush();
      let answers: Response[];
      let waiting: number;
      try {
        postgres?.signal("SIGSTOP");
        answers = await Promise.all(Array.from({ length: 30 }, async () => browser.get("/app/hello")));
        waiting = pool.waitingCount;
      } finally {
        postgres?.signal("SIGCONT");
      }
      for (const answer of answers) {
        expect(await refusalOf(answer)).toMatchObject({ status: 503, code: "session-state-unavailable" });
      }
      expect([scene.app.ran, waiting]).toEqual([[], 0]);
      expect((await browser.get("/app/hello")).status).toBe(200);
      await scene.sessions.flush();
      await pool.end();
    },
  );
});

async function untilMore(count: () => number, by: number): Promise<void> {
  const before = count();
  await expect.poll(count, { timeout: 60_000, interval: 20 }).toBeGreaterThanOrEqual(before + by);
}
