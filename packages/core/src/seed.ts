/** The secret that a key pair of either algorithm is made from. RFC 8032 §5.1.5, FIPS 204 §5.1 */
const SEED_BYTES = 32;

/**
 * Checks the length of a seed.
 *
 * @throws {RangeError} It is not 32 bytes; says nothing else about it.
 */
export function assertSeed(seed: Uint8Array): void {
  if (seed.length !== SEED_BYTES) throw new RangeError(`seed: expected ${SEED_BYTES} bytes, got ${seed.length}`);
}
