/** The claim: what a sender signs of one event, and all of it stands in the leaf: docs/reference/formats.md. */
import { assertBytes, assertInteger } from "./assert.ts";
import { type CborWriter, encodeAllWith, encodeWith } from "./cbor-writer.ts";
import { CLASS_PATTERN, type Leaf } from "./leaf.ts";

export interface Claim {
  /** The sender's own count, from 1. */
  readonly sequence: number;
  /** The retention class. */
  readonly class: string;
  /** 32 bytes. */
  readonly commitment: Uint8Array;
  /** 16 bytes; `null` where the event has no session. */
  readonly sessionTag: Uint8Array | null;
}

/** Encodes a claim: `[sequence, class, commitment, session-tag or null]`. @throws {TypeError | RangeError} A part is no such. */
export function encodeClaim(claim: Claim): Uint8Array {
  return encodeWith(writeClaim, claim);
}

/** {@link encodeClaim} of each, sooner than one by one: views of few copies. */
export function encodeClaims(claims: readonly Claim[]): Uint8Array[] {
  return encodeAllWith(writeClaim, claims);
}

function writeClaim(to: CborWriter, claim: Claim): void {
  assertInteger(claim.sequence, { min: 1, max: Number.MAX_SAFE_INTEGER }, "sequence");
  if (!CLASS_PATTERN.test(claim.class))
    throw new TypeError(`class: expected text that matches ${CLASS_PATTERN.source}`);
  assertBytes(claim.commitment, 32, "commitment");
  if (claim.sessionTag !== null) assertBytes(claim.sessionTag, 16, "sessionTag");
  to.array(4);
  to.integer(claim.sequence);
  to.text(claim.class);
  to.byteString(claim.commitment);
  if (claim.sessionTag === null) to.null();
  else to.byteString(claim.sessionTag);
}

/** What the sender of a signed event claimed, from its leaf. @throws {TypeError} The leaf is that of an unsigned event. */
export function claimOfLeaf(leaf: Leaf): Claim {
  if (leaf.sequence === null) throw new TypeError("leaf: expected that of a signed event, got sequence null");
  const { sequence, commitment, session } = leaf;
  return { sequence, class: leaf.class, commitment, sessionTag: session === null ? null : session.tag };
}
