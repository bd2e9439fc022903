/**
 * Values that carry a digest of themselves and of the place where they were put.
 *
 * LevelDB, opened through Node, returns damaged blocks as if they were right. A value here begins with the first bytes of
 * SHA-256(u16(length of key) key value), where the key is the database's own, table included: so a value that was
 * altered, cut, or moved to another key is noticed by whoever reads it. It protects against faults, not against somebody
 * who can write the file: the tree does that. Before a value of up to 16 bytes stand 8 of them, before a longer one 16;
 * before small ones too in what was written in former times, and such are read.
 */
import { hash } from "node:crypto";
import { HASH_BYTES, UTF8_UNIT_BYTES_MAX, sha256All } from "@tallystick/core";

const DIGEST_BYTES = 16;
const SMALL_DIGEST_BYTES = 8;
/** Of a value that has the smaller digest: nearly each entry has a row as small, for its id. */
const SMALL_VALUE_BYTES_MAX = 16;
const KEY_LENGTH_BYTES = 2;

/** Grows to the largest value seen, up to this; larger ones get memory of their own. */
const SCRATCH_BYTES_MAX = 131_072;
let scratch = Buffer.allocUnsafe(4096);

export interface KeyedValue {
  readonly key: string;
  readonly value: Uint8Array;
}

export function sealValue({ key, value }: KeyedValue): Uint8Array {
  const digestBytes = digestBytesOf(value);
  const sealed = Buffer.allocUnsafe(digestBytes + value.length);
  sealed.write(digestOf({ key, value }), 0, digestBytes, "latin1");
  sealed.set(value, digestBytes);
  return sealed;
}

/** {@link sealValue} of each, sooner than one by one: for small values. */
export function sealValues(entries: readonly KeyedValue[]): Uint8Array[] {
  const digests = digestsOf(entries);
  // One piece of memory for all: they are written together, and then nobody keeps any.
  const bytes = new Uint8Array(entries.reduce((sum, { value }) => sum + digestBytesOf(value) + value.length, 0));
  let end = 0;
  return entries.map(({ value }, at) => {
    const start = end;
    const digestBytes = digestBytesOf(value);
    for (let i = 0; i < digestBytes; i += 1) bytes[start + i] = digests[HASH_BYTES * at + i] ?? 0;
    bytes.set(value, start + digestBytes);
    end = start + digestBytes + value.length;
    return bytes.subarray(start, end);
  });
}

function digestBytesOf({ length }: Uint8Array): number {
  return length <= SMALL_VALUE_BYTES_MAX ? SMALL_DIGEST_BYTES : DIGEST_BYTES;
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
  const isSmall = sealed.length <= SMALL_DIGEST_BYTES + SMALL_VALUE_BYTES_MAX;
  return (isSmall ? valueBehind(SMALL_DIGEST_BYTES, key, sealed) : undefined) ?? valueBehind(DIGEST_BYTES, key, sealed);
}

function valueBehind(digestBytes: number, key: string, sealed: Uint8Array): Uint8Array | undefined {
  if (sealed.length < digestBytes) return undefined;
  const value = new Uint8Array(sealed.buffer, sealed.byteOffset + digestBytes, sealed.length - digestBytes);
  const stored = Buffer.from(sealed.buffer, sealed.byteOffset, digestBytes).toString("latin1");
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
