/** Erasing a person: which tags and entries are theirs, what a hold or a duty keeps, and the order. */
import { createCipheriv, createDecipheriv } from "node:crypto";
import { concatBytes, encodeHex, sha256, utf8 } from "@tallystick/core";
import { CERTIFICATE_LIMITS, decodeSealed, newEventId } from "@tallystick/events";
import { type LogStorage, type Row, indexKey } from "@tallystick/storage";
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
import { sealAnew } from "./sealing.ts";
import type { PersonTag, Subjects } from "./subjects.ts";
import { assertUuidV7 } from "./uuid-v7.ts";

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

/** How many entries a duty to keep them left, by class. */
type Kept = Map<string, number>;

export class Erasures {
  readonly #options: ErasuresOptions;

  constructor(options: ErasuresOptions) {
    this.#options = options;
  }

  async erase(input: EraseInput): Promise<DestructionRecord> {
    const { storage, random, now, sequencer } = this.#options;
    const request = input.request ?? newEventId(now(), random(16));
    assertUuidV7("request", request);
    const ground = input.ground.trim();
    if (ground.length === 0 || ground.length > GROUND_CHARS_MAX || !isOneLine(ground))
      throw new RangeError(`ground: expected 1 to ${GROUND_CHARS_MAX} characters on one line`);
    const wish = { ...input, ground, request };
    const first = await sequencer.alone(async (turn) => {
      const known = await readRecord(storage, request);
      if (known !== undefined) return known;
      // Sealing anew what a duty keeps may take long: from before it begins a crash must not make the wish forgotten.
      if (this.#hasDuties) {
        await this.#tagsOf(wish.subject);
        return this.#holdBack({ ...wish, person: this.#personOf(wish.subject) });
      }
      return this.#decide(turn, wish, { seen: 0, kept: new Map() });
    });
    return first.state === "held" ? this.#carryOut(first.request, wish) : first;
  }

  /** Carries out a wish that waits, unless a hold stops it. */
  async #carryOut(waiting: string, wish: EraseInput & { readonly request: string }): Promise<DestructionRecord> {
    const { sequencer, storage, destructions } = this.#options;
    const tags = await this.#tagsOf(wish.subject);
    const kept: Kept = new Map();
    const { classDayOrders } = destructions;
    // What is held stays under the person's key.
    const isHeld = (await this.#heldBy(this.#personOf(wish.subject), tags)) !== undefined;
    // Most of what a duty keeps is sealed anew before the log is made to wait, the rest while it waits.
    const seen = isHeld ? 0 : await this.#keepDuties(tags, 0, kept);
    return sequencer.alone(async (turn) => {
      const record = await readRecord(storage, waiting);
      if (record !== undefined && record.state !== "held") return record;
      // What went with its class-day meanwhile is kept no longer.
      const looked = destructions.classDayOrders === classDayOrders ? { seen, kept } : { seen: 0, kept: new Map() };
      return this.#decide(turn, { ...wish, request: waiting }, looked);
    });
  }

