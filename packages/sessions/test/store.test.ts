/** Every store does what the contract says, each against the real thing; PostgreSQL in postgres.slow.test.ts. */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { createClient } from "@redis/client";
import { Level } from "level";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createMemorySessionStore } from "@tallystick/sessions";
import { openLevelSessionStore } from "@tallystick/sessions/level";
import { type RedisCommands, createRedisSessionStore } from "@tallystick/sessions/redis";
import { openSqliteSessionStore } from "@tallystick/sessions/sqlite";
import { type OpenStore, sessionStoreContract } from "@tallystick/sessions/store-contract";
import { removeFolder, temporaryFolder } from "../../../test/support/processes.ts";
import { type RedisServer, findRedis } from "../../../test/support/redis-server.ts";

let folder: string;
beforeAll(async () => {
  folder = await temporaryFolder();
});
afterAll(async () => removeFolder(folder));

function contract(openEmpty: () => Promise<OpenStore>): void {
  for (const { statement, check } of sessionStoreContract) test(statement, async () => check(openEmpty));
}

describe("memory", () => {
  contract(async () => {
    const store = createMemorySessionStore();
    return async () => store;
  });

  test("S17 is refused in production, unless somebody says that it is meant", async () => {
    const script = `
      import { createMemorySessionStore } from "@tallystick/sessions";
      createMemorySessionStore({ allowInProduction: true });
      try { createMemorySessionStore(); } catch (error) { console.log(error.name + ": " + error.message); }`;
    const args = ["--conditions=ws-source", "--input-type=module", "-e", script];
    const cwd = new URL("..", import.meta.url).pathname;
    const env = { ...process.env, NODE_ENV: "production" };
    const { stdout } = await promisify(execFile)(process.execPath, args, { cwd, env });
    expect(stdout).toMatch(/^TypeError: store: expected one that outlives the process, as NODE_ENV is production/);
  });

  test("S19 a clock that is set back stops no time, and one that goes on is followed", async () => {
    let wall = 1_769_850_000_000;
    const store = createMemorySessionStore({ now: () => wall });
    const times = [0, 1000, -3_600_000, 5000, 2.5, 60_000].map(async (step) => {
      wall += step;
      return store.now();
    });
    const [first = 0, ...later] = await Promise.all(times);
    expect(later.map((time) => time - first)).toEqual([1000, 1000, 6000, 6002, 66_002]);
  });
});

describe("sqlite", () => {
  let files = 0;
  contract(async () => {
    const path = join(folder, `${(files += 1)}.sqlite`);
    return async () => openSqliteSessionStore(path);
  });

  test("S19 the latest time that any process saw holds for all, also after a restart", async () => {
    const path = join(folder, "clocks.sqlite");
    const early = await openSqliteSessionStore(path, { now: () => 1_769_850_000_000 });
    const late = await openSqliteSessionStore(path, { now: () => 1_769_850_600_000 });
    await late.put("a", "x", 0);
    expect(await early.now()).toBe(1_769_850_600_000);
    await Promise.all([early.close(), late.close()]);
    const again = await openSqliteSessionStore(path, { now: () => 1_769_850_000_000 });
    expect(await again.now()).toBe(1_769_850_600_000);
    await again.close();
  });

  test("refuses a file of another format", async () => {
    const { DatabaseSync } = await import("node:sqlite");
    const path = join(folder, "other.sqlite");
    await (await openSqliteSessionStore(path)).close();
    const database = new DatabaseSync(path);
    database.exec("UPDATE session_store SET format = 2");
    database.close();
    await expect(openSqliteSessionStore(path)).rejects.toThrow("expected format 1, got 2");
  });
});

describe("level", () => {
  const databases: Level[] = [];
  afterAll(async () => Promise.all(databases.map(async (database) => database.close())));

  contract(async () => {
    const database = new Level(join(folder, `level-${databases.length}`));
    databases.push(database);
    const store = await openLevelSessionStore(database);
    return async () => store;
  });

  test("S17 S19 has all after it was opened again, and the time that it was", async () => {
    const path = join(folder, "again");
    const first = new Level(path);
    await (await openLevelSessionStore(first, { now: () => 1_769_850_600_000 })).put("a", "x", 0, 7);
    await first.close();
    const second = new Level(path);
    databases.push(second);
    const store = await openLevelSessionStore(second, { now: () => 1_769_850_000_000 });
    expect([await store.now(), (await store.get("a"))?.value, await store.due(7, 1)]).toEqual([
      1_769_850_600_000,
      "x",
      ["a"],
    ]);
  });
});

const startRedis = findRedis();
if (startRedis === undefined) {
  process.stderr.write("redis: skipped, there is no redis-server on this machine and Debian's cannot be fetched\n");
}

describe.skipIf(startRedis === undefined)("redis", () => {
  let server: RedisServer;
  const clients: { destroy(): void }[] = [];
  let prefixes = 0;

  async function connect(): Promise<RedisCommands> {
    const client = createClient({ socket: { path: server.socket, tls: false } });
    client.on("error", () => undefined);
    await client.connect();
    clients.push(client);
    return client;
  }

  beforeAll(async () => {
    if (startRedis !== undefined) server = await startRedis(folder);
  });
  afterAll(async () => {
    for (const client of clients) client.destroy();
    await server.stop();
  });

  contract(async () => {
    const prefix = `{test-${(prefixes += 1)}}:`;
    return async () => createRedisSessionStore(await connect(), { prefix });
  });

  test("gives up on an answer that does not come", async () => {
    const client = await connect();
    const store = createRedisSessionStore(client, { prefix: "{slow}:", timeoutMs: 50 });
    await client.sendCommand(["CLIENT", "PAUSE", "300", "ALL"]);
    await expect(store.get("a")).rejects.toThrow("redis: no answer to HMGET within 50 ms");
  });

  test("S19 goes on from its mark where the server's clock was set back", async () => {
    const client = await connect();
    const ahead = Date.now() + 3_600_000;
    await client.sendCommand(["HSET", "{mark}:store", "mark", `${ahead}`]);
    const store = createRedisSessionStore(client, { prefix: "{mark}:" });
    const first = await store.now();
    expect(first).toBe(ahead);
    const startMs = performance.now();
    while (performance.now() - startMs < 20) await store.get("a");
    expect(await store.now()).toBeGreaterThan(first);
  });
});
