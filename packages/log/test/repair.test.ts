import { beforeEach, describe, expect, test } from "vitest";
import { decodeLeaf, encodeCbor } from "@tallystick/events";
import { type LogStorage, type Row, type ScanRange, StorageError, type StoredRow, indexKey } from "@tallystick/storage";
import { decodeIntegratedHead } from "../src/heads.ts";
import { type RepairReport, repairLog } from "../src/index.ts";
import {
  TABLE,
  chainKey,
  commitmentCheck,
  encodeChainEnd,
  decodeKnownId,
  encodeKnownId,
  encodeStreamEnd,
  formerIdKey,
} from "../src/rows.ts";
import { tileKey } from "../src/tree.ts";
import { edgeKeysIn, toFormerEdges } from "./former-edges.ts";
import { Sender } from "./sender.ts";
import { WatchedStorage } from "./watched-storage.ts";
import { ORIGIN, type Site, createSite, event, expectWhole, login, published } from "./site.ts";

const UNSIGNED = 600;

let site: Site;

beforeEach(async () => {
  site = await createSite();
  const sender = new Sender();
  const log = await site.open({ pinFirstSenderKey: true });
  for (let from = 0; from < UNSIGNED; from += 100)
    await log.appendEvents({ writer: "w", events: Array.from({ length: 100 }, (_, n) => login(from + n)) });
  const shopped = event(2000, { type: "shop.order", outcome: "success" });
  await log.appendBatch({ writer: "app", batch: sender.batch(1, [sender.start(), shopped]) });
  await published(log);
  await log.close();
  await expectWhole(site);
});

async function repair(): Promise<RepairReport> {
  const verifiers = site.keys.signers.map(({ verifier }) => verifier);
  return repairLog({ storage: site.storage, keyStore: site.keyStore, origin: ORIGIN, verifiers });
}

async function firstKey(table: string): Promise<string> {
  for await (const { key } of site.storage.scanRows(table)) return key;
  throw new Error(`table ${table} is empty`);
}

async function put(table: string, key: string, value: Uint8Array | null): Promise<void> {
  await site.storage.putRows([{ table, key, value }]);
}

async function sizeNow(): Promise<number> {
  const head = await site.storage.readHead("integrated");
  return decodeIntegratedHead(head?.bytes ?? new Uint8Array()).size;
}

/** A storage in which one row does not read until it is written anew or taken away. */
class UnreadableRow extends WatchedStorage {
  readonly #table: string;
  readonly #key: string;
  #isDamaged = true;

  constructor(inner: LogStorage, table: string, key: string) {
    super(inner);
    this.#table = table;
    this.#key = key;
  }

  override async getRow(table: string, key: string): Promise<Uint8Array | undefined> {
    this.#read(table, [key]);
    return super.getRow(table, key);
  }

  override async getRows(table: string, keys: readonly string[]): Promise<(Uint8Array | undefined)[]> {
    this.#read(table, keys);
    return super.getRows(table, keys);
  }