  get #hasDuties(): boolean {
    const { classes, other } = this.#options.rules();
    return other.erase === "at-expiry" || [...classes.values()].some(({ erase }) => erase === "at-expiry");
  }

  async #decide(
    turn: Turn,
    input: EraseInput & { readonly request: string },
    { seen, kept }: { readonly seen: number; readonly kept: Kept },
  ): Promise<DestructionRecord> {
    const { subject, ground, request, by, approvedBy } = input;
    const tags = await this.#tagsOf(subject);
    const person = this.#personOf(subject);
    const held = await this.#heldBy(person, tags);
    if (held !== undefined) return this.#holdBack({ ...input, person });
    await this.#keepDuties(tags, seen, kept);
    return this.#options.destructions.orderPerson(turn, {
      request,
      ground,
      by,
      approvedBy,
      person,
      tags: tags.map(({ tag, count, last }) => [encodeHex(tag), count, last]),
      kept: keptOf(kept),
    });
  }

  /** @throws {LogError} `subject-unknown` */
  async #tagsOf(subject: string): Promise<PersonTag[]> {
    const tags = await this.#options.subjects.tagsOf(subject);
    if (tags.length > 0) return tags;
    throw new LogError("subject-unknown", "nothing is held about this subject: no event, or all of them are erased");
  }

  #personOf(subject: string): string {
    const reference = this.#options.secrets.existingReference(subject);
    if (reference === undefined) throw new LogError("subject-unknown", "nothing is held about this subject");
    return encodeHex(reference);
  }

  /** A hold that covers the person, or any entry about them. */
  async #heldBy(person: string, tags: readonly PersonTag[]): Promise<HoldRecord | undefined> {
    const { holds, subjects, storage } = this.#options;
    const { active } = holds;
    const own = active.find((hold) => hold.person === person && isOfAll(hold));
    if (own !== undefined || active.length === 0) return own;
    const others = active.filter((hold) => hold.person === undefined || hold.person === person);
    if (others.length === 0) return undefined;
    for await (const { index, leaf } of subjects.about(tags)) {
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
    const { storage, sequencer } = this.#options;
    const failures: unknown[] = [];
    for (const { state, person, request } of await pendingRecords(storage)) {
      if (state !== "held" || person === undefined) continue;
      await sequencer
        .alone(async (turn) => this.#resume(turn, request))
        .catch((cause: unknown) => void failures.push(cause));
    }
    if (failures.length > 0) throw failures[0];
  }

  async #resume(turn: Turn, wanted: string): Promise<void> {
    const record = await readRecord(this.#options.storage, wanted);
    // Another may have carried it out while this one waited for its turn.
    if (record?.state !== "held") return;
    const subject = this.#heldSubject(record);
    if (subject === undefined) {
      // Another order has destroyed that key since, and with it all that this one asked for.
      const { heldId: _, ...rest } = record;
      await this.#options.storage.putRows(recordRows({ ...rest, state: "done" }));
      return;
    }
    const { request, ground, by = "", approvedBy } = record;
    const input = { subject, ground, request, by, ...(approvedBy === undefined ? {} : { approvedBy }) };
    const tags = await this.#tagsOf(subject);
    if ((await this.#heldBy(this.#personOf(subject), tags)) !== undefined) return;
    await this.#decide(turn, input, { seen: 0, kept: new Map() });
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
   * Seals anew, without the person's key, what a duty keeps of the entries from index `from` on; gives the index up to
   * which it has looked.
   */
  async #keepDuties(tags: readonly PersonTag[], from: number, kept: Kept): Promise<number> {
    const { storage, secrets, random, rules, subjects, sequencer } = this.#options;
    const { size } = sequencer.range;
    if (!this.#hasDuties) return size;
    let rows: Row[] = [];
    const flush = async (): Promise<void> => {
      if (rows.length > 0) await storage.putRows(rows);
      rows = [];
    };
    for (const tag of tags) {
      for await (const { index, leaf } of subjects.walk(tag)) {
        if (index < from) break;
        if (tag.kind === "actor" && leaf.subject !== null) continue;
        if (ruleOf(rules(), leaf.class).erase !== "at-expiry") continue;
        const row = await storage.getRow(TABLE.sealed, indexKey(index));
        if (row === undefined || (await findErased(storage, { index, leaf, row })) !== undefined) continue;
        // What a hold kept beyond its time is no longer under a duty; and the key of its class-day is destroyed.
        if (decodeSealed(decodeSealedRow(row).bytes).class !== leaf.class) continue;
        const anew = sealAnew({ secrets, random, row, leaf, class: leaf.class, keepPerson: false });
        if (anew === undefined) continue;
        kept.set(leaf.class, (kept.get(leaf.class) ?? 0) + 1);
        rows.push({ table: TABLE.sealed, key: indexKey(index), value: anew });
        if (rows.length === STEP) await flush();
      }
    }
    await flush();
    return size;
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

function isOneLine(text: string): boolean {
  return text.isWellFormed() && !/[\p{Cc}\p{Zl}\p{Zp}]/u.test(text);
}

function heldKey(secrets: LogSecrets, person: string): Uint8Array {
  const key = secrets.key({ kind: "person", name: person });
  if (key === undefined) throw new LogError("log-corrupt", "the person's key is not in the key store");
  return sha256(concatBytes(HELD_PREFIX, key));
}
