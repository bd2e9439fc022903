import { describe, expect, test } from "vitest";
import { type Hash, encodeHex, hashLeaf, tilesForSize, treeHash, u32 } from "@tallystick/core";
import { TreeTiles, referenceTile } from "./tree-tiles.ts";

const leafHashes: readonly Hash[] = Array.from({ length: 66_000 }, (_, n) => hashLeaf(u32(n)));
const SIZES = [0, 1, 2, 255, 256, 257, 511, 512, 513, 600];

describe("integrate", () => {
  test.each(SIZES)("gives the root and the tiles of %i leaves, however they come", (size) => {
    for (const step of [1, 3, 255, 256, 257, 600]) {
      const tiles = new TreeTiles();
      for (let from = 0; from < size; from += step) tiles.append(leafHashes.slice(from, Math.min(size, from + step)));
      expect(encodeHex(tiles.tree.range.rootHash())).toBe(encodeHex(treeHash(leafHashes.slice(0, size))));
      for (const tile of tilesForSize(size)) {
        expect(encodeHex(tiles.read(tile))).toBe(encodeHex(referenceTile(tile, leafHashes)));
      }
    }
  });

  test("C-100 a partial tile is not hashed into the level above", () => {
    const tiles = new TreeTiles();
    tiles.append(leafHashes.slice(0, 511));
    expect(tiles.tree.edge[1]?.length).toBe(32);
    tiles.append(leafHashes.slice(511, 512));
    expect(tiles.tree.edge[1]?.length).toBe(64);
  });

  test("C-99 at 65,535, 65,536 and 65,537 leaves the tiles are those of the formula", () => {
    const tiles = new TreeTiles();
    let from = 0;
    for (const size of [65_535, 65_536, 65_537]) {
      tiles.append(leafHashes.slice(from, size));
      from = size;
      for (const tile of tilesForSize(size)) {
        if (tile.level === 0 && Number(tile.index) % 64 !== 0) continue;
        expect(encodeHex(tiles.read(tile))).toBe(encodeHex(referenceTile(tile, leafHashes)));
      }
    }
  });

  test("leaves the tree that it extends as it was", () => {
    const tiles = new TreeTiles();
    tiles.append(leafHashes.slice(0, 300));
    const before = tiles.tree;
    const root = before.range.rootHash();
    const edge = before.edge[0]?.slice();
    tiles.append(leafHashes.slice(300, 700));
    expect(before.range.rootHash()).toEqual(root);
    expect(before.edge[0]).toEqual(edge);
  });
});
