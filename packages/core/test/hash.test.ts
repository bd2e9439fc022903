import { createHash } from "node:crypto";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeHex, emptyRootHash, encodeHex, hashLeaf, hashNode } from "../src/index.ts";
import { errorCode } from "../../../test/support/errors.ts";
import { describeWithVectors, readVectorJson } from "../../../test/support/vectors.ts";

test("C-244 a leaf is hashed behind 00, a node behind 01, and the empty tree is the hash of nothing", () => {
  expect(encodeHex(hashLeaf(new Uint8Array()))).toBe(
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
  );
  expect(encodeHex(emptyRootHash())).toBe("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  const left = hashLeaf(Uint8Array.of(1));
  const right = hashLeaf(Uint8Array.of(2));
  expect(encodeHex(hashNode(left, right))).toBe(
    createHash("sha256").update(Uint8Array.of(1)).update(left).update(right).digest("hex"),
  );
});

describe("hashLeaf", () => {
  test("gives the same for entries of any length, one after the other", () => {
    const lengths = fc.oneof(fc.nat(300), fc.integer({ min: 4090, max: 4100 }));
    fc.assert(
      fc.property(lengths, fc.nat(255), (length, byte) => {
        const entry = new Uint8Array(length).fill(byte);
        const expected = createHash("sha256").update(Uint8Array.of(0)).update(entry).digest("hex");
        expect(encodeHex(hashLeaf(entry))).toBe(expected);
      }),
    );
  });

  test("returns a hash that later calls leave alone", () => {
    const first = hashLeaf(Uint8Array.of(1));
    const kept = first.slice();
    hashNode(first, hashLeaf(Uint8Array.of(2)));
    expect(first).toEqual(kept);
  });
});

test("hashNode refuses what is not a hash and says which one", () => {
  const hash = emptyRootHash();
  expect(errorCode(() => hashNode(hash, hash.subarray(1)))).toBe("TypeError");
  expect(() => hashNode(new Uint8Array(33), hash)).toThrow("left: expected a hash of 32 bytes, got 33");
});

describeWithVectors("reference tree of 8 leaves", () => {
  const vector = readVectorJson<{ leaf_inputs_hex: string[]; node_hashes_hex: string[][] }>(
    "merkle/rfc6962-reference-tree.json",
  );

  test("C-245 every leaf and every inner node has the known hash", () => {
    let hashes = vector.leaf_inputs_hex.map((entry) => hashLeaf(decodeHex(entry)));
    for (const expected of vector.node_hashes_hex) {
      expect(hashes.map(encodeHex)).toEqual(expected);
      hashes = hashes.flatMap((left, i) => (i % 2 === 0 ? [hashNode(left, hashes[i + 1] ?? left)] : []));
    }
  });
});
