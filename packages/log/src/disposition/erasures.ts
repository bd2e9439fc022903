/** Erasing a person: which tags and entries are theirs, what a hold or a duty keeps, and the order. */
import { createCipheriv, createDecipheriv } from "node:crypto";
import { concatBytes, encodeHex, sha256, utf8 } from "@tallystick/core";
import { CERTIFICATE_LIMITS, decodeSealed, newEventId, personTag } from "@tallystick/events";
import { type LogStorage, indexKey } from "@tallystick/storage";
import { LogError } from "../error.ts";
import { type LogSecrets, decodeSealedRow } from "../keys.ts";
import { type Rules, ruleOf } from "../rules/rules.ts";
import { TABLE } from "../rows.ts";
import type { Sequencer, Turn } from "../sequencer.ts";
import type { EraseInput } from "./api.ts";
import type { Destructions } from "./destructions.ts";
import { findErased } from "./erased.ts";
import type { HoldRecord, Holds } from "./holds.ts";
import { type DestructionRecord, pendingRecords, readRecord, recordRows } from "./record.ts";
import { type Resealed, sealAnew, writeResealed } from "./sealing.ts";
import { type PersonTag, type PreparedPerson, type Subjects, keptRow, unknownSubject } from "./subjects.ts";
import { assertUuidV7, lineOf } from "./inputs.ts";

const { keptMax: KEPT_CLASSES_MAX } = CERTIFICATE_LIMITS;
const GROUND_CHARS_MAX = 1024;
const HELD_PREFIX = utf8("tallystick/held-erasure/v1\0");
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
/** Rows that are written in one go. */
const STEP = 1024;

export interface ErasuresOptions {
  readonly storage: LogStorage;
  readonly secrets: LogSecrets;
  readonly sequencer: Sequencer;
  readonly destructions: Destructions;
  readonly holds: Holds;
  readonly subjects: Subjects;
  readonly rules: () => Pick<Rules, "classes" | "other">;
  readonly random: (bytes: number) => Uint8Array;
  readonly now: () => number;
}

/** A person as the log knows them. */
interface Known {
  readonly subject: string;
  /** What the key store calls the person. */
  readonly person: string;
  readonly tags: readonly PersonTag[];
  /** The turn that is taken, where one is. */
  readonly turn?: Turn;
}

/** How many entries a duty to keep them left, by class. */
type Kept = Map<string, number>;

type Wish = EraseInput & { readonly request: string };

/** What was found about a person before the log was made to wait. */
interface Looked {
  readonly person: string;
  /** Entries from here on were not looked at. */
  readonly size: number;
  /** Of the holds that were in force. */
  readonly version: number;
  readonly classDayOrders: number;
  readonly rules: Pick<Rules, "classes" | "other">;
  readonly isHeld: boolean;
  readonly kept: Kept;
}

export class Erasures {
  readonly #options: ErasuresOptions;

  constructor(options: ErasuresOptions) {
    this.#options = options;
  }

  async erase(input: EraseInput): Promise<DestructionRecord> {
    const { storage, random, now, sequencer } = this.#options;
    const request = input.request ?? newEventId(now(), random(16));
    assertUuidV7("request", request);
    const ground = lineOf("ground", input.ground, GROUND_CHARS_MAX);
    const wish = { ...input, ground, request };
    const prepared = await this.#prepare(wish.subject);
    const first = await sequencer.alone(async (turn) => {
      const known = await readRecord(storage, request);
      if (known !== undefined) return known;
      await this.#refuseCredential(wish.subject);
      // Sealing anew what a duty keeps may take long: from before it begins a crash must not make the wish forgotten.
      if (this.#hasDuties) {
        await this.#tagsOf(prepared, turn.size);
        return this.#holdBack({ ...wish, person: this.#personOf(wish.subject) });
      }
      return this.#options.holds.active.length > 0 ? undefined : this.#decide(turn, wish, prepared, undefined);
    });
    if (first !== undefined && first.state !== "held") return first;
    return this.#carryOut(first?.request ?? request, wish, prepared);
  }

