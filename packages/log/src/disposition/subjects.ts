/** All that the log holds about a person: the chains of their tags, and the entries in them. */
import { setImmediate } from "node:timers/promises";
import { encodeHex, equalBytes } from "@tallystick/core";
import { type Leaf, decodeLeaf, encodeCbor } from "@tallystick/events";
import { type LogStorage, type Row, indexKey } from "@tallystick/storage";
import type { ChainEnds } from "../chain-ends.ts";
import { LogError } from "../error.ts";
import type { LogSecrets } from "../keys.ts";
import { type ChainEnd, TABLE, chainKey } from "../rows.ts";
import { eventDays } from "./ledger.ts";

/** Days whose tags are looked up in one go. */
const DAYS_AT_ONCE = 256;

/** A tag of a person, as actor or as subject, and the chain of leaves that bear it. */
export interface PersonTag {
  readonly kind: "actor" | "subject";
  readonly tag: Uint8Array;
  readonly count: number;
  readonly last: number;
}

const PERSON_KINDS = ["actor", "subject"] as const;

/** What {@link Subjects.prepare} found: tags that events of a person may have, and the ends of their chains. */
export class PreparedPerson {
  readonly id: string;
  readonly key: Uint8Array | undefined;
  /** Entries up to which the ends are known. */
  size: number;
  /** Those whose tags are in it. */
  readonly days: Set<number> = new Set();
  readonly #possible = new Map<string, Pick<PersonTag, "kind" | "tag">>();
  readonly #ends = new Map<string, PersonTag>();

  constructor(id: string, key: Uint8Array | undefined, size: number) {
    this.id = id;
    this.key = key;
    this.size = size;
  }

  get tags(): readonly PersonTag[] {
    return [...this.#ends.values()];
  }

  add(key: string, tag: Pick<PersonTag, "kind" | "tag"> | undefined, end: ChainEnd | undefined): void {
    if (tag === undefined) return;
    this.#possible.set(key, tag);
    if (end !== undefined) this.#ends.set(key, { ...tag, count: end.count, last: end.last });
  }

  /** Takes the next entry. */
  take(leaf: Leaf, index: number): void {
    for (const kind of PERSON_KINDS) {
      const chain = leaf[kind];
      if (chain === null) continue;
      const key = chainKey(kind, chain.tag);
      const tag = this.#possible.get(key);
      if (tag !== undefined) this.#ends.set(key, { ...tag, count: chain.n + 1, last: index });
    }
    this.size = index + 1;
  }
}

export interface WalkedLeaf {
  readonly index: number;
  readonly leaf: Leaf;
}

export interface SubjectsOptions {
  readonly storage: LogStorage;
  readonly secrets: LogSecrets;
  readonly chainEnds: ChainEnds;
}

export class Subjects {
  readonly #options: SubjectsOptions;

  constructor(options: SubjectsOptions) {
    this.#options = options;
  }

  /** Every tag under which events of a person were logged; none where the person has no key. */
  async tagsOf(id: string): Promise<readonly PersonTag[]> {
    return (await this.prepare(id, 0)).tags;
  }

  /**
   * Looks up all tags that events of a person may have, which takes long where events say they are of many days; letting
   * others in all the while. With it, {@link tagsNow} is quick.
   *
   * @param size - Entries that are there, as it was before the call.
   */
  async prepare(id: string, size: number): Promise<PreparedPerson> {
    const prepared = new PreparedPerson(id, this.#options.secrets.personKey(id), size);
    await this.#addDays(prepared);
    return prepared;
  }

  /** The tags of a person as they are in the first `size` entries, or in more. */
  async tagsNow(prepared: PreparedPerson, size: number): Promise<readonly PersonTag[]> {
    const { storage, secrets } = this.#options;
    const key = secrets.personKey(prepared.id);
    const isSame = key === undefined ? prepared.key === undefined : prepared.key && equalBytes(key, prepared.key);
    // A person who was erased and came back has other tags.
    if (isSame !== true) return (await this.prepare(prepared.id, size)).tags;
    await this.#addDays(prepared);
    for (let from = prepared.size; from < size; from += WINDOW) {
      const keys = Array.from({ length: Math.min(WINDOW, size - from) }, (_, at) => indexKey(from + at));
      for (const [at, bytes] of (await storage.getRows(TABLE.leaf, keys)).entries())
        prepared.take(leafOf(bytes, from + at), from + at);
    }
    return prepared.tags;
  }

  /** Days of events that it does not know yet. */
  async #addDays(prepared: PreparedPerson): Promise<void> {
    let days: number[] = [];
    for await (const day of eventDays(this.#options.storage)) {
      if (prepared.days.has(day)) continue;
      days.push(day);
      if (days.length < DAYS_AT_ONCE) continue;
      await setImmediate();
      await this.#addTags(prepared, days);
      days = [];
    }
    await this.#addTags(prepared, days);
  }

  async #addTags(prepared: PreparedPerson, days: readonly number[]): Promise<void> {
    const { secrets, chainEnds } = this.#options;
    const tags = days.flatMap((day) => {
      prepared.days.add(day);
      const both = secrets.personTags(prepared.id, day);
      return both === undefined ? [] : PERSON_KINDS.map((kind) => ({ kind, tag: both[kind] }));
    });
    const keys = tags.map(({ kind, tag }) => chainKey(kind, tag));
    const ends = await chainEnds.read(new Set(keys));
    for (const [at, key] of keys.entries()) prepared.add(key, tags[at], ends.get(key));
  }

