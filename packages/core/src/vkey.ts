/** Verifier keys: a name, a key ID and a public key in one line of text, and what verifies under them. c2sp.org/signed-note */
import { ed25519Verify, mldsa44Verify, sha256 } from "#crypto";
import { decodeBase64, encodeBase64 } from "./base64.ts";
import { concatBytes, readU32, u8, utf8 } from "./bytes.ts";
import { ORIGIN_BYTES_MAX } from "./checkpoint.ts";
import { checkpointCosignatureMessage, decodeTimestamped, ed25519CosignatureMessage } from "./cosignature.ts";
import { TallystickError, TlogError, quote } from "./error.ts";
import { type Note, isKeyName } from "./note.ts";

/** 1: Ed25519 signature of a log; 4: Ed25519 cosignature; 6: ML-DSA-44 cosignature. */
export type KeyType = 1 | 4 | 6;

/** What a signature turned out to say, beyond that it holds. */
export interface SignatureClaim {
  /** Seconds since 1970; absent in type 1, which bears no time. */
  readonly timestamp?: bigint;
}

/** A public key under a name. */
export interface Verifier {
  readonly name: string;
  readonly keyId: number;
  readonly type: KeyType;
  readonly publicKey: Uint8Array;
  /** The key as text. */
  readonly vkey: string;
  /** What the signature says, or `undefined` where it does not hold over this note's text. */
  verify(note: Pick<Note, "text" | "textBytes">, signature: Uint8Array): SignatureClaim | undefined;
}

const PUBLIC_KEY_BYTES: Readonly<Record<KeyType, number>> = { 1: 32, 4: 32, 6: 1312 };
const ED25519_BYTES = 64;
const MLDSA44_BYTES = 2420;

/** The key ID that the name, the type and the key give. c2sp.org/signed-note, Signatures. */
export function computeKeyId({
  name,
  type,
  publicKey,
}: {
  readonly name: string;
  readonly type: number;
  readonly publicKey: Uint8Array;
}): number {
  return readU32(sha256(concatBytes(utf8(name), utf8("\n"), u8(type), publicKey)));
}

/**
 * Makes a verifier from its parts.
 *
 * @throws {TypeError} The name cannot name a key.
 * @throws {RangeError} The key has another length than its type asks for; the name of an ML-DSA-44 key is over 255 bytes.
 */
export function createVerifier({
  name,
  type,
  publicKey,
}: {
  readonly name: string;
  readonly type: KeyType;
  readonly publicKey: Uint8Array;
}): Verifier {
  if (!isKeyName(name)) throw new TypeError(`name: expected a key name, got ${quote(name)}`);
  if (publicKey.length !== PUBLIC_KEY_BYTES[type]) {
    throw new RangeError(
      `publicKey: expected ${PUBLIC_KEY_BYTES[type]} bytes for type ${type}, got ${publicKey.length}`,
    );
  }
  // What an ML-DSA-44 key signs gives the length of its name in one byte.
  const nameBytes = utf8(name).length;
  if (type === 6 && nameBytes > ORIGIN_BYTES_MAX) {
    throw new RangeError(`name: expected at most ${ORIGIN_BYTES_MAX} bytes for type 6, got ${nameBytes}`);
  }
  const keyId = computeKeyId({ name, type, publicKey });
  const vkey = formatVkey({ name, type, publicKey });
  const key = { name, publicKey };
  return { name, keyId, type, publicKey, vkey, verify: (note, signature) => VERIFY[type](key, note, signature) };
}

/** Writes a vkey. Checks neither name nor key: those of a {@link Verifier} are in order. */
export function formatVkey({
  name,
  type,
  publicKey,
}: {
  readonly name: string;
  readonly type: KeyType;
  readonly publicKey: Uint8Array;
}): string {
  const keyId = computeKeyId({ name, type, publicKey });
  return `${name}+${formatKeyId(keyId)}+${encodeBase64(concatBytes(u8(type), publicKey))}`;
}

/** Eight lower-case hex digits. */
export function formatKeyId(keyId: number): string {
  return keyId.toString(16).padStart(8, "0");
}

/**
 * Parses a vkey and checks that its ID is that of its key.
 *
 * @throws {TlogError} `vkey-malformed`; `vkey-unsupported` for a signature type that is not 1, 4 or 6.
 */
export function parseVkey(text: string): Verifier {
  const first = text.indexOf("+");
  const second = text.indexOf("+", first + 1);
  if (first === -1 || second === -1) throw malformed(text, "expected name+ID+key");
  const [name, hex, encoded] = [text.slice(0, first), text.slice(first + 1, second), text.slice(second + 1)];
  if (!isKeyName(name)) throw malformed(text, "not a key name");
  if (!/^[0-9a-f]{8}$/.test(hex)) throw malformed(text, "expected a key ID of 8 lower-case hex digits");
  const bytes = decodeBase64(encoded, "vkey-malformed", "vkey");
  const [type] = bytes;
  if (type === undefined) throw malformed(text, "the key is empty");
  if (type !== 1 && type !== 4 && type !== 6) {
    throw new TlogError("vkey-unsupported", `vkey ${quote(text)}: signature type ${type} is none of 1, 4, 6`);
  }
  const publicKey = bytes.slice(1);
  if (publicKey.length !== PUBLIC_KEY_BYTES[type]) {
    throw malformed(text, `expected a key of ${PUBLIC_KEY_BYTES[type]} bytes, got ${publicKey.length}`);
  }
  if (type === 6 && utf8(name).length > ORIGIN_BYTES_MAX) {
    throw malformed(text, `expected a name of at most ${ORIGIN_BYTES_MAX} bytes for type 6`);
  }
  const verifier = createVerifier({ name, type, publicKey });
  if (formatKeyId(verifier.keyId) !== hex) throw malformed(text, `its ID should be ${formatKeyId(verifier.keyId)}`);
  return verifier;
}

type Key = Pick<Verifier, "name" | "publicKey">;
type Verify = (key: Key, note: Pick<Note, "text" | "textBytes">, signature: Uint8Array) => SignatureClaim | undefined;

const VERIFY: Readonly<Record<KeyType, Verify>> = {
  1: ({ publicKey }, { textBytes }, signature) => (ed25519Verify(publicKey, textBytes, signature) ? {} : undefined),
  4: ({ publicKey }, { text }, blob) =>
    claim(() => {
      const { timestamp, signature } = decodeTimestamped(blob, ED25519_BYTES);
      const message = ed25519CosignatureMessage({ timestamp, noteText: text });
      return ed25519Verify(publicKey, message, signature) ? { timestamp } : undefined;
    }),
  6: ({ name, publicKey }, { text }, blob) =>
    claim(() => {
      const { timestamp, signature } = decodeTimestamped(blob, MLDSA44_BYTES);
      const message = checkpointCosignatureMessage({ name, timestamp, noteText: text });
      return mldsa44Verify(publicKey, message, signature) ? { timestamp } : undefined;
    }),
};

/** A blob of the wrong shape, or a text that is no checkpoint, is a signature that does not hold. */
function claim(read: () => SignatureClaim | undefined): SignatureClaim | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof TallystickError || error instanceof RangeError) return undefined;
    throw error;
  }
}

function malformed(text: string, what: string): TlogError {
  return new TlogError("vkey-malformed", `vkey ${quote(text)}: ${what}`);
}
