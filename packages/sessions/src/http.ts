/**
 * The guard without a framework: facts of a request in, whether it may be served and which headers go with the answer out.
 *
 * Requests bring `Tallystick-Activity: background` where nobody is there, and `user` where somebody is (which counts
 * where only explicit activity does). Answers bring `Tallystick-Session-Remaining` in seconds, no timestamps, as the
 * clocks of browsers differ, and close to the end `Tallystick-Session-Warning`: `extend`, or `sign-in` where nothing
 * but that helps.
 */
import { type Context, assertOptionNames } from "@tallystick/events";
import type { Verdict } from "./decide.ts";
import { type Duration, parseDuration } from "./duration.ts";
import { type HttpHeaders, type Refusal, refusal, refusalOfError, refusalOfVerdict } from "./http-problem.ts";
import { type RequestFacts, targetOf } from "./request-facts.ts";
import type { RequestState } from "./request-state.ts";
import { removalHeaders, tokenHeaders } from "./session-cookie.ts";
import type { CheckOptions, Checked, ReauthOptions, SessionInfo, Sessions, StartOptions, Started } from "./sessions.ts";

export interface GuardOptions {
  /**
   * What is behind this guard is of this class: the rest of the session comes under its limits too. The limits have to know
   * it when the guard is made.
   */
  readonly class?: string | undefined;
  /** Asks for an authentication that is not older, by these factors where there are any; else 401 `reauth-required`. */
  readonly reauth?: { readonly maxAge: Duration; readonly factors?: readonly string[] | undefined } | undefined;
  /**
   * `false`: what is asked for here keeps no session alive; `true`: all of it does. By default all does but what browsers
   * do by themselves: prefetch, an EventSource's connections, WebSockets, and what says that it is in the background.
   */
  readonly activity?: boolean | ((request: RequestFacts) => boolean) | undefined;
}

/** Served with these headers, or refused. */
export type GuardAnswer =
  | {
      readonly served: true;
      readonly session: SessionInfo;
      readonly headers: HttpHeaders;
      /** The new token, where it was rotated: it is in the headers. */
      readonly token: string | undefined;
    }
  | ({ readonly served: false } & Refusal);

export const GUARD_OPTIONS: Readonly<Record<keyof GuardOptions, true>> = { class: true, reauth: true, activity: true };

export const ACTIVITY_HEADER = "tallystick-activity";
const REMAINING_HEADER = "tallystick-session-remaining";
const WARNING_HEADER = "tallystick-session-warning";
/** What each answer about the session says anew, or no more: a guard, or a handler, after another has the last word. */
export const STATUS_HEADERS: readonly string[] = [REMAINING_HEADER, WARNING_HEADER];

/** @throws {TypeError | RangeError} Said where the guard is made, not at the first request. */
export function assertGuard(
  sessions: Sessions,
  options: GuardOptions,
  names: Readonly<Record<string, true>> = GUARD_OPTIONS,
): void {
  assertSessions("guard", sessions);
  assertOptionNames("", options, names);
  const { class: name, reauth, activity } = options;
  if (name !== undefined) sessions.assertClass(name);
  if (reauth !== undefined) assertReauth(reauth);
  if (activity !== undefined && typeof activity !== "boolean" && typeof activity !== "function") {
    throw new TypeError(`activity: expected true, false or a function, got ${JSON.stringify(activity)}`);
  }
}

/** @throws {TypeError} Said where it is used, not at the first request. */
export function assertSessions(name: string, sessions: Sessions | undefined): void {
  if (typeof (sessions as Partial<Sessions> | undefined)?.check === "function") return;
  throw new TypeError(
    `${name}: expected what createSessions gives, got ${sessions === undefined ? "nothing" : typeof sessions}`,
  );
}

function assertReauth(reauth: NonNullable<GuardOptions["reauth"]>): void {
  assertOptionNames("reauth", reauth, { maxAge: true, factors: true });
  parseDuration("reauth.maxAge", reauth.maxAge);
  const { factors = [] } = reauth;
  if (Array.isArray(factors) && factors.every((factor) => typeof factor === "string")) return;
  throw new TypeError(`reauth.factors: expected a list such as ["otp"], got ${JSON.stringify(factors)}`);
}

/** Decides whether a request may be served. Without an answer of the store it may not. */
export async function guardRequest(
  sessions: Sessions,
  state: RequestState,
  options: GuardOptions & Pick<CheckOptions, "rotate">,
): Promise<GuardAnswer> {
  const { shown, facts, source } = state;
  if (shown === undefined) return { served: false, ...refusal("session-required") };
  const wish: CheckOptions = {
    source,
    activity: activityOf(facts, options.activity),
    class: options.class,
    reauth: options.reauth,
    target: options.reauth === undefined ? undefined : targetOf(facts),
    rotate: options.rotate,
  };
  const answer = await answered(state, async () => sessions.check(shown.token, wish));
  if (answer.served && options.reauth !== undefined) state.need = needOf(options.reauth);
  return answer;
}

/** What a replay of the log holds the user's last authentication against. */
function needOf({ maxAge, factors = [] }: NonNullable<GuardOptions["reauth"]>): Context {
  const reauthMaxAgeSeconds = Math.floor(parseDuration("reauth.maxAge", maxAge) / 1000);
  return factors.length === 0 ? { reauthMaxAgeSeconds } : { reauthMaxAgeSeconds, reauthFactors: [...factors] };
}

