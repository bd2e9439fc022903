/**
 * The leaf: the entry in the tree, kept for ever, without personal data: docs/reference/formats.md, "Leaf".
 *
 * Decoding checks all that one leaf can show by itself; what leaves must keep among each other is for an audit.
 */
import { type CborValue, encodeCbor } from "./cbor.ts";
import { CborReader } from "./cbor-reader.ts";
import { type CborWriter, encodeAllWith, encodeWith } from "./cbor-writer.ts";
import { FieldReader } from "./field-reader.ts";

/** How many events one signature may cover. */
export const BATCH_ENTRIES_MAX = 1000;

/** What a retention class is called. */
export const CLASS_PATTERN: RegExp = /^[a-z0-9-]{1,32}$/;

/** The place of a leaf among those that bear the same tag. */
export interface Chain {
  /** 16 bytes. */
  readonly tag: Uint8Array;
  /** How many earlier leaves bear the tag. */
  readonly n: number;
  /** The index of the last of them; `null` where `n` is 0, and only there. */
  readonly prev: number | null;
}

/** The sender's signature over a whole batch, in its last leaf. */
export interface LeafSignature {
  /** How many leaves it covers, this one last: 1 to 1,000. */
  readonly count: number;
  /** 64 bytes. */
  readonly signature: Uint8Array;
}

export interface Leaf {
  /** When the log took it, in ms since 1970; never below an earlier leaf's. */
  readonly loggedAt: number;
  /** 16 bytes; in the leaf of sequence 1 the sender's public key (32) and instance (16). */
  readonly stream: Uint8Array;
  /** The sender's own count, from 1; `null` for an unsigned event. */
  readonly sequence: number | null;
  /** The retention class. */
  readonly class: string;
  /** 32 bytes. */
  readonly commitment: Uint8Array;
  readonly session: Chain | null;
  readonly actor: Chain | null;
  /** `null` also where the subject is the actor. */
  readonly subject: Chain | null;
  readonly tenant: Chain | null;
  readonly signature: LeafSignature | null;
}

const VERSION = 1;
const PARTS = 11;
const STREAM_BYTES = 16;
const FIRST_STREAM_BYTES = 48;
const COMMITMENT_BYTES = 32;
const TAG_BYTES = 16;
const SIGNATURE_BYTES = 64;
const reader = new FieldReader("leaf-malformed");

/**
 * Encodes a leaf: at most 342 bytes, typically about 200.
 *
 * @throws {EventError} `leaf-malformed`: a leaf that {@link decodeLeaf} would refuse. Such bytes must not come to be.
 */
export function encodeLeaf(leaf: Leaf): Uint8Array {
  return isFit(leaf) ? encodeWith(writeLeaf, leaf) : encodeLeafGenerally(leaf);
}

/** {@link encodeLeaf} of each, sooner than one by one: views of few copies. */
export function encodeLeaves(leaves: readonly Leaf[]): Uint8Array[] {
  return leaves.every(isFit) ? encodeAllWith(writeLeaf, leaves) : leaves.map(encodeLeaf);
}

/** Part by part, which says what is wrong with one. */
export function encodeLeafGenerally(leaf: Leaf): Uint8Array {
  const parts = partsOf(leaf);
  readLeaf(parts);
  return encodeCbor(parts);
}

/**
 * Decodes a leaf and checks every part of it.
 *
 * @throws {EventError} `cbor-malformed`: not canonical CBOR; `leaf-malformed`: not a leaf of version 1.
 */
export function decodeLeaf(bytes: Uint8Array): Leaf {
  return readFit(bytes) ?? decodeLeafGenerally(bytes);
}

/**
 * When the log took what a leaf is of, in ms since 1970. Checks as much as {@link decodeLeaf}, and makes nothing of the rest.
 *
 * @throws {EventError} As {@link decodeLeaf}.
 */
export function readLoggedAt(bytes: Uint8Array): number {
  return readFitLoggedAt(bytes) ?? decodeLeafGenerally(bytes).loggedAt;
}

/** Part by part, which says what is wrong with one. */
export function decodeLeafGenerally(bytes: Uint8Array): Leaf {
  return readLeaf(reader.versioned(bytes, "leaf", { length: PARTS }));
}

