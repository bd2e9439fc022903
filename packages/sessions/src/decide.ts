/**
 * What becomes of a session: one pure function, for the guard, the sweeper and the replay alike.
 *
 * deadline = min(lastActivityAt + idle, startedAt + absolute), and reaching it is being over. No clock, no randomness, no
 * I/O: the time is that of the store, tokens come in as hashes.
 */
import type { Target } from "@tallystick/events";
import type { SessionEntry, SessionEntryType } from "./entry.ts";
import { sameLimits, strictest } from "./limits.ts";
import { DEFAULT_CLASS, type PolicyInForce, limitsFor, warningMsOf } from "./policy.ts";
import {
  type LateUses,
  type LimitReason,
  type SessionEnd,
  type SessionState,
  type TokenHash,
  type WishReason,
  absoluteAtOf,
  boundOf,
  deadlineOf,
  lateUsesDueAt,
} from "./state.ts";

/** For how long a token that was replaced still opens the session: requests that were under way bear it. */
export const TOKEN_GRACE_MS = 10_000;
const ACTIVITY_INTERVAL_MS_MAX = 60_000;
/** Replaced tokens that are remembered: more than that within the grace is no user. */
const TOKENS_MAX = 8;

/** Asks that the user was authenticated lately. */
export interface ReauthNeed {
  readonly maxAgeMs: number;
  /** Factors that must have been shown since then, all of them. */
  readonly factors?: readonly string[] | undefined;
}

/** What every input may bring. */
interface Common {
  /** The hash of the token that was shown. Without one, the caller has made sure by himself whose session it is. */
  readonly token?: string | undefined;
  /** The document in force. */
  readonly policy?: PolicyInForce | undefined;
  /** From where: a hash, to compare. */
  readonly place?: string | undefined;
  /** The hash of a token made beforehand: where a step gives a new one, it is this. */
  readonly nextToken?: string | undefined;
}

export interface StartInput {
  readonly type: "start";
  readonly id: string;
  readonly user: string;
  readonly tenant?: string | undefined;
  readonly class?: string | undefined;
  readonly factors?: readonly string[] | undefined;
  readonly token?: string | undefined;
  readonly policy: PolicyInForce;
  readonly place?: string | undefined;
}

export interface RequestInput extends Common {
  readonly type: "request";
  /** `false`: in the background, which keeps no session alive. */
  readonly activity: boolean;
  /** What is asked for is of this class. */
  readonly class?: string | undefined;
  readonly reauth?: ReauthNeed | undefined;
  /** What is asked for, for the entry where it is refused. */
  readonly target?: Target | undefined;
}

export type SessionInput =
  | StartInput
  | RequestInput
  | (Common & { readonly type: "warned" | "extend" })
  | (Common & { readonly type: "reauth"; readonly factors: readonly string[]; readonly success: boolean })
  | (Common & { readonly type: "class"; readonly class: string })
  | (Common & { readonly type: "policy" })
  | (Common & { readonly type: "end"; readonly reason: WishReason; readonly by?: Party | undefined })
  | (Common & { readonly type: "sweep"; readonly detectedBy: "sweep" | "start" });

/** Who ended somebody's session. */
export interface Party {
  readonly type: string;
  readonly id: string;
}

export interface Warning {
  readonly remainingSeconds: number;
  /** Whether one action moves the deadline. Near the absolute limit only signing in again helps. */
  readonly extendable: boolean;
}

export interface Alive {
  readonly kind: "ok";
  readonly remainingSeconds: number;
  readonly deadlineAt: number;
  readonly extendable: boolean;
  readonly warning: Warning | null;
  /** The token that was made beforehand is the session's now. */
  readonly rotated: boolean;
  /** For `extend`: whether the deadline moved. */
  readonly extended: boolean;
}

export type Verdict =
  | Alive
  | { readonly kind: "expired"; readonly reason: LimitReason; readonly endedAt: number }
  | { readonly kind: "ended"; readonly reason: WishReason; readonly endedAt: number }
  | {
      readonly kind: "reauth-required";
      readonly factors: readonly string[];
      readonly maxAgeSeconds: number;
      readonly remainingSeconds: number;
      readonly warning: Warning | null;
      /** Coming under a class replaced the token even so. */
      readonly rotated: boolean;
    }
  | { readonly kind: "unknown" };

