import * as fc from "fast-check";
import { expect, test } from "vitest";
import { hashLeaf, treeHash } from "../src/index.ts";
import { someEntries } from "./memory-tree.ts";
import { ReferenceTree } from "./reference-tree.ts";

test("C-251 the growing edge has the root of the recursive definition at random sizes to 2^20", () => {
  const entries = someEntries(2 ** 20);
  const leafHashes = entries.map(hashLeaf);
  const reference = ReferenceTree.of(entries);
  fc.assert(
    fc.property(fc.integer({ min: 2 ** 16, max: 2 ** 20 }), (size) => {
      expect(treeHash(leafHashes.slice(0, size))).toEqual(reference.hash(0n, BigInt(size)));
    }),
    { numRuns: 10 },
  );
});
