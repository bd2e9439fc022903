/** All that the log holds about a person: the chains of their tags, and the entries in them. */
import { setImmediate } from "node:timers/promises";
import { encodeHex } from "@tallystick/core";
import { type Leaf, decodeLeaf, encodeCbor } from "@tallystick/events";
import { type LogStorage, type Row, indexKey } from "@tallystick/storage";
import type { ChainEnds } from "../chain-ends.ts";
import { LogError } from "../error.ts";
import type { LogSecrets } from "../keys.ts";
import { TABLE, chainKey } from "../rows.ts";
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
  async tagsOf(id: string): Promise<PersonTag[]> {
    const tags: PersonTag[] = [];
    let days: number[] = [];
    for await (const day of eventDays(this.#options.storage)) {
      days.push(day);
      if (days.length < DAYS_AT_ONCE) continue;
      await setImmediate();
      tags.push(...(await this.#tagsOfDays(id, days)));
      days = [];
    }
    return [...tags, ...(await this.#tagsOfDays(id, days))];
  }

  async #tagsOfDays(id: string, days: readonly number[]): Promise<PersonTag[]> {
    const { secrets, chainEnds } = this.#options;
    const wanted = days.flatMap((day) => {
      const both = secrets.personTags(id, day);
      if (both === undefined) return [];
      return (["actor", "subject"] as const).map((kind) => ({
        kind,
        tag: both[kind],
        key: chainKey(kind, both[kind]),
      }));
    });
    const ends = await chainEnds.read(new Set(wanted.map(({ key }) => key)));
    return wanted.flatMap(({ kind, tag, key }) => {
      const end = ends.get(key);
      return end === undefined ? [] : [{ kind, tag, count: end.count, last: end.last }];
    });
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
