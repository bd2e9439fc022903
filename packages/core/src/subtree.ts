/**
 * Subtrees of a tree, and the proofs between leaf, subtree and tree. Merkle Tree Certificates §4, as the C2SP
 * cosignatures of subtrees take it.
 */
import { type Hash, assertHash } from "./hash.ts";
import { type LeafRange, joinNodes, nodesOf } from "./node.ts";
import { type Path, type ProofPlan, pathBetween, planPath, provePlan, verifyPath } from "./path.ts";
import type { NodeReader } from "./proof.ts";
import { type Uint, toBigInt, toUint } from "./uint.ts";

/** The leaves from `start` to before `end`. */
export interface Subtree {
  readonly start: Uint;
  readonly end: Uint;
}

/** A leaf of a subtree. */
export interface SubtreeInclusionEnds extends Subtree {
  /** In the whole tree: from `start` to before `end`. */
  readonly index: Uint;
}

/** A subtree of a tree. */
export interface SubtreeConsistencyEnds extends Subtree {
  /** Leaves in the tree, at least `end`. */
  readonly size: Uint;
}

/** The width of the largest subtree: the next power of two no longer fits a signed 64-bit integer. */
const SUBTREE_LEAVES_MAX = 2n ** 62n;

/**
 * Whether `start` to before `end` is a subtree: not empty, and `start` a multiple of the least power of two that is not
 * below its width. §4.1.
 *
 * @throws {RangeError} `start` or `end` is out of range.
 * @example
 * isValidSubtree({ start: 8, end: 13 }); // true
 * isValidSubtree({ start: 2, end: 6 }); // false
 */
export function isValidSubtree({ start, end }: Subtree): boolean {
  const first = toBigInt(start, "start");
  const width = toBigInt(end, "end") - first;
  return width >= 1n && width <= SUBTREE_LEAVES_MAX && first % powerNotBelow(width) === 0n;
}

/**
 * The one or two subtrees that cover the leaves from `start` to before `end`, at most twice as many. §4.5.
 *
 * The left one may begin before `start`; the right one ends at `end`.
 *
 * @throws {RangeError} The interval is empty or out of range.
 * @example
 * coverSubtrees({ start: 5, end: 13 }); // [{ start: 4, end: 8 }, { start: 8, end: 13 }]
 */
export function coverSubtrees(interval: Subtree): Subtree[] {
  const start = toBigInt(interval.start, "start");
  const end = toBigInt(interval.end, "end");
  if (start >= end) throw new RangeError(`end: expected above the start ${start}, got ${end}`);
  const last = end - 1n;
  if (start === last) return [{ start: toUint(start), end: toUint(end) }];
  // The largest power of two of which a multiple lies behind the first leaf, yet not behind the last.
  let power = 1n;
  while (start / (power * 2n) !== last / (power * 2n)) power *= 2n;
  const middle = last - (last % power);
  const leftStart = start - (start % powerNotBelow(middle - start));
  return [
    { start: toUint(leftStart), end: toUint(middle) },
    { start: toUint(middle), end: toUint(end) },
  ];
}

/**
 * Plans the hash of a subtree: the one hash that the plan assembles.
 *
 * @throws {RangeError} Not a valid subtree.
 */
export function planSubtreeHash(subtree: Subtree): ProofPlan {
  return planPath({ base: subtreeRange(subtree), partial: true, steps: [] });
}

/**
 * Plans the proof that a subtree holds the leaf at `index`.
 *
 * @throws {RangeError} Not a valid subtree, or `index` is outside.
 */
export function planSubtreeInclusion(ends: SubtreeInclusionEnds): ProofPlan {
  return planPath(subtreeInclusionPath(ends));
}

/**
 * Plans the proof that the tree of `size` leaves holds a subtree.
 *
 * @throws {RangeError} Not a valid subtree, or it ends behind the tree.
 */
export function planSubtreeConsistency(ends: SubtreeConsistencyEnds): ProofPlan {
  return planPath(subtreeConsistencyPath(ends));
}

/**
 * The hash of a subtree: that of a tree with just these leaves.
 *
 * @throws {RangeError} Not a valid subtree.
 */
export function subtreeHash({ start, end, getNode }: Subtree & NodeReader): Hash {
  return joinNodes(nodesOf(subtreeRange({ start, end })).map((node) => getNode(node)));
}

