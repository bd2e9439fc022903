/**
 * The certificate of an erasure: what a `log.erasure` event says in its context. docs/reference/formats.md, "Certificate".
 *
 * It names keys that are destroyed and the entries that were sealed under them, by class and day or by tags: neither a
 * person nor a name. An entry that does not open and that no certificate covers is destroyed evidence.
 */
import { encodeHex } from "@tallystick/core";
import { EVENT_BYTES_MAX, encodeCbor } from "./cbor.ts";
import type { Context, ContextValue } from "./context.ts";
import { EventError } from "./error.ts";
import type { TallyEvent } from "./event.ts";
import { isHex, isUuid } from "./hex.ts";
import { CLASS_PATTERN, type Leaf } from "./leaf.ts";
import { TAG_BYTES, dayOf } from "./tags.ts";
import { isTextOf } from "./text.ts";

/** The type of the event whose context a certificate is. */
export const CERTIFICATE_TYPE = "log.erasure";

/** Bounds: with all of them, and a ground in any script, the event is below its 32 KiB. */
export const CERTIFICATE_LIMITS = {
  /** Tags in one entry; a person with more has several `ordered` entries. */
  tagsMax: 400,
  keysMax: 16,
  keptMax: 64,
  partsMax: 1_000_000,
  groundCharsMax: 1024,
  credentialCharsMax: 256,
} as const;

/** All entries of a retention class that were logged on one day, those that were kept among them. */
export interface CertifiedClassDay {
  readonly class: string;
  /** Of logged-at, counted from 1970. */
  readonly day: number;
  /** Index of the first entry. */
  readonly first: number;
  /** Index of the last entry. */
  readonly last: number;
  readonly count: number;
}

/** A tag of the person, how many leaves below `before` bear it, and the index of the last of them. */
export type CertifiedTag = readonly [tag: string, count: number, last: number];

export type CertificateScope =
  | { readonly classDay: CertifiedClassDay }
  /** Those of its part; in `done` those of the order, or none where it has parts. 32 hex digits each. */
  | { readonly tags: readonly CertifiedTag[] };

export interface Certificate {
  /** UUIDv7: the same in all entries of one erasure. */
  readonly request: string;
  /** Why: 1 to 1,024 characters on one line. */
  readonly ground: string;
  /** `ordered`: nothing opens with the keys any more. `done`: they are destroyed. */
  readonly state: "ordered" | "done";
  /** The size of the log when it was ordered: no entry at or above is touched. */
  readonly before: number;
  readonly scope: CertificateScope;
  /** Fingerprints of the keys (`keyFingerprint`), 64 hex digits each, each once. */
  readonly keys: readonly string[];
  /** YYYY-MM-DD: the first day on which no backup of the key store holds the keys. */
  readonly finalOn: string;
  /** Which of `parts` `ordered` entries it is, from 1. */
  readonly part?: number;
  readonly parts?: number;
  /** In `done`, and only there: index of the (first) entry that ordered it. */
  readonly ordered?: number;
  /** Entries of the scope that were sealed anew before, since a duty to keep them goes on, by class. */
  readonly kept?: readonly (readonly [retentionClass: string, count: number])[];
  /** The credentials that ordered it; absent where the rules did. */
  readonly by?: string;
  readonly approvedBy?: string;
}

/** Id, time, type, outcome and the keys around the context: what an event has beside it. */
const BESIDE_CONTEXT_BYTES = 128;
const DAY_MAX = 2 ** 32 - 1;
const UUID_V7 = /^.{14}7.{4}[89ab]/;
const DATE = /^\d{4}-\d{2}-\d{2}$/;

/**
 * What the log puts into the context of a `log.erasure` event.
 *
 * @throws {EventError} `certificate-malformed`: {@link parseCertificate} would refuse it, or the event would be too large.
 */
