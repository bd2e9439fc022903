/**
 * The rules that certificates of erasure must keep, replayed in order beside those of the leaves: what they say they cover
 * is there, as often as they say, and was there before; what was ordered is done, once, and nothing grew on the way.
 *
 * Whether each entry that does not open is covered is asked of {@link CertificateAudit.certificates}.
 */
import { TallystickError, decodeHex, encodeHex } from "@tallystick/core";
import {
  type Certificate,
  type CertificateScope,
  type CertifiedClassDay,
  isForEver,
  isOwnLeaf,
  mayKeep,
  parseCertificate,
  personTag,
} from "./certificate.ts";
import type { Context } from "./context.ts";
import type { TallyEvent } from "./event.ts";
import type { Leaf } from "./leaf.ts";
import { type CertificateFindingCode, type ChainEnd, type Finding, finding } from "./leaf-audit.ts";
import { dayOf } from "./tags.ts";

const DAY_MS = 86_400_000;
/** An order that is older than the newest entry by more is overdue: the keys wait for no more than its witnesses. */
const DONE_WITHIN_MS = DAY_MS;
/** By the clock of whoever audits, in a log that took nothing since. */
const DONE_WITHIN_IDLE_MS = 7 * DAY_MS;

/** The class under whose keys a hold keeps entries that are certified under their own. No event has to be of it. */
export const HOLD_CLASS: RegExp = /^hold-[0-9a-f]{8}$/;

/** Certificates by what they cover. Memory: a row for each class-day and each tag that they list. */
export class Certificates {
  readonly #classDays = new Map<string, number>();
  readonly #tags = new Map<string, { readonly before: number; readonly index: number }>();

  /** @param index - Of the entry that it is. */
  add(index: number, { scope, before }: Pick<Certificate, "scope" | "before">): void {
    if ("classDay" in scope) {
      const key = classDayKey(scope.classDay);
      if (!this.#classDays.has(key)) this.#classDays.set(key, index);
      return;
    }
    for (const [tag] of scope.tags) {
      const known = this.#tags.get(tag);
      if (known === undefined || known.before < before) this.#tags.set(tag, { before, index });
    }
  }

  /** Index of a certificate that covers the leaf at `index`; `undefined` where none does. */
  covering(index: number, leaf: Leaf): number | undefined {
    const tag = personTag(leaf);
    return this.coveringDay(leaf) ?? (tag === undefined ? undefined : this.listing(index, tag));
  }

  /** Index of a certificate that covers all of a class and a day, this leaf's. */
  coveringDay(leaf: Pick<Leaf, "class" | "loggedAt">): number | undefined {
    if (isForEver(leaf)) return undefined;
    return this.#classDays.get(classDayKey({ class: leaf.class, day: dayOf(leaf.loggedAt) }));
  }

  /** The same, by the key of a class-day. */
  ofClassDay(key: string): number | undefined {
    return this.#classDays.get(key);
  }

  /** Index of a certificate that lists a tag of the leaf at `index`: the key that the tag was made with is destroyed. */
  listing(index: number, tag: Uint8Array): number | undefined {
    const listed = this.#tags.get(encodeHex(tag));
    return listed !== undefined && index < listed.before ? listed.index : undefined;
  }
}

/** For how many days rules promise to keep a class. */
export type PromisedDays = (retentionClass: string) => number;

/** The type of the event that says which rules hold from there on. */
export const RULES_TYPE = "log.rules";

/** The type of the event that says that a legal hold is set, or lifted. */
export const HOLD_TYPE = "log.hold";

const DIGEST = /^[0-9a-f]{64}$/;
/** In place of the digest of rules whose entry names none: nobody can show them. */
export const NO_DIGEST = "unknown";

/** The entries of a class-day so far. */
interface ClassDayEnd {
  readonly first: number;
  last: number;
  count: number;
  opened: number;
  /** Of which nobody knows whether they open. */
  unknown: number;
  /** Digests of the rules under which they were logged, as far as they are known. */
  readonly under: Set<string>;
}

/** A legal hold, as its entries say. */
interface ReplayedHold {
  readonly id: string;
  readonly selectors: Context;
  isLifted: boolean;
}

/** Whether an entry opens, does not, or was not asked for. */
export type Shown = "open" | "gone" | "unknown";

/** One erasure, by the entries that order it. */
interface Order {
  /** Of its first entry. */
  readonly index: number;
  readonly loggedAt: number;
  readonly certificate: Certificate;
  /** Which parts were there, by number. */
  readonly parts: Set<number>;
  /** Of all parts. */
  readonly tags: string[];
  done: boolean;
}

/**
 * Memory: some rows for each certificate and each tag it lists, one for each class-day of the log, one for each person's
 * tag of which something opened, and for each class-day of such a tag of which something does not. Feed it every leaf in order; each certificate after its own leaf.
 */
export class CertificateAudit {
  readonly certificates: Certificates = new Certificates();
  readonly #chainOf: (tag: Uint8Array) => ChainEnd | undefined;
  readonly #classDays = new Map<string, ClassDayEnd>();
  readonly #openedTags = new Map<string, number>();
  /** By tag and class-day: entries about the person that do not open. */
  readonly #goneTags = new Map<string, Map<string, number>>();
  /** By class: entries about persons of which nobody knows whether they open. */
  readonly #unknownPersonal = new Map<string, number>();
  readonly #orders = new Map<string, Order>();
  /** Fingerprint of a key to the request that lists it. */
  readonly #keys = new Map<string, string>();
  /** The digest of the rules that hold; `undefined` where that is not known. */
  #rules: string | undefined;
  readonly #holds = new Map<string, ReplayedHold>();
  /** Whether an entry of the log's own did not open: it may have set a hold. */
  #isOwnHidden = false;

