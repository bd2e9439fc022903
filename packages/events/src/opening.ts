/** The opening of a commitment, `[1, salt, event]`: whoever holds it can prove, and read, what a leaf stands for. */
import { assertBytes, assertInteger } from "./assert.ts";
import { EVENT_BYTES_MAX } from "./cbor.ts";
import { type CborWriter, encodeAllWith, encodeWith } from "./cbor-writer.ts";
import { FieldReader } from "./field-reader.ts";

export interface Opening {
  /** 32 random bytes. */
  readonly salt: Uint8Array;
  /** The encoded event, 1 to 32,768 bytes. */
  readonly event: Uint8Array;
}

/** The length of the salt in a commitment. */
export const SALT_BYTES = 32;

const VERSION = 1;
const reader = new FieldReader("opening-malformed");

/** Encodes an opening. @throws {TypeError | RangeError} A length is out of bounds. */
export function encodeOpening(opening: Opening): Uint8Array {
  return encodeWith(writeOpening, opening);
}

/** {@link encodeOpening} of each, sooner than one by one: views of few copies. */
export function encodeOpenings(openings: readonly Opening[]): Uint8Array[] {
  return encodeAllWith(writeOpening, openings);
}

/** @throws {TypeError} The salt is not 32 bytes. @throws {RangeError} The event is empty or above 32 KiB. */
export function assertOpening({ salt, event }: Opening): void {
  assertBytes(salt, SALT_BYTES, "salt");
  assertInteger(event.length, { min: 1, max: EVENT_BYTES_MAX }, "event.length");
}

function writeOpening(to: CborWriter, opening: Opening): void {
  assertOpening(opening);
  const { salt, event } = opening;
  to.array(3);
  to.integer(VERSION);
  to.byteString(salt);
  to.byteString(event);
}

/**
 * Decodes an opening. Does not decode the event, and does not hold it against any commitment.
 *
 * @throws {EventError} `cbor-malformed` or `opening-malformed`.
 */
export function decodeOpening(bytes: Uint8Array): Opening {
  const parts = reader.versioned(bytes, "opening", { length: 3 });
  return {
    salt: reader.bytes(parts[1], "salt", SALT_BYTES),
    event: reader.bytes(parts[2], "event", { min: 1, max: EVENT_BYTES_MAX }),
  };
}
