import { describe, expect, test } from "vitest";
import {
  type Hash,
  decodeBase64,
  emptyRootHash,
  hashLeaf,
  planConsistency,
  planInclusion,
  proveConsistency,
  proveInclusion,
  verifyConsistency,
  verifyInclusion,
} from "../src/index.ts";
import { pathBetween } from "../src/path.ts";
import { errorCode } from "../../../test/support/errors.ts";
import { describeWithVectors, readVectorJson } from "../../../test/support/vectors.ts";
import { MemoryTree, someEntries } from "./memory-tree.ts";
import { alteredProofs, flipped, flippedEverywhere } from "./mutations.ts";
import { ReferenceTree } from "./reference-tree.ts";

const SIZE_MAX = 130;
/** Each proof is altered in dozens of ways. */
const ALTERED_SIZE_MAX = 80;
const entries = someEntries(SIZE_MAX + 1);
const leafHashes = entries.map(hashLeaf);
const reference = ReferenceTree.of(entries);
const { getNode } = MemoryTree.of(entries);
const roots = Array.from({ length: SIZE_MAX + 2 }, (_, size) => reference.hash(0n, BigInt(size)));

const root = (size: number): Hash => roots[size] ?? fail();
const leaf = (index: number): Hash => leafHashes[index] ?? fail();
const fail = (): never => {
  throw new Error("out of range");
};

/** Every pair with `low` below `high` (or equal), up to a size. */
function* pairs(
  highMin: number,
  lowMax: (high: number) => number,
  highMax: number = SIZE_MAX,
): Generator<[low: number, high: number]> {
  for (let high = highMin; high <= highMax; high += 1) {
    for (let low = 0; low <= lowMax(high); low += 1) yield [low, high];
  }
}

/** Which way each step of a path goes: two sizes of one shape cannot be told apart without the root. */
function shape(start: number, end: number, size: number): string {
  const target = { start: BigInt(start), end: BigInt(end) };
  return pathBetween({ target, tree: { start: 0n, end: BigInt(size) } })
    .steps.map(({ place }) => place)
    .join();
}

