import { beforeEach, describe, expect, test } from "vitest";
import { ed25519PublicKey, encodeHex, formatCheckpoint, signNote } from "@tallystick/core";
import { decodeCbor, encodeCbor, encodeEvent, signBatch, streamId } from "@tallystick/events";
import {
  type HeadName,
  type KeyStore,
  type LogStorage,
  StorageError,
  createMemoryKeyStore,
  createMemoryStorage,
  indexKey,
} from "@tallystick/storage";
import {
  type IntegratedHead,
  decodeIntegratedHead,
  decodeSignedHead,
  encodeIntegratedHead,
  encodeSignedHead,
} from "../src/heads.ts";
import { type FsckReport, fsckLog } from "../src/index.ts";
import {
  TABLE,
  batchKey,
  chainKey,
  decodeChainEnd,
  decodeKnownId,
  encodeChainEnd,
  encodeKnownId,
  encodePlacedBatch,
  encodeStreamEnd,
  formerIdKey,
  idKey,
  writerSender,
} from "../src/rows.ts";
import { decodeLeaf, writerStreamId } from "@tallystick/events";
import { edgeKeys } from "../src/edge.ts";
import { tileKey } from "../src/tree.ts";
import { toFormerEdges } from "./former-edges.ts";
import { ORIGIN, type Site, createSite, ed25519Signer, event, login, published, seed } from "./site.ts";

/** Two full tiles and a partial one; persons, sessions, tenants; a signed stream; events of the log's own. */
const UNSIGNED = 560;
const TENANT_AT = 7;
const sender = { seed: seed("a sender"), instance: seed("an instance").slice(0, 16) };
const stream = encodeHex(
  streamId({ origin: ORIGIN, publicKey: ed25519PublicKey(sender.seed), instance: sender.instance }),
);

let site: Site;
let size: number;

let made: Promise<Site> | undefined;

/** Every test alters a copy of its own. */
beforeEach(async () => {
  const original = await (made ??= build());
  site = { ...original, storage: await copyOf(original.storage) };
  size = (await integrated()).size;
});

async function build(): Promise<Site> {
  const made = await createSite();
  const log = await made.open({ pinFirstSenderKey: true });
  const events = Array.from({ length: UNSIGNED }, (_, n) =>
    login(n, {
      session: { id: encodeHex(seed(`session ${n % 5}`)) },
      ...(n % 10 === TENANT_AT ? { tenant: "acme", subject: { id: "patient" } } : {}),
    }),
  );
  for (let from = 0; from < UNSIGNED; from += 80)
    await log.appendEvents({ writer: "w", events: events.slice(from, from + 80) });
  await log.appendBatch({ writer: "app", batch: batchOf(1, ["stream.start", "shop.order", "shop.order"]) });
  await log.appendBatch({ writer: "app", batch: batchOf(4, ["shop.order"]) });
  await log.readEvent({ index: 3, reader: "auditor" });
  await published(log);
  await log.close();
  return made;
}

async function copyOf(storage: LogStorage): Promise<LogStorage> {
  const copy = createMemoryStorage();
  for (const table of Object.values(TABLE)) {
    for await (const { key, value } of storage.scanRows(table)) await copy.putRows([{ table, key, value }]);
  }
  const blobs: { key: string; bytes: Uint8Array }[] = [];
  for await (const key of storage.listBlobs(""))
    blobs.push({ key, bytes: (await storage.getBlob(key)) ?? new Uint8Array() });
  for (const name of ["integrated", "signed", "published"] as const) {
    const head = await storage.readHead(name);
    if (head !== undefined) await copy.commit({ head: { name, expected: 0, bytes: head.bytes }, blobs });
  }
  return copy;
}

function batchOf(first: number, types: readonly string[]): Uint8Array {
  const entries = types.map((type, at) => ({
    salt: seed(`salt ${first + at}`),
    event: encodeEvent(event(1000 + first + at, { type, outcome: "success" })),
  }));
  return signBatch({
    origin: ORIGIN,
    seed: sender.seed,
    publicKey: ed25519PublicKey(sender.seed),
    instance: sender.instance,
    first,
    entries,
  });
}

async function check(parts: { storage?: LogStorage; keyStore?: KeyStore } = {}): Promise<FsckReport> {
  const verifiers = site.keys.signers.map(({ verifier }) => verifier);
  return fsckLog({ storage: site.storage, keyStore: site.keyStore, origin: ORIGIN, verifiers, ...parts });
}

