/**
 * The rows by which retention, erasure and holds decide, against what the entries say: wherever they differ, what is wrong,
 * and the rows that mend it. Each is compared both ways.
 *
 * Some of a row is in no entry: the texts of rules, the names of a person's key, whose a hold is. That much is believed
 * where there is a row, and cannot be rebuilt where there is none. So is a row on the word of an entry that does not open,
 * since its key was lost, say.
 */
import { TallystickError, decodeUtf8, encodeHex, equalBytes, utf8 } from "@tallystick/core";
import { HOLD_CLASS, type Leaf, decodeLeaf, encodeCbor } from "@tallystick/events";
import { type Row, indexKey, parseIndexKey } from "@tallystick/storage";
import { CLASS_DAY_PLACE, decodeErased } from "../disposition/erased.ts";
import { type HoldRecord, decodeHold, holdClass, holdRow } from "../disposition/holds.ts";
import {
  type ClassDayRow,
  classDayKey,
  dayKey,
  decodeClassDay,
  encodeClassDay,
  parseClassDayKey,
} from "../disposition/ledger.ts";
import { type DestructionRecord, type DoomedKey, decodeRecord, isPending, recordRow } from "../disposition/record.ts";
import { approvedRow, olderRow } from "../disposition/rules-in-force.ts";
import { keptRow, parseKeptKey } from "../disposition/subjects.ts";
import { type LogSecrets, classDayName } from "../keys.ts";
import { lostRow } from "../lost-keys.ts";
import { TABLE } from "../rows.ts";
import { defaultRulesText } from "../rules/default-rules.ts";
import { parseRules } from "../rules/parse-rules.ts";
import { type Rules, ruleOf, rulesDigest } from "../rules/rules.ts";
import type { DispositionFacts, Extent, HoldFacts, OrderFacts } from "./disposition-facts.ts";
import type { DamagedReader } from "./reader.ts";
import type { FsckCode } from "./report.ts";

/** A row that is not what the entries say. */
export interface Difference {
  readonly code: FsckCode;
  readonly table: string;
  readonly key: string;
  /** The entry at which it shows. */
  readonly index?: number;
  readonly message: string;
  /** What mends it; none where it cannot be rebuilt. */
  readonly rows: readonly Row[];
}

export interface DispositionRowsOptions {
  readonly reader: DamagedReader;
  readonly facts: DispositionFacts;
  /** Without it the names of persons' keys cannot be rebuilt. */
  readonly secrets: LogSecrets | undefined;
  /** Texts that may be those of approved rules whose rows are gone. */
  readonly rulesTexts: readonly string[];
}

/** Days that were promised. */
interface Promised {
  /** By rules that were approved. */
  readonly promised: number;
  /** By those that held before. */
  readonly before: number;
  readonly isSure: boolean;
  readonly isKnown: boolean;
}

export class DispositionRows {
  readonly #options: DispositionRowsOptions;
  /** By index of their `log.rules` entries; -1: those that held before any were approved. */
  readonly #known = new Map<number, Rules>();
  /** Class-days that are destroyed under certificates that do not open. */
  readonly #believedClassDays = new Set<string>();

  constructor(options: DispositionRowsOptions) {
    this.#options = options;
  }

  /** All differences, table by table. */
  async *differences(): AsyncGenerator<Difference> {
    yield* this.#rules();
    yield* this.#erased();
    yield* this.#classDays();
    yield* this.#eventDays();
    yield* this.#destructions();
    yield* this.#holds();
    yield* this.#lost();
    yield* this.#kept();
    yield* this.#credentials();
  }