describe("inclusion proofs", () => {
  test("equal those of RFC 6962 and verify, for every index of every size to 130", () => {
    for (const [index, size] of pairs(1, (size) => size - 1)) {
      const proof = proveInclusion({ index, size, getNode });
      expect(proof).toEqual(reference.inclusion(BigInt(index), [0n, BigInt(size)]));
      verifyInclusion({ index, size, leafHash: leaf(index), rootHash: root(size), proof });
      verifyInclusion({ index: BigInt(index), size: BigInt(size), leafHash: leaf(index), rootHash: root(size), proof });
    }
  });

  test("C-252 fail when any hash is altered, left out, added or moved", () => {
    for (const [index, size] of pairs(1, (size) => size - 1, ALTERED_SIZE_MAX)) {
      const leafHash = leaf(index);
      const rootHash = root(size);
      const proof = proveInclusion({ index, size, getNode });
      const refused = (proof: Hash[]): boolean =>
        errorCode(() => verifyInclusion({ index, size, leafHash, rootHash, proof })) === "proof-invalid";
      expect([...alteredProofs(proof)].every(refused)).toBe(true);
      const wrongLeaf = { index, size, leafHash: flipped(leafHash, size), rootHash, proof };
      const wrongRoot = { index, size, leafHash, rootHash: flipped(rootHash, index), proof };
      expect(errorCode(() => verifyInclusion(wrongLeaf))).toBe("proof-invalid");
      expect(errorCode(() => verifyInclusion(wrongRoot))).toBe("proof-invalid");
    }
  });

  test("C-252 fail when any single bit is flipped, for every index of every size to 9", () => {
    for (const [index, size] of pairs(1, (size) => Math.min(size, 9) - 1)) {
      if (size > 9) break;
      const proof = proveInclusion({ index, size, getNode });
      const refused = (proof: Hash[]): boolean =>
        errorCode(() => verifyInclusion({ index, size, leafHash: leaf(index), rootHash: root(size), proof })) ===
        "proof-invalid";
      expect([...flippedEverywhere(proof)].every(refused)).toBe(true);
    }
  });

  test("C-252 fail for another index, and for another size by the path's shape or by its root", () => {
    for (const [index, size] of pairs(1, (size) => size - 1)) {
      const proof = proveInclusion({ index, size, getNode });
      const claim = { index, size, leafHash: leaf(index), rootHash: root(size), proof };
      expect(errorCode(() => verifyInclusion({ ...claim, index: index + 1 }))).toMatch(/^proof-invalid$|^RangeError$/);
      expect(errorCode(() => verifyInclusion({ ...claim, index: index - 1 }))).toMatch(/^proof-invalid$|^RangeError$/);
      for (const other of [size - 1, size + 1].filter((other) => other > index)) {
        const sameShape = shape(index, index + 1, other) === shape(index, index + 1, size);
        expect(errorCode(() => verifyInclusion({ ...claim, size: other }))).toBe(
          sameShape ? undefined : "proof-invalid",
        );
        expect(errorCode(() => verifyInclusion({ ...claim, size: other, rootHash: root(other) }))).toBe(
          "proof-invalid",
        );
      }
    }
  });

  test.each([
    [0, 7, 3],
    [6, 7, 2],
    [96, 100, 4],
    [0, 1, 0],
  ])("C-247 of leaf %i of %i has %i hashes", (index, size, hashes) => {
    expect(proveInclusion({ index, size, getNode })).toHaveLength(hashes);
  });

  test("C-249 an index that is not below the size is refused, also in the empty tree", () => {
    for (const [index, size] of [
      [0, 0],
      [1, 1],
      [8, 7],
      [-1, 7],
      [2n ** 64n - 1n, 1],
      [0.5, 1],
      [0, 2 ** 53],
      [0, 2n ** 63n],
    ] as const) {
      expect(errorCode(() => planInclusion({ index, size }))).toBe("RangeError");
      expect(errorCode(() => verifyInclusion({ index, size, leafHash: leaf(0), rootHash: root(0), proof: [] }))).toBe(
        "RangeError",
      );
    }
  });

  test("C-205 none is empty but that of the only leaf, and more hashes than the path has steps are refused unhashed", () => {
    for (const [index, size] of pairs(1, (size) => size - 1)) {
      expect(planInclusion({ index, size }).nodes.length === 0).toBe(size === 1);
    }
    const size = 2n ** 63n - 1n;
    expect(
      planInclusion({ index: 0, size }).assemble(planInclusion({ index: 0, size }).nodes.map(() => leaf(0))),
    ).toHaveLength(63);
    const claim = { index: 0, size, leafHash: leaf(0), rootHash: root(1) };
    const tooMany = Array.from({ length: 64 }, () => leaf(0));
    expect(() => verifyInclusion({ ...claim, proof: tooMany })).toThrow("inclusion proof: expected 63 hashes, got 64");
  });

  test("C-253 verify in trees beyond 2^32 and 2^53", () => {
    for (const size of [2n ** 32n + 3n, 2n ** 53n + 5n, 2n ** 63n - 1n]) {
      for (const index of [0n, size / 2n, size - 3n, size - 1n]) {
        const marked = new Map([
          [index, Uint8Array.of(1)],
          [size - 2n, Uint8Array.of(2)],
        ]);
        const tree = ReferenceTree.sparse(marked);
        const proof = proveInclusion({ index, size, getNode: tree.node.bind(tree) });
        expect(proof).toEqual(tree.inclusion(index, [0n, size]));
        const claim = { index, size, leafHash: tree.hash(index, index + 1n), rootHash: tree.hash(0n, size), proof };
        verifyInclusion(claim);
        expect(errorCode(() => verifyInclusion({ ...claim, index: (index + 1n) % size }))).toBe("proof-invalid");
        expect(errorCode(() => verifyInclusion({ ...claim, rootHash: tree.hash(0n, size - 1n) }))).toBe(
          "proof-invalid",
        );
      }
    }
  });

  test("a leaf or root hash of another length is the caller's mistake, in a proof it is bad evidence", () => {
    const claim = { index: 0, size: 2, leafHash: leaf(0), rootHash: root(2), proof: [leaf(1)] };
    verifyInclusion(claim);
    expect(errorCode(() => verifyInclusion({ ...claim, leafHash: new Uint8Array(31) }))).toBe("TypeError");
    expect(errorCode(() => verifyInclusion({ ...claim, rootHash: new Uint8Array(31) }))).toBe("TypeError");
    expect(() => verifyInclusion({ ...claim, proof: [new Uint8Array(31)] })).toThrow(
      expect.objectContaining({ code: "proof-invalid", message: "inclusion proof: hash 0 is 31 bytes long, not 32" }),
    );
  });
});

