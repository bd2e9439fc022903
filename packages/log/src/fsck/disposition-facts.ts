/**
 * What the entries say of the disposition of contents: which class-days there are, what certificates destroyed, which
 * rules and holds the log's own events name. The rows of retention and erasure have to agree with it.
 */
import { decodeHex } from "@tallystick/core";
import {
  CERTIFICATE_TYPE,
  type Certificate,
  type Leaf,
  type TallyEvent,
  catalogueEntry,
  dayOf,
  decodeSealed,
  isOwnLeaf,
  parseCertificate,
} from "@tallystick/events";
import { partiesOf } from "../candidate.ts";
import { erasedClassDayRow, erasedTagRow } from "../disposition/erased.ts";
import type { HoldRecord } from "../disposition/holds.ts";
import { classDayKey, dayKey } from "../disposition/ledger.ts";
import type { TagScope } from "../disposition/record.ts";
import { decodeSealedRow } from "../keys.ts";
import { lostRangesOf } from "../lost-keys.ts";
import type { Row } from "@tallystick/storage";
import { IndexSet } from "./index-set.ts";
import { type Stored, ifReadable } from "./reader.ts";

/** An entry that was believed. */
export interface FactualEntry {
  readonly index: number;
  readonly leaf: Leaf;
  /** `undefined` where its contents do not open. */
  readonly event: TallyEvent | undefined;
  /** Its sealed row. */
  readonly sealed: Stored;
}

/** Entries that have something in common. */
export interface Extent {
  readonly first: number;
  last: number;
  count: number;
  /** Indexes of the `log.rules` entries under which they were logged; -1 before the first. */
  readonly under: number[];
}

/** A destruction, by its certificates. */
export interface OrderFacts {
  readonly certificate: Certificate;
  /** Of all parts. */
  readonly tags: TagScope[];
  readonly ordered: number[];
  done?: number;
  finalOn: string;
}

/** Where contents were destroyed. */
export interface ErasedFacts {
  readonly row: Row;
  /** Of the certificate. */
  readonly index: number;
}

/** A hold, by its entries; whose it is they do not say. */
export interface HoldFacts extends Omit<HoldRecord, "person"> {
  readonly ofPerson: boolean;
}

export interface RulesFacts {
  readonly index: number;
  /** SHA-256 of their text, in hex. */
  readonly digest: string;
}

/** Memory: a bit for each entry, some rows for each class-day, each day of events, each certificate with its tags, each hold, each credential, and each entry that a duty keeps. */
export class DispositionFacts {
  /** By key of its row: the entries of a class and day, as their leaves say. */
  readonly classDays: Map<string, Extent> = new Map();
  /** As {@link classDays}, by the keys that sealed events on the disk are sealed with. */
  readonly sealedUnder: Map<string, Extent> = new Map();
  /** By key of their rows: days of events with a person's tag. */
  readonly eventDays: Set<string> = new Set();
  /** By request. */
  readonly orders: Map<string, OrderFacts> = new Map();
  /** By key of the row: where a certificate says that contents were destroyed under it. */
  readonly erased: Map<string, ErasedFacts> = new Map();
  /** Keys of rows of class-days whose destruction is done. */
  readonly doneClassDays: Set<string> = new Set();
  readonly holds: Map<string, HoldFacts> = new Map();
  /** First index → last index of entries whose keys were lost with a key store. */
  readonly lost: Map<number, number> = new Map();
  /** All that were approved, in that order. */
  readonly rules: RulesFacts[] = [];
  /** Index → id of the person without whose key it is sealed, since a duty keeps it. */
  readonly kept: Map<number, string> = new Map();
  /** Entries that are sealed under no person's key and do not open: of these nobody can tell whether a duty keeps them. */
  readonly unopened: IndexSet = new IndexSet();
  /** Ids of credentials that the log itself names. */
  readonly credentials: Set<string> = new Set();
  /** Entries of the log's own that do not open: of what a row says on their word, nobody can tell. */
  readonly unread: IndexSet = new IndexSet();
  /** Whether there is none of these. */
  isOwnKnown = true;
  /** Whether all entries of the log's own opened that could name a credential. */
  areCredentialsKnown = true;
  /** Whether all events with a person's tag opened. */
  arePersonsKnown = true;

  /** Takes the next entry. */
  take({ index, leaf, event, sealed }: FactualEntry): void {
    const rules = this.rules.at(-1)?.index ?? -1;
    extend(this.classDays, classDayKey(leaf.class, dayOf(leaf.loggedAt)), { index, rules });
    const under = sealedUnder(sealed);
    if (under !== undefined) extend(this.sealedUnder, under, { index, rules });
    this.#takeKept({ index, leaf, event, sealed });
    const hasPerson = leaf.actor !== null || leaf.subject !== null;
    const isOwn = isOwnLeaf(leaf);
    if (event === undefined) {
      // What the log says of contents is about nobody; a person who read something can be erased.
      if (isOwn) this.areCredentialsKnown = false;
      if (hasPerson) this.arePersonsKnown = false;
      else if (isOwn) {
        this.unread.add(index);
        this.isOwnKnown = false;
      }
      return;
    }
    if (hasPerson) this.eventDays.add(dayKey(dayOf(event.time)));
    if (isOwn) this.#takeOwn(index, leaf, event);
  }

