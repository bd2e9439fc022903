/** What a leaf says of an event without telling it, and what proves the event later: docs/reference/formats.md. */
import { equalBytes, sha256All, splitHashes } from "@tallystick/core";
import { assertBytes } from "./assert.ts";
import { type CborWriter, encodeAllWith } from "./cbor-writer.ts";
import { domainHash, domainPrefix } from "./domain.ts";
import { EventError } from "./error.ts";
import { type Opening, assertOpening, decodeOpening } from "./opening.ts";

/** The length of a commitment. */
export const COMMITMENT_BYTES = 32;

const PREFIX = domainPrefix("tallystick/event/v1");

/**
 * The commitment to an encoded event: SHA-256("tallystick/event/v1" 0x00 salt event).
 *
 * Binds to the event, and hides it as long as the salt is secret: 32 random bytes, never used twice.
 *
 * @throws {TypeError} The salt is not 32 bytes.
 * @throws {RangeError} The event is empty or above 32 KiB.
 */
export function computeCommitment(opening: Opening): Uint8Array {
  assertOpening(opening);
  return domainHash(PREFIX, opening.salt, opening.event);
}

/** {@link computeCommitment} of each, sooner than one by one: views of one byte string. */
export function computeCommitments(openings: readonly Opening[]): Uint8Array[] {
  return splitHashes(sha256All(encodeAllWith(writePreimage, openings)));
}

function writePreimage(to: CborWriter, opening: Opening): void {
  assertOpening(opening);
  to.encoded(PREFIX);
  to.encoded(opening.salt);
  to.encoded(opening.event);
}

/**
 * Verifies that an encoded opening is that of `commitment`, and returns what it opens to. Does not decode the event.
 *
 * @throws {EventError} `cbor-malformed`, `opening-malformed`; `commitment-mismatch`: another event or another salt.
 */
export function verifyOpening(claim: { readonly opening: Uint8Array; readonly commitment: Uint8Array }): Opening {
  assertBytes(claim.commitment, COMMITMENT_BYTES, "commitment");
  const opening = decodeOpening(claim.opening);
  if (!equalBytes(computeCommitment(opening), claim.commitment)) {
    throw new EventError("commitment-mismatch", "the opening's salt and event do not hash to the commitment");
  }
  return opening;
}
