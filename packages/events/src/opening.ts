/** The opening of a commitment, `[1, salt, event]`: whoever holds it can prove, and read, what a leaf stands for. */
import { assertBytes, assertInteger } from "./assert.ts";
import { EVENT_BYTES_MAX } from "./cbor.ts";
import { type CborWriter, encodeWith } from "./cbor-writer.ts";
import { FieldReader } from "./field-reader.ts";

export interface Opening {
  /** 32 random bytes. */
  readonly salt: Uint8Array;
  /** The encoded event, 1 to 32,768 bytes. */
  readonly event: Uint8Array;
}

const VERSION = 1;
const reader = new FieldReader("opening-malformed");

/** Encodes an opening. @throws {TypeError | RangeError} A length is out of bounds. */
export function encodeOpening({ salt, event }: Opening): Uint8Array {
  assertBytes(salt, 32, "salt");
  assertInteger(event.length, { min: 1, max: EVENT_BYTES_MAX }, "event.length");
  return encodeWith(writeOpening, { salt, event });
}

function writeOpening(to: CborWriter, { salt, event }: Opening): void {
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
    salt: reader.bytes(parts[1], "salt", 32),
    event: reader.bytes(parts[2], "event", { min: 1, max: EVENT_BYTES_MAX }),
  };
}
