import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  ENTRY_BYTES_MAX,
  decodeBase64,
  decodeEntryBundle,
  decodeTile,
  encodeEntryBundle,
  encodeTile,
  entriesPath,
  equalBytes,
  hashLeaf,
  proveConsistency,
  proveInclusion,
  tilePath,
  tilesForSize,
  verifyConsistency,
  verifyEntryBundle,
  verifyInclusion,
} from "../src/index.ts";
import { errorCode } from "../../../test/support/errors.ts";
import { describeWithVectors, readVectorBytes, readVectorText } from "../../../test/support/vectors.ts";
import { MemoryTree, someEntries } from "./memory-tree.ts";
import { flipped } from "./mutations.ts";

describe("encodeEntryBundle", () => {
  test("C-105 puts each entry behind its length, big-endian in two bytes, and nothing after the last", () => {
    const long = new Uint8Array(258).fill(9);
    expect(encodeEntryBundle([Uint8Array.of(7), new Uint8Array(), long])).toEqual(
      Uint8Array.of(0, 1, 7, 0, 0, 1, 2, ...long),
    );
  });

  test("C-106 takes entries of 0 and of 65,535 bytes", () => {
    const entries = [new Uint8Array(), new Uint8Array(ENTRY_BYTES_MAX).fill(1), new Uint8Array()];
    expect(decodeEntryBundle(encodeEntryBundle(entries), 3)).toEqual(entries);
  });

  test("C-106 refuses an entry of 65,536 bytes and says which one", () => {
    const entries = [new Uint8Array(), new Uint8Array(ENTRY_BYTES_MAX + 1)];
    expect(() => encodeEntryBundle(entries)).toThrow(
      expect.objectContaining({ code: "entry-too-large", message: "entry 1: expected at most 65535 bytes, got 65536" }),
    );
  });

  test("refuses no entries and more than a tile has hashes", () => {
    expect(errorCode(() => encodeEntryBundle([]))).toBe("RangeError");
    expect(errorCode(() => encodeEntryBundle(someEntries(257)))).toBe("RangeError");
  });
});

describe("decodeEntryBundle", () => {
  const entries = [Uint8Array.of(1, 2, 3), new Uint8Array(), Uint8Array.of(4)];
  const bytes = encodeEntryBundle(entries);

  test("C-105 reads what was written, also out of a larger buffer", () => {
    const entry = fc.uint8Array({ maxLength: 300 });
    fc.assert(
      fc.property(fc.array(entry, { minLength: 1, maxLength: 256 }), (entries) => {
        const encoded = encodeEntryBundle(entries);
        const inside = new Uint8Array(encoded.length + 9);
        inside.set(encoded, 5);
        expect(decodeEntryBundle(inside.subarray(5, 5 + encoded.length), entries.length)).toEqual(entries);
      }),
    );
  });

  test("C-107 refuses a bundle that is cut off anywhere", () => {
    for (let length = 0; length < bytes.length; length += 1) {
      expect(errorCode(() => decodeEntryBundle(bytes.subarray(0, length), 3))).toBe("bundle-malformed");
    }
    expect(() => decodeEntryBundle(bytes.subarray(0, 4), 3)).toThrow("entry 0 of 3: cut off");
    expect(() => decodeEntryBundle(bytes.subarray(0, 6), 3)).toThrow("entry 1 of 3: its length is missing or cut off");
  });

  test("C-107 refuses surplus bytes and another number of entries", () => {
    expect(() => decodeEntryBundle(Uint8Array.of(...bytes, 0), 3)).toThrow("1 bytes after entry 2, the last one");
    expect(errorCode(() => decodeEntryBundle(bytes, 2))).toBe("bundle-malformed");
    expect(errorCode(() => decodeEntryBundle(bytes, 4))).toBe("bundle-malformed");
    expect(errorCode(() => decodeEntryBundle(bytes, 0))).toBe("RangeError");
    expect(errorCode(() => decodeEntryBundle(bytes, 257))).toBe("RangeError");
  });

  test("C-107 gives any bytes one meaning or refuses them", () => {
    const bytes = fc.array(fc.nat(4), { maxLength: 24 }).map((bytes) => Uint8Array.from(bytes));
    fc.assert(
      fc.property(bytes, fc.integer({ min: 1, max: 4 }), (bytes, count) => {
        const code = errorCode(() => {
          expect(encodeEntryBundle(decodeEntryBundle(bytes, count))).toEqual(bytes);
        });
        expect([undefined, "bundle-malformed"]).toContain(code);
      }),
      { numRuns: 1000 },
    );
  });
});

