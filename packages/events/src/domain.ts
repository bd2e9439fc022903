/** Hashes and messages that mean one thing only: each begins with the name of what it is for and a zero byte. */
import { concatBytes, sha256, utf8 } from "@tallystick/core";

/** `label` 0x00: what every hashed or signed message of that purpose begins with. No label holds a zero byte. */
export function domainPrefix(label: string): Uint8Array {
  return concatBytes(utf8(label), new Uint8Array(1));
}

/** SHA-256(prefix parts…), with a prefix made by {@link domainPrefix}. */
export function domainHash(prefix: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array {
  return sha256(concatBytes(prefix, ...parts));
}