describe("consistency proofs", () => {
  test("equal those of RFC 6962 and verify, for every two sizes to 130", () => {
    for (const [from, to] of pairs(0, (to) => to)) {
      const proof = proveConsistency({ from, to, getNode });
      expect(proof).toEqual(reference.consistency(BigInt(from), [0n, BigInt(to)]));
      verifyConsistency({ from, to, fromRootHash: root(from), toRootHash: root(to), proof });
      verifyConsistency({ from: BigInt(from), to: BigInt(to), fromRootHash: root(from), toRootHash: root(to), proof });
    }
  });

  test("C-252 fail when any hash is altered, left out, added or moved", () => {
    for (const [from, to] of pairs(0, (to) => to, ALTERED_SIZE_MAX)) {
      const proof = proveConsistency({ from, to, getNode });
      const claim = { from, to, fromRootHash: root(from), toRootHash: root(to), proof };
      const refused = (proof: Hash[]): boolean =>
        errorCode(() => verifyConsistency({ ...claim, proof })) === "proof-invalid";
      expect([...alteredProofs(proof)].every(refused)).toBe(true);
      const wrongFrom = { ...claim, fromRootHash: flipped(claim.fromRootHash, to) };
      expect(errorCode(() => verifyConsistency(wrongFrom))).toBe("proof-invalid");
      // Whatever the later root, a tree extends the empty one.
      const wrongTo = { ...claim, toRootHash: flipped(claim.toRootHash, from) };
      expect(errorCode(() => verifyConsistency(wrongTo))).toBe(from === 0 && to > 0 ? undefined : "proof-invalid");
    }
  });

  test("C-252 fail when any single bit is flipped, for every two sizes to 9", () => {
    for (const [from, to] of pairs(1, (to) => to)) {
      if (to > 9) break;
      const proof = proveConsistency({ from, to, getNode });
      const refused = (proof: Hash[]): boolean =>
        errorCode(() => verifyConsistency({ from, to, fromRootHash: root(from), toRootHash: root(to), proof })) ===
        "proof-invalid";
      expect([...flippedEverywhere(proof)].every(refused)).toBe(true);
    }
  });

  test("C-252 fail for another size, by the path's shape or by its root", () => {
    for (const [from, to] of pairs(2, (to) => to - 1)) {
      if (from < 1) continue;
      const proof = proveConsistency({ from, to, getNode });
      const claim = { from, to, fromRootHash: root(from), toRootHash: root(to), proof };
      for (const other of [from - 1, from + 1]) {
        const code = errorCode(() => verifyConsistency({ ...claim, from: other }));
        expect(code).toBe("proof-invalid");
        expect(errorCode(() => verifyConsistency({ ...claim, from: other, fromRootHash: root(other) }))).toBe(
          "proof-invalid",
        );
      }
      for (const other of [to - 1, to + 1].filter((other) => other > from)) {
        const sameShape = shape(0, from, other) === shape(0, from, to);
        expect(errorCode(() => verifyConsistency({ ...claim, to: other }))).toBe(
          sameShape ? undefined : "proof-invalid",
        );
        expect(errorCode(() => verifyConsistency({ ...claim, to: other, toRootHash: root(other) }))).toBe(
          "proof-invalid",
        );
      }
    }
  });

  test.each([
    [3, 7, 4],
    [4, 7, 1],
    [6, 7, 3],
    [4, 8, 1],
    [6, 8, 3],
    [255, 256, 9],
    [256, 257, 1],
  ])("C-247 from %i to %i has %i hashes", (from, to, hashes) => {
    const plan = planConsistency({ from, to });
    expect(plan.assemble(plan.nodes.map(() => leaf(0)))).toHaveLength(hashes);
  });

  test("C-248 from the empty tree: an empty proof, and the root of the empty tree", () => {
    const claim = { from: 0, to: 7, fromRootHash: emptyRootHash(), toRootHash: root(7), proof: [] };
    verifyConsistency(claim);
    expect(errorCode(() => verifyConsistency({ ...claim, proof: [leaf(0)] }))).toBe("proof-invalid");
    expect(errorCode(() => verifyConsistency({ ...claim, fromRootHash: root(1) }))).toBe("proof-invalid");
    expect(errorCode(() => verifyConsistency({ ...claim, to: 0 }))).toBe("proof-invalid");
  });

  test("C-248 between equal sizes: an empty proof, and equal roots", () => {
    const claim = { from: 7, to: 7, fromRootHash: root(7), toRootHash: root(7), proof: [] };
    verifyConsistency(claim);
    expect(errorCode(() => verifyConsistency({ ...claim, proof: [leaf(0)] }))).toBe("proof-invalid");
    expect(errorCode(() => verifyConsistency({ ...claim, toRootHash: root(8) }))).toBe("proof-invalid");
  });

  test("C-248 from a larger size is refused", () => {
    expect(errorCode(() => planConsistency({ from: 8, to: 7 }))).toBe("RangeError");
    const claim = { from: 8, to: 7, fromRootHash: root(8), toRootHash: root(7), proof: [] };
    expect(errorCode(() => verifyConsistency(claim))).toBe("RangeError");
  });

  test("C-253 verify in trees beyond 2^32 and 2^53", () => {
    for (const to of [2n ** 32n + 3n, 2n ** 53n + 5n, 2n ** 63n - 1n]) {
      for (const from of [1n, to / 3n, to - 3n, to - 1n]) {
        const marked = new Map([
          [from - 1n, Uint8Array.of(1)],
          [to - 1n, Uint8Array.of(2)],
        ]);
        const tree = ReferenceTree.sparse(marked);
        const proof = proveConsistency({ from, to, getNode: tree.node.bind(tree) });
        expect(proof).toEqual(tree.consistency(from, [0n, to]));
        const claim = { from, to, fromRootHash: tree.hash(0n, from), toRootHash: tree.hash(0n, to), proof };
        verifyConsistency(claim);
        expect(errorCode(() => verifyConsistency({ ...claim, toRootHash: tree.hash(0n, to - 1n) }))).toBe(
          "proof-invalid",
        );
      }
    }
  });

  test("a root hash of another length is the caller's mistake", () => {
    const claim = { from: 1, to: 1, fromRootHash: root(1), toRootHash: root(1), proof: [] };
    expect(errorCode(() => verifyConsistency({ ...claim, fromRootHash: new Uint8Array(12) }))).toBe("TypeError");
    expect(errorCode(() => verifyConsistency({ ...claim, toRootHash: new Uint8Array(12) }))).toBe("TypeError");
  });
});

