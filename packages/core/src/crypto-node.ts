/** The primitives that a platform can speed up, on node:crypto. */
import { type KeyObject, createPrivateKey, createPublicKey, hash, sign, verify } from "node:crypto";
import { Buffer } from "node:buffer";
import { concatBytes, decodeHex, encodeHex, equalBytes } from "./bytes.ts";
import * as portable from "./crypto-portable.ts";
import { isStrictEd25519Key, isStrictEd25519Signature } from "./ed25519-strict.ts";
import { assertSeed } from "./seed.ts";

const SHA256_BYTES = 32;

/**
 * SHA-256 of `data`. FIPS 180-4.
 *
 * Asked for a string of one character per byte, Node hashes 65 bytes in 0.5 µs; asked for a Buffer, in 1.3 µs.
 */
export function sha256(data: Uint8Array): Uint8Array {
  const text = hash("sha256", data, "binary");
  const bytes = new Uint8Array(SHA256_BYTES);
  for (let i = 0; i < SHA256_BYTES; i += 1) bytes[i] = text.charCodeAt(i);
  return bytes;
}

/** Longer texts get memory of their own. */
const UNITS_MAX = 4096;
const units = new Uint16Array(UNITS_MAX);
const IS_LITTLE_ENDIAN = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;
const writeUnits = unitsWriter(units);

/** The UTF-16 code units of a text, from the start of an array that may be longer; until the next call. */
export function codeUnitsOf(text: string): Uint16Array {
  if (text.length > UNITS_MAX) return portable.codeUnitsOf(text);
  writeUnits(text);
  return units;
}

/**
 * What writes the UTF-16 code units of texts to the start of an array that has room for them.
 *
 * To look at 2,000 of them in the string itself takes 3 to 8 µs, as bytes of UTF-8 2 µs, and to copy them so 0.2 µs.
 */
export function unitsWriter(to: Uint16Array): (text: string) => void {
  if (!IS_LITTLE_ENDIAN) return portable.unitsWriter(to);
  const bytes = Buffer.from(to.buffer, to.byteOffset, to.byteLength);
  return (text) => {
    bytes.write(text, "utf16le");
  };
}

/** What stands before the raw bytes of a key: PKCS #8 before a seed, SPKI before a public key. */
const PREFIX = {
  ed25519Private: decodeHex("302e020100300506032b657004220420"),
  ed25519Public: decodeHex("302a300506032b6570032100"),
  mldsa44Private: decodeHex("3034020100300b060960864801650304031104228020"),
  mldsa44Public: decodeHex("30820532300b06096086480165030403110382052100"),
};

/** Parsed keys, since parsing one costs as much as a signature. Few keys are in use; many only ever pass by. */
const KEYS_MAX = 256;
const keys = new Map<string, KeyObject>();

/** node:crypto takes DER in nothing else. */
function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function keyOf(kind: "public" | "private", prefix: Uint8Array, bytes: Uint8Array): KeyObject {
  // One seed may serve both algorithms, so the algorithm, in the prefix, is part of the name.
  const name = encodeHex(concatBytes(prefix, bytes));
  const known = keys.get(name);
  if (known !== undefined) return known;
  const key = bufferOf(concatBytes(prefix, bytes));
  const parsed =
    kind === "public"
      ? createPublicKey({ key, format: "der", type: "spki" })
      : createPrivateKey({ key, format: "der", type: "pkcs8" });
  const [oldest] = keys.keys();
  if (keys.size >= KEYS_MAX && oldest !== undefined) keys.delete(oldest);
  keys.set(name, parsed);
  return parsed;
}

/** The last bytes of a public key's SPKI form are the key. */
function publicKeyOf(privateKey: KeyObject, prefixBytes: number): Uint8Array {
  return new Uint8Array(createPublicKey(privateKey).export({ format: "der", type: "spki" }).subarray(prefixBytes));
}

/** The public key, 32 bytes, of a 32-byte seed. RFC 8032 §5.1.5. @throws {RangeError} The seed is of another length. */
export function ed25519PublicKey(seed: Uint8Array): Uint8Array {
  assertSeed(seed);
  return publicKeyOf(keyOf("private", PREFIX.ed25519Private, seed), PREFIX.ed25519Public.length);
}

/** The signature, 64 bytes; the same for the same input. RFC 8032 §5.1.6. @throws {RangeError} The seed is of another length. */
export function ed25519Sign(seed: Uint8Array, message: Uint8Array): Uint8Array {
  assertSeed(seed);
  return new Uint8Array(sign(null, message, keyOf("private", PREFIX.ed25519Private, seed)));
}

/**
 * Whether a signature holds. The strict reading of RFC 8032 §5.1.7: canonical encodings, S < L, neither A nor R of small
 * order, the equation without cofactor.
 */
export function ed25519Verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (!isStrictEd25519Signature(signature)) return false;
  const key = strictKeyOf(publicKey);
  return key !== undefined && verify(null, message, key, signature);
}

/** Keys by the very bytes that they were asked for with, which a verifier holds on to; and a copy, since it may change them. */
const strictKeys = new WeakMap<Uint8Array, { readonly bytes: Uint8Array; readonly key: KeyObject }>();

/** `undefined` for one that is not strict. */
function strictKeyOf(publicKey: Uint8Array): KeyObject | undefined {
  const known = strictKeys.get(publicKey);
  if (known !== undefined && equalBytes(known.bytes, publicKey)) return known.key;
  if (!isStrictEd25519Key(publicKey)) return undefined;
  const key = keyOf("public", PREFIX.ed25519Public, publicKey);
  strictKeys.set(publicKey, { bytes: publicKey.slice(), key });
  return key;
}

const MLDSA44_PUBLIC_KEY_BYTES = 1312;
const MLDSA44_SIGNATURE_BYTES = 2420;

/** Whether this Node has ML-DSA-44 (from 24.6 on): told by making a key, not by its version. */
const hasMldsa44: boolean = (() => {
  try {
    return (
      createPrivateKey({
        key: bufferOf(concatBytes(PREFIX.mldsa44Private, new Uint8Array(32))),
        format: "der",
        type: "pkcs8",
      }).asymmetricKeyType !== undefined
    );
  } catch {
    return false;
  }
})();

/** The public key, 1312 bytes, of a 32-byte seed. FIPS 204 §5.1. @throws {RangeError} The seed is of another length. */
export function mldsa44PublicKey(seed: Uint8Array): Uint8Array {
  assertSeed(seed);
  if (!hasMldsa44) return portable.mldsa44PublicKey(seed);
  return publicKeyOf(keyOf("private", PREFIX.mldsa44Private, seed), PREFIX.mldsa44Public.length);
}

/**
 * A signature, 2420 bytes, in pure mode with an empty context; another one each time. FIPS 204 §5.2.
 *
 * @throws {RangeError} The seed is not 32 bytes.
 */
export function mldsa44Sign(seed: Uint8Array, message: Uint8Array): Uint8Array {
  assertSeed(seed);
  if (!hasMldsa44) return portable.mldsa44Sign(seed, message);
  return new Uint8Array(sign(null, message, keyOf("private", PREFIX.mldsa44Private, seed)));
}

/** Whether a signature in pure mode with an empty context holds. FIPS 204 §5.3. */
export function mldsa44Verify(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  if (publicKey.length !== MLDSA44_PUBLIC_KEY_BYTES || signature.length !== MLDSA44_SIGNATURE_BYTES) return false;
  if (!hasMldsa44) return portable.mldsa44Verify(publicKey, message, signature);
  return verify(null, message, keyOf("public", PREFIX.mldsa44Public, publicKey), signature);
}
