import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import {
  type Hash,
  coverSubtrees,
  decodeBase64,
  emptyRootHash,
  encodeHex,
  hashLeaf,
  isValidSubtree,
  planSubtreeConsistency,
  planSubtreeHash,
  planSubtreeInclusion,
  proveConsistency,
  proveSubtreeConsistency,
  proveSubtreeInclusion,
  subtreeHash,
  verifySubtreeConsistency,
  verifySubtreeInclusion,
} from "../src/index.ts";
import { errorCode } from "../../../test/support/errors.ts";
import { describeWithVectors, readVectorJson } from "../../../test/support/vectors.ts";
import { MemoryTree, someEntries } from "./memory-tree.ts";
import { alteredProofs, flipped } from "./mutations.ts";
import { ReferenceTree } from "./reference-tree.ts";

const SIZE_MAX = 130;
const entries = someEntries(SIZE_MAX);
const reference = ReferenceTree.of(entries);
const { getNode } = MemoryTree.of(entries);
const hashOf = (start: number, end: number): Hash => reference.hash(BigInt(start), BigInt(end));

/** The definition of §4.1 word for word. */
function isSubtree(start: number, end: number): boolean {
  let bitCeil = 1;
  while (bitCeil < end - start) bitCeil *= 2;
  return start < end && start % bitCeil === 0;
}

/** Every valid subtree of a tree of `size` leaves. */
function* subtrees(size: number): Generator<{ start: number; end: number }> {
  for (let end = 1; end <= size; end += 1) {
    for (let start = 0; start < end; start += 1) if (isSubtree(start, end)) yield { start, end };
  }
}

describe("isValidSubtree", () => {
  test("C-157 agrees with the definition for every range to 130", () => {
    for (let start = 0; start <= SIZE_MAX; start += 1) {
      for (let end = 0; end <= SIZE_MAX; end += 1) {
        expect(isValidSubtree({ start, end })).toBe(isSubtree(start, end));
      }
    }
  });

  test.each([
    [2, 6],
    [1, 7],
    [7, 9],
    [5, 13],
    [5, 5],
    [5, 3],
  ])("C-157 [%i, %i) is none", (start, end) => {
    expect(isValidSubtree({ start, end })).toBe(false);
    expect(errorCode(() => subtreeHash({ start, end, getNode }))).toBe("RangeError");
    expect(errorCode(() => planSubtreeHash({ start, end }))).toBe("RangeError");
    expect(errorCode(() => planSubtreeConsistency({ start, end, size: 100 }))).toBe("RangeError");
    expect(errorCode(() => planSubtreeInclusion({ start, end, index: start }))).toBe("RangeError");
  });

  test.each([
    [8, 13],
    [0, 13],
    [4, 8],
    [6, 8],
    [2n ** 62n, 2n ** 62n + 1n],
  ])("C-157 [%s, %s) is one", (start, end) => {
    expect(isValidSubtree({ start, end })).toBe(true);
  });

  test("refuses what is no index at all", () => {
    expect(errorCode(() => isValidSubtree({ start: -1, end: 1 }))).toBe("RangeError");
    expect(errorCode(() => isValidSubtree({ start: 0, end: 2n ** 63n }))).toBe("RangeError");
  });
});

describe("coverSubtrees", () => {
  test("covers every interval to 130 by one or two valid subtrees, at most twice as wide", () => {
    for (let end = 1; end <= SIZE_MAX; end += 1) {
      for (let start = 0; start < end; start += 1) {
        const cover = coverSubtrees({ start, end });
        expect(cover).toHaveLength(end - start === 1 ? 1 : 2);
        expect(cover.every(isValidSubtree)).toBe(true);
        expect(cover.at(-1)?.end).toBe(end);
        const first = Number(cover[0]?.start);
        expect(first).toBeLessThanOrEqual(start);
        expect(end - first).toBeLessThanOrEqual(2 * (end - start));
        expect(cover.slice(1).every((right) => right.start === cover[0]?.end)).toBe(true);
      }
    }
  });

  test("refuses an empty interval", () => {
    expect(errorCode(() => coverSubtrees({ start: 5, end: 5 }))).toBe("RangeError");
    expect(errorCode(() => coverSubtrees({ start: 6, end: 5 }))).toBe("RangeError");
  });
});

describe("subtreeHash", () => {
  test("is the root hash of a tree with just these leaves, for every subtree to 130", () => {
    for (const { start, end } of subtrees(SIZE_MAX)) {
      expect(subtreeHash({ start, end, getNode })).toEqual(hashOf(start, end));
      const plan = planSubtreeHash({ start, end });
      expect(plan.assemble(plan.nodes.map(getNode))).toEqual([hashOf(start, end)]);
    }
  });
});

