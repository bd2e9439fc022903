/**
 * Strict JSON (RFC 8259): no object has a name twice, so that no two readers can see two events in one text.
 *
 * The platform's parser reads; what it lets through is seen by counting, and told by a scanner of our own.
 */
import { invariant } from "@tallystick/core";
import { EventError } from "./error.ts";
import { type JsonDefect, scanJson } from "./json-scanner.ts";

/** The most arrays and objects that may stand inside each other. */
export const JSON_DEPTH_MAX = 32;

export type JsonValue = null | boolean | number | string | JsonValue[] | { [name: string]: JsonValue };

/**
 * Parses JSON text.
 *
 * Numbers are doubles, as everywhere in JavaScript; `__proto__` is a name like any other, an own property.
 *
 * @throws {EventError} `json-malformed`: not JSON, a name twice in one object, or more than 32 levels;
 *   `details` are `line` and `column`, from 1, and `offset`.
 */
export function parseJson(text: string): JsonValue {
  const value = parseNatively(text);
  if (value !== undefined && hasEveryName(value, text)) return value;
  const defect = scanJson(text, JSON_DEPTH_MAX);
  if (defect !== undefined) throw malformed(text, defect);
  invariant(value !== undefined, "JSON that the platform refuses has a defect");
  return value;
}

function parseNatively(text: string): JsonValue | undefined {
  try {
    return JSON.parse(text) as JsonValue;
  } catch {
    // The platform's message differs from one to the next, and quotes the text. The scanner finds the same place.
    return undefined;
  }
}

/** Whether no name overwrote another and nothing is too deep, as far as counting can tell: what is left is scanned. */
function hasEveryName(value: JsonValue, text: string): boolean {
  // Somebody gave every object a name; to count own ones only takes four times as long.
  if (countNames({}, 1) > 0) return false;
  const names = countNames(value, 1);
  return names === countColonsAtMost(text) || names === countColons(text);
}

/** The names of all objects in `value`: fewer than were written where one overwrote another. NaN if it is too deep. */
function countNames(value: JsonValue, depth: number): number {
  if (typeof value !== "object" || value === null) return 0;
  if (depth > JSON_DEPTH_MAX) return Number.NaN;
  let count = 0;
  if (Array.isArray(value)) {
    for (const member of value) count += countNames(member, depth + 1);
  } else {
    for (const name in value) count += 1 + countNames(value[name] ?? null, depth + 1);
  }
  return count;
}

const QUOTE = 0x22;
const SPACE = 0x20;
const COLON = 0x3a;
const BACKSLASH = 0x5c;

/** The colons after a quote or white space, strings included: a bound from above on {@link countColons}, sooner found. */
function countColonsAtMost(text: string): number {
  let count = 0;
  for (let at = text.indexOf(":"); at !== -1; at = text.indexOf(":", at + 1)) {
    const before = text.charCodeAt(at - 1);
    if (before === QUOTE || before <= SPACE) count += 1;
  }
  return count;
}

/** The colons outside of strings, of which valid JSON has one for each name. */
function countColons(text: string): number {
  let count = 0;
  for (let i = 0; i < text.length; i += 1) {
    const code = text.charCodeAt(i);
    if (code === COLON) count += 1;
    else if (code === QUOTE) i = endOfString(text, i + 1);
  }
  return count;
}

function endOfString(text: string, from: number): number {
  for (let i = from; i < text.length; i += 1) {
    const code = text.charCodeAt(i);
    if (code === QUOTE) return i;
    if (code === BACKSLASH) i += 1;
  }
  return text.length;
}

function malformed(text: string, { offset, message }: JsonDefect): EventError {
  const before = text.slice(0, offset);
  const line = before.split("\n").length;
  const column = offset - before.lastIndexOf("\n");
  const details = { line, column, offset };
  return new EventError("json-malformed", `line ${line}, column ${column}: ${message}`, { details });
}
