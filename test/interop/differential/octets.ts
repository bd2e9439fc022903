/**
 * Inputs as text of octets: each character stands for one byte, so that expressions work on inputs that are no UTF-8.
 */
import { encodeBase64 } from "@tallystick/core";

/** The octets of bytes. */
export function octetsOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("latin1");
}

/** The bytes of octets. */
export function bytesOf(octets: string): Uint8Array {
  return new Uint8Array(Buffer.from(octets, "latin1"));
}

/** The octets of a text in UTF-8. */
export function octetsOfText(text: string): string {
  return Buffer.from(text).toString("latin1");
}

/** The text of octets in UTF-8. What is not UTF-8 becomes U+FFFD. */
export function textOf(octets: string): string {
  return Buffer.from(octets, "latin1").toString("utf8");
}

/** Whether octets are well-formed UTF-8. */
export function isUtf8(octets: string): boolean {
  return octetsOfText(textOf(octets)) === octets;
}

/** What Go's base64.StdEncoding reads: it passes over line ends, and over bits that belong to no byte. */
export function decodeLikeGo(text: string): Uint8Array | undefined {
  const digits = text.replaceAll(/[\r\n]/g, "");
  if (digits.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(digits)) return undefined;
  return new Uint8Array(Buffer.from(digits, "base64"));
}

/** The canonical form of what Go reads in `text`; anything else as it is. */
export function canonicalBase64(text: string): string {
  const bytes = decodeLikeGo(text);
  return bytes === undefined ? text : encodeBase64(bytes);
}

export const BASE64_DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/** Padded base64 with a bit set that belongs to no byte. */
export function looseBase64(text: string): string {
  return text.replace(/[^=](?==)/, (digit) => BASE64_DIGITS[BASE64_DIGITS.indexOf(digit) + 1] ?? digit);
}

/** A decimal without its leading zeros; anything else as it is. */
export function canonicalDecimal(text: string): string {
  return text.replace(/^0+(?=\d+$)/, "");
}

/** Whether a decimal is one that Go's uint64 holds and our sizes do not: 2^63 to 2^64 - 1. */
export function isAbove63Bits(text: string): boolean {
  return /^\d{1,40}$/.test(text) && BigInt(text) >= 2n ** 63n;
}
