import { beforeAll, describe, expect, test } from "vitest";
import {
  type Hash,
  decodeEntryBundle,
  decodeTile,
  encodeHex,
  hashLeaf,
  parsePolicy,
  parseTlogProof,
  tilePath,
  tilesForSize,
  treeHash,
  verifyConsistency,
  verifyInclusion,
  verifyTlogProof,
} from "@tallystick/core";
import { createMemoryKeyStore, createMemoryStorage } from "@tallystick/storage";
import { type Log, type LogOptions, openLog } from "../src/index.ts";
import { ORIGIN, START_MS, createSite, login, logKeys, published, until } from "./site.ts";
import { referenceTile } from "./tree-tiles.ts";

/** Sizes of which heads are published, one after the other. */
const HEADS = [1, 2, 255, 256, 257, 300, 512, 600];
const SIZE = 600;
const keys = logKeys();

let log: Log;
let policyText: string;
const leafHashes: Hash[] = [];

beforeAll(async () => {
  policyText = `log ${keys.signers[0]?.vkey ?? ""}\nquorum none\n`;
  const options: LogOptions = {
    origin: ORIGIN,
    storage: createMemoryStorage(),
    keyStore: createMemoryKeyStore(),
    keys,
    policyText,
    witnesses: [],
    publishIntervalMs: 2,
    now: () => START_MS,
  };
  log = await openLog(options);
  await until(() => log.checkpoint() !== undefined);
  let n = 0;
  for (const size of HEADS) {
    const events = Array.from({ length: size - n }, (_, at) => login(n + at));
    for (const { leafHash } of await log.appendEvents({ writer: "app", events })) leafHashes.push(leafHash);
    n = size;
    await published(log);
  }
  return async () => log.close();
});

describe("tiles", () => {
  test("C-99 C-101 those of every published size are there, with the hashes of the definition", async () => {
    for (const size of HEADS) {
      for (const tile of tilesForSize(size)) {
        const bytes = await log.readTile(tile);
        const wanted = encodeHex(referenceTile(tile, leafHashes));
        expect([tilePath(tile), encodeHex(bytes ?? new Uint8Array())]).toEqual([tilePath(tile), wanted]);
      }
    }
  });

  test("C-95 C-102 no other one is", async () => {
    const served = new Set([0, ...HEADS].flatMap((size) => tilesForSize(size).map(tilePath)));
    for (const level of [0, 1, 2, 3]) {
      for (const index of [0, 1, 2, 3]) {
        for (let width = 1; width <= 256; width += 1) {
          const tile = { level, index, width };
          const isServed = (await log.readTile(tile)) !== undefined;
          expect([tilePath(tile), isServed]).toEqual([tilePath(tile), served.has(tilePath(tile))]);
        }
      }
    }
    for (const tile of [
      { level: 0, index: 0, width: 0 },
      { level: 0, index: 0, width: 257 },
      { level: 63, index: 0, width: 1 },
      { level: 0, index: 2n ** 60n, width: 256 },
      { level: 0, index: Number.MAX_SAFE_INTEGER, width: 256 },
    ]) {
      expect(await log.readTile(tile)).toBeUndefined();
    }
  });

  test("C-105 C-108 bundles hold the entries whose hashes the tiles have", async () => {
    for (const size of HEADS) {
      for (const { level, index, width } of tilesForSize(size)) {
        if (level > 0) continue;
        const [bundle, tile] = [
          await log.readBundle({ index: Number(index), width }),
          await log.readTile({ level: 0, index, width }),
        ];
        const entries = decodeEntryBundle(bundle ?? new Uint8Array(), width);
        expect(entries.map(hashLeaf)).toEqual(decodeTile(tile ?? new Uint8Array(), width));
      }
    }
    expect(await log.readBundle({ index: 0, width: 3 })).toBeUndefined();
    expect(await log.readBundle({ index: 9, width: 256 })).toBeUndefined();
  });

  test("C-102 nothing beyond the published head is served, though it is stored", async () => {
    const site = await createSite({ witnesses: 1 });
    const unpublished = await site.open();
    await until(() => unpublished.status().state === "ok" && unpublished.checkpoint() !== undefined);
    site.network.hosts.clear();
    await unpublished.appendEvents({ writer: "app", events: Array.from({ length: 300 }, (_, n) => login(n)) });
    expect(await unpublished.readTile({ level: 0, index: 0, width: 256 })).toBeUndefined();
    expect(await unpublished.readBundle({ index: 0, width: 256 })).toBeUndefined();
    await expect(unpublished.inclusionProof({ index: 0, size: 300 })).rejects.toMatchObject({ code: "size-unknown" });
    await expect(unpublished.consistencyProof({ from: 0, to: 300 })).rejects.toMatchObject({ code: "size-unknown" });
    await expect(unpublished.receipt(0)).rejects.toMatchObject({ code: "receipt-not-ready" });
    expect(await unpublished.readLeaf(299)).toBeDefined();
  });
});

