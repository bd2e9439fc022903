/** The head of a CBOR item, in front of what it is the head of. RFC 8949 §3. */

/** The most bytes of the head of a byte string or text. */
export const LENGTH_HEAD_BYTES_MAX = 5;
const TWO_32 = 2 ** 32;

/**
 * Writes the head of a byte string of `length`, below 2^32, so that it ends at `end`. Gives where it starts.
 *
 * @throws {RangeError} A longer one.
 */
export function putByteStringHead(bytes: Uint8Array, end: number, length: number): number {
  if (length >= TWO_32) throw new RangeError(`length: expected less than 2^32, got ${length}`);
  if (length < 24) {
    bytes[end - 1] = BYTES + length;
    return end - 1;
  }
  const size = length < 256 ? 1 : length < 65_536 ? 2 : 4;
  for (let [at, rest] = [end - 1, length]; at >= end - size; at -= 1, rest = Math.floor(rest / 256))
    bytes[at] = rest % 256;
  bytes[end - size - 1] = BYTES + 23 + (size === 4 ? 3 : size);
  return end - size - 1;
}

/** Major type 2. */
const BYTES = 0x40;
