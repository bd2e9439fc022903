/** Whose contents a reader may have: one person's, or one tenant's, known by keyed hashes only. */
import { createHmac, timingSafeEqual } from "node:crypto";
import { type TallyEvent, personOf } from "@tallystick/events";

/** Tells one id from all others, without holding it. */
export interface Matcher {
  /** The keyed hash: the same for the same id, as long as its key is. No personal data to whoever lacks the key. */
  readonly hash: string;
  is(id: string): boolean;
}

/** Limits a credential to what fits all that is given. */
export interface Scope {
  /** The person whom events are about. */
  readonly subject?: Matcher;
  readonly tenant?: Matcher;
}

export type ScopeKind = keyof Scope;

/** Hex of HMAC-SHA-256("tallystick/scope/v1" 0x00 kind 0x00 id). */
export function scopeHash(key: Uint8Array, kind: ScopeKind, id: string): string {
  return createHmac("sha256", key).update(`tallystick/scope/v1\0${kind}\0${id}`, "utf8").digest("hex");
}

/** `hash`: what {@link scopeHash} gave. */
export function createMatcher(key: Uint8Array, kind: ScopeKind, hash: string): Matcher {
  const expected = Buffer.from(hash, "hex");
  return { hash, is: (id) => timingSafeEqual(expected, Buffer.from(scopeHash(key, kind, id), "hex")) };
}

/**
 * Whether an event is within a scope: about its person (the subject, else the actor), and of its tenant.
 *
 * What the log says of itself is within none: a credential there is no person. Nor is what nobody proved to be theirs.
 */
export function isWithin({ subject, tenant }: Scope, event: TallyEvent): boolean {
  if ((subject === undefined && tenant === undefined) || event.type.startsWith("log.")) return false;
  if (subject !== undefined && !isAbout(subject, event)) return false;
  return tenant === undefined || (event.tenant !== undefined && tenant.is(event.tenant));
}

function isAbout(subject: Matcher, event: TallyEvent): boolean {
  const person = personOf(event);
  return person !== undefined && subject.is(person.id);
}

/** A short name of a scope, for what is kept per scope. */
export function scopeName({ subject, tenant }: Scope): string {
  return `${subject?.hash ?? ""} ${tenant?.hash ?? ""}`;
}
