/**
 * Verifying many tlog-proofs under one checkpoint, as verifyTlogProof() does one. c2sp.org/tlog-proof
 *
 * What is quick here is the usual form: an `extra` that is the entry, and the checkpoint that was given, byte for byte.
 * Anything else is not judged.
 */
import { Base64Reader, HASH_LINES_MAX, HASH_LINE_CHARS, TEXT_CHARS_MAX } from "./base64-reader.ts";
import { utf8 } from "./bytes.ts";
import { type Checkpoint, parseCheckpoint } from "./checkpoint.ts";
import { HASH_BYTES, type Hash } from "./hash.ts";
import { hashLeaves } from "./hashes.ts";
import { parseNote } from "./note.ts";
import { VerifiedTree, WAYS_MAX } from "./verified-tree.ts";

/** An entry that a tree was found to hold. */
export interface VerifiedEntry {
  readonly index: number;
  /** What the proof's extra says. A view: whoever keeps it keeps what was verified with it. */
  readonly entry: Uint8Array;
  readonly leafHash: Hash;
}

/** A leaf of ours has 342 at most. */
const ENTRY_BYTES_MAX = 512;
const NEWLINE = 0x0a;
const [DIGIT_0, DIGIT_9] = [0x30, 0x39];
/** Of a number that is held exactly. */
const DIGITS_MAX = 16;
const BEFORE_EXTRA = utf8("c2sp.org/tlog-proof@v1\nextra ");
const BEFORE_INDEX = utf8("index ");

/** One checkpoint, and what was found out of the tree below it: up to 1.5 MB. */
export class TlogProofVerifier {
  readonly checkpoint: Checkpoint;
  readonly #note: string;
  readonly #tree: VerifiedTree | undefined;
  readonly #reader = new Base64Reader();
  /** One after the other, while they are verified. */
  readonly #entries = new Uint8Array(WAYS_MAX * ENTRY_BYTES_MAX + 2);

  /**
   * @param note - The signed note. Whether its signatures hold is the caller's business.
   * @throws {TlogError} `note-malformed`, `checkpoint-malformed`
   */
  constructor(note: string) {
    this.checkpoint = parseCheckpoint(parseNote(note).text);
    this.#note = note;
    const { size, rootHash } = this.checkpoint;
    if (size > 0n && size <= BigInt(Number.MAX_SAFE_INTEGER)) {
      this.#tree = new VerifiedTree({ size: Number(size), rootHash });
    }
  }

  /**
   * What each proof proves: that the tree has the entry in its extra at its index.
   *
   * `undefined` for one that proves nothing, and for one that this passes over: under another note, without an extra, of unusual
   * length. verifyTlogProof() tells which. What is given here that would accept too.
   */
  verifyAll(proofs: readonly string[]): (VerifiedEntry | undefined)[] {
    const entries = Array.from<VerifiedEntry | undefined>({ length: proofs.length });
    const tree = this.#tree;
    if (tree === undefined) return entries;
    // Not one after the other: those that are often neighbours, in order, find the ways of others near them known.
    const groups = Math.ceil(proofs.length / WAYS_MAX);
    for (let group = 0; group < groups; group += 1) {
      const some: string[] = [];
      for (let at = group; at < proofs.length; at += groups) some.push(proofs[at] ?? "");
      for (const [i, entry] of this.#verifySome(tree, some).entries()) entries[group + i * groups] = entry;
    }
    return entries;
  }

  #verifySome(tree: VerifiedTree, proofs: readonly string[]): (VerifiedEntry | undefined)[] {
    // There are some where a call before ended with an error: leaf hashes of these would be taken for theirs.
    tree.drop();
    let used = 0;
    const read = proofs.map((proof) => {
      const entry = this.#read(tree, proof, used);
      used = entry?.end ?? used;
      return entry;
    });
    const bytes = this.#entries.slice(0, used);
    const taken = read.filter((entry) => entry !== undefined);
    const entries = taken.map(({ start, end }) => bytes.subarray(start, end));
    const leafHashes = hashLeaves(entries);
    const verdicts = tree.settle(leafHashes);
    let next = 0;
    return read.map((proof) => {
      if (proof === undefined) return undefined;
      const at = next;
      next += 1;
      const entry = entries[at];
      if (verdicts[at] !== true || entry === undefined) return undefined;
      return { index: proof.index, entry, leafHash: leafHashes.subarray(at * HASH_BYTES, next * HASH_BYTES) };
    });
  }

  /** Reads a proof, its entry to where `start` says, and hands its hashes to the tree. */
  #read(tree: VerifiedTree, proof: string, start: number): { index: number; start: number; end: number } | undefined {
    const headChars = proof.length - this.#note.length;
    if (headChars <= 0 || headChars > TEXT_CHARS_MAX || proof.slice(headChars) !== this.#note) return undefined;
    this.#reader.take(proof.slice(0, headChars));
    const { units } = this.#reader;
    // Behind the lines there is the newline of the empty one.
    if (!isAt(units, 0, BEFORE_EXTRA) || units[headChars - 1] !== NEWLINE) return undefined;
    const hashCount = countHashLines(units, headChars - 1);
    const indexEnd = headChars - 1 - hashCount * HASH_LINE_CHARS - 1;
    const indexStart = startOfDigits(units, indexEnd);
    const extraEnd = indexStart - BEFORE_INDEX.length - 1;
    if (extraEnd < BEFORE_EXTRA.length || units[indexEnd] !== NEWLINE) return undefined;
    if (units[extraEnd] !== NEWLINE || !isAt(units, extraEnd + 1, BEFORE_INDEX)) return undefined;
    const index = readIndex(units, indexStart, indexEnd);
    if (index === undefined || index >= tree.size) return undefined;
    if (((extraEnd - BEFORE_EXTRA.length) / 4) * 3 > ENTRY_BYTES_MAX + 2) return undefined;
    const size = this.#reader.readBytes(BEFORE_EXTRA.length, extraEnd, this.#entries, start);
    if (size <= 0 || size > ENTRY_BYTES_MAX) return undefined;
    const siblings = this.#reader.readHashes(indexEnd + 1, hashCount);
    if (siblings === undefined || !tree.take(index, siblings, hashCount)) return undefined;
    return { index, start, end: start + size };
  }
}

function isAt(units: Uint16Array, at: number, text: Uint8Array): boolean {
  for (let i = 0; i < text.length; i += 1) if (units[at + i] !== text[i]) return false;
  return true;
}

/** How many lines before `end` are as long as a hash's, newline included. */
function countHashLines(units: Uint16Array, end: number): number {
  let count = 0;
  while (count < HASH_LINES_MAX && units[end - (count + 1) * HASH_LINE_CHARS - 1] === NEWLINE) count += 1;
  return count;
}

/** Where the digits before `end` begin, if they are not more than a number has. */
function startOfDigits(units: Uint16Array, end: number): number {
  let start = end;
  while (end - start < DIGITS_MAX && isDigit(Number(units[start - 1]))) start -= 1;
  return start;
}

function isDigit(unit: number): boolean {
  return unit >= DIGIT_0 && unit <= DIGIT_9;
}

/** A decimal without leading zeros that a number holds exactly. */
function readIndex(units: Uint16Array, start: number, end: number): number | undefined {
  if (end === start) return undefined;
  if (units[start] === DIGIT_0 && end - start > 1) return undefined;
  let index = 0;
  for (let at = start; at < end; at += 1) index = index * 10 + (Number(units[at]) - DIGIT_0);
  return Number.isSafeInteger(index) ? index : undefined;
}
