import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { createSigner, formatVkey, parseVkey, sha256, utf8 } from "@tallystick/core";
import { rejectionCode } from "../../../test/support/errors.ts";
import { describeWithVectors, readVectorText } from "../../../test/support/vectors.ts";
import { addList, addLog, initWitness, listLogs, readWitnessKeys, removeList, removeLog } from "../src/index.ts";
import { temporaryFolder } from "../../../test/support/temporary-folder.ts";
import { TestLog, logSigner } from "./test-log.ts";
import { START_MS, TestWitness, witnessFolder } from "./test-witness.ts";

interface Listed {
  readonly vkey: string;
  readonly origin?: string;
  readonly qpd?: number;
}

function listOf(logs: readonly Listed[]): string {
  const texts = logs.map(
    ({ vkey, origin, qpd = 24 }) =>
      `vkey ${vkey}\n${origin === undefined ? "" : `origin ${origin}\n`}qpd ${qpd}\ncontact ops@log.example\n`,
  );
  return ["logs/v0\n", ...texts].join("\n");
}

/** The folder of a witness that reads `list.1` in it. */
async function folderWithList(
  logs: readonly Listed[],
): Promise<{ dir: string; write: (logs: readonly Listed[]) => void }> {
  const dir = await witnessFolder([]);
  const path = join(dir, "list.1");
  const write = (now: readonly Listed[]): void => writeFileSync(path, listOf(now));
  write(logs);
  await addList({ dir, path });
  return { dir, write };
}

async function originsOf(dir: string): Promise<string[]> {
  return (await listLogs({ dir })).map(({ origin }) => origin);
}

/** A logger that keeps what it is told. */
function recorder(): { logger: Record<"info" | "warn" | "error", (message: string) => void>; messages: string[] } {
  const messages: string[] = [];
  const keep = (message: string): void => void messages.push(message);
  return { logger: { info: keep, warn: keep, error: keep }, messages };
}