/** Whether every part of a leaf is what its type says and keeps the rules of one leaf. */
function isFit(leaf: Leaf): boolean {
  const { sequence } = leaf;
  return (
    (sequence === null || isCount(sequence, 1)) &&
    isCount(leaf.loggedAt, 0) &&
    isBytes(leaf.stream, sequence === 1 ? FIRST_STREAM_BYTES : STREAM_BYTES) &&
    typeof leaf.class === "string" &&
    CLASS_PATTERN.test(leaf.class) &&
    isBytes(leaf.commitment, COMMITMENT_BYTES) &&
    isFitChain(leaf.session) &&
    isFitChain(leaf.actor) &&
    isFitChain(leaf.subject) &&
    isFitChain(leaf.tenant) &&
    isFitSignature(leaf.signature, sequence)
  );
}

function isFitChain(chain: Chain | null): boolean {
  if (chain === null) return true;
  const { tag, n, prev } = chain;
  return isBytes(tag, TAG_BYTES) && isCount(n, 0) && (n === 0 ? prev === null : prev !== null && isCount(prev, 0));
}

function isFitSignature(signature: LeafSignature | null, sequence: number | null): boolean {
  if (signature === null) return true;
  return isFitCount(signature.count, sequence) && isBytes(signature.signature, SIGNATURE_BYTES);
}

function isFitCount(count: number, sequence: number | null): boolean {
  // The batch begins at sequence 1 or later.
  const max = sequence === null ? 0 : Math.min(sequence, BATCH_ENTRIES_MAX);
  return isCount(count, 1) && count <= max;
}

function isCount(value: number, min: number): boolean {
  return Number.isSafeInteger(value) && value >= min;
}

function isBytes(value: Uint8Array, size: number): boolean {
  return value instanceof Uint8Array && value.length === size;
}

function writeLeaf(to: CborWriter, leaf: Leaf): void {
  to.array(PARTS);
  to.integer(VERSION);
  to.integer(leaf.loggedAt);
  to.byteString(leaf.stream);
  if (leaf.sequence === null) to.null();
  else to.integer(leaf.sequence);
  to.text(leaf.class);
  to.byteString(leaf.commitment);
  writeChain(to, leaf.session);
  writeChain(to, leaf.actor);
  writeChain(to, leaf.subject);
  writeChain(to, leaf.tenant);
  writeSignature(to, leaf.signature);
}

function writeChain(to: CborWriter, chain: Chain | null): void {
  if (chain === null) return to.null();
  to.array(3);
  to.byteString(chain.tag);
  to.integer(chain.n);
  if (chain.prev === null) to.null();
  else to.integer(chain.prev);
}

function writeSignature(to: CborWriter, signature: LeafSignature | null): void {
  if (signature === null) return to.null();
  to.array(2);
  to.integer(signature.count);
  to.byteString(signature.signature);
}

/** Reads a leaf in one pass; `undefined` for any other bytes. */
function readFit(bytes: Uint8Array): Leaf | undefined {
  const from = new CborReader(bytes);
  if (from.array() !== PARTS || from.integer() !== VERSION) return undefined;
  const loggedAt = from.integer();
  const stream = from.byteString();
  const sequence = from.null() ? null : from.integer();
  const leaf: Leaf = {
    loggedAt,
    stream,
    sequence,
    class: from.text(),
    commitment: from.byteString(),
    session: readFitChain(from),
    actor: readFitChain(from),
    subject: readFitChain(from),
    tenant: readFitChain(from),
    signature: readFitSignature(from),
  };
  return from.isDone && isFit(leaf) ? leaf : undefined;
}

function readFitChain(from: CborReader): Chain | null {
  if (from.null()) return null;
  if (from.array() !== 3) from.fail();
  return { tag: from.byteString(), n: from.integer(), prev: from.null() ? null : from.integer() };
}

function readFitSignature(from: CborReader): LeafSignature | null {
  if (from.null()) return null;
  if (from.array() !== 2) from.fail();
  return { count: from.integer(), signature: from.byteString() };
}

