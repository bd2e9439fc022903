import { createHash } from "node:crypto";
import { sha256 as nobleSha256 } from "@noble/hashes/sha2.js";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Kernel } from "../src/kernel.ts";
import { hashNodesSingly, hashPaths, hashPathsSingly, hashSingly } from "../src/hashes.ts";
import {
  concatBytes,
  hashLeaf,
  hashLeaves,
  hashNode,
  hashNodes,
  sha256,
  sha256All,
  splitHashes,
} from "../src/index.ts";
import { errorCode } from "../../../test/support/errors.ts";

const kernel = Kernel.create();
const byKernel = kernel && {
  name: "the kernel",
  sha256All: kernel.sha256All.bind(kernel),
  hashLeaves: kernel.hashLeaves.bind(kernel),
  hashNodes: kernel.hashNodes.bind(kernel),
  hashPaths: kernel.hashPaths.bind(kernel),
};
const implementations = [
  ...(byKernel === undefined ? [] : [byKernel]),
  {
    name: "portable code",
    sha256All: (messages: readonly Uint8Array[]) => hashSingly(messages, sha256),
    hashLeaves: (entries: readonly Uint8Array[]) => hashSingly(entries, hashLeaf),
    hashNodes: hashNodesSingly,
    hashPaths: hashPathsSingly,
  },
  { name: "what core uses", sha256All, hashLeaves, hashNodes, hashPaths },
];

/** A byte string in which no two places look the same. */
function bytesOf(length: number, seed: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 31 + seed * 17 + Math.floor(i / 256)) % 256);
}

function digestAll(prefix: readonly number[], messages: readonly Uint8Array[]): Uint8Array {
  return concatBytes(
    ...messages.map((message) => createHash("sha256").update(Uint8Array.from(prefix)).update(message).digest()),
  );
}

/** A way up a tree: a hash and its siblings, and which of them are left ones. */
interface Way {
  readonly hashes: readonly Uint8Array[];
  readonly isLeft: readonly boolean[];
}

/** All in one, as they are asked for. */
function joinWays(ways: readonly Way[]): { hashes: Uint8Array; steps: Uint32Array } {
  const sides = (isLeft: readonly boolean[]): number => isLeft.reduce((sum, left, at) => sum + (left ? 2 ** at : 0), 0);
  const steps = ways.flatMap(({ isLeft }) => [isLeft.length, sides(isLeft.slice(0, 32)), sides(isLeft.slice(32))]);
  return { hashes: concatBytes(...ways.flatMap(({ hashes }) => hashes)), steps: Uint32Array.from(steps) };
}

function climb({ hashes: [first = new Uint8Array(), ...siblings], isLeft }: Way): Uint8Array[] {
  let reached = first;
  return siblings.map((sibling, at) => {
    reached = isLeft[at] === true ? hashNode(sibling, reached) : hashNode(reached, sibling);
    return reached;
  });
}

function wayOf(stepCount: number, seed: number): Way {
  return {
    hashes: Array.from({ length: stepCount + 1 }, (_, at) => bytesOf(32, seed + 7 * at)),
    isLeft: Array.from({ length: stepCount }, (_, at) => (at * at + seed) % 3 === 0),
  };
}

