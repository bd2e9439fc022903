/**
 * Sizes, indexes and timestamps: whole numbers from 0 to 2^63 - 1.
 *
 * The formats allow more than a number holds exactly, so arguments may be bigints and what is parsed is one. Nothing
 * here or elsewhere in the package uses a bit operator on them: those cut numbers to 32 bits.
 */
import { TlogError, type TlogErrorCode, quote } from "./error.ts";

/** A safe non-negative integer, or a bigint from 0 to 2^63 - 1. */
export type Uint = number | bigint;

/** The largest size, index or timestamp: 2^63 - 1, so that it also fits a signed 64-bit integer. */
export const UINT_MAX: bigint = 2n ** 63n - 1n;

/** Digits of {@link UINT_MAX}: what is longer need not be converted to be refused. */
const UINT_DIGITS_MAX = 19;

/**
 * Checks an argument and gives it as a bigint.
 *
 * @param name - What to call it in the error.
 * @throws {RangeError} `value` is not a whole number from 0 to 2^63 - 1, or a number that cannot hold it exactly.
 */
export function toBigInt(value: Uint, name: string): bigint {
  if (typeof value === "bigint" ? value >= 0n && value <= UINT_MAX : Number.isSafeInteger(value) && value >= 0) {
    return BigInt(value);
  }
  throw new RangeError(`${name}: expected a whole number from 0 to 2^63 - 1, exactly held, got ${String(value)}`);
}

/** The same number as a number where that holds it exactly, else as a bigint. */
export function toUint(value: bigint): Uint {
  return value <= Number.MAX_SAFE_INTEGER ? Number(value) : value;
}

/**
 * Checks that an argument is a safe non-negative integer.
 *
 * @throws {RangeError} It is not.
 */
export function assertSafeUint(value: number, name: string): void {
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new RangeError(`${name}: expected a safe non-negative integer, got ${String(value)}`);
  }
}

/**
 * Formats `value` as a decimal without sign and leading zeros.
 *
 * @throws {RangeError} `value` is out of range.
 */
export function formatUint(value: Uint): string {
  return toBigInt(value, "value").toString();
}

/**
 * Parses a decimal without sign, leading zeros or anything else around it.
 *
 * @param code - The error's code.
 * @param what - What to call it in the error: "line 2".
 * @throws {TlogError} `code`: not such a decimal, or above 2^63 - 1.
 * @example
 * parseUint("51319770"); // 51319770n
 */
export function parseUint(text: string, code: TlogErrorCode = "encoding-malformed", what = "number"): bigint {
  if (!/^(?:0|[1-9]\d*)$/.test(text)) {
    throw new TlogError(code, `${what}: expected a decimal without sign or leading zeros, got ${quote(text)}`);
  }
  const value = text.length <= UINT_DIGITS_MAX ? BigInt(text) : undefined;
  if (value === undefined || value > UINT_MAX) {
    throw new TlogError(code, `${what}: expected at most 2^63 - 1, got ${quote(text)}`);
  }
  return value;
}
