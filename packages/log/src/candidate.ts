/** An event that may become a leaf: validated, encoded, committed to; everything but its place. */
import { ed25519PublicKey, ed25519Sign, encodeHex } from "@tallystick/core";
import {
  HOLD_CLASS,
  EventError,
  type Opening,
  type TallyEvent,
  type VerifiedBatch,
  assertReportable,
  batchMessage,
  batchRoot,
  catalogueEntry,
  computeCommitment,
  dayOf,
  encodeClaim,
  encodeEvent,
  encodeOpening,
  newEventId,
  parseEvent,
  personOf,
  personalId,
  retentionClass,
  sessionTagOf,
  streamId,
  verifyBatch,
  writerStreamId,
} from "@tallystick/events";
import { LogError } from "./error.ts";
import { idKey, keySender, writerSender } from "./rows.ts";
import { LOG_CLASS } from "./rules/rules.ts";

export interface Candidate {
  readonly id: string;
  readonly type: string;
  readonly class: string;
  readonly commitment: Uint8Array;
  /** Encoded. */
  readonly opening: Uint8Array;
  readonly eventBytes: Uint8Array;
  readonly sessionTag: Uint8Array | null;
  /** Days since 1970 of the event's own time: the day of its person keys. */
  readonly day: number;
  /** Ids of persons; `undefined` where there is none, or nobody proved to be the one. */
  readonly actor: string | undefined;
  /** Not where it is the actor. */
  readonly subject: string | undefined;
  readonly tenant: string | undefined;
  /** Whose key the contents are sealed under besides that of class and day. */
  readonly person: string | undefined;
  /** What stands in the leaf: 16 bytes, or 48 for sequence 1. */
  readonly stream: Uint8Array;
  readonly sequence: number | null;
  readonly signature: { readonly count: number; readonly signature: Uint8Array } | null;
}

/** A candidate that somebody sent, who may send it again. */
export interface SentCandidate extends Candidate {
  /** Under which the id index has it. */
  readonly idKey: string;
}

type EventParts = Omit<Candidate, "stream" | "sequence" | "signature">;

/** Whose an event is, as far as leaf and seal depend on it. */
export function partiesOf(event: TallyEvent): Pick<Candidate, "day" | "actor" | "subject" | "tenant" | "person"> {
  const actor = personalId(event.actor);
  const subject = personalId(event.subject);
  return {
    day: dayOf(event.time),
    actor,
    subject: subject === actor ? undefined : subject,
    tenant: event.tenant,
    person: personOf(event)?.id,
  };
}

function partsOf(event: TallyEvent, opening: Opening): EventParts {
  return {
    id: event.id,
    type: event.type,
    class: retentionClass(event),
    commitment: computeCommitment(opening),
    opening: encodeOpening(opening),
    eventBytes: opening.event,
    sessionTag: sessionTagOf(event),
    ...partiesOf(event),
  };
}

/** A writer of unsigned events as leaves and the id index name it. */
export interface UnsignedSender {
  readonly stream: Uint8Array;
  readonly name: string;
}

export function unsignedSender(writer: string): UnsignedSender {
  const stream = writerStreamId(writer);
  return { stream, name: writerSender(stream) };
}

/** An unsigned event: the log encodes it and makes the salt. @throws {LogError} `event-refused`: a type for others. */
export function unsignedCandidate(
  event: TallyEvent,
  { stream, name }: UnsignedSender,
  salt: Uint8Array,
): SentCandidate {
  const reporter = catalogueEntry(event.type)?.reporter;
  if (reporter === "log" || reporter === "sender") {
    const whose = reporter === "log" ? "the log itself" : "senders of signed batches";
    throw new LogError("event-refused", `type ${event.type} is reported by ${whose} only`, {
      details: { type: event.type },
    });
  }
  refuseClass(event);
  assertReportable(event);
  const opening = { salt, event: encodeEvent(event) };
  const parts = partsOf(event, opening);
  return { ...parts, stream, sequence: null, signature: null, idKey: idKey(name, event.id) };
}

/** In the log's own class contents would stay for ever, in a hold's until that one is lifted, whatever the rules say. */
function refuseClass(event: TallyEvent, entry?: number): void {
  const name = retentionClass(event);
  if (name !== LOG_CLASS && !HOLD_CLASS.test(name)) return;
  const where = entry === undefined ? "" : `entry ${entry}: `;
  throw new LogError("event-refused", `${where}class ${name} is for what the log itself keeps: give it another`, {
    details: { type: event.type, ...(entry === undefined ? {} : { entry }) },
  });
}

