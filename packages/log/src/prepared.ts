/**
 * Submissions that another thread has checked and encoded: packed there so that they cross quickly, unpacked here.
 *
 * A thousand objects of fifteen fields take milliseconds to be cloned. So their bytes lie in one buffer, which changes
 * hands, their numbers in another, and texts that many of them share are there once.
 */
import { createHmac } from "node:crypto";
import { concatBytes, invariant } from "@tallystick/core";
import { COMMITMENT_BYTES, type EventError, type TallyEvent, normaliseSession } from "@tallystick/events";
import {
  type BatchCandidates,
  type Candidate,
  type Committed,
  type SentCandidate,
  type SignedCandidate,
  type UnsignedSender,
  batchCandidates,
  commitAll,
  unsignedCandidates,
} from "./candidate.ts";
import type { LogError } from "./error.ts";
import { createRandom } from "./random.ts";
import { ID_KEY_TEXT } from "./rows.ts";

/** What has to be known of a log, and of who writes, to prepare what is sent. Has a secret: it stays within the process. */
export interface Preparation {
  readonly origin: string;
  readonly sender: UnsignedSender;
  /** Session ids that are no hashes are hashed under it. */
  readonly sessionSecret: Uint8Array;
}

/** Candidates as they cross. */
interface PackedCandidates {
  /** Of each its opening, in which its event comes last, its commitment, and its session tag. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** {@link COLUMNS} of each. */
  readonly numbers: Int32Array<ArrayBuffer>;
  /** Of each as many characters as of any other. */
  readonly ids: string;
  readonly idKeys: string;
  readonly texts: readonly string[];
}

export interface PreparedEvents {
  readonly kind: "events";
  readonly packed: PackedCandidates;
}

export interface PreparedBatch {
  readonly kind: "batch";
  readonly packed: PackedCandidates;
  readonly batch: Omit<BatchCandidates, "candidates">;
  /** In the leaf of the first; in all others stands the last one's. */
  readonly firstStream: Uint8Array;
  readonly stream: Uint8Array;
  /** Of the last. */
  readonly signature: Uint8Array;
}

export type Prepared = PreparedEvents | PreparedBatch;

/** What could not be prepared, since it is not what may be logged. */
export interface Refused {
  readonly kind: "refused";
  readonly error: LogError | EventError;
}

/** Where a text is none. */
const NONE = -1;
const TEXTS = ["type", "class", "actor", "subject", "tenant", "person"] as const;
/** Which texts, then the day, and how long event, opening and session tag are. */
const COLUMNS = TEXTS.length + 4;
const ID_TEXT = 36;

const random = createRandom();

/** The event with its session id hashed, if it has one that is no hash. */
export function hashSession(event: TallyEvent, secret: () => Uint8Array): TallyEvent {
  return normaliseSession(event, (id) => new Uint8Array(createHmac("sha256", secret()).update(id, "utf8").digest()));
}

/** As `appendEvents` does it. @throws {LogError | EventError} As it does. */
export function prepareEvents(events: readonly TallyEvent[], { sender, sessionSecret }: Preparation): PreparedEvents {
  const candidates = unsignedCandidates(
    events.map((event) => hashSession(event, () => sessionSecret)),
    sender,
  );
  const committed = commitAll(
    candidates.map(({ eventBytes }) => eventBytes),
    random,
  );
  return { kind: "events", packed: pack(candidates, committed) };
}

/** As `appendBatch` does it. @throws {LogError | EventError} As it does. */
export function prepareBatch(bytes: Uint8Array, { origin }: Preparation): PreparedBatch {
  const { candidates, ...batch } = batchCandidates(bytes, origin);
  const [first, last] = [candidates[0], candidates.at(-1)];
  invariant(first !== undefined && last !== undefined, "a batch has entries");
  invariant(last.signature !== null, "the last entry of a batch is signed");
  return {
    kind: "batch",
    packed: pack(
      candidates,
      candidates.map(({ committed }) => committed),
    ),
    batch: { ...batch, publicKey: batch.publicKey.slice() },
    firstStream: first.stream.slice(),
    stream: last.stream.slice(),
    signature: last.signature.signature.slice(),
  };
}

