import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Hash, concatBytes, hashLeaf, proveInclusion, verifyInclusion } from "../src/index.ts";
import { VerifiedTree, WAYS_MAX } from "../src/verified-tree.ts";
import { errorCode } from "../../../test/support/errors.ts";
import { MemoryTree, someEntries } from "./memory-tree.ts";
import { alteredProofs } from "./mutations.ts";
import { ReferenceTree } from "./reference-tree.ts";

interface Way {
  readonly index: number;
  readonly leafHash: Hash;
  readonly proof: readonly Hash[];
}

function treeOf(size: number): { way: (index: number) => Way; rootHash: Hash; size: number } {
  const entries = someEntries(size);
  const { getNode, range } = MemoryTree.of(entries);
  const way = (index: number): Way => ({
    index,
    leafHash: hashLeaf(entries[index] ?? new Uint8Array()),
    proof: proveInclusion({ index, size, getNode }),
  });
  return { way, rootHash: range.rootHash(), size };
}

/** The verdicts on ways, as many at a time as go together. */
function verdictsOf(tree: VerifiedTree, ways: readonly Way[]): boolean[] {
  const verdicts: boolean[] = [];
  for (let from = 0; from < ways.length; from += WAYS_MAX) {
    const some = ways.slice(from, from + WAYS_MAX);
    const isTaken = some.map(({ index, proof }) => {
      const words = new Uint32Array(concatBytes(...proof).buffer);
      return tree.take(index, words, proof.length);
    });
    const taken = some.filter((_, at) => isTaken[at]);
    const settled = tree.settle(concatBytes(...taken.map(({ leafHash }) => leafHash)));
    verdicts.push(...isTaken.map((is) => is && settled.shift() === true));
  }
  return verdicts;
}

describe("a tree of which ways are verified", () => {
  test("takes every leaf of every tree to 70 leaves, in any order, each alone and with others, again too", () => {
    for (let size = 1; size <= 70; size += 1) {
      const { way, rootHash } = treeOf(size);
      const ways = Array.from({ length: size }, (_, index) => way(index));
      const together = new VerifiedTree({ size, rootHash });
      const yes = ways.map(() => true);
      expect(verdictsOf(together, ways.toReversed())).toEqual(yes);
      expect(verdictsOf(together, ways)).toEqual(yes);
      // Every node of the tree, and no other.
      expect(together.nodeCount).toBe(2 * size - 1);
      const alone = new VerifiedTree({ size, rootHash });
      expect(ways.flatMap((each) => verdictsOf(alone, [each]))).toEqual(yes);
      expect(alone.nodeCount).toBe(2 * size - 1);
    }
  });

  test("refuses what verifyInclusion refuses, whatever it knows of the tree already", () => {
    for (const size of [1, 2, 3, 7, 8, 13, 33]) {
      const { way, rootHash } = treeOf(size);
      for (let index = 0; index < size; index += 1) {
        const { leafHash, proof } = way(index);
        const hostile = [
          ...[...alteredProofs(proof)].map((altered) => ({ index, leafHash, proof: altered })),
          ...Array.from({ length: size }, (_, other) => ({ index: other, leafHash, proof })),
          { index, leafHash: rootHash, proof },
          { index, leafHash: rootHash, proof: [] },
        ].filter(({ proof }) => proof.every((hash) => hash.length === 32));
        const expected = hostile.map(
          (each) => errorCode(() => verifyInclusion({ ...each, size, rootHash })) === undefined,
        );
        // With nothing known, with the same leaf known, with another one, with all.
        const known = [
          [],
          [way(index)],
          [way((index + 1) % size)],
          Array.from({ length: size }, (_, each) => way(each)),
        ];
        for (const ways of known) {
          const tree = new VerifiedTree({ size, rootHash });
          verdictsOf(tree, ways);
          expect(verdictsOf(tree, hostile)).toEqual(expected);
          expect(tree.nodeCount).toBeLessThan(2 * size);
        }
      }
    }
  });

  test("knows nothing of what was refuted", () => {
    const { way, rootHash, size } = treeOf(100);
    const tree = new VerifiedTree({ size, rootHash });
    const { leafHash, ...rest } = way(50);
    expect(verdictsOf(tree, [{ ...rest, leafHash: rootHash }])).toEqual([false]);
    expect(tree.nodeCount).toBe(1);
    expect(
      verdictsOf(tree, [
        { ...rest, leafHash: rootHash },
        { ...rest, leafHash },
      ]),
    ).toEqual([false, true]);
  });

  test("judges any mixture of good and bad ways as verifyInclusion does", () => {
    const size = 1000;
    const { way, rootHash } = treeOf(size);
    const any = fc.record({ index: fc.nat(size - 1), of: fc.nat(size - 1), isBad: fc.boolean(), place: fc.nat(20) });
    fc.assert(
      fc.property(fc.array(any, { maxLength: 100 }), (choices) => {
        const tree = new VerifiedTree({ size, rootHash });
        const ways = choices.map(({ index, of, isBad, place }) => {
          const good = way(index);
          if (!isBad) return good;
          const other = way(of);
          const at = place % good.proof.length;
          return place === 20
            ? { ...other, index }
            : { ...good, proof: good.proof.with(at, other.proof[at % other.proof.length] ?? rootHash) };
        });
        const expected = ways.map(
          (each) => errorCode(() => verifyInclusion({ ...each, size, rootHash })) === undefined,
        );
        expect(verdictsOf(tree, ways)).toEqual(expected);
      }),
      { numRuns: 100 },
    );
  });

  test("the largest sizes and indexes are exact", () => {
    const indexes = [0, 1, 2 ** 32 - 1, 2 ** 32, 2 ** 33 + 5, 2 ** 52 - 1, 2 ** 52, 2 ** 53 - 3, 2 ** 53 - 2];
    const entries = new Map(indexes.map((index, at) => [BigInt(index), Uint8Array.of(at)]));
    const reference = ReferenceTree.sparse(entries);
    for (const size of [Number.MAX_SAFE_INTEGER, 2 ** 52, 2 ** 52 + 1, 2 ** 33 + 6]) {
      const rootHash = reference.hash(0n, BigInt(size));
      const ways = indexes
        .filter((index) => index < size)
        .map((index) => ({
          index,
          leafHash: hashLeaf(entries.get(BigInt(index)) ?? new Uint8Array()),
          proof: reference.inclusion(BigInt(index), [0n, BigInt(size)]),
        }));
      const tree = new VerifiedTree({ size, rootHash });
      for (let round = 0; round < 2; round += 1) {
        expect(verdictsOf(tree, ways)).toEqual(ways.map(() => true));
        const shifted = ways.map((way) => ({ ...way, index: way.index === 0 ? 2 : way.index - 1 }));
        expect(verdictsOf(tree, shifted)).toEqual(ways.map(() => false));
      }
    }
  });

  test("forgets what is too much, and goes on", () => {
    const size = 40_000;
    const { way, rootHash } = treeOf(size);
    const tree = new VerifiedTree({ size, rootHash });
    let most = 0;
    for (let index = 0; index < size; index += 2 * WAYS_MAX) {
      const ways = Array.from({ length: WAYS_MAX }, (_, at) => way((index * 7 + at * 911) % size));
      expect(verdictsOf(tree, ways)).toEqual(ways.map(() => true));
      most = Math.max(most, tree.nodeCount);
    }
    expect(most).toBeGreaterThan(20_000);
    expect(most).toBeLessThanOrEqual(32_768);
  });
});
