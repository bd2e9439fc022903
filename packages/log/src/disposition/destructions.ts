/**
 * Destroying keys: ordered in the log, witnessed, carried out, and said to be done.
 *
 * An order is on disk before a key is moved, and a key is moved before the order is logged; so whatever is interrupted
 * can be completed from what is there, and nothing says `done` before the key is gone. docs/concepts/privacy.md
 */
import { encodeHex } from "@tallystick/core";
import {
  CERTIFICATE_LIMITS,
  type Context,
  certificateContext,
  decodeCbor,
  encodeCbor,
  keyFingerprint,
} from "@tallystick/events";
import type { KeyName, LogStorage, Row } from "@tallystick/storage";
import { LogError, messageOf } from "../error.ts";
import { listOf, numberOf } from "../heads.ts";
import type { LogSecrets } from "../keys.ts";
import type { EntryState, LogLogger } from "../log-api.ts";
import { News } from "../news.ts";
import { pause } from "../pause.ts";
import type { Published } from "../published.ts";
import type { Sequencer, Turn } from "../sequencer.ts";
import { TABLE } from "../rows.ts";
import { areErased, erasedClassDayRow, erasedTagRow } from "./erased.ts";
import { classDayKey } from "./ledger.ts";
import type { ClassDayScope } from "./api.ts";
import {
  type DestructionRecord,
  type DoomedKey,
  type TagScope,
  decodeRecord,
  pendingRecords,
  readRecord,
  recordRows,
} from "./record.ts";

const { tagsMax: TAGS_OF_PART_MAX } = CERTIFICATE_LIMITS;
/** Destructions that are carried out together: the key store is written whole for each such group. */
const GROUP_MAX = 1000;
const WITNESS_WAIT_MS = 60_000;
/** After a failure that need not last. */
const RETRY_MS = 5000;
const EPOCH_KEY = "log";

export interface DestructionsOptions {
  readonly storage: LogStorage;
  readonly secrets: LogSecrets;
  readonly sequencer: Sequencer;
  readonly published: Published;
  /** What an order has to be before it is carried out. */
  readonly awaited: EntryState;
  /** In ms since 1970. */
  readonly now: () => number;
  /** The day from which no backup has what is destroyed now, as YYYY-MM-DD. */
  readonly finalOn: (now: number) => string;
  readonly signal: AbortSignal;
  readonly logger: LogLogger;
  /** Told when sealed events of a class-day can be removed from the disk. */
  readonly onDone: (records: readonly DestructionRecord[]) => void;
}

/** A person who is to be erased. */
export interface PersonOrder extends Pick<DestructionRecord, "request" | "ground" | "by" | "approvedBy" | "kept"> {
  /** What the key store calls the person. */
  readonly person: string;
  readonly tags: readonly TagScope[];
}

/** A class-day that is to be destroyed. */
export interface ClassDayOrder extends Pick<DestructionRecord, "request" | "ground" | "by" | "kept"> {
  readonly keys: readonly KeyName[];
  readonly classDay: ClassDayScope;
}

/** What an order logs: an event for each part. */
interface Order {
  readonly parts: readonly (readonly TagScope[] | undefined)[];
  readonly events: readonly { readonly type: string; readonly context: Context }[];
  readonly finalOn: string;
}

export class Destructions {
  readonly #options: DestructionsOptions;
  /** Told of every change. */
  readonly changes: News = new News();
  /** Grows with every order of class-days. */
  classDayOrders = 0;
  /** Ordered, and not carried out yet; by request. */
  readonly #ordered = new Map<string, DestructionRecord>();
  /** Keys of the rows of the class-days among them. */
  readonly #orderedClassDays = new Set<string>();
  #carrying: Promise<void> | undefined;

  constructor(options: DestructionsOptions) {
    this.#options = options;
  }

  /** The class-days whose destruction is ordered, and not done yet. */
  get orderedClassDays(): ReadonlySet<string> {
    return this.#orderedClassDays;
  }

