/**
 * Ids as keyed hashes: what may stand in an event, and what ties a receipt to a person, tells nobody without the secret
 * who it was. The secret is `sessionSecret`, or the key in the outbox folder; each use has a prefix of its own.
 */
import { concatBytes, encodeHex, utf8 } from "@tallystick/core";
import { keyedHash } from "./keyed-hash.ts";

const LOGIN = utf8("tallystick/login/v1\0");
const PERSON = utf8("tallystick/receipt-person/v1\0");
const PERSON_BYTES = 16;

/** The application's session id as it may stand in an event: 32 bytes. */
export function hashSessionId(secret: Uint8Array, id: string): Uint8Array {
  return keyedHash(secret, utf8(id));
}

/** A login name that nobody proved, as 64 hex digits: the same for all spellings that most log-ins take for the same. */
export function hashLogin(secret: Uint8Array, name: string): string {
  const same = name.normalize("NFKC").trim().toLowerCase();
  return encodeHex(keyedHash(secret, concatBytes(LOGIN, utf8(same.toWellFormed()))));
}

/** What ties a receipt to whose data its event is: 32 hex digits. */
export function hashPerson(secret: Uint8Array, id: string): string {
  return encodeHex(keyedHash(secret, concatBytes(PERSON, utf8(id.toWellFormed()))).subarray(0, PERSON_BYTES));
}
