/** XChaCha20-Poly1305 of many texts at once: by the kernel, where the platform can run it. draft-irtf-cfrg-xchacha-03 §2. */
import { AEAD_KEY_BYTES, AEAD_NONCE_BYTES, type AeadInput, encryptPortably } from "./aead-portable.ts";
import { sharedKernel } from "./kernel.ts";

/**
 * Encrypts texts, each with its own key and nonce: gives of each the ciphertext and, last, the 16 bytes of its tag.
 *
 * @throws {RangeError} A key is not 32 bytes long, or a nonce not 24.
 * @example
 * const [sealed] = encryptAll([
 *   { key: new Uint8Array(32), nonce: new Uint8Array(24), associatedData: new Uint8Array(), plaintext: Uint8Array.of(1) },
 * ]);
 * sealed?.length; // 17
 */
export function encryptAll(inputs: readonly AeadInput[]): Uint8Array[] {
  for (const [i, { key, nonce }] of inputs.entries()) {
    assertLength(key, AEAD_KEY_BYTES, i, "key");
    assertLength(nonce, AEAD_NONCE_BYTES, i, "nonce");
  }
  return sharedKernel()?.encryptAll(inputs) ?? inputs.map(encryptPortably);
}

function assertLength({ length }: Uint8Array, expected: number, input: number, name: string): void {
  if (length !== expected) throw new RangeError(`inputs[${input}].${name}: expected ${expected} bytes, got ${length}`);
}