  #noteOrdered(record: DestructionRecord): void {
    const { request, classDay } = record;
    this.#ordered.set(request, record);
    if (classDay !== undefined) this.#orderedClassDays.add(classDayKey(classDay.class, classDay.day));
  }

  #forgetOrdered({ request, classDay }: DestructionRecord): void {
    this.#ordered.delete(request);
    if (classDay !== undefined) this.#orderedClassDays.delete(classDayKey(classDay.class, classDay.day));
  }

  /** @throws {LogError} `destruction-unknown` */
  async read(request: string): Promise<DestructionRecord> {
    const record = await readRecord(this.#options.storage, request);
    if (record !== undefined) return record;
    throw new LogError("destruction-unknown", `there is no destruction ${request}`, { details: { request } });
  }

  /**
   * Completes what a crash interrupted. To be taken before anything else is logged: what is being retired was measured
   * at the log's present size.
   */
  async resume(turn: Turn): Promise<void> {
    for (const record of await pendingRecords(this.#options.storage)) {
      if (record.state === "retiring") await this.#retireAndLog(turn, record, this.#orderOf(record));
      else if (record.state === "ordered") await this.#again(record);
    }
    if (!(await this.#isOlder())) return;
    // Before anything else is logged: with a key that is back, what is new would be sealed, and destroyed again with it.
    await this.#destroyBack(turn);
    if (!this.#options.signal.aborted) await this.#options.storage.putRows([this.#epochRow()]);
  }

  /** Whether the key store is from before the newest destruction. */
  async #isOlder(): Promise<boolean> {
    const row = await this.#options.storage.getRow(TABLE.keyEpoch, EPOCH_KEY);
    if (row === undefined) return false;
    const [epoch] = listOf(decodeCbor(row), "key-epoch");
    return this.#options.secrets.epoch < numberOf(epoch, "key-epoch");
  }

  #epochRow(): Row {
    return { table: TABLE.keyEpoch, key: EPOCH_KEY, value: encodeCbor([this.#options.secrets.epoch]) };
  }

  /** An older key store may have been put back since the order: what was retired is retired again. */
  async #again(record: DestructionRecord): Promise<void> {
    await this.#retire(record);
    this.#noteOrdered(record);
  }

  /**
   * Orders the erasure of a person within a turn. When it resolves, nothing that it covers opens any more; it is carried
   * out once it is witnessed.
   */
  async orderPerson(turn: Turn, input: PersonOrder): Promise<DestructionRecord> {
    const { person, request } = input;
    const record: DestructionRecord = {
      ...input,
      kind: "person",
      state: "retiring",
      before: turn.size,
      keys: [this.#doomed({ kind: "person", name: `${person}~${request}` }, person)],
      ordered: [],
      unpruned: false,
    };
    // What cannot be said must not begin: the key would be retired, and no certificate would ever say so.
    const order = this.#orderOf(record);
    // Dying from here on leaves an order that the next start completes, before anything else is logged.
    await this.#options.storage.putRows(recordRows(record));
    return this.#retireAndLog(turn, record, order);
  }

  /** Orders the destruction of class-days, of which no entry can come any more, in one commit. */
  async orderClassDays(turn: Turn, wanted: readonly ClassDayOrder[]): Promise<DestructionRecord[]> {
    // What was ordered while these were collected is not ordered twice.
    const known = await areErased(
      this.#options.storage,
      wanted.map(({ classDay }) => classDay),
    );
    const inputs = wanted.filter((_, at) => known[at] !== true);
    if (inputs.length === 0) return [];
    const finalOn = this.#options.finalOn(this.#options.now());
    const records = inputs.map(({ keys, ...rest }) => ({
      ...rest,
      kind: "class-day" as const,
      before: turn.size,
      keys: keys.map((name) => this.#doomed(name, undefined)),
      finalOn,
      unpruned: true,
    }));
    const events = records.map((record) => ({
      type: "log.erasure",
      context: certificateOf({ ...record, state: "ordered", ordered: [] }, { tags: undefined }),
    }));
    let ordered: DestructionRecord[] = [];
    await turn.reportAll(events, (indexes) => {
      ordered = records.map((record, at) => ({ ...record, state: "ordered", ordered: [indexes[at] ?? 0] }));
      return ordered.flatMap((record) => [...recordRows(record), ...erasedRows(record, [])]);
    });
    for (const record of ordered) this.#noteOrdered(record);
    this.classDayOrders += 1;
    this.changes.notify();
    this.#carryOut();
    return ordered;
  }

  #doomed(name: KeyName, now: string | undefined): DoomedKey {
    const key = this.#options.secrets.key(now === undefined ? name : { ...name, name: now });
    if (key === undefined) throw new LogError("log-corrupt", "a key that is to be destroyed is not in the key store");
    return { ...name, fingerprint: encodeHex(keyFingerprint(key)) };
  }

  async #retireAndLog(
    turn: Turn,
    record: DestructionRecord,
    { parts, events, finalOn }: Order,
  ): Promise<DestructionRecord> {
    await this.#retire(record);
    let ordered = record;
    await turn.reportAll(events, (indexes) => {
      ordered = { ...record, state: "ordered", ordered: indexes, finalOn };
      return [...recordRows(ordered), ...erasedRows(ordered, parts)];
    });
    this.#noteOrdered(ordered);
    this.changes.notify();
    this.#carryOut();
    return ordered;
  }

  /** @throws {EventError} `certificate-malformed`: a part of it is beyond the bounds of a certificate. */
  #orderOf(record: DestructionRecord): Order {
    const finalOn = this.#options.finalOn(this.#options.now());
    const parts = partsOf(record);
    const events = parts.map((tags, at) => ({
      type: "log.erasure",
      context: certificateOf({ ...record, finalOn }, { tags, part: at + 1, parts: parts.length }),
    }));
    return { parts, events, finalOn };
  }

  /** Moves the person's key, if it is still the one that is to be destroyed. */
  async #retire({ person, keys: [doomed] }: DestructionRecord): Promise<void> {
    if (person === undefined || doomed === undefined) return;
    const { secrets } = this.#options;
    const key = secrets.key({ kind: "person", name: person });
    // A person who came back has another key by now.
    if (key === undefined || encodeHex(keyFingerprint(key)) !== doomed.fingerprint) return;
    await secrets.retirePerson(person, doomed.name);
  }

  /** Begins to carry out what is ordered, unless that is under way. */
  start(): void {
    this.#carryOut();
  }

  async settled(): Promise<void> {
    await this.#carrying;
  }

  #carryOut(): void {
    if (this.#carrying !== undefined || this.#options.signal.aborted || this.#ordered.size === 0) return;
    this.#carrying = this.#carryAll().finally(() => {
      this.#carrying = undefined;
    });
  }

  async #carryAll(): Promise<void> {
    const { signal, logger } = this.#options;
    while (this.#ordered.size > 0 && !signal.aborted) {
      const group = [...this.#ordered.values()].slice(0, GROUP_MAX);
      try {
        if (await this.#areWitnessed(group)) await this.#carry(group);
      } catch (cause) {
        if (signal.aborted) return;
        logger.warn("keys that are ordered to be destroyed are not destroyed yet", { cause: messageOf(cause) });
        await pause(RETRY_MS, signal);
      }
    }
  }

  /** A key is destroyed only under an order that others have seen: a log that was put back could not take it back. */
  async #areWitnessed(group: readonly DestructionRecord[]): Promise<boolean> {
    const { published, awaited, signal } = this.#options;
    const index = Math.max(...group.flatMap(({ ordered }) => ordered));
    return (await published.waitFor({ index, state: awaited, timeoutMs: WITNESS_WAIT_MS, signal })) === awaited;
  }

  async #carry(group: readonly DestructionRecord[]): Promise<void> {
    const { secrets, sequencer, now, finalOn, onDone } = this.#options;
    await secrets.destroy(group.flatMap(({ keys }) => keys.map(({ kind, name }) => ({ kind, name }))));
    // Dying here leaves keys destroyed and orders open: the next start destroys nothing twice, and logs that it is done.
    const final = finalOn(now());
    const events = group.map((record) => ({
      type: "log.erasure",
      context: certificateOf(
        { ...record, finalOn: final },
        { tags: record.ordered.length === 1 ? record.tags : [], done: true },
      ),
    }));
    let done: DestructionRecord[] = [];
    await sequencer.reportAll(events, (indexes) => {
      done = group.map((record, at) => ({ ...record, state: "done", done: indexes[at] ?? 0, finalOn: final }));
      return [...done.flatMap((record) => [...recordRows(record), ...forgottenClassDay(record)]), this.#epochRow()];
    });
    for (const record of done) this.#forgetOrdered(record);
    this.changes.notify();
    onDone(done);
  }

  /**
   * Destroys again what an older key store brought back, also one whose epoch does not tell; gives how many keys those
   * were. Walks all destructions that ever were, so it runs beside everything else; contents are not given meanwhile,
   * whatever the key store has.
   */
  async destroyAgain(): Promise<number> {
    return this.#destroyBack(this.#options.sequencer);
  }

  /** Dying between the two tells of it twice, rather than never. */
  async #destroyBack(reporter: Pick<Turn, "reportAll">): Promise<number> {
    const back = await this.#keysBack();
    if (back.length === 0) return 0;
    const requests = [...new Set(back.map(({ request }) => request))];
    const alert = {
      type: "log.alert",
      outcome: "failure",
      reason: "the key store holds keys that were destroyed: an older copy was put back; they are destroyed again",
      context: { alert: "key-store-rolled-back", keys: back.length, requests: requests.slice(0, TAGS_OF_PART_MAX) },
    } as const;
    await reporter.reportAll([alert]);
    const { alert: code, ...more } = alert.context;
    this.#options.logger.warn(alert.reason, { code, ...more });
    await this.#options.secrets.destroy(back.map(({ name }) => name));
    return back.length;
  }

  /** Keys that are there, and were destroyed. */
  async #keysBack(): Promise<{ readonly name: KeyName; readonly request: string }[]> {
    const { storage, secrets, signal } = this.#options;
    const back: { readonly name: KeyName; readonly request: string }[] = [];
    for await (const { value } of storage.scanRows(TABLE.destruction)) {
      if (signal.aborted) return [];
      const record = decodeRecord(value);
      if (record.state !== "done") continue;
      for (const name of namesOf(record)) {
        const key = secrets.key(name);
        if (key === undefined) continue;
        const fingerprint = encodeHex(keyFingerprint(key));
        if (record.keys.some((doomed) => doomed.fingerprint === fingerprint))
          back.push({ name, request: record.request });
      }
    }
    return back;
  }
}

