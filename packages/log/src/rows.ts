/** The tables of a log: what is under which key, and how it is encoded. docs/reference/storage-layout.md */
import { hash } from "node:crypto";
import { HASH_BYTES, encodeHex, readU32, sha256All, u32 } from "@tallystick/core";
import { decodeCbor, encodeCbor } from "@tallystick/events";
import { corrupt, listOf, numberOf } from "./heads.ts";

export const TABLE = {
  /** Index → entry. */
  leaf: "leaf",
  /** Index → sealed event. */
  sealed: "sealed",
  /** Sender and event id → check of the commitment, index. */
  id: "id",
  /** `log` → before which index entries may have rows of `id` under keys without a time; without it, any may. */
  formerIds: "former-ids",
  /** Kind and tag → count, last index. */
  chain: "chain",
  /** `chain` → from which index on rows of chains may lag behind the leaves. */
  lagging: "lagging",
  /** Stream id → next sequence, last index. */
  stream: "stream",
  /** Stream id and first sequence → first index and count of each batch. */
  batch: "batch",
  /** Ids of the streams that were the log's own; it has no rows for their ids and batches. */
  own: "own",
  /** Writer → the sender key that it is pinned to. */
  pinned: "pinned",
  /** Tile level → hashes of the partial tile at the right edge. */
  edge: "edge",
  /** Size → published head. */
  checkpoint: "checkpoint",
  /** `log` → its origin: this storage was opened for this log before, even if nothing was logged yet. */
  begun: "begun",
  /** Digest → two heads of ours that contradict each other. */
  evidence: "evidence",
  /** Day and class → first and last index, count, promised days: entries whose key is there. */
  classDay: "class-day",
  /** Days that events of persons say they are of: those of their tags. */
  eventDay: "event-day",
  /** Request → a destruction of keys, and how far it has come. */
  destruction: "destruction",
  /** Requests of destructions that something is left to do of. */
  pending: "pending",
  /** Class and day, or tag → the certificate that its entries' contents were destroyed under. */
  erased: "erased",
  /** `log` → the key store's epoch after the newest destruction: one of a lower epoch is an older copy. */
  keyEpoch: "key-epoch",
  /** Index and person's reference: entries that a duty keeps of a person who was erased. */
  kept: "kept",
  /** References of credentials that the log itself names as those who read or order: no subjects of an erasure. */
  credential: "credential",
  /** Id → a legal hold. */
  hold: "hold",
  /** Kind and id → what was noted last of a key or token; the kind alone → that it was noted at all. */
  knownKey: "known-key",
  /** First index → last index of entries whose keys were lost. */
  lost: "lost",
  /** Index of a `log.rules` entry → the text that it approved. */
  rules: "rules",
} as const;

export type ChainKind = "session" | "actor" | "subject" | "tenant";

export interface ChainEnd {
  readonly count: number;
  readonly last: number;
}

export interface KnownId {
  /** By {@link commitmentCheck}: tells a row of another entry, in four bytes. The commitment itself is in the leaf. */
  readonly check: number;
  readonly index: number;
}

export interface StreamEnd {
  /** The sequence that the log expects. */
  readonly next: number;
  readonly lastIndex: number;
}

export interface PlacedBatch {
  readonly firstIndex: number;
  readonly count: number;
}

/** Who sent a signed event, as the id index names it: an id stands for one event of one key, in whichever stream. */
export function keySender(publicKey: Uint8Array): string {
  return `key:${encodeHex(publicKey)}`;
}

/** Who sent an unsigned event, as the id index names it: by the stream id that stands in the leaf. */
export function writerSender(stream: Uint8Array): string {
  return `writer:${encodeHex(stream)}`;
}

/** Of the time in a key. */
export const TIME_TEXT = 12;
/** Of the hash in a key; in text a third more. */
const ID_HASH_BYTES = 12;
const ID_HASH_TEXT = (ID_HASH_BYTES * 4) / 3;
/** Characters of a key. */
export const ID_KEY_TEXT: number = TIME_TEXT + ID_HASH_TEXT;

/**
 * Where the row of an id lies: its time, the first 48 bits of a UUIDv7, in hex, so that ids of one time lie together; then
 * sender and id hashed, 12 bytes in base64url.
 */
export function idKey(sender: string, id: string): string {
  return timeOfId(id) + hash("sha256", `${sender}\0${id}`, "base64url").slice(0, ID_HASH_TEXT);
}

