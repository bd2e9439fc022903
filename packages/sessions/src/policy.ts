/**
 * The document of session limits: everything that decides when a session ends, in one canonical text with one hash.
 *
 * The entry `session.policy` bears both, so that a replay decides by the very rules that were in force.
 */
import { createHash } from "node:crypto";
import { assertOptionNames, nearest } from "@tallystick/events";
import { type Duration, parseDuration } from "./duration.ts";
import { SessionError } from "./error.ts";
import {
  type LimitsOptions,
  PRESETS,
  type PartialLimits,
  type Preset,
  type SessionLimits,
  parseLimits,
  strictest,
} from "./limits.ts";

/** What counts as activity: every request but those in the background, or only those that say that somebody is there. */
export type ActivityMode = "requests" | "explicit";

/** How many sessions a user may have at once, and what happens to one more. */
export interface ConcurrentLimit {
  readonly max: number;
  readonly beyond: "deny-new" | "end-oldest";
}

export interface TenantOptions extends LimitsOptions {
  readonly classes?: Readonly<Record<string, LimitsOptions>> | undefined;
}

export interface SessionPolicyOptions extends LimitsOptions {
  /** Where idle and absolute begin: "aal1", "aal2" (the default) or "aal3". What is given beside it takes its place. */
  readonly preset?: Preset | undefined;
  /** Limits of what is more sensitive, by the name of the class. */
  readonly classes?: Readonly<Record<string, LimitsOptions>> | undefined;
  /** Limits of customers who want it stricter, by the tenant's id. */
  readonly tenants?: Readonly<Record<string, TenantOptions>> | undefined;
  /** How long before the deadline the user is warned; "60s" by default, never under "20s". */
  readonly warning?: Duration | undefined;
  /** "requests" by default. */
  readonly activity?: ActivityMode | undefined;
  /** Off by default. */
  readonly concurrent?: ConcurrentLimit | undefined;
}

interface TenantLimits extends PartialLimits {
  readonly classes: Readonly<Record<string, PartialLimits>>;
}

/** What a document says. */
export interface SessionPolicy extends SessionLimits {
  readonly version: 1;
  readonly activity: ActivityMode;
  readonly classes: Readonly<Record<string, PartialLimits>>;
  readonly concurrent: ConcurrentLimit | null;
  readonly tenants: Readonly<Record<string, TenantLimits>>;
  readonly warningMs: number;
}

/** A document that is in force, and since when. */
export interface PolicyInForce {
  readonly policy: SessionPolicy;
  /** SHA-256 of the document's text, in hex. */
  readonly hash: string;
  /** When it came into force, by the store's clock. */
  readonly since: number;
}

export const DEFAULT_CLASS = "default";
/** WCAG 2.2.1: twenty seconds to extend a time limit with one simple action. */
export const WARNING_MS_MIN = 20_000;
const WARNING_MS = 60_000;
/** The SDK cuts context above 8 KiB, and a document that is cut proves nothing. */
const DOCUMENT_BYTES_MAX = 7168;
const NAME_CHARS_MAX = 32;
const NAME = /^[a-z][a-z0-9-]{0,31}$/;

/** @throws {TypeError | RangeError} An option is not what it should be. */
export function parsePolicyOptions(options: SessionPolicyOptions): SessionPolicy {
  const preset = PRESETS[options.preset ?? "aal2"];
  if (preset === undefined) throw new TypeError(`preset: expected aal1, aal2 or aal3, got ${show(options.preset)}`);
  const own = parseLimits("", options);
  const policy: SessionPolicy = {
    version: 1,
    // The preset is where limits begin, not one of those that compete: "none" and longer ones take its place too.
    idleMs: options.idle === undefined ? preset.idleMs : own.idleMs,
    absoluteMs: own.absoluteMs ?? preset.absoluteMs,
    activity: activityOf(options.activity ?? "requests"),
    classes: parseClasses("classes", options.classes ?? {}),
    concurrent: concurrentOf(options.concurrent),
    tenants: mapValues(options.tenants ?? {}, parseTenant),
    warningMs: warningOf(options.warning),
  };
  const bytes = Buffer.byteLength(formatPolicy(policy));
  if (bytes > DOCUMENT_BYTES_MAX) {
    const text = `expected a document of at most ${DOCUMENT_BYTES_MAX} bytes, got ${bytes}: let tenants share classes`;
    throw new RangeError(`classes, tenants: ${text}`);
  }
  return policy;
}

/** The document's text: JSON without blanks, names sorted by their UTF-16 units (RFC 8785, of which this needs no more). */
export function formatPolicy(policy: SessionPolicy): string {
  return canonicalJson(policy);
}

/** SHA-256 of a document's text, in hex: `sha256sum` says the same. */
export function hashPolicy(document: string): string {
  return createHash("sha256").update(document, "utf8").digest("hex");
}

/**
 * Reads a document that {@link formatPolicy} wrote.
 *
 * @throws {SessionError} `session-state-corrupt`: it is another text, if only by a blank.
 */
export function parsePolicyDocument(document: string): SessionPolicy {
  try {
    const policy = checked(JSON.parse(document));
    if (formatPolicy(policy) === document) return policy;
  } catch (cause) {
    throw new SessionError("session-state-corrupt", "session limits: expected a document of version 1", { cause });
  }
  throw new SessionError("session-state-corrupt", "session limits: expected a document in its canonical form");
}

/** Whom limits are asked for. */
export interface LimitsOf {
  readonly tenant?: string | undefined;
  /** Every class that the session came under. */
  readonly classes: readonly string[];
}

