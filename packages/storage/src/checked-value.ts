/**
 * Values that carry a digest of themselves and of the place where they were put.
 *
 * LevelDB, opened through Node, returns damaged blocks as if they were right. A value here begins with the first 16 bytes
 * of SHA-256(u16(length of key) key value), where the key is the database's own, table included: so a value that was
 * altered, cut, or moved to another key is noticed by whoever reads it. It protects against faults, not against somebody
 * who can write the file: the tree does that.
 */
import { hash } from "node:crypto";
import { HASH_BYTES, sha256All } from "@tallystick/core";

const DIGEST_BYTES = 16;
const KEY_LENGTH_BYTES = 2;
/** Of a UTF-16 code unit in UTF-8. */
const UTF8_UNIT_BYTES_MAX = 3;

/** Grows to the largest value seen, up to this; larger ones get memory of their own. */
const SCRATCH_BYTES_MAX = 131_072;
let scratch = Buffer.allocUnsafe(4096);

export interface KeyedValue {
  readonly key: string;
  readonly value: Uint8Array;
}

export function sealValue({ key, value }: KeyedValue): Uint8Array {
  const sealed = Buffer.allocUnsafe(DIGEST_BYTES + value.length);
  sealed.write(digestOf({ key, value }), 0, DIGEST_BYTES, "latin1");
  sealed.set(value, DIGEST_BYTES);
  return sealed;
}

/** {@link sealValue} of each, sooner than one by one: for small values. */
export function sealValues(entries: readonly KeyedValue[]): Uint8Array[] {
  const digests = digestsOf(entries);
  // One piece of memory for all: they are written together, and then nobody keeps any.
  const bytes = new Uint8Array(entries.reduce((sum, { value }) => sum + DIGEST_BYTES + value.length, 0));
  let end = 0;
  return entries.map(({ value }, at) => {
    const start = end;
    for (let i = 0; i < DIGEST_BYTES; i += 1) bytes[start + i] = digests[HASH_BYTES * at + i] ?? 0;
    bytes.set(value, start + DIGEST_BYTES);
    end = start + DIGEST_BYTES + value.length;
    return bytes.subarray(start, end);
  });
}

/** One after the other, all 32 bytes of each. */
function digestsOf(entries: readonly KeyedValue[]): Uint8Array {
  const inputs = Buffer.allocUnsafe(entries.reduce((sum, entry) => sum + inputBytesMax(entry), 0));
  let end = 0;
  return sha256All(
    entries.map((entry) => {
      const start = end;
      end = putInput(inputs, start, entry);
      return inputs.subarray(start, end);
    }),
  );
}

/** The value, or `undefined` where it is not what was put under this key. */
export function unsealValue(key: string, sealed: Uint8Array): Uint8Array | undefined {
  if (sealed.length < DIGEST_BYTES) return undefined;
  const value = new Uint8Array(sealed.buffer, sealed.byteOffset + DIGEST_BYTES, sealed.length - DIGEST_BYTES);
  const stored = Buffer.from(sealed.buffer, sealed.byteOffset, DIGEST_BYTES).toString("latin1");
  return digestOf({ key, value }).startsWith(stored) ? value : undefined;
}

/** As latin1 text: `hash` makes a string three times as fast as a Buffer. */
function digestOf(entry: KeyedValue): string {
  const bytes = scratchOf(inputBytesMax(entry));
  return hash("sha256", bytes.subarray(0, putInput(bytes, 0, entry)), "binary");
}

/** Writes u16(length of key) key value; gives where that ends. */
function putInput(to: Buffer, at: number, { key, value }: KeyedValue): number {
  const start = at + KEY_LENGTH_BYTES;
  const keyBytes = to.write(key, start, "utf8");
  to.writeUInt16BE(keyBytes, at);
  to.set(value, start + keyBytes);
  return start + keyBytes + value.length;
}

function inputBytesMax({ key, value }: KeyedValue): number {
  return KEY_LENGTH_BYTES + UTF8_UNIT_BYTES_MAX * key.length + value.length;
}

function scratchOf(size: number): Buffer {
  if (size > SCRATCH_BYTES_MAX) return Buffer.allocUnsafe(size);
  if (size > scratch.length) scratch = Buffer.allocUnsafe(Math.min(SCRATCH_BYTES_MAX, size * 2));
  return scratch;
}