  /** Whether one of the entries that a row names does not open. */
  #isUnread(...indexes: readonly (number | undefined)[]): boolean {
    const { unread } = this.#options.facts;
    return indexes.some((index) => typeof index === "number" && Number.isSafeInteger(index) && unread.has(index));
  }

  async *#rules(): AsyncGenerator<Difference> {
    const { reader, facts, rulesTexts } = this.#options;
    const wrong = { code: "rules-row-mismatch", table: TABLE.rules } as const;
    const missing = new Map(facts.rules.map(({ index, digest }) => [indexKey(index), { index, digest }]));
    const texts: string[] = [];
    const altered = new Set<string>();
    for await (const { key, value } of reader.scan(TABLE.rules)) {
      const index = decoded(() => parseIndexKey(key));
      const text = decoded(() => olderRow(key, value)?.text ?? decodeUtf8(value));
      if (text !== undefined) texts.push(text);
      if (index !== undefined && text !== undefined && this.#isUnread(index)) this.#noteRules(text, index);
      else if (index === undefined || !missing.has(key)) {
        const message = "there is a row of rules that no log.rules entry approved";
        yield { ...wrong, key, message, rows: [{ table: TABLE.rules, key, value: null }] };
      } else if (rulesDigest(value) === missing.get(key)?.digest && text !== undefined) {
        this.#noteRules(text, index);
        missing.delete(key);
      } else altered.add(key);
    }
    for (const [key, { index, digest }] of missing) {
      const text = [...texts, ...rulesTexts, defaultRulesText].find((candidate) => digestOf(candidate) === digest);
      if (text !== undefined) this.#noteRules(text, index);
      const how = altered.has(key) ? "are not those of their row" : "have no row";
      const cannot = text === undefined ? "; their text is not at hand" : "";
      const message = `index ${index}: the rules that were approved there (digest ${digest}) ${how}${cannot}`;
      yield { ...wrong, key, index, message, rows: text === undefined ? [] : [approvedRow({ index, text })] };
    }
    const [first] = facts.rules;
    const before = first === undefined ? undefined : this.#known.get(first.index);
    if (before !== undefined) this.#known.set(-1, before);
    else if (first === undefined) this.#noteRules(rulesTexts[0] ?? defaultRulesText, -1);
  }

  #noteRules(text: string, index: number): void {
    const rules = decoded(() => parseRules(text, { where: "rules" }));
    if (rules !== undefined) this.#known.set(index, rules);
  }

  async *#classDays(): AsyncGenerator<Difference> {
    const { reader, facts } = this.#options;
    const missing = new Set([...facts.classDays.keys(), ...[...facts.sealedUnder.keys()].filter(isOfHold)]);
    for (const key of [...facts.doneClassDays, ...this.#believedClassDays]) missing.delete(key);
    for await (const { key, value } of reader.scan(TABLE.classDay)) {
      missing.delete(key);
      const difference = this.#classDay(key, value);
      if (difference !== undefined) yield difference;
    }
    for (const key of missing) {
      const difference = this.#classDay(key, undefined);
      if (difference !== undefined) yield difference;
    }
  }

  #classDay(key: string, value: Uint8Array | undefined): Difference | undefined {
    const { facts } = this.#options;
    const { class: retentionClass, day } = parseClassDayKey(key);
    const isCanonical = Number.isSafeInteger(day) && classDayKey(retentionClass, day) === key;
    const row = value === undefined ? undefined : decoded(() => decodeClassDay(value));
    const wrong = { code: "retention-row-mismatch", table: TABLE.classDay, key } as const;
    const remove = [{ table: TABLE.classDay, key, value: null }];
    const name = isCanonical ? `class ${retentionClass}, day ${day}` : `row ${JSON.stringify(key)}`;
    if (facts.doneClassDays.has(key)) {
      return { ...wrong, message: `${name}: it has a row, and its key is destroyed`, rows: remove };
    }
    const extent = this.#extentOf(key);
    // What a hold meant to keep when a crash came.
    if (extent === undefined && row !== undefined && this.#hasHoldOf(retentionClass)) return undefined;
    if (extent === undefined)
      return { ...wrong, message: `${name}: it has a row, and no entry is of it`, rows: remove };
    const wanted = this.#wantedClassDay(retentionClass, extent, row);
    if (row !== undefined && wanted !== undefined && equalBytes(encodeClassDay(wanted), encodeClassDay(row)))
      return undefined;
    const { first, last, count } = extent;
    const says =
      row === undefined
        ? "it has no row that says so"
        : `its row says ${row.count}, from ${row.first} to ${row.last}, promised for ${row.atLeastDays} days`;
    const promised = wanted === undefined ? "" : `, promised for ${wanted.atLeastDays} days`;
    const message = `${name}: there are ${count} entries, from index ${first} to ${last}${promised}; ${says}`;
    const rows = wanted === undefined ? [] : [{ table: TABLE.classDay, key, value: encodeClassDay(wanted) }];
    return { ...wrong, index: first, message, rows };
  }

  #hasHoldOf(retentionClass: string): boolean {
    return [...this.#options.facts.holds.values()].some((hold) => holdClass(hold) === retentionClass);
  }

  /** The entries of a class-day; of a hold's those that are sealed for it. */
  #extentOf(key: string): Extent | undefined {
    const { classDays, sealedUnder } = this.#options.facts;
    const [own, sealed] = [classDays.get(key), isOfHold(key) ? sealedUnder.get(key) : undefined];
    if (own === undefined || sealed === undefined) return own ?? sealed;
    return {
      first: Math.min(own.first, sealed.first),
      last: Math.max(own.last, sealed.last),
      count: Math.max(own.count, sealed.count),
      under: own.under,
    };
  }

  /**
   * The row as it has to be. A promise that the rules do not explain is never made shorter where they cannot be told for
   * sure. `undefined` where nobody knows what was promised.
   */
  #wantedClassDay(retentionClass: string, extent: Extent, row: ClassDayRow | undefined): ClassDayRow | undefined {
    const { first, last, count } = extent;
    if (HOLD_CLASS.test(retentionClass)) {
      // A crash may have come between the row and what it meant to seal: then it counts too many.
      const isWide = row !== undefined && row.first <= first && row.last >= last && row.count >= count;
      return isWide ? row : { first, last, count, atLeastDays: row?.atLeastDays ?? 0 };
    }
    const { promised, before, isSure, isKnown } = this.#promiseOf(retentionClass, extent);
    // What held before any rules were approved are likely those that were approved first.
    if (row === undefined) return isKnown ? { first, last, count, atLeastDays: Math.max(promised, before) } : undefined;
    return { first, last, count, atLeastDays: isSure ? promised : Math.max(row.atLeastDays, promised) };
  }

  /** What the rules promised under which the entries of a class-day were logged, as far as it can be told. */
  #promiseOf(retentionClass: string, { under }: Extent): Promised {
    const { isOwnKnown } = this.#options.facts;
    // Where some of the log's own entries do not open, any rules that there are may have held.
    const indexes = isOwnKnown ? under : [...this.#known.keys()];
    const daysOf = (index: number): number => {
      const rules = this.#known.get(index);
      return rules === undefined ? 0 : ruleOf(rules, retentionClass).atLeastDays;
    };
    const isKnown = indexes.every((index) => this.#known.has(index));
    return {
      promised: Math.max(0, ...indexes.filter((index) => index >= 0).map(daysOf)),
      before: indexes.includes(-1) ? daysOf(-1) : 0,
      isSure: isOwnKnown && isKnown && !indexes.includes(-1),
      isKnown,
    };
  }

  async *#eventDays(): AsyncGenerator<Difference> {
    const { reader, facts } = this.#options;
    const wrong = { code: "erased-row-mismatch", table: TABLE.eventDay } as const;
    const missing = new Set(facts.eventDays);
    for await (const { key } of reader.scan(TABLE.eventDay)) {
      const isKnown = missing.delete(key);
      const isDay = Number.isSafeInteger(Number(key)) && dayKey(Number(key)) === key;
      // Of what does not open nobody can tell the day.
      if (isKnown || (isDay && !facts.arePersonsKnown)) continue;
      const message = `there is a row of day ${JSON.stringify(key)}, and no event of a person is of that day`;
      yield { ...wrong, key, message, rows: [{ table: TABLE.eventDay, key, value: null }] };
    }
    for (const key of missing) {
      const message = `day ${Number(key)}: there are events of persons, and no row says so: an erasure would pass over them`;
      yield { ...wrong, key, message, rows: [{ table: TABLE.eventDay, key, value: encodeCbor([]) }] };
    }
  }

  async *#erased(): AsyncGenerator<Difference> {
    const { reader, facts } = this.#options;
    const wrong = { code: "erased-row-mismatch", table: TABLE.erased } as const;
    const missing = new Map(facts.erased);
    for await (const { key, value } of reader.scan(TABLE.erased)) {
      const wanted = missing.get(key);
      const certificate = decoded(() => decodeErased(value))?.certificate;
      if (this.#isUnread(certificate)) {
        missing.delete(key);
        if (key.startsWith(CLASS_DAY_PLACE)) this.#believedClassDays.add(key.slice(CLASS_DAY_PLACE.length));
        continue;
      }
      if (wanted === undefined) {
        const message = `row ${key} says that contents were erased, which no certificate says`;
        yield { ...wrong, key, message, rows: [{ table: TABLE.erased, key, value: null }] };
        continue;
      }
      if (equalBytes(value, wanted.row.value ?? new Uint8Array())) missing.delete(key);
    }
    for (const [key, { row, index }] of missing) {
      const message = `index ${index}: row ${key} does not say that contents were erased under this certificate`;
      yield { ...wrong, key, index, message, rows: [row] };
    }
  }

  async *#destructions(): AsyncGenerator<Difference> {
    const { reader, facts } = this.#options;
    const pending = new Set<string>();
    for await (const { key } of reader.scan(TABLE.pending)) pending.add(key);
    const missing = new Set(facts.orders.keys());
    for await (const { key, value } of reader.scan(TABLE.destruction)) {
      missing.delete(key);
      yield* this.#destruction(key, value, pending);
    }
    for (const key of missing) yield* this.#destruction(key, undefined, pending);
    // A row of `pending` without anything that is left to do is harmless, and may be what a crash left.
  }

  async *#destruction(
    key: string,
    value: Uint8Array | undefined,
    pending: ReadonlySet<string>,
  ): AsyncGenerator<Difference> {
    const { facts } = this.#options;
    const wrong = { code: "erased-row-mismatch", table: TABLE.destruction, key } as const;
    const record = value === undefined ? undefined : decodedRecord(value, key);
    if (record !== undefined && this.#isUnread(...record.ordered, record.done)) {
      yield* missingPending(record, pending);
      return;
    }
    const order = facts.orders.get(key);
    if (order === undefined) {
      yield* this.#unordered(wrong, record);
      if (record !== undefined && isUnlogged(record)) yield* missingPending(record, pending);
      return;
    }
    const wanted = await this.#wantedRecord(order, record);
    const index = order.ordered[0] ?? 0;
    if (wanted === undefined) {
      const message = `index ${index}: the row of erasure ${key} is gone, and nothing tells the name of its key, which is not destroyed yet`;
      yield { ...wrong, index, message, rows: [] };
      return;
    }
    const row = recordRow(wanted);
    const unmarked = [...missingPending(wanted, pending)];
    if (value !== undefined && equalBytes(value, row.value ?? new Uint8Array())) yield* unmarked;
    else {
      const how = value === undefined ? "has no row" : "has a row that says something else than its certificates";
      // What is left to do is marked first: a record is never without its mark.
      const rows = [...unmarked.flatMap((difference) => difference.rows), row];
      yield { ...wrong, index, message: `index ${index}: erasure ${key} ${how}`, rows };
    }
  }

  /** Of what no certificate orders, there is what waits for a hold to be lifted, or what a crash interrupted. */
  *#unordered(
    wrong: Pick<Difference, "code" | "table" | "key">,
    record: DestructionRecord | undefined,
  ): Generator<Difference> {
    if (record !== undefined && isUnlogged(record)) return;
    if (record === undefined) {
      const message = `the row of erasure ${wrong.key} does not read, and no certificate orders it: if a hold stopped it, ask for it again`;
      yield { ...wrong, message, rows: [] };
      return;
    }
    const message = `erasure ${wrong.key} is ${record.state}, as its row says, and no certificate says so`;
    const rows = [TABLE.destruction, TABLE.pending].map((table) => ({ table, key: wrong.key, value: null }));
    yield { ...wrong, message, rows };
  }

  /** A record as its certificates say it is; `undefined` where the key that has to be destroyed cannot be named. */
  async #wantedRecord(
    order: OrderFacts,
    record: DestructionRecord | undefined,
  ): Promise<DestructionRecord | undefined> {
    const { certificate, tags, ordered, done, finalOn } = order;
    const { request, ground, before, keys, scope, kept = [], by, approvedBy } = certificate;
    const state = done === undefined ? "ordered" : "done";
    const logged = {
      request,
      ground,
      state,
      by,
      approvedBy,
      before,
      kept,
      ordered,
      ...(done === undefined ? {} : { done }),
      finalOn,
    } as const;
    if ("classDay" in scope) {
      const { classDay } = scope;
      const name = classDayName(classDay.class, classDay.day);
      const doomed = keys.map((fingerprint): DoomedKey => ({ kind: "class-day", name, fingerprint }));
      return { ...logged, kind: "class-day", keys: doomed, classDay, unpruned: this.#isUnpruned(order, record) };
    }
    const person = isReference(record?.person) ? record.person : await this.#personOf(order);
    if (person === undefined && state === "ordered") return undefined;
    const name = `${person}~${request}`;
    // Of a key that is destroyed the name is only needed where an older key store brings it back.
    const doomed =
      person === undefined ? [] : keys.map((fingerprint): DoomedKey => ({ kind: "person", name, fingerprint }));
    return {
      ...logged,
      kind: "person",
      keys: doomed,
      ...(person === undefined ? {} : { person }),
      tags,
      unpruned: false,
    };
  }

  /** Pruning twice does no harm. What is still on the disk was not pruned, whatever the row says. */
  #isUnpruned({ certificate: { scope }, done }: OrderFacts, record: DestructionRecord | undefined): boolean {
    if (done === undefined || record?.unpruned !== false || !("classDay" in scope)) return true;
    return this.#options.facts.sealedUnder.has(classDayKey(scope.classDay.class, scope.classDay.day));
  }

  /** What the key store calls an erased person, by an entry of theirs: as long as the key of its class-day is there. */
  async #personOf({ certificate: { request }, tags }: OrderFacts): Promise<string | undefined> {
    const { reader, secrets } = this.#options;
    for (const [tag, , last] of secrets === undefined ? [] : tags) {
      const [leaf, row] = [
        await reader.row(TABLE.leaf, indexKey(last)),
        await reader.row(TABLE.sealed, indexKey(last)),
      ];
      if (typeof leaf === "string" || typeof row === "string") continue;
      const { commitment, actor, subject } = decodeLeaf(leaf);
      if (!isAbout({ actor, subject }, tag)) continue;
      const person = secrets?.personBehind({ row, commitment });
      // A mask is no proof: one that was changed names nobody.
      const names = [`${person}~${request}`, `${person}`];
      if (person !== undefined && names.some((name) => secrets?.isKnown({ kind: "person", name }))) return person;
    }
    return undefined;
  }

  async *#holds(): AsyncGenerator<Difference> {
    const { reader, facts } = this.#options;
    const wrong = { code: "hold-row-mismatch", table: TABLE.hold } as const;
    const missing = new Set(facts.holds.keys());
    for await (const { key, value } of reader.scan(TABLE.hold)) {
      const hold = facts.holds.get(key);
      missing.delete(key);
      const { setIndex, liftedIndex } = decoded(() => decodeHold(value)) ?? {};
      if (this.#isUnread(setIndex, liftedIndex)) continue;
      if (hold !== undefined) yield* holdDifference(hold, value);
      else {
        const message = `there is a row of hold ${key}, which no log.hold entry set`;
        yield { ...wrong, key, message, rows: [{ table: TABLE.hold, key, value: null }] };
      }
    }
    for (const key of missing) {
      const hold = facts.holds.get(key);
      if (hold !== undefined) yield* holdDifference(hold, undefined);
    }
  }

  /** Entries that a duty keeps of persons who were erased: no tag leads to them any more. */
  async *#kept(): AsyncGenerator<Difference> {
    const { reader, facts } = this.#options;
    const wrong = { code: "erased-row-mismatch", table: TABLE.kept } as const;
    const missing = new Map<string, { readonly index: number; readonly row: Row }>();
    for (const [index, id] of facts.kept) {
      const person = this.#referenceOf(id);
      if (person !== undefined) missing.set(keptRow(index, person).key, { index, row: keptRow(index, person) });
    }
    for await (const { key } of reader.scan(TABLE.kept)) {
      if (missing.delete(key)) continue;
      const { index, person } = parseKeptKey(key);
      if (isReference(person) && facts.unopened.has(index)) continue;
      const message = `row ${key.slice(0, key.indexOf(" "))} says that a duty keeps an entry of an erased person, which is not so`;
      yield { ...wrong, key, message, rows: [{ table: TABLE.kept, key, value: null }] };
    }
    for (const [key, { index, row }] of missing) {
      const message = `index ${index}: it is sealed without its person's key, as what a duty keeps, and no row says whose it is`;
      yield { ...wrong, key, index, message, rows: [row] };
    }
  }

  /** Ids that are no subjects of an erasure, since the log itself names them. */
  async *#credentials(): AsyncGenerator<Difference> {
    const { reader, facts, secrets } = this.#options;
    if (secrets === undefined) return;
    const wrong = { code: "erased-row-mismatch", table: TABLE.credential } as const;
    const missing = new Set([...facts.credentials].flatMap((id) => this.#referenceOf(id) ?? []));
    for await (const { key } of reader.scan(TABLE.credential)) {
      // An entry that names it may be one that does not open.
      if (missing.delete(key) || (isReference(key) && !facts.areCredentialsKnown)) continue;
      const message =
        "there is a row of a credential that no entry of the log names: nobody of that id could be erased";
      yield { ...wrong, key, message, rows: [{ table: TABLE.credential, key, value: null }] };
    }
    for (const key of missing) {
      const message =
        "entries of the log name a credential that has no row: the record of what it read could be erased";
      yield { ...wrong, key, message, rows: [{ table: TABLE.credential, key, value: encodeCbor([]) }] };
    }
  }

  /** What the key store calls a person. */
  #referenceOf(id: string): string | undefined {
    const reference = this.#options.secrets?.existingReference(id);
    return reference === undefined ? undefined : encodeHex(reference);
  }

  /** Such a row does not name the entry that says so. */
  async *#lost(): AsyncGenerator<Difference> {
    const { reader, facts } = this.#options;
    const wrong = { code: "lost-row-mismatch", table: TABLE.lost } as const;
    const missing = new Map(
      [...facts.lost].map(([first, last]) => [indexKey(first), { first, row: lostRow({ first, last }) }]),
    );
    for await (const { key, value } of reader.scan(TABLE.lost)) {
      const wanted = missing.get(key);
      if (wanted !== undefined && equalBytes(value, wanted.row.value ?? new Uint8Array())) missing.delete(key);
      if (wanted !== undefined || !facts.isOwnKnown) continue;
      const message = `row ${key} says that keys were lost, which no log.key entry says`;
      yield { ...wrong, key, message, rows: [{ table: TABLE.lost, key, value: null }] };
    }
    for (const [key, { first, row }] of missing) {
      const message = `index ${first}: no row says that its key was lost, as a log.key entry does`;
      yield { ...wrong, key, index: first, message, rows: [row] };
    }
  }
}

