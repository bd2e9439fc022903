/**
 * Signed batches: what a sender sends at once, signed once: docs/reference/formats.md, "Signed batch".
 *
 * The signature covers the RFC 6962 tree over the claims, so that it covers the batch's bounds and order too, and yet
 * any one claim can be shown to be signed alone: batch-origin.ts.
 */
import {
  type Hash,
  assertHash,
  concatBytes,
  ed25519Sign,
  ed25519Verify,
  hashLeaves,
  treeHash,
  u64,
} from "@tallystick/core";
import { assertBytes, assertInteger } from "./assert.ts";
import { type CborValue, EVENT_BYTES_MAX, encodeCbor } from "./cbor.ts";
import { encodeClaims } from "./claim.ts";
import { computeCommitments } from "./commitment.ts";
import { domainPrefix } from "./domain.ts";
import { EventError } from "./error.ts";
import { decodeEvent } from "./event-codec.ts";
import { type TallyEvent, retentionClass } from "./event.ts";
import { FieldReader } from "./field-reader.ts";
import { BATCH_ENTRIES_MAX } from "./leaf.ts";
import type { Opening } from "./opening.ts";
import { STREAM_ID_BYTES, type Sender, streamId } from "./stream.ts";
import { sessionTagOf } from "./tags.ts";

export const BATCH_MEDIA_TYPE = "application/vnd.tallystick.batch+cbor";

/** The most bytes of an encoded batch: 4 MiB. */
export const BATCH_BYTES_MAX = 4_194_304;

export interface SignedBatch extends Sender {
  /** The sequence of the first entry; the others follow without a gap. */
  readonly first: number;
  /** 1 to 1,000. */
  readonly entries: readonly Opening[];
  /** 64 bytes. */
  readonly signature: Uint8Array;
}

const VERSION = 1;
const MESSAGE_PREFIX = domainPrefix("tallystick/batch/v1");
const reader = new FieldReader("batch-malformed");

/** The root hash of the tree over a batch's encoded claims: what its signature covers. RFC 6962 §2.1. */
export function batchRoot(claims: readonly Uint8Array[]): Hash {
  return treeHash(hashLeaves(claims));
}

export interface BatchBounds {
  /** 16 bytes. */
  readonly stream: Uint8Array;
  readonly first: number;
  readonly count: number;
  readonly root: Hash;
}

/** What the sender signs: "tallystick/batch/v1" 0x00 stream u64(first) u64(count) root. */
export function batchMessage({ stream, first, count, root }: BatchBounds): Uint8Array {
  assertBytes(stream, STREAM_ID_BYTES, "stream");
  assertInteger(count, { min: 1, max: BATCH_ENTRIES_MAX }, "count");
  assertInteger(first, { min: 1, max: lastFirst(count) }, "first");
  assertHash(root, "root");
  return concatBytes(MESSAGE_PREFIX, stream, u64(first), u64(count), root);
}

export interface SignBatchInput extends Sender {
  /** Of the log that it is for. */
  readonly origin: string;
  /** The Ed25519 seed, 32 bytes, whose public key is `publicKey`; does not check that it is. */
  readonly seed: Uint8Array;
  readonly first: number;
  readonly entries: readonly Opening[];
}

/**
 * Signs and encodes a batch. The same input gives the same bytes, so that it can be sent again.
 *
 * @throws {RangeError} No entries or too many, or `first` out of range.
 * @throws {EventError} An entry's event is not an encoded event; `details.entry` says which.
 */
export function signBatch({ origin, seed, publicKey, instance, first, entries }: SignBatchInput): Uint8Array {
  const stream = streamId({ origin, publicKey, instance });
  const { claims } = claimAll({ first, entries });
  const message = batchMessage({ stream, first, count: entries.length, root: batchRoot(claims) });
  return encodeBatch({ publicKey, instance, first, entries, signature: ed25519Sign(seed, message) });
}

/** Encodes a batch for the wire: `[1, public-key, instance, first, [[salt, event], …], signature]`. */
export function encodeBatch(batch: SignedBatch): Uint8Array {
  const { publicKey, instance, first, signature } = batch;
  const entries = batch.entries.map(({ salt, event }) => [salt, event]);
  const parts = [VERSION, publicKey, instance, first, entries, signature];
  readBatch(parts);
  return encodeCbor(parts);
}

