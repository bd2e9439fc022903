/**
 * Inclusion proofs, that a tree holds a leaf, and consistency proofs, that it extends an older one. RFC 6962 §2.1.1, §2.1.2.
 *
 * Each comes as plan (which nodes it takes, for those who have to fetch them), prove and verify.
 */
import { equalBytes } from "./bytes.ts";
import { TlogError } from "./error.ts";
import { type Hash, assertHash, emptyRootHash } from "./hash.ts";
import type { NodeId } from "./node.ts";
import { type Path, type ProofPlan, assertProofSize, pathBetween, planPath, provePlan, verifyPath } from "./path.ts";
import { type Uint, toBigInt } from "./uint.ts";

/** A leaf of a tree. */
export interface InclusionEnds {
  /** Below `size`. */
  readonly index: Uint;
  /** Leaves in the tree. */
  readonly size: Uint;
}

/** Two sizes of one tree. */
export interface ConsistencyEnds {
  /** The older size, at most `to`. */
  readonly from: Uint;
  readonly to: Uint;
}

/** Reads the hash of a node from wherever it is. */
export interface NodeReader {
  readonly getNode: (node: NodeId) => Hash;
}

/**
 * Plans the proof that the tree of `size` leaves holds the leaf at `index`.
 *
 * @throws {RangeError} `index` is not below `size`.
 */
export function planInclusion(ends: InclusionEnds): ProofPlan {
  return planPath(inclusionPath(ends));
}

/**
 * Plans the proof that the tree of size `to` extends that of size `from`.
 *
 * @throws {RangeError} `from` is above `to`.
 */
export function planConsistency(ends: ConsistencyEnds): ProofPlan {
  return planPath(consistencyPath(ends));
}

/**
 * Makes an inclusion proof: sibling hashes from leaf to root.
 *
 * @throws {RangeError} `index` is not below `size`.
 */
export function proveInclusion({ index, size, getNode }: InclusionEnds & NodeReader): Hash[] {
  return provePlan(planInclusion({ index, size }), getNode);
}

/**
 * Makes a consistency proof: empty when the sizes are equal or `from` is 0.
 *
 * @throws {RangeError} `from` is above `to`.
 */
export function proveConsistency({ from, to, getNode }: ConsistencyEnds & NodeReader): Hash[] {
  return provePlan(planConsistency({ from, to }), getNode);
}

/** What an inclusion proof is held against. */
export interface InclusionClaim extends InclusionEnds {
  readonly leafHash: Hash;
  readonly rootHash: Hash;
  /** Sibling hashes from leaf to root; empty when `size` is 1. */
  readonly proof: readonly Hash[];
}

/**
 * Verifies that the tree of `size` leaves with `rootHash` holds `leafHash` at `index`.
 *
 * Trusts neither the proof nor its length, which is checked before anything is hashed. Does not check who signed the
 * root. RFC 6962 §2.1.1.
 *
 * @throws {RangeError} `index` is not below `size`, or one of them is out of range.
 * @throws {TypeError} `leafHash` or `rootHash` is not 32 bytes long.
 * @throws {TlogError} `proof-invalid`: the proof does not lead from `leafHash` to `rootHash`.
 * @example
 * verifyInclusion({ index: 3, size: 7, leafHash, rootHash, proof });
 */
export function verifyInclusion({ index, size, leafHash, rootHash, proof }: InclusionClaim): void {
  assertHash(leafHash, "leafHash");
  assertHash(rootHash, "rootHash");
  const path = inclusionPath({ index, size });
  verifyPath({ path, proof, targetHash: leafHash, treeHash: rootHash, what: "inclusion proof" });
}

/** What a consistency proof is held against. */
export interface ConsistencyClaim extends ConsistencyEnds {
  readonly fromRootHash: Hash;
  readonly toRootHash: Hash;
  /** Empty when the sizes are equal or `from` is 0. */
  readonly proof: readonly Hash[];
}

/**
 * Verifies that the tree of size `to` with `toRootHash` begins with all leaves of the tree of size `from` with
 * `fromRootHash`.
 *
 * Every tree extends the empty one, whose root hash is still checked. Does not check who signed the roots. RFC 6962 §2.1.2.
 *
 * @throws {RangeError} `from` is above `to`, or one of them is out of range.
 * @throws {TypeError} A root hash is not 32 bytes long.
 * @throws {TlogError} `proof-invalid`: the proof does not lead to both root hashes.
 * @example
 * verifyConsistency({ from: 3, to: 7, fromRootHash, toRootHash, proof });
 */
export function verifyConsistency({ from, to, fromRootHash, toRootHash, proof }: ConsistencyClaim): void {
  assertHash(fromRootHash, "fromRootHash");
  assertHash(toRootHash, "toRootHash");
  const path = consistencyPath({ from, to });
  const what = "consistency proof";
  if (BigInt(from) > 0n) {
    verifyPath({ path, proof, targetHash: fromRootHash, treeHash: toRootHash, what });
    return;
  }
  assertProofSize(proof, 0, what);
  assertEmptyRoot(from, fromRootHash);
  assertEmptyRoot(to, toRootHash);
}

function assertEmptyRoot(size: Uint, rootHash: Hash): void {
  if (BigInt(size) === 0n && !equalBytes(rootHash, emptyRootHash())) {
    throw new TlogError("proof-invalid", "consistency proof: the root hash of size 0 is not that of the empty tree");
  }
}

function inclusionPath(ends: InclusionEnds): Path {
  const index = toBigInt(ends.index, "index");
  const size = toBigInt(ends.size, "size");
  if (index >= size) throw new RangeError(`index: expected below the size ${size}, got ${index}`);
  return pathBetween({ target: { start: index, end: index + 1n }, tree: { start: 0n, end: size } });
}

function consistencyPath(ends: ConsistencyEnds): Path {
  const from = toBigInt(ends.from, "from");
  const to = toBigInt(ends.to, "to");
  if (from > to) throw new RangeError(`from: expected at most the size ${to}, got ${from}`);
  // Every tree extends the empty one: there is nothing to climb.
  const end = from === 0n ? 0n : to;
  return pathBetween({ target: { start: 0n, end: from }, tree: { start: 0n, end } });
}