describe("subtree inclusion proofs", () => {
  test("equal those of a tree of its own, verify, and fail when spoilt, for every leaf of every subtree to 130", () => {
    for (const { start, end } of subtrees(SIZE_MAX)) {
      for (let index = start; index < end; index += 1) {
        const proof = proveSubtreeInclusion({ start, end, index, getNode });
        expect(proof).toEqual(reference.inclusion(BigInt(index), [BigInt(start), BigInt(end)]));
        const claim = { start, end, index, leafHash: hashOf(index, index + 1), subtreeHash: hashOf(start, end), proof };
        verifySubtreeInclusion(claim);
        const spoilt = { ...claim, proof: [...proof, new Uint8Array(32)] };
        expect(errorCode(() => verifySubtreeInclusion(spoilt))).toBe("proof-invalid");
        const other = { ...claim, subtreeHash: flipped(claim.subtreeHash, index) };
        expect(errorCode(() => verifySubtreeInclusion(other))).toBe("proof-invalid");
      }
    }
  });

  test("C-252 fail when any hash is altered, left out, added or moved", () => {
    const [start, end] = [64, 103];
    for (let index = start; index < end; index += 1) {
      const proof = proveSubtreeInclusion({ start, end, index, getNode });
      const claim = { start, end, index, leafHash: hashOf(index, index + 1), subtreeHash: hashOf(start, end) };
      const refused = (proof: Hash[]): boolean =>
        errorCode(() => verifySubtreeInclusion({ ...claim, proof })) === "proof-invalid";
      expect([...alteredProofs(proof)].every(refused)).toBe(true);
    }
  });

  test("refuse an index outside, and hashes of another length", () => {
    const claim = { start: 4, end: 8, index: 4, leafHash: hashOf(4, 5), subtreeHash: hashOf(4, 8), proof: [] };
    expect(errorCode(() => verifySubtreeInclusion({ ...claim, index: 3 }))).toBe("RangeError");
    expect(errorCode(() => verifySubtreeInclusion({ ...claim, index: 8 }))).toBe("RangeError");
    expect(errorCode(() => verifySubtreeInclusion({ ...claim, leafHash: new Uint8Array(3) }))).toBe("TypeError");
    expect(errorCode(() => verifySubtreeInclusion({ ...claim, subtreeHash: new Uint8Array(3) }))).toBe("TypeError");
  });
});

describe("subtree consistency proofs", () => {
  test("equal the definition and verify, for every subtree of every size to 130", () => {
    for (let size = 1; size <= SIZE_MAX; size += 1) {
      for (const { start, end } of subtrees(size)) {
        const proof = proveSubtreeConsistency({ start, end, size, getNode });
        expect(proof).toEqual(reference.subtreeConsistency([BigInt(start), BigInt(end)], [0n, BigInt(size)]));
        verifySubtreeConsistency({
          start,
          end,
          size,
          subtreeHash: hashOf(start, end),
          rootHash: hashOf(0, size),
          proof,
        });
      }
    }
  });

  test("C-252 fail when any hash is altered, left out, added or moved", () => {
    for (const size of [7, 13, 32, 63, 130]) {
      for (const { start, end } of subtrees(size)) {
        const proof = proveSubtreeConsistency({ start, end, size, getNode });
        const claim = { start, end, size, subtreeHash: hashOf(start, end), rootHash: hashOf(0, size), proof };
        const refused = (proof: Hash[]): boolean =>
          errorCode(() => verifySubtreeConsistency({ ...claim, proof })) === "proof-invalid";
        expect([...alteredProofs(proof)].every(refused)).toBe(true);
        const wrongSubtree = { ...claim, subtreeHash: flipped(claim.subtreeHash, end) };
        const wrongRoot = { ...claim, rootHash: flipped(claim.rootHash, end) };
        expect(errorCode(() => verifySubtreeConsistency(wrongSubtree))).toBe("proof-invalid");
        expect(errorCode(() => verifySubtreeConsistency(wrongRoot))).toBe("proof-invalid");
      }
    }
  });

  test("are ordinary consistency proofs where the subtree starts at 0", () => {
    for (let size = 1; size <= SIZE_MAX; size += 1) {
      for (let end = 1; end <= size; end += 1) {
        expect(proveSubtreeConsistency({ start: 0, end, size, getNode })).toEqual(
          proveConsistency({ from: end, to: size, getNode }),
        );
      }
    }
  });

  test("C-157 refuse a subtree that ends behind the tree, and hashes of another length", () => {
    const claim = {
      start: 4,
      end: 8,
      size: 8,
      subtreeHash: hashOf(4, 8),
      rootHash: hashOf(0, 8),
      proof: [hashOf(0, 4)],
    };
    verifySubtreeConsistency(claim);
    expect(errorCode(() => verifySubtreeConsistency({ ...claim, size: 7 }))).toBe("RangeError");
    expect(errorCode(() => verifySubtreeConsistency({ ...claim, subtreeHash: new Uint8Array(3) }))).toBe("TypeError");
    expect(errorCode(() => verifySubtreeConsistency({ ...claim, rootHash: new Uint8Array(3) }))).toBe("TypeError");
  });

  test("C-253 verify in trees beyond 2^53", () => {
    const size = 2n ** 53n + 5n;
    for (const [start, end] of [
      [2n ** 53n, size],
      [2n ** 52n, 2n ** 52n + 3n],
      [size - 1n, size],
    ] as const) {
      const tree = ReferenceTree.sparse(new Map([[end - 1n, Uint8Array.of(1)]]));
      const getNode = tree.node.bind(tree);
      const proof = proveSubtreeConsistency({ start, end, size, getNode });
      expect(proof).toEqual(tree.subtreeConsistency([start, end], [0n, size]));
      expect(subtreeHash({ start, end, getNode })).toEqual(tree.hash(start, end));
      verifySubtreeConsistency({
        start,
        end,
        size,
        subtreeHash: tree.hash(start, end),
        rootHash: tree.hash(0n, size),
        proof,
      });
    }
  });
});