/**
 * Decodes a batch. Checks neither its signature nor its events.
 *
 * @throws {EventError} `cbor-malformed` or `batch-malformed`.
 */
export function decodeBatch(bytes: Uint8Array): SignedBatch {
  return readBatch(reader.versioned(bytes, "batch", { length: 6, bytesMax: BATCH_BYTES_MAX }));
}

/** What a batch says, by entry, in order. */
export interface VerifiedBatch {
  /** 16 bytes. */
  readonly stream: Uint8Array;
  readonly batch: SignedBatch;
  readonly root: Hash;
  /** Encoded. */
  readonly claims: readonly Uint8Array[];
  readonly events: readonly TallyEvent[];
  readonly classes: readonly string[];
  readonly commitments: readonly Uint8Array[];
  readonly sessionTags: readonly (Uint8Array | null)[];
}

/**
 * Verifies a batch: every event decodes, and the sender's signature covers just these claims, in this order and place.
 *
 * Does not establish that the key may send to this log, nor that the sequence is the one expected.
 *
 * @throws {EventError} `cbor-malformed`, `batch-malformed`; `signature-invalid`: another log, key, order or content than
 *   was signed; what {@link decodeEvent} throws, with the entry's place in `details.entry`.
 */
export function verifyBatch(input: {
  readonly origin: string;
  readonly batch: SignedBatch | Uint8Array;
}): VerifiedBatch {
  const batch = input.batch instanceof Uint8Array ? decodeBatch(input.batch) : input.batch;
  const { publicKey, instance, first, entries, signature } = batch;
  const stream = streamId({ origin: input.origin, publicKey, instance });
  const claimed = claimAll({ first, entries });
  const root = batchRoot(claimed.claims);
  if (!ed25519Verify(publicKey, batchMessage({ stream, first, count: entries.length, root }), signature)) {
    throw new EventError(
      "signature-invalid",
      "the batch's signature does not cover these entries, for this log, at this place",
    );
  }
  return { stream, batch, root, ...claimed };
}

type Claimed = Pick<VerifiedBatch, "claims" | "events" | "classes" | "commitments" | "sessionTags">;

function claimAll({ first, entries }: Pick<SignedBatch, "first" | "entries">): Claimed {
  const events = entries.map(({ event }, entry) => decodeEntry(event, entry));
  const classes = events.map(retentionClass);
  const commitments = computeCommitments(entries);
  const sessionTags = events.map(sessionTagOf);
  const claims = encodeClaims(
    commitments.map((commitment, i) => ({
      sequence: first + i,
      class: classes[i] ?? "",
      commitment,
      sessionTag: sessionTags[i] ?? null,
    })),
  );
  return { claims, events, classes, commitments, sessionTags };
}

function decodeEntry(event: Uint8Array, entry: number): TallyEvent {
  try {
    return decodeEvent(event);
  } catch (error) {
    if (!(error instanceof EventError)) throw error;
    throw error.ofEntry(entry, `entry ${entry}: ${error.message}`);
  }
}

function readBatch(parts: readonly CborValue[]): SignedBatch {
  const entries = readEntries(parts[4]);
  return {
    publicKey: reader.bytes(parts[1], "public-key", 32),
    instance: reader.bytes(parts[2], "instance", 16),
    first: reader.integer(parts[3], "first", { min: 1, max: lastFirst(entries.length) }),
    entries,
    signature: reader.bytes(parts[5], "signature", 64),
  };
}

function readEntries(value: CborValue | undefined): Opening[] {
  const entries = reader.array(value, "entries");
  if (entries.length < 1 || entries.length > BATCH_ENTRIES_MAX) {
    reader.refuse("entries", `expected 1 to ${BATCH_ENTRIES_MAX}, got ${entries.length}`);
  }
  return entries.map((entry, i) => {
    const [salt, event] = reader.array(entry, `entries[${i}]`, 2);
    return {
      salt: reader.bytes(salt, `entries[${i}].salt`, 32),
      event: reader.bytes(event, `entries[${i}].event`, { min: 1, max: EVENT_BYTES_MAX }),
    };
  });
}

/** The highest first sequence that leaves the last one a safe integer. */
function lastFirst(count: number): number {
  return Number.MAX_SAFE_INTEGER - count + 1;
}
