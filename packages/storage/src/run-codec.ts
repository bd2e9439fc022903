/**
 * A run of rows as one value: count, then for each row its length plus one (0 where it was deleted), all as LEB128, then
 * the rows' bytes.
 */
import { StorageError } from "./error.ts";

/** Decoded, a deleted row is `undefined`. */
export type RunValues = readonly (Uint8Array | undefined)[];

export function encodeRun(values: RunValues): Uint8Array {
  let size = varintBytes(values.length);
  for (const value of values) size += value === undefined ? 1 : varintBytes(value.length + 1) + value.length;
  const bytes = new Uint8Array(size);
  let at = writeVarint(bytes, 0, values.length);
  for (const value of values) at = writeVarint(bytes, at, value === undefined ? 0 : value.length + 1);
  for (const value of values) {
    if (value === undefined) continue;
    bytes.set(value, at);
    at += value.length;
  }
  return bytes;
}

/** @throws {StorageError} `storage-corrupt`: not what encodeRun() gives. */
export function decodeRun(bytes: Uint8Array): RunValues {
  const reader = new VarintReader(bytes);
  const count = reader.next();
  if (count > bytes.length) throw malformed();
  const lengths = Array.from({ length: count }, () => reader.next());
  let at = reader.at;
  const values = lengths.map((length) => {
    if (length === 0) return undefined;
    const from = at;
    at += length - 1;
    return bytes.subarray(from, at);
  });
  if (at !== bytes.length) throw malformed();
  return values;
}

function varintBytes(value: number): number {
  let bytes = 1;
  for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) bytes += 1;
  return bytes;
}

/** Gives where the next one goes. */
function writeVarint(bytes: Uint8Array, from: number, value: number): number {
  let at = from;
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes[at++] = (rest % 128) + 128;
  bytes[at] = rest;
  return at + 1;
}

class VarintReader {
  readonly #bytes: Uint8Array;
  at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  next(): number {
    let value = 0;
    for (let scale = 1; scale < 2 ** 35; scale *= 128) {
      const byte = this.#bytes[this.at++];
      if (byte === undefined) throw malformed();
      value += (byte % 128) * scale;
      if (byte < 128) return value;
    }
    throw malformed();
  }
}

function malformed(): StorageError {
  return new StorageError("storage-corrupt", "a run of rows is malformed; run fsck to see what else is");
}
