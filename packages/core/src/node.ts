/** Perfect subtrees: how they are named, how leaves divide into them, and how their hashes join. RFC 6962 §2.1. */
import { type Hash, hashNode } from "./hash.ts";
import { type Uint, toUint } from "./uint.ts";

/** The root of the perfect subtree over the leaves from `index * 2^level` to before `(index + 1) * 2^level`. */
export interface NodeId {
  /** 0 for a leaf, at most 62. */
  readonly level: number;
  /** A number where that is exact, else a bigint. */
  readonly index: Uint;
}

/** The leaves from `start` to before `end`. */
export interface LeafRange {
  readonly start: bigint;
  readonly end: bigint;
}

/**
 * The perfect subtrees that make up a subtree of the tree, largest first.
 *
 * `start` is a multiple of a power of two that is not below `end - start`: only then do they get smaller all the way.
 */
export function nodesOf({ start, end }: LeafRange): NodeId[] {
  const nodes: NodeId[] = [];
  let width = 1n;
  let level = 0;
  while (width * 2n <= end - start) {
    width *= 2n;
    level += 1;
  }
  for (let from = start; from < end; width /= 2n, level -= 1) {
    if (width > end - from) continue;
    nodes.push({ level, index: toUint(from / width) });
    from += width;
  }
  return nodes;
}

/** The hash of a subtree from those of its perfect subtrees, largest first. There is at least one. */
export function joinNodes(hashes: readonly Hash[]): Hash {
  return hashes.reduceRight((right, left) => hashNode(left, right));
}