  /** @param chainOf - The chain of a person's tag, as replayed up to now: `LeafAudit.personChain`. */
  constructor(chainOf: (tag: Uint8Array) => ChainEnd | undefined) {
    this.#chainOf = chainOf;
  }

  /** How many erasures were ordered, and how many of them are done. */
  get counts(): { readonly ordered: number; readonly done: number } {
    const orders = [...this.#orders.values()];
    return { ordered: orders.length, done: orders.filter(({ done }) => done).length };
  }

  /** Notes the next leaf. */
  leaf(index: number, leaf: Leaf, shown: Shown): void {
    const key = classDayKey({ class: leaf.class, day: dayOf(leaf.loggedAt) });
    let end = this.#classDays.get(key);
    if (end === undefined)
      this.#classDays.set(
        key,
        (end = { first: index, last: index, count: 0, opened: 0, unknown: 0, under: new Set() }),
      );
    if (this.#rules !== undefined) end.under.add(this.#rules);
    // It may say that other rules hold.
    if (shown !== "open" && isOwnLeaf(leaf)) {
      this.#rules = undefined;
      this.#isOwnHidden = true;
    }
    end.last = index;
    end.count += 1;
    if (shown === "open") end.opened += 1;
    if (shown === "unknown") end.unknown += 1;
    const tag = personTag(leaf);
    if (tag === undefined) return;
    const name = encodeHex(tag);
    if (shown === "open") addOne(this.#openedTags, name);
    else if (shown === "unknown") addOne(this.#unknownPersonal, leaf.class);
    else {
      const gone = this.#goneTags.get(name) ?? new Map<string, number>();
      addOne(gone, key);
      this.#goneTags.set(name, gone);
    }
  }

  /** Takes the `log.rules` event of a leaf: the entries behind it are logged under these rules. */
  rules(leaf: Leaf, { context }: TallyEvent): void {
    const digest = context?.["digest"];
    if (isOwnLeaf(leaf)) this.#rules = typeof digest === "string" && DIGEST.test(digest) ? digest : NO_DIGEST;
  }

  /** Takes the `log.hold` event of a leaf: what the hold keeps is destroyed by nothing until it is lifted. */
  hold(leaf: Leaf, { context }: TallyEvent): void {
    const { hold: id, state, selectors } = context ?? {};
    if (!isOwnLeaf(leaf) || typeof id !== "string") return;
    const known = this.#holds.get(id);
    if (known === undefined && state === "set") {
      const isMap = typeof selectors === "object" && selectors !== null && !Array.isArray(selectors);
      this.#holds.set(id, { id, selectors: isMap ? (selectors as Context) : {}, isLifted: false });
    } else if (known !== undefined && state === "lifted") known.isLifted = true;
  }

  /**
   * Digests of the rules under which entries were logged whose class-day is destroyed: what they promised has to be over.
   * `unknown` for those whose entry names none.
   */
  get rulesNeeded(): ReadonlySet<string> {
    const needed = new Set<string>();
    for (const { certificate } of this.#orders.values())
      for (const digest of this.#rulesUnder(certificate.scope)) needed.add(digest);
    return needed;
  }

  #rulesUnder(scope: CertificateScope): ReadonlySet<string> {
    const end = "classDay" in scope ? this.#classDays.get(classDayKey(scope.classDay)) : undefined;
    return end?.under ?? new Set();
  }

  /** Takes the `log.erasure` event of a leaf, and says what does not fit. What does not read covers nothing. */
  certificate(index: number, leaf: Leaf, event: TallyEvent): Finding[] {
    let certificate: Certificate;
    try {
      certificate = parseCertificate(event);
    } catch (error) {
      if (!(error instanceof TallystickError)) throw error;
      return [finding("certificate-malformed", index, error.message)];
    }
    // What the log says of itself stands in a signed stream: anybody else's word erases nothing.
    if (!isOwnLeaf(leaf)) {
      const text =
        "a certificate of an erasure, and not of class log in a signed stream, as what the log says of itself is";
      return [finding("certificate-malformed", index, text)];
    }
    this.certificates.add(index, certificate);
    const found: Defect[] =
      certificate.state === "ordered"
        ? [...this.#order(index, leaf, certificate), ...this.#compareTags(certificate)]
        : this.#done(certificate);
    return found.map(({ code, message }) => finding(code, index, `erasure ${certificate.request}: ${message}`));
  }

  #order(index: number, leaf: Leaf, certificate: Certificate): Defect[] {
    const { request, before, part = 1, parts, scope } = certificate;
    const found: Defect[] = [];
    if (before > index) {
      const message = `it covers entries below ${before}, of which those from index ${index} on were not there yet`;
      found.push({ code: "certificate-before-grown", message });
    }
    const tags = "tags" in scope ? scope.tags.map(([tag]) => tag) : [];
    const known = this.#orders.get(request);
    if (known === undefined) {
      const there = new Set([part]);
      this.#orders.set(request, { index, loggedAt: leaf.loggedAt, certificate, parts: there, tags, done: false });
      return [...found, ...this.#noteKeys(certificate), ...this.#compareHolds(certificate)];
    }
    found.push(...compareWithOrder(certificate, known));
    if (known.parts.has(part) || parts !== known.certificate.parts) {
      const message = `part ${part} of ${parts ?? 1} does not go with its order at index ${known.index}`;
      found.push({ code: "certificate-inconsistent", message });
    }
    known.parts.add(part);
    known.tags.push(...tags);
    return found;
  }

  /** A key is destroyed once: listed again, one of the two erasures destroyed nothing. */
  #noteKeys({ keys, request }: Certificate): Defect[] {
    return keys.flatMap((key): Defect[] => {
      const other = this.#keys.get(key);
      this.#keys.set(key, other ?? request);
      if (other === undefined) return [];
      return [{ code: "certificate-key-repeated", message: `key ${key} is one that erasure ${other} lists` }];
    });
  }

  /** Of a hold on a person or an operation, leaves do not tell what it keeps: only that its own keys stay until it is lifted. */
  #compareHolds({ scope }: Certificate): Defect[] {
    if (!("classDay" in scope)) return [];
    const { class: retentionClass, day } = scope.classDay;
    const name = `class ${retentionClass}, day ${day}`;
    const isOfHold = HOLD_CLASS.test(retentionClass);
    const holds = [...this.#holds.values()].filter((hold) =>
      isOfHold ? hold.id.endsWith(retentionClass.slice("hold-".length)) : isAllKeptBy(hold, scope.classDay),
    );
    const inForce = holds.find(({ isLifted }) => !isLifted);
    if (inForce !== undefined) {
      const message = `${name} is destroyed, and hold ${inForce.id}, which keeps it, is not lifted`;
      return [{ code: "erasure-while-held", message }];
    }
    if (!isOfHold || holds.length > 0 || this.#isOwnHidden) return [];
    return [{ code: "erasure-while-held", message: `${name} is destroyed as kept by a hold, and none was set` }];
  }

  #compareTags({ scope }: Certificate): Defect[] {
    if (!("tags" in scope)) return [];
    return scope.tags.flatMap(([tag, count, last]): Defect[] => {
      const chain = this.#chainOf(decodeHex(tag));
      if (chain?.count === count && chain.last === last) return [];
      const got =
        chain === undefined ? "no leaf bears it" : `${chain.count} leaves bear it, the last at index ${chain.last}`;
      const message = `it says that ${count} leaves bear tag ${tag}, the last at index ${last}; ${got}`;
      return [{ code: "certificate-scope-wrong", message }];
    });
  }

  #done(certificate: Certificate): Defect[] {
    const { request, ordered } = certificate;
    const order = this.#orders.get(request);
    if (order === undefined || order.index !== ordered) {
      const message = `it is said to be done, and to be ordered at index ${ordered}, where no order of it is`;
      return [{ code: "erasure-not-ordered", message }];
    }
    order.done = true;
    return compareWithOrder(certificate, order);
  }

  /**
   * What the end of the log shows. Call once, after the last leaf.
   *
   * @param times.loggedAt - Of the last leaf, in ms since 1970.
   * @param times.now - The auditor's clock, in ms since 1970.
   * @param promisedBy - What rules promised, by their digest; `undefined` where that is not known.
   */
  finish(
    times: { readonly loggedAt: number; readonly now?: number },
    promisedBy: (digest: string) => PromisedDays | undefined = () => undefined,
  ): Finding[] {
    const found = [...this.#orders.values()].flatMap((order) => {
      const defects = [
        ...comparePartsOf(order),
        ...this.#compareClassDay(order),
        ...this.#compareOpened(order),
        ...compareTimes(order, times),
        ...this.#comparePromise(order, promisedBy),
      ];
      const { request } = order.certificate;
      return defects.map(({ code, message }) => finding(code, order.index, `erasure ${request}: ${message}`));
    });
    const ofDuties = [...this.#orders.values()].flatMap((order) => this.#compareDuty(order));
    return [...found, ...ofDuties, ...this.#compareKept()];
  }

  /**
   * What a duty keeps of an erased person opens until its class-day is destroyed: a key that went with the person's, and
   * should not have, is destroyed evidence like any other.
   */
  #compareDuty({ index, tags, certificate }: Order): Finding[] {
    const { request, scope, kept = [] } = certificate;
    if (!("tags" in scope) || kept.length === 0) return [];
    let missing = kept.reduce((sum, [, count]) => sum + count, 0);
    for (const tag of tags) {
      missing -= this.#openedTags.get(tag) ?? 0;
      for (const [key, count] of this.#goneTags.get(tag) ?? []) {
        const isLater = (this.certificates.ofClassDay(key) ?? -1) > index;
        if (isLater && mayKeep(certificate, classOf(key))) missing -= count;
      }
    }
    for (const [name, count] of this.#unknownPersonal) if (mayKeep(certificate, name)) missing -= count;
    if (missing <= 0) return [];
    const text = `erasure ${request}: of the entries about the person that a duty keeps, ${missing} do not open, and no certificate says that their class-day is destroyed`;
    return [finding("contents-destroyed", index, text)];
  }

  /**
   * What holds kept of a day is there, until it is destroyed under certificates of the holds' own. By day, since what a
   * hold kept is of many classes.
   */
  #compareKept(): Finding[] {
    const days = new Map<number, { kept: number; shown: number; index: number }>();
    for (const { certificate, index } of this.#orders.values()) {
      const { scope, kept = [] } = certificate;
      if (!("classDay" in scope)) continue;
      const { day, count } = scope.classDay;
      const known = days.get(day) ?? { kept: 0, shown: 0, index };
      days.set(day, known);
      known.kept += kept.reduce((sum, [, held]) => sum + held, 0);
      const end = this.#classDays.get(classDayKey(scope.classDay));
      if (end === undefined) known.kept -= count;
      else known.shown += end.opened + end.unknown;
    }
    return [...days].flatMap(([day, { kept, shown, index }]) => {
      if (shown >= kept) return [];
      const text = `of the entries of day ${day} that holds keep, ${kept - shown} do not open, and no certificate says that a hold on them was lifted`;
      return [finding("contents-destroyed", index, text)];
    });
  }

  /** Compared at the end: a day that was certified before it was over would cover what came later. */
  #compareClassDay({ certificate: { scope } }: Order): Defect[] {
    if (!("classDay" in scope)) return [];
    const { class: retentionClass, day, first, last, count } = scope.classDay;
    const end = this.#classDays.get(classDayKey(scope.classDay));
    if (end === undefined && HOLD_CLASS.test(retentionClass)) return this.#compareHeld(scope.classDay);
    if (end?.first === first && end.last === last && end.count === count) return [];
    const name = `class ${retentionClass}, day ${day}`;
    const got = end === undefined ? "there are none" : `there are ${end.count}, from index ${end.first} to ${end.last}`;
    const message = `it says that there are ${count} entries of ${name}, from index ${first} to ${last}; ${got}`;
    return [{ code: "certificate-scope-wrong", message }];
  }

  /** Nobody shortens what was promised when an entry was logged. */
  #comparePromise(
    { loggedAt, certificate: { scope } }: Order,
    promisedBy: (digest: string) => PromisedDays | undefined,
  ): Defect[] {
    if (!("classDay" in scope)) return [];
    const { class: retentionClass, day } = scope.classDay;
    const promised = Math.max(
      0,
      ...[...this.#rulesUnder(scope)].map((digest) => promisedBy(digest)?.(retentionClass) ?? 0),
    );
    if (promised === 0 || (day + 1 + promised) * DAY_MS <= loggedAt) return [];
    const ordered = new Date(loggedAt).toISOString().slice(0, 10);
    const message = `entries of class ${retentionClass}, day ${day}, were logged under rules that promise ${promised} days, and destroyed on ${ordered}`;
    return [{ code: "erasure-before-promise", message }];
  }

  /** What a hold kept is of many classes; which of their entries, leaves do not tell. All were logged on that day. */
  #compareHeld({ day, first, last, count }: CertifiedClassDay): Defect[] {
    const ends = [...this.#classDays].filter(([key]) => key.endsWith(` ${day}`)).map(([, end]) => end);
    const isWithin =
      ends.some((end) => end.first <= first) &&
      ends.some((end) => end.last >= last) &&
      ends.reduce((sum, end) => sum + end.count, 0) >= count;
    if (isWithin) return [];
    const message = `it says that a hold kept ${count} entries of day ${day}, from index ${first} to ${last}; there are no such`;
    return [{ code: "certificate-scope-wrong", message }];
  }

  /** No more opens than was sealed anew: else a key was not destroyed, or came back. */
  #compareOpened({ certificate: { scope, kept = [] }, tags, done }: Order): Defect[] {
    if (!done) return [];
    const opened =
      "classDay" in scope
        ? (this.#classDays.get(classDayKey(scope.classDay))?.opened ?? 0)
        : tags.reduce((sum, tag) => sum + (this.#openedTags.get(tag) ?? 0), 0);
    const most = kept.reduce((sum, [, count]) => sum + count, 0);
    if (opened <= most) return [];
    const message = `${opened} of its entries open, and ${most} were to be kept: keys were not destroyed, or came back`;
    return [{ code: "erased-contents-open", message }];
  }
}

/** Whether a hold keeps all entries of a class-day, whoever they are about. */
function isAllKeptBy({ selectors }: ReplayedHold, { class: retentionClass, day }: CertifiedClassDay): boolean {
  const { subject, operation, class: held = retentionClass, from = 0, to = Infinity } = selectors;
  if (subject !== undefined || operation !== undefined || held !== retentionClass) return false;
  return Number(from) <= day * DAY_MS && Number(to) >= (day + 1) * DAY_MS;
}

interface Defect {
  readonly code: CertificateFindingCode;
  readonly message: string;
}

/** Another entry of an erasure says what its first one says. */
function compareWithOrder(certificate: Certificate, order: Order): Defect[] {
  const { certificate: first, index } = order;
  if (certificate.before > first.before) {
    const message = `before is ${certificate.before}, and ${first.before} in its order at index ${index}: it grew`;
    return [{ code: "certificate-before-grown", message }];
  }
  const differs = FIELDS.find((field) => textOf(certificate[field]) !== textOf(first[field]));
  const part = differs ?? (isWithin(certificate.scope, order, certificate.state) ? undefined : "scope");
  if (part === undefined) return [];
  return [{ code: "certificate-inconsistent", message: `its ${part} is not that of its order at index ${index}` }];
}

/** What stays the same from the order to its end. */
const FIELDS = ["before", "ground", "keys", "kept", "by", "approvedBy"] as const;

function textOf(value: Certificate[(typeof FIELDS)[number]]): string {
  return JSON.stringify(value ?? null);
}

/** The same class-day; of a person tags, in `done` none that was not ordered. */
function isWithin(scope: CertificateScope, { certificate, tags }: Order, state: Certificate["state"]): boolean {
  if ("classDay" in scope || "classDay" in certificate.scope) {
    return JSON.stringify(scope) === JSON.stringify(certificate.scope);
  }
  if (state === "ordered") return true;
  const ordered = new Set(tags);
  return scope.tags.every(([tag]) => ordered.has(tag));
}

function comparePartsOf({ certificate: { parts = 1 }, parts: there }: Order): Defect[] {
  if (there.size === parts) return [];
  return [{ code: "certificate-inconsistent", message: `of its ${parts} parts ${there.size} are there` }];
}

function compareTimes({ done, loggedAt, certificate }: Order, times: { loggedAt: number; now?: number }): Defect[] {
  const { now = 0 } = times;
  const isOverdue =
    times.loggedAt - loggedAt > DONE_WITHIN_MS ||
    now - loggedAt > DONE_WITHIN_IDLE_MS ||
    (now - loggedAt > DONE_WITHIN_MS && now >= Date.parse(certificate.finalOn));
  if (done || !isOverdue) return [];
  const message = `it was ordered, and nothing says that it was ever done; final on ${certificate.finalOn}`;
  return [{ code: "erasure-not-done", message }];
}

function addOne(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

/** Of a class-day, by its key. */
function classOf(key: string): string {
  return key.slice(0, key.lastIndexOf(" "));
}

function classDayKey({ class: retentionClass, day }: { readonly class: string; readonly day: number }): string {
  return `${retentionClass} ${day}`;
}