/** What changes hands. */
export function buffersOf({ packed: { bytes, numbers } }: Prepared): ArrayBuffer[] {
  return [bytes.buffer, numbers.buffer];
}

export function eventsOf({ packed }: PreparedEvents, { stream }: UnsignedSender): SentCandidate[] {
  return unpack(packed, () => ({ stream, sequence: null, signature: null }));
}

export function batchOf({ packed, batch, firstStream, stream, signature }: PreparedBatch): BatchCandidates {
  const count = countOf(packed);
  const candidates = unpack(packed, (at) => ({
    stream: at === 0 ? firstStream : stream,
    sequence: batch.first + at,
    signature: at === count - 1 ? { count, signature } : null,
  }));
  return { ...batch, candidates };
}

function pack(candidates: readonly SentCandidate[], commitments: readonly Committed[]): PackedCandidates {
  const numbers = new Int32Array(COLUMNS * candidates.length);
  const parts: Uint8Array[] = [];
  const texts = new Map<string, number>();
  for (const [at, candidate] of candidates.entries()) {
    const { eventBytes, sessionTag, day } = candidate;
    const committed = commitments[at];
    invariant(committed !== undefined, "what is packed is committed to");
    let column = COLUMNS * at;
    for (const name of TEXTS) {
      const text = candidate[name];
      if (text !== undefined && !texts.has(text)) texts.set(text, texts.size);
      numbers[column++] = text === undefined ? NONE : (texts.get(text) ?? NONE);
    }
    numbers[column++] = day;
    numbers[column++] = eventBytes.length;
    numbers[column++] = committed.opening.length;
    numbers[column++] = sessionTag?.length ?? 0;
    parts.push(committed.opening, committed.commitment);
    if (sessionTag !== null) parts.push(sessionTag);
  }
  return {
    bytes: concatBytes(...parts),
    numbers,
    ids: candidates.map(({ id }) => id).join(""),
    idKeys: candidates.map(({ idKey }) => idKey).join(""),
    texts: [...texts.keys()],
  };
}

function countOf({ numbers }: PackedCandidates): number {
  return numbers.length / COLUMNS;
}

/** Where a candidate stands. */
type Standing = Pick<Candidate, "stream" | "sequence" | "signature">;

function unpack(packed: PackedCandidates, standingOf: (at: number) => Standing): SignedCandidate[] {
  const { bytes, numbers, ids, idKeys, texts } = packed;
  let column = 0;
  let offset = 0;
  const number = (): number => numbers[column++] ?? NONE;
  const text = (): string | undefined => texts[number()];
  const take = (length: number): Uint8Array => bytes.subarray(offset, (offset += length));
  return Array.from({ length: countOf(packed) }, (_, at) => {
    const [type, ofClass, actor, subject, tenant, person] = [text(), text(), text(), text(), text(), text()];
    const [day, eventLength, openingLength, tagLength] = [number(), number(), number(), number()];
    invariant(type !== undefined && ofClass !== undefined, "each candidate has a type and a class");
    const opening = take(openingLength);
    const commitment = take(COMMITMENT_BYTES);
    const { stream, sequence, signature } = standingOf(at);
    // Field by field, and in the order of those that were never packed.
    return {
      id: ids.slice(ID_TEXT * at, ID_TEXT * (at + 1)),
      type,
      class: ofClass,
      eventBytes: opening.subarray(openingLength - eventLength),
      committed: { commitment, opening },
      sessionTag: tagLength === 0 ? null : take(tagLength),
      day,
      actor,
      subject,
      tenant,
      person,
      stream,
      sequence,
      signature,
      idKey: idKeys.slice(ID_KEY_TEXT * at, ID_KEY_TEXT * (at + 1)),
    };
  });
}