export interface Decision {
  /** The same object where nothing changed. */
  readonly state: SessionState | null;
  readonly verdict: Verdict;
  readonly entries: readonly SessionEntry[];
}

/** A session on its way through a decision. */
interface Step {
  readonly state: SessionState;
  readonly entries: readonly SessionEntry[];
}

const UNKNOWN: Verdict = { kind: "unknown" };

/**
 * Decides what an input at the time `now` makes of a session, and what the log is told.
 *
 * A deadline that was reached comes before all else: nothing at or after it is ok, nothing but it ends the session then. Of
 * what has ended, nothing changes but the count of late uses.
 *
 * @param state - `null` where there is none. Then only `start` makes one.
 * @param now - Ms since 1970 by the store's clock. An earlier one than before counts as the one before.
 */
export function decide(state: SessionState | null, input: SessionInput, now: number): Decision {
  if (input.type === "start") return state === null ? start(input, now) : { state, verdict: UNKNOWN, entries: [] };
  if (state === null) return { state, verdict: UNKNOWN, entries: [] };
  const at = Math.max(now, state.at);
  if (!opens(state, input, at)) return { state, verdict: UNKNOWN, entries: [] };
  if (state.ended !== null) return afterEnd(state, state.ended, input, at);
  const step = underPolicy({ state, entries: [] }, input.policy, at);
  return at >= deadlineOf(step.state) ? timeout(step, input, at) : alive(step, input, at);
}

/** How much activity may stay unreported: a replay needs no more to tell that no gap was as long as the limit. */
export function activityIntervalMs({ limits: { idleMs } }: SessionState): number {
  return Math.min(ACTIVITY_INTERVAL_MS_MAX, Math.floor((idleMs ?? Infinity) / 10));
}

function start(input: StartInput, now: number): Decision {
  const { id, user, tenant, policy, place, token } = input;
  const classes = [input.class ?? DEFAULT_CLASS];
  const limits = limitsFor(policy.policy, { tenant, classes });
  const factors = input.factors ?? [];
  const state: SessionState = {
    version: 1,
    id,
    user,
    tenant: tenant ?? null,
    classes,
    startedAt: now,
    lastActivityAt: now,
    loggedActivityAt: now,
    authAt: now,
    factors: Object.fromEntries(factors.map((factor) => [factor, now])),
    limits,
    warningMs: warningMsOf(policy.policy, limits),
    limitsSince: now,
    policy: policy.hash,
    warnedFor: null,
    tokens: token === undefined ? [] : [{ hash: token, until: null }],
    place: place ?? null,
    ended: null,
    lateUses: { count: 0, loggedAt: null },
    at: now,
    entries: 0,
  };
  const context = { class: classes[0] ?? DEFAULT_CLASS, ...limits, startedAt: now, authAt: now, policy: policy.hash };
  const step = tell({ state, entries: [] }, now, "session.start", {
    context: factors.length === 0 ? context : { ...context, factors: [...factors] },
    factors,
  });
  return { ...step, verdict: aliveVerdict(step.state, now) };
}

function alive(step: Step, input: Exclude<SessionInput, StartInput>, at: number): Decision {
  switch (input.type) {
    case "request":
      return request(step, input, at);
    case "class":
      return request(step, { ...input, type: "request", activity: false }, at);
    case "extend":
      return extend(step, input, at);
    case "reauth":
      return reauth(step, input, at);
    case "warned":
      return warned(step, at);
    case "end":
      return end(step, input, at);
    case "policy":
    case "sweep":
      break;
  }
  return ok(step, at);
}

function request(step: Step, input: RequestInput, at: number): Decision {
  const entered = enterClass(step, input, at);
  // What is more sensitive has shorter limits, and by those the session may have been idle, or old, for too long.
  if (at >= deadlineOf(entered.state)) return timeout(entered, input, at);
  const shown = shownToken(entered.state, input);
  // A token that was replaced gets no new one: whoever stole it would be rid of the end that the replacement put to it.
  const rotates = entered !== step && input.nextToken !== undefined && (shown?.until ?? null) === null;
  const current = rotates ? rotate(entered, { to: input.nextToken, why: "class" }, at) : entered;
  // Also where this is a try again, of a store that did what it said it had not done.
  const rotated = input.nextToken !== undefined && current.state.tokens[0]?.hash === input.nextToken;
  const { reauth: need } = input;
  const missing = need === undefined || meets(current.state, { need, before: shown?.authBefore }, at) ? null : need;
  if (missing !== null) return denied(current, { ...input, missing, rotated }, at);
  return ok(input.activity ? active(current, input, at) : current, at, { rotated });
}