describe("proofs and receipts", () => {
  test("lead from every entry to the root of every size", async () => {
    for (const size of HEADS) {
      const rootHash = treeHash(leafHashes.slice(0, size));
      for (let index = 0; index < size; index += index < 300 && size < 300 ? 1 : 7) {
        const { hashes } = await log.inclusionProof({ index, size });
        verifyInclusion({ index, size, leafHash: leafHashes[index] ?? new Uint8Array(), rootHash, proof: hashes });
      }
      for (const from of [0, 1, 2, 200, 256, size]) {
        if (from > size) continue;
        const proof = await log.consistencyProof({ from, to: size });
        const fromRootHash = treeHash(leafHashes.slice(0, from));
        verifyConsistency({ from, to: size, fromRootHash, toRootHash: rootHash, proof: [...proof] });
      }
    }
  });

  test("a receipt verifies offline, and carries the entry", async () => {
    for (const index of [0, 1, 255, 256, 511, 512, 599]) {
      const proof = parseTlogProof(await log.receipt(index));
      expect(hashLeaf(proof.extra ?? new Uint8Array())).toEqual(leafHashes[index]);
      const leafHash = leafHashes[index] ?? new Uint8Array();
      expect(verifyTlogProof({ proof, leafHash, policy: parsePolicy(policyText) }).index).toBe(BigInt(index));
    }
  });

  test("what is asked for beyond the log is refused by its name", async () => {
    await expect(log.readLeaf(SIZE)).rejects.toMatchObject({ code: "index-unknown", details: { index: SIZE } });
    await expect(log.receipt(-1)).rejects.toMatchObject({ code: "index-unknown" });
    await expect(log.readEvent({ index: 1.5, reader: "a" })).rejects.toMatchObject({ code: "index-unknown" });
    await expect(log.inclusionProof({ index: 5, size: 5 })).rejects.toMatchObject({ code: "index-unknown" });
    await expect(log.inclusionProof({ index: 0, size: SIZE + 1 })).rejects.toMatchObject({ code: "size-unknown" });
    await expect(log.consistencyProof({ from: 9, to: 8 })).rejects.toMatchObject({ code: "size-unknown" });
    await expect(log.waitFor({ index: SIZE, state: "durable", timeoutMs: 1 })).rejects.toMatchObject({
      code: "index-unknown",
    });
  });

  test("published heads are listed from the newest, a page at a time", async () => {
    const sizes = async (input: Parameters<Log["checkpoints"]>[0]) =>
      (await log.checkpoints(input)).map(({ size }) => size);
    expect(await sizes({})).toEqual([...HEADS].reverse().concat(0));
    expect(await sizes({ limit: 2 })).toEqual([600, 512]);
    expect(await sizes({ limit: 2, before: 512 })).toEqual([300, 257]);
    const [newest] = await log.checkpoints({ limit: 1 });
    expect(newest).toMatchObject({ note: log.checkpoint(), publishedAt: START_MS });
  });

  test("a page of heads ends where it would grow large, and the next one goes on from there", async () => {
    const site = await createSite({ witnesses: 4, quorum: 4 });
    const crowded = await site.open();
    await until(() => crowded.status().state === "ok");
    for (let n = 0; n < 25; n += 1) {
      await crowded.appendEvents({ writer: "app", events: [login(n)] });
      await published(crowded);
    }
    const pages: number[][] = [];
    for (let before: number | undefined; before !== 0; before = pages.at(-1)?.at(-1)) {
      const page = await crowded.checkpoints({ limit: 1000, ...(before === undefined ? {} : { before }) });
      expect(page.reduce((bytes, { note }) => bytes + note.length, 0)).toBeLessThanOrEqual(262_144);
      pages.push(page.map(({ size }) => size));
    }
    expect(pages.length).toBeGreaterThan(1);
    expect(new Set(pages.flat()).size).toBe(pages.flat().length);
    expect(pages.flat().length).toBeGreaterThan(25);
  });
});
