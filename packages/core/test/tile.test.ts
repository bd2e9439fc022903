import { createHash } from "node:crypto";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type Hash,
  type NodeId,
  TILE_WIDTH,
  type TileId,
  bundleOfEntry,
  decodeBase64,
  decodeTile,
  decodeUtf8,
  encodeEntryBundle,
  encodeHex,
  encodeTile,
  entriesPath,
  equalBytes,
  hashLeaf,
  nodeFromTile,
  parseEntriesPath,
  parseTilePath,
  proveConsistency,
  proveInclusion,
  tileOfNode,
  tilePath,
  tilesForSize,
  utf8,
  verifyConsistency,
  verifyInclusion,
} from "../src/index.ts";
import { errorCode } from "../../../test/support/errors.ts";
import { describeWithVectors, readVectorBytes, readVectorJson, readVectorText } from "../../../test/support/vectors.ts";
import { MemoryTree, someEntries } from "./memory-tree.ts";
import { ReferenceTree } from "./reference-tree.ts";

describe("tilePath and entriesPath", () => {
  test.each([
    [0, "000"],
    [255, "255"],
    [999, "999"],
    [1000, "x001/000"],
    [999_999, "x999/999"],
    [1_000_000, "x001/x000/000"],
    [1_234_067, "x001/x234/067"],
  ])("C-90 %i is written %s", (index, path) => {
    expect(tilePath({ level: 0, index, width: 256 })).toBe(`tile/0/${path}`);
    expect(tilePath({ level: 63, index, width: 1 })).toBe(`tile/63/${path}.p/1`);
    expect(entriesPath({ index, width: 256 })).toBe(`tile/entries/${path}`);
    expect(parseEntriesPath(`tile/entries/${path}.p/255`)).toEqual({ index, width: 255 });
  });

  test("C-92 indexes beyond 2^53 keep every digit", () => {
    for (const index of [2n ** 53n + 1n, 2n ** 55n + 3n, 2n ** 63n - 1n]) {
      expect(parseTilePath(tilePath({ level: 1, index, width: 7 }))).toEqual({ level: 1, index, width: 7 });
    }
    expect(entriesPath({ index: 2n ** 55n, width: 256 })).toBe("tile/entries/x036/x028/x797/x018/x963/968");
  });

  test.each([
    { level: -1, index: 0, width: 256 },
    { level: 64, index: 0, width: 256 },
    { level: 0.5, index: 0, width: 256 },
    { level: 0, index: -1, width: 256 },
    { level: 0, index: 2 ** 53, width: 256 },
    { level: 0, index: 2n ** 63n, width: 256 },
    { level: 0, index: 0, width: 0 },
    { level: 0, index: 0, width: 257 },
    { level: 0, index: 0, width: 1.5 },
  ])("refuse to write level $level, index $index, width $width", (tile) => {
    expect(errorCode(() => tilePath(tile))).toBe("RangeError");
  });
});