describe("lists of logs", () => {
  const [a, b] = [new TestLog(), new TestLog({ origin: "log.example/b" })];

  test("the logs of a list are cosigned for from the start, and stand in the configuration then", async () => {
    const { dir } = await folderWithList([a, { vkey: b.vkey, origin: "b, by another name", qpd: 7 }]);
    const witness = await TestWitness.open(dir);
    expect((await witness.add(a.request(0, 5))).status).toBe(200);
    expect((await witness.add(b.request(0, 5))).status).toBe(404);
    expect(await listLogs({ dir })).toMatchObject([
      { origin: a.origin, vkeys: [a.vkey], qpd: 24, contact: "ops@log.example" },
      { origin: "b, by another name", vkeys: [b.vkey], qpd: 7, contact: "ops@log.example" },
    ]);
    expect(witness.witness.status().lists).toEqual([{ path: "list.1", logs: 2, trouble: undefined }]);
  });

  test("a reload takes up what is new in a list", async () => {
    const { dir, write } = await folderWithList([a]);
    const witness = await TestWitness.open(dir);
    write([a, b]);
    expect((await witness.add(b.request(0, 5))).status).toBe(404);
    await witness.witness.reload();
    expect((await witness.add(b.request(0, 5))).status).toBe(200);
  });

  test("a log that a list drops, gives another key or another rate stays as it was taken up", async () => {
    const { dir, write } = await folderWithList([a, b]);
    const witness = await TestWitness.open(dir);
    const before = readFileSync(join(dir, "witness.json"), "utf8");
    write([{ vkey: logSigner(a.origin, "another key").vkey, qpd: 1 }]);
    await witness.witness.reload();
    expect(readFileSync(join(dir, "witness.json"), "utf8")).toBe(before);
    for (const log of [a, b]) expect((await witness.add(log.request(0, 5))).status).toBe(200);
  });

  test("a log that was configured by hand is not changed by a list", async () => {
    const dir = await witnessFolder([a]);
    const before = await listLogs({ dir });
    const path = join(temporaryFolder(), "list.1");
    writeFileSync(path, listOf([{ vkey: logSigner(a.origin, "another key").vkey }]));
    await addList({ dir, path });
    await TestWitness.open(dir);
    expect(await listLogs({ dir })).toEqual(before);
  });

  test("C-151 a log that was removed is not brought back by a list, but by hand", async () => {
    const { dir } = await folderWithList([a, b]);
    const witness = await TestWitness.open(dir);
    await removeLog({ dir, origin: a.origin });
    await witness.witness.reload();
    expect(await originsOf(dir)).toEqual([b.origin]);
    expect((await witness.add(a.request(0, 5))).status).toBe(404);
    await addLog({ dir, vkey: a.vkey });
    await witness.witness.reload();
    expect((await witness.add(a.request(0, 5))).status).toBe(200);
    await removeLog({ dir, origin: a.origin });
    await removeList({ dir, path: join(dir, "list.1") });
    await witness.witness.reload();
    expect(await originsOf(dir)).toEqual([b.origin]);
  });

  test("a list that cannot be used takes nothing away, keeps no other list from being read, and is reported", async () => {
    const { dir, write } = await folderWithList([a]);
    const other = join(dir, "list.2");
    writeFileSync(other, listOf([]));
    await addList({ dir, path: other });
    const { logger, messages } = recorder();
    const witness = await TestWitness.open(dir, { logger });
    for (const text of ["logs/v1\n", "logs/v0\nvkey BANANAS\nqpd 1\n", Buffer.from([0xff, 0x0a]), undefined]) {
      if (text === undefined) rmSync(join(dir, "list.1"));
      else writeFileSync(join(dir, "list.1"), text);
      messages.length = 0;
      await witness.witness.reload();
      expect(messages).toEqual(["a list of logs cannot be used"]);
      expect(witness.witness.status().lists).toMatchObject([
        { path: "list.1", logs: undefined, trouble: expect.stringContaining(join(dir, "list.1")) },
        { path: "list.2", logs: 0 },
      ]);
    }
    const metrics = (await witness.request("/metrics")).body;
    expect(metrics).toContain('tallystick_witness_list_logs{path="list.1"} 0\n');
    writeFileSync(other, listOf([b]));
    await witness.witness.reload();
    for (const log of [a, b]) expect((await witness.add(log.request(0, 5))).status).toBe(200);
    write([]);
    await witness.witness.reload();
    expect(await originsOf(dir)).toEqual([a.origin, b.origin]);
  });

  test("a log that cannot be cosigned for is left out, and the others are taken up", async () => {
    const { dir, write } = await folderWithList([]);
    const { vkeys } = await readWitnessKeys({ dir });
    const own = formatVkey({ name: "log.example/own", type: 1, publicKey: parseVkey(vkeys[0] ?? "").publicKey });
    const cosigner = createSigner({ name: "w.example", type: "ed25519-cosigner", seed: sha256(utf8("w")) }).vkey;
    write([{ vkey: own }, { vkey: cosigner }, { vkey: a.vkey, origin: "x".repeat(256) }, b]);
    const { logger, messages } = recorder();
    await TestWitness.open(dir, { logger });
    expect(await originsOf(dir)).toEqual([b.origin]);
    expect(messages.filter((message) => message === "left out a log of a list")).toHaveLength(3);
  });

  test("of one origin in two lists the first counts", async () => {
    const { dir } = await folderWithList([a]);
    const path = join(dir, "list.2");
    writeFileSync(path, listOf([{ vkey: logSigner(a.origin, "another key").vkey }, b]));
    await addList({ dir, path });
    const witness = await TestWitness.open(dir);
    expect((await listLogs({ dir })).map(({ origin, vkeys }) => [origin, vkeys])).toEqual([
      [a.origin, [a.vkey]],
      [b.origin, [b.vkey]],
    ]);
    expect((await witness.add(a.request(0, 5))).status).toBe(200);
  });

  test("many reloads at once take each log up once", async () => {
    const { dir, write } = await folderWithList([]);
    const witness = await TestWitness.open(dir);
    write([a, b]);
    await Promise.all(Array.from({ length: 8 }, () => witness.witness.reload()));
    expect(await originsOf(dir)).toEqual([a.origin, b.origin]);
  });

  test("ten thousand logs are taken up, and the one that asks is served", async () => {
    const keys = Array.from({ length: 10_000 }, (_, index) => {
      const publicKey = sha256(utf8(`key ${index}`));
      return formatVkey({ name: `log.example/many/${index}`, type: 1, publicKey });
    });
    const { dir } = await folderWithList([...keys.map((vkey) => ({ vkey })), a]);
    const witness = await TestWitness.open(dir);
    expect((await witness.add(a.request(0, 5))).status).toBe(200);
    expect(witness.witness.status().logs).toHaveLength(10_001);
  });
});

describe("addList and removeList", () => {
  test("a list has to be one when it is added, and nothing is changed where it is not", async () => {
    const dir = await witnessFolder([]);
    const path = join(temporaryFolder(), "list.1");
    expect(await rejectionCode(addList({ dir, path }))).toBe("log-list-missing");
    writeFileSync(path, "logs\n");
    expect(await rejectionCode(addList({ dir, path }))).toBe("log-list-malformed");
    expect(await rejectionCode(removeList({ dir, path }))).toBe("log-list-missing");
    writeFileSync(path, listOf([]));
    expect(await addList({ dir, path })).toEqual({ path, logs: [] });
    expect(await addList({ dir, path })).toEqual({ path, logs: [] });
    expect(JSON.parse(readFileSync(join(dir, "witness.json"), "utf8"))).toMatchObject({ lists: [path] });
    await removeList({ dir, path });
    expect(readFileSync(join(dir, "witness.json"), "utf8")).not.toContain("lists");
  });

  test("a list in the witness' folder is found again when the folder moves", async () => {
    const dir = await witnessFolder([]);
    mkdirSync(join(dir, "lists"));
    const path = join(dir, "lists", "list.1");
    writeFileSync(path, listOf([]));
    expect((await addList({ dir, path })).path).toBe(join("lists", "list.1"));
  });
});

