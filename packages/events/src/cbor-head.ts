/** Heads of CBOR items: the major type, and its argument in the shortest form. RFC 8949 §3, §4.2.1. */
import { MAJOR } from "./cbor-value.ts";

/** The most bytes of any head. */
export const HEAD_BYTES_MAX = 9;
/** The most bytes of the head of a byte string or text. */
export const LENGTH_HEAD_BYTES_MAX = 5;
const TWO_32 = 2 ** 32;

/** Writes a head where there is room for it; gives where it ends. `argument`: a safe integer that is not negative. */
export function putHead(bytes: Uint8Array, at: number, major: number, argument: number): number {
  const first = major * 32;
  if (argument < 24) {
    bytes[at] = first + argument;
    return at + 1;
  }
  if (argument < 256) {
    bytes[at] = first + 24;
    bytes[at + 1] = argument;
    return at + 2;
  }
  if (argument < 65_536) {
    bytes[at] = first + 25;
    bytes[at + 1] = argument >> 8;
    bytes[at + 2] = argument;
    return at + 3;
  }
  if (argument < TWO_32) {
    bytes[at] = first + 26;
    return putU32(bytes, at + 1, argument);
  }
  bytes[at] = first + 27;
  return putU32(bytes, putU32(bytes, at + 1, Math.floor(argument / TWO_32)), argument);
}

/** The lower 32 bits of a safe integer. */
function putU32(bytes: Uint8Array, at: number, value: number): number {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
  return at + 4;
}

/**
 * Writes the head of a byte string of `length`, below 2^32, so that it ends at `end`. Gives where it starts.
 *
 * @throws {RangeError} A longer one.
 */
export function putByteStringHead(bytes: Uint8Array, end: number, length: number): number {
  if (length >= TWO_32) throw new RangeError(`length: expected less than 2^32, got ${length}`);
  const start = end - (length < 24 ? 1 : length < 256 ? 2 : length < 65_536 ? 3 : LENGTH_HEAD_BYTES_MAX);
  putHead(bytes, start, MAJOR.bytes, length);
  return start;
}