describe("parseTilePath", () => {
  test.each(["00", "01", "64", "-1", "+1", "1e1", "", "100", "٣", "0x1", "entries", "data"])(
    "C-89 refuses the level %j",
    (level) => {
      expect(errorCode(() => parseTilePath(`tile/${level}/000`))).toBe("tile-malformed");
    },
  );

  test("C-89 takes the levels 0 to 63", () => {
    for (let level = 0; level < 64; level += 1) {
      expect(parseTilePath(`tile/${level}/000`)).toEqual({ level, index: 0, width: 256 });
    }
  });

  test.each([
    "0",
    "00",
    "1000",
    "x000/001",
    "x000/x001/000",
    "001/000",
    "x001/x000",
    "X001/000",
    "x01/000",
    "x001//000",
    "/000",
    "x001/",
    "",
    "000/",
    "000\n",
    " 000",
    "0a0",
    "%30%30%30",
    "../000",
  ])("C-91 refuses the index %j", (index) => {
    expect(errorCode(() => parseTilePath(`tile/0/${index}`))).toBe("tile-malformed");
    expect(errorCode(() => parseEntriesPath(`tile/entries/${index}`))).toBe("bundle-malformed");
  });

  test.each([
    "x009/x223/x372/x036/x854/x775/808",
    "x999/x999/x999/x999/x999/x999/999",
    "x001/x000/x000/x000/x000/x000/x000/000",
  ])("C-92 refuses the index %s: above 2^63 - 1", (index) => {
    expect(errorCode(() => parseTilePath(`tile/0/${index}`))).toBe("tile-malformed");
  });

  test.each(["0", "256", "01", "", "-1", "1/", "999", "1.p/1", "+1", "1e1", " 1"])(
    "C-93 refuses the width %j",
    (width) => {
      expect(errorCode(() => parseTilePath(`tile/0/000.p/${width}`))).toBe("tile-malformed");
      expect(errorCode(() => parseEntriesPath(`tile/entries/000.p/${width}`))).toBe("bundle-malformed");
    },
  );

  test("C-93 takes the widths 1 to 255", () => {
    for (let width = 1; width < 256; width += 1) {
      expect(parseTilePath(`tile/0/000.p/${width}`)).toEqual({ level: 0, index: 0, width });
    }
  });

  test.each([
    "tile/-1/000",
    "tile/data/000",
    "tile/entries/000",
    "/tile/0/000",
    "tile/0",
    "TILE/0/000",
    "tile/0/000?x",
    "",
  ])("C-104 %j is no tile", (path) => {
    expect(errorCode(() => parseTilePath(path))).toBe("tile-malformed");
  });

  test.each(["tile/-1/000", "tile/data/000", "tile/0/000", "/tile/entries/000", "tile/entries", "tile/entries/", ""])(
    "C-104 %j is no entry bundle",
    (path) => {
      expect(errorCode(() => parseEntriesPath(path))).toBe("bundle-malformed");
    },
  );

  test("takes what tilePath writes and nothing else", () => {
    const index = fc.oneof(fc.nat(2000), fc.maxSafeNat(), fc.bigInt({ min: 2n ** 53n, max: 2n ** 63n - 1n }));
    const tile = fc.record({ level: fc.nat(63), index, width: fc.integer({ min: 1, max: 256 }) });
    fc.assert(
      fc.property(tile, fc.nat(40), fc.constantFrom("", "0", "x", "/", ".", "p", "9"), (tile, at, insert) => {
        const path = tilePath(tile);
        expect(parseTilePath(path)).toEqual(tile);
        expect(parseEntriesPath(entriesPath(tile))).toEqual({ index: tile.index, width: tile.width });
        const mangled = path.slice(0, at) + insert + path.slice(at + 1);
        const code = errorCode(() => expect(tilePath(parseTilePath(mangled))).toBe(mangled));
        expect([undefined, "tile-malformed"]).toContain(code);
      }),
      { numRuns: 1000 },
    );
  });
});

describe("tilesForSize", () => {
  const paths = (size: number): string[] => tilesForSize(size).map(tilePath);

  test("C-96 of 70,000: 273 full tiles and a partial one, one full and a partial one, a partial one", () => {
    const tiles = tilesForSize(70_000);
    expect(tiles.filter(({ width }) => width === 256).map(({ level }) => level)).toEqual([
      ...Array<number>(273).fill(0),
      1,
    ]);
    expect(tiles.filter(({ width }) => width < 256).map(tilePath)).toEqual([
      "tile/0/273.p/112",
      "tile/1/001.p/17",
      "tile/2/000.p/1",
    ]);
  });

  test("C-97 of 256: a full tile, and one hash above", () => {
    expect(paths(256)).toEqual(["tile/0/000", "tile/1/000.p/1"]);
  });

  test("C-98 of 0: none", () => {
    expect(paths(0)).toEqual([]);
  });

  test.each([1, 255, 256, 257, 511, 512, 65_535, 65_536, 65_537, 2 ** 24])(
    "C-99 of %i: as the formula says",
    (size) => {
      const expected: string[] = [];
      for (let level = 0; level < 8; level += 1) {
        const hashes = Math.floor(size / 256 ** level);
        for (let index = 0; index < Math.floor(hashes / 256); index += 1)
          expected.push(tilePath({ level, index, width: 256 }));
        if (hashes % 256 > 0) expected.push(tilePath({ level, index: Math.floor(hashes / 256), width: hashes % 256 }));
      }
      expect(paths(size)).toEqual(expected);
    },
  );

  test("C-100 a partial tile is not hashed into the level above", () => {
    expect(paths(255)).toEqual(["tile/0/000.p/255"]);
    expect(paths(511)).toEqual(["tile/0/000", "tile/0/001.p/255", "tile/1/000.p/1"]);
  });

  test("C-101 names the partial tiles of every size, each of which a tree of that size can fill", () => {
    const tree = MemoryTree.of(someEntries(600));
    for (let size = 1; size <= 600; size += 1) {
      const last = tilesForSize(size)
        .filter(({ level }) => level === 0)
        .at(-1);
      expect(Number(last?.index) * 256 + Number(last?.width)).toBe(size);
      for (const tile of tilesForSize(size)) expect(tree.tile(tile)).toHaveLength(tile.width * 32);
    }
  });

  test("refuses what is no size", () => {
    expect(errorCode(() => tilesForSize(-1))).toBe("RangeError");
    expect(errorCode(() => tilesForSize(2 ** 53))).toBe("RangeError");
  });
});

