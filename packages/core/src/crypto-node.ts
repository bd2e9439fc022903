/** The primitives that a platform can speed up, on node:crypto. */
import { hash } from "node:crypto";

/** SHA-256 of `data`. FIPS 180-4. */
export function sha256(data: Uint8Array): Uint8Array {
  return new Uint8Array(hash("sha256", data, "buffer"));
}