/** The strictest of default, tenant and classes. A class that a document does not name adds nothing. */
export function limitsFor(policy: SessionPolicy, { tenant, classes }: LimitsOf): SessionLimits {
  const ofTenant = tenant === undefined ? undefined : own(policy.tenants, tenant);
  const others = [
    ofTenant,
    ...classes.map((name) => own(policy.classes, name)),
    ...classes.map((name) => (ofTenant === undefined ? undefined : own(ofTenant.classes, name))),
  ];
  return strictest(policy, ...others.filter((limits) => limits !== undefined));
}

/**
 * Refuses the name of a class that neither a document nor a tenant in it knows.
 *
 * @throws {RangeError} It says which there are, or the one that was likely meant.
 */
export function assertClass({ classes, tenants }: SessionPolicy, name: string): void {
  const names = [DEFAULT_CLASS, ...Object.keys(classes)];
  if (names.includes(name)) return;
  const known = [...new Set([...names, ...Object.values(tenants).flatMap((tenant) => Object.keys(tenant.classes))])];
  if (known.includes(name)) return;
  const isName = typeof name === "string" && name.length <= NAME_CHARS_MAX;
  const meant = isName ? nearest(name.toLowerCase(), known, 2) : undefined;
  const hint = meant === undefined ? "" : `: did you mean ${meant}?`;
  throw new RangeError(`class: expected one of ${known.join(", ")}, got ${show(name)}${hint}`);
}

/** How long before a deadline to warn, under these limits: a session that may be idle for a minute is not warned always. */
export function warningMsOf({ warningMs }: SessionPolicy, { idleMs, absoluteMs }: SessionLimits): number {
  const shorter = Math.min(idleMs ?? absoluteMs, absoluteMs);
  return Math.max(WARNING_MS_MIN, Math.min(warningMs, Math.floor(shorter / 2)));
}

/** Names come from outside: "constructor" is no class. */
function own<Value>(values: Readonly<Record<string, Value>>, name: string): Value | undefined {
  return Object.hasOwn(values, name) ? values[name] : undefined;
}

function parseTenant(tenant: TenantOptions, name: string): TenantLimits {
  // The SDK leaves e-mail addresses out of events, and the document would no longer have its hash.
  if (name.includes("@")) throw new TypeError(`tenants: expected ids that are no e-mail addresses, got ${show(name)}`);
  assertOptionNames(`tenants.${name}`, tenant, { idle: true, absolute: true, classes: true });
  const classes = parseClasses(`tenants.${name}.classes`, tenant.classes ?? {});
  return { ...parseLimits(`tenants.${name}.`, tenant), classes };
}

function parseClasses(name: string, classes: Readonly<Record<string, LimitsOptions>>): Record<string, PartialLimits> {
  return mapValues(classes, (limits, key) => {
    if (!NAME.test(key)) throw new TypeError(`${name}: expected names of a-z, 0-9 and -, got ${show(key)}`);
    if (key === DEFAULT_CLASS) throw new TypeError(`${name}: expected the limits of "default" beside classes`);
    assertOptionNames(`${name}.${key}`, limits, { idle: true, absolute: true });
    return parseLimits(`${name}.${key}.`, limits);
  });
}

function activityOf(mode: ActivityMode): ActivityMode {
  if (mode === "requests" || mode === "explicit") return mode;
  throw new TypeError(`activity: expected requests or explicit, got ${show(mode)}`);
}

function concurrentOf(concurrent: ConcurrentLimit | undefined): ConcurrentLimit | null {
  if (concurrent === undefined) return null;
  assertOptionNames("concurrent", concurrent, { max: true, beyond: true });
  const { max, beyond } = concurrent;
  if (!Number.isSafeInteger(max) || max < 1 || max > 1000) {
    throw new RangeError(`concurrent.max: expected a whole number from 1 to 1000, got ${show(max)}`);
  }
  if (beyond === "deny-new" || beyond === "end-oldest") return { max, beyond };
  throw new TypeError(`concurrent.beyond: expected deny-new or end-oldest, got ${show(beyond)}`);
}

function warningOf(warning: Duration | undefined): number {
  const ms = warning === undefined ? WARNING_MS : parseDuration("warning", warning);
  if (ms >= WARNING_MS_MIN) return ms;
  throw new RangeError(`warning: expected 20s or more, as WCAG 2.2.1 asks for, got ${show(warning)}`);
}

/** The shape of a document from elsewhere; its canonical form is compared by the caller. */
function checked(value: unknown): SessionPolicy {
  const policy = value as SessionPolicy;
  const numbers = [policy.absoluteMs, policy.warningMs];
  const limits = [policy, ...Object.values(policy.classes), ...Object.values(policy.tenants)];
  const inner = Object.values(policy.tenants).flatMap(({ classes }) => Object.values(classes));
  const isWhole = (number: unknown): boolean => number === null || (Number.isSafeInteger(number) && Number(number) > 0);
  const known =
    policy.version === 1 &&
    numbers.every((number) => Number.isSafeInteger(number)) &&
    [...limits, ...inner].every(({ idleMs, absoluteMs }) => isWhole(idleMs) && isWhole(absoluteMs));
  if (!known) throw new TypeError("expected limits in whole milliseconds");
  activityOf(policy.activity);
  concurrentOf(policy.concurrent ?? undefined);
  return policy;
}

function mapValues<In, Out>(
  values: Readonly<Record<string, In>>,
  map: (value: In, name: string) => Out,
): Record<string, Out> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, map(value, name)]));
}

/** Not by way of a sorted object: that has names like "10" before all others, whatever the order they were put in. */
function canonicalJson(value: unknown): string {
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const fields = Object.entries(value).toSorted(([one], [other]) => (one < other ? -1 : 1));
  return `{${fields.map(([name, field]) => `${JSON.stringify(name)}:${canonicalJson(field)}`).join(",")}}`;
}

function show(value: unknown): string {
  return JSON.stringify(value) ?? String(value);
}
