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

/** How many bytes before and behind each ciphertext are its caller's, to put there what it likes. */
export interface AeadRoom {
  readonly before: number;
  readonly after: number;
}

/** Of both together: as much as lies between two texts in the kernel's memory. */
export const AEAD_ROOM_MAX = 96;

/** Bytes that lie among others: those from `start` to `end`, and the room that was asked for around them. */
export interface PlacedBytes {
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly end: number;
}

export const AEAD_KEY_BYTES = 32;
export const AEAD_NONCE_BYTES = 24;
export const AEAD_TAG_BYTES = 16;

/** The ciphertext, as long as the text, and behind it the 16 bytes of its tag. */
export function encryptPortably({ key, nonce, associatedData, plaintext }: AeadInput): Uint8Array {
  return xchacha20poly1305(key, nonce, associatedData).encrypt(plaintext);
}

/** {@link encryptPortably} with room around the ciphertext. */
export function encryptPortablyInRoom(input: AeadInput, { before, after }: AeadRoom): PlacedBytes {
  const ciphertext = encryptPortably(input);
  const end = before + ciphertext.length;
  const bytes = new Uint8Array(end + after);
  bytes.set(ciphertext, before);
  return { bytes, start: before, end };
}
