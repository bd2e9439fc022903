/** Tiles as they are read back: the same nodes, roots and proofs as by the definition, whatever is remembered. */
import { describe, expect, test } from "vitest";
import {
  type Hash,
  concatBytes,
  encodeHex,
  hashLeaf,
  planConsistency,
  planInclusion,
  tilesForSize,
  treeHash,
  u32,
  verifyConsistency,
  verifyInclusion,
} from "@tallystick/core";
import { type LogStorage, createMemoryStorage } from "@tallystick/storage";
import { edgeOf, edgeRows } from "../src/edge.ts";
import { StoredTiles } from "../src/tiles.ts";
import { type Tree, emptyTree, integrate, tileKey } from "../src/tree.ts";
import { referenceTile } from "./tree-tiles.ts";

const leafHashes: readonly Hash[] = Array.from({ length: 66_000 }, (_, n) => hashLeaf(u32(n)));

/** A storage that a tree grows in, as a log commits it; it counts what is read. */
class GrowingTree {
  readonly storage: LogStorage = createMemoryStorage();
  readonly reads: string[] = [];
  #tree: Tree = emptyTree();
  #version = 0;

  static async of(size: number): Promise<GrowingTree> {
    const growing = new GrowingTree();
    await growing.growTo(size);
    return growing;
  }