/** The codes and indexes of all findings. */
async function findings(parts: Parameters<typeof check>[0] = {}): Promise<string[]> {
  const report = await check(parts);
  expect(report.ok).toBe(report.findingsTotal === 0);
  for (const { message, remedy } of report.findings)
    expect([message.length > 10, remedy.length > 10]).toEqual([true, true]);
  return report.findings.map(({ code, index }) => (index === undefined ? code : `${code} ${index}`));
}

async function row(table: string, key: string): Promise<Uint8Array> {
  const value = await site.storage.getRow(table, key);
  if (value === undefined) throw new Error(`no row ${key} in ${table}`);
  return value;
}

async function put(table: string, key: string, value: Uint8Array | null): Promise<void> {
  await site.storage.putRows([{ table, key, value }]);
}

/** Flips one bit. */
function flipped(bytes: Uint8Array, at: number = bytes.length - 1): Uint8Array {
  const copy = bytes.slice();
  copy[at] = (copy[at] ?? 0) ^ 1;
  return copy;
}

async function setHead(name: HeadName, bytes: Uint8Array): Promise<void> {
  const version = (await site.storage.readHead(name))?.version ?? 0;
  await site.storage.commit({ head: { name, expected: version, bytes } });
}

async function setBlob(key: string, bytes: Uint8Array): Promise<void> {
  const head = await site.storage.readHead("published");
  if (head === undefined) throw new Error("no published head");
  const { version, bytes: same } = head;
  await site.storage.commit({ head: { name: "published", expected: version, bytes: same }, blobs: [{ key, bytes }] });
}

async function integrated(): Promise<IntegratedHead> {
  const head = await site.storage.readHead("integrated");
  if (head === undefined) throw new Error("no integrated head");
  return decodeIntegratedHead(head.bytes);
}

test("finds nothing in a log that nobody touched, and says what it looked at", async () => {
  const progress: string[] = [];
  const verifiers = site.keys.signers.map(({ verifier }) => verifier);
  const { storage, keyStore } = site;
  const onProgress = (done: number, total: number): number => progress.push(`${done}/${total}`);
  const report = await fsckLog({ storage, keyStore, origin: ORIGIN, verifiers, onProgress });
  expect(report.findings).toEqual([]);
  expect(report).toMatchObject({ ok: true, origin: ORIGIN, size, findingsTotal: 0, replayedTo: size });
  expect(report.counts).toMatchObject({ entries: size, opened: size, erased: 0, streams: 2 });
  expect(report.counts.checkpoints).toBeGreaterThan(0);
  expect(progress).toEqual([`256/${size}`, `512/${size}`, `${size}/${size}`]);
});

test("finds nothing in a log that never took an event", async () => {
  const empty = await createSite();
  const verifiers = empty.keys.signers.map(({ verifier }) => verifier);
  const { storage, keyStore } = empty;
  expect(await fsckLog({ storage, keyStore, origin: ORIGIN, verifiers })).toMatchObject({ ok: true, size: 0 });
});

test("stops where it is told to", async () => {
  const { storage, keyStore } = site;
  const signal = AbortSignal.abort(new Error("enough"));
  await expect(fsckLog({ storage, keyStore, origin: ORIGIN, verifiers: [], signal })).rejects.toThrow("enough");
});