function extend(step: Step, input: Common, at: number): Decision {
  const { lastActivityAt: previousAt } = step.state;
  const before = deadlineOf(step.state);
  const isExtendable = extendable(step.state, at);
  const state = { ...step.state, at, lastActivityAt: at, place: input.place ?? step.state.place };
  const deadlineAt = deadlineOf(state);
  // Close to the absolute limit it is an activity like any other.
  if (!isExtendable || deadlineAt <= before) return ok(active(step, input, at), at);
  const moved = { ...step, state: { ...state, loggedActivityAt: at } };
  return ok(tell(moved, at, "session.extend", { context: { at, previousAt, deadlineAt } }), at, { extended: true });
}

function reauth(step: Step, input: Extract<SessionInput, { type: "reauth" }>, at: number): Decision {
  const { factors, success, nextToken } = input;
  const names = factors.length === 0 ? {} : { factors: [...factors] };
  if (!success) {
    return ok(tell(step, at, "session.reauth", { outcome: "failure", context: names, factors }), at);
  }
  const { lastActivityAt: previousAt } = step.state;
  const shown = Object.fromEntries(factors.map((factor) => [factor, at]));
  const state: SessionState = {
    ...step.state,
    at,
    authAt: at,
    lastActivityAt: at,
    loggedActivityAt: at,
    factors: { ...step.state.factors, ...shown },
    place: input.place ?? step.state.place,
  };
  const context = { authAt: at, previousAt, ...names };
  const told = tell({ ...step, state }, at, "session.reauth", { context, factors });
  const rotated = nextToken !== undefined;
  return ok(rotated ? rotate(told, { to: nextToken, why: "reauth" }, at) : told, at, { rotated });
}

/** The browser says that it showed the warning: once for each deadline. */
function warned(step: Step, at: number): Decision {
  const { state } = step;
  const deadlineAt = deadlineOf(state);
  if (state.warnedFor === deadlineAt || deadlineAt - at > state.warningMs) return ok(step, at);
  const marked = { ...step, state: { ...state, at, warnedFor: deadlineAt } };
  const context = { deadlineAt, remainingSeconds: seconds(deadlineAt - at), confirmed: true };
  return ok(tell(marked, at, "session.warning", { context }), at);
}

function end(step: Step, input: Extract<SessionInput, { type: "end" }>, at: number): Decision {
  const { reason, by } = input;
  const { lastActivityAt } = step.state;
  const ended: SessionEnd = { reason, at, detectedAt: at };
  const context = { at, lastActivityAt, ...(by === undefined ? {} : { by: by.id }) };
  const actor = by ?? (reason === "logout" ? "user" : "nobody");
  const told = tell({ ...step, state: { ...step.state, at, ended } }, at, "session.end", { reason, context, actor });
  return { ...told, verdict: { kind: "ended", reason, endedAt: at } };
}

/** The end by a limit, whoever notices it. */
function timeout(step: Step, input: Exclude<SessionInput, StartInput>, at: number): Decision {
  const { state } = step;
  const deadlineAt = deadlineOf(state);
  const reason = boundOf(state);
  const ended: SessionEnd = { reason, at: deadlineAt, detectedAt: at };
  const detectedBy = input.type === "sweep" ? input.detectedBy : "check";
  const context = { deadlineAt, lastActivityAt: state.lastActivityAt, detectedAt: at, detectedBy };
  const over = { ...step, state: { ...state, at, ended } };
  const told = tell(over, at, "session.timeout", { reason, context, actor: "nobody" });
  return { ...told, verdict: { kind: "expired", reason, endedAt: deadlineAt } };
}