  /** The leaves of a chain from index `from` on, the newest first. */
  async *walk({ kind, last }: PersonTag, from: number = 0): AsyncGenerator<WalkedLeaf> {
    const leaves = new NearLeaves(this.#options.storage);
    let steps = 0;
    for (let index: number | null = last; index !== null && index >= from;) {
      const leaf: Leaf = await leaves.at(index);
      yield { index, leaf };
      index = leaf[kind]?.prev ?? null;
      steps += 1;
      // What is read is often in memory: without this, a walk through a million leaves would let nobody else in.
      if (steps % WINDOW === 0) await setImmediate();
    }
  }

  /** Entries about a person: those of which they are the subject, or the actor where there is no other subject. */
  async *about(tags: readonly PersonTag[], from: number = 0): AsyncGenerator<WalkedLeaf> {
    for (const tag of tags)
      for await (const walked of this.walk(tag, from))
        if (tag.kind === "subject" || walked.leaf.subject === null) yield walked;
  }

  /** Entries that a duty kept when the person was erased: no tag leads to them any more. */
  async keptOf(id: string): Promise<number[]> {
    const reference = this.#options.secrets.existingReference(id);
    if (reference === undefined) return [];
    const person = encodeHex(reference);
    const indexes: number[] = [];
    for await (const { key } of this.#options.storage.scanRows(TABLE.kept)) {
      const kept = parseKeptKey(key);
      if (kept.person === person) indexes.push(kept.index);
    }
    return indexes;
  }

  async leaf(index: number): Promise<Leaf> {
    return leafOf(await this.#options.storage.getRow(TABLE.leaf, indexKey(index)), index);
  }
}

/** @param kept - Entries that a duty keeps of a person who was erased. */
export function unknownSubject(kept: number = 0): LogError {
  const text =
    kept === 0
      ? "nothing is held about this subject: no event, or all of them are erased"
      : `nothing more of this subject can be erased: of what was, a duty keeps ${kept}, until their time is over`;
  return new LogError("subject-unknown", text, { details: { kept } });
}

/** By index first: what is kept goes with its class-day, whose entries lie side by side. */
export function keptRow(index: number, person: string): Row {
  return { table: TABLE.kept, key: `${indexKey(index)} ${person}`, value: encodeCbor([]) };
}

export function parseKeptKey(key: string): { readonly index: number; readonly person: string } {
  const [index = "", person = ""] = key.split(" ", 2);
  return { index: Number.parseInt(index, 16), person };
}

/** Rows that one read gives for little more than one of them: 256, as the storage keeps them together. */
const WINDOW = 256;

/**
 * Leaves that are asked for from the newest to the oldest. A person who is active has many that lie near each other: those
 * are read in one go, which is a hundred times as fast.
 */
class NearLeaves {
  readonly #storage: LogStorage;
  #first = Infinity;
  #rows: readonly (Uint8Array | undefined)[] = [];
  #before = Infinity;

  constructor(storage: LogStorage) {
    this.#storage = storage;
  }

  async at(index: number): Promise<Leaf> {
    if (index < this.#first) await this.#read(index);
    return leafOf(this.#rows[index - this.#first], index);
  }

  /** Alone where the last one was far away. */
  async #read(index: number): Promise<void> {
    this.#first = this.#before - index < WINDOW ? index - (index % WINDOW) : index;
    this.#before = index;
    const keys = Array.from({ length: index - this.#first + 1 }, (_, at) => indexKey(this.#first + at));
    this.#rows = await this.#storage.getRows(TABLE.leaf, keys);
  }
}

function leafOf(bytes: Uint8Array | undefined, index: number): Leaf {
  if (bytes === undefined) throw new LogError("log-corrupt", `index ${index}: the entry is missing: run fsck`);
  return decodeLeaf(bytes);
}
