import { cpSync, rmSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import {
  type LogStorage,
  createMemoryKeyStore,
  createMemoryStorage,
  indexKey,
  openKeyStore,
  openLevelStorage,
} from "@tallystick/storage";
import { rejectionCode } from "../../../test/support/errors.ts";
import { type Log, type LogOptions, repairLog } from "../src/index.ts";
import { encodeCbor } from "@tallystick/events";
import { encodeIntegratedHead, decodeIntegratedHead } from "../src/heads.ts";
import { Sender } from "./sender.ts";
import {
  ORIGIN,
  type Site,
  createSite,
  ed25519Signer,
  expectWhole,
  hanging,
  login,
  logKeys,
  published,
  replay,
  until,
} from "./site.ts";
import { edgeKeysIn, toFormerEdges } from "./former-edges.ts";
import { temporaryFolder } from "../../../test/support/temporary-folder.ts";

async function append(log: Log, ...numbers: number[]): Promise<void> {
  await log.appendEvents({ writer: "app", events: numbers.map((n) => login(n)) });
}

async function started(log: Log): Promise<Log> {
  await until(() => log.status().state !== "starting");
  return log;
}

async function levelAt(path: string): Promise<LogStorage> {
  const storage = await openLevelStorage({ path });
  onTestFinished(async () => storage.close());
  return storage;
}

const range = (from: number, to: number) => Array.from({ length: to - from }, (_, n) => from + n);

describe("restart", () => {
  test("C-255 keeps everything, and goes on where it was", async () => {
    const [data, keys] = [temporaryFolder(), temporaryFolder()];
    const keyStoreAt = async () => openKeyStore({ path: keys, masterKey: new Uint8Array(32).fill(9) });
    const site = await createSite({ witnesses: 3 });
    const sender = new Sender();
    const leaves: Uint8Array[] = [];
    let n = 0;
    for (const size of [1, 254, 1, 300, 3]) {
      const storage = await openLevelStorage({ path: data });
      const keyStore = await keyStoreAt();
      const log = await started(await site.open({ storage, keyStore, pinFirstSenderKey: true }));
      for (let index = 0; index < leaves.length; index += 37) expect(await log.readLeaf(index)).toEqual(leaves[index]);
      const from = n;
      const answers = await log.appendEvents({
        writer: "app",
        events: range(from, (n += size)).map((at) => login(at)),
      });
      if (leaves.length === 0) await log.appendBatch({ writer: "app", batch: sender.batch(1, [sender.start()]) });
      const again = await log.appendEvents({ writer: "app", events: [login(0)] });
      expect(again[0]).toMatchObject({ index: 0, duplicate: true });
      expect(answers[0]?.index).toBe(leaves.length);
      await published(log);
      while (leaves.length < log.size()) leaves.push(await log.readLeaf(leaves.length));
      if (size === 3) {
        await replay(log);
        await expectWhole({ ...site, keyStore }, storage);
      }
      await log.close();
      await storage.close();
      await keyStore.close();
    }
  });

  test("a head that was signed and not yet published is brought to the witnesses again", async () => {
    const site = await createSite({ witnesses: 1 });
    const log = await started(await site.open());
    await until(() => log.checkpoint() !== undefined);
    site.network.hosts.clear();
    await append(log, 0);
    await until(() => log.status().state === "degraded");
    await log.close();
    site.network.hosts.set("w1.example", site.handlers[0] ?? hanging);
    const again = await started(await site.open());
    await published(again);
    expect(again.publishedSize()).toBe(1);
    await expectWhole(site);
  });
});

describe("two processes", () => {
  test("C-55 another process that writes to the same storage stops this one for good", async () => {
    const storage = createMemoryStorage();
    const site = await createSite({ storage });
    const log = await site.open();
    await until(() => log.status().state === "ok");
    const head = await storage.readHead("integrated");
    await log.appendEvents({ writer: "app", events: [login(0)] });
    const mine = await storage.readHead("integrated");
    await storage.commit({
      head: { name: "integrated", expected: mine?.version ?? 0, bytes: mine?.bytes ?? head?.bytes ?? new Uint8Array() },
    });
    await expect(log.appendEvents({ writer: "app", events: [login(1)] })).rejects.toMatchObject({
      code: "outcome-unknown",
      message: expect.stringContaining("another process"),
    });
    expect(log.status()).toMatchObject({ state: "stopped", reasons: [{ code: "log-stopped" }] });
  });
});

/** A log of 5 entries, closed, its storage still open, and a copy of its folder from when it had 3. */
async function keptAtThreeOfFive(site: Site): Promise<{ newest: string; older: string; reopened: LogStorage }> {
  const [newest, older] = [join(temporaryFolder(), "data"), join(temporaryFolder(), "data")];
  const storage = await openLevelStorage({ path: newest });
  const log = await started(await site.open({ storage }));
  await append(log, 0, 1, 2);
  await published(log);
  await log.close();
  await storage.close();
  cpSync(newest, older, { recursive: true });
  const reopened = await openLevelStorage({ path: newest });
  const later = await started(await site.open({ storage: reopened }));
  await append(later, 3, 4);
  await published(later);
  await later.close();
  return { newest, older, reopened };
}

describe("start with witnesses", () => {
  test("rule 5: takes nothing until enough witnesses answered that no quorum is left without one", async () => {
    const site = await createSite({ witnesses: 3, quorum: 2 });
    site.network.hosts.delete("w1.example");
    site.network.hosts.delete("w2.example");
    const log = await site.open();
    await until(() => log.status().reasons.length > 0);
    expect(log.status()).toMatchObject({ state: "starting", reasons: [{ code: "log-starting" }, {}, {}] });
    await expect(append(log, 0)).rejects.toMatchObject({ code: "log-starting", details: { retryAfterSeconds: 1 } });
    // One that shows no head is asked by the head of the empty tree. No other was signed.
    const submitted = site.network.requests.filter((line) => !line.startsWith("GET"));
    expect(new Set(submitted)).toEqual(new Set(["POST w3.example/add-checkpoint"]));
    expect(await site.storage.readHead("signed")).toBeUndefined();
    site.network.hosts.set("w2.example", site.handlers[1] ?? hanging);
    await started(log);
    await append(log, 0);
    await published(log);
  });

  test("to start without them is for that one start, and stands in the log", async () => {
    const site = await createSite({ witnesses: 3 });
    site.network.hosts.clear();
    const log = await started(await site.open({ startWithoutWitnesses: true }));
    await until(() => log.size() === 2);
    await append(log, 0);
    const { event } = await log.readEvent({ index: 1, reader: "auditor" });
    expect(event).toMatchObject({ type: "log.check", context: { witnesses: ["w1", "w2", "w3"] } });
    await log.close();
    const again = await site.open();
    await until(() => again.status().reasons.length > 0);
    expect(again.status().state).toBe("starting");
  });

  test("C-257 a folder that was put back to an older state is refused, before anything is signed", async () => {
    const site = await createSite({ witnesses: 3 });
    const { newest, older, reopened } = await keptAtThreeOfFive(site);
    await reopened.close();
    rmSync(newest, { recursive: true });

    site.network.hosts.delete("w3.example");
    const rolledBack = await levelAt(older);
    const signedBefore = await rolledBack.readHead("signed");
    const refused = await started(await site.open({ storage: rolledBack }));
    expect(refused.status()).toMatchObject({ state: "stopped", reasons: [{ code: "log-rolled-back" }] });
    expect(refused.status().reasons[0]?.message).toMatch(/size 5 .* size 3/);
    await expect(append(refused, 9)).rejects.toMatchObject({ code: "log-rolled-back" });
    expect(await rolledBack.readHead("signed")).toEqual(signedBefore);
    expect(await refused.readLeaf(2)).toBeDefined();
  });

  test("an empty folder in place of a log that was published is refused", async () => {
    const site = await createSite({ witnesses: 1 });
    const log = await started(await site.open());
    await append(log, 0);
    await published(log);
    await log.close();
    const refused = await started(
      await site.open({ storage: createMemoryStorage(), keyStore: createMemoryKeyStore() }),
    );
    expect(refused.status()).toMatchObject({ state: "stopped", reasons: [{ code: "log-rolled-back" }] });
  });

  test("C-257 witnesses that show no heads are asked by submitting the newest one again", async () => {
    const site = await createSite({ witnesses: 2 });
    for (const [at, handler] of site.handlers.entries()) {
      const hidden = async (request: Request): Promise<Response> =>
        request.method === "GET" ? new Response(null, { status: 404 }) : handler(request);
      site.network.hosts.set(`w${at + 1}.example`, hidden);
    }
    const { older, reopened } = await keptAtThreeOfFive(site);

    const rolledBack = await levelAt(older);
    const signedBefore = await rolledBack.readHead("signed");
    for (const [put, size] of [
      [rolledBack, 3],
      [createMemoryStorage(), 0],
    ] as const) {
      const fresh = put === rolledBack ? {} : { keyStore: createMemoryKeyStore() };
      const waiting = await site.open({ storage: put, ...fresh });
      await until(() => waiting.status().reasons.length === 3);
      expect(waiting.status().state).toBe("starting");
      const message = `says that it cosigned size 5, our newest head is of size ${size}`;
      const told = waiting.status().reasons.filter(({ code }) => code === "log-rolled-back");
      expect(told.map((reason) => reason.message).sort()).toEqual([
        expect.stringContaining(`w1 ${message}`),
        expect.stringContaining(`w2 ${message}`),
      ]);
      await expect(append(waiting, 9)).rejects.toMatchObject({ code: "log-starting" });
      await waiting.close();
    }
    expect(await rolledBack.readHead("signed")).toEqual(signedBefore);

    // The word of one witness alone, where its quorum does not hang on it, holds up nobody.
    const again = await started(await site.open({ storage: reopened }));
    await append(again, 5);
    await published(again);
  });

  test("a witness that does not know a log that it cosigned has not answered", async () => {
    const site = await createSite({ witnesses: 1 });
    const log = await started(await site.open());
    await append(log, 0);
    await published(log);
    await log.close();
    site.network.hosts.set("w1.example", async () => new Response("<html>not found</html>", { status: 404 }));
    const waiting = await site.open();
    await until(() => waiting.status().reasons.length === 2);
    expect(waiting.status()).toMatchObject({
      state: "starting",
      reasons: [
        { code: "log-starting" },
        { code: "witness-unreachable", message: expect.stringContaining("it cosigned this log before") },
      ],
    });
    await expect(append(waiting, 1)).rejects.toMatchObject({ code: "log-starting" });
    site.network.hosts.set("w1.example", site.handlers[0] ?? hanging);
    await append(await started(waiting), 1);
  });

  test("while it runs nothing is taken once no quorum is left of witnesses that name no larger size than was signed", async () => {
    const site = await createSite({ witnesses: 3 });
    const log = await started(await site.open());
    await append(log, 0);
    await published(log);
    const claim = async (request: Request): Promise<Response> =>
      request.method === "GET"
        ? new Response(null, { status: 404 })
        : new Response("99\n", { status: 409, headers: { "content-type": "text/x.tlog.size" } });
    site.network.hosts.set("w1.example", claim);
    await append(log, 1);
    await published(log);
    await until(() => log.status().witnesses[0]?.state === "faulty");
    expect(log.status().state).toBe("ok");
    site.network.hosts.set("w2.example", claim);
    await append(log, 2);
    await until(() => log.status().state === "stopped");
    expect(log.status().reasons).toMatchObject([
      { code: "log-rolled-back", message: expect.stringContaining("w1 size 99, w2 size 99") },
    ]);
    await expect(append(log, 3)).rejects.toMatchObject({ code: "log-rolled-back" });
    site.network.hosts.set("w2.example", site.handlers[1] ?? hanging);
    await until(() => log.status().state === "ok");
    await append(log, 3);
    await published(log);
    await expectWhole(site);
  });

  test("a head that a witness shows without our signature says nothing about us", async () => {
    const site = await createSite({ witnesses: 1 });
    const stranger = await createSite({ signers: [ed25519Signer("stranger")] });
    const other = await started(await stranger.open());
    await append(other, 0, 1, 2);
    await published(other);
    const note = other.checkpoint() ?? "";
    const handler = site.handlers[0] ?? hanging;
    site.network.hosts.set("w1.example", async (request) =>
      request.method === "GET" ? new Response(note) : handler(request),
    );
    const log = await started(await site.open());
    await append(log, 0);
    await published(log);
    expect(log.status().state).toBe("ok");
  });

  test("C-173 two histories under one key are a fork, with evidence for strangers", async () => {
    const site = await createSite({ witnesses: 1 });
    const log = await started(await site.open());
    await append(log, 0, 1);
    await published(log);
    await log.close();
    const alone: Partial<LogOptions> = { storage: createMemoryStorage(), keyStore: createMemoryKeyStore() };
    const single = (await createSite()).policyText;
    const fork = await started(await site.open({ ...alone, policyText: single, witnesses: [] }));
    await append(fork, 5, 6, 7);
    await published(fork);
    await fork.close();
    const refused = await started(await site.open(alone));
    expect(refused.status()).toMatchObject({ state: "stopped", reasons: [{ code: "log-forked" }] });
    const kept: unknown[] = [];
    for await (const { value } of alone.storage?.scanRows("evidence") ?? []) {
      kept.push(JSON.parse(Buffer.from(value).toString()));
    }
    expect(kept).toMatchObject([
      { format: "tallystick/fork@1", proof: expect.any(Array), rootHash: expect.any(String) },
    ]);
  });
});

describe("tampering is noticed", () => {
  /** A log of 300 entries that is closed. */
  async function closedLog(): Promise<Site> {
    const site = await createSite();
    const log = await started(await site.open());
    await append(log, ...range(0, 300));
    await published(log);
    await log.close();
    return site;
  }

  async function change(storage: LogStorage, table: string, key: string): Promise<void> {
    const value = await storage.getRow(table, key);
    const changed = (value ?? new Uint8Array()).slice();
    const at = changed.length - 1;
    changed[at] = (changed[at] ?? 0) ^ 1;
    await storage.putRows([{ table, key, value: changed }]);
  }

  test("an entry at the right edge that was changed stops the start, and is named", async () => {
    const site = await closedLog();
    const { storage } = site;
    await change(storage, "leaf", indexKey(290));
    await expect(site.open()).rejects.toMatchObject({
      code: "log-corrupt",
      message: expect.stringContaining("index 290"),
    });
  });

  test("an entry that was removed stops the start, and is named", async () => {
    const site = await closedLog();
    const { storage } = site;
    await storage.deleteRows("leaf", [indexKey(260)]);
    await expect(site.open()).rejects.toMatchObject({
      code: "log-corrupt",
      message: expect.stringContaining("index 260: the entry is missing"),
    });
  });

  test("a changed hash at the right edge stops the start", async () => {
    const site = await closedLog();
    const { storage } = site;
    await change(storage, "edge", "0/2");
    expect(await rejectionCode(site.open())).toBe("log-corrupt");
  });

  test("a partial tile in the form of earlier versions is read, and written anew when it grows", async () => {
    const site = await closedLog();
    await toFormerEdges(site.storage, 300);
    expect(await edgeKeysIn(site.storage)).toEqual(["0", "1"]);
    const log = await started(await site.open());
    for (const index of [3, 299]) expect(await log.receipt(index)).toContain("c2sp.org/tlog-proof");
    expect((await log.readTile({ level: 0, index: 1, width: 44 }))?.length).toBe(44 * 32);
    await append(log, 300);
    await published(log);
    expect(await log.receipt(300)).toContain("c2sp.org/tlog-proof");
    await log.close();
    expect(await edgeKeysIn(site.storage)).toEqual(["0/0", "0/1", "0/2", "1"]);
    await expectWhole(site);
    const again = await started(await site.open());
    expect(again.status().state).toBe("ok");
    await append(again, ...range(301, 600));
    await again.close();
    expect(await edgeKeysIn(site.storage)).toEqual(["0/0", "0/1", "0/2", "0/3", "0/4", "0/5", "1/0"]);
    await expectWhole(site);
  });

  test.each([
    ["a row behind the last", 304, "0/3", encodeCbor([1, new Uint8Array(512).fill(7)])],
    ["hashes behind the last", 300, "0/2", encodeCbor([1, new Uint8Array(480).fill(7)])],
    ["a row of another tile", 300, "0/1", encodeCbor([0, new Uint8Array(512).fill(7)])],
    ["a row that is none", 300, "0/1", encodeCbor("none")],
    ["a row that is no CBOR", 300, "0/1", Uint8Array.of(0xff)],
    ["a level that is not full", 256, "0/0", encodeCbor([1, new Uint8Array(32).fill(7)])],
  ])("%s of a partial tile stops the start, and is mended", async (_, size, key, value) => {
    const site = await createSite();
    const log = await started(await site.open());
    await append(log, ...range(0, size));
    await log.close();
    await site.storage.putRows([{ table: "edge", key, value }]);
    expect(await rejectionCode(site.open())).toBe("log-corrupt");
    const { storage, keyStore } = site;
    await repairLog({ storage, keyStore, origin: ORIGIN, verifiers: [] });
    await expectWhole(site);
    expect((await started(await site.open())).status().state).toBe("ok");
  });

  test("a partial tile in the form of earlier versions that ends with a full one is read too", async () => {
    const site = await createSite();
    const log = await started(await site.open());
    await append(log, ...range(0, 512));
    await log.close();
    await toFormerEdges(site.storage, 512);
    expect(await edgeKeysIn(site.storage)).toEqual(["0", "1"]);
    await expectWhole(site);
    const again = await started(await site.open());
    await append(again, 512);
    await again.close();
    expect(await edgeKeysIn(site.storage)).toEqual(["0/0", "1"]);
    await expectWhole(site);
  });

  test("a full tile that is gone is noticed by each read below it", async () => {
    const site = await closedLog();
    await site.storage.deleteBlobs(["tile/0/00000000000000"]);
    const log = await started(await site.open());
    expect(await rejectionCode(log.receipt(3))).toBe("log-corrupt");
    expect(await rejectionCode(log.readTile({ level: 0, index: 0, width: 256 }))).toBe("log-corrupt");
    await log.readLeaf(290);
  });

  test("an entry away from the edge that was changed is noticed by each read, and named", async () => {
    const site = await closedLog();
    const { storage } = site;
    await change(storage, "leaf", indexKey(7));
    const log = await started(await site.open());
    await expect(log.readLeaf(7)).rejects.toMatchObject({ code: "log-corrupt", details: { index: 7 } });
    await expect(log.receipt(7)).rejects.toMatchObject({ code: "log-corrupt", details: { index: 7 } });
    await expect(log.readEvent({ index: 7, reader: "a" })).rejects.toMatchObject({ details: { index: 7 } });
    await expect(log.readBundle({ index: 0, width: 256 })).rejects.toMatchObject({ details: { index: 7 } });
    await log.receipt(8);
  });

  test("contents that were changed or swapped do not open, and are named", async () => {
    const site = await closedLog();
    const { storage } = site;
    await change(storage, "sealed", indexKey(4));
    const other = await storage.getRow("sealed", indexKey(6));
    await storage.putRows([{ table: "sealed", key: indexKey(5), value: other ?? new Uint8Array() }]);
    const log = await started(await site.open());
    for (const index of [4, 5]) {
      await expect(log.readEvent({ index, reader: "a" })).rejects.toMatchObject({
        code: "log-corrupt",
        details: { index },
      });
    }
  });

  test("entries that were cut off behind a signed head stop the start", async () => {
    const site = await closedLog();
    const { storage } = site;
    const stored = await storage.readHead("integrated");
    const head = decodeIntegratedHead(stored?.bytes ?? new Uint8Array());
    const cut = await createSite();
    const short = await started(await cut.open());
    await append(short, 0, 1);
    await published(short);
    await short.close();
    const smaller = decodeIntegratedHead((await cut.storage.readHead("integrated"))?.bytes ?? new Uint8Array());
    await storage.commit({
      head: {
        name: "integrated",
        expected: stored?.version ?? 0,
        bytes: encodeIntegratedHead({ ...head, size: 2, hashes: smaller.hashes, rootHash: smaller.rootHash }),
      },
    });
    await expect(site.open()).rejects.toMatchObject({
      code: "log-corrupt",
      message: expect.stringContaining("were lost"),
    });
  });

  test("other keys than the log's are refused", async () => {
    const site = await closedLog();
    const keys = logKeys([ed25519Signer("another")]);
    const other = await createSite({ signers: keys.signers });
    expect(site.policyText).not.toBe(other.policyText);
    await expect(site.open({ keys, policyText: other.policyText })).rejects.toMatchObject({
      code: "log-corrupt",
      message: expect.stringContaining("right keys"),
    });
  });

  test("an empty storage beside a key store that was used is refused", async () => {
    const site = await closedLog();
    const storage = createMemoryStorage();
    const refused = { code: "log-corrupt", message: expect.stringContaining("the data is gone") };
    await expect(site.open({ storage })).rejects.toMatchObject(refused);
    // Being refused leaves no trace by which the next start would take it for a log.
    await expect(site.open({ storage })).rejects.toMatchObject(refused);
  });

  test("a log that was opened, and got no further, opens again", async () => {
    const site = await createSite({ witnesses: 1 });
    site.network.hosts.clear();
    for (const state of ["starting", "starting"]) {
      const log = await site.open();
      expect(log.status().state).toBe(state);
      await log.close();
    }
    expect(await site.storage.readHead("signed")).toBeUndefined();
    site.network.hosts.set("w1.example", site.handlers[0] ?? hanging);
    await append(await started(await site.open()), 0);
  });

  test("another key store, or an older copy, is refused", async () => {
    const site = await closedLog();
    await expect(site.open({ keyStore: createMemoryKeyStore() })).rejects.toMatchObject({
      code: "log-corrupt",
      message: expect.stringContaining("key store"),
    });
    const foreign = await closedLog();
    await expect(site.open({ keyStore: foreign.keyStore })).rejects.toMatchObject({
      code: "log-corrupt",
      message: expect.stringContaining("newest entry does not open"),
    });
  });
});

describe("the clock at start", () => {
  const DAY = 86_400_000;

  test("C-262 after a night a witness's cosignature confirms the clock", async () => {
    const site = await createSite({ witnesses: 1 });
    const log = await started(await site.open());
    await append(log, 0);
    await published(log);
    await log.close();
    site.clock.nowMs += DAY;
    const morning = await started(await site.open());
    await until(() => morning.status().state === "ok");
    await append(morning, 1);
    await replay(morning);
  });

  test("C-262 a clock that the witnesses do not share stops sequencing, until somebody confirms it", async () => {
    const site = await createSite({ witnesses: 1 });
    const log = await started(await site.open());
    await append(log, 0);
    await published(log);
    await log.close();
    const now = () => site.clock.nowMs + 365 * DAY;
    const wrong = await started(await site.open({ now }));
    await until(() => wrong.status().reasons.some(({ message }) => message.includes("witness time")));
    await expect(append(wrong, 1)).rejects.toMatchObject({ code: "clock-jumped" });
    await wrong.close();
    const confirmed = await started(await site.open({ now, confirmClock: true }));
    await append(confirmed, 1);
    await new Promise((resolve) => setTimeout(resolve, 50));
    await append(confirmed, 2);
  });

  test("C-262 without a witness it waits for somebody", async () => {
    const site = await createSite();
    const log = await started(await site.open());
    await append(log, 0);
    await log.close();
    site.clock.nowMs += DAY;
    const waiting = await started(await site.open());
    await expect(append(waiting, 1)).rejects.toMatchObject({ code: "clock-jumped" });
    expect(waiting.status()).toMatchObject({ state: "stopped", reasons: [{ code: "clock-jumped" }] });
    await waiting.close();
    await append(await started(await site.open({ confirmClock: true })), 1);
  });
});

describe("options", () => {
  test.each<[string, Partial<LogOptions>, string]>([
    ["no key", { keys: { signers: [], senderSeed: new Uint8Array(32) } }, "keys.signers"],
    ["a queue of nothing", { queueEntriesMax: 0 }, "queueEntriesMax"],
    ["half a millisecond", { publishIntervalMs: 0.5 }, "publishIntervalMs"],
  ])("%s is refused", async (_, overrides, words) => {
    const site = await createSite();
    await expect(site.open(overrides)).rejects.toThrow(words);
  });

  test("witnesses that cannot meet the policy are refused", async () => {
    const site = await createSite({ witnesses: 2, quorum: 2 });
    await expect(site.open({ witnesses: site.witnesses.slice(1) })).rejects.toThrow("quorum");
  });

  test("a policy without this log is refused", async () => {
    const site = await createSite();
    await expect(site.open({ keys: logKeys([ed25519Signer("another")]) })).rejects.toThrow("policyText");
  });
});