/** The answer to what one of the verbs says about the session of a request. */
export async function answered(state: RequestState, ask: () => Promise<Checked>): Promise<GuardAnswer> {
  let checked: Checked;
  try {
    checked = await ask();
  } catch (error) {
    const refused = refusalOfError(error);
    if (refused === undefined) throw error;
    return latest(state, { served: false, ...refused });
  }
  const headers = [...rotationHeaders(state, checked), ...remainingHeaders(checked)];
  if (checked.kind !== "ok" || checked.session === undefined) {
    const refused = checked.kind === "ok" ? refusal("session-state-unavailable") : refusalOfVerdict(checked);
    return latest(state, { served: false, ...refused, headers: [...refused.headers, ...headers] });
  }
  state.session = checked.session;
  state.guardedAt = checked.deadlineAt - checked.remainingSeconds * 1000;
  return latest(state, { served: true, session: checked.session, headers, token: checked.token });
}

/**
 * The headers of an answer that still hold when the handler is done: a guard behind, or the handler, may have brought a
 * newer token, or tightened the limits.
 */
export function headersAfter(state: RequestState, answer: Extract<GuardAnswer, { served: true }>): HttpHeaders {
  const isLatest = state.latest === answer;
  const isCurrent = state.shown?.token === answer.token;
  return answer.headers.filter(([name]) => (STATUS_HEADERS.includes(name) ? isLatest : isCurrent));
}

/** Begins a session for whoever just signed in; the headers take the token to the browser. */
export async function startForRequest(
  sessions: Sessions,
  state: RequestState,
  options: Omit<StartOptions, "source">,
): Promise<{ readonly started: Started; readonly headers: HttpHeaders }> {
  const { shown: before, source } = state;
  // The browser forgets the token of the session before: nobody is to go on with that, nor to have planted it.
  if (before !== undefined) await sessions.end(before.token, { source });
  const started = await sessions.start({ ...options, source });
  const { token, session, verdict } = started;
  state.session = session;
  state.shown = { token, carrier: "cookie" };
  state.latest = undefined;
  return { started, headers: [...newTokenHeaders(state, token), ...remainingHeaders(verdict)] };
}

/** Tells that the user of a request showed again who he is, or tried to. */
export async function reauthForRequest(
  sessions: Sessions,
  state: RequestState,
  options: Omit<ReauthOptions, "source">,
): Promise<GuardAnswer> {
  const { shown, source } = state;
  if (shown === undefined) return { served: false, ...refusal("session-required") };
  return answered(state, async () => sessions.reauth(shown.token, { ...options, source }));
}

/** Ends the session of a request, if it has one that is alive. */
export async function endForRequest(sessions: Sessions, state: RequestState): Promise<HttpHeaders> {
  const { shown, source } = state;
  if (shown === undefined) return [];
  await sessions.end(shown.token, { source });
  state.session = undefined;
  state.shown = undefined;
  state.latest = undefined;
  return shown.carrier === "cookie" ? removalHeaders(state.cookie, state.encrypted) : [];
}

/** Whether a request keeps the session alive; `undefined` where that is for the mode to say. */
export function activityOf(facts: RequestFacts, activity: GuardOptions["activity"]): boolean | undefined {
  const said = facts.header(ACTIVITY_HEADER)?.toLowerCase();
  if (said === "background" || isPrefetch(facts)) return false;
  const wanted = typeof activity === "function" ? activity(facts) : activity;
  if (wanted === false) return false;
  if (said === "user" || wanted === true) return true;
  return isLongLived(facts) ? false : undefined;
}

/** Fetched before anybody asked for it. Some browsers say so in a header of their own. */
function isPrefetch({ header }: RequestFacts): boolean {
  const purpose = header("sec-purpose") ?? header("purpose") ?? header("x-moz");
  return purpose !== undefined && /\bprefetch\b/i.test(purpose);
}

/** Browsers connect these again by themselves, for as long as the page is open. */
function isLongLived({ header }: RequestFacts): boolean {
  return (
    header("upgrade")?.toLowerCase() === "websocket" || header("accept")?.trim().toLowerCase() === "text/event-stream"
  );
}

function latest(state: RequestState, answer: GuardAnswer): GuardAnswer {
  state.latest = answer;
  return answer;
}

function rotationHeaders(state: RequestState, { token }: Checked): HttpHeaders {
  return token === undefined ? [] : newTokenHeaders(state, token);
}

function newTokenHeaders(state: RequestState, token: string): HttpHeaders {
  const carrier = state.shown?.carrier ?? "cookie";
  state.shown = { token, carrier };
  return tokenHeaders(token, carrier, state.cookie, state.encrypted);
}

function remainingHeaders(verdict: Verdict): HttpHeaders {
  if (verdict.kind !== "ok" && verdict.kind !== "reauth-required") return [];
  const { remainingSeconds, warning } = verdict;
  const remaining = [REMAINING_HEADER, String(remainingSeconds)] as const;
  if (warning === null) return [remaining];
  return [remaining, [WARNING_HEADER, warning.extendable ? "extend" : "sign-in"]];
}