describe("verifyEntryBundle", () => {
  const entries = someEntries(5);
  const leafHashes = entries.map(hashLeaf);

  test("C-108 accepts entries whose leaf hashes are those of the tile", () => {
    expect(errorCode(() => verifyEntryBundle({ entries, leafHashes }))).toBeUndefined();
  });

  test("C-108 one flipped bit anywhere in the bundle is caught", () => {
    const bytes = encodeEntryBundle(entries);
    for (let bit = 0; bit < bytes.length * 8; bit += 1) {
      const code = errorCode(() =>
        verifyEntryBundle({ entries: decodeEntryBundle(flipped(bytes, bit), 5), leafHashes }),
      );
      expect(["leaf-mismatch", "bundle-malformed"]).toContain(code);
    }
  });

  test("C-108 one flipped bit anywhere in the tile is caught", () => {
    const tile = encodeTile(leafHashes);
    for (let bit = 0; bit < tile.length * 8; bit += 1) {
      const code = errorCode(() => verifyEntryBundle({ entries, leafHashes: decodeTile(flipped(tile, bit), 5) }));
      expect(code).toBe("leaf-mismatch");
    }
  });

  test("says which entry is another one", () => {
    const swapped = leafHashes.with(3, leafHashes[4] ?? new Uint8Array());
    expect(() => verifyEntryBundle({ entries, leafHashes: swapped })).toThrow(
      expect.objectContaining({ code: "leaf-mismatch", details: { offset: 3 } }),
    );
  });

  test("refuses another number of leaf hashes than entries", () => {
    expect(errorCode(() => verifyEntryBundle({ entries, leafHashes: leafHashes.slice(1) }))).toBe("RangeError");
  });
});

describeWithVectors("a log of 15 entries by another implementation", () => {
  const folder = "tiles/tessera-log";
  const entries = decodeEntryBundle(readVectorBytes(`${folder}/${entriesPath({ index: 0, width: 15 })}`), 15);
  const tree = MemoryTree.of(entries);

  function rootAt(size: number): Uint8Array {
    const [, line, root = ""] = readVectorText(`${folder}/checkpoint.${size}`).split("\n");
    expect(line).toBe(String(size));
    return decodeBase64(root);
  }

  test("C-105 C-108 at every size its tiles and bundles are byte for byte those that we write", () => {
    for (let size = 1; size <= 15; size += 1) {
      const bundle = readVectorBytes(`${folder}/${entriesPath({ index: 0, width: size })}`);
      expect(encodeEntryBundle(entries.slice(0, size))).toEqual(bundle);
      for (const tile of tilesForSize(size)) {
        const bytes = readVectorBytes(`${folder}/${tilePath(tile)}`);
        expect(tree.tile(tile)).toEqual(bytes);
        verifyEntryBundle({ entries: decodeEntryBundle(bundle, size), leafHashes: decodeTile(bytes, size) });
      }
    }
  });

  test("its checkpoints have the roots that we compute, from size 0 on", () => {
    for (let size = 0; size <= 15; size += 1) {
      expect(equalBytes(MemoryTree.of(entries.slice(0, size)).range.rootHash(), rootAt(size))).toBe(true);
    }
  });

  test("every entry is included at every size, and every size extends all before", () => {
    const { getNode } = tree;
    for (let size = 0; size <= 15; size += 1) {
      for (const [index, entry] of entries.slice(0, size).entries()) {
        const proof = proveInclusion({ index, size, getNode });
        verifyInclusion({ index, size, leafHash: hashLeaf(entry), rootHash: rootAt(size), proof });
      }
      for (let from = 0; from <= size; from += 1) {
        const proof = proveConsistency({ from, to: size, getNode });
        verifyConsistency({ from, to: size, fromRootHash: rootAt(from), toRootHash: rootAt(size), proof });
      }
    }
  });
});
