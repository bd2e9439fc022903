/**
 * RFC 6962 §2.1 and Merkle Tree Certificates §4 word for word: recursive, slow, and sharing no code with the package.
 *
 * The leaves are given by a function, so that trees of any size can be asked. Where all leaves of a range are alike, a
 * hash is computed once for each width: so trees of 2^53 leaves are within reach.
 */
import { createHash } from "node:crypto";

/** The leaves of a tree. */
export interface Leaves {
  entry(index: bigint): Uint8Array;
  /** Whether all entries of a range are equal to those of every other uniform range. */
  uniform(start: bigint, end: bigint): boolean;
}

type Range = readonly [start: bigint, end: bigint];

export class ReferenceTree {
  readonly #leaves: Leaves;
  readonly #known = new Map<string, Uint8Array>();

  constructor(leaves: Leaves) {
    this.#leaves = leaves;
  }

  /** A tree with these entries. */
  static of(entries: readonly Uint8Array[]): ReferenceTree {
    return new ReferenceTree({
      entry: (index) => entries[Number(index)] ?? fail(`no entry ${index}`),
      uniform: () => false,
    });
  }

  /** A tree whose entries are all empty, but for `entries`. */
  static sparse(entries: ReadonlyMap<bigint, Uint8Array>): ReferenceTree {
    const indexes = [...entries.keys()];
    return new ReferenceTree({
      entry: (index) => entries.get(index) ?? new Uint8Array(),
      uniform: (start, end) => !indexes.some((index) => start <= index && index < end),
    });
  }

  /** MTH(D[start:end]). */
  hash(start: bigint, end: bigint): Uint8Array {
    const key = this.#leaves.uniform(start, end) ? `${end - start}` : `${start}:${end}`;
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const hash = this.#compute(start, end);
    this.#known.set(key, hash);
    return hash;
  }

  /** The hash of a perfect subtree. */
  node({ level, index }: { readonly level: number; readonly index: number | bigint }): Uint8Array {
    const width = 2n ** BigInt(level);
    return this.hash(BigInt(index) * width, (BigInt(index) + 1n) * width);
  }

  #compute(start: bigint, end: bigint): Uint8Array {
    if (start === end) return sha256();
    if (start + 1n === end) return sha256(Uint8Array.of(0), this.#leaves.entry(start));
    const k = largestPowerBelow(end - start);
    return sha256(Uint8Array.of(1), this.hash(start, start + k), this.hash(start + k, end));
  }

  /** PATH(m, D[start:end]), with `index` counted from the first leaf of the tree. */
  inclusion(index: bigint, [start, end]: Range): Uint8Array[] {
    if (start + 1n === end) return [];
    const middle = start + largestPowerBelow(end - start);
    return index < middle
      ? [...this.inclusion(index, [start, middle]), this.hash(middle, end)]
      : [...this.inclusion(index, [middle, end]), this.hash(start, middle)];
  }

  /** PROOF(from, D[0:to]); SUBPROOF with `known` for its flag. Nothing to prove from the empty tree. */
  consistency(from: bigint, [start, end]: Range, known = true): Uint8Array[] {
    if (from === 0n) return [];
    const m = from - start;
    if (from === end) return known ? [] : [this.hash(start, end)];
    const k = largestPowerBelow(end - start);
    return m <= k
      ? [...this.consistency(from, [start, start + k], known), this.hash(start + k, end)]
      : [...this.consistency(from, [start + k, end], false), this.hash(start, start + k)];
  }

  /** SUBTREE_SUBPROOF(start, end, D[first:last], known), all counted from the first leaf of the tree. */
  subtreeConsistency([start, end]: Range, [first, last]: Range, known = true): Uint8Array[] {
    if (start === first && end === last) return known ? [] : [this.hash(first, last)];
    const middle = first + largestPowerBelow(last - first);
    if (end <= middle) {
      return [...this.subtreeConsistency([start, end], [first, middle], known), this.hash(middle, last)];
    }
    if (middle <= start) {
      return [...this.subtreeConsistency([start, end], [middle, last], known), this.hash(first, middle)];
    }
    return [...this.subtreeConsistency([middle, end], [middle, last], false), this.hash(first, middle)];
  }
}

function largestPowerBelow(n: bigint): bigint {
  let k = 1n;
  while (k * 2n < n) k *= 2n;
  return k;
}

function sha256(...parts: readonly Uint8Array[]): Uint8Array {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return new Uint8Array(hash.digest());
}

function fail(message: string): never {
  throw new Error(message);
}
