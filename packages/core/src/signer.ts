/** Signer keys: a seed under a name, as text, and the signatures it makes. The text form is that of x/mod's note package. */
import { ed25519PublicKey, ed25519Sign, mldsa44PublicKey, mldsa44Sign } from "#crypto";
import { decodeBase64, encodeBase64 } from "./base64.ts";
import { concatBytes, u8, utf8 } from "./bytes.ts";
import {
  type CosignedSubtree,
  checkpointCosignatureMessage,
  ed25519CosignatureMessage,
  encodeTimestamped,
  mldsa44CosignatureMessage,
} from "./cosignature.ts";
import { TlogError, quote } from "./error.ts";
import { formatNote, formatSignatureLine } from "./note.ts";
import type { Uint } from "./uint.ts";
import { type KeyType, type Verifier, createVerifier, formatKeyId } from "./vkey.ts";

/** `ed25519`: a log's signature (type 1); `ed25519-cosigner` (type 4) and `mldsa44` (type 6): cosignatures. */
export type SignerType = "ed25519" | "ed25519-cosigner" | "mldsa44";

const TYPES: Readonly<Record<SignerType, KeyType>> = { ed25519: 1, "ed25519-cosigner": 4, mldsa44: 6 };
const PREFIX = "PRIVATE+KEY+";
/** DEL and C1: notes of others may have them, ours do not. */
const UNSEEN = /[\u007f-\u009f]/;

export interface Signer {
  readonly name: string;
  readonly keyId: number;
  readonly type: SignerType;
  readonly verifier: Verifier;
  readonly vkey: string;
  /** 32 bytes. Secret. */
  readonly seed: Uint8Array;
}

/**
 * Makes a signer.
 *
 * @throws {RangeError} The seed is not 32 bytes; the name of an ML-DSA-44 signer is over 255 bytes.
 * @throws {TypeError} The name cannot name a key, or has a control character above U+007E.
 */
export function createSigner({
  name,
  type,
  seed,
}: {
  readonly name: string;
  readonly type: SignerType;
  readonly seed: Uint8Array;
}): Signer {
  if (UNSEEN.test(name)) throw new TypeError(`name: expected no control character, got ${quote(name)}`);
  const publicKey = type === "mldsa44" ? mldsa44PublicKey(seed) : ed25519PublicKey(seed);
  const verifier = createVerifier({ name, type: TYPES[type], publicKey });
  return { name, keyId: verifier.keyId, type, verifier, vkey: verifier.vkey, seed };
}

/** The signer as text. Secret. */
export function formatSignerKey({ name, keyId, type, seed }: Signer): string {
  return `${PREFIX}${name}+${formatKeyId(keyId)}+${encodeBase64(concatBytes(u8(TYPES[type]), seed))}`;
}

/**
 * Parses a signer key. Its text never stands in an error.
 *
 * @throws {TlogError} `signer-malformed`
 */
export function parseSignerKey(text: string): Signer {
  if (!text.startsWith(PREFIX)) throw malformed("expected PRIVATE+KEY+name+ID+key");
  const [name = "", hex = "", ...rest] = text.slice(PREFIX.length).split("+");
  const bytes = decodeSecret(rest.join("+"));
  const type = (Object.keys(TYPES) as SignerType[]).find((known) => TYPES[known] === bytes[0]);
  if (type === undefined) throw malformed("its signature type is none of 1, 4, 6");
  const signer = createParsed({ name, type, seed: bytes.slice(1) });
  if (formatKeyId(signer.keyId) !== hex) throw malformed("its ID is not that of its key");
  return signer;
}

function decodeSecret(text: string): Uint8Array {
  try {
    return decodeBase64(text, "signer-malformed");
  } catch {
    // The decoder's own message would show the text.
    throw malformed("the key is not base64");
  }
}

function createParsed(parts: { readonly name: string; readonly type: SignerType; readonly seed: Uint8Array }): Signer {
  try {
    return createSigner(parts);
  } catch (cause) {
    // Neither message holds the seed.
    if (cause instanceof TypeError || cause instanceof RangeError) throw malformed(cause.message);
    throw cause;
  }
}

/**
 * Signs the text of a note; gives the signature line, without its newline.
 *
 * @param timestamp - Seconds since 1970; needed by cosignatures and only by them.
 * @throws {TlogError} `checkpoint-malformed`: ML-DSA-44 signs checkpoints only.
 * @throws {RangeError} The timestamp is not a whole number from 0 to 2^63 - 1; ML-DSA-44: an origin of over 255 bytes.
 */
export function signatureLine({
  signer,
  noteText,
  timestamp = 0,
}: {
  readonly signer: Signer;
  readonly noteText: string;
  readonly timestamp?: Uint;
}): string {
  const { name, keyId } = signer;
  return formatSignatureLine({ name, keyId, signature: SIGN[signer.type](signer, noteText, timestamp) });
}

const SIGN: Readonly<Record<SignerType, (signer: Signer, noteText: string, timestamp: Uint) => Uint8Array>> = {
  ed25519: ({ seed }, noteText) => ed25519Sign(seed, utf8(noteText)),
  "ed25519-cosigner": ({ seed }, noteText, timestamp) => {
    const message = ed25519CosignatureMessage({ timestamp, noteText });
    return encodeTimestamped({ timestamp, signature: ed25519Sign(seed, message) });
  },
  mldsa44: ({ name, seed }, noteText, timestamp) => {
    const message = checkpointCosignatureMessage({ name, timestamp, noteText });
    return encodeTimestamped({ timestamp, signature: mldsa44Sign(seed, message) });
  },
};

/**
 * Signs a note with every signer.
 *
 * @throws {TlogError} `note-malformed`: the text has no final newline, or characters that a note of ours does not have;
 *   what {@link signatureLine} throws.
 */
export function signNote({
  text,
  signers,
  timestamp = 0,
}: {
  readonly text: string;
  readonly signers: readonly Signer[];
  readonly timestamp?: Uint;
}): string {
  if (!text.endsWith("\n")) throw new TlogError("note-malformed", "note: the text has no newline at its end");
  const [unseen] = UNSEEN.exec(text) ?? [];
  if (unseen !== undefined)
    throw new TlogError("note-malformed", `note: control character ${quote(unseen)} in the text`);
  return formatNote({
    text,
    signatures: signers.map((signer) => signatureLine({ signer, noteText: text, timestamp })),
  });
}

/**
 * Signs a subtree, with time 0; gives the signature line. c2sp.org/tlog-witness, sign-subtree
 *
 * @throws {TypeError} The signer is none of ML-DSA-44, or the hash is not 32 bytes.
 * @throws {RangeError} The origin is of 0 or over 255 bytes; the end is below the start.
 */
export function signSubtree({ signer, ...subtree }: CosignedSubtree & { readonly signer: Signer }): string {
  const { name, keyId, type, seed } = signer;
  if (type !== "mldsa44") throw new TypeError(`signer: expected an ML-DSA-44 key, got ${type}`);
  const signature = mldsa44Sign(seed, mldsa44CosignatureMessage({ ...subtree, name, timestamp: 0 }));
  return formatSignatureLine({ name, keyId, signature: encodeTimestamped({ timestamp: 0, signature }) });
}

function malformed(text: string): TlogError {
  return new TlogError("signer-malformed", `signer key: ${text}`);
}