describe("encodeTile and decodeTile", () => {
  const hashes = someEntries(256).map(hashLeaf);

  test("C-94 a full tile has 8192 bytes, a partial one 32 for each hash", () => {
    expect(encodeTile(hashes)).toHaveLength(8192);
    for (let width = 1; width <= 256; width += 1) {
      const bytes = encodeTile(hashes.slice(0, width));
      expect(bytes).toHaveLength(32 * width);
      expect(decodeTile(bytes, width)).toEqual(hashes.slice(0, width));
    }
  });

  test("C-95 neither a partial tile for a full one, nor more or fewer hashes than the path says", () => {
    const full = encodeTile(hashes);
    expect(errorCode(() => decodeTile(full.subarray(32), 256))).toBe("tile-malformed");
    expect(errorCode(() => decodeTile(full, 255))).toBe("tile-malformed");
    expect(errorCode(() => decodeTile(full.subarray(1), 256))).toBe("tile-malformed");
    expect(errorCode(() => decodeTile(new Uint8Array(), 1))).toBe("tile-malformed");
    expect(() => decodeTile(new Uint8Array(33), 1)).toThrow("tile of width 1: expected 32 bytes, got 33");
  });

  test("refuse a width that no tile has, and what is not a hash", () => {
    expect(errorCode(() => encodeTile([]))).toBe("RangeError");
    expect(errorCode(() => encodeTile([...hashes, ...hashes]))).toBe("RangeError");
    expect(errorCode(() => encodeTile([new Uint8Array(31)]))).toBe("TypeError");
    expect(errorCode(() => decodeTile(new Uint8Array(), 0))).toBe("RangeError");
    expect(errorCode(() => decodeTile(new Uint8Array(32 * 257), 257))).toBe("RangeError");
  });
});

