/** The right edge of a growing tree: all that has to be kept to append leaves and to know every root hash. */
import { concatBytes } from "./bytes.ts";
import { invariant } from "./error.ts";
import { HASH_BYTES, type Hash, assertHash, emptyRootHash, hashNode } from "./hash.ts";
import { assertHashes, hashNodes } from "./hashes.ts";
import { type NodeId, joinNodes, nodesOf } from "./node.ts";
import { assertSafeUint } from "./uint.ts";

/** Is told of a node whose perfect subtree an appended leaf has completed. */
export type NodeListener = (level: number, index: number, hash: Hash) => void;

/**
 * Is told of neighbouring nodes of one level whose perfect subtrees appended leaves have completed: the index of the
 * first, and their hashes one after the other, which it may keep but not change.
 */
export type NodesListener = (level: number, index: number, hashes: Uint8Array) => void;

/**
 * The perfect subtrees that a tree divides into, one for each 1 in the binary form of its size.
 *
 * At most 53 hashes whatever the size. Appending hashes two nodes per leaf on average and allocates nothing but hashes.
 */
export class CompactRange {
  #size: number;
  readonly #hashes: Hash[];

  private constructor(size: number, hashes: Hash[]) {
    this.#size = size;
    this.#hashes = hashes;
  }

  /** The tree without leaves. */
  static empty(): CompactRange {
    return new CompactRange(0, []);
  }

  /**
   * The edge of a tree of `size` leaves from the hashes of its perfect subtrees, largest first; {@link compactRangeNodes}
   * names them. Believes the hashes: compare the root hash.
   *
   * @throws {RangeError} `size` is no safe integer, or has another number of perfect subtrees.
   * @throws {TypeError} A hash is not 32 bytes long.
   */
  static of({ size, hashes }: { readonly size: number; readonly hashes: readonly Hash[] }): CompactRange {
    const expected = compactRangeNodes(size).length;
    if (hashes.length !== expected) {
      throw new RangeError(`hashes: expected ${expected} for ${size} leaves, got ${hashes.length}`);
    }
    for (const hash of hashes) assertHash(hash);
    return new CompactRange(size, [...hashes]);
  }

  /** Leaves so far. */
  get size(): number {
    return this.#size;
  }

  /** The hashes of the perfect subtrees, largest first. A copy. */
  get hashes(): readonly Hash[] {
    return [...this.#hashes];
  }

  /**
   * Appends a leaf.
   *
   * @param onNode - Is told of every node that this completes, from the leaf itself (level 0) up.
   * @throws {RangeError} The tree has 2^53 - 1 leaves.
   * @throws {TypeError} `leafHash` is not 32 bytes long.
   */
  append(leafHash: Hash, onNode?: NodeListener): void {
    assertHash(leafHash, "leafHash");
    if (this.#size === Number.MAX_SAFE_INTEGER) throw new RangeError("the tree is full");
    const hashes = this.#hashes;
    let hash = leafHash;
    let level = 0;
    let index = this.#size;
    onNode?.(level, index, hash);
    // Each 1 at the end of the size is a subtree as large as the one just completed: its left sibling.
    while (index % 2 === 1) {
      const left = hashes.pop();
      invariant(left !== undefined, "a compact range has a hash for every 1 of its size");
      hash = hashNode(left, hash);
      level += 1;
      index = (index - 1) / 2;
      onNode?.(level, index, hash);
    }
    hashes.push(hash);
    this.#size += 1;
  }

  /**
   * Appends many leaves, a level of the tree at a time: in a quarter of the time that one by one they take.
   *
   * @param leafHashes - One after the other, as {@link hashLeaves} gives them.
   * @param onNodes - Is told of all nodes that this completes, level by level from the leaves themselves (level 0) up.
   * @throws {RangeError} The tree would have more than 2^53 - 1 leaves.
   * @throws {TypeError} `leafHashes` is not a whole number of hashes.
   */
  appendAll(leafHashes: Uint8Array, onNodes?: NodesListener): void {
    assertHashes(leafHashes, "leafHashes");
    const added = leafHashes.length / HASH_BYTES;
    if (added > Number.MAX_SAFE_INTEGER - this.#size) throw new RangeError("the tree is full");
    const edge = this.#hashes;
    /** Without a right sibling yet, smallest subtree first. */
    const single: Hash[] = [];
    let index = this.#size;
    let hashes = leafHashes;
    for (let level = 0; hashes.length > 0; level += 1) {
      onNodes?.(level, index, hashes);
      if (index % 2 === 1) {
        const left = edge.pop();
        invariant(left !== undefined, "a compact range has a hash for every 1 of its size");
        hashes = concatBytes(left, hashes);
      }
      const pairs = hashes.length - (hashes.length % (2 * HASH_BYTES));
      if (pairs < hashes.length) single.push(concatBytes(hashes.subarray(pairs)));
      hashes = hashNodes(hashes.subarray(0, pairs));
      index = Math.floor(index / 2);
    }
    edge.push(...single.reverse());
    this.#size += added;
  }

  /** The root hash of the tree so far. */
  rootHash(): Hash {
    return this.#size === 0 ? emptyRootHash() : joinNodes(this.#hashes);
  }

  /** A second edge that grows on its own. */
  clone(): CompactRange {
    return new CompactRange(this.#size, [...this.#hashes]);
  }
}

/**
 * The nodes whose hashes {@link CompactRange.of} takes for a tree of `size` leaves, largest first.
 *
 * @throws {RangeError} `size` is not a safe non-negative integer.
 */
export function compactRangeNodes(size: number): NodeId[] {
  assertSafeUint(size, "size");
  return nodesOf({ start: 0n, end: BigInt(size) });
}

/**
 * The root hash of the tree with these leaf hashes: MTH of RFC 6962 §2.1.
 *
 * @param leafHashes - One by one, or one after the other in one byte string, as in a tile.
 * @throws {TypeError} One of them is not 32 bytes long.
 */
export function treeHash(leafHashes: Iterable<Hash> | Uint8Array): Hash {
  const range = CompactRange.empty();
  if (leafHashes instanceof Uint8Array) range.appendAll(leafHashes);
  else for (const portion of joinHashes(leafHashes)) range.appendAll(portion);
  return range.rootHash();
}

/** As many as a tile has. */
const PORTION_HASHES = 256;

/** Joins hashes into byte strings, each of which is gone when the next is asked for. */
function* joinHashes(hashes: Iterable<Hash>): Iterable<Uint8Array> {
  const portion = new Uint8Array(PORTION_HASHES * HASH_BYTES);
  let end = 0;
  for (const hash of hashes) {
    assertHash(hash);
    portion.set(hash, end);
    end += HASH_BYTES;
    if (end < portion.length) continue;
    yield portion;
    end = 0;
  }
  yield portion.subarray(0, end);
}
