/** Keys from fixed seeds that sign whatever octets they are given, also what no honest signer would. */
import {
  type Signer,
  type SignerType,
  type Uint,
  concatBytes,
  createSigner,
  ed25519Sign,
  encodeBase64,
  mldsa44Sign,
  sha256,
  u32,
  u64,
  u8,
  utf8,
} from "@tallystick/core";
import { bytesOf, decodeLikeGo, octetsOfText } from "./octets.ts";

export const LOG: Signer = signerOf("differential.example/log", "ed25519");
export const WITNESS: Signer = signerOf("differential.example/witness", "ed25519-cosigner");
export const PQ_WITNESS: Signer = signerOf("differential.example/pq-witness", "mldsa44");

/** The signer of a name and a type is always the same. */
export function signerOf(name: string, type: SignerType): Signer {
  return createSigner({ name, type, seed: sha256(utf8(`${type} ${name}`)) });
}

/**
 * The signature line over a text of octets, with its newline, as octets.
 *
 * What an ML-DSA-44 key signs is made from what Go's formats read in the text; where they read nothing, it signs an empty
 * checkpoint, which does not verify.
 */
export function hostileLine(signer: Signer, text: string, timestamp: Uint = 1_700_000_000): string {
  const signature = SIGN[signer.type](signer, text, timestamp);
  return `${DASH}${octetsOfText(signer.name)} ${encodeBase64(concatBytes(u32(signer.keyId), signature))}\n`;
}

/** The em dash and the space before a signature, in octets. */
export const DASH: string = octetsOfText("— ");

const SIGN: Readonly<Record<SignerType, (signer: Signer, text: string, timestamp: Uint) => Uint8Array>> = {
  ed25519: ({ seed }, text) => ed25519Sign(seed, bytesOf(text)),
  "ed25519-cosigner": ({ seed }, text, timestamp) => {
    const message = concatBytes(utf8(`cosignature/v1\ntime ${timestamp}\n`), bytesOf(text));
    return concatBytes(u64(timestamp), ed25519Sign(seed, message));
  },
  mldsa44: ({ name, seed }, text, timestamp) => {
    const [origin = "", size = "", root = ""] = text.split("\n");
    const end = /^\d{1,20}$/.test(size) && BigInt(size) < 2n ** 64n ? BigInt(size) : 0n;
    const hash = decodeLikeGo(root) ?? new Uint8Array();
    const label = utf8("subtree/v1\n\0");
    const names = [opaque(utf8(name)), u64(timestamp), opaque(bytesOf(origin))];
    const message = concatBytes(label, ...names, u64(0), u64(end), hash);
    return concatBytes(u64(timestamp), mldsa44Sign(seed, message));
  },
};

/** Bytes after their length, which is cut to what one byte holds. */
function opaque(bytes: Uint8Array): Uint8Array {
  return concatBytes(u8(bytes.length % 256), bytes);
}