  /** The storage, as whoever counts sees it. */
  get counted(): LogStorage {
    const { storage, reads } = this;
    return new Proxy(storage, {
      get(target, name) {
        if (name === "getBlob")
          return async (key: string) => {
            reads.push(key);
            return target.getBlob(key);
          };
        if (name === "getRows")
          return async (table: string, keys: readonly string[]) => {
            reads.push(`${table}/${keys[0]}`);
            return target.getRows(table, keys);
          };
        const value: unknown = Reflect.get(target, name);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
  }

  get size(): number {
    return this.#tree.range.size;
  }

  async growTo(size: number): Promise<void> {
    if (size === this.size) return;
    const { tree, tiles, changed } = integrate(this.#tree, concatBytes(...leafHashes.slice(this.size, size)));
    await this.storage.commit({
      head: { name: "integrated", expected: this.#version, bytes: u32(size) },
      blobs: tiles.map(({ level, index, bytes }) => ({ key: tileKey(level, index), bytes })),
      rows: changed.flatMap((level) => edgeRows(level, edgeOf(tree, level), edgeOf(this.#tree, level))),
    });
    this.#tree = tree;
    this.#version += 1;
  }
}

const roots = new Map<number, Hash>();

function rootOf(size: number): Hash {
  const root = roots.get(size) ?? treeHash(leafHashes.slice(0, size));
  roots.set(size, root);
  return root;
}

async function assertInclusion(tiles: StoredTiles, index: number, size: number): Promise<void> {
  const proof = await tiles.proveInclusion({ index, size });
  expect(proof).toEqual(await tiles.prove(planInclusion({ index, size }), size));
  verifyInclusion({ index, size, leafHash: leafHashes[index] ?? new Uint8Array(), rootHash: rootOf(size), proof });
}

async function assertConsistency(tiles: StoredTiles, from: number, to: number): Promise<void> {
  const proof = await tiles.prove(planConsistency({ from, to }), to);
  verifyConsistency({ from, to, fromRootHash: rootOf(from), toRootHash: rootOf(to), proof });
}

describe("StoredTiles", () => {
  test("gives the root of every size up to 300, and the proof of every leaf and of every older size", async () => {
    const growing = new GrowingTree();
    const tiles = new StoredTiles(growing.storage);
    for (let size = 1; size <= 300; size += 1) {
      await growing.growTo(size);
      expect(encodeHex(await tiles.rootAt(size))).toBe(encodeHex(rootOf(size)));
      const step = size <= 130 ? 1 : 37;
      for (let index = 0; index < size; index += step) await assertInclusion(tiles, index, size);
      for (let from = 0; from <= size; from += step) await assertConsistency(tiles, from, size);
    }
    // What it remembers by now is of the largest size; the older ones are still what they were.
    for (let size = 1; size <= 300; size += 7) {
      expect(encodeHex(await tiles.rootAt(size))).toBe(encodeHex(rootOf(size)));
      await assertInclusion(tiles, size - 1, size);
    }
  });

  test("gives roots, proofs and tiles around a tile of the second level", async () => {
    const growing = new GrowingTree();
    const tiles = new StoredTiles(growing.storage, { tilesMax: 4 });
    for (const size of [65_279, 65_280, 65_535, 65_536, 65_537, 66_000]) {
      await growing.growTo(size);
      expect(encodeHex(await tiles.rootAt(size))).toBe(encodeHex(rootOf(size)));
      for (const index of [0, 255, 256, 32_767, 32_768, 65_278, size - 1]) await assertInclusion(tiles, index, size);
      for (const from of [1, 256, 32_768, 65_000, size - 1]) await assertConsistency(tiles, from, size);
      for (const tile of tilesForSize(size).filter(({ level, index }) => level > 0 || Number(index) % 63 === 0)) {
        expect(encodeHex(await tiles.read(tile))).toBe(encodeHex(referenceTile(tile, leafHashes)));
      }
    }
  });

  test("gives every node of a tile, and none that is not complete in the tree", async () => {
    const tiles = new StoredTiles((await GrowingTree.of(700)).storage);
    for (let level = 0; level <= 10; level += 1) {
      const span = 2 ** level;
      for (let index = 0; (index + 1) * span <= 700; index += 1) {
        const wanted = treeHash(leafHashes.slice(index * span, (index + 1) * span));
        expect(encodeHex(await tiles.node({ level, index }, 700))).toBe(encodeHex(wanted));
      }
      await expect(tiles.node({ level, index: Math.floor(700 / span) }, 700)).rejects.toThrow(RangeError);
    }
  });

  test("proofs that are asked for at once read each tile once, and later ones read nothing", async () => {
    const growing = await GrowingTree.of(600);
    const tiles = new StoredTiles(growing.counted);
    const all = Array.from({ length: 600 }, async (_, index) => assertInclusion(tiles, index, 600));
    await Promise.all(all);
    const once = ["edge/0", "edge/1", tileKey(0, 0), tileKey(0, 1)];
    expect(growing.reads.toSorted()).toEqual(once.toSorted());
    for (let index = 0; index < 600; index += 1) await assertInclusion(tiles, index, 600);
    expect(growing.reads.length).toBe(once.length);
  });

  test("a tile that has grown since it was read is read again, by those too who asked while it was being read", async () => {
    const growing = await GrowingTree.of(100);
    const tiles = new StoredTiles(growing.counted);
    const early = tiles.rootAt(100);
    await growing.growTo(200);
    // The early read is still under way, and what it reads may have 100 hashes or 200.
    const late = tiles.rootAt(200);
    expect(encodeHex(await early)).toBe(encodeHex(rootOf(100)));
    expect(encodeHex(await late)).toBe(encodeHex(rootOf(200)));
    await growing.growTo(256);
    expect(encodeHex(await tiles.rootAt(256))).toBe(encodeHex(rootOf(256)));
    await growing.growTo(600);
    const asked = [100, 200, 256, 300, 600].map(async (size) => encodeHex(await tiles.rootAt(size)));
    expect(await Promise.all(asked)).toEqual([100, 200, 256, 300, 600].map((size) => encodeHex(rootOf(size))));
  });

  test("a tree that grows while it is asked gives the proofs of each size", async () => {
    const growing = await GrowingTree.of(1);
    const tiles = new StoredTiles(growing.storage, { tilesMax: 2 });
    const asked: Promise<void>[] = [];
    for (let size = 1; size <= 1100; size += 13) {
      await growing.growTo(size);
      for (const index of [0, Math.floor(size / 2), size - 1]) asked.push(assertInclusion(tiles, index, size));
      asked.push(assertConsistency(tiles, Math.ceil(size / 3), size));
    }
    await expect(Promise.all(asked)).resolves.toHaveLength(asked.length);
  });

  test("no more tiles are remembered than its bound says", async () => {
    const growing = await GrowingTree.of(20 * 256);
    const tiles = new StoredTiles(growing.counted, { tilesMax: 4 });
    const readAll = async (): Promise<number> => {
      const before = growing.reads.length;
      for (let index = 0; index < 20; index += 1) await tiles.read({ level: 0, index, width: 256 });
      return growing.reads.length - before;
    };
    expect(await readAll()).toBe(20);
    expect(await readAll()).toBe(20);
    await tiles.read({ level: 0, index: 19, width: 256 });
    expect(growing.reads.length).toBe(40);
  });

  test("more reads at once than it remembers tiles all get theirs", async () => {
    const growing = await GrowingTree.of(40 * 256);
    const tiles = new StoredTiles(growing.storage, { tilesMax: 2 });
    const all = Array.from({ length: 40 }, async (_, index) => tiles.read({ level: 0, index, width: 256 }));
    for (const [index, bytes] of (await Promise.all(all)).entries())
      expect(encodeHex(bytes)).toBe(encodeHex(referenceTile({ level: 0, index, width: 256 }, leafHashes)));
  });

  test("refuses a tile that is missing, cut, or shorter at the edge than the tree says, and forgets the refusal", async () => {
    const growing = await GrowingTree.of(600);
    const { storage } = growing;
    const tiles = new StoredTiles(storage);
    const full = { level: 0, index: 1, width: 256 };
    const whole = await storage.getBlob(tileKey(0, 1));
    await storage.deleteBlobs([tileKey(0, 1)]);
    const refusals = Array.from({ length: 3 }, async () => tiles.read(full));
    for (const refusal of await Promise.allSettled(refusals))
      expect(refusal).toMatchObject({
        status: "rejected",
        reason: { code: "log-corrupt", details: { tile: "tile/0/001" } },
      });
    const write = async (bytes: Uint8Array, expected: number): Promise<void> =>
      storage.commit({
        head: { name: "signed", expected, bytes: u32(0) },
        blobs: [{ key: tileKey(0, 1), bytes }],
      });
    await write(new Uint8Array(31), 0);
    await expect(tiles.read(full)).rejects.toMatchObject({ code: "log-corrupt" });
    await storage.deleteBlobs([tileKey(0, 1)]);
    await write(whole ?? new Uint8Array(), 1);
    expect(await tiles.read(full)).toEqual(whole);

    const partial = { level: 0, index: 2, width: 88 };
    const hashes = await tiles.read(partial);
    const fresh = new StoredTiles(storage);
    await storage.putRows(edgeRows(0, { index: 2, hashes: hashes.subarray(0, 32 * 87) }));
    await expect(fresh.read(partial)).rejects.toMatchObject({ code: "log-corrupt" });
    await expect(fresh.node({ level: 0, index: 599 }, 600)).rejects.toMatchObject({ code: "log-corrupt" });
    for (const index of [0, 511, 512, 599])
      await expect(fresh.proveInclusion({ index, size: 600 })).rejects.toMatchObject({ code: "log-corrupt" });
    await assertInclusion(fresh, 598, 599);
    await storage.putRows(edgeRows(0, { index: 2, hashes }));
    expect(await fresh.read(partial)).toEqual(hashes);
  });

  test("what cannot be read fails for all who wait for it, and is asked for again afterwards", async () => {
    const { storage } = await GrowingTree.of(600);
    let isBroken = true;
    const breaking = new Proxy(storage, {
      get(target, name) {
        const value: unknown = Reflect.get(target, name);
        if (name === "getBlob" && isBroken) return async () => Promise.reject(new Error("the disk does not answer"));
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
    const tiles = new StoredTiles(breaking);
    const asked = await Promise.allSettled([1, 2, 3].map(async (index) => assertInclusion(tiles, index, 600)));
    expect(asked.map(({ status }) => status)).toEqual(["rejected", "rejected", "rejected"]);
    isBroken = false;
    await assertInclusion(tiles, 1, 600);
  });
});