export function certificateContext(certificate: Certificate): Context {
  const { request, ground, state, before, scope, keys, finalOn, part, parts, ordered, kept, by, approvedBy } =
    certificate;
  const context: Context = {
    request,
    ground,
    state,
    before,
    scope: contextOfScope(scope),
    keys: [...keys],
    finalOn,
    ...(part === undefined ? {} : { part }),
    ...(parts === undefined ? {} : { parts }),
    ...(ordered === undefined ? {} : { ordered }),
    ...(kept === undefined ? {} : { kept: kept.map(([retentionClass, count]) => [retentionClass, count]) }),
    ...(by === undefined ? {} : { by }),
    ...(approvedBy === undefined ? {} : { approvedBy }),
  };
  readCertificate(context);
  const size = encodeCbor(context).length + BESIDE_CONTEXT_BYTES;
  if (size > EVENT_BYTES_MAX) refuse("context", `expected at most ${EVENT_BYTES_MAX} bytes in the event, got ${size}`);
  return context;
}

function contextOfScope(scope: CertificateScope): Context {
  if (!("classDay" in scope)) return { tags: scope.tags.map(([tag, count, last]) => [tag, count, last]) };
  const { class: retentionClass, day, first, last, count } = scope.classDay;
  return { classDay: { class: retentionClass, day, first, last, count } };
}

/**
 * Reads the certificate in a `log.erasure` event, strictly. Not whether it is true: what it says of other entries is for
 * an audit, and that it is in the log for its receipt.
 *
 * @throws {EventError} `certificate-malformed`; `details.field` names the part.
 */
export function parseCertificate(event: Pick<TallyEvent, "type" | "context">): Certificate {
  if (event.type !== CERTIFICATE_TYPE) refuse("type", `expected ${CERTIFICATE_TYPE}`);
  return readCertificate(event.context ?? {});
}

/**
 * Whether a certificate covers the leaf at `index`: of its class and day, or of its person's tag and below `before`. The
 * person's tag is the subject's, else the actor's: the event is sealed under that person's key. None covers what the log
 * says of itself.
 */
export function coversLeaf({ scope, before }: Certificate, index: number, leaf: Leaf): boolean {
  if (isForEver(leaf)) return false;
  if ("classDay" in scope) return scope.classDay.class === leaf.class && scope.classDay.day === dayOf(leaf.loggedAt);
  const wanted = personTag(leaf);
  if (wanted === undefined || index >= before) return false;
  const tag = encodeHex(wanted);
  return scope.tags.some(([listed]) => listed === tag);
}

/**
 * The tag of the person whom an entry is about; `undefined` where it is about nobody. What the log says of itself is
 * nobody's to erase: else whoever read could have the record of it destroyed.
 */
export function personTag(leaf: Pick<Leaf, "class" | "subject" | "actor">): Uint8Array | undefined {
  return isForEver(leaf) ? undefined : (leaf.subject ?? leaf.actor)?.tag;
}

/** Of the class that no rules let end: it says who read, erased and held what, and by which rules. */
export function isForEver(leaf: Pick<Leaf, "class">): boolean {
  return leaf.class === "log";
}

/** Whether the log says it of itself: such entries stand in a signed stream, under its class. */
export function isOwnLeaf(leaf: Pick<Leaf, "class" | "sequence">): boolean {
  return leaf.sequence !== null && isForEver(leaf);
}

/** Whether entries of a class may be among those that were sealed anew before the keys went. */
export function mayKeep({ kept = [] }: Pick<Certificate, "kept">, retentionClass: string): boolean {
  // Of more classes than a certificate names the smallest stand together, under another name.
  return kept.length === CERTIFICATE_LIMITS.keptMax || kept.some(([name]) => name === retentionClass);
}

const FIELDS = [
  "request",
  "ground",
  "state",
  "before",
  "scope",
  "keys",
  "finalOn",
  "part",
  "parts",
  "ordered",
  "kept",
  "by",
  "approvedBy",
] as const;