function timeOfId(id: string): string {
  return id.slice(0, 8) + id.slice(9, 13);
}

/** Where rows of ids lay before, by where they lie now. */
export function formerIdKey(key: string): string {
  return key.slice(-ID_HASH_TEXT);
}

/** Whether a row of an id lies where one of before would. */
export function isFormerIdKey(key: string): boolean {
  return key.length === ID_HASH_TEXT;
}

/** {@link idKey} of each of a sender's ids, sooner than one by one. */
export function idKeys(sender: string, ids: readonly string[]): string[] {
  if (ids.length === 1) return ids.map((id) => idKey(sender, id));
  const hashes = sha256All(ids.map((id) => Buffer.from(`${sender}\0${id}`)));
  return ids.map((id, at) => {
    const hashed = Buffer.from(hashes.buffer, hashes.byteOffset + HASH_BYTES * at, ID_HASH_BYTES);
    return timeOfId(id) + hashed.toString("base64url");
  });
}

/** The first four bytes of a commitment, as a number. */
export function commitmentCheck(commitment: Uint8Array): number {
  return readU32(commitment);
}

export function chainKey(kind: ChainKind, tag: Uint8Array): string {
  return `${kind}:${encodeHex(tag)}`;
}

export function batchKey(stream: string, first: number): string {
  return `${stream}:${first.toString(16).padStart(14, "0")}`;
}

export function encodeChainEnd({ count, last }: ChainEnd): Uint8Array {
  return encodeCbor([count, last]);
}

export function decodeChainEnd(bytes: Uint8Array): ChainEnd {
  const [count, last] = listOf(decodeCbor(bytes), "chain");
  return { count: numberOf(count, "chain count"), last: numberOf(last, "chain last") };
}

/** Of the numbers that a row of an id may hold: 2^53 - 1 takes 7 bytes. */
const INDEX_BYTES_MAX = 7;
const CHECK_BYTES = 4;

/** How many bytes the index has, the index, the check: nearly every entry has such a row, so each byte of it counts. */
export function encodeKnownId({ check, index }: KnownId): Uint8Array {
  let indexBytes = 1;
  while (index >= 256 ** indexBytes) indexBytes += 1;
  const row = new Uint8Array(1 + indexBytes + CHECK_BYTES);
  row[0] = indexBytes;
  for (let [at, rest] = [indexBytes, index]; at > 0; at -= 1, rest = Math.floor(rest / 256)) row[at] = rest % 256;
  row.set(u32(check), 1 + indexBytes);
  return row;
}

/** @throws {LogError | EventError} `log-corrupt`, or what decodeCbor() throws. */
export function decodeKnownId(row: Uint8Array): KnownId {
  const [indexBytes = 0] = row;
  // In logs of before a list in CBOR, which begins with a larger byte.
  if (indexBytes > INDEX_BYTES_MAX) return decodeFormerKnownId(row);
  if (indexBytes === 0 || row.length !== 1 + indexBytes + CHECK_BYTES)
    throw corrupt("id: expected an index and a check");
  let index = 0;
  for (let at = 1; at <= indexBytes; at += 1) index = index * 256 + Number(row[at]);
  if (!Number.isSafeInteger(index)) throw corrupt("id: expected an index below 2^53");
  return { check: readU32(row.subarray(1 + indexBytes)), index };
}

function decodeFormerKnownId(row: Uint8Array): KnownId {
  const [check, index] = listOf(decodeCbor(row), "id");
  return { check: numberOf(check, "id check"), index: numberOf(index, "id index") };
}

export function encodeStreamEnd({ next, lastIndex }: StreamEnd): Uint8Array {
  return encodeCbor([next, lastIndex]);
}

export function decodeStreamEnd(bytes: Uint8Array): StreamEnd {
  const [next, lastIndex] = listOf(decodeCbor(bytes), "stream");
  return { next: numberOf(next, "stream next"), lastIndex: numberOf(lastIndex, "stream last") };
}

export function encodePlacedBatch({ firstIndex, count }: PlacedBatch): Uint8Array {
  return encodeCbor([firstIndex, count]);
}

export function decodePlacedBatch(bytes: Uint8Array): PlacedBatch {
  const [firstIndex, count] = listOf(decodeCbor(bytes), "batch");
  return { firstIndex: numberOf(firstIndex, "batch index"), count: numberOf(count, "batch count") };
}
