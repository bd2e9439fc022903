import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  CompactRange,
  compactRangeNodes,
  concatBytes,
  decodeHex,
  emptyRootHash,
  encodeBase64,
  encodeHex,
  hashLeaf,
  hashLeaves,
  splitHashes,
  treeHash,
} from "../src/index.ts";
import { errorCode } from "../../../test/support/errors.ts";
import { describeWithVectors, readVectorJson } from "../../../test/support/vectors.ts";
import { MemoryTree, someEntries } from "./memory-tree.ts";
import { ReferenceTree } from "./reference-tree.ts";

const referenceEntries = [
  "",
  "00",
  "10",
  "2021",
  "3031",
  "40414243",
  "5051525354555657",
  "606162636465666768696a6b6c6d6e6f",
];

describe("root hashes", () => {
  test("C-245 the reference tree has the known root at each size", () => {
    const prefixes = ["6e340b9c", "fac54203", "aeb6bcfe", "d37ee418", "4e3bbb1f", "76e67dad", "ddb89be4", "5dc9da79"];
    const tree = CompactRange.empty();
    const roots = referenceEntries.map((entry) => {
      tree.append(hashLeaf(decodeHex(entry)));
      return encodeHex(tree.rootHash()).slice(0, 8);
    });
    expect(roots).toEqual(prefixes);
  });

  test("C-246 the tree of the bytes 0 to 255 has the known root at 256 and 257", () => {
    const leafHashes = Array.from({ length: 257 }, (_, i) => hashLeaf(Uint8Array.of(i % 256)));
    expect(encodeBase64(treeHash(leafHashes.slice(0, 256)))).toBe("A4exv6rRlK1bU01qV8lxCoNITLVEJY319N+UvEGCC18=");
    expect(encodeBase64(treeHash(leafHashes))).toBe("J/FbOZtR4ny2OkKC5/Cb3y47AZ/2rQbEqeBm+3VCV+Q=");
  });

  test("C-251 the growing edge has the root of the recursive definition at every size to 1100", () => {
    const entries = someEntries(1100);
    const reference = ReferenceTree.of(entries);
    const tree = CompactRange.empty();
    expect(tree.rootHash()).toEqual(reference.hash(0n, 0n));
    for (const entry of entries) {
      tree.append(hashLeaf(entry));
      expect(tree.rootHash()).toEqual(reference.hash(0n, BigInt(tree.size)));
    }
  });
});

describe("CompactRange.append", () => {
  test("reports each completed node once, in the order of its level, leaf first", () => {
    const tree = CompactRange.empty();
    const reported: string[] = [];
    for (const entry of someEntries(6))
      tree.append(hashLeaf(entry), (level, index) => reported.push(`${level}/${index}`));
    expect(reported).toEqual(["0/0", "0/1", "1/0", "0/2", "0/3", "1/1", "2/0", "0/4", "0/5", "1/2"]);
  });

  test("reports the hash that the recursive definition gives for each node", () => {
    const entries = someEntries(70);
    const reference = ReferenceTree.of(entries);
    const tree = CompactRange.empty();
    for (const entry of entries) {
      tree.append(hashLeaf(entry), (level, index, hash) => {
        const width = 2n ** BigInt(level);
        expect(hash).toEqual(reference.hash(BigInt(index) * width, BigInt(index + 1) * width));
      });
    }
  });

  test("refuses what is not a hash, and changes nothing", () => {
    const tree = CompactRange.empty();
    expect(errorCode(() => tree.append(new Uint8Array(31)))).toBe("TypeError");
    expect(tree.size).toBe(0);
    expect(tree.rootHash()).toEqual(emptyRootHash());
  });

  test("counts on beyond 2^32, up to 2^53 - 1", () => {
    const size = 2 ** 53 - 2;
    const hash = hashLeaf(new Uint8Array());
    const tree = CompactRange.of({ size, hashes: compactRangeNodes(size).map(() => hash) });
    const reported: string[] = [];
    tree.append(hash, (level, index) => reported.push(`${level}/${index}`));
    expect(reported).toEqual([`0/${size}`]);
    expect(tree.size).toBe(2 ** 53 - 1);
    expect(errorCode(() => tree.append(hash))).toBe("RangeError");

    const half = CompactRange.of({ size: 2 ** 52 - 1, hashes: compactRangeNodes(2 ** 52 - 1).map(() => hash) });
    half.append(hash);
    expect(half.hashes).toHaveLength(1);
  });
});

