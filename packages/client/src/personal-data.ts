/** Leaving out what names people, unless it was asked for: an audit log needs stable ids, and keeps what it has for years. */
import type { Context, ContextValue } from "@tallystick/events";
import type { Report } from "./report.ts";

/**
 * What can be asked for. `names`: names of actor, subject and targets; `emails`: e-mail addresses in `reason` and `context`;
 * `logins`: login names that nobody proved, as they were typed.
 */
export type KeptData = "names" | "emails" | "logins";

export interface LeaveOutOptions {
  readonly keep: ReadonlySet<KeptData>;
  readonly hashLogin: (name: string) => string;
}

/** Stands where an e-mail address was. */
const LEFT_OUT = "[e-mail]";
/** Bounded on both sides of the sign, so that a long text takes linear time. */
const EMAIL = /[^\s@<>()[\]",;:]{1,64}@[^\s@<>()[\]",;:]{1,255}/gu;
const HASHED = /^[0-9a-f]{64}$/;

/**
 * The report without names and e-mail addresses, with an unproved login name as a keyed hash. Ids of others stay: they
 * are what the log is searched by. What is not there, or not of its type, stays too.
 */
export function leaveOutPersons(report: Report, { keep, hashLogin }: LeaveOutOptions): Report {
  let left = report;
  if (!keep.has("names")) left = withoutNames(left);
  if (!keep.has("logins")) left = withHashedLogins(left, hashLogin);
  if (!keep.has("emails")) left = withoutEmails(left);
  return left;
}

function withoutNames(report: Report): Report {
  const { actor, subject, targets } = report;
  const namedTargets = isList(targets) && targets.some(isNamed) ? targets : undefined;
  if (!isNamed(actor) && !isNamed(subject) && namedTargets === undefined) return report;
  return {
    ...report,
    ...(isNamed(actor) ? { actor: nameless(actor) } : {}),
    ...(isNamed(subject) ? { subject: nameless(subject) } : {}),
    ...(namedTargets === undefined ? {} : { targets: namedTargets.map(nameless) }),
  };
}

function isNamed(party: unknown): party is { readonly name: unknown } {
  return typeof party === "object" && party !== null && "name" in party;
}

function nameless<T>(party: T): T {
  return isNamed(party) ? { ...party, name: undefined } : party;
}

/** Array.isArray() takes no list that is read-only for one. */
function isList<T>(value: readonly T[] | undefined): value is readonly T[] {
  return Array.isArray(value);
}

function withHashedLogins(report: Report, hashLogin: (name: string) => string): Report {
  const { actor, subject } = report;
  if (!isUnproved(actor) && !isUnproved(subject)) return report;
  return {
    ...report,
    ...(isUnproved(actor) ? { actor: { ...actor, id: hashLogin(actor.id) } } : {}),
    ...(isUnproved(subject) ? { subject: { ...subject, id: hashLogin(subject.id) } } : {}),
  };
}

function isUnproved<T extends { readonly type?: string | undefined; readonly id: string }>(
  party: T | undefined,
): party is T {
  return party?.type === "unverified" && typeof party.id === "string" && party.id !== "" && !HASHED.test(party.id);
}

function withoutEmails(report: Report): Report {
  const reason = typeof report.reason === "string" ? masked(report.reason) : report.reason;
  const context = isObject(report.context) ? maskedMap(report.context) : report.context;
  return reason === report.reason && context === report.context ? report : { ...report, reason, context };
}

function masked(text: string): string {
  return text.includes("@") ? text.replaceAll(EMAIL, LEFT_OUT) : text;
}

/** The same object where nothing in it changes. Deeper than any event may be, nobody looks. */
function maskedMap(map: Context, depth: number = 0): Context {
  const entries = Object.entries(map).map(([key, value]) => [masked(key), maskedValue(value, depth)] as const);
  const isSame = Object.keys(map).every((key, at) => entries[at]?.[0] === key && entries[at]?.[1] === map[key]);
  return isSame ? map : Object.fromEntries(entries);
}

const DEPTH_MAX = 16;

function maskedValue(value: ContextValue, depth: number): ContextValue {
  if (typeof value === "string") return masked(value);
  if (depth === DEPTH_MAX) return value;
  if (Array.isArray(value)) return maskedList(value, depth + 1);
  return isObject(value) ? maskedMap(value, depth + 1) : value;
}

function maskedList(list: readonly ContextValue[], depth: number): readonly ContextValue[] {
  const copy = list.map((value) => maskedValue(value, depth));
  return copy.every((value, at) => value === list[at]) ? list : copy;
}

/** A plain one: an instance of a class is refused later, and must not pass as a copy of itself. */
function isObject(value: unknown): value is Context {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}