  #takeKept({ index, event, sealed }: FactualEntry): void {
    if (!isSealedForNobody(sealed)) return;
    const person = event === undefined ? undefined : partiesOf(event).person;
    if (person !== undefined) this.kept.set(index, person);
    else if (event === undefined) this.unopened.add(index);
  }

  #takeOwn(index: number, leaf: Leaf, event: TallyEvent): void {
    const { actor } = partiesOf(event);
    if (actor !== undefined && catalogueEntry(event.type)?.reporter === "log") this.credentials.add(actor);
    for (const { first, last } of lostRangesOf(event)) this.lost.set(first, last);
    if (event.type === CERTIFICATE_TYPE) this.#takeCertificate(index, event);
    else if (event.type === "log.hold") this.#takeHold(index, leaf, event);
    else if (event.type === "log.rules") {
      const digest = textOf(event.context?.["digest"]);
      if (digest !== undefined) this.rules.push({ index, digest });
    }
  }

  #takeCertificate(index: number, event: TallyEvent): void {
    const certificate = certificateOf(event);
    if (certificate === undefined) return;
    const { request, state, scope, finalOn } = certificate;
    const order = this.orders.get(request);
    if (state === "ordered") {
      const tags = "tags" in scope ? scope.tags : [];
      if (order === undefined) this.orders.set(request, { certificate, tags: [...tags], ordered: [index], finalOn });
      else {
        order.tags.push(...tags);
        order.ordered.push(index);
      }
      for (const row of erasedRows(certificate, index)) this.erased.set(row.key, { row, index });
      return;
    }
    // A word that something is done which was never ordered is a finding of its own.
    if (order === undefined) return;
    order.done = index;
    order.finalOn = finalOn;
    if ("classDay" in scope) this.doneClassDays.add(classDayKey(scope.classDay.class, scope.classDay.day));
  }

  #takeHold(index: number, { loggedAt }: Leaf, { context = {} }: TallyEvent): void {
    const id = textOf(context["hold"]);
    const by = textOf(context["by"]);
    if (id === undefined || by === undefined) return;
    const known = this.holds.get(id);
    if (context["state"] === "lifted") {
      if (known !== undefined) this.holds.set(id, { ...known, liftedBy: by, liftedAt: loggedAt, liftedIndex: index });
      return;
    }
    const name = textOf(context["case"]);
    const selectors = context["selectors"];
    if (name === undefined || known !== undefined || !isContext(selectors)) return;
    this.holds.set(id, {
      id,
      case: name,
      setBy: by,
      setAt: loggedAt,
      setIndex: index,
      ofPerson: selectors["subject"] === true,
      ...present({
        reason: textOf(context["reason"]),
        class: textOf(selectors["class"]),
        from: numberOf(selectors["from"]),
        to: numberOf(selectors["to"]),
        operation: textOf(selectors["operation"]),
      }),
    });
  }
}

function extend(
  extents: Map<string, Extent>,
  key: string,
  { index, rules }: { readonly index: number; readonly rules: number },
): void {
  const known = extents.get(key);
  if (known === undefined) {
    extents.set(key, { first: index, last: index, count: 1, under: [rules] });
    return;
  }
  known.last = index;
  known.count += 1;
  if (known.under.at(-1) !== rules) known.under.push(rules);
}

/** The key of the class-day's row under whose key something is sealed; `undefined` where it does not say. */
function sealedUnder(row: Stored): string | undefined {
  if (typeof row === "string") return undefined;
  return ifReadable(() => {
    const sealed = decodeSealed(decodeSealedRow(row).bytes);
    return classDayKey(sealed.class, sealed.day);
  });
}

function isSealedForNobody(row: Stored): boolean {
  if (typeof row === "string") return false;
  return ifReadable(() => decodeSealedRow(row).mask === null) ?? false;
}

/** What does not read covers nothing, and is a finding of its own. */
function certificateOf(event: TallyEvent): Certificate | undefined {
  return ifReadable(() => parseCertificate(event));
}

function erasedRows({ scope, before }: Certificate, index: number): Row[] {
  if ("classDay" in scope) return [erasedClassDayRow(scope.classDay, index, before)];
  return scope.tags.map(([tag]) => erasedTagRow(decodeHex(tag), index, before));
}

function textOf(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

function numberOf(value: unknown): number | undefined {
  return typeof value === "number" ? value : undefined;
}

function isContext(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Without what is undefined. */
function present<T extends object>(members: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}