describeWithVectors("subtree vectors", () => {
  const accumulated = readVectorJson<{ vectors: { name: string; sha256_of_all_lines: string }[] }>(
    "merkle/accumulated-subtree.json",
  );
  const shapes = readVectorJson<{
    valid_subtree: { start: string; end: string; valid: boolean }[];
    cover_interval: { start: number; end: number; left: [number, number]; right: [number, number] }[];
  }>("merkle/subtree-shapes.json");
  const probes = readVectorJson<
    {
      id: string;
      leafIdx: string;
      start: string;
      end: string;
      root: string;
      leafHash: string;
      proof: string[] | null;
      wantErr: boolean;
    }[]
  >("merkle/subtree-inclusion-probes.json");
  const bytes = MemoryTree.of(Array.from({ length: 130 }, (_, i) => Uint8Array.of(i)));

  /** Every range of the vectors: ours, and the empty ones, which have no proof and the hash of the empty tree. */
  function* ranges(size: number): Generator<{ start: number; end: number }> {
    for (let end = 0; end <= size; end += 1) {
      for (let start = 0; start <= end; start += 1) if (start === end || isSubtree(start, end)) yield { start, end };
    }
  }

  function knownHash(name: string): string | undefined {
    return accumulated.vectors.find((vector) => vector.name === name)?.sha256_of_all_lines;
  }

  test("all subtree consistency proofs to 130 leaves have the known hash", () => {
    const lines = createHash("sha256");
    for (let size = 0; size <= 130; size += 1) {
      for (const { start, end } of ranges(size)) {
        const proof = start === end ? [] : proveSubtreeConsistency({ start, end, size, getNode: bytes.getNode });
        lines.update([`[${start}, ${end}) ${size}`, ...proof.map(encodeHex)].join(" ") + "\n");
      }
    }
    expect(lines.digest("hex")).toBe(knownHash("subtree consistency proofs"));
  });

  test("all subtree hashes to 130 leaves have the known hash", () => {
    const lines = createHash("sha256");
    for (const { start, end } of ranges(130)) {
      const hash = start === end ? emptyRootHash() : subtreeHash({ start, end, getNode: bytes.getNode });
      lines.update(`[${start}, ${end}) ${encodeHex(hash)}\n`);
    }
    expect(lines.digest("hex")).toBe(knownHash("subtree hashes"));
    expect(hashLeaf(Uint8Array.of(0))).toEqual(bytes.getNode({ level: 0, index: 0 }));
  });

  test.each(shapes.valid_subtree)("C-157 [$start, $end): $valid", ({ start, end, valid }) => {
    expect(isValidSubtree({ start: BigInt(start), end: BigInt(end) })).toBe(valid);
  });

  test.each(shapes.cover_interval)("[$start, $end) is covered by $left and $right", ({ start, end, left, right }) => {
    expect(coverSubtrees({ start, end }).map((subtree) => [subtree.start, subtree.end])).toEqual([left, right]);
  });

  test("C-250 the probes are all there", () => {
    expect(probes).toHaveLength(204);
    expect(shapes.valid_subtree.length + shapes.cover_interval.length).toBe(21);
  });

  test.each(probes)("C-250 subtree inclusion $id", (probe) => {
    // A probe may claim a range beyond our 2^63 - 1, or one that is no subtree: refused like any other.
    const verify = (): void =>
      verifySubtreeInclusion({
        start: BigInt(probe.start),
        end: BigInt(probe.end),
        index: BigInt(probe.leafIdx),
        leafHash: decodeBase64(probe.leafHash),
        subtreeHash: decodeBase64(probe.root),
        proof: (probe.proof ?? []).map((text) => decodeBase64(text)),
      });
    expect(errorCode(verify) !== undefined).toBe(probe.wantErr);
  });
});