/** As {@link readFit}, without values of what is only checked. */
function readFitLoggedAt(bytes: Uint8Array): number | undefined {
  const from = new CborReader(bytes);
  if (from.array() !== PARTS || from.integer() !== VERSION) return undefined;
  const loggedAt = from.integer();
  const streamBytes = from.skipByteString();
  const sequence = from.null() ? null : from.integer();
  const isFit =
    (sequence === null || sequence >= 1) &&
    streamBytes === (sequence === 1 ? FIRST_STREAM_BYTES : STREAM_BYTES) &&
    CLASS_PATTERN.test(from.text()) &&
    from.skipByteString() === COMMITMENT_BYTES &&
    skipFitChain(from) &&
    skipFitChain(from) &&
    skipFitChain(from) &&
    skipFitChain(from) &&
    skipFitSignature(from, sequence);
  return isFit && from.isDone ? loggedAt : undefined;
}

function skipFitChain(from: CborReader): boolean {
  if (from.null()) return true;
  if (from.array() !== 3 || from.skipByteString() !== TAG_BYTES) return false;
  if (from.integer() === 0) return from.null();
  from.integer();
  return true;
}

function skipFitSignature(from: CborReader, sequence: number | null): boolean {
  if (from.null()) return true;
  if (from.array() !== 2) return false;
  const count = from.integer();
  return isFitCount(count, sequence) && from.skipByteString() === SIGNATURE_BYTES;
}

function readLeaf(parts: readonly CborValue[]): Leaf {
  const sequence = readSequence(parts[3]);
  return {
    loggedAt: reader.integer(parts[1], "logged-at", { min: 0 }),
    stream: reader.bytes(parts[2], "stream", sequence === 1 ? FIRST_STREAM_BYTES : STREAM_BYTES),
    sequence,
    class: reader.text(parts[4], "class", CLASS_PATTERN),
    commitment: reader.bytes(parts[5], "commitment", COMMITMENT_BYTES),
    session: readChain(parts[6], "session"),
    actor: readChain(parts[7], "actor"),
    subject: readChain(parts[8], "subject"),
    tenant: readChain(parts[9], "tenant"),
    signature: readSignature(parts[10], sequence),
  };
}

function readSequence(value: CborValue | undefined): number | null {
  return value === null ? null : reader.integer(value, "sequence", { min: 1 });
}

function readChain(value: CborValue | undefined, field: string): Chain | null {
  if (value === null) return null;
  const [tag, n, prev] = reader.array(value, field, 3);
  const chain = {
    tag: reader.bytes(tag, `${field}.tag`, TAG_BYTES),
    n: reader.integer(n, `${field}.n`, { min: 0 }),
    prev: prev === null ? null : reader.integer(prev, `${field}.prev`, { min: 0 }),
  };
  if ((chain.n === 0) !== (chain.prev === null)) {
    reader.refuse(`${field}.prev`, `expected ${chain.n === 0 ? "null" : "an index"} where n is ${chain.n}`);
  }
  return chain;
}

function readSignature(value: CborValue | undefined, sequence: number | null): LeafSignature | null {
  if (value === null) return null;
  if (sequence === null) return reader.refuse("signature", "expected null where the sequence is null");
  const [count, signature] = reader.array(value, "signature", 2);
  return {
    // The batch begins at sequence 1 or later.
    count: reader.integer(count, "signature.count", { min: 1, max: Math.min(sequence, BATCH_ENTRIES_MAX) }),
    signature: reader.bytes(signature, "signature.signature", SIGNATURE_BYTES),
  };
}

function partsOf(leaf: Leaf): CborValue[] {
  return [
    VERSION,
    leaf.loggedAt,
    leaf.stream,
    leaf.sequence,
    leaf.class,
    leaf.commitment,
    partsOfChain(leaf.session),
    partsOfChain(leaf.actor),
    partsOfChain(leaf.subject),
    partsOfChain(leaf.tenant),
    leaf.signature === null ? null : [leaf.signature.count, leaf.signature.signature],
  ];
}

function partsOfChain(chain: Chain | null): CborValue {
  return chain === null ? null : [chain.tag, chain.n, chain.prev];
}