describe("entries and tree", () => {
  test.each([0, 255, 256, 511, 512, 559])(
    "names index %i, whose entry was altered, and nothing else",
    async (index) => {
      await put(TABLE.leaf, indexKey(index), flipped(await row(TABLE.leaf, indexKey(index))));
      expect(await findings()).toEqual([`leaf-mismatch ${index}`]);
      expect((await check()).replayedTo).toBe(index);
    },
  );

  test.each([0, 300, 540])("names index %i, whose entry is missing", async (index) => {
    await put(TABLE.leaf, indexKey(index), null);
    expect(await findings()).toEqual([`leaf-missing ${index}`]);
  });

  test("names the hash of a full tile that was altered, and believes the entry", async () => {
    const key = tileKey(0, 1);
    await setBlob(key, flipped((await site.storage.getBlob(key)) ?? new Uint8Array(), 32 * 9));
    expect(await findings()).toEqual(["tile-mismatch 265"]);
  });

  test("names a full tile that is missing", async () => {
    await site.storage.deleteBlobs([tileKey(0, 1)]);
    expect(await findings()).toEqual(["tile-missing 256"]);
  });

  test("names the hash of a partial tile that was altered, and believes the entry", async () => {
    const last = `0/${Math.floor(((size % 256) - 1) / 16).toString(16)}`;
    await put(TABLE.edge, last, flipped(await row(TABLE.edge, last)));
    expect(await findings()).toEqual([`tile-mismatch ${size - 1}`]);
  });

  test("names the entries below a hash of a higher tile that was altered", async () => {
    await put(TABLE.edge, "1/0", flipped(await row(TABLE.edge, "1/0")));
    expect(await findings()).toEqual(["tile-mismatch 256"]);
  });

  test("names a partial tile that is missing", async () => {
    await site.storage.deleteRows(TABLE.edge, edgeKeys(0));
    expect(await findings()).toEqual(["tile-missing 512"]);
  });

  test("names a partial tile of which a piece is missing, is another's, or is too much", async () => {
    const first = await row(TABLE.edge, "0/0");
    const second = await row(TABLE.edge, "0/1");
    for (const [key, value] of [
      ["0/0", null],
      ["0/1", null],
      ["0/1", encodeCbor([1, new Uint8Array(512)])],
      ["0/f", first],
      ["0", first],
      ["9/0", encodeCbor([0, new Uint8Array(32)])],
    ] as const) {
      await put(TABLE.edge, key, value);
      expect(await findings()).toEqual(["tile-mismatch"]);
      await put(TABLE.edge, key, null);
      await put(TABLE.edge, "0/0", first);
      await put(TABLE.edge, "0/1", second);
    }
    await put(TABLE.edge, "0/00", first);
    expect(await findings()).toEqual(["tile-mismatch"]);
  });

  test("names a partial tile that is divided in another way, and one of a level that there is not", async () => {
    const [first, second] = await Promise.all(
      ["0/0", "0/1"].map(async (key) => decodeCbor(await row(TABLE.edge, key))),
    );
    const [index, hashes, more] = [2, (first as Uint8Array[])[1], (second as Uint8Array[])[1]] as const;
    const both = Buffer.concat([hashes ?? new Uint8Array(), more ?? new Uint8Array()]);
    await put(TABLE.edge, "0/0", encodeCbor([index, new Uint8Array(both.subarray(0, 17 * 32))]));
    await put(TABLE.edge, "0/1", encodeCbor([index, new Uint8Array(both.subarray(17 * 32))]));
    expect(await findings()).toEqual(["tile-mismatch"]);
    await put(TABLE.edge, "0/0", encodeCbor(first ?? null));
    await put(TABLE.edge, "0/1", encodeCbor(second ?? null));
    expect(await findings()).toEqual([]);
    await put(TABLE.edge, "3", encodeCbor([0, new Uint8Array()]));
    expect(await findings()).toEqual(["tile-mismatch"]);
  });

  test("finds partial tiles in the form of earlier versions whole, and names what is altered there", async () => {
    await toFormerEdges(site.storage, size);
    expect(await findings()).toEqual([]);
    await put(TABLE.edge, "1", flipped(await row(TABLE.edge, "1")));
    expect(await findings()).toEqual(["tile-mismatch 256"]);
    await put(TABLE.edge, "1", encodeCbor([0, new Uint8Array(32)]));
    expect(await findings()).toEqual(["tile-mismatch"]);
  });

  test("has one finding for a storage whose end is gone", async () => {
    for (let index = 512; index < size; index += 1) await put(TABLE.leaf, indexKey(index), null);
    expect(await findings()).toContain("leaf-missing 512");
    expect((await findings()).filter((finding) => finding.startsWith("leaf-missing"))).toHaveLength(1);
  });

  test("names entries beyond the head", async () => {
    await put(TABLE.leaf, indexKey(size), await row(TABLE.leaf, indexKey(0)));
    await put(TABLE.sealed, indexKey(size + 5), await row(TABLE.sealed, indexKey(0)));
    expect(await findings()).toEqual([`beyond-head ${size}`, `beyond-head ${size + 5}`]);
  });
});

