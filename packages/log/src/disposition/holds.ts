/** Legal holds: what they cover stays, whatever retention and erasure ask, until they are lifted. */
import { type TallyEvent, decodeCbor, decodeEvent, decodeOpening, encodeCbor, personOf } from "@tallystick/events";
import type { CborValue, Context, Leaf } from "@tallystick/events";
import { encodeHex } from "@tallystick/core";
import type { LogStorage, Row } from "@tallystick/storage";
import { LogError } from "../error.ts";
import type { LogSecrets } from "../keys.ts";
import { TABLE } from "../rows.ts";
import { DAY_MS } from "./day.ts";
import type { Hold } from "./api.ts";
import type { OwnEntries } from "./own-entries.ts";

/** Holds in force at one time: each entry that falls due is held against all of them. */
export const HOLDS_MAX = 1000;
const HOLD_CLASS_PREFIX = "hold-";

/** A hold as it is stored. */
export interface HoldRecord extends Omit<Hold, "ofPerson"> {
  /** What the key store calls the person; never shown. */
  readonly person?: string;
}

/** The class under whose keys entries are sealed anew that only this hold keeps: a `HOLD_CLASS`. */
export function holdClass({ id }: Pick<HoldRecord, "id">): string {
  // The random part of an id: its start is its time, which many have in common.
  return `${HOLD_CLASS_PREFIX}${id.slice(-8)}`;
}

export function holdRow(record: HoldRecord): Row {
  const members = Object.entries(record).filter(([, value]) => value !== undefined);
  return { table: TABLE.hold, key: record.id, value: encodeCbor(Object.fromEntries<CborValue>(members)) };
}

export function holdOf({ person, ...hold }: HoldRecord): Hold {
  return { ...hold, ofPerson: person !== undefined };
}

/** An entry that is held against holds. */
export interface HeldEntry {
  readonly leaf: Leaf;
  /** Its sealed row. */
  readonly row: Uint8Array;
}

export class Holds {
  readonly #storage: LogStorage;
  readonly #secrets: LogSecrets;
  readonly #active: Map<string, HoldRecord>;
  /** Grows with every change. */
  version = 0;

  private constructor(storage: LogStorage, secrets: LogSecrets, active: readonly HoldRecord[]) {
    this.#storage = storage;
    this.#secrets = secrets;
    this.#active = new Map(active.map((hold) => [hold.id, hold]));
  }

  static async open(storage: LogStorage, secrets: LogSecrets): Promise<Holds> {
    const active: HoldRecord[] = [];
    for await (const { value } of storage.scanRows(TABLE.hold)) {
      const record = decodeHold(value);
      if (record.liftedAt === undefined) active.push(record);
    }
    return new Holds(storage, secrets, active);
  }

  /**
   * Whoever can write to the disk can lift a hold there, or make it keep less: each row has to be what its entries say.
   * Whose a hold is no entry says, and a row that is gone `fsck` finds.
   *
   * @throws {LogError} `log-corrupt`
   */
  async assertLogged(entries: Pick<OwnEntries, "at">): Promise<void> {
    for await (const hold of this.all()) {
      const { setIndex, liftedAt, liftedIndex } = hold;
      const set = await entries.at(setIndex);
      if (set !== undefined && !saysSet(set, hold)) throw changedHold(hold, setIndex);
      if (liftedAt === undefined) continue;
      const lifted = liftedIndex === undefined ? null : await entries.at(liftedIndex);
      if (lifted !== undefined && !says(lifted, hold, "lifted")) throw changedHold(hold, setIndex);
    }
  }