/**
 * A hold whose person is not known any more is rebuilt without: it holds whatever else it selects, rather too much than too
 * little, until somebody sets it anew and lifts this one.
 */
function* holdDifference(hold: HoldFacts, value: Uint8Array | undefined): Generator<Difference> {
  const { id, setIndex: index, ofPerson, liftedIndex } = hold;
  const wrong = { code: "hold-row-mismatch", table: TABLE.hold, key: id, index } as const;
  const wanted = wantedHold(hold, value === undefined ? undefined : decoded(() => decodeHold(value)));
  const row = holdRow(wanted);
  const isRight = value !== undefined && equalBytes(value, row.value ?? new Uint8Array());
  const rows = isRight ? [] : [row];
  if (ofPerson && wanted.person === undefined && liftedIndex === undefined) {
    const message = `index ${index}: no row says whose hold ${id} is; rebuilt, it holds all else that it selects, until it is set anew and this one is lifted`;
    yield { ...wrong, message, rows };
  } else if (!isRight) {
    const how = value === undefined ? "has no row" : "has a row that says something else than its entries";
    yield { ...wrong, message: `index ${index}: hold ${id} ${how}`, rows };
  }
}

/** A hold as its entries say it is; whose it is, and to the millisecond when it was set and lifted, only its row says. */
function wantedHold({ ofPerson, ...hold }: HoldFacts, record: Partial<HoldRecord> | undefined): HoldRecord {
  const { person, setAt, liftedAt } = record ?? {};
  return {
    ...hold,
    ...(ofPerson && isReference(person) ? { person } : {}),
    ...(typeof setAt === "number" ? { setAt } : {}),
    ...(hold.liftedIndex !== undefined && typeof liftedAt === "number" ? { liftedAt } : {}),
  };
}