describe("heads", () => {
  test("notices an integrated head with another root", async () => {
    const head = await integrated();
    await setHead("integrated", encodeIntegratedHead({ ...head, rootHash: flipped(head.rootHash) }));
    expect(await findings()).toEqual([`root-mismatch ${size - 1}`]);
  });

  test("notices an integrated head with another time or own sequence", async () => {
    const head = await integrated();
    const own = { ...head.own, nextSequence: head.own.nextSequence + 1 };
    await setHead("integrated", encodeIntegratedHead({ ...head, loggedAt: head.loggedAt + 1, own }));
    expect(await findings()).toEqual(["head-mismatch", "head-mismatch"]);
  });

  test("notices heads that are no heads", async () => {
    for (const name of ["signed", "published"] as const) await setHead(name, new Uint8Array([0x80]));
    expect(await findings()).toEqual(["head-malformed", "head-malformed"]);
  });

  test("notices a head under another key", async () => {
    const { bytes } = (await site.storage.readHead("signed")) ?? { bytes: new Uint8Array() };
    const head = decodeSignedHead(bytes);
    const text = formatCheckpoint({ origin: ORIGIN, size: head.size, rootHash: head.rootHash });
    await setHead(
      "signed",
      encodeSignedHead({ ...head, note: signNote({ text, signers: [ed25519Signer("another")] }) }),
    );
    expect(await findings()).toEqual(["checkpoint-mismatch"]);
  });

  test("notices that fewer entries are stored than were signed", async () => {
    const { bytes } = (await site.storage.readHead("signed")) ?? { bytes: new Uint8Array() };
    const head = { ...decodeSignedHead(bytes), size: size + 1 };
    const text = formatCheckpoint({ origin: ORIGIN, ...head });
    await setHead("signed", encodeSignedHead({ ...head, note: signNote({ text, signers: site.keys.signers }) }));
    expect(await findings()).toEqual([`head-mismatch ${size}`]);
  });

  test("notices a checkpoint that we signed for another tree", async () => {
    const { bytes } = (await site.storage.readHead("published")) ?? { bytes: new Uint8Array() };
    const head = { ...decodeSignedHead(bytes), size: 100 };
    const text = formatCheckpoint({ origin: ORIGIN, ...head });
    const note = signNote({ text, signers: site.keys.signers });
    await put(TABLE.checkpoint, indexKey(100), encodeSignedHead({ ...head, note }));
    expect(await findings()).toEqual(["root-mismatch 99"]);
  });

  test("notices that the published head is not among the checkpoints", async () => {
    await put(TABLE.checkpoint, indexKey(size), null);
    expect(await findings()).toEqual(["head-missing"]);
  });

  test("notices entries without a head", async () => {
    const bare = await createSite();
    await bare.storage.putRows([{ table: TABLE.leaf, key: indexKey(0), value: new Uint8Array([1]) }]);
    const { storage, keyStore } = bare;
    const report = await fsckLog({ storage, keyStore, origin: ORIGIN, verifiers: [] });
    expect(report.findings.map(({ code }) => code)).toEqual(["head-missing", "beyond-head"]);
  });
});

