/** Keys wrapped by keys: XChaCha20-Poly1305 with what the wrapped key is for as associated data. */
import { hash } from "node:crypto";
import { xchacha20poly1305 } from "@noble/ciphers/chacha.js";

export const KEY_BYTES = 32;
export const NONCE_BYTES = 24;
export const TAG_BYTES = 16;

export interface Wrapping {
  readonly key: Uint8Array;
  readonly nonce: Uint8Array;
  /** Names the purpose and the place: a wrapped key that was moved does not unwrap. */
  readonly associatedData: Uint8Array;
}

export function wrapSecret({ key, nonce, associatedData }: Wrapping, secret: Uint8Array): Uint8Array {
  return xchacha20poly1305(key, nonce, associatedData).encrypt(secret);
}

/** The secret, or `undefined` where key, place or bytes are not those it was wrapped with. */
export function unwrapSecret({ key, nonce, associatedData }: Wrapping, wrapped: Uint8Array): Uint8Array | undefined {
  try {
    return xchacha20poly1305(key, nonce, associatedData).decrypt(wrapped);
  } catch {
    // Nothing but a wrong tag can fail here, and nothing of the cipher's error may travel.
    return undefined;
  }
}

/** What a certificate of erasure lists: SHA-256("tallystick/key/v1" 0x00 key). */
export function keyFingerprint(key: Uint8Array): Uint8Array {
  const bytes = Buffer.concat([Buffer.from("tallystick/key/v1\0"), key]);
  return new Uint8Array(hash("sha256", bytes, "buffer"));
}

/** Gives so many unpredictable bytes. */
export type RandomSource = (size: number) => Uint8Array;