describe("tileOfNode", () => {
  test("finds the tile, its width at the size, and the hashes that give the node", () => {
    expect(tileOfNode({ node: { level: 0, index: 300 }, size: 301 })).toEqual({
      tile: { level: 0, index: 1, width: 45 },
      first: 44,
      count: 1,
    });
    expect(tileOfNode({ node: { level: 10, index: 64 }, size: 70_000 })).toEqual({
      tile: { level: 1, index: 1, width: 17 },
      first: 0,
      count: 4,
    });
    expect(tileOfNode({ node: { level: 8, index: 0 }, size: 256n })).toEqual({
      tile: { level: 1, index: 0, width: 1 },
      first: 0,
      count: 1,
    });
  });

  test("C-102 refuses a node that is not complete at the size", () => {
    for (const [level, index, size] of [
      [0, 5, 5],
      [0, 0, 0],
      [3, 0, 7],
      [8, 1, 511],
      [-1, 0, 1],
      [0.5, 0, 1],
      [63, 0, 2n ** 63n - 1n],
      [1e9, 0, 1],
    ] as const) {
      expect(errorCode(() => tileOfNode({ node: { level, index }, size }))).toBe("RangeError");
    }
  });

  test("names only tiles that exist at the size, and gives every node its hash", () => {
    const tree = MemoryTree.of(someEntries(600));
    for (const size of [1, 2, 255, 256, 257, 511, 512, 513, 600]) {
      const existing = new Set(tilesForSize(size).map(tilePath));
      for (let level = 0; 2 ** level <= size; level += 1) {
        for (let index = 0; (index + 1) * 2 ** level <= size; index += 1) {
          const { tile, ...slice } = tileOfNode({ node: { level, index }, size });
          expect(existing).toContain(tilePath(tile));
          const bytes = tree.tile(tile);
          expect(equalBytes(nodeFromTile(bytes, slice), tree.getNode({ level, index }))).toBe(true);
          expect(equalBytes(nodeFromTile(decodeTile(bytes, tile.width), slice), tree.getNode({ level, index }))).toBe(
            true,
          );
        }
      }
    }
  });

  test("bundleOfEntry finds an entry's bundle, as wide as it is at the size", () => {
    expect(bundleOfEntry({ index: 300, size: 301 })).toEqual({ bundle: { index: 1, width: 45 }, offset: 44 });
    expect(bundleOfEntry({ index: 0, size: 1000 })).toEqual({ bundle: { index: 0, width: 256 }, offset: 0 });
    expect(errorCode(() => bundleOfEntry({ index: 7, size: 7 }))).toBe("RangeError");
  });
});

describe("nodeFromTile", () => {
  test("refuses a tile that is not as wide as the node needs", () => {
    const tile = encodeTile(someEntries(4).map(hashLeaf));
    expect(errorCode(() => nodeFromTile(tile, { first: 4, count: 1 }))).toBe("tile-malformed");
    expect(errorCode(() => nodeFromTile(tile, { first: 0, count: 8 }))).toBe("tile-malformed");
    expect(errorCode(() => nodeFromTile(tile.subarray(1), { first: 2, count: 2 }))).toBe("tile-malformed");
    expect(errorCode(() => nodeFromTile(decodeTile(tile, 4), { first: 2, count: 4 }))).toBe("tile-malformed");
    expect(errorCode(() => nodeFromTile(new Uint8Array(), { first: 0, count: 1 }))).toBe("tile-malformed");
  });
});

/** Reads nodes out of tiles, every tile once: what a client does, with `fetchTile` for its requests. */
function tileReader(size: number | bigint, fetchTile: (tile: TileId) => Uint8Array): (node: NodeId) => Hash {
  const fetched = new Map<string, Uint8Array>();
  return (node) => {
    const { tile, ...slice } = tileOfNode({ node, size });
    const path = tilePath(tile);
    const bytes = fetched.get(path) ?? fetchTile(tile);
    fetched.set(path, bytes);
    return nodeFromTile(bytes, slice);
  };
}

/** Asks for every node once. */
function known(getNode: (node: NodeId) => Hash): (node: NodeId) => Hash {
  const hashes = new Map<string, Hash>();
  return (node) => {
    const key = `${node.level}/${node.index}`;
    const hash = hashes.get(key) ?? getNode(node);
    hashes.set(key, hash);
    return hash;
  };
}