describe("sealed events and keys", () => {
  test("names a sealed event that is missing, altered, or another's", async () => {
    await put(TABLE.sealed, indexKey(1), null);
    await put(TABLE.sealed, indexKey(300), flipped(await row(TABLE.sealed, indexKey(300))));
    await put(TABLE.sealed, indexKey(520), await row(TABLE.sealed, indexKey(521)));
    const [first, ...rest] = await findings();
    expect(first).toBe("sealed-missing 1");
    // A mask that was altered, or another's, names a person whom nobody knows.
    expect(rest).toEqual([
      expect.stringMatching(/^(?:sealed-malformed|key-missing) 300$/),
      expect.stringMatching(/^(?:sealed-malformed|key-missing) 520$/),
    ]);
  });

  test("names every entry whose key is in no key store", async () => {
    const report = await check({ keyStore: createMemoryKeyStore() });
    expect(report.findingsTotal).toBe(size + 1);
    expect(new Set(report.findings.slice(0, size).map(({ code }) => code))).toEqual(new Set(["key-missing"]));
    expect(report.findings[0]).toMatchObject({ code: "key-missing", index: 0 });
    expect(report.counts.opened).toBe(0);
  });

  test("takes a key that was destroyed without a certificate for destroyed evidence", async () => {
    site = await build();
    const day = Math.floor(site.clock.nowMs / 86_400_000);
    await site.keyStore.destroy([{ kind: "class-day", name: `auth ${day}` }]);
    const report = await check();
    expect(report.findingsTotal).toBe(UNSIGNED);
    expect(new Set(report.findings.map(({ code }) => code))).toEqual(new Set(["contents-destroyed"]));
    expect(report.counts.erased).toBe(0);
  });

  test("without a key store checks the form of sealed events only", async () => {
    const { storage } = site;
    const verifiers = site.keys.signers.map(({ verifier }) => verifier);
    const report = await fsckLog({ storage, origin: ORIGIN, verifiers });
    expect(report.findings).toEqual([]);
    expect(report.counts.opened).toBe(0);
  });

  test("names an entry whose tag is not that of its tenant", async () => {
    const { keyStore } = site;
    const other: KeyStore = {
      epoch: keyStore.epoch,
      get: (kind, name) => (kind === "tenant" ? seed("another tenant key") : keyStore.get(kind, name)),
      getOrCreate: (kind, name) => keyStore.getOrCreate(kind, name),
      state: (kind, name) => keyStore.state(kind, name),
      sync: async () => keyStore.sync(),
      retire: async (from, to) => keyStore.retire(from, to),
      destroy: async (names) => keyStore.destroy(names),
      rotateMasterKey: async (next) => keyStore.rotateMasterKey(next),
      close: async () => keyStore.close(),
    };
    const found = await findings({ keyStore: other });
    expect(found).toHaveLength(UNSIGNED / 10);
    expect(found[0]).toBe(`tag-mismatch ${TENANT_AT}`);
  });

  test("creates no key in the store that it is given", async () => {
    const keyStore = createMemoryKeyStore();
    keyStore.getOrCreate = () => {
      throw new Error("created a key");
    };
    expect((await check({ keyStore })).ok).toBe(false);
  });
});

describe("rows that the log decides by", () => {
  const session = async (index: number): Promise<string> => {
    const { session: chain } = decodeLeaf(await row(TABLE.leaf, indexKey(index)));
    return chainKey("session", chain?.tag ?? new Uint8Array());
  };

  test("names the last entry of a chain whose row is missing, behind, or ahead", async () => {
    const key = await session(0);
    const end = decodeChainEnd(await row(TABLE.chain, key));
    await put(TABLE.chain, key, null);
    expect(await findings()).toContain("chain-row-mismatch 0");
    await put(TABLE.chain, key, encodeChainEnd({ count: end.count - 1, last: end.last - 5 }));
    expect(await findings()).toEqual([`chain-row-mismatch ${end.last}`]);
    await put(TABLE.chain, key, encodeChainEnd({ count: end.count + 1, last: end.last }));
    expect(await findings()).toEqual([`chain-row-mismatch ${end.last}`]);
    await put(TABLE.chain, key, encodeChainEnd({ count: end.count, last: end.last - 5 }));
    expect(await findings()).toEqual([`chain-row-mismatch ${end.last}`, `chain-row-mismatch ${end.last - 5}`]);
  });

  test("names an entry that no id row names, and a row that names another's", async () => {
    const keyOf = (n: number): string => idKey(writerSender(writerStreamId("w")), login(n).id);
    const known = decodeKnownId(await row(TABLE.id, keyOf(5)));
    expect(known.index).toBe(5);
    await put(TABLE.id, keyOf(5), null);
    expect(await findings()).toEqual(["id-row-mismatch 5"]);
    await put(TABLE.id, keyOf(5), encodeKnownId({ ...known, index: 6 }));
    expect(await findings()).toEqual(["id-row-mismatch 6", "id-row-mismatch 5"]);
    await put(TABLE.id, keyOf(5), encodeKnownId({ ...known, index: size + 9 }));
    expect(await findings()).toEqual([`id-row-mismatch ${size + 9}`, "id-row-mismatch 5"]);
  });

  test("names the row of an id that lies where the log does not look, unless it is one of before", async () => {
    const key = idKey(writerSender(writerStreamId("w")), login(5).id);
    const value = await row(TABLE.id, key);
    await put(TABLE.id, key, null);
    await put(TABLE.id, formerIdKey(key), value);
    expect(await findings()).toEqual(["id-row-mismatch 5", "id-row-mismatch 5"]);
    await put(TABLE.formerIds, "log", null);
    expect(await findings()).toEqual([]);
  });

  test("names streams and batches whose rows are missing or say something else", async () => {
    const end = await row(TABLE.stream, stream);
    await put(TABLE.stream, stream, null);
    const [missing] = await findings();
    expect(missing).toMatch(/^stream-row-mismatch 56\d$/);
    await put(TABLE.stream, stream, encodeStreamEnd({ next: 9, lastIndex: 3 }));
    expect(await findings()).toEqual([missing]);
    await put(TABLE.stream, stream, end);

    const batch = await row(TABLE.batch, batchKey(stream, 1));
    await put(TABLE.batch, batchKey(stream, 1), encodePlacedBatch({ firstIndex: 3, count: 3 }));
    expect(await findings()).toEqual([expect.stringMatching(/^stream-row-mismatch 56\d$/)]);
    await put(TABLE.batch, batchKey(stream, 1), batch);
    await put(TABLE.batch, batchKey(stream, 90), batch);
    expect(await findings()).toEqual(["stream-row-mismatch"]);
  });

  test("names a pinned key that no entry tells of", async () => {
    await put(TABLE.pinned, "app", seed("another key"));
    expect(await findings()).toEqual(["pinned-row-mismatch"]);
    await put(TABLE.pinned, "app", null);
    expect(await findings()).toEqual(["pinned-row-mismatch"]);
  });

  test("reports rows that do not decode, and goes on", async () => {
    for (const table of [TABLE.id, TABLE.chain, TABLE.stream, TABLE.batch, TABLE.checkpoint, TABLE.edge, TABLE.own]) {
      for await (const { key } of site.storage.scanRows(table)) await put(table, key, encodeCbor([-3, "x"]));
    }
    const report = await check();
    expect(report.ok).toBe(false);
    expect(report.counts.opened).toBe(size);
  });
});

