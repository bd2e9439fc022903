/** What two people compare by telephone before a witness trusts the key of a log. */
import { encodeHex, sha256, utf8 } from "@tallystick/core";

/**
 * The SHA-256 of a verifier key as text, in hex, in groups of four.
 *
 * Without the spaces it is what `printf %s '<vkey>' | sha256sum` prints.
 */
export function formatFingerprint(vkey: string): string {
  return (encodeHex(sha256(utf8(vkey))).match(/.{4}/g) ?? []).join(" ");
}
