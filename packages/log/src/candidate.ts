/** An event that may become a leaf: validated and encoded; everything but its place. */
import { ed25519PublicKey, ed25519Sign, encodeHex, invariant } from "@tallystick/core";
import {
  HOLD_CLASS,
  EventError,
  type Opening,
  SALT_BYTES,
  type TallyEvent,
  type VerifiedBatch,
  assertReportable,
  batchMessage,
  batchRoot,
  catalogueEntry,
  computeCommitments,
  dayOf,
  encodeClaim,
  encodeEvent,
  encodeEvents,
  encodeOpenings,
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
import { idKeys, keySender, writerSender } from "./rows.ts";
import { LOG_CLASS } from "./rules/rules.ts";

export interface Candidate {
  readonly id: string;
  readonly type: string;
  readonly class: string;
  readonly eventBytes: Uint8Array;
  /** By whoever signs it. To what nobody signed the log commits with its entry: {@link commitAll}. */
  readonly committed: Committed | undefined;
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
  /** Under which the id index has it; not what the log reports of itself. */
  readonly idKey: string | undefined;
}

/** What a leaf says of its event, and what proves that, encoded. */
export interface Committed {
  readonly commitment: Uint8Array;
  readonly opening: Uint8Array;
}

/** A candidate that somebody sent, who may send it again. */
export interface SentCandidate extends Candidate {
  readonly idKey: string;
}

/** A candidate that its sender committed to. */
export interface SignedCandidate extends SentCandidate {
  readonly committed: Committed;
}

/** What a candidate is besides its event. */
type Sending = Pick<Candidate, "committed" | "stream" | "sequence" | "signature" | "idKey">;

/** Field by field: to spread others into it would take several times the time and the memory. */
function candidateOf<Sent extends Sending>(
  event: TallyEvent,
  eventBytes: Uint8Array,
  { committed, stream, sequence, signature, idKey: key }: Sent,
): Candidate & { readonly committed: Sent["committed"]; readonly idKey: Sent["idKey"] } {
  const { day, actor, subject, tenant, person } = partiesOf(event);
  return {
    id: event.id,
    type: event.type,
    class: retentionClass(event),
    eventBytes,
    committed,
    sessionTag: sessionTagOf(event),
    day,
    actor,
    subject,
    tenant,
    person,
    stream,
    sequence,
    signature,
    idKey: key,
  };
}

/** Commits to encoded events, each with a salt of its own, sooner than to one after the other. */
export function commitAll(events: readonly Uint8Array[], random: (bytes: number) => Uint8Array): Committed[] {
  const salts = random(SALT_BYTES * events.length);
  const openings = events.map((event, at) => ({
    salt: salts.subarray(SALT_BYTES * at, SALT_BYTES * (at + 1)),
    event,
  }));
  return committedTo(computeCommitments(openings), openings);
}

function committedTo(commitments: readonly Uint8Array[], openings: readonly Opening[]): Committed[] {
  return encodeOpenings(openings).map((opening, at) => {
    const commitment = commitments[at];
    invariant(commitment !== undefined, "each opening has its commitment");
    return { commitment, opening };
  });
}

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

/** A writer of unsigned events as leaves and the id index name it. */
export interface UnsignedSender {
  readonly stream: Uint8Array;
  readonly name: string;
}

export function unsignedSender(writer: string): UnsignedSender {
  const stream = writerStreamId(writer);
  return { stream, name: writerSender(stream) };
}

/**
 * Unsigned events: the log encodes them.
 *
 * @throws {LogError} `event-refused`: a type or a class for others.
 * @throws {EventError} `event-invalid`, with the event's place in `details.entry`.
 */
export function unsignedCandidates(events: readonly TallyEvent[], { stream, name }: UnsignedSender): SentCandidate[] {
  events.forEach(refuseUnsigned);
  const keys = idKeys(
    name,
    events.map(({ id }) => id),
  );
  return encodeEvents(events).map((eventBytes, at) => {
    const [event, key] = [events[at], keys[at]];
    invariant(event !== undefined && key !== undefined, "each event has its bytes and its key");
    return candidateOf(event, eventBytes, {
      committed: undefined,
      stream,
      sequence: null,
      signature: null,
      idKey: key,
    });
  });
}

function refuseUnsigned(event: TallyEvent, entry: number): void {
  const reporter = catalogueEntry(event.type)?.reporter;
  if (reporter === "log" || reporter === "sender") {
    const whose = reporter === "log" ? "the log itself" : "senders of signed batches";
    throw new LogError("event-refused", `type ${event.type} is reported by ${whose} only`, {
      details: { type: event.type },
    });
  }
  refuseClass(event);
  try {
    assertReportable(event);
  } catch (error) {
    throw error instanceof EventError ? error.ofEntry(entry) : error;
  }
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
  readonly candidates: readonly SignedCandidate[];
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
  return {
    stream: encodeHex(verified.stream),
    publicKey: batch.publicKey,
    first: batch.first,
    candidates: candidatesOf(verified),
  };
}

/** What the sender encoded is held against the catalogue here, at the door; it is not asked again of logged events. */
function refuseUnreportable(event: TallyEvent, entry: number): void {
  try {
    assertReportable(event);
  } catch (error) {
    throw error instanceof EventError ? error.ofEntry(entry, `entry ${entry}: ${error.message}`) : error;
  }
  refuseClass(event, entry);
  const { type } = event;
  const refused = catalogueEntry(type)?.reporter === "log" || (type === "stream.start" && entry > 0);
  if (!refused) return;
  throw new LogError("event-refused", `entry ${entry}: type ${type} has no place there`, { details: { entry, type } });
}

function candidatesOf({ batch, stream, events, commitments }: VerifiedBatch): SignedCandidate[] {
  const { publicKey, instance, first, entries } = batch;
  const keys = idKeys(
    keySender(publicKey),
    events.map(({ id }) => id),
  );
  const count = entries.length;
  return committedTo(commitments, entries).map((committed, at) => {
    const [event, entry, key] = [events[at], entries[at], keys[at]];
    const isWhole = event !== undefined && entry !== undefined && key !== undefined;
    invariant(isWhole, "a verified batch has an event for each of its entries");
    const sequence = first + at;
    return candidateOf(event, entry.event, {
      committed,
      stream: leafStream({ sequence, stream, publicKey, instance }),
      sequence,
      signature: at === count - 1 ? { count, signature: batch.signature } : null,
      idKey: key,
    });
  });
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
  const eventBytes = encodeEvent(event);
  const [committed] = commitAll([eventBytes], random);
  invariant(committed !== undefined, "an event that is committed to alone has its commitment");
  const publicKey = ed25519PublicKey(seed);
  const stream = streamId({ origin, publicKey, instance });
  const claim = encodeClaim({
    sequence,
    class: retentionClass(event),
    commitment: committed.commitment,
    sessionTag: sessionTagOf(event),
  });
  const message = batchMessage({ stream, first: sequence, count: 1, root: batchRoot([claim]) });
  return candidateOf(event, eventBytes, {
    committed,
    stream: leafStream({ sequence, stream, publicKey, instance }),
    sequence,
    signature: { count: 1, signature: ed25519Sign(seed, message) },
    idKey: undefined,
  });
}
