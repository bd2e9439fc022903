/** Hex digits in text of a known form, and their bytes: several times as fast as to match, to cut and to decode it. */
import { HASH_BYTES } from "@tallystick/core";

const NOT_A_DIGIT = 0xff;
const DASH = 0x2d;
const UUID_CHARS = 36;

export const UUID_BYTES = 16;

/** The value of each lower-case digit by its ASCII code. */
const VALUES = new Uint8Array(256).fill(NOT_A_DIGIT);
for (let value = 0; value < 16; value += 1) VALUES[value.toString(16).charCodeAt(0)] = value;

const DIGITS = new TextEncoder().encode("0123456789abcdef");
const textDecoder = new TextDecoder();
/** Digits are put together here, since adding up short texts takes longer than to decode a long one. */
const hashDigits = new Uint8Array(2 * HASH_BYTES);
const uuidDigits = new Uint8Array(UUID_CHARS).fill(DASH);

/** The lower-case hex digits of 32 bytes. */
export function formatHash(bytes: Uint8Array): string {
  putDigits(hashDigits, 0, bytes, 0, HASH_BYTES);
  return textDecoder.decode(hashDigits);
}

/** The text of a UUID's 16 bytes. */
export function formatUuidBytes(bytes: Uint8Array): string {
  putDigits(uuidDigits, 0, bytes, 0, 4);
  putDigits(uuidDigits, 9, bytes, 4, 6);
  putDigits(uuidDigits, 14, bytes, 6, 8);
  putDigits(uuidDigits, 19, bytes, 8, 10);
  putDigits(uuidDigits, 24, bytes, 10, UUID_BYTES);
  return textDecoder.decode(uuidDigits);
}

/** Whether all of `text` is lower-case hex digits. */
export function isHex(text: string): boolean {
  return joinedValues(text, 0, text.length) < 16;
}

/** Whether `text` is a UUID in lower case. RFC 9562 §4. */
export function isUuid(text: string): boolean {
  if (!hasUuidDashes(text)) return false;
  const values =
    joinedValues(text, 0, 8) |
    joinedValues(text, 9, 13) |
    joinedValues(text, 14, 18) |
    joinedValues(text, 19, 23) |
    joinedValues(text, 24, UUID_CHARS);
  return values < 16;
}

/** The 32 bytes of 64 lower-case hex digits; `undefined` for any other text. */
export function hashBytes(text: string): Uint8Array | undefined {
  const bytes = new Uint8Array(HASH_BYTES);
  return putHash(bytes, 0, text) ? bytes : undefined;
}

/** The bytes of a UUID in lower case; `undefined` for any other text. */
export function uuidBytes(text: string): Uint8Array | undefined {
  const bytes = new Uint8Array(UUID_BYTES);
  return putUuid(bytes, 0, text) ? bytes : undefined;
}

/** Puts the bytes of 64 digits from `at` on. Gives `false` for any other text; what was put there is worthless then. */
export function putHash(bytes: Uint8Array, at: number, text: string): boolean {
  if (typeof text !== "string" || text.length !== 2 * HASH_BYTES) return false;
  return putBytes(bytes, at, text, 0, 2 * HASH_BYTES) < 16;
}

/** The same for the bytes of a UUID. */
export function putUuid(bytes: Uint8Array, at: number, text: string): boolean {
  if (!hasUuidDashes(text)) return false;
  const values =
    putBytes(bytes, at, text, 0, 8) |
    putBytes(bytes, at + 4, text, 9, 13) |
    putBytes(bytes, at + 6, text, 14, 18) |
    putBytes(bytes, at + 8, text, 19, 23) |
    putBytes(bytes, at + 10, text, 24, UUID_CHARS);
  return values < 16;
}

function hasUuidDashes(text: string): boolean {
  if (typeof text !== "string" || text.length !== UUID_CHARS) return false;
  for (let at = 8; at < 24; at += 5) if (text.charCodeAt(at) !== DASH) return false;
  return true;
}

/** The values of all digits between two places, or-ed: below 16 where all are digits. */
function joinedValues(text: string, from: number, to: number): number {
  let values = 0;
  for (let i = from; i < to; i += 1) values |= VALUES[text.charCodeAt(i)] ?? NOT_A_DIGIT;
  return values;
}

/** Puts the bytes of the digits between two places, and gives their values or-ed. */
function putBytes(bytes: Uint8Array, at: number, text: string, from: number, to: number): number {
  let values = 0;
  for (let i = from, place = at; i < to; i += 2, place += 1) {
    const high = VALUES[text.charCodeAt(i)] ?? NOT_A_DIGIT;
    const low = VALUES[text.charCodeAt(i + 1)] ?? NOT_A_DIGIT;
    values |= high | low;
    bytes[place] = high * 16 + low;
  }
  return values;
}

/** Puts the digits of the bytes between two places. */
function putDigits(digits: Uint8Array, at: number, bytes: Uint8Array, from: number, to: number): void {
  for (let i = from, place = at; i < to; i += 1, place += 2) {
    const byte = bytes[i] ?? 0;
    digits[place] = DIGITS[byte >> 4] ?? 0;
    digits[place + 1] = DIGITS[byte & 15] ?? 0;
  }
}