export interface BatchCandidates {
  /** 16 bytes in hex. */
  readonly stream: string;
  readonly publicKey: Uint8Array;
  readonly first: number;
  readonly candidates: readonly SentCandidate[];
}

/**
 * The events of a signed batch, its signature verified.
 *
 * @throws {EventError} What verifyBatch() throws. @throws {LogError} `stream-malformed`, `event-refused`
 */
export function batchCandidates(bytes: Uint8Array, origin: string): BatchCandidates {
  const verified = verifyBatch({ origin, batch: bytes });
  const { batch, events } = verified;
  if ((batch.first === 1) !== (events[0]?.type === "stream.start")) {
    throw new LogError("stream-malformed", "sequence 1 of a stream, and no other, is a stream.start", {
      details: { entry: 0 },
    });
  }
  events.forEach(refuseUnreportable);
  const sender = keySender(batch.publicKey);
  return {
    stream: encodeHex(verified.stream),
    publicKey: batch.publicKey,
    first: batch.first,
    candidates: events.map((event, at) => ({
      ...batchCandidate(verified, event, at),
      idKey: idKey(sender, event.id),
    })),
  };
}

/** What the sender encoded is held against the catalogue here, at the door; it is not asked again of logged events. */
function refuseUnreportable(event: TallyEvent, entry: number): void {
  try {
    assertReportable(event);
  } catch (error) {
    if (!(error instanceof EventError)) throw error;
    throw new EventError(error.code, `entry ${entry}: ${error.message}`, {
      details: { ...error.details, entry },
      cause: error,
    });
  }
  refuseClass(event, entry);
  const { type } = event;
  const refused = catalogueEntry(type)?.reporter === "log" || (type === "stream.start" && entry > 0);
  if (!refused) return;
  throw new LogError("event-refused", `entry ${entry}: type ${type} has no place there`, { details: { entry, type } });
}

function batchCandidate({ batch, stream }: VerifiedBatch, event: TallyEvent, at: number): Candidate {
  const opening = batch.entries[at];
  if (opening === undefined) throw new RangeError(`entry: expected one of ${batch.entries.length}, got ${at}`);
  const sequence = batch.first + at;
  const count = batch.entries.length;
  return {
    ...partsOf(event, opening),
    stream: leafStream({ sequence, stream, publicKey: batch.publicKey, instance: batch.instance }),
    sequence,
    signature: at === count - 1 ? { count, signature: batch.signature } : null,
  };
}

function leafStream(parts: {
  readonly sequence: number;
  readonly stream: Uint8Array;
  readonly publicKey: Uint8Array;
  readonly instance: Uint8Array;
}): Uint8Array {
  if (parts.sequence !== 1) return parts.stream;
  const joined = new Uint8Array(48);
  joined.set(parts.publicKey);
  joined.set(parts.instance, 32);
  return joined;
}

/** What the log reports of itself: a type of its own and fields of an event. */
export type OwnEvent = Pick<TallyEvent, "type"> & Partial<Omit<TallyEvent, "id" | "time" | "type">>;

export interface OwnContext {
  readonly origin: string;
  readonly seed: Uint8Array;
  readonly instance: Uint8Array;
  readonly now: number;
  readonly random: (bytes: number) => Uint8Array;
}

/** An event of the log's own, signed alone under the next number of the log's own stream. */
export function ownCandidate(own: OwnEvent, sequence: number, context: OwnContext): Candidate {
  const { origin, seed, instance, now, random } = context;
  const event = parseEvent({ outcome: "success", ...own, id: newEventId(now, random(16)), time: now });
  const parts = partsOf(event, { salt: random(32), event: encodeEvent(event) });
  const publicKey = ed25519PublicKey(seed);
  const stream = streamId({ origin, publicKey, instance });
  const claim = encodeClaim({
    sequence,
    class: parts.class,
    commitment: parts.commitment,
    sessionTag: parts.sessionTag,
  });
  const message = batchMessage({ stream, first: sequence, count: 1, root: batchRoot([claim]) });
  return {
    ...parts,
    stream: leafStream({ sequence, stream, publicKey, instance }),
    sequence,
    signature: { count: 1, signature: ed25519Sign(seed, message) },
  };
}
