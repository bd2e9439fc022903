/** Numbers as keys, so that the order of the keys is the order of the numbers. */

/** Hex digits that hold every safe integer: 2^53 - 1 has fourteen. */
const INDEX_KEY_DIGITS = 14;

/**
 * Formats an index or a size as 14 lower-case hex digits.
 *
 * @throws {RangeError} `index` is not a safe non-negative integer.
 * @example
 * indexKey(255); // "000000000000ff"
 */
export function indexKey(index: number): string {
  if (!Number.isSafeInteger(index) || index < 0)
    throw new RangeError(`index: expected a safe non-negative integer, got ${index}`);
  return index.toString(16).padStart(INDEX_KEY_DIGITS, "0");
}

/**
 * The number that {@link indexKey} formatted.
 *
 * @throws {RangeError} `key` is not 14 lower-case hex digits of a safe integer.
 */
export function parseIndexKey(key: string): number {
  const index = /^[0-9a-f]{14}$/.test(key) ? Number.parseInt(key, 16) : Number.NaN;
  if (!Number.isSafeInteger(index))
    throw new RangeError(`key: expected 14 lower-case hex digits, got ${JSON.stringify(key)}`);
  return index;
}