  async #prepare(subject: string): Promise<PreparedPerson> {
    const { sequencer, subjects } = this.#options;
    // A log that has stopped says why in its own words: without keys nobody's can be looked for.
    if (sequencer.stopped !== undefined) throw sequencer.stopped;
    return subjects.prepare(subject, sequencer.range.size);
  }

  /** Carries out a wish that waits, unless a hold stops it. */
  async #carryOut(waiting: string, wish: Wish, prepared: PreparedPerson): Promise<DestructionRecord> {
    const { sequencer, storage } = this.#options;
    // What fails here fails below too, unless another has carried it out meanwhile.
    const looked = await this.#look(prepared).catch(() => undefined);
    return sequencer.alone(async (turn) => {
      const record = await readRecord(storage, waiting);
      if (record !== undefined && record.state !== "held") return record;
      return this.#decide(turn, { ...wish, request: waiting }, prepared, looked);
    });
  }

  /** Most is looked at, and sealed anew for a duty, before the log is made to wait; the rest while it waits. */
  async #look(prepared: PreparedPerson): Promise<Looked> {
    const { sequencer, holds, destructions } = this.#options;
    const { id: subject } = prepared;
    // Before anything is read: what is logged meanwhile is looked at while the log waits.
    const { size } = sequencer.range;
    const { version } = holds;
    const { classDayOrders } = destructions;
    const rules = this.#options.rules();
    const tags = await this.#tagsOf(prepared, size);
    const person = this.#personOf(subject);
    const kept: Kept = new Map();
    // What is held stays under the person's key.
    const isHeld = (await this.#heldBy(person, tags, 0)) !== undefined;
    if (!isHeld) await this.#keepDuties({ subject, person, tags }, 0, kept);
    return { person, size, version, classDayOrders, rules, isHeld, kept };
  }

  get #hasDuties(): boolean {
    const { classes, other } = this.#options.rules();
    return other.erase === "at-expiry" || [...classes.values()].some(({ erase }) => erase === "at-expiry");
  }

  async #decide(
    turn: Turn,
    input: Wish,
    prepared: PreparedPerson,
    before: Looked | undefined,
  ): Promise<DestructionRecord> {
    const { holds, destructions } = this.#options;
    const { subject, ground, request, by, approvedBy } = input;
    const tags = await this.#tagsOf(prepared, turn.size);
    const person = this.#personOf(subject);
    // Other holds or rules, a class-day that went, another key of a person who came back: then all is looked at again.
    const isFresh =
      before?.version === holds.version &&
      before.rules === this.#options.rules() &&
      before.classDayOrders === destructions.classDayOrders &&
      before.person === person;
    const { isHeld, size, kept }: Pick<Looked, "isHeld" | "size" | "kept"> = isFresh
      ? before
      : { isHeld: false, size: 0, kept: new Map() };
    if (isHeld || (await this.#heldBy(person, tags, size)) !== undefined) return this.#holdBack({ ...input, person });
    await this.#keepDuties({ subject, person, tags, turn }, size, kept);
    return destructions.orderPerson(turn, {
      request,
      ground,
      by,
      approvedBy,
      person,
      tags: tags.map(({ tag, count, last }) => [encodeHex(tag), count, last]),
      kept: keptOf(kept),
    });
  }

  /** What was read, and by which credential, is no credential's to erase. @throws {LogError} `subject-refused` */
  async #refuseCredential(subject: string): Promise<void> {
    const { secrets, storage } = this.#options;
    const reference = secrets.existingReference(subject);
    if (reference === undefined) return;
    if ((await storage.getRow(TABLE.credential, encodeHex(reference))) === undefined) return;
    const text = "this is the id of a credential that the log names as one who read or ordered: that record stays";
    throw new LogError("subject-refused", text);
  }

  /** @throws {LogError} `subject-unknown` */
  async #tagsOf(prepared: PreparedPerson, size: number): Promise<readonly PersonTag[]> {
    const tags = await this.#options.subjects.tagsNow(prepared, size);
    if (tags.length > 0) return tags;
    throw unknownSubject((await this.#options.subjects.keptOf(prepared.id)).length);
  }

  #personOf(subject: string): string {
    const reference = this.#options.secrets.existingReference(subject);
    if (reference === undefined) throw unknownSubject();
    return encodeHex(reference);
  }

  /** A hold that covers the person, or any entry about them from index `from` on. */
  async #heldBy(person: string, tags: readonly PersonTag[], from: number): Promise<HoldRecord | undefined> {
    const { holds, subjects, storage } = this.#options;
    const { active } = holds;
    const own = active.find((hold) => hold.person === person && isOfAll(hold));
    if (own !== undefined || active.length === 0) return own;
    const others = active.filter((hold) => hold.person === undefined || hold.person === person);
    if (others.length === 0) return undefined;
    for await (const { index, leaf } of subjects.about(tags, from)) {
      const row = await storage.getRow(TABLE.sealed, indexKey(index));
      const found = row === undefined ? undefined : holds.find(others, { leaf, row });
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /** Remembers a wish that a hold stops. The person's id is sealed under their own key, and dies with it. */
  async #holdBack(
    input: EraseInput & { readonly request: string; readonly person: string },
  ): Promise<DestructionRecord> {
    const { storage, secrets, random } = this.#options;
    const { request, ground, by, approvedBy, person, subject } = input;
    const waiting = (await pendingRecords(storage)).find((known) => known.state === "held" && known.person === person);
    if (waiting !== undefined) return waiting;
    const key = heldKey(secrets, person);
    const nonce = random(NONCE_BYTES);
    const cipher = createCipheriv("aes-256-gcm", key, nonce);
    const sealed = concatBytes(nonce, cipher.update(utf8(subject)), cipher.final(), cipher.getAuthTag());
    const record: DestructionRecord = {
      request,
      kind: "person",
      ground,
      state: "held",
      by,
      approvedBy,
      before: 0,
      keys: [],
      person,
      heldId: sealed,
      kept: [],
      ordered: [],
      unpruned: false,
    };
    await storage.putRows(recordRows(record));
    return record;
  }

  /** Carries out what no hold stops any more. One that fails stops no other; the first failure is thrown at the end. */
  async resumeHeld(): Promise<void> {
    const { storage } = this.#options;
    const failures: unknown[] = [];
    for (const { state, person, request } of await pendingRecords(storage)) {
      if (state !== "held" || person === undefined) continue;
      await this.#resume(request).catch((cause: unknown) => void failures.push(cause));
    }
    if (failures.length > 0) throw failures[0];
  }

  async #resume(wanted: string): Promise<void> {
    const { storage, sequencer } = this.#options;
    const found = await readRecord(storage, wanted);
    const known = found?.state === "held" ? this.#heldSubject(found) : undefined;
    const prepared = known === undefined ? undefined : await this.#prepare(known);
    const looked = prepared === undefined ? undefined : await this.#look(prepared).catch(() => undefined);
    if (looked?.isHeld === true) return;
    await sequencer.alone(async (turn) => {
      const record = await readRecord(storage, wanted);
      // Another may have carried it out while this one waited for its turn.
      if (record?.state !== "held") return;
      const subject = this.#heldSubject(record);
      if (subject === undefined) {
        // Another order has destroyed that key since, and with it all that this one asked for.
        const { heldId: _, ...rest } = record;
        await storage.putRows(recordRows({ ...rest, state: "done" }));
        return;
      }
      const { request, ground, by = "", approvedBy } = record;
      const wish = { subject, ground, request, by, ...(approvedBy === undefined ? {} : { approvedBy }) };
      await this.#decide(turn, wish, prepared ?? (await this.#prepare(subject)), looked);
    });
  }

  #heldSubject({ person, heldId }: DestructionRecord): string | undefined {
    const { secrets } = this.#options;
    if (person === undefined || heldId === undefined || secrets.key({ kind: "person", name: person }) === undefined)
      return undefined;
    const decipher = createDecipheriv("aes-256-gcm", heldKey(secrets, person), heldId.subarray(0, NONCE_BYTES));
    decipher.setAuthTag(heldId.subarray(-TAG_BYTES));
    try {
      const id = Buffer.concat([decipher.update(heldId.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()]);
      return id.toString("utf8");
    } catch {
      // The person came back since, and has another key.
      return undefined;
    }
  }

  /**
   * Seals under the person's key again what an earlier try took from it for a duty that is over since: before the erasure
   * was ordered a hold, or other rules, came in between.
   */
  async #endDuties({ subject, person, tags, turn }: Known): Promise<void> {
    const { storage, secrets, random, rules, subjects } = this.#options;
    const own = new Set(tags.map(({ tag }) => encodeHex(tag)));
    for (const index of await subjects.keptOf(subject)) {
      const leaf = await subjects.leaf(index);
      const tag = personTag(leaf);
      // What an earlier erasure left has tags that another key made.
      if (tag === undefined || !own.has(encodeHex(tag))) continue;
      if (ruleOf(rules(), leaf.class).erase === "at-expiry") continue;
      const row = await storage.getRow(TABLE.sealed, indexKey(index));
      if (row === undefined || (await findErased(storage, { index, leaf, row })) !== undefined) continue;
      // Where a hold has it by now, under that one's key: its class-day's may be gone.
      const { class: under } = decodeSealed(decodeSealedRow(row).bytes);
      const value = sealAnew({ secrets, random, row, leaf, class: under, keepPerson: false, person });
      if (value === undefined) continue;
      const forgotten = { ...keptRow(index, person), value: null };
      await this.#inTurn(turn, async () =>
        writeResealed(storage, [{ index, before: row, after: value }], () => [forgotten]),
      );
    }
  }

  /** Does what nobody else may come between of: within the turn that is taken, or one of its own. */
  async #inTurn<T>(turn: Turn | undefined, work: () => Promise<T>): Promise<T> {
    return turn === undefined ? this.#options.sequencer.alone(work) : work();
  }

  /** Seals anew, without the person's key, what a duty keeps of the entries from index `from` on. */
  async #keepDuties(known: Known, from: number, kept: Kept): Promise<void> {
    const { person, tags, turn } = known;
    const { storage, secrets, random, rules, subjects } = this.#options;
    if (from === 0) await this.#endDuties(known);
    if (!this.#hasDuties) return;
    let resealed: (Resealed & { readonly class: string })[] = [];
    const flush = async (): Promise<void> => {
      const written = resealed;
      resealed = [];
      // The row beside first: without the person's key no tag leads to what is kept.
      const write = async (): Promise<Resealed[]> => writeResealed(storage, written, (at) => [keptRow(at, person)]);
      const changed = new Set(await this.#inTurn(turn, write));
      // What a hold sealed anew meanwhile is the hold's to keep.
      for (const entry of written) if (!changed.has(entry)) kept.set(entry.class, (kept.get(entry.class) ?? 0) + 1);
    };
    for (const tag of tags) {
      for await (const { index, leaf } of subjects.walk(tag, from)) {
        if (tag.kind === "actor" && leaf.subject !== null) continue;
        if (ruleOf(rules(), leaf.class).erase !== "at-expiry") continue;
        const row = await storage.getRow(TABLE.sealed, indexKey(index));
        if (row === undefined || (await findErased(storage, { index, leaf, row })) !== undefined) continue;
        // What a hold kept beyond its time is no longer under a duty; and the key of its class-day is destroyed.
        if (decodeSealed(decodeSealedRow(row).bytes).class !== leaf.class) continue;
        const anew = sealAnew({ secrets, random, row, leaf, class: leaf.class, keepPerson: false });
        if (anew === undefined) continue;
        resealed.push({ index, before: row, after: anew, class: leaf.class });
        if (resealed.length >= STEP) await flush();
      }
    }
    await flush();
  }
}

/** A certificate names so many classes and no more: the smallest stand in it together, as the rules have what they do not name. */
function keptOf(kept: Kept): [retentionClass: string, count: number][] {
  if (kept.size <= KEPT_CLASSES_MAX) return [...kept];
  const sorted = [...kept].toSorted(([, a], [, b]) => b - a);
  const named = new Map(sorted.slice(0, KEPT_CLASSES_MAX - 1));
  const others = sorted.slice(KEPT_CLASSES_MAX - 1).reduce((sum, [, count]) => sum + count, 0);
  return [...named.set("other", (named.get("other") ?? 0) + others)];
}

/** Whether it covers everything of its person. */
function isOfAll(hold: HoldRecord): boolean {
  return [hold.class, hold.from, hold.to, hold.operation].every((selector) => selector === undefined);
}

function heldKey(secrets: LogSecrets, person: string): Uint8Array {
  const key = secrets.key({ kind: "person", name: person });
  if (key === undefined) throw new LogError("log-corrupt", "the person's key is not in the key store");
  return sha256(concatBytes(HELD_PREFIX, key));
}
