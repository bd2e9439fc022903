/** What a storage driver checks of its arguments before it does anything. */
import { indexKey } from "./index-key.ts";
import type { Commit, HeadName, Row, Run } from "./storage.ts";

const HEAD_NAMES: readonly string[] = ["integrated", "signed", "published"] satisfies HeadName[];
const KEY_BYTES_MAX = 512;

export function assertTable(table: string): void {
  if (!/^[a-z0-9-]{1,32}$/.test(table))
    throw new RangeError(`table: expected 1 to 32 of a-z 0-9 -, got ${quote(table)}`);
}

export function assertKey(key: string): void {
  if (typeof key !== "string") throw new TypeError(`key: expected a string, got ${typeof key}`);
  const bytes = Buffer.byteLength(key);
  if (bytes < 1 || bytes > KEY_BYTES_MAX || !key.isWellFormed()) {
    throw new RangeError(
      `key: expected well-formed text of 1 to ${KEY_BYTES_MAX} bytes, got ${bytes} bytes ${quote(key)}`,
    );
  }
}

export function assertBlobKey(key: string): void {
  if (!/^[A-Za-z0-9._/-]{1,512}$/.test(key)) {
    throw new RangeError(`blob key: expected 1 to ${KEY_BYTES_MAX} of A-Z a-z 0-9 . _ - /, got ${quote(key)}`);
  }
}

export function assertBytes(bytes: Uint8Array, what: string): void {
  if (!(bytes instanceof Uint8Array)) throw new TypeError(`${what}: expected a Uint8Array, got ${typeof bytes}`);
}

export function assertHeadName(name: HeadName): void {
  if (!HEAD_NAMES.includes(name))
    throw new RangeError(`head name: expected one of ${HEAD_NAMES.join(", ")}, got ${quote(name)}`);
}

export function assertRows(rows: readonly Row[]): void {
  for (const { table, key, value } of rows) {
    assertTable(table);
    assertKey(key);
    if (value !== null) assertBytes(value, `value of ${table}`);
  }
}

function assertRun({ table, first, values }: Run): void {
  assertTable(table);
  if (values.length === 0) throw new RangeError(`run of ${table}: expected one value at least, got none`);
  indexKey(first + values.length - 1);
  indexKey(first);
  for (const value of values) assertBytes(value, `value of ${table}`);
}

export function assertCommit({ head, rows = [], runs = [], blobs = [] }: Commit): void {
  assertHeadName(head.name);
  if (!Number.isSafeInteger(head.expected) || head.expected < 0) {
    throw new RangeError(`expected: expected a version of 0 or more, got ${head.expected}`);
  }
  assertBytes(head.bytes, "head");
  assertRows(rows);
  runs.forEach(assertRun);
  for (const { key, bytes } of blobs) {
    assertBlobKey(key);
    assertBytes(bytes, `blob ${key}`);
  }
}

/** Keys may hold what a writer named itself by; errors show no more of them than helps to find the call. */
function quote(text: unknown): string {
  return JSON.stringify(String(text).slice(0, 40));
}