  override async *scanRows(table: string, range: ScanRange = {}): AsyncGenerator<StoredRow> {
    if (table === this.#table && (range.gt === undefined || range.gt < this.#key)) this.#read(table, [this.#key]);
    yield* super.scanRows(table, range);
  }

  override async putRows(rows: readonly Row[]): Promise<void> {
    if (rows.some(({ table, key }) => table === this.#table && key === this.#key)) this.#isDamaged = false;
    await super.putRows(rows);
  }

  #read(table: string, keys: readonly string[]): void {
    if (!this.#isDamaged || table !== this.#table || !keys.includes(this.#key)) return;
    throw new StorageError("storage-corrupt", "the row is not what was written", {
      details: { table, key: this.#key },
    });
  }
}

/** What the log opens with after it: it takes the same events as the same, and new ones. */
async function expectGoesOn(): Promise<void> {
  const log = await site.open({ pinFirstSenderKey: true });
  const size = log.size();
  const [known] = await log.appendEvents({ writer: "w", events: [login(5)] });
  expect(known).toMatchObject({ index: 5, duplicate: true });
  const [fresh] = await log.appendEvents({ writer: "w", events: [login(9999)] });
  expect(fresh?.index).toBe(size);
  await published(log);
  expect(await log.receipt(5)).toContain("c2sp.org/tlog-proof");
  await log.close();
  await expectWhole(site);
}

describe("repairLog rebuilds", () => {
  test("nothing in a log that is whole", async () => {
    const { before, written, after } = await repair();
    expect([before.ok, written, after.ok]).toEqual([true, {}, true]);
  });

  test("tiles that are gone or altered, full and at the edge", async () => {
    await site.storage.deleteBlobs([tileKey(0, 0)]);
    const stored = await site.storage.readHead("integrated");
    const altered = (await site.storage.getBlob(tileKey(0, 1)))?.slice() ?? new Uint8Array();
    altered[40] = (altered[40] ?? 0) ^ 1;
    await site.storage.commit({
      head: { name: "integrated", expected: stored?.version ?? 0, bytes: stored?.bytes ?? new Uint8Array() },
      blobs: [{ key: tileKey(0, 1), bytes: altered }],
    });
    await put(TABLE.edge, "1/0", null);
    await put(TABLE.edge, "5/0", encodeCbor([0, new Uint8Array(32)]));
    const { before, written, after } = await repair();
    expect([before.ok, written, after.findings]).toEqual([false, { tile: 2, edge: 2 }, []]);
    await expectGoesOn();
  });

  test.each(["0", "0/0", "0/f", "1", "5/0"].flatMap((key) => [[key, "pieces"] as const, [key, "one row"] as const]))(
    "a partial tile of which the row %s does not read, in a log that has them in %s",
    async (key, form) => {
      if (form === "one row") await toFormerEdges(site.storage, await sizeNow());
      site = { ...site, storage: new UnreadableRow(site.storage, TABLE.edge, key) };
      const { before, after } = await repair();
      expect([before.findings[0]?.code, after.findings]).toEqual(["storage-corrupt", []]);
      await expectGoesOn();
    },
  );

  test("no partial tile in the form of earlier versions that is right, though something else is mended", async () => {
    await toFormerEdges(site.storage, await sizeNow());
    await put(TABLE.stream, "00".repeat(16), encodeStreamEnd({ next: 7, lastIndex: 3 }));
    const { written, after } = await repair();
    expect([written, after.findings]).toEqual([{ stream: 1 }, []]);
    expect(await edgeKeysIn(site.storage)).toEqual(["0", "1"]);
    await put(TABLE.edge, "1", null);
    expect((await repair()).written).toEqual({ edge: 1 });
    expect(await edgeKeysIn(site.storage)).toEqual(["0", "1/0"]);
    await expectGoesOn();
  });

  test("index rows that are gone, altered, or that no entry asks for", async () => {
    for (const table of [TABLE.id, TABLE.chain, TABLE.stream, TABLE.batch]) {
      await put(table, await firstKey(table), null);
    }
    await put(TABLE.id, await firstKey(TABLE.id), encodeKnownId({ check: 0, index: 3 }));
    await put(TABLE.chain, await firstKey(TABLE.chain), encodeChainEnd({ count: 1, last: 9 }));
    await put(TABLE.chain, chainKey("actor", new Uint8Array(16)), encodeChainEnd({ count: 1, last: 9 }));
    await put(TABLE.stream, "00".repeat(16), encodeStreamEnd({ next: 4, lastIndex: 4 }));
    const { written, after } = await repair();
    expect([written, after.findings]).toEqual([{ id: 2, chain: 3, stream: 2, batch: 1 }, []]);
    await expectGoesOn();
  });

  async function toFormerKeys(): Promise<string[]> {
    const keys: string[] = [];
    for await (const { key, value } of site.storage.scanRows(TABLE.id)) {
      await put(TABLE.id, key, null);
      const { check, index } = decodeKnownId(value);
      await put(TABLE.id, formerIdKey(key), encodeCbor([check, index]));
      keys.push(formerIdKey(key));
    }
    return keys.sort();
  }

  async function idKeysNow(): Promise<string[]> {
    const keys: string[] = [];
    for await (const { key } of site.storage.scanRows(TABLE.id)) keys.push(key);
    return keys.sort();
  }

  test("nothing of the rows of ids of a log of before, but those that are wrong", async () => {
    const keys = await toFormerKeys();
    await put(TABLE.formerIds, "log", null);
    expect((await repair()).written).toEqual({});
    const [first = "", second = "", third = ""] = keys;
    await put(TABLE.id, first, null);
    await put(TABLE.id, second, encodeKnownId({ check: 0, index: 3 }));
    // One too many, of an entry that has its row.
    await put(TABLE.id, "0".repeat(12) + third, (await site.storage.getRow(TABLE.id, third)) ?? null);
    const { written, after } = await repair();
    // Two are made anew where they lie now; the wrong one and the one too many go.
    expect([written, after.findings]).toEqual([{ id: 4 }, []]);
    const now = await idKeysNow();
    expect(now.filter(({ length }) => length === 16)).toEqual(keys.slice(2));
    expect(
      now
        .filter(({ length }) => length === 28)
        .map(formerIdKey)
        .sort(),
    ).toEqual([first, second]);
    await expectGoesOn();
  });

  test("what says that no row of an id lies as before, where some do, or where it does not read", async () => {
    const keys = await idKeysNow();
    await put(TABLE.formerIds, "log", encodeCbor(["x"]));
    const unread = await repair();
    expect(unread.before.findings.map(({ code }) => code)).toEqual(["id-row-mismatch"]);
    expect([unread.written, unread.after.findings]).toEqual([{ "former-ids": 1 }, []]);

    const former = await toFormerKeys();
    const denied = await repair();
    expect(denied.before.findings.map(({ code }) => code)).toContain("id-row-mismatch");
    expect([denied.written, denied.after.findings]).toEqual([{ "former-ids": 1 }, []]);
    expect(await idKeysNow()).toEqual(former);
    expect(former).toEqual(keys.map(formerIdKey).sort());
    await expectGoesOn();
  });
});

describe("repairLog cannot rebuild", () => {
  test("an entry, and writes nothing then", async () => {
    await put(TABLE.leaf, indexKey(300), null);
    await put(TABLE.edge, "1/0", null);
    const { written, refusal, after } = await repair();
    expect([written, refusal]).toEqual([{}, "index 300: the entry is not stored"]);
    expect(after.findings.map(({ code }) => code)).toContain("leaf-missing");
    expect(await site.storage.getRow(TABLE.edge, "1/0")).toBeUndefined();
  });

  test("an entry that was altered with its tile: the head's root tells", async () => {
    const leaf = (await site.storage.getRow(TABLE.leaf, indexKey(7)))?.slice() ?? new Uint8Array();
    leaf[leaf.length - 1] = (leaf.at(-1) ?? 0) ^ 1;
    await put(TABLE.leaf, indexKey(7), leaf);
    expect((await repair()).refusal).toBe("the entries do not have the head's root");
  });

  test("a sealed event, and says so when the rest is rebuilt", async () => {
    await put(TABLE.sealed, indexKey(20), null);
    await put(TABLE.edge, "1/0", null);
    const { written, after } = await repair();
    expect([written, after.findings.map(({ code, index }) => `${code} ${index}`)]).toEqual([
      { edge: 1 },
      ["sealed-missing 20"],
    ]);
    // The id of an event whose contents are gone is in its row only, which stays.
    const leaf = decodeLeaf((await site.storage.getRow(TABLE.leaf, indexKey(20))) ?? new Uint8Array());
    const known = [];
    for await (const { value } of site.storage.scanRows(TABLE.id)) known.push(Buffer.from(value).toString("hex"));
    expect(known).toContain(
      Buffer.from(encodeKnownId({ check: commitmentCheck(leaf.commitment), index: 20 })).toString("hex"),
    );
  });

  test("a head", async () => {
    const stored = await site.storage.readHead("integrated");
    expect(decodeIntegratedHead(stored?.bytes ?? new Uint8Array()).size).toBeGreaterThan(UNSIGNED);
    const bytes = encodeCbor([2]);
    await site.storage.commit({ head: { name: "integrated", expected: stored?.version ?? 0, bytes } });
    const { written, refusal } = await repair();
    expect([written, refusal]).toEqual([{}, expect.stringContaining("head")]);
  });
});
