/** Entry bundles: the entries whose leaf hashes are one level-0 tile, each behind its length. c2sp.org/tlog-tiles. */
import { equalBytes } from "./bytes.ts";
import { TlogError } from "./error.ts";
import type { Hash } from "./hash.ts";
import { hashLeaves, splitHashes } from "./hashes.ts";
import { TILE_WIDTH } from "./tile.ts";

/** The longest entry: its length is 16 bits. */
export const ENTRY_BYTES_MAX = 65535;

const LENGTH_BYTES = 2;

/**
 * The bytes of a bundle: each entry behind its length, big-endian in two bytes.
 *
 * @throws {RangeError} Not 1 to 256 entries.
 * @throws {TlogError} `entry-too-large`: an entry has more than 65,535 bytes.
 */
export function encodeEntryBundle(entries: readonly Uint8Array[]): Uint8Array {
  assertCount(entries.length, "entries");
  let size = 0;
  for (const [i, { length }] of entries.entries()) {
    if (length > ENTRY_BYTES_MAX) {
      throw new TlogError("entry-too-large", `entry ${i}: expected at most ${ENTRY_BYTES_MAX} bytes, got ${length}`);
    }
    size += LENGTH_BYTES + length;
  }
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  let offset = 0;
  for (const entry of entries) {
    view.setUint16(offset, entry.length);
    bytes.set(entry, offset + LENGTH_BYTES);
    offset += LENGTH_BYTES + entry.length;
  }
  return bytes;
}

/**
 * The entries of a bundle: views of `bytes`, not copies.
 *
 * @param count - What the path that the bytes came from says.
 * @throws {RangeError} `count` is not 1 to 256.
 * @throws {TlogError} `bundle-malformed`: cut off, or more or fewer entries than `count`.
 */
export function decodeEntryBundle(bytes: Uint8Array, count: number): Uint8Array[] {
  assertCount(count, "count");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const entries: Uint8Array[] = [];
  let offset = 0;
  while (entries.length < count) {
    const start = offset + LENGTH_BYTES;
    if (start > bytes.length) throw malformed(`entry ${entries.length} of ${count}: its length is missing or cut off`);
    offset = start + view.getUint16(offset);
    if (offset > bytes.length) throw malformed(`entry ${entries.length} of ${count}: cut off`);
    entries.push(bytes.subarray(start, offset));
  }
  if (offset < bytes.length) throw malformed(`${bytes.length - offset} bytes after entry ${count - 1}, the last one`);
  return entries;
}

/**
 * Verifies that the entries of a bundle are those whose leaf hashes the level-0 tile holds.
 *
 * Does not check the tile: its hashes have to be held against the root hash first.
 *
 * @throws {RangeError} Not one leaf hash for each entry.
 * @throws {TlogError} `leaf-mismatch`: an entry is another one; `details.offset` is its place in the bundle.
 */
export function verifyEntryBundle({
  entries,
  leafHashes,
}: {
  readonly entries: readonly Uint8Array[];
  readonly leafHashes: readonly Hash[];
}): void {
  if (entries.length !== leafHashes.length) {
    throw new RangeError(`leafHashes: expected one for each of ${entries.length} entries, got ${leafHashes.length}`);
  }
  const actual = splitHashes(hashLeaves(entries));
  for (const [offset, leafHash] of leafHashes.entries()) {
    if (!equalBytes(actual[offset] as Hash, leafHash)) {
      throw new TlogError("leaf-mismatch", `entry ${offset} of the bundle is not the one in the tree`, {
        details: { offset },
      });
    }
  }
}

function assertCount(count: number, name: string): void {
  if (!Number.isInteger(count) || count < 1 || count > TILE_WIDTH) {
    throw new RangeError(`${name}: expected 1 to ${TILE_WIDTH}, got ${count}`);
  }
}

function malformed(message: string): TlogError {
  return new TlogError("bundle-malformed", message);
}
