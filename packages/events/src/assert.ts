/** Checks of arguments: a caller's slip is a TypeError or RangeError that names it. */

/**
 * Checks that an argument is a byte string of one length.
 *
 * @throws {TypeError} It is not. The message holds lengths only: the bytes may be a key.
 */
export function assertBytes(bytes: Uint8Array, length: number, name: string): void {
  if (!(bytes instanceof Uint8Array)) throw new TypeError(`${name}: expected a Uint8Array, got ${typeof bytes}`);
  if (bytes.length !== length) throw new TypeError(`${name}: expected ${length} bytes, got ${bytes.length}`);
}

/**
 * Checks that an argument is an integer between two bounds, both included.
 *
 * @throws {RangeError} It is not.
 */
export function assertInteger(value: number, { min, max }: { min: number; max: number }, name: string): void {
  if (Number.isSafeInteger(value) && value >= min && value <= max) return;
  throw new RangeError(`${name}: expected an integer from ${min} to ${max}, got ${String(value)}`);
}
