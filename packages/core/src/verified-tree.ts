/**
 * Many inclusion proofs under one root hash. RFC 6962 §2.1.1
 *
 * Ways up a tree meet, and two different ones do not meet in one hash. So each node that was found to lead to the root is
 * kept, up to a bound, and so is its sibling: a later way is hashed up to the first of these, and only compared above it.
 */
import { HASH_BYTES, type Hash } from "./hash.ts";
import { hashPaths } from "./hashes.ts";
import { STEPS_WORDS } from "./kernel.ts";

/** 32-bit words of a hash: compared one by one, they take a quarter of the time of bytes. */
const HASH_WORDS: number = HASH_BYTES / 4;

/** Enough for the ways of 2,000 leaves that are spread over a tree of 65,536; 1.2 MB. */
const NODES_MAX = 32_768;
const NODES_AT_FIRST = 256;
/** As many as a tree of 2^53 leaves is high. */
const STEPS_MAX = 53;
/** Ways between two calls of {@link VerifiedTree.settle}. */
export const WAYS_MAX = 32;

const ROOT = 0;
/** Of a node whose children are not known; no node has the root as its child. */
const NONE = 0;

/** 2^0 to 2^31. */
const POWERS: readonly number[] = Array.from({ length: 32 }, (_, power) => 2 ** power);

export class VerifiedTree {
  /** Leaves. */
  readonly size: number;
  /** The largest power of two below the size. */
  readonly #width: number;
  /** By node {@link HASH_WORDS} words; the root is the first. */
  #hashes = new Uint32Array(NODES_AT_FIRST * HASH_WORDS);
  /** By node the left child; the right one is next to it. */
  #children = new Uint32Array(NODES_AT_FIRST);
  #nodeCount = 1;

  // The ways that are taken up, one after the other.
  readonly #ways = new Uint32Array(WAYS_MAX * (STEPS_MAX + 1) * HASH_WORDS);
  readonly #steps = new Uint32Array(WAYS_MAX * STEPS_WORDS);
  /** By way the known node that it leads to. */
  readonly #ends = new Uint32Array(WAYS_MAX);
  #wayCount = 0;
  #wordCount = 0;

