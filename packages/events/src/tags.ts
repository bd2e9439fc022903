/**
 * Tags: pseudonyms by which leaves name sessions, persons and tenants: docs/reference/formats.md, "Tags".
 *
 * A person's tags of different days cannot be joined without that person's key, and by nobody once it is destroyed.
 */
import { decodeHex, u32 } from "@tallystick/core";
import { assertBytes, assertInteger } from "./assert.ts";
import { domainHash, domainPrefix } from "./domain.ts";
import type { TallyEvent } from "./event.ts";
import { hashBytes } from "./hex.ts";

export const TAG_BYTES = 16;

const DAY_MS = 86_400_000;
const KEY_BYTES = 32;
const SESSION_PREFIX = domainPrefix("tallystick/session/v1");
const ACTOR_PREFIX = domainPrefix("tallystick/actor/v1");
const SUBJECT_PREFIX = domainPrefix("tallystick/subject/v1");
const TENANT_PREFIX = domainPrefix("tallystick/tenant/v1");
const PERSON_DAY_PREFIX = domainPrefix("tallystick/person-day/v1");

/**
 * The day of a time, counted from 1970-01-01 in UTC.
 *
 * @param timeMs - From 1970 on.
 */
export function dayOf(timeMs: number): number {
  assertInteger(timeMs, { min: 0, max: Number.MAX_SAFE_INTEGER }, "timeMs");
  return Math.floor(timeMs / DAY_MS);
}

/** SHA-256("tallystick/session/v1" 0x00 session.id)[:16]. @param sessionId - The 32 bytes of the event's session id. */
export function sessionTag(sessionId: Uint8Array): Uint8Array {
  assertBytes(sessionId, 32, "sessionId");
  return domainHash(SESSION_PREFIX, sessionId).slice(0, TAG_BYTES);
}

/** The tag of an event's session; `null` where it has none. */
export function sessionTagOf({ session }: TallyEvent): Uint8Array | null {
  return session === undefined ? null : sessionTag(hashBytes(session.id) ?? decodeHex(session.id));
}

/**
 * A person's key of a day: SHA-256("tallystick/person-day/v1" 0x00 K-person u32(day)).
 *
 * Whoever has it makes and recognises this person's tags of that day, and no others.
 *
 * @param day - {@link dayOf} the event's time, not of the time at which it was logged.
 */
export function personDayKey({ personKey, day }: { readonly personKey: Uint8Array; readonly day: number }): Uint8Array {
  assertBytes(personKey, KEY_BYTES, "personKey");
  return domainHash(PERSON_DAY_PREFIX, personKey, u32(day));
}

export interface PersonTagInput {
  /** {@link personDayKey} of the person whose id this is. */
  readonly personDayKey: Uint8Array;
  readonly id: string;
}

/** SHA-256("tallystick/actor/v1" 0x00 K-day id)[:16]. */
export function actorTag({ personDayKey, id }: PersonTagInput): Uint8Array {
  assertBytes(personDayKey, KEY_BYTES, "personDayKey");
  return domainHash(ACTOR_PREFIX, personDayKey, id).slice(0, TAG_BYTES);
}

/** SHA-256("tallystick/subject/v1" 0x00 K-day id)[:16]. */
export function subjectTag({ personDayKey, id }: PersonTagInput): Uint8Array {
  assertBytes(personDayKey, KEY_BYTES, "personDayKey");
  return domainHash(SUBJECT_PREFIX, personDayKey, id).slice(0, TAG_BYTES);
}

/** SHA-256("tallystick/tenant/v1" 0x00 K-tenant id)[:16]. */
export function tenantTag({ tenantKey, id }: { readonly tenantKey: Uint8Array; readonly id: string }): Uint8Array {
  assertBytes(tenantKey, KEY_BYTES, "tenantKey");
  return domainHash(TENANT_PREFIX, tenantKey, id).slice(0, TAG_BYTES);
}
