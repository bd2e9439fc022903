/**
 * The id index: which ids are logged already, and where.
 *
 * Its rows lie in the order of the times in their ids: what comes together lies together, where the database would
 * otherwise have to write all of an index anew again and again. Logs of before have rows under other keys.
 *
 * Nearly all ids are new and were made a moment ago. Those of late are remembered, so that the disk is asked for older ones,
 * and for those that are there.
 */
import { readU32 } from "@tallystick/core";
import { decodeCbor, encodeCbor } from "@tallystick/events";
import { type LogStorage, type Row, StorageError } from "@tallystick/storage";
import { listOf, numberOf } from "./heads.ts";
import { type KnownId, TABLE, TIME_TEXT, decodeKnownId, formerIdKey } from "./rows.ts";

export const FORMER_IDS_KEY = "log";
/** Written by a log that begins, and by no other. */
export const NO_FORMER_IDS: Row = { table: TABLE.formerIds, key: FORMER_IDS_KEY, value: encodeCbor([0]) };

export interface KnownIdsOptions {
  readonly storage: LogStorage;
  readonly random: (bytes: number) => Uint8Array;
  /** In ms since 1970, and not before the last commit: ids that were made by then may be there. */
  readonly now: number;
}

export class KnownIds {
  readonly #storage: LogStorage;
  readonly #hasFormer: boolean;
  readonly #recent: RecentIds;

  private constructor(storage: LogStorage, hasFormer: boolean, recent: RecentIds) {
    this.#storage = storage;
    this.#hasFormer = hasFormer;
    this.#recent = recent;
  }

  /** @throws {LogError | EventError | StorageError} `log-corrupt`, `storage-corrupt`: what says how rows lie does not read. */
  static async open({ storage, random, now }: KnownIdsOptions): Promise<KnownIds> {
    const hasFormer = hasFormerIds(await storage.getRow(TABLE.formerIds, FORMER_IDS_KEY));
    // Of a damaged block the database tells whoever asks for a row in it, but not who reads past it: so the last key alone
    // is not believed, and whatever was made up to now is asked for.
    const lastOfNow = now.toString(16).padStart(TIME_TEXT, "0") + BEHIND_ALL;
    const last = await lastKey(storage);
    const recent = new RecentIds({ last: last > lastOfNow ? last : lastOfNow, seed: readU32(random(4)) });
    return new KnownIds(storage, hasFormer, recent);
  }

  /** What is known of ids, by their keys, read in one go. */
  async read(keys: readonly string[]): Promise<Map<string, KnownId>> {
    const known = new Map<string, KnownId>();
    const asked = keys.filter((key) => this.#recent.mayHave(key));
    await this.#readInto(known, asked, asked);
    if (!this.#hasFormer) return known;
    const missing = keys.filter((key) => !known.has(key));
    await this.#readInto(known, missing, missing.map(formerIdKey));
    return known;
  }

  /** Takes the keys of a commit in the making. One that fails ends the log, so nothing is taken back. */
  add(keys: readonly string[]): void {
    for (const key of keys) this.#recent.add(key);
  }

  async #readInto(known: Map<string, KnownId>, keys: readonly string[], stored: readonly string[]): Promise<void> {
    if (keys.length === 0) return;
    const rows = await this.#storage.getRows(TABLE.id, stored);
    for (const [at, key] of keys.entries()) {
      const row = rows[at];
      if (row !== undefined) known.set(key, decodeKnownId(row));
    }
  }
}

/** The last row's key; where it does not read, one behind all keys. */
async function lastKey(storage: LogStorage): Promise<string> {
  try {
    for await (const { key } of storage.scanRows(TABLE.id, { reverse: true, limit: 1 })) return key;
    return "";
  } catch (error) {
    // Whoever sends that id is told.
    if (error instanceof StorageError && error.code === "storage-corrupt") return BEHIND_ALL;
    throw error;
  }
}

/** Text that sorts behind all keys. */
const BEHIND_ALL = "~";
/** Characters of a key that name its span: 256 ms. */
const SPAN_TEXT = TIME_TEXT - 2;
/** Keys that are remembered: those of some seconds under full load. */
const KEYS_MAX = 262_144;
/** Spans that are remembered, however few keys are in each: of more than an hour. */
const SPANS_MAX = 16_384;

/**
 * Which keys may be on disk: those that were added and not forgotten since, and all up to the last that was forgotten, or was there
 * before. The earliest go first, whenever they came: so a sender whose clock is ahead takes some room for as long as it is
 * ahead, and nothing of the others is asked for in vain. Of a key a number of 30 bits is kept: where it is another one's the
 * disk is asked in vain. The numbers depend on a seed, so that nobody can send ids whose numbers a set is slow with.
 */
export class RecentIds {
  readonly #marks = new Map<string, Set<number>>();
  /** Of which there are marks, in order. */
  readonly #spans: string[] = [];
  #count = 0;
  /** The one that was looked for last: most keys are of the same as the one before. */
  #last: { readonly span: string; readonly marks: Set<number> } | undefined;
  /** No key behind it is there without being remembered. */
  #lastForgotten: string;
  readonly #seed: number;