describe.each(implementations)("hashes by $name", ({ sha256All, hashLeaves, hashNodes, hashPaths }) => {
  test("of ways up a tree are those of hashNode, step by step, for ways of 0 to 64 steps, alone and together", () => {
    const ways = Array.from({ length: 65 }, (_, at) => wayOf(at, at));
    for (const way of ways) expect(hashPaths(joinWays([way]))).toEqual(concatBytes(...climb(way)));
    const all = [
      ...ways,
      ...ways.toReversed(),
      ...ways.map((way) => ({ ...way, isLeft: way.isLeft.map((left) => !left) })),
    ];
    expect(hashPaths(joinWays(all))).toEqual(concatBytes(...all.flatMap(climb)));
    expect(hashPaths(joinWays([]))).toEqual(new Uint8Array());
  });

  test("of ways are those of hashNode for any ways", () => {
    const hash = fc.uint8Array({ minLength: 32, maxLength: 32 });
    const way = fc.tuple(hash, fc.array(fc.tuple(hash, fc.boolean()), { maxLength: 20 })).map(([first, steps]) => ({
      hashes: [first, ...steps.map(([sibling]) => sibling)],
      isLeft: steps.map(([, isLeft]) => isLeft),
    }));
    fc.assert(
      fc.property(fc.array(way, { maxLength: 12 }), (ways) => {
        expect(hashPaths(joinWays(ways))).toEqual(concatBytes(...ways.flatMap(climb)));
      }),
      { numRuns: 200 },
    );
  });

  test("of ways are right for more steps, and more ways, than the kernel takes at once", () => {
    for (const stepCount of [0, 1, 3, 64]) {
      const ways = Array.from({ length: 800 }, (_, at) => wayOf(stepCount, at));
      expect(Buffer.compare(hashPaths(joinWays(ways)), concatBytes(...ways.flatMap(climb)))).toBe(0);
    }
  });

  test("are those of node:crypto for entries of every length to 400, in one batch and alone", () => {
    const entries = Array.from({ length: 401 }, (_, length) => bytesOf(length, length));
    expect(hashLeaves(entries)).toEqual(digestAll([0], entries));
    expect(sha256All(entries)).toEqual(digestAll([], entries));
    for (const entry of entries) {
      expect(hashLeaves([entry])).toEqual(digestAll([0], [entry]));
      expect(sha256All([entry])).toEqual(digestAll([], [entry]));
    }
  });

  test("are those of node:crypto for every number of entries and pairs to 40", () => {
    for (let count = 0; count <= 40; count += 1) {
      const entries = Array.from({ length: count }, (_, i) => bytesOf(64, i));
      expect(hashLeaves(entries)).toEqual(digestAll([0], entries));
      expect(hashNodes(concatBytes(...entries))).toEqual(digestAll([1], entries));
    }
  });

  test("are right whatever the last byte of a pair", () => {
    const pairs = Array.from({ length: 256 }, (_, last) => concatBytes(bytesOf(63, last), Uint8Array.of(last)));
    expect(hashNodes(concatBytes(...pairs))).toEqual(digestAll([1], pairs));
  });

  test("are those of SHA-256 by node:crypto and by noble for any entries, which are left as they are", () => {
    const entry = fc.uint8Array({ maxLength: 300 });
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 30 }), (entries) => {
        const before = concatBytes(...entries);
        const hashes = hashLeaves(entries);
        expect(hashes).toEqual(digestAll([0], entries));
        expect(sha256All(entries)).toEqual(digestAll([], entries));
        expect(hashes).toEqual(concatBytes(...entries.map((each) => nobleSha256(concatBytes(Uint8Array.of(0), each)))));
        expect(hashes).toEqual(concatBytes(...entries.map(hashLeaf)));
        expect(concatBytes(...entries)).toEqual(before);
      }),
      { numRuns: 300 },
    );
  });

  test("are those of hashNode for any pairs", () => {
    const hash = fc.uint8Array({ minLength: 32, maxLength: 32 });
    fc.assert(
      fc.property(fc.array(fc.tuple(hash, hash), { maxLength: 30 }), (pairs) => {
        const expected = pairs.map(([left, right]) => hashNode(left, right));
        expect(hashNodes(concatBytes(...pairs.flat()))).toEqual(concatBytes(...expected));
      }),
      { numRuns: 300 },
    );
  });

  test("are right for more than the kernel's memory holds at once, and for entries that alone do not fit", () => {
    const entries = [
      ...Array.from({ length: 5000 }, (_, i) => bytesOf(i % 70, i)),
      ...[262_100, 262_134, 262_135, 262_144, 300_000, 0, 65_535, 65_535].map(bytesOf),
      ...Array.from({ length: 9 }, (_, i) => bytesOf(65_535 - i, i)),
    ];
    const hashes = hashLeaves(entries);
    expect(Buffer.compare(hashes, digestAll([0], entries))).toBe(0);
    expect(Buffer.compare(sha256All(entries), digestAll([], entries))).toBe(0);
    const pairs = Array.from({ length: 5001 }, (_, i) => bytesOf(64, i));
    expect(Buffer.compare(hashNodes(concatBytes(...pairs)), digestAll([1], pairs))).toBe(0);
  });

  test("are right for Buffers, views, shared and resizable memory", () => {
    const bytes = bytesOf(200, 1);
    const shared = new Uint8Array(new SharedArrayBuffer(200));
    shared.set(bytes);
    const resizable = new Uint8Array(new ArrayBuffer(200, { maxByteLength: 300 }));
    resizable.set(bytes);
    const entries = [Buffer.from(bytes), concatBytes(bytes, bytes).subarray(200), shared, resizable];
    expect(hashLeaves(entries)).toEqual(digestAll([0], [bytes, bytes, bytes, bytes]));
    const pairs = [bytes.subarray(0, 64), bytes.subarray(64, 128)];
    expect(hashNodes(Buffer.from(bytes.subarray(0, 128)))).toEqual(digestAll([1], pairs));
  });

  test("are refused for what is no byte string, and right in the next call", () => {
    const entries = [bytesOf(70, 1), bytesOf(70, 2), bytesOf(70, 3)];
    const memory = new ArrayBuffer(70);
    const detached = new Uint8Array(memory);
    structuredClone(memory, { transfer: [memory] });
    const wrong = [undefined, null, new BigUint64Array(3), detached] as unknown as Uint8Array[];
    for (const each of wrong) {
      expect(errorCode(() => hashLeaves([...entries, each]))).toBe("TypeError");
      expect(hashLeaves(entries)).toEqual(digestAll([0], entries));
    }
  });
});

test("splitHashes gives a view of each hash, and refuses what is not whole hashes", () => {
  const hashes = bytesOf(96, 1);
  expect(splitHashes(hashes)).toEqual([hashes.subarray(0, 32), hashes.subarray(32, 64), hashes.subarray(64)]);
  expect(splitHashes(hashes)[1]?.buffer).toBe(hashes.buffer);
  expect(errorCode(() => splitHashes(hashes.subarray(1)))).toBe("TypeError");
});

test("hashNodes refuses half a pair and pieces of hashes", () => {
  for (const length of [1, 32, 63, 65, 96])
    expect(errorCode(() => hashNodes(new Uint8Array(length)))).toBe("TypeError");
  expect(hashNodes(new Uint8Array())).toEqual(new Uint8Array());
});

test("hashPaths refuses ways that are too long, and hashes that are not theirs", () => {
  const { hashes, steps } = joinWays([wayOf(3, 1), wayOf(64, 2)]);
  for (const count of [63, 65, 4_294_967_295]) {
    expect(errorCode(() => hashPaths({ hashes, steps: steps.with(3, count) }))).toBe("RangeError");
  }
  for (const others of [hashes.subarray(32), hashes.subarray(1), concatBytes(hashes, new Uint8Array(32))]) {
    expect(errorCode(() => hashPaths({ hashes: others, steps }))).toBe("RangeError");
  }
});