function readCertificate(context: Context): Certificate {
  const fields = membersOf("context", context, FIELDS);
  const state = oneOf("state", fields.state, ["ordered", "done"]);
  const before = integer("before", fields.before, { min: 0 });
  const certificate = {
    request: text("request", fields.request, isRequest, "a UUID of version 7 in lower case"),
    ground: textOf("ground", fields.ground, CERTIFICATE_LIMITS.groundCharsMax),
    state,
    before,
    scope: readScope(fields.scope, before),
    keys: readKeys(fields.keys),
    finalOn: text("finalOn", fields.finalOn, isDate, "a date as YYYY-MM-DD"),
    ...readParts(state, fields.part, fields.parts),
    ...readOrdered(state, fields.ordered),
    ...(fields.kept === undefined ? {} : { kept: readKept(fields.kept) }),
    ...readCredential("by", fields.by),
    ...readCredential("approvedBy", fields.approvedBy),
  };
  return certificate;
}

function readScope(value: ContextValue | undefined, before: number): CertificateScope {
  const { classDay, tags } = membersOf("scope", value, ["classDay", "tags"] as const);
  if ((classDay === undefined) === (tags === undefined)) refuse("scope", "expected either classDay or tags");
  return classDay === undefined ? { tags: readTags(tags, before) } : { classDay: readClassDay(classDay, before) };
}

function readClassDay(value: ContextValue, before: number): CertifiedClassDay {
  const field = "scope.classDay";
  const members = membersOf(field, value, ["class", "day", "first", "last", "count"] as const);
  const last = integer(`${field}.last`, members.last, { min: 0, max: before - 1 });
  const first = integer(`${field}.first`, members.first, { min: 0, max: last });
  return {
    class: readClass(`${field}.class`, members.class),
    day: integer(`${field}.day`, members.day, { min: 0, max: DAY_MAX }),
    first,
    last,
    count: integer(`${field}.count`, members.count, { min: first === last ? 1 : 2, max: last - first + 1 }),
  };
}

function readTags(value: ContextValue | undefined, before: number): CertifiedTag[] {
  const tags = list("scope.tags", value, CERTIFICATE_LIMITS.tagsMax).map((member, at): CertifiedTag => {
    const field = `scope.tags[${at}]`;
    const [tag, count, last] = tuple(field, member, 3);
    const lastIndex = integer(`${field}.last`, last, { min: 0, max: before - 1 });
    return [
      text(`${field}.tag`, tag, (digits) => isHexOf(digits, TAG_BYTES), "32 lower-case hex digits"),
      integer(`${field}.count`, count, { min: 1, max: lastIndex + 1 }),
      lastIndex,
    ];
  });
  refuseTwice(
    "scope.tags",
    tags.map(([tag]) => tag),
  );
  return tags;
}

function readKeys(value: ContextValue | undefined): string[] {
  const keys = list("keys", value, CERTIFICATE_LIMITS.keysMax).map((key, at) =>
    text(`keys[${at}]`, key, (digits) => isHexOf(digits, 32), "64 lower-case hex digits"),
  );
  if (keys.length === 0) refuse("keys", "expected at least one");
  refuseTwice("keys", keys);
  return keys;
}

function readParts(
  state: Certificate["state"],
  part: ContextValue | undefined,
  parts: ContextValue | undefined,
): Pick<Certificate, "part" | "parts"> {
  if (part === undefined && parts === undefined) return {};
  if (state === "done") refuse("parts", "expected none in done");
  const count = integer("parts", parts, { min: 1, max: CERTIFICATE_LIMITS.partsMax });
  return { part: integer("part", part, { min: 1, max: count }), parts: count };
}

function readOrdered(state: Certificate["state"], ordered: ContextValue | undefined): Pick<Certificate, "ordered"> {
  if (state === "done") return { ordered: integer("ordered", ordered, { min: 0 }) };
  if (ordered !== undefined) refuse("ordered", "expected in done only");
  return {};
}

