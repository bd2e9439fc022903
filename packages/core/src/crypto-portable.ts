/** The primitives that a platform can speed up, in portable code for browsers and other runtimes. */
import { Point, getPublicKey, hashes, sign } from "@noble/ed25519";
import { sha512 } from "@noble/hashes/sha2.js";
import { ml_dsa44 } from "@noble/post-quantum/ml-dsa.js";
import { concatBytes, equalBytes } from "./bytes.ts";
import { isStrictEd25519, littleEndian } from "./ed25519-strict.ts";
import { assertSeed } from "./seed.ts";

export { sha256 } from "@noble/hashes/sha2.js";

hashes.sha512 = sha512;

/** The UTF-16 code units of a text, from the start of an array that may be longer; until the next call. */
export function codeUnitsOf(text: string): Uint16Array {
  const units = new Uint16Array(text.length);
  unitsWriter(units)(text);
  return units;
}

/** What writes the UTF-16 code units of texts to the start of an array that has room for them. */
export function unitsWriter(units: Uint16Array): (text: string) => void {
  return (text) => {
    for (let at = 0; at < text.length; at += 1) units[at] = text.charCodeAt(at);
  };
}

/** The public key, 32 bytes, of a 32-byte seed. RFC 8032 §5.1.5. @throws {RangeError} The seed is of another length. */
export function ed25519PublicKey(seed: Uint8Array): Uint8Array {
  assertSeed(seed);
  return getPublicKey(seed);
}

/** The signature, 64 bytes; the same for the same input. RFC 8032 §5.1.6. @throws {RangeError} The seed is of another length. */
export function ed25519Sign(seed: Uint8Array, message: Uint8Array): Uint8Array {
  assertSeed(seed);
  return sign(message, seed);
}

/**
 * Whether a signature holds. The strict reading of RFC 8032 §5.1.7: canonical encodings, S < L, neither A nor R of small
 * order, the equation without cofactor. The library's own check multiplies by the cofactor, so it is not used.
 */
export function ed25519Verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (!isStrictEd25519(publicKey, signature)) return false;
  const point = pointOf(publicKey);
  if (point === undefined) return false;
  const r = signature.subarray(0, 32);
  const k = littleEndian(sha512(concatBytes(r, publicKey, message))) % Point.CURVE().n;
  const s = littleEndian(signature.subarray(32));
  const expected = Point.BASE.multiplyUnsafe(s).add(point.multiplyUnsafe(k).negate());
  return equalBytes(expected.toBytes(), r);
}

function pointOf(publicKey: Uint8Array): Point | undefined {
  try {
    return Point.fromBytes(publicKey);
  } catch {
    return undefined;
  }
}

/** The public key, 1312 bytes, of a 32-byte seed. FIPS 204 §5.1. @throws {RangeError} The seed is of another length. */
export function mldsa44PublicKey(seed: Uint8Array): Uint8Array {
  assertSeed(seed);
  return ml_dsa44.keygen(seed).publicKey;
}

/**
 * A signature, 2420 bytes, in pure mode with an empty context; another one each time. FIPS 204 §5.2.
 *
 * @throws {RangeError} The seed is not 32 bytes.
 */
export function mldsa44Sign(seed: Uint8Array, message: Uint8Array): Uint8Array {
  assertSeed(seed);
  return ml_dsa44.sign(message, ml_dsa44.keygen(seed).secretKey);
}

/** Whether a signature in pure mode with an empty context holds. FIPS 204 §5.3. */
export function mldsa44Verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (publicKey.length !== MLDSA44_PUBLIC_KEY_BYTES || signature.length !== MLDSA44_SIGNATURE_BYTES) return false;
  return ml_dsa44.verify(signature, message, publicKey);
}

const MLDSA44_PUBLIC_KEY_BYTES = 1312;
const MLDSA44_SIGNATURE_BYTES = 2420;