  /** `last`: no key that is there sorts behind it. */
  constructor({ last, seed }: { readonly last: string; readonly seed: number }) {
    this.#lastForgotten = last;
    this.#seed = seed & MARK_MASK;
  }

  /** How many are remembered. */
  get size(): number {
    return this.#count;
  }

  mayHave(key: string): boolean {
    return key <= this.#lastForgotten || this.#marksOf(key)?.has(markOf(key) ^ this.#seed) === true;
  }

  add(key: string): void {
    if (key <= this.#lastForgotten) return;
    const marks = this.#marksOf(key) ?? this.#begin(key.slice(0, SPAN_TEXT));
    this.#count -= marks.size;
    marks.add(markOf(key) ^ this.#seed);
    this.#count += marks.size;
    if (this.#spans.length > SPANS_MAX) this.#forget(SPANS_MAX / 16);
    while (this.#count > KEYS_MAX) this.#forget(1);
  }

  #marksOf(key: string): Set<number> | undefined {
    const last = this.#last;
    if (last !== undefined && key.startsWith(last.span)) return last.marks;
    const span = key.slice(0, SPAN_TEXT);
    const marks = this.#marks.get(span);
    if (marks !== undefined) this.#last = { span, marks };
    return marks;
  }

  #begin(span: string): Set<number> {
    const marks = new Set<number>();
    this.#marks.set(span, marks);
    this.#spans.splice(this.#placeOf(span), 0, span);
    return marks;
  }

  /** Behind how many of the spans it comes: nearly always behind all. */
  #placeOf(span: string): number {
    let [low, high] = [0, this.#spans.length];
    for (let middle = high - 1; low < high; middle = (low + high) >> 1) {
      if ((this.#spans[middle] ?? "") < span) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #forget(count: number): void {
    for (const span of this.#spans.splice(0, count)) {
      this.#count -= this.#marks.get(span)?.size ?? 0;
      this.#marks.delete(span);
      if (this.#last?.span === span) this.#last = undefined;
      this.#lastForgotten = span + BEHIND_ALL;
    }
  }
}

const MARK_MASK = 0x3fff_ffff;

/** Of the end of a key, which is of a hash. */
function markOf(key: string): number {
  let mark = 0;
  for (let at = key.length - 5; at < key.length; at += 1) mark = (mark << 6) | (key.charCodeAt(at) & 63);
  return mark;
}

/**
 * Whether rows may lie under keys without a time. A log of before has no row that denies it.
 *
 * @throws {LogError | EventError} It is no such row.
 */
export function hasFormerIds(row: Uint8Array | undefined): boolean {
  if (row === undefined) return true;
  const [before] = listOf(decodeCbor(row), "former ids");
  return numberOf(before, "former ids before") > 0;
}
