/** What retention and erasure go by: which class-days have entries, and which days the tags of persons are of. */
import { decodeCbor, encodeCbor } from "@tallystick/events";
import type { LogStorage, Row } from "@tallystick/storage";
import { listOf, numberOf } from "../heads.ts";
import { Lru } from "../lru.ts";
import { TABLE } from "../rows.ts";

/** Class-days, and days of events, that need no look at the disk. */
const KEPT_MAX = 8192;
const DAY_DIGITS = 10;

/** The entries of a class-day, and for how long they were promised to be kept. */
export interface ClassDayRow {
  readonly first: number;
  readonly last: number;
  readonly count: number;
  readonly atLeastDays: number;
}

/** An entry of a commit, as the ledger sees it. */
export interface LedgerEntry {
  readonly class: string;
  readonly index: number;
  /** Of the event's own time, where it has tags of persons. */
  readonly personDay: number | undefined;
  /** What the key store calls a credential that the log itself names. */
  readonly credential: string | undefined;
}

/** The days first, so that a scan begins with what is due first. */
export function classDayKey(retentionClass: string, day: number): string {
  return `${dayKey(day)} ${retentionClass}`;
}

export function parseClassDayKey(key: string): { readonly class: string; readonly day: number } {
  return { day: Number(key.slice(0, DAY_DIGITS)), class: key.slice(DAY_DIGITS + 1) };
}

export function dayKey(day: number): string {
  return String(day).padStart(DAY_DIGITS, "0");
}

export function encodeClassDay({ first, last, count, atLeastDays }: ClassDayRow): Uint8Array {
  return encodeCbor([first, last, count, atLeastDays]);
}

export function decodeClassDay(bytes: Uint8Array): ClassDayRow {
  const [first, last, count, atLeastDays] = listOf(decodeCbor(bytes), "class-day");
  return {
    first: numberOf(first, "class-day first"),
    last: numberOf(last, "class-day last"),
    count: numberOf(count, "class-day count"),
    atLeastDays: numberOf(atLeastDays, "class-day promise"),
  };
}

export interface LedgerOptions {
  readonly storage: LogStorage;
  /** The days for which the rules in force promise to keep a class. */
  readonly atLeastDays: (retentionClass: string) => number;
}

/** Kept by the sequencer: each commit writes the rows of what it adds. */
export class Ledger {
  readonly #options: LedgerOptions;
  readonly #classDays = new Lru<ClassDayRow>(KEPT_MAX);
  readonly #eventDays = new Lru<true>(KEPT_MAX);
  readonly #credentials = new Lru<true>(KEPT_MAX);

  constructor(options: LedgerOptions) {
    this.#options = options;
  }

  /** The rows of a commit whose entries are logged on `day`. A commit that fails ends the log, so nothing is taken back. */
  async extend(entries: readonly LedgerEntry[], day: number): Promise<Row[]> {
    return [
      ...(await this.#extendClassDays(entries, day)),
      ...this.#extendEventDays(entries),
      ...this.#extendCredentials(entries),
    ];
  }

  async #extendClassDays(entries: readonly LedgerEntry[], day: number): Promise<Row[]> {
    const added = new Map<string, { first: number; last: number; count: number }>();
    for (const { class: retentionClass, index } of entries) {
      const known = added.get(retentionClass);
      if (known === undefined) added.set(retentionClass, { first: index, last: index, count: 1 });
      else {
        known.last = index;
        known.count += 1;
      }
    }
    const before = await this.#read([...added.keys()].map((name) => classDayKey(name, day)));
    const rows: Row[] = [];
    for (const [retentionClass, { first, last, count }] of added) {
      const key = classDayKey(retentionClass, day);
      const known = before.get(key);
      const row = {
        first: known?.first ?? first,
        last,
        count: (known?.count ?? 0) + count,
        atLeastDays: Math.max(known?.atLeastDays ?? 0, this.#options.atLeastDays(retentionClass)),
      };
      this.#classDays.set(key, row);
      rows.push({ table: TABLE.classDay, key, value: encodeClassDay(row) });
    }
    return rows;
  }

  async #read(keys: readonly string[]): Promise<Map<string, ClassDayRow>> {
    const known = new Map<string, ClassDayRow>();
    const missing: string[] = [];
    for (const key of keys) {
      const row = this.#classDays.get(key);
      if (row === undefined) missing.push(key);
      else known.set(key, row);
    }
    const rows = missing.length === 0 ? [] : await this.#options.storage.getRows(TABLE.classDay, missing);
    for (const [at, key] of missing.entries()) {
      const row = rows[at];
      if (row !== undefined) known.set(key, decodeClassDay(row));
    }
    return known;
  }

  #extendCredentials(entries: readonly LedgerEntry[]): Row[] {
    const fresh = new Set<string>();
    for (const { credential } of entries)
      if (credential !== undefined && this.#credentials.get(credential) === undefined) fresh.add(credential);
    return [...fresh].map((key) => {
      this.#credentials.set(key, true);
      return { table: TABLE.credential, key, value: encodeCbor([]) };
    });
  }

  #extendEventDays(entries: readonly LedgerEntry[]): Row[] {
    const fresh = new Set<string>();
    for (const { personDay } of entries) {
      if (personDay === undefined) continue;
      const key = dayKey(personDay);
      if (this.#eventDays.get(key) === undefined) fresh.add(key);
    }
    // To write one that is there already changes nothing, and is cheaper than to look.
    return [...fresh].map((key) => {
      this.#eventDays.set(key, true);
      return { table: TABLE.eventDay, key, value: encodeCbor([]) };
    });
  }
}

/** Days of which there are tags of persons. */
export async function* eventDays(storage: LogStorage): AsyncGenerator<number> {
  for await (const { key } of storage.scanRows(TABLE.eventDay)) yield Number(key);
}