test("goes on behind a value that the storage cannot read, and names it", async () => {
  const damaged = async (place: string): Promise<string[]> => findings({ storage: withDamage(site.storage, place) });
  expect(await damaged(`${TABLE.leaf}/${indexKey(4)}`)).toEqual(["storage-corrupt 4"]);
  expect(await damaged(`${TABLE.sealed}/${indexKey(300)}`)).toEqual(["storage-corrupt 300"]);
  expect(await damaged(`${TABLE.stream}/${stream}`)).toEqual(["storage-corrupt"]);
  expect(await damaged(`${TABLE.edge}/0/0`)).toEqual(["storage-corrupt"]);
  expect(await damaged(`${TABLE.edge}/1/0`)).toEqual(["storage-corrupt"]);
});

/** A storage that cannot read one row, as one whose disk is damaged. */
function withDamage(storage: LogStorage, bad: string): LogStorage {
  const assert = (table: string, key: string): void => {
    if (`${table}/${key}` === bad)
      throw new StorageError("storage-corrupt", `row ${key} does not read`, { details: { table, key } });
  };
  return {
    ...bound(storage),
    getRow: async (table, key) => {
      assert(table, key);
      return storage.getRow(table, key);
    },
    getRows: async (table, keys) => {
      for (const key of keys) assert(table, key);
      return storage.getRows(table, keys);
    },
    scanRows: async function* (table, range) {
      for await (const row of storage.scanRows(table, range)) {
        assert(table, row.key);
        yield row;
      }
    },
  };
}

function bound(storage: LogStorage): LogStorage {
  return {
    readHead: async (name) => storage.readHead(name),
    commit: async (commit) => storage.commit(commit),
    getRow: async (table, key) => storage.getRow(table, key),
    getRows: async (table, keys) => storage.getRows(table, keys),
    scanRows: (table, range) => storage.scanRows(table, range),
    putRows: async (rows) => storage.putRows(rows),
    deleteRows: async (table, keys) => storage.deleteRows(table, keys),
    getBlob: async (key) => storage.getBlob(key),
    listBlobs: (prefix) => storage.listBlobs(prefix),
    deleteBlobs: async (keys) => storage.deleteBlobs(keys),
    findDamage: (options) => storage.findDamage(options),
    close: async () => storage.close(),
  };
}