/** Who uses what has ended gets to know how; the log is told once in a while, and how often: if need be by the sweeper. */
function afterEnd(state: SessionState, ended: SessionEnd, input: SessionInput, at: number): Decision {
  const { reason, at: endedAt } = ended;
  const verdict: Verdict =
    reason === "idle" || reason === "absolute"
      ? { kind: "expired", reason, endedAt }
      : { kind: "ended", reason, endedAt };
  const isUse = ["request", "extend", "reauth", "class"].includes(input.type);
  if (!isUse && input.type !== "sweep") return { state, verdict, entries: [] };
  const current = isUse ? { ...state, at, lateUses: withUse(state, input) } : state;
  if (at < lateUsesDueAt(current)) return { state: current, verdict, entries: [] };
  const { count, background = 0, elsewhere = false } = current.lateUses;
  const counted = { ...current, at, lateUses: { loggedAt: at, count: 0 } };
  const context = {
    endedAt,
    count,
    ...(background === 0 ? {} : { background }),
    critical: reason === "revoked" || elsewhere,
  };
  const told = tell({ state: counted, entries: [] }, at, "session.use_after_expiry", {
    outcome: "denied",
    reason,
    context,
    actor: "nobody",
  });
  return { ...told, verdict };
}

/** One more use after the end. What is critical stays so until the log knows, whoever comes next. */
function withUse({ lateUses, place }: SessionState, input: SessionInput): LateUses {
  const { count, background = 0, elsewhere = false, loggedAt } = lateUses;
  const isBackground = input.type === "request" && !input.activity;
  return {
    count: count + 1,
    background: background + Number(isBackground),
    elsewhere: elsewhere || (input.place !== undefined && place !== null && input.place !== place),
    loggedAt,
  };
}

/** A stricter document bites at once, a looser one is for new sessions. */
function underPolicy(step: Step, inForce: PolicyInForce | undefined, at: number): Step {
  const { state } = step;
  if (inForce === undefined || inForce.hash === state.policy) return step;
  const since = Math.min(Math.max(inForce.since, state.startedAt), at);
  // By then it was over, and no later document changes when.
  if (since >= deadlineOf(state)) return step;
  const limits = strictest(state.limits, limitsFor(inForce.policy, limitsOwner(state)));
  const warningMs = warningMsOf(inForce.policy, limits);
  const same = sameLimits(limits, state.limits);
  const limitsSince = same ? state.limitsSince : Math.max(since, state.limitsSince);
  const compared = { ...step, state: { ...state, at, policy: inForce.hash, limits, warningMs, limitsSince } };
  if (same) return compared;
  const context = { class: state.classes.at(-1) ?? DEFAULT_CLASS, ...limits, policy: inForce.hash, since: limitsSince };
  return tell(compared, at, "session.class", { reason: "policy", context, actor: "nobody" });
}

function enterClass(step: Step, input: RequestInput, at: number): Step {
  const { state } = step;
  const { class: name, policy } = input;
  if (name === undefined || name === DEFAULT_CLASS || policy === undefined || state.classes.includes(name)) return step;
  const classes = [...state.classes, name];
  const limits = strictest(state.limits, limitsFor(policy.policy, { ...limitsOwner(state), classes: [name] }));
  const warningMs = warningMsOf(policy.policy, limits);
  const limitsSince = sameLimits(limits, state.limits) ? state.limitsSince : at;
  const entered = { ...step, state: { ...state, at, classes, limits, warningMs, limitsSince } };
  return tell(entered, at, "session.class", { context: { class: name, ...limits, since: limitsSince } });
}

function active(step: Step, { place }: Common, at: number): Step {
  const { state } = step;
  if (at === state.lastActivityAt) return step;
  const previousAt = state.lastActivityAt;
  const moved = { ...state, at, lastActivityAt: at, place: place ?? state.place };
  if (at - state.loggedActivityAt < activityIntervalMs(state)) return { ...step, state: moved };
  const logged = { ...step, state: { ...moved, loggedActivityAt: at } };
  return tell(logged, at, "session.activity", { context: { previousAt, at } });
}

