/**
 * Many hashes at once: of messages, of entries, and of a level of the tree. By the kernel, where the platform can run it.
 *
 * Hashes here lie one after the other in one byte string, as in a tile.
 */
import { sha256 } from "#crypto";
import { HASH_BYTES, type Hash, hashLeaf, hashNode } from "./hash.ts";
import { type HashPaths, STEPS_WORDS, sharedKernel } from "./kernel.ts";

/** One alone leaves three lanes idle: the platform's own SHA-256 is faster. */
const KERNEL_MIN = 2;

/**
 * SHA-256 of messages, one after the other. FIPS 180-4.
 *
 * @example
 * sha256All([new Uint8Array(), Uint8Array.of(1)]).length; // 64
 */
export function sha256All(messages: readonly Uint8Array[]): Uint8Array {
  const kernel = messages.length < KERNEL_MIN ? undefined : sharedKernel();
  return kernel?.sha256All(messages) ?? hashSingly(messages, sha256);
}

/**
 * The leaf hashes of entries, one after the other.
 *
 * @example
 * hashLeaves([new Uint8Array(), Uint8Array.of(1)]).length; // 64
 */
export function hashLeaves(entries: readonly Uint8Array[]): Uint8Array {
  const kernel = entries.length < KERNEL_MIN ? undefined : sharedKernel();
  return kernel?.hashLeaves(entries) ?? hashSingly(entries, hashLeaf);
}

/**
 * The hashes of the nodes above neighbouring pairs, one after the other.
 *
 * @param pairs - The hashes of left and right children in turn.
 * @throws {TypeError} `pairs` is not a whole number of pairs.
 */
export function hashNodes(pairs: Uint8Array): Uint8Array {
  if (pairs.length % (2 * HASH_BYTES) !== 0) {
    throw new TypeError(`pairs: expected a multiple of ${2 * HASH_BYTES} bytes, got ${pairs.length}`);
  }
  const kernel = pairs.length < KERNEL_MIN * 2 * HASH_BYTES ? undefined : sharedKernel();
  return kernel?.hashNodes(pairs) ?? hashNodesSingly(pairs);
}

/**
 * The nodes on ways up a tree: each from its hash by its siblings, from the bottom up; way after way.
 *
 * @throws {RangeError} There are not as many hashes as the steps say.
 */
export function hashPaths(paths: HashPaths): Uint8Array {
  let expected = 0;
  for (let at = 0; at < paths.steps.length; at += STEPS_WORDS) expected += 1 + stepsOf(paths, at);
  if (paths.hashes.length !== expected * HASH_BYTES) {
    throw new RangeError(`hashes: expected ${expected * HASH_BYTES} bytes, got ${paths.hashes.length}`);
  }
  return sharedKernel()?.hashPaths(paths) ?? hashPathsSingly(paths);
}

const STEPS_MAX = 64;

function stepsOf({ steps }: HashPaths, at: number): number {
  const count = Number(steps[at]);
  if (count <= STEPS_MAX) return count;
  throw new RangeError(`steps: expected at most ${STEPS_MAX}, got ${count}`);
}

/**
 * Checks that an argument is hashes, one after the other.
 *
 * @throws {TypeError} It is not a multiple of 32 bytes.
 */
export function assertHashes(hashes: Uint8Array, name: string): void {
  if (hashes.length % HASH_BYTES !== 0) {
    throw new TypeError(`${name}: expected hashes of ${HASH_BYTES} bytes each, got ${hashes.length} bytes`);
  }
}

/**
 * Hashes that lie one after the other: views, not copies. Whoever keeps one keeps all of the bytes.
 *
 * @throws {TypeError} `hashes` is not a whole number of hashes.
 */
export function splitHashes(hashes: Uint8Array): Hash[] {
  assertHashes(hashes, "hashes");
  return Array.from({ length: hashes.length / HASH_BYTES }, (_, i) =>
    hashes.subarray(i * HASH_BYTES, (i + 1) * HASH_BYTES),
  );
}

/** {@link sha256All} or {@link hashLeaves} without the kernel. */
export function hashSingly(messages: readonly Uint8Array[], hash: (message: Uint8Array) => Hash): Uint8Array {
  const hashes = new Uint8Array(messages.length * HASH_BYTES);
  for (const [i, message] of messages.entries()) hashes.set(hash(message), i * HASH_BYTES);
  return hashes;
}

/** {@link hashNodes} without the kernel. */
export function hashNodesSingly(pairs: Uint8Array): Uint8Array {
  const hashes = new Uint8Array(pairs.length / 2);
  for (let to = 0; to < hashes.length; to += HASH_BYTES) {
    const middle = 2 * to + HASH_BYTES;
    hashes.set(hashNode(pairs.subarray(2 * to, middle), pairs.subarray(middle, middle + HASH_BYTES)), to);
  }
  return hashes;
}

/** {@link hashPaths} without the kernel. */
export function hashPathsSingly({ hashes, steps }: HashPaths): Uint8Array {
  const nodes = new Uint8Array(hashes.length - (steps.length / STEPS_WORDS) * HASH_BYTES);
  let [from, to] = [0, 0];
  const take = (): Hash => hashes.subarray(from, (from += HASH_BYTES));
  for (let at = 0; at < steps.length; at += STEPS_WORDS) {
    let reached = take();
    for (let step = 0; step < Number(steps[at]); step += 1) {
      const sibling = take();
      const sides = Number(steps[at + (step < WORD_BITS ? 1 : 2)]);
      const isLeft = Math.floor(sides / 2 ** (step % WORD_BITS)) % 2 === 1;
      reached = isLeft ? hashNode(sibling, reached) : hashNode(reached, sibling);
      nodes.set(reached, to);
      to += HASH_BYTES;
    }
  }
  return nodes;
}

const WORD_BITS = 32;
