/**
 * A run of rows as one value: count, then each row. A row is its length plus one (0 where it was deleted), how many bytes
 * it begins with as the row before it does, and the rest of its bytes. Numbers are LEB128.
 *
 * Entries of one commit begin alike: version, time and sender are stored once, not with each.
 */
import { StorageError } from "./error.ts";

/** Decoded, a deleted row is `undefined`. */
export type RunValues = readonly (Uint8Array | undefined)[];

const VARINT_BYTES_MAX = 5;

export function encodeRun(values: RunValues): Uint8Array {
  let room = VARINT_BYTES_MAX;
  for (const value of values) room += 2 * VARINT_BYTES_MAX + (value?.length ?? 0);
  const bytes = new Uint8Array(room);
  let at = writeVarint(bytes, 0, values.length);
  let before: Uint8Array = new Uint8Array();
  for (const value of values) {
    at = writeVarint(bytes, at, value === undefined ? 0 : value.length + 1);
    if (value === undefined) continue;
    const shared = sharedBytes(before, value);
    at = writeVarint(bytes, at, shared);
    bytes.set(shared === 0 ? value : value.subarray(shared), at);
    at += value.length - shared;
    before = value;
  }
  return bytes.slice(0, at);
}

/** @throws {StorageError} `storage-corrupt`: not what encodeRun() gives. */
export function decodeRun(bytes: Uint8Array): RunValues {
  const reader = new RunReader(bytes);
  const count = reader.varint();
  if (count > bytes.length) throw malformed();
  const values: (Uint8Array | undefined)[] = [];
  let before: Uint8Array = new Uint8Array();
  for (let row = 0; row < count; row += 1) {
    const length = reader.varint() - 1;
    if (length >= 0) before = reader.row(length, before);
    values.push(length >= 0 ? before : undefined);
  }
  if (!reader.isAtEnd) throw malformed();
  return values;
}

/**
 * One row of a run, without making the others; `undefined` where it has none there.
 *
 * @throws {StorageError} `storage-corrupt`: not what encodeRun() gives.
 */
export function decodeRowOfRun(bytes: Uint8Array, wanted: number): Uint8Array | undefined {
  const reader = new RunReader(bytes);
  const count = reader.varint();
  if (count > bytes.length) throw malformed();
  // The rows up to the one that is wanted: how much each shares with the one before, and where the rest of it lies.
  const shared: number[] = [];
  const rests: number[] = [];
  let found: number | undefined;
  let lengthBefore = 0;
  for (let row = 0; row < count; row += 1) {
    const length = reader.varint() - 1;
    if (length < 0) continue;
    const part = reader.part(length, lengthBefore);
    lengthBefore = length;
    if (row > wanted) continue;
    shared.push(part.shared);
    rests.push(part.rest);
    if (row === wanted) found = length;
  }
  if (!reader.isAtEnd) throw malformed();
  return found === undefined ? undefined : joinParts(bytes, { length: found, shared, rests });
}

/** The last of some rows, from its end to its start: what it shares lies in the rows before it. */
function joinParts(
  bytes: Uint8Array,
  parts: { readonly length: number; readonly shared: readonly number[]; readonly rests: readonly number[] },
): Uint8Array {
  const row = new Uint8Array(parts.length);
  let missing = parts.length;
  for (let at = parts.shared.length - 1; missing > 0; at -= 1) {
    const [shared, rest] = [parts.shared[at] ?? 0, parts.rests[at] ?? 0];
    if (shared >= missing) continue;
    row.set(bytes.subarray(rest, rest + missing - shared), shared);
    missing = shared;
  }
  return row;
}

function sharedBytes(a: Uint8Array, b: Uint8Array): number {
  const max = Math.min(a.length, b.length);
  let shared = 0;
  while (shared < max && a[shared] === b[shared]) shared += 1;
  return shared;
}

/** Gives where the next one goes. */
function writeVarint(bytes: Uint8Array, from: number, value: number): number {
  let at = from;
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes[at++] = (rest % 128) + 128;
  bytes[at] = rest;
  return at + 1;
}

class RunReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  varint(): number {
    let value = 0;
    for (let [scale, left] = [1, VARINT_BYTES_MAX]; left > 0; [scale, left] = [scale * 128, left - 1]) {
      const byte = this.#bytes[this.#at++];
      if (byte === undefined) throw malformed();
      value += (byte % 128) * scale;
      if (byte < 128) return value;
    }
    throw malformed();
  }

  /** The rest of a row of `length` bytes, behind what it shares with the one before. */
  row(length: number, before: Uint8Array): Uint8Array {
    const { shared, rest } = this.part(length, before.length);
    const row = new Uint8Array(length);
    row.set(before.subarray(0, shared));
    row.set(this.#bytes.subarray(rest, this.#at), shared);
    return row;
  }

  /** How much a row of `length` bytes shares with the one before, and where the rest of it begins. */
  part(length: number, lengthBefore: number): { readonly shared: number; readonly rest: number } {
    const shared = this.varint();
    const rest = this.#at;
    const end = rest + length - shared;
    if (shared > length || shared > lengthBefore || end > this.#bytes.length) throw malformed();
    this.#at = end;
    return { shared, rest };
  }
}

function malformed(): StorageError {
  return new StorageError("storage-corrupt", "a run of rows is malformed; run fsck to see what else is");
}
