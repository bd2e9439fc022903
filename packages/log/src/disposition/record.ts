/** A destruction of keys as it is stored, from the wish to the end. docs/reference/storage-layout.md */
import { type CborValue, decodeCbor, encodeCbor } from "@tallystick/events";
import type { KeyName, LogStorage, Row } from "@tallystick/storage";
import { TABLE } from "../rows.ts";
import type { ClassDayScope, Destruction } from "./api.ts";

/** A key that is destroyed. */
export interface DoomedKey extends KeyName {
  /** SHA-256("tallystick/key/v1" 0x00 key), in hex. */
  readonly fingerprint: string;
}

/** Tag in hex, entries, index of the last. */
export type TagScope = readonly [tag: string, count: number, last: number];

/**
 * - `held`: waits for a hold to be lifted.
 * - `retiring`: the person's key is being moved; nothing is logged before that is through.
 * - `ordered`: logged, and waits to be witnessed.
 * - `done`: the keys are gone, and that is logged.
 */
export type RecordState = "held" | "retiring" | "ordered" | "done";

export interface DestructionRecord {
  readonly request: string;
  readonly kind: "person" | "class-day";
  readonly ground: string;
  readonly state: RecordState;
  /** The credentials that ordered it; absent where the rules did. */
  readonly by?: string | undefined;
  readonly approvedBy?: string | undefined;
  /** Size of the log when it was ordered; 0 while it is held. */
  readonly before: number;
  readonly keys: readonly DoomedKey[];
  /** What the key store calls the person. */
  readonly person?: string;
  /** The person's id while it is held, sealed under the person's key. */
  readonly heldId?: Uint8Array;
  readonly tags?: readonly TagScope[];
  readonly classDay?: ClassDayScope;
  readonly kept: readonly (readonly [retentionClass: string, count: number])[];
  readonly ordered: readonly number[];
  readonly done?: number;
  readonly finalOn?: string;
  /** Whether sealed events of a class-day are still to be removed from the disk. */
  readonly unpruned: boolean;
}

/** A person of many days has many tags. */
const LIMITS = { bytesMax: 64 * 1024 * 1024, itemsMax: 10_000_000 };

/** A record without the row that says whether something is left to do of it. */
export function recordRow(record: DestructionRecord): Row {
  const members = Object.entries(record).filter(([, value]) => value !== undefined);
  return { table: TABLE.destruction, key: record.request, value: encodeCbor(Object.fromEntries<CborValue>(members)) };
}

/** Whether something is left to do. */
export function isPending({ state, unpruned }: Pick<DestructionRecord, "state" | "unpruned">): boolean {
  return state !== "done" || unpruned;
}

/** The rows of a record, and of whether something is left to do of it: such a record is never without the other row. */
export function recordRows(record: DestructionRecord): Row[] {
  const pending = { table: TABLE.pending, key: record.request };
  return isPending(record)
    ? [{ ...pending, value: encodeCbor([]) }, recordRow(record)]
    : [recordRow(record), { ...pending, value: null }];
}

/** Only ever written by this code and covered by a digest, so its parts are not looked at one by one. */
export function decodeRecord(bytes: Uint8Array): DestructionRecord {
  return decodeCbor(bytes, LIMITS) as unknown as DestructionRecord;
}

export async function readRecord(storage: LogStorage, request: string): Promise<DestructionRecord | undefined> {
  const row = await storage.getRow(TABLE.destruction, request);
  return row === undefined ? undefined : decodeRecord(row);
}

/** Destructions that something is left to do of. */
export async function pendingRecords(storage: LogStorage): Promise<DestructionRecord[]> {
  const records: DestructionRecord[] = [];
  for await (const { key } of storage.scanRows(TABLE.pending)) {
    const record = await readRecord(storage, key);
    // Only half of a wish was written: nothing came of it.
    if (record !== undefined) records.push(record);
  }
  return records;
}

/** A record as it is shown: no reference to a person. */
export function destructionOf(record: DestructionRecord): Destruction {
  const { request, kind, ground, state, ordered, done, finalOn, classDay, kept } = record;
  return {
    request,
    kind,
    ground,
    // What is retired is as good as ordered: nothing opens any more.
    state: state === "retiring" ? "ordered" : state,
    ...(ordered.length === 0 ? {} : { ordered }),
    ...(done === undefined ? {} : { done }),
    ...(finalOn === undefined ? {} : { finalOn }),
    ...(classDay === undefined ? {} : { scope: classDay }),
    ...(kept.length === 0 ? {} : { kept }),
  };
}