function readKept(value: ContextValue): (readonly [string, number])[] {
  const kept = list("kept", value, CERTIFICATE_LIMITS.keptMax).map((member, at) => {
    const [retentionClass, count] = tuple(`kept[${at}]`, member, 2);
    return [readClass(`kept[${at}].class`, retentionClass), integer(`kept[${at}].count`, count, { min: 1 })] as const;
  });
  refuseTwice(
    "kept",
    kept.map(([retentionClass]) => retentionClass),
  );
  return kept;
}

function readCredential<Name extends "by" | "approvedBy">(
  name: Name,
  value: ContextValue | undefined,
): { readonly [name in Name]?: string } {
  if (value === undefined) return {};
  return { [name]: textOf(name, value, CERTIFICATE_LIMITS.credentialCharsMax) } as { readonly [name in Name]: string };
}

function readClass(field: string, value: ContextValue | undefined): string {
  return text(field, value, (word) => CLASS_PATTERN.test(word), "a retention class");
}

/** The members of a map that has these and no others. */
function membersOf<Name extends string>(
  field: string,
  value: ContextValue | undefined,
  names: readonly Name[],
): Readonly<Partial<Record<Name, ContextValue>>> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return refuse(field, "expected a map");
  const unknown = Object.keys(value).find((name) => !names.some((known) => known === name));
  if (unknown !== undefined) refuse(field, `expected no members but ${names.join(", ")}`);
  return value as Readonly<Partial<Record<Name, ContextValue>>>;
}

function list(field: string, value: ContextValue | undefined, max: number): readonly ContextValue[] {
  if (!isList(value)) return refuse(field, "expected a list");
  if (value.length > max) refuse(field, `expected at most ${max}, got ${value.length}`);
  return value;
}

function tuple(field: string, value: ContextValue | undefined, length: number): readonly ContextValue[] {
  if (!isList(value) || value.length !== length) return refuse(field, `expected a list of ${length}`);
  return value;
}

function integer(field: string, value: ContextValue | undefined, bounds: { min: number; max?: number }): number {
  const { min, max = Number.MAX_SAFE_INTEGER } = bounds;
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= min && value <= max) return value;
  const expected = bounds.max === undefined ? `at least ${min}` : `from ${min} to ${max}`;
  return refuse(field, `expected an integer ${expected}, got ${typeof value === "number" ? value : "none"}`);
}

function text(
  field: string,
  value: ContextValue | undefined,
  isFit: (text: string) => boolean,
  expected: string,
): string {
  return typeof value === "string" && isFit(value) ? value : refuse(field, `expected ${expected}`);
}

function textOf(field: string, value: ContextValue | undefined, charsMax: number): string {
  return text(field, value, (chars) => isTextOf(chars, charsMax), `1 to ${charsMax} characters of text on one line`);
}

function oneOf<Word extends string>(field: string, value: ContextValue | undefined, words: readonly Word[]): Word {
  return words.find((word) => word === value) ?? refuse(field, `expected one of ${words.join(", ")}`);
}

function isRequest(id: string): boolean {
  return isUuid(id) && UUID_V7.test(id);
}

/** A day that the calendar has. */
function isDate(date: string): boolean {
  const at = DATE.test(date) ? Date.parse(`${date}T00:00:00Z`) : Number.NaN;
  return !Number.isNaN(at) && new Date(at).toISOString().startsWith(date);
}

function isHexOf(digits: string, bytes: number): boolean {
  return digits.length === 2 * bytes && isHex(digits);
}

function refuseTwice(field: string, values: readonly string[]): void {
  const seen = new Set<string>();
  for (const value of values) {
    if (seen.has(value)) refuse(field, `${value} stands there twice`);
    seen.add(value);
  }
}

function isList(value: ContextValue | undefined): value is readonly ContextValue[] {
  return Array.isArray(value);
}

function refuse(field: string, message: string): never {
  throw new EventError("certificate-malformed", `${field}: ${message}`, { details: { field } });
}
