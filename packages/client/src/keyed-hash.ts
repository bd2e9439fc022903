/** HMAC-SHA-256 (RFC 2104) on core's SHA-256: synchronous, and the same on every platform. */
import { concatBytes, sha256 } from "@tallystick/core";

const BLOCK_BYTES = 64;

/** The 32 bytes of HMAC-SHA-256 of `message` under `key`, which has any length. */
export function keyedHash(key: Uint8Array, message: Uint8Array): Uint8Array {
  const block = new Uint8Array(BLOCK_BYTES);
  block.set(key.length > BLOCK_BYTES ? sha256(key) : key);
  const inner = sha256(
    concatBytes(
      block.map((byte) => byte ^ 0x36),
      message,
    ),
  );
  return sha256(
    concatBytes(
      block.map((byte) => byte ^ 0x5c),
      inner,
    ),
  );
}