/**
 * Makes a subtree inclusion proof: sibling hashes from the leaf to the root of the subtree.
 *
 * @throws {RangeError} Not a valid subtree, or `index` is outside.
 */
export function proveSubtreeInclusion({ start, end, index, getNode }: SubtreeInclusionEnds & NodeReader): Hash[] {
  return provePlan(planSubtreeInclusion({ start, end, index }), getNode);
}

/**
 * Makes a subtree consistency proof; that of a subtree from 0 on is an ordinary consistency proof.
 *
 * @throws {RangeError} Not a valid subtree, or it ends behind the tree.
 */
export function proveSubtreeConsistency({ start, end, size, getNode }: SubtreeConsistencyEnds & NodeReader): Hash[] {
  return provePlan(planSubtreeConsistency({ start, end, size }), getNode);
}

/** What a subtree inclusion proof is held against. */
export interface SubtreeInclusionClaim extends SubtreeInclusionEnds {
  readonly leafHash: Hash;
  readonly subtreeHash: Hash;
  readonly proof: readonly Hash[];
}

/**
 * Verifies that the subtree with `subtreeHash` holds `leafHash` at `index` of the whole tree. §4.3.
 *
 * Does not check that the subtree is part of any tree.
 *
 * @throws {RangeError} Not a valid subtree, or `index` is outside.
 * @throws {TypeError} A hash is not 32 bytes long.
 * @throws {TlogError} `proof-invalid`: the proof does not lead from `leafHash` to `subtreeHash`.
 */
export function verifySubtreeInclusion(claim: SubtreeInclusionClaim): void {
  assertHash(claim.leafHash, "leafHash");
  assertHash(claim.subtreeHash, "subtreeHash");
  const { proof, leafHash: targetHash, subtreeHash: treeHash } = claim;
  const path = subtreeInclusionPath(claim);
  verifyPath({ path, proof, targetHash, treeHash, what: "subtree inclusion proof" });
}

/** What a subtree consistency proof is held against. */
export interface SubtreeConsistencyClaim extends SubtreeConsistencyEnds {
  readonly subtreeHash: Hash;
  readonly rootHash: Hash;
  readonly proof: readonly Hash[];
}

/**
 * Verifies that the tree of `size` leaves with `rootHash` holds the subtree with `subtreeHash`. §4.4.
 *
 * @throws {RangeError} Not a valid subtree, or it ends behind the tree.
 * @throws {TypeError} A hash is not 32 bytes long.
 * @throws {TlogError} `proof-invalid`: the proof does not lead to both hashes.
 */
export function verifySubtreeConsistency(claim: SubtreeConsistencyClaim): void {
  assertHash(claim.subtreeHash, "subtreeHash");
  assertHash(claim.rootHash, "rootHash");
  const { proof, subtreeHash: targetHash, rootHash: treeHash } = claim;
  const path = subtreeConsistencyPath(claim);
  verifyPath({ path, proof, targetHash, treeHash, what: "subtree consistency proof" });
}

function subtreeInclusionPath(ends: SubtreeInclusionEnds): Path {
  const tree = subtreeRange(ends);
  const index = toBigInt(ends.index, "index");
  if (index < tree.start || index >= tree.end) {
    throw new RangeError(`index: expected in [${tree.start}, ${tree.end}), got ${index}`);
  }
  return pathBetween({ target: { start: index, end: index + 1n }, tree });
}

function subtreeConsistencyPath(ends: SubtreeConsistencyEnds): Path {
  const target = subtreeRange(ends);
  const size = toBigInt(ends.size, "size");
  if (target.end > size) throw new RangeError(`end: expected at most the size ${size}, got ${target.end}`);
  return pathBetween({ target, tree: { start: 0n, end: size } });
}

function subtreeRange({ start, end }: Subtree): LeafRange {
  if (!isValidSubtree({ start, end })) throw new RangeError(`[${start}, ${end}) is not a valid subtree`);
  return { start: BigInt(start), end: BigInt(end) };
}

/** The least power of two that is not below `width`. */
function powerNotBelow(width: bigint): bigint {
  let power = 1n;
  while (power < width) power *= 2n;
  return power;
}