function rotate(step: Step, { to, why }: { to: string | undefined; why: "class" | "reauth" }, at: number): Step {
  if (to === undefined) return step;
  const since = why === "reauth" ? { authBefore: at } : {};
  const replaced = step.state.tokens
    .map((token): TokenHash => ({ ...since, ...token, until: token.until ?? at + TOKEN_GRACE_MS }))
    .filter(({ until }) => until === null || until > at);
  const tokens = [{ hash: to, until: null }, ...replaced].slice(0, TOKENS_MAX);
  return tell({ ...step, state: { ...step.state, at, tokens } }, at, "session.rotate", { context: { why } });
}

function denied(
  step: Step,
  input: { readonly missing: ReauthNeed; readonly target?: Target | undefined; readonly rotated: boolean },
  at: number,
): Decision {
  const { missing, target = { type: "route", id: "guarded" }, rotated } = input;
  const factors = missing.factors ?? [];
  const maxAgeSeconds = Math.floor(missing.maxAgeMs / 1000);
  const told = tell(step, at, "access.denied", {
    outcome: "denied",
    reason: "reauth-required",
    targets: [target],
    context: { maxAgeSeconds, authAt: step.state.authAt, ...(factors.length === 0 ? {} : { wanted: [...factors] }) },
  });
  const { remainingSeconds, warning } = aliveVerdict(told.state, at);
  return { ...told, verdict: { kind: "reauth-required", factors, maxAgeSeconds, remainingSeconds, warning, rotated } };
}

/** Whether a need is met, by authentications `before` a time where there is one: all of its factors count, or any. */
function meets(
  { authAt, factors }: SessionState,
  { need, before = Infinity }: { readonly need: ReauthNeed; readonly before: number | undefined },
  at: number,
): boolean {
  const shownAt = (factor: string): number =>
    Object.hasOwn(factors, factor) ? (factors[factor] ?? -Infinity) : -Infinity;
  const times = [authAt, ...(need.factors ?? []).map(shownAt)];
  return times.every((time) => time < before && at - time < need.maxAgeMs);
}

/** Whether the token that was shown, if one was, opens this session. */
function opens(state: SessionState, input: Common, at: number): boolean {
  if (input.token === undefined) return true;
  const shown = shownToken(state, input);
  return shown !== undefined && (shown.until === null || at < shown.until);
}

/** The session's own of the token that was shown. */
function shownToken({ tokens }: SessionState, { token }: Common): TokenHash | undefined {
  return token === undefined ? undefined : tokens.find(({ hash }) => hash === token);
}

function limitsOwner({ tenant, classes }: SessionState): { tenant?: string; classes: readonly string[] } {
  return tenant === null ? { classes } : { tenant, classes };
}

function ok(step: Step, at: number, done: { rotated?: boolean; extended?: boolean } = {}): Decision {
  return { ...step, verdict: { ...aliveVerdict(step.state, at), ...done } };
}

function aliveVerdict(state: SessionState, at: number): Alive {
  const deadlineAt = deadlineOf(state);
  const remainingSeconds = seconds(deadlineAt - at);
  const canExtend = extendable(state, at);
  const warning = deadlineAt - at <= state.warningMs ? { remainingSeconds, extendable: canExtend } : null;
  return { kind: "ok", remainingSeconds, deadlineAt, extendable: canExtend, warning, rotated: false, extended: false };
}

/** Whether it is the idle limit that ends it next, and an extension would not end in the next warning. */
function extendable(state: SessionState, at: number): boolean {
  const absoluteAt = absoluteAtOf(state);
  return deadlineOf(state) < absoluteAt && absoluteAt - at > state.warningMs;
}

function seconds(ms: number): number {
  return Math.floor(ms / 1000);
}

/** Adds an entry under the next number of the chain. */
function tell(
  { state, entries }: Step,
  at: number,
  type: SessionEntryType,
  entry: Partial<Omit<SessionEntry, "type" | "at" | "context" | "factors">> & {
    readonly context: Omit<SessionEntry["context"], "n">;
    readonly factors?: readonly string[];
  },
): Step {
  const { context, factors, ...rest } = entry;
  const told: SessionEntry = {
    type,
    at,
    outcome: "success",
    actor: "user",
    ...rest,
    ...(factors === undefined || factors.length === 0 ? {} : { factors }),
    context: { n: state.entries, ...context },
  };
  return { state: { ...state, at, entries: state.entries + 1 }, entries: [...entries, told] };
}
