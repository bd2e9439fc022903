/** Encodes any value as canonical CBOR: sorts keys, and names what cannot be encoded. RFC 8949 §4.2.1. */
import { invariant } from "@tallystick/core";
import { CBOR_DEPTH_MAX, type CborMap, type CborValue } from "./cbor-value.ts";
import type { CborWriter } from "./cbor-writer.ts";
import { EventError } from "./error.ts";

/**
 * Writes one item, `depth` levels of arrays and maps being around it.
 *
 * Gives `false` where CBOR cannot hold it; what was written is worthless then. {@link unencodable} tells why.
 */
export function writeItem(to: CborWriter, value: unknown, depth = 0): boolean {
  if (typeof value === "string") return to.text(value);
  if (typeof value === "number") return writeInteger(to, value);
  if (typeof value === "boolean") to.boolean(value);
  else if (value === null) to.null();
  else if (typeof value !== "object") return false;
  else if (value instanceof Uint8Array) to.byteString(value);
  else if (depth === CBOR_DEPTH_MAX) return false;
  else return Array.isArray(value) ? writeArray(to, value, depth + 1) : writeMap(to, value as CborMap, depth + 1);
  return true;
}

function writeInteger(to: CborWriter, value: number): boolean {
  if (!Number.isSafeInteger(value)) return false;
  to.integer(value);
  return true;
}

function writeArray(to: CborWriter, values: readonly unknown[], depth: number): boolean {
  to.array(values.length);
  // By index: forEach would leave out a hole, which has to be refused.
  for (let i = 0; i < values.length; i += 1) {
    if (!writeItem(to, values[i], depth)) return false;
  }
  return true;
}

function writeMap(to: CborWriter, map: CborMap, depth: number): boolean {
  const keys = canonicalKeys(map);
  to.map(keys.length);
  for (const key of keys) {
    if (!to.text(key) || !writeItem(to, map[key], depth)) return false;
  }
  return true;
}

function canonicalKeys(map: CborMap): string[] {
  const keys = Object.keys(map);
  return keys.length < 2 ? keys : keys.sort(compareKeys);
}

/** The order of two keys' encodings, without encoding them: the shorter one's head is lower, so length comes first. */
export function compareKeys(a: string, b: string): number {
  const difference = utf8Size(a) - utf8Size(b);
  if (difference !== 0) return difference;
  for (let i = 0; i < a.length && i < b.length; i += 1) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x === y) continue;
    // Code units sort like UTF-8 except that surrogates stand for what comes after all the others.
    return isSurrogate(x) === isSurrogate(y) ? x - y : isSurrogate(x) ? 1 : -1;
  }
  return 0;
}

function utf8Size(text: string): number {
  let size = text.length;
  for (let i = 0; i < text.length; i += 1) {
    const unit = text.charCodeAt(i);
    if (unit < 0x80) continue;
    // Two surrogates of two bytes each make up one character of four.
    size += unit < 0x800 || isSurrogate(unit) ? 1 : 2;
  }
  return size;
}

function isSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdfff;
}

/** The error for a value that {@link writeItem} gave up: `cbor-unencodable`, and where the first defect is. */
export function unencodable(value: CborValue): EventError {
  const defect = defectOf(value, []);
  invariant(defect !== undefined, "what cannot be encoded has a defect");
  const steps = defect.path.map((step) => (typeof step === "number" ? `[${step}]` : `.${step}`));
  const path = steps.join("").replace(/^\./, "");
  return new EventError("cbor-unencodable", `${path === "" ? "value" : path}: ${defect.message}`, {
    details: { path },
  });
}

interface Unencodable {
  /** Keys and indexes on the way to the value. */
  readonly path: readonly (string | number)[];
  readonly message: string;
}

/** The first defect in the order in which items are written. */
function defectOf(value: CborValue, path: Unencodable["path"]): Unencodable | undefined {
  const message = messageOf(value, path.length);
  if (message !== undefined) return { path, message };
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return undefined;
  if (isArray(value)) return firstOf(value.keys(), (i) => defectOf(value[i] as CborValue, [...path, i]));
  return firstOf(canonicalKeys(value), (key) =>
    key.isWellFormed() ? defectOf(value[key] as CborValue, [...path, key]) : { path, message: NOT_WELL_FORMED },
  );
}

const NOT_WELL_FORMED = "expected well-formed text, got a lone surrogate";

/** What is wrong with a value itself, not with what is in it. */
function messageOf(value: CborValue, depth: number): string | undefined {
  if (typeof value === "string") return value.isWellFormed() ? undefined : NOT_WELL_FORMED;
  if (typeof value === "number") {
    return Number.isSafeInteger(value) ? undefined : "expected an integer within ±(2^53 - 1); write others as text";
  }
  if (typeof value === "boolean" || value === null || value instanceof Uint8Array) return undefined;
  if (typeof value !== "object") return `expected a value that CBOR holds, got ${typeof value}`;
  return depth < CBOR_DEPTH_MAX ? undefined : `expected at most ${CBOR_DEPTH_MAX} levels of arrays and maps`;
}

function firstOf<Item>(
  items: Iterable<Item>,
  defectOf: (item: Item) => Unencodable | undefined,
): Unencodable | undefined {
  for (const item of items) {
    const defect = defectOf(item);
    if (defect !== undefined) return defect;
  }
  return undefined;
}

/** Array.isArray does not narrow to readonly arrays. */
function isArray(value: readonly CborValue[] | CborMap): value is readonly CborValue[] {
  return Array.isArray(value);
}
