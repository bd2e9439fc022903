/** What belongs to one request: its source, the token as it is now, its session, its way to the log. One per request. */
import type { Operation, OperationReport, RecordOptions, Recorded, Report, Tallystick } from "@tallystick/client";
import { type Context, assertOptionNames } from "@tallystick/events";
import type { Source } from "./kept-session.ts";
import { type RequestFacts, isEncrypted, parseTrustProxy, sourceOf } from "./request-facts.ts";
import { type CookieOptions, type ShownToken, assertCookieOptions, shownToken } from "./session-cookie.ts";
import type { SessionInfo } from "./sessions.ts";

export interface AuditOptions {
  /**
   * How many proxies of yours are in front; 0 by default. Only they are believed about the client's address and
   * whether the connection is encrypted: one too many, and a forged address gets into a permanent record.
   */
  readonly trustProxy?: number | undefined;
  /** How the session's cookie looks. */
  readonly cookie?: CookieOptions | undefined;
}

/** {@link AuditOptions}, checked and complete. */
export interface HttpSettings {
  readonly trustProxy: number;
  readonly cookie: CookieOptions;
}

/** The part of a `Tallystick` that requests report by. */
export type AuditLog = Pick<Tallystick, "record" | "audit">;

/**
 * The way to the log for one request. Into each event it fills source and operation, and where the request is in a
 * session, actor, session and tenant; what the event says itself comes first.
 */
export interface RequestAudit {
  /** Joins all events of this request. */
  readonly operation: string;
  readonly source: Source;
  record(event: Report, options?: RecordOptions): Promise<Recorded>;
  /** The attempt before, the outcome after; see `tally.audit`. */
  audit<T>(event: OperationReport, work: (operation: Operation) => T | Promise<T>): Promise<T>;
}

const DEFAULTS: HttpSettings = { trustProxy: 0, cookie: {} };

export const AUDIT_OPTIONS: Readonly<Record<keyof AuditOptions, true>> = { trustProxy: true, cookie: true };

/** What `audit(log, options)` goes by. @throws {TypeError | RangeError} */
export function auditSettings(log: AuditLog, options: AuditOptions): HttpSettings {
  assertLog("audit", log);
  assertOptionNames("", options, AUDIT_OPTIONS);
  return resolveAuditOptions(options);
}

/** @throws {TypeError} Said where it is given, not at the first request. */
export function assertLog(name: string, log: { readonly record: unknown }): void {
  if (typeof (log as Partial<AuditLog> | undefined)?.record === "function") return;
  throw new TypeError(
    `${name}: expected what createTallystick gives, got ${log === undefined ? "nothing" : typeof log}`,
  );
}

/** @throws {TypeError | RangeError} */
export function resolveAuditOptions({ trustProxy = 0, cookie = {} }: AuditOptions): HttpSettings {
  assertCookieOptions(cookie);
  return { trustProxy: parseTrustProxy(trustProxy), cookie };
}

export class RequestState {
  readonly facts: RequestFacts;
  readonly source: Source;
  readonly cookie: CookieOptions;
  /** Whether the browser's connection is. */
  readonly encrypted: boolean;
  /** The token that opens the session now: a rotated one takes the place of what the request brought. */
  shown: ShownToken | undefined;
  session: SessionInfo | undefined;
  /** When the guard let it in, by the store's clock: to the second, and never too early. */
  guardedAt: number | undefined;
  /** What the guard asked for beyond a session that is alive: events say so, for the replay of the log. */
  need: Context | undefined;
  /** What was answered last, by whichever guard. */
  latest: object | undefined;
  audit: RequestAudit | undefined;

  constructor(facts: RequestFacts, { trustProxy, cookie }: HttpSettings = DEFAULTS) {
    this.facts = facts;
    this.source = sourceOf(facts, trustProxy);
    this.cookie = cookie;
    this.encrypted = isEncrypted(facts, trustProxy);
    this.shown = shownToken(facts, cookie, this.encrypted);
  }
}

/** On the request itself: a map of requests, weak or not, costs more at each collection of garbage than all else here. */
const STATE: unique symbol = Symbol("tallystick.request");

interface Stateful {
  [STATE]?: RequestState;
}

/** The state of a request, by the object that stands for it in its framework. */
export function requestState(request: object, factsOf: () => RequestFacts): RequestState {
  const stateful: Stateful = request;
  return (stateful[STATE] ??= new RequestState(factsOf()));
}

/** From where a request came, where {@link passOn} was given the object by which it is known. */
export function knownSource(request: object | undefined): Source | undefined {
  const stateful: Stateful | undefined = request;
  return stateful?.[STATE]?.source;
}

/** Lets {@link knownSource} tell what `audit` knows of a request to whoever is handed no more than `passed`. */
export function passOn(request: object, passed: object): void {
  const { [STATE]: state }: Stateful = request;
  const stateful: Stateful = passed;
  if (state !== undefined) stateful[STATE] = state;
}

/** Begins a request's state with its way to the log. */
export function beginAudit(
  request: object,
  facts: RequestFacts,
  { log, settings }: { readonly log: AuditLog; readonly settings: HttpSettings },
): RequestAudit {
  const state = new RequestState(facts, settings);
  const stateful: Stateful = request;
  stateful[STATE] = state;
  const audit = createRequestAudit(log, state);
  state.audit = audit;
  return audit;
}

/** @throws {TypeError} `audit(tally)` is not before whatever asks. */
export function auditOfRequest(request: object): RequestAudit {
  const audit = (request as Stateful)[STATE]?.audit;
  if (audit === undefined) throw new TypeError("auditOf: expected audit(tally) to be used before this");
  return audit;
}

/** @throws {TypeError} No guard is before whatever asks. */
export function sessionOfRequest(request: object): SessionInfo {
  const session = (request as Stateful)[STATE]?.session;
  if (session === undefined) throw new TypeError("sessionOf: expected guard(sessions) to be used before this");
  return session;
}

function createRequestAudit(log: AuditLog, state: RequestState): RequestAudit {
  const operation = crypto.randomUUID();
  const filled = <Event extends OperationReport>(event: Event): Event => {
    const { need, guardedAt } = state;
    const base = { ...known(state), operation, ...event };
    if (need === undefined || guardedAt === undefined) return base;
    return { ...base, context: { ...need, guardedAt, ...event.context } };
  };
  return {
    operation,
    source: state.source,
    record: async (event, options) => log.record(filled(event), options),
    audit: async (event, work) => log.audit(filled(event), work),
  };
}

function known({ source, session }: RequestState): Partial<Report> {
  const about = Object.keys(source).length === 0 ? {} : { source };
  if (session === undefined) return about;
  const { user, auditId, tenant } = session;
  return {
    ...about,
    actor: { type: "user", id: user },
    session: { id: auditId },
    ...(tenant === undefined ? {} : { tenant }),
  };
}