  get active(): readonly HoldRecord[] {
    return [...this.#active.values()];
  }

  async *all(): AsyncGenerator<HoldRecord> {
    for await (const { value } of this.#storage.scanRows(TABLE.hold)) yield decodeHold(value);
  }

  async read(id: string): Promise<HoldRecord | undefined> {
    const row = await this.#storage.getRow(TABLE.hold, id);
    return row === undefined ? undefined : decodeHold(row);
  }

  /** @throws {LogError} `log-overloaded`: there are too many. */
  assertRoom(): void {
    if (this.#active.size < HOLDS_MAX) return;
    throw new LogError("log-overloaded", `${HOLDS_MAX} holds are in force: lift those that are over`, {
      details: { retryAfterSeconds: 3600 },
    });
  }

  /** Takes over a record that was written. */
  note(record: HoldRecord): void {
    this.version += 1;
    if (record.liftedAt === undefined) this.#active.set(record.id, record);
    else this.#active.delete(record.id);
  }

  /** Holds that may cover entries of a class-day. */
  ofClassDay(retentionClass: string, day: number): HoldRecord[] {
    const [begin, end] = [day * DAY_MS, (day + 1) * DAY_MS];
    return this.active.filter(
      (hold) =>
        (hold.class === undefined || hold.class === retentionClass) &&
        (hold.from === undefined || hold.from < end) &&
        (hold.to === undefined || hold.to > begin),
    );
  }

  /** Whether every entry of a class-day is covered, as its class and time tell. */
  coversAll(hold: HoldRecord, day: number): boolean {
    const [begin, end] = [day * DAY_MS, (day + 1) * DAY_MS];
    return (
      hold.person === undefined &&
      hold.operation === undefined &&
      (hold.from === undefined || hold.from <= begin) &&
      (hold.to === undefined || hold.to >= end)
    );
  }

  /** The first of these holds that covers an entry; `undefined` where none does, or where it does not open any more. */
  find(holds: readonly HoldRecord[], entry: HeldEntry): HoldRecord | undefined {
    return holds.find((hold) => this.#covers(hold, entry));
  }

  #covers(hold: HoldRecord, { leaf, row }: HeldEntry): boolean {
    if (hold.class !== undefined && hold.class !== leaf.class) return false;
    if (hold.from !== undefined && leaf.loggedAt < hold.from) return false;
    if (hold.to !== undefined && leaf.loggedAt >= hold.to) return false;
    if (hold.person === undefined && hold.operation === undefined) return true;
    const contents = this.#secrets.examine({ row, commitment: leaf.commitment });
    if (contents.kind !== "opened") return false;
    const event = decodeEvent(decodeOpening(contents.opening).event);
    if (hold.operation !== undefined && event.operation !== hold.operation) return false;
    return hold.person === undefined || this.#isAbout(hold.person, contents.person, event);
  }

  /** What a duty keeps is sealed without the person's key: there the event itself says whom it is about. */
  #isAbout(person: string, sealedFor: Uint8Array | null, event: TallyEvent): boolean {
    if (sealedFor !== null) return encodeHex(sealedFor) === person;
    const id = personOf(event)?.id;
    const reference = id === undefined ? undefined : this.#secrets.existingReference(id);
    return reference !== undefined && encodeHex(reference) === person;
  }
}

function says(event: TallyEvent | null, { id }: HoldRecord, state: "set" | "lifted"): boolean {
  return event?.type === "log.hold" && event.context?.["hold"] === id && event.context["state"] === state;
}

/** One that was rebuilt may lack its person, and keeps the more for it. */
function saysSet(event: TallyEvent | null, hold: HoldRecord): boolean {
  const { selectors } = event?.context ?? {};
  if (!says(event, hold, "set") || typeof selectors !== "object" || selectors === null) return false;
  const { subject, class: retentionClass, from, to, operation } = selectors as Context;
  const isSame = retentionClass === hold.class && from === hold.from && to === hold.to && operation === hold.operation;
  return isSame && (hold.person === undefined || subject === true);
}

function changedHold({ id }: HoldRecord, index: number): LogError {
  const text = `hold ${id} on the disk is not what its entries say, the first of which is at index ${index}: it was changed there. Nothing is destroyed under it; run fsck --repair`;
  return new LogError("log-corrupt", text, { details: { index, table: TABLE.hold } });
}

/** Only ever written by this code and covered by a digest, so its parts are not looked at one by one. */
export function decodeHold(bytes: Uint8Array): HoldRecord {
  return decodeCbor(bytes) as unknown as HoldRecord;
}