/** Under which names an older key store may have a destroyed key: a person's before it was retired, too. */
function namesOf({ keys, person }: DestructionRecord): KeyName[] {
  const names = keys.map(({ kind, name }) => ({ kind, name }));
  return person === undefined ? names : [...names, { kind: "person", name: person }];
}

/** The tags of a person in parts that fit into an event each; of a class-day there is one part without any. */
function partsOf({ tags }: DestructionRecord): (readonly TagScope[] | undefined)[] {
  if (tags === undefined) return [undefined];
  const parts: (readonly TagScope[])[] = [];
  for (let at = 0; at === 0 || at < tags.length; at += TAGS_OF_PART_MAX)
    parts.push(tags.slice(at, at + TAGS_OF_PART_MAX));
  return parts;
}

function erasedRows(
  { classDay, before, ordered }: DestructionRecord,
  parts: readonly (readonly TagScope[] | undefined)[],
): Row[] {
  const [first = 0] = ordered;
  if (classDay !== undefined) return [erasedClassDayRow(classDay, first, before)];
  return parts.flatMap((tags = [], part) =>
    tags.map(([tag]) => erasedTagRow(Buffer.from(tag, "hex"), ordered[part] ?? first, before)),
  );
}

/** A class-day whose key is gone is no longer one that retention has to look at. */
function forgottenClassDay({ classDay }: DestructionRecord): Row[] {
  if (classDay === undefined) return [];
  return [{ table: TABLE.classDay, key: classDayKey(classDay.class, classDay.day), value: null }];
}

interface Part {
  readonly tags: readonly TagScope[] | undefined;
  readonly part?: number;
  readonly parts?: number;
  readonly done?: true;
}

/** What the certificate says. docs/reference/formats.md */
function certificateOf(record: DestructionRecord, { tags, part = 1, parts = 1, done }: Part): Context {
  const { request, ground, before, classDay, keys, kept, finalOn = "", by, approvedBy, ordered } = record;
  return certificateContext({
    request,
    ground,
    state: done === undefined ? "ordered" : "done",
    before,
    scope: classDay === undefined ? { tags: tags ?? [] } : { classDay },
    keys: keys.map(({ fingerprint }) => fingerprint),
    finalOn,
    ...(by === undefined ? {} : { by }),
    ...(approvedBy === undefined ? {} : { approvedBy }),
    ...(kept.length === 0 ? {} : { kept }),
    ...(parts === 1 ? {} : { part, parts }),
    ...(done === undefined ? {} : { ordered: ordered[0] ?? 0 }),
  });
}
