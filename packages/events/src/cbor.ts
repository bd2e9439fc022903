/**
 * CBOR (RFC 8949) in the one form in which bytes are permanent: docs/reference/formats.md, "Canonical CBOR".
 *
 * Every value has exactly one encoding, and the decoder accepts no other: what decodes, encodes to the same bytes.
 */
import { Decoder, malformed } from "./cbor-decoder.ts";
import { unencodable, writeItem } from "./cbor-encoder.ts";
import { CBOR_DEPTH_MAX, type CborValue } from "./cbor-value.ts";
import { encodeWith } from "./cbor-writer.ts";

export { CBOR_DEPTH_MAX, type CborMap, type CborValue, EVENT_BYTES_MAX } from "./cbor-value.ts";

export interface DecodeCborOptions {
  /** Default 8: {@link CBOR_DEPTH_MAX}. */
  readonly depthMax?: number;
  /** Default: no bound beyond that of the bytes given. */
  readonly bytesMax?: number;
  /** Items in all, keys included. Default 65,536: one byte can become an object that takes a hundred. */
  readonly itemsMax?: number;
}

/**
 * Encodes `value` as canonical CBOR.
 *
 * Negative zero is zero. Objects may have any prototype; only their own enumerable keys count.
 *
 * @throws {EventError} `cbor-unencodable`: a number that is no safe integer, text with a lone surrogate, a value of
 *   another kind (`undefined`, bigint, function, …), or more than 8 levels.
 * @example
 * encodeCbor({ b: 1, a: [true, null] }); // a2 61 61 82 f5 f6 61 62 01
 */
export function encodeCbor(value: CborValue): Uint8Array {
  const bytes = encodeWith(writeItem, value);
  if (bytes === undefined) throw unencodable(value);
  return bytes;
}

/**
 * Decodes one canonical item that fills `bytes`. Byte strings are copied, so that the result keeps nothing else alive.
 *
 * Takes time and memory in proportion to the bytes that are there, never to a length that they claim.
 *
 * @throws {EventError} `cbor-malformed`: anything but the canonical form; `details.offset` is where it shows.
 */
export function decodeCbor(bytes: Uint8Array, options: DecodeCborOptions = {}): CborValue {
  const { depthMax = CBOR_DEPTH_MAX, bytesMax = bytes.length, itemsMax = 65_536 } = options;
  if (bytes.length > bytesMax) malformed(bytesMax, `expected at most ${bytesMax} bytes, got ${bytes.length}`);
  return new Decoder(bytes, { depthMax, itemsMax }).only();
}