describe("C-254 proofs out of tiles equal those of RFC 6962", () => {
  test("for every index of every size to 600", () => {
    const entries = someEntries(600);
    const reference = ReferenceTree.of(entries);
    const tree = MemoryTree.of(entries);
    for (let size = 1; size <= 600; size += 1) {
      const getNode = known(tileReader(size, (tile) => tree.tile(tile)));
      const differs = (index: number): boolean => {
        const expected = reference.inclusion(BigInt(index), [0n, BigInt(size)]);
        const proof = proveInclusion({ index, size, getNode });
        return (
          proof.length !== expected.length ||
          proof.some((hash, i) => hash !== expected[i] && !equalBytes(hash, expected[i] ?? hash.subarray(1)))
        );
      };
      const indexes = Array.from({ length: size }, (_, index) => index);
      expect(indexes.filter(differs)).toEqual([]);
    }
  }, 120_000);

  const near = (size: number): number[] => [size - 2, size - 1, size, size + 1, size + 2];
  const sizes = [256, 512, 65_536, 131_072, 2 ** 24, 2 ** 32, 2 ** 40].flatMap(near);

  test.each(sizes)("for indexes and older sizes all over a tree of size %i", (size) => {
    const places = [
      0,
      1,
      127,
      128,
      255,
      256,
      65_535,
      65_536,
      2 ** 24,
      size / 3,
      size / 2,
      size - 257,
      size - 2,
      size - 1,
    ];
    const indexes = [...new Set(places.map(Math.floor))].filter((index) => index >= 0 && index < size);
    const reference = ReferenceTree.sparse(new Map(indexes.map((index) => [BigInt(index), utf8(`entry ${index}`)])));
    const readTile = ({ level, index, width }: TileId): Uint8Array =>
      encodeTile(
        Array.from({ length: width }, (_, i) =>
          reference.node({ level: 8 * level, index: BigInt(index) * BigInt(TILE_WIDTH) + BigInt(i) }),
        ),
      );
    const getNode = tileReader(size, readTile);
    for (const index of indexes) {
      const tree = [0n, BigInt(size)] as const;
      expect(proveInclusion({ index, size, getNode })).toEqual(reference.inclusion(BigInt(index), tree));
      expect(proveConsistency({ from: index, to: size, getNode })).toEqual(reference.consistency(BigInt(index), tree));
    }
  });
});

describeWithVectors("C-89 to C-93 tile paths", () => {
  interface PathCase {
    readonly level: number;
    readonly index: string;
    readonly width: number;
    readonly path: string;
  }
  const vectors = readVectorJson<{
    tile_path: PathCase[];
    entries_path: PathCase[];
    entries_path_for_log_index: { entry: string; log_size: string; path: string }[];
    parse_ok: { level: string; index_path: string; index: string; width: number }[];
    parse_error: { level: string; index_path: string }[];
    tree_shape: { size: string; full_l0: number; partial_l0: number; full_l1: number; partial_l1: number }[];
    node_to_tile: {
      tree_level: number;
      tree_index: string;
      tile_level: number;
      tile_index: string;
      node_level: number;
      node_index: number;
    }[];
  }>("tiles/tile-paths.json");
  // The vectors write 0 for the width of a full tile.
  const widthOf = (width: number): number => (width === 0 ? 256 : width);

  test.each(vectors.tile_path)("$path", ({ level, index, width, path }) => {
    expect(tilePath({ level, index: BigInt(index), width: widthOf(width) })).toBe(path);
    expect(parseTilePath(path)).toEqual({ level, index: Number(index), width: widthOf(width) });
  });

  test.each(vectors.entries_path)("$path", ({ index, width, path }) => {
    expect(entriesPath({ index: BigInt(index), width: widthOf(width) })).toBe(path);
  });

  test.each(vectors.entries_path_for_log_index)(
    "entry $entry of $log_size is in $path",
    ({ entry, log_size, path }) => {
      expect(entriesPath(bundleOfEntry({ index: BigInt(entry), size: BigInt(log_size) }).bundle)).toBe(path);
    },
  );

  test.each(vectors.parse_ok)("reads $level, $index_path", ({ level, index_path, index, width }) => {
    const { index: parsed, ...rest } = parseTilePath(`tile/${level}/${index_path}`);
    expect({ index: BigInt(parsed), ...rest }).toEqual({
      level: Number(level),
      index: BigInt(index),
      width: widthOf(width),
    });
  });

  test.each(vectors.parse_error)("refuses $level, $index_path", ({ level, index_path }) => {
    expect(errorCode(() => parseTilePath(`tile/${level}/${index_path}`))).toBe("tile-malformed");
  });

  test.each(vectors.tree_shape)("C-96 the tiles of $size", (shape) => {
    const tiles = tilesForSize(Number(shape.size));
    const full = (level: number): number => tiles.filter((tile) => tile.level === level && tile.width === 256).length;
    const partial = (level: number): number =>
      tiles.find((tile) => tile.level === level && tile.width < 256)?.width ?? 0;
    expect([full(0), partial(0), full(1), partial(1)]).toEqual([
      shape.full_l0,
      shape.partial_l0,
      shape.full_l1,
      shape.partial_l1,
    ]);
  });

  test.each(vectors.node_to_tile)("node $tree_index of level $tree_level", (node) => {
    const index = BigInt(node.tree_index);
    const size = (index + 1n) * 2n ** BigInt(node.tree_level);
    const { tile, first, count } = tileOfNode({ node: { level: node.tree_level, index }, size });
    expect([tile.level, tile.index, first, count]).toEqual([
      node.tile_level,
      Number(node.tile_index),
      node.node_index * 2 ** node.node_level,
      2 ** node.node_level,
    ]);
  });
});