  /** @param size - At least 1, and at most 2^53 - 1. */
  constructor({ size, rootHash }: { readonly size: number; readonly rootHash: Hash }) {
    this.size = size;
    this.#width = 1;
    while (this.#width * 2 < size) this.#width *= 2;
    this.#hashes.set(wordsOf(rootHash));
  }

  /** Nodes that are kept. */
  get nodeCount(): number {
    return this.#nodeCount;
  }

  /**
   * Takes up a way, of which the leaf hash comes later, unless it is refuted without that: by the number of siblings, or by one
   * that is not the known one. At most {@link WAYS_MAX} before they are settled.
   *
   * @param index - Below the size.
   * @param siblings - From the leaf's sibling up, {@link HASH_WORDS} words each; looked at and not kept.
   */
  take(index: number, siblings: Uint32Array, siblingCount: number): boolean {
    if (siblingCount > STEPS_MAX) return false;
    let [start, end, width] = [0, this.size, this.#width];
    let steps = siblingCount;
    let node = ROOT;
    for (let left = Number(this.#children[node]); left !== NONE; left = Number(this.#children[node])) {
      if (steps === 0) return false;
      steps -= 1;
      while (width >= end - start) width /= 2;
      const isRight = index >= start + width;
      if (!this.#isHashOf(isRight ? left : left + 1, siblings, steps * HASH_WORDS)) return false;
      node = isRight ? left + 1 : left;
      if (isRight) start += width;
      else end = start + width;
    }
    let [low, high] = [0, 0];
    for (let at = steps - 1; at >= 0; at -= 1) {
      if (end - start === 1) return false;
      while (width >= end - start) width /= 2;
      if (index < start + width) {
        end = start + width;
      } else {
        start += width;
        if (at < POWERS.length) low += Number(POWERS[at]);
        else high += Number(POWERS[at - POWERS.length]);
      }
    }
    if (end - start !== 1) return false;
    this.#ends[this.#wayCount] = node;
    this.#steps[this.#wayCount * STEPS_WORDS] = steps;
    this.#steps[this.#wayCount * STEPS_WORDS + 1] = low;
    this.#steps[this.#wayCount * STEPS_WORDS + 2] = high;
    // The first one is for the leaf hash.
    const to = this.#wordCount + HASH_WORDS;
    for (let word = 0; word < steps * HASH_WORDS; word += 1) this.#ways[to + word] = Number(siblings[word]);
    this.#wordCount = to + steps * HASH_WORDS;
    this.#wayCount += 1;
    return true;
  }

  /**
   * Which of the ways that were taken up lead from their leaf hashes to the root.
   *
   * @param leafHashes - One after the other, in the order of the ways.
   */
  settle(leafHashes: Uint8Array): boolean[] {
    const nodes = this.#climb(leafHashes);
    this.#makeRoom(nodes.length / HASH_WORDS);
    const verdicts: boolean[] = [];
    let [from, to] = [0, 0];
    for (let way = 0; way < this.#wayCount; way += 1) {
      const steps = Number(this.#steps[way * STEPS_WORDS]);
      const end = Number(this.#ends[way]);
      const last = to + (steps - 1) * HASH_WORDS;
      const leads = steps === 0 ? this.#isHashOf(end, this.#ways, from) : this.#isHashOf(end, nodes, last);
      if (leads) this.#keep({ way, from, nodes, to });
      verdicts.push(leads);
      from += (steps + 1) * HASH_WORDS;
      to += steps * HASH_WORDS;
    }
    this.drop();
    // All but the root. What is of use is soon there again, and no order has to be kept for that.
    if (this.#nodeCount > NODES_MAX - 2 * WAYS_MAX * STEPS_MAX) this.#forget();
    return verdicts;
  }

  /** Lets go of the ways that were taken up and are not settled. */
  drop(): void {
    this.#wayCount = 0;
    this.#wordCount = 0;
  }

  /** The nodes on all the ways, each with {@link HASH_WORDS} words. */
  #climb(leafHashes: Uint8Array): Uint32Array {
    const leaves = wordsOf(leafHashes);
    let to = 0;
    for (let way = 0; way < this.#wayCount; way += 1) {
      for (let word = 0; word < HASH_WORDS; word += 1) this.#ways[to + word] = Number(leaves[way * HASH_WORDS + word]);
      to += (Number(this.#steps[way * STEPS_WORDS]) + 1) * HASH_WORDS;
    }
    const hashes = new Uint8Array(this.#ways.buffer, 0, this.#wordCount * 4);
    return wordsOf(hashPaths({ hashes, steps: this.#steps.subarray(0, this.#wayCount * STEPS_WORDS) }));
  }

  /**
   * Keeps a way that leads to a known node, from there down. What is known of it already is the same.
   *
   * @param at.from - Where its hashes are in the ways.
   * @param at.to - Where the nodes on it are.
   */
  #keep({ way, from, nodes, to }: { way: number; from: number; nodes: Uint32Array; to: number }): void {
    const children = this.#children;
    const low = Number(this.#steps[way * STEPS_WORDS + 1]);
    const high = Number(this.#steps[way * STEPS_WORDS + 2]);
    let node = Number(this.#ends[way]);
    for (let at = Number(this.#steps[way * STEPS_WORDS]) - 1; at >= 0; at -= 1) {
      const isRight = Math.floor((at < 32 ? low : high) / Number(POWERS[at % 32])) % 2 === 1;
      if (children[node] === NONE) {
        const left = this.#nodeCount;
        this.#nodeCount += 2;
        children[node] = left;
        children[left] = NONE;
        children[left + 1] = NONE;
        const own = isRight ? left + 1 : left;
        if (at === 0) this.#setHash(own, this.#ways, from);
        else this.#setHash(own, nodes, to + (at - 1) * HASH_WORDS);
        this.#setHash(isRight ? left : left + 1, this.#ways, from + (at + 1) * HASH_WORDS);
      }
      node = Number(children[node]) + (isRight ? 1 : 0);
    }
  }

  /** Each step may make two nodes known. */
  #makeRoom(steps: number): void {
    let room = this.#children.length;
    while (room < this.#nodeCount + 2 * steps) room *= 2;
    if (room === this.#children.length) return;
    const [hashes, children] = [new Uint32Array(room * HASH_WORDS), new Uint32Array(room)];
    hashes.set(this.#hashes);
    children.set(this.#children);
    this.#hashes = hashes;
    this.#children = children;
  }

  #forget(): void {
    this.#children[ROOT] = NONE;
    this.#nodeCount = 1;
  }

  #isHashOf(node: number, words: Uint32Array, at: number): boolean {
    const hashes = this.#hashes;
    const from = node * HASH_WORDS;
    for (let word = 0; word < HASH_WORDS; word += 1) if (hashes[from + word] !== words[at + word]) return false;
    return true;
  }

  #setHash(node: number, words: Uint32Array, at: number): void {
    const hashes = this.#hashes;
    const to = node * HASH_WORDS;
    for (let word = 0; word < HASH_WORDS; word += 1) hashes[to + word] = Number(words[at + word]);
  }
}

/** Hashes by their words, in whatever order this machine has the bytes of a word. */
function wordsOf(hashes: Uint8Array): Uint32Array {
  if (hashes.byteOffset % 4 !== 0) return wordsOf(new Uint8Array(hashes));
  return new Uint32Array(hashes.buffer, hashes.byteOffset, hashes.length / 4);
}
