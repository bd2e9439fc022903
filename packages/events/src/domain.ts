/** Hashes and messages that mean one thing only: each begins with the name of what it is for and a zero byte. */
import { concatBytes, sha256, utf8 } from "@tallystick/core";

/** `label` 0x00: what every hashed or signed message of that purpose begins with. No label holds a zero byte. */
export function domainPrefix(label: string): Uint8Array {
  return concatBytes(utf8(label), new Uint8Array(1));
}

const INPUT_BYTES = 1024;
/** What is hashed is put together here. Everything is synchronous: nobody sees it half written. */
const input = new Uint8Array(INPUT_BYTES);

/** SHA-256(prefix parts…), with a prefix made by {@link domainPrefix}. */
export function domainHash(prefix: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array {
  let size = prefix.length;
  for (const part of parts) size += part.length;
  if (size > INPUT_BYTES) return sha256(concatBytes(prefix, ...parts));
  input.set(prefix);
  let at = prefix.length;
  for (const part of parts) {
    input.set(part, at);
    at += part.length;
  }
  const hash = sha256(input.subarray(0, size));
  // Some of what is hashed are keys.
  input.fill(0, 0, size);
  return hash;
}