describe("CompactRange.appendAll", () => {
  const entries = someEntries(1100);
  const leafHashes = hashLeaves(entries);
  const leaves = (from: number, to: number): Uint8Array => leafHashes.subarray(32 * from, 32 * to);

  /** Every node that a listener was told of, by its level and index. */
  function nodesOf(grow: (tell: (level: number, index: number, hash: Uint8Array) => void) => void): string[] {
    const nodes: string[] = [];
    grow((level, index, hash) => nodes.push(`${level}/${index} ${encodeHex(hash)}`));
    return nodes.sort();
  }

  test("C-251 leaves the edge and tells of the nodes that append does, from every size to 40 to every size to 70", () => {
    for (let size = 0; size <= 40; size += 1) {
      for (let end = size; end <= 70; end += 1) {
        const [many, single] = [treeOf(size), treeOf(size)];
        const told = nodesOf((tell) =>
          many.appendAll(leaves(size, end), (level, index, hashes) => {
            for (const [i, hash] of splitHashes(hashes).entries()) tell(level, index + i, hash);
          }),
        );
        const expected = nodesOf((tell) => {
          for (const leafHash of splitHashes(leaves(size, end))) single.append(leafHash, tell);
        });
        expect(told).toEqual(expected);
        expect([many.size, many.hashes]).toEqual([single.size, single.hashes]);
      }
    }
  });

  test("C-251 gives the root of the recursive definition however the leaves are divided", () => {
    const reference = ReferenceTree.of(entries);
    fc.assert(
      fc.property(fc.array(fc.nat(300), { maxLength: 12 }), (counts) => {
        const tree = CompactRange.empty();
        for (const count of counts) {
          tree.appendAll(leaves(tree.size, Math.min(tree.size + count, entries.length)));
          expect(tree.rootHash()).toEqual(reference.hash(0n, BigInt(tree.size)));
        }
      }),
      { numRuns: 50 },
    );
  });

  test("tells of whole levels, from the leaves up", () => {
    const tree = treeOf(3);
    const told: string[] = [];
    tree.appendAll(leaves(3, 9), (level, index, hashes) => told.push(`${level}/${index}+${hashes.length / 32}`));
    expect(told).toEqual(["0/3+6", "1/1+3", "2/0+2", "3/0+1"]);
  });

  test("keeps its edge when the bytes that it was given change", () => {
    const bytes = Buffer.from(leaves(0, 3));
    const tree = CompactRange.empty();
    tree.appendAll(bytes);
    const rootHash = tree.rootHash();
    bytes.fill(0);
    expect(tree.rootHash()).toEqual(rootHash);
    expect(rootHash).toEqual(treeHash(leaves(0, 3)));
  });

  test("refuses what is not whole hashes, and more leaves than a tree can have, and changes nothing", () => {
    const size = 2 ** 53 - 3;
    const hash = hashLeaf(new Uint8Array());
    const tree = CompactRange.of({ size, hashes: compactRangeNodes(size).map(() => hash) });
    const before = tree.hashes;
    expect(errorCode(() => tree.appendAll(leaves(0, 3)))).toBe("RangeError");
    expect(errorCode(() => tree.appendAll(leafHashes.subarray(0, 33)))).toBe("TypeError");
    expect([tree.size, tree.hashes]).toEqual([size, before]);
    const indexes: number[] = [];
    tree.appendAll(leaves(0, 2), (_level, index) => indexes.push(index));
    expect([tree.size, indexes]).toEqual([2 ** 53 - 1, [size, 2 ** 52 - 2]]);
  });

  function treeOf(size: number): CompactRange {
    const tree = CompactRange.empty();
    for (const leafHash of splitHashes(leaves(0, size))) tree.append(leafHash);
    return tree;
  }
});

describe("treeHash", () => {
  test("takes leaf hashes one by one, or in one byte string", () => {
    for (const count of [0, 1, 2, 255, 256, 257, 600]) {
      const hashes = someEntries(count).map(hashLeaf);
      const tree = CompactRange.empty();
      for (const hash of hashes) tree.append(hash);
      expect(treeHash(new Set(hashes))).toEqual(tree.rootHash());
      expect(treeHash(concatBytes(...hashes))).toEqual(tree.rootHash());
    }
    expect(errorCode(() => treeHash(new Uint8Array(31)))).toBe("TypeError");
    expect(errorCode(() => treeHash([new Uint8Array(33)]))).toBe("TypeError");
  });
});

describe("CompactRange.of", () => {
  test("goes on where the edge was taken from", () => {
    const entries = someEntries(70);
    fc.assert(
      fc.property(fc.nat(70), (size) => {
        const tree = MemoryTree.of(entries.slice(0, size));
        const restored = CompactRange.of({ size, hashes: compactRangeNodes(size).map(tree.getNode) });
        expect(restored.hashes).toEqual(tree.range.hashes);
        for (const entry of entries.slice(size)) restored.append(hashLeaf(entry));
        expect(restored.rootHash()).toEqual(treeHash(entries.map(hashLeaf)));
      }),
    );
  });

  test("refuses the wrong number of hashes, a hash of another length, and a size that is none", () => {
    const hash = emptyRootHash();
    expect(errorCode(() => CompactRange.of({ size: 3, hashes: [hash] }))).toBe("RangeError");
    expect(errorCode(() => CompactRange.of({ size: 0, hashes: [hash] }))).toBe("RangeError");
    expect(errorCode(() => CompactRange.of({ size: 1, hashes: [new Uint8Array(33)] }))).toBe("TypeError");
    expect(errorCode(() => CompactRange.of({ size: 1.5, hashes: [hash] }))).toBe("RangeError");
    expect(errorCode(() => compactRangeNodes(2 ** 53))).toBe("RangeError");
  });

  test("shares no array with its caller, its clone or those who read its hashes", () => {
    const [first, second] = someEntries(2).map(hashLeaf);
    if (first === undefined || second === undefined) throw new Error("two entries");
    const hashes = [first];
    const tree = CompactRange.of({ size: 1, hashes });
    const clone = tree.clone();
    tree.append(second);
    expect(hashes).toEqual([first]);
    expect(clone.hashes).toEqual([first]);
    expect(clone.size).toBe(1);
    (tree.hashes as Uint8Array[]).pop();
    expect(tree.hashes).toHaveLength(1);
  });
});

describeWithVectors("reference tree of 8 leaves", () => {
  const vector = readVectorJson<{ leaf_inputs_hex: string[]; root_hash_hex_by_size: string[] }>(
    "merkle/rfc6962-reference-tree.json",
  );

  test("C-245 has the known root at every size from 0 on", () => {
    const leafHashes = vector.leaf_inputs_hex.map((entry) => hashLeaf(decodeHex(entry)));
    for (const [size, root] of vector.root_hash_hex_by_size.entries()) {
      expect(encodeHex(treeHash(leafHashes.slice(0, size)))).toBe(root);
    }
  });
});