function* missingPending(record: DestructionRecord, pending: ReadonlySet<string>): Generator<Difference> {
  const { request: key } = record;
  if (!isPending(record) || pending.has(key)) return;
  const message = `erasure ${key} is not through, and no row says that something is left to do of it`;
  const rows = [{ table: TABLE.pending, key, value: encodeCbor([]) }];
  yield { code: "erased-row-mismatch", table: TABLE.pending, key, message, rows };
}

/** What no certificate has to say: a wish that a hold stops, what a crash interrupted, and what another's order did. */
function isUnlogged({ state, ordered, kind }: DestructionRecord): boolean {
  return state === "held" || state === "retiring" || (state === "done" && kind === "person" && ordered.length === 0);
}

/** Whether the entry of a leaf is about the person of a tag, and so sealed under their key. */
function isAbout({ subject, actor }: Pick<Leaf, "subject" | "actor">, tag: string): boolean {
  const person = subject ?? actor;
  return person !== null && encodeHex(person.tag) === tag;
}

function isOfHold(key: string): boolean {
  return HOLD_CLASS.test(parseClassDayKey(key).class);
}

const REFERENCE = /^[0-9a-f]{32}$/;

function isReference(text: string | undefined): text is string {
  return typeof text === "string" && REFERENCE.test(text);
}

function digestOf(text: string): string {
  return rulesDigest(utf8(text));
}

/** The row of a destruction, with the parts that are needed to judge it. */
function decodedRecord(value: Uint8Array, key: string): DestructionRecord | undefined {
  const record = decoded(() => decodeRecord(value)) as Partial<DestructionRecord> | undefined;
  if (typeof record !== "object" || record === null) return undefined;
  return record.request === key && Array.isArray(record.ordered) ? (record as DestructionRecord) : undefined;
}

/** `undefined` where it does not decode. */
function decoded<T>(decode: () => T): T | undefined {
  try {
    return decode();
  } catch (error) {
    if (!(error instanceof TallystickError) && !(error instanceof RangeError)) throw error;
    return undefined;
  }
}