describe("plans", () => {
  test("name the perfect subtrees that the proof takes, and join them", () => {
    const plan = planInclusion({ index: 6, size: 7 });
    expect(plan.nodes).toEqual([
      { level: 1, index: 2 },
      { level: 2, index: 0 },
    ]);
    const wide = planInclusion({ index: 0, size: 7 });
    expect(wide.nodes.slice(-2)).toEqual([
      { level: 1, index: 2 },
      { level: 0, index: 6 },
    ]);
    expect(wide.assemble(wide.nodes.map(getNode)).at(-1)).toEqual(reference.hash(4n, 7n));
  });

  test("refuse another number of hashes than they have nodes", () => {
    const plan = planInclusion({ index: 6, size: 7 });
    expect(errorCode(() => plan.assemble([]))).toBe("RangeError");
    expect(errorCode(() => plan.assemble([leaf(0), leaf(1), leaf(2)]))).toBe("RangeError");
  });
});

interface Probe {
  readonly id: string;
  readonly proof: readonly string[] | null;
  readonly wantErr: boolean;
  readonly note?: string;
}

const hashes = (probe: Probe): Hash[] => (probe.proof ?? []).map((text) => decodeBase64(text));

describeWithVectors("C-250 RFC 6962 probes", () => {
  const inclusion = readVectorJson<(Probe & { leafIdx: string; treeSize: string; root: string; leafHash: string })[]>(
    "merkle/rfc6962-inclusion-probes.json",
  );
  const consistency = readVectorJson<(Probe & { size1: string; size2: string; root1: string; root2: string })[]>(
    "merkle/rfc6962-consistency-probes.json",
  );

  test("are all there", () => {
    expect([inclusion.length, consistency.length]).toEqual([98, 98]);
  });

  test.each(inclusion)("inclusion $id", (probe) => {
    const verify = (): void =>
      verifyInclusion({
        index: BigInt(probe.leafIdx),
        size: BigInt(probe.treeSize),
        leafHash: decodeBase64(probe.leafHash),
        rootHash: decodeBase64(probe.root),
        proof: hashes(probe),
      });
    expect(errorCode(verify) !== undefined).toBe(probe.wantErr);
  });

  test.each(consistency)("consistency $id", (probe) => {
    const verify = (): void =>
      verifyConsistency({
        from: BigInt(probe.size1),
        to: BigInt(probe.size2),
        fromRootHash: decodeBase64(probe.root1),
        toRootHash: decodeBase64(probe.root2),
        proof: hashes(probe),
      });
    // The one probe with a note has roots of 12 bytes, which a verifier may refuse: we do.
    expect(errorCode(verify) !== undefined).toBe(probe.wantErr || probe.note !== undefined);
  });
});
