/** Randomness from the platform, wherever that is. */

/** Fresh random bytes, at most 65,536. */
export function randomBytes(length: number): Uint8Array {
  return globalThis.crypto.getRandomValues(new Uint8Array(length));
}