describeWithVectors("the log of 500 entries", () => {
  const known = readVectorJson<{ files_sha256: Record<string, string>; root_hex: string }>("tiles/known-500.json");
  const entries = Array.from({ length: 500 }, (_, i) => {
    const entry = new Uint8Array(8);
    new DataView(entry.buffer).setUint32(4, i);
    return entry;
  });

  test("has the known tiles, bundles and root, and no other", () => {
    const tree = MemoryTree.of(entries);
    const files = new Map<string, Uint8Array>(tilesForSize(500).map((tile) => [tilePath(tile), tree.tile(tile)]));
    for (const { level, index, width } of tilesForSize(500)) {
      const first = Number(index) * 256;
      if (level === 0) files.set(entriesPath({ index, width }), encodeEntryBundle(entries.slice(first, first + width)));
    }
    const digests = [...files].map(([path, bytes]) => [path, createHash("sha256").update(bytes).digest("hex")]);
    expect(Object.fromEntries(digests)).toEqual(known.files_sha256);
    expect(encodeHex(tree.range.rootHash())).toBe(known.root_hex);
  });
});

describeWithVectors("the Go checksum database at size 51319770", () => {
  const folder = "tiles/sumdb-51319770";
  const [, size = "", root = ""] = readVectorText(`${folder}/checkpoint`).split("\n");
  const rootHash = decodeBase64(root);
  const getNode = tileReader(BigInt(size), (tile) => {
    const bytes = readVectorBytes(`${folder}/${tilePath(tile)}`);
    return encodeTile(decodeTile(bytes, tile.width));
  });
  const records = readVectorJson<
    { lookup: string; id: string; record: string; record_hash_b64: string; proof_in_latest: string[] }[]
  >(`${folder}/records.json`);
  const older = readVectorJson<{ old_size: string; old_note: string; new_size: string; proof: string[] }[]>(
    `${folder}/consistency.json`,
  );

  test.each(records)(
    "C-254 $lookup has the known inclusion proof, made from tiles",
    ({ id, record, record_hash_b64, proof_in_latest }) => {
      const leafHash = hashLeaf(utf8(record));
      expect(leafHash).toEqual(decodeBase64(record_hash_b64));
      const proof = proveInclusion({ index: BigInt(id), size: BigInt(size), getNode });
      expect(proof).toEqual(proof_in_latest.map((text) => decodeBase64(text)));
      verifyInclusion({ index: Number(id), size: Number(size), leafHash, rootHash, proof });
    },
  );

  test.each(older)(
    "C-254 size $old_size has the known consistency proof, made from tiles where they are there",
    ({ old_size, old_note, new_size, proof }) => {
      const hashes = proof.map((text) => decodeBase64(text));
      const fromRootHash = decodeBase64(old_note.split("\n")[2] ?? "");
      verifyConsistency({
        from: BigInt(old_size),
        to: BigInt(new_size),
        fromRootHash,
        toRootHash: rootHash,
        proof: hashes,
      });
      expect(proveConsistency({ from: BigInt(old_size), to: BigInt(new_size), getNode })).toEqual(hashes);
    },
  );

  test("holds 24 entries and 41 older sizes", () => {
    expect([records.length, older.length]).toEqual([24, 41]);
    expect(decodeUtf8(utf8(size))).toBe("51319770");
  });
});
