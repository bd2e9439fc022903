/**
 * The leaf: the entry in the tree, kept for ever, without personal data: docs/reference/formats.md, "Leaf".
 *
 * Decoding checks all that one leaf can show by itself; what leaves must keep among each other is for an audit.
 */
import { type CborValue, encodeCbor } from "./cbor.ts";
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
const STREAM_BYTES = 16;
const FIRST_STREAM_BYTES = 48;
const reader = new FieldReader("leaf-malformed");

/**
 * Encodes a leaf: at most 342 bytes, typically about 200.
 *
 * @throws {EventError} `leaf-malformed`: a leaf that {@link decodeLeaf} would refuse. Such bytes must not come to be.
 */
export function encodeLeaf(leaf: Leaf): Uint8Array {
  const { loggedAt, stream, sequence, commitment, session, actor, subject, tenant, signature } = leaf;
  const parts = [
    VERSION,
    loggedAt,
    stream,
    sequence,
    leaf.class,
    commitment,
    partsOfChain(session),
    partsOfChain(actor),
    partsOfChain(subject),
    partsOfChain(tenant),
    signature === null ? null : [signature.count, signature.signature],
  ];
  readLeaf(parts);
  return encodeCbor(parts);
}

/**
 * Decodes a leaf and checks every part of it.
 *
 * @throws {EventError} `cbor-malformed`: not canonical CBOR; `leaf-malformed`: not a leaf of version 1.
 */
export function decodeLeaf(bytes: Uint8Array): Leaf {
  return readLeaf(reader.versioned(bytes, "leaf", { length: 11 }));
}

function readLeaf(parts: readonly CborValue[]): Leaf {
  const sequence = readSequence(parts[3]);
  return {
    loggedAt: reader.integer(parts[1], "logged-at", { min: 0 }),
    stream: reader.bytes(parts[2], "stream", sequence === 1 ? FIRST_STREAM_BYTES : STREAM_BYTES),
    sequence,
    class: reader.text(parts[4], "class", CLASS_PATTERN),
    commitment: reader.bytes(parts[5], "commitment", 32),
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
    tag: reader.bytes(tag, `${field}.tag`, 16),
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
    signature: reader.bytes(signature, "signature.signature", 64),
  };
}

function partsOfChain(chain: Chain | null): CborValue {
  return chain === null ? null : [chain.tag, chain.n, chain.prev];
}
