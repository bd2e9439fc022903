/** The hashes of a tree: SHA-256, with one prefix for leaves and another for nodes. RFC 6962 §2.1. */
import { sha256 } from "#crypto";

/** 32 bytes: the hash of a leaf, a node or a whole tree. Made by this file, or by a parser that checked the length. */
export type Hash = Uint8Array;

/** The length of a {@link Hash}. */
export const HASH_BYTES = 32;

const LEAF_PREFIX = 0x00;
const NODE_PREFIX = 0x01;

// What is hashed is put together in these two, so that a hash allocates its result and nothing else that matters.
// Everything here is synchronous: nobody sees them half written.
const node = new Uint8Array(1 + 2 * HASH_BYTES);
node[0] = NODE_PREFIX;
const LEAF_BUFFER_BYTES = 4096;
const leaf = new Uint8Array(LEAF_BUFFER_BYTES);
leaf[0] = LEAF_PREFIX;

/**
 * The leaf hash of an entry: SHA-256(0x00 entry).
 *
 * @example
 * hashLeaf(new Uint8Array()); // 6e340b9c…
 */
export function hashLeaf(entry: Uint8Array): Hash {
  const size = entry.length + 1;
  const input = size <= LEAF_BUFFER_BYTES ? leaf.subarray(0, size) : new Uint8Array(size);
  input.set(entry, 1);
  return sha256(input);
}

/**
 * The hash of an inner node: SHA-256(0x01 left right).
 *
 * @throws {TypeError} `left` or `right` is not 32 bytes long.
 */
export function hashNode(left: Hash, right: Hash): Hash {
  assertHash(left, "left");
  assertHash(right, "right");
  node.set(left, 1);
  node.set(right, 1 + HASH_BYTES);
  return sha256(node);
}

/** The root hash of the tree without leaves: SHA-256 of nothing. */
export function emptyRootHash(): Hash {
  return sha256(new Uint8Array());
}

/**
 * Checks that an argument is as long as a hash.
 *
 * @throws {TypeError} It is not 32 bytes.
 */
export function assertHash(hash: Uint8Array, name = "hash"): asserts hash is Hash {
  if (hash.length !== HASH_BYTES) {
    throw new TypeError(`${name}: expected a hash of ${HASH_BYTES} bytes, got ${hash.length}`);
  }
}