describe("qpd", () => {
  const DAY_MS = 86_400_000;

  test("a log that has grown as often as it may in a day waits, and goes on as the day goes on", async () => {
    const log = new TestLog();
    const { dir } = await folderWithList([{ vkey: log.vkey, qpd: 4 }]);
    const witness = await TestWitness.open(dir);
    for (let size = 0; size < 4; size += 1) expect((await witness.add(log.request(size, size + 1))).status).toBe(200);
    const refused = await witness.add(log.request(4, 5));
    expect(refused).toMatchObject({ status: 429, type: "application/problem+json" });
    expect(JSON.parse(refused.body)).toMatchObject({ code: "log-overloaded" });
    expect(refused.headers.get("retry-after")).toBe(String(DAY_MS / 4 / 1000));
    expect(witness.sizeOf(log)).toBe(4n);
    expect(witness.witness.status()).toMatchObject({ state: "ready", reasons: [] });

    witness.clock.nowMs = START_MS + DAY_MS / 4 - 1000;
    expect((await witness.add(log.request(4, 5))).headers.get("retry-after")).toBe("1");
    witness.clock.nowMs = START_MS + DAY_MS / 4;
    expect((await witness.add(log.request(4, 5))).status).toBe(200);
    expect((await witness.add(log.request(5, 6))).status).toBe(429);
    witness.clock.nowMs += 10 * DAY_MS;
    for (let size = 5; size < 9; size += 1) expect((await witness.add(log.request(size, size + 1))).status).toBe(200);
    expect((await witness.add(log.request(9, 10))).status).toBe(429);
  });

  test("what others can send again and again does not use up a log's day", async () => {
    const log = new TestLog();
    const fork = new TestLog({ salt: "fork" });
    const { dir } = await folderWithList([{ vkey: log.vkey, qpd: 2 }]);
    const witness = await TestWitness.open(dir);
    await witness.add(log.request(0, 5));
    for (let times = 0; times < 5; times += 1) {
      expect((await witness.add(log.request(0, 5))).status).toBe(409);
      expect((await witness.add(log.request(5, 5))).status).toBe(200);
      expect((await witness.add(fork.request(5, 8))).status).toBe(422);
    }
    expect((await witness.add(log.request(5, 8))).status).toBe(200);
    expect((await witness.add(log.request(8, 9))).status).toBe(429);
    expect((await witness.add(log.request(8, 8))).status).toBe(200);
  });

  test("another log's day is its own, a reload gives nothing back, and a log without qpd has no limit", async () => {
    const [one, two, three] = [new TestLog(), new TestLog({ origin: "log.example/b" }), new TestLog({ origin: "c" })];
    const { dir } = await folderWithList([
      { vkey: one.vkey, qpd: 1 },
      { vkey: two.vkey, qpd: 1 },
    ]);
    await addLog({ dir, vkey: three.vkey });
    const witness = await TestWitness.open(dir);
    await witness.add(one.request(0, 1));
    await witness.witness.reload();
    expect((await witness.add(one.request(1, 2))).status).toBe(429);
    expect((await witness.add(two.request(0, 1))).status).toBe(200);
    for (let size = 0; size < 9; size += 1) expect((await witness.add(three.request(size, size + 1))).status).toBe(200);
  });

  test.each([0, 1.5, -1, 2 ** 31, "24"])("a configuration with a qpd of %j is refused", async (qpd) => {
    const dir = temporaryFolder();
    await initWitness({ dir, name: "w.example" });
    const codeFor = async (value: unknown): Promise<string | undefined> => {
      const logs = [{ origin: "a", vkeys: [new TestLog().vkey], qpd: value }];
      const config = { format: "tallystick/witness@1", name: "w.example", logs };
      writeFileSync(join(dir, "witness.json"), JSON.stringify(config));
      return rejectionCode(listLogs({ dir }));
    };
    expect(await codeFor(24)).toBeUndefined();
    expect(await codeFor(qpd)).toBe("config-malformed");
  });
});

describeWithVectors("the public list of test logs", () => {
  test("is taken up whole", async () => {
    const dir = await witnessFolder([]);
    const path = join(dir, "log-list.1");
    writeFileSync(path, readVectorText("witness/log-list-testing.1"));
    expect((await addList({ dir, path })).logs).toHaveLength(9);
    await TestWitness.open(dir);
    const logs = await listLogs({ dir });
    expect(logs).toHaveLength(9);
    expect(logs.at(-2)).toMatchObject({ origin: "keyserver.geomys.org", qpd: 1440 });
  });
});
