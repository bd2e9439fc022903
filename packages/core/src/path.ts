/**
 * The way from a subtree up to the tree that holds it: the one walk behind every proof.
 *
 * A leaf is a subtree, and so is an older state of the whole tree. So inclusion (RFC 6962 §2.1.1), consistency (§2.1.2)
 * and their subtree forms (Merkle Tree Certificates §4.3, §4.4) are this walk between different ends.
 */
import { equalBytes } from "./bytes.ts";
import { TlogError, invariant } from "./error.ts";
import { type Hash, HASH_BYTES, hashNode } from "./hash.ts";
import { type LeafRange, type NodeId, joinNodes, nodesOf } from "./node.ts";

/** One step up: the current subtree is joined with its sibling. */
interface Step {
  readonly sibling: LeafRange;
  /** Where the sibling's leaves lie: before the target, after it, or inside it, to the left of what was climbed so far. */
  readonly place: "before" | "after" | "inside";
}

/** The steps from `target` up to `tree`. */
export interface Path {
  /** Where the climb starts: the target, or the last subtree of a target that is not complete in the tree. */
  readonly base: LeafRange;
  /** Whether `base` is only a part of the target. Its hash then has to come with the proof. */
  readonly partial: boolean;
  /** From the base up. At most 63. */
  readonly steps: readonly Step[];
}

/** What a walk is between. `target` is not empty, lies in `tree`, and is a valid subtree seen from where `tree` starts. */
export interface Ends {
  readonly target: LeafRange;
  readonly tree: LeafRange;
}

/** Finds the way by going down from the tree, halving it as RFC 6962 does, until what is left is all target. */
export function pathBetween({ target, tree }: Ends): Path {
  const steps: Step[] = [];
  let { start, end } = tree;
  let from = target.start;
  let width = 1n;
  while (width * 2n < end - start) width *= 2n;
  while (from !== start || target.end !== end) {
    while (width >= end - start) width /= 2n;
    const middle = start + width;
    if (target.end <= middle) {
      steps.push({ sibling: { start: middle, end }, place: "after" });
      end = middle;
    } else {
      const place = from >= middle ? "before" : "inside";
      steps.push({ sibling: { start, end: middle }, place });
      start = middle;
      if (place === "inside") from = middle;
    }
  }
  return { base: { start, end }, partial: from !== target.start, steps: steps.reverse() };
}

/** What a proof needs, before a single hash has been read. */
export interface ProofPlan {
  /** The nodes whose hashes it takes, in the order in which {@link ProofPlan.assemble} wants them. */
  readonly nodes: readonly NodeId[];
  /**
   * Makes the proof from the hashes of `nodes`.
   *
   * @throws {RangeError} Not one hash for each node.
   */
  assemble(hashes: readonly Hash[]): Hash[];
}

/** Plans the proof along `path`: the hash of each sibling, from the bottom up. */
export function planPath({ base, partial, steps }: Path): ProofPlan {
  const siblings = steps.map(({ sibling }) => sibling);
  const groups = (partial ? [base, ...siblings] : siblings).map(nodesOf);
  const nodes = groups.flat();
  const assemble = (hashes: readonly Hash[]): Hash[] => {
    if (hashes.length !== nodes.length) {
      throw new RangeError(`hashes: expected one for each of ${nodes.length} nodes, got ${hashes.length}`);
    }
    let used = 0;
    return groups.map(({ length }) => joinNodes(hashes.slice(used, (used += length))));
  };
  return { nodes, assemble };
}

/** Reads the nodes of a plan, one by one, and makes its proof. */
export function provePlan(plan: ProofPlan, getNode: (node: NodeId) => Hash): Hash[] {
  return plan.assemble(plan.nodes.map((node) => getNode(node)));
}

/** What a proof claims: that by `path` a target with one hash is part of a tree with another. */
export interface Claim {
  readonly path: Path;
  readonly proof: readonly Hash[];
  readonly targetHash: Hash;
  readonly treeHash: Hash;
  /** What to call the proof in an error: "inclusion proof". */
  readonly what: string;
}

/** Climbs `path` with the hashes of the proof and compares both ends. @throws {TlogError} `proof-invalid`. */
export function verifyPath({ path, proof, targetHash, treeHash, what }: Claim): void {
  assertProofSize(proof, path.steps.length + (path.partial ? 1 : 0), what);
  const hashes = path.partial ? proof : [targetHash, ...proof];
  const reached = climb(path.steps, hashes);
  if (!equalBytes(reached.target, targetHash)) {
    throw new TlogError("proof-invalid", `${what} does not hold the hash that it starts from`);
  }
  if (!equalBytes(reached.tree, treeHash)) {
    throw new TlogError("proof-invalid", `${what} does not lead to the hash that it has to reach`);
  }
}

/** Checks the number of hashes, and their lengths, before anything is hashed. @throws {TlogError} `proof-invalid`. */
export function assertProofSize(proof: readonly Hash[], expected: number, what: string): void {
  if (proof.length !== expected) {
    const details = { expected, got: proof.length };
    throw new TlogError("proof-invalid", `${what}: expected ${expected} hashes, got ${proof.length}`, { details });
  }
  const odd = proof.findIndex((hash) => hash.length !== HASH_BYTES);
  if (odd !== -1) {
    throw new TlogError("proof-invalid", `${what}: hash ${odd} is ${proof[odd]?.length} bytes long, not ${HASH_BYTES}`);
  }
}

/** Goes up from the first of `hashes`, by one of the others for each step, and keeps what it becomes at both ends. */
function climb(steps: readonly Step[], [first, ...siblings]: readonly Hash[]): { target: Hash; tree: Hash } {
  invariant(first !== undefined, "a path starts from a hash");
  const reached = { target: first, tree: first };
  for (const [i, sibling] of siblings.entries()) {
    const place = steps[i]?.place;
    reached.tree = place === "after" ? hashNode(reached.tree, sibling) : hashNode(sibling, reached.tree);
    if (place === "inside") reached.target = hashNode(sibling, reached.target);
  }
  return reached;
}
