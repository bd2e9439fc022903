/** Standard base64 with padding, in its one canonical form: unused bits zero, nothing in between. RFC 4648 §3.5, §4. */
// oxlint-disable no-bitwise -- a digit has 6 bits and a group of four 24: nothing here is a size or an index of a tree
import { codeUnitsOf } from "#crypto";
import { TlogError, type TlogErrorCode, quote } from "./error.ts";

const DIGITS = new TextEncoder().encode("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
const PADDING = 0x3d;
/** Has bits that no digit's value has. */
const NO_DIGIT = 255;
const DIGIT_MAX = 63;
const decoder = new TextDecoder();

/** The value of each digit by its code unit. */
const VALUES = new Uint8Array(128).fill(NO_DIGIT);
for (const [value, digit] of DIGITS.entries()) VALUES[digit] = value;

/** Two digits by their twelve bits, the first one in the lower byte. */
const PAIRS = Uint16Array.from(
  { length: 4096 },
  (_, bits) => Number(DIGITS[bits >> 6]) | (Number(DIGITS[bits & DIGIT_MAX]) << 8),
);

export function encodeBase64(bytes: Uint8Array): string {
  const text = new Uint8Array(base64Length(bytes));
  writeBase64(bytes, text, 0);
  return decoder.decode(text);
}

/** How many characters bytes take in base64. */
export function base64Length({ length }: Uint8Array): number {
  return Math.ceil(length / 3) * 4;
}

/**
 * Writes what encodeBase64() gives into memory that is there already, and has room for {@link base64Length} from `start` on.
 *
 * @returns where it ends.
 */
export function writeBase64(bytes: Uint8Array, text: Uint8Array, start: number): number {
  const rest = bytes.length % 3;
  const whole = bytes.length - rest;
  let at = start;
  for (let from = 0; from < whole; from += 3, at += 4) {
    const group = (Number(bytes[from]) << 16) | (Number(bytes[from + 1]) << 8) | Number(bytes[from + 2]);
    const [first, second] = [Number(PAIRS[group >> 12]), Number(PAIRS[group & 4095])];
    text[at] = first & 255;
    text[at + 1] = first >> 8;
    text[at + 2] = second & 255;
    text[at + 3] = second >> 8;
  }
  if (rest === 0) return at;
  const group = (Number(bytes[whole]) << 16) | ((bytes[whole + 1] ?? 0) << 8);
  text[at] = Number(DIGITS[group >> 18]);
  text[at + 1] = Number(DIGITS[(group >> 12) & DIGIT_MAX]);
  text[at + 2] = rest === 1 ? PADDING : Number(DIGITS[(group >> 6) & DIGIT_MAX]);
  text[at + 3] = PADDING;
  return at + 4;
}

/**
 * Reads base64 in its one canonical form.
 *
 * @param code - The error's code.
 * @param what - What to call it in the error: "line 3". A function is asked only where there is an error.
 * @throws {TlogError} `code`: anything else.
 */
export function decodeBase64(
  text: string,
  code: TlogErrorCode = "encoding-malformed",
  what: string | (() => string) = "base64",
): Uint8Array {
  const padding = text.endsWith("==") ? 2 : text.endsWith("=") ? 1 : 0;
  const bytes = new Uint8Array(Math.max(Math.floor(text.length / 4) * 3 - padding, 0));
  const encoded = { units: codeUnitsOf(text), start: 0, end: text.length };
  if (readBase64(encoded, bytes, 0) === bytes.length) return bytes;
  throw new TlogError(
    code,
    `${typeof what === "string" ? what : what()}: expected canonical base64, got ${quote(text)}`,
  );
}

/** UTF-16 code units from `start` to before `end`. */
export interface CodeUnits {
  readonly units: Uint16Array;
  readonly start: number;
  readonly end: number;
}

/**
 * The same into memory that is there already.
 *
 * @returns how many bytes it wrote to `at`; -1 for what is not canonical, of which it may have written some.
 */
export function readBase64({ units, start, end }: CodeUnits, bytes: Uint8Array, at: number): number {
  if (end === start) return 0;
  if ((end - start) % 4 !== 0) return -1;
  const last = end - 4;
  let to = at;
  let seen = 0;
  for (let from = start; from < last; from += 4, to += 3) {
    const a = VALUES[Number(units[from])] ?? NO_DIGIT;
    const b = VALUES[Number(units[from + 1])] ?? NO_DIGIT;
    const c = VALUES[Number(units[from + 2])] ?? NO_DIGIT;
    const d = VALUES[Number(units[from + 3])] ?? NO_DIGIT;
    seen |= a | b | c | d;
    bytes[to] = (a << 2) | (b >> 4);
    bytes[to + 1] = (b << 4) | (c >> 2);
    bytes[to + 2] = (c << 6) | d;
  }
  const padding = units[end - 1] !== PADDING ? 0 : units[end - 2] !== PADDING ? 1 : 2;
  const a = valueAt(units, last);
  const b = valueAt(units, last + 1);
  const c = padding === 2 ? 0 : valueAt(units, last + 2);
  const d = padding === 0 ? valueAt(units, last + 3) : 0;
  // The last digit of a short group has 4 or 2 bits that no byte needs.
  const unused = padding === 2 ? b & 15 : padding === 1 ? c & 3 : 0;
  if ((seen | a | b | c | d) > DIGIT_MAX || unused !== 0) return -1;
  bytes[to] = (a << 2) | (b >> 4);
  if (padding < 2) bytes[to + 1] = (b << 4) | (c >> 2);
  if (padding === 0) bytes[to + 2] = (c << 6) | d;
  return to + 3 - padding - at;
}

function valueAt(units: Uint16Array, at: number): number {
  return VALUES[Number(units[at])] ?? NO_DIGIT;
}
