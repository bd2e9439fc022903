/** An event: what happened, who did it, to what, and how it came out. DESIGN, "The event". */
import { encodeHex } from "@tallystick/core";
import { namespaceOf } from "./catalogue.ts";
import type { Context } from "./context.ts";
import { isHex } from "./hex.ts";
import { formatTime } from "./time.ts";

export type Outcome = "success" | "failure" | "denied" | "unknown";

/** Somebody or something that acts. */
export interface Actor {
  /** `user`, `service`, …; an `anonymous` or `unverified` one is not taken for a person. */
  readonly type: string;
  readonly id: string;
  /** Personal data: only where it was asked for. */
  readonly name?: string | undefined;
}

/** Whose data an event is. */
export interface Subject {
  readonly type?: string | undefined;
  readonly id: string;
  readonly name?: string | undefined;
}

/** What something was done to. */
export interface Target {
  readonly type: string;
  readonly id: string;
  readonly name?: string | undefined;
}

/** What an event can say, the same in JSON and when read. A field that is `undefined` is not there. */
export interface EventFields {
  /** A UUID of version 7. */
  readonly id: string;
  /** Dotted; of the catalogue, or the application's own. */
  readonly type: string;
  /** Who did it. */
  readonly actor?: Actor | undefined;
  /** 64 lower-case hex digits; any other text is an id that has yet to be hashed: {@link normaliseSession}. */
  readonly session?: { readonly id: string } | undefined;
  readonly targets?: readonly Target[] | undefined;
  /** Whose data it is, where that is not the actor. */
  readonly subject?: Subject | undefined;
  readonly source?:
    | {
        readonly ip?: string | undefined;
        readonly userAgent?: string | undefined;
        readonly device?: string | undefined;
      }
    | undefined;
  readonly auth?:
    | {
        readonly method?: string | undefined;
        readonly factors?: readonly string[] | undefined;
        readonly provider?: string | undefined;
      }
    | undefined;
  readonly reason?: string | undefined;
  /** Joins the events of one operation. */
  readonly operation?: string | undefined;
  /** The retention class, where it is not the first segment of the type. */
  readonly retention?: string | undefined;
  /** The commitment of the event that this one corrects: 64 lower-case hex digits. */
  readonly amends?: string | undefined;
  readonly context?: Context | undefined;
}

/** An event as it is reported, in JSON. */
export interface EventInput extends EventFields {
  /** RFC 3339, or milliseconds since 1970. */
  readonly time: number | string;
  /** `unknown` where it is left out, which types that need one do not allow. */
  readonly outcome?: Outcome | undefined;
  /** The tenant's id, bare or as an object. */
  readonly tenant?: string | { readonly id: string } | undefined;
}

/** An event that was read and is in all its bounds. Its ids are in lower case. */
export interface TallyEvent extends EventFields {
  /** Milliseconds since 1970. */
  readonly time: number;
  readonly outcome: Outcome;
  /** The tenant's id. */
  readonly tenant?: string | undefined;
}

/** The class whose retention rule an event comes under. It is part of the leaf, in the open. */
export function retentionClass(event: Pick<TallyEvent, "type" | "retention">): string {
  return event.retention ?? namespaceOf(event.type);
}

/** Who an event is about, for the key that its contents are sealed under: the subject, else the actor. */
export function personOf(event: Pick<TallyEvent, "actor" | "subject">): Subject | undefined {
  const person = event.subject ?? event.actor;
  return personalId(person) === undefined ? undefined : person;
}

/**
 * The id that a party's keys and tags go by, whoever bears it.
 *
 * `undefined` for nobody, and for types that say that nobody proved to be the one: to give such a name a key would let
 * strangers fill the key store with whatever they type into a login form.
 */
export function personalId(party: Pick<Subject, "type" | "id"> | undefined): string | undefined {
  if (party === undefined || party.type === "anonymous" || party.type === "unverified") return undefined;
  return party.id;
}

/** Whether a session id is one that can be logged: 64 lower-case hex digits, the keyed hash of the application's own. */
export function isHashedSessionId(id: string): boolean {
  return typeof id === "string" && id.length === 64 && isHex(id);
}

/**
 * Replaces a session id that is not 64 hex digits by its keyed hash, so that a raw one is never logged.
 *
 * @param hash - 32 bytes made from the raw id: HMAC-SHA-256 under a secret that stays where events are encoded. The
 *   same id has to give the same bytes for as long as sessions live.
 * @throws {RangeError} `hash` does not give 32 bytes.
 * @example
 * const event = normaliseSession(parseEvent(json), (id) => hmac(sha256, secret, utf8(id)));
 */
export function normaliseSession(event: TallyEvent, hash: (rawId: string) => Uint8Array): TallyEvent {
  if (event.session === undefined || isHashedSessionId(event.session.id)) return event;
  const hashed = hash(event.session.id);
  if (hashed.length !== 32) throw new RangeError(`hash: expected 32 bytes, got ${hashed.length}`);
  return { ...event, session: { id: encodeHex(hashed) } };
}

/** An event in JSON with its time in RFC 3339. parseEvent() gives the event again. */
export interface EventJson extends EventFields {
  readonly time: string;
  readonly outcome: Outcome;
  readonly tenant?: string | undefined;
}

/** The JSON view of an event, in the order in which people read it. */
export function eventToJson(event: TallyEvent): EventJson {
  const { id, time, type, outcome, ...rest } = event;
  return { id, time: formatTime(time), type, outcome, ...rest };
}
