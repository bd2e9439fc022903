/** XChaCha20-Poly1305 in portable code, one text at a time. draft-irtf-cfrg-xchacha-03 §2. */
import { xchacha20poly1305 } from "@noble/ciphers/chacha.js";

/** A text to encrypt, and what with. */
export interface AeadInput {
  /** 32 bytes. */
  readonly key: Uint8Array;
  /** 24 bytes, never used twice under one key: draw them at random. */
  readonly nonce: Uint8Array;
  /** Is not in the ciphertext, which cannot be decrypted without it. */
  readonly associatedData: Uint8Array;
  readonly plaintext: Uint8Array;
}

export const AEAD_KEY_BYTES = 32;
export const AEAD_NONCE_BYTES = 24;
export const AEAD_TAG_BYTES = 16;

/** The ciphertext, as long as the text, and behind it the 16 bytes of its tag. */
export function encryptPortably({ key, nonce, associatedData, plaintext }: AeadInput): Uint8Array {
  return xchacha20poly1305(key, nonce, associatedData).encrypt(plaintext);
}
