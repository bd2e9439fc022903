/**
 * One session, folded from its entries through the same `decide` that wrote them.
 *
 * Entries may be logged in another order than they were decided in, as instances have outboxes of their own: they wait until
 * those before them are there. Other events that bear the session are judged when its chain has come past them.
 */
import { quote } from "@tallystick/core";
import type { TallyEvent } from "@tallystick/events";
import { type ReauthNeed, type SessionInput, activityIntervalMs, decide } from "./decide.ts";
import { type SessionLimits, strictest } from "./limits.ts";
import { DEFAULT_CLASS, type PolicyInForce, limitsFor, warningMsOf } from "./policy.ts";
import { type ChainEntry, limitsIn, numberIn, previousActivityIn, textIn, textsIn, timeOf } from "./replay-entry.ts";
import { KnownEntries } from "./replay-known.ts";
import { POLICY_GRACE_MS, type ReplayPolicies } from "./replay-policies.ts";
import type { ReplayFindings, ReplayedSession, SessionRule } from "./replay-report.ts";
import type { ReplayUsers } from "./replay-users.ts";
import { type EndReason, type SessionState, absoluteAtOf, deadlineOf } from "./state.ts";

/** Applications' clocks differ from the store's, and what was let in takes its time: for so long it is only a note. */
export const APPLICATION_TOLERANCE_MS = 60_000;
/** After the absolute limit an end is due within so long. */
export const END_DUE_MS = 60_000;
/** Within so long a deadline is noticed. */
const DETECTED_WITHIN_MS = 30_000;
const LOGGED_WITHIN_MS = 600_000;
/** Of each session: entries that wait for an earlier one, and other events that wait to be judged. */
const WAITING_MAX = 256;
/** Attempts of a session whose outcome is not known yet. */
const OPERATIONS_MAX = 16;
/** Targets that a session was refused for want of a step-up. */
const NEEDS_MAX = 64;

/** An event of the application that was not refused. */
interface Accepted {
  readonly index: number;
  readonly at: number;
  readonly event: TallyEvent;
}

/** What came after the deadline, unless activity that is not told yet moved that. */
interface Doubt {
  readonly state: SessionState;
  readonly at: number;
  readonly say: (deadline: number) => void;
}

/** What all chains of a replay share. */
export interface ReplayContext {
  readonly policies: ReplayPolicies;
  readonly findings: ReplayFindings;
  readonly users: ReplayUsers;
  /** The time at which sessions are shown, if any is. */
  readonly showAt: number | undefined;
  readonly show: (session: ReplayedSession) => void;
  /** Told of an entry of which nothing can be said. */
  readonly unjudged: () => void;
}

/** What stays of a session that ended. */
export interface EndedChain {
  /** When it was over. */
  readonly at: number;
  readonly reason: EndReason;
  /** The number of the next entry. */
  next: number;
  /** Its entries, the latest. */
  readonly known: KnownEntries;
  /** What was attempted before, where there is any. */
  readonly operations: ReadonlySet<string> | undefined;
}

export class SessionChain {
  readonly session: string;
  readonly #context: ReplayContext;
  readonly #waiting = new Map<number, ChainEntry>();
  #accepted: Accepted[] = [];
  #state: SessionState | null = null;
  #start = 0;
  /** The index of the last entry that was applied, or the first that waits. */
  #last = 0;
  readonly #known = new KnownEntries();
  #next = 0;
  /** The most that an activity before the next one that is told may lie behind the last one that was. */
  #slackMs = 0;
  /** When the document came into force that the limits were last compared with. */
  #policySince = -1;
  /** Entries are missing, so that nothing is said of what may rest on them. */
  #isHoled = false;
  #isUnreadable = false;
  /** The entry whose limits were found lax last. */
  #laxAt = -1;
  #doubts: Doubt[] = [];
  /** What was attempted in time: its outcome may come when it comes. */
  readonly #operations = new Set<string>();
  readonly #needs = new Map<string, ReauthNeed>();
  /** How it was at the time that was asked for, once there is a later entry. */
  #shown: SessionState | undefined;
  /** Whether a later entry has told the activity before it. */
  #isShownTold = false;

  constructor(session: string, context: ReplayContext) {
    this.session = session;
    this.#context = context;
  }

  get state(): SessionState | null {
    return this.#state;
  }

  get hasEntries(): boolean {
    return this.#state !== null || this.#waiting.size > 0;
  }

  /** It has ended, and nothing waits. */
  get ended(): EndedChain | undefined {
    const ended = this.#state?.ended ?? null;
    if (ended === null || this.#waiting.size > 0) return undefined;
    return {
      at: ended.at,
      reason: ended.reason,
      next: this.#next,
      known: this.#known,
      operations: this.#operations.size === 0 ? undefined : this.#operations,
    };
  }

  /** Whether the next entry waits for its document of limits. */
  get isStalled(): boolean {
    const next = this.#waiting.get(this.#next);
    return next !== undefined && !this.#knowsPolicy(next);
  }

  /** @returns Whether it is not there yet. */
  add(entry: ChainEntry): boolean {
    const { n, event, index } = entry;
    const before = this.#waiting.get(n);
    if (n < this.#next || before !== undefined) {
      const isSame = this.#known.isSame(n, event);
      if (isSame === true) this.#note("reported-twice", index, twiceText(n));
      else if (isSame === false) this.#find("R8", index, `its chain has another entry of number ${n}`);
      else this.#context.unjudged();
      return false;
    }
    this.#known.add(n, event);
    if (!this.hasEntries) this.#last = index;
    this.#waiting.set(n, entry);
    this.drain();
    if (this.#waiting.size > WAITING_MAX) this.#drainAll();
    return true;
  }

  /** Some of it nobody can read any more, or may: from here on nothing is said of it. */
  markUnreadable(): void {
    this.#isUnreadable = true;
  }

  /** An event of the application that bears this session and was not refused. */
  accept(accepted: Accepted): void {
    const { operation } = accepted.event;
    if (operation !== undefined && this.#operations.delete(operation)) return;
    if (operation !== undefined && isAttempt(accepted.event)) this.#attempt(operation);
    this.#accepted.push(accepted);
    const [oldest] = this.#accepted;
    if (this.#accepted.length <= WAITING_MAX || oldest === undefined) return;
    this.#accepted.shift();
    if (this.#state !== null) this.#judge(this.#state, oldest);
  }

  #attempt(operation: string): void {
    const [oldest] = this.#operations;
    if (this.#operations.size >= OPERATIONS_MAX && oldest !== undefined) this.#operations.delete(oldest);
    this.#operations.add(operation);
  }

  /** Applies what has all that it needs. */
  drain(): void {
    for (let next = this.#waiting.get(this.#next); next !== undefined; next = this.#waiting.get(this.#next)) {
      if (!this.#knowsPolicy(next)) return;
      this.#take(next);
    }
  }

  /** A document was logged after it came into force: what was decided since had to keep to it. */
  recheck(policy: PolicyInForce): void {
    const state = this.#state;
    if (state === null || state.ended !== null || this.#policySince >= policy.since) return;
    if (state.at < policy.since + POLICY_GRACE_MS || policy.since >= deadlineOf(state)) return;
    this.#policySince = policy.since;
    const limits = strictest(state.limits, limitsFor(policy.policy, ownerOf(state)));
    if (isLaxer(state.limits, limits)) this.#lax(this.#last, state.limits, limits);
  }

  /** The log ends here. @param clock - How late it is at least, by the log's and the store's clock. */
  finish(clock: number): void {
    this.#drainAll();
    const state = this.#state;
    if (state === null) return;
    for (const accepted of this.#accepted.splice(0)) this.#judge(state, accepted);
    this.#resolve(this.#doubts.splice(0), state.lastActivityAt + this.#slackMs);
    this.showState();
    if (state.ended !== null) return;
    const deadline = deadlineOf(state);
    const absoluteAt = absoluteAtOf(state);
    if (clock > absoluteAt + END_DUE_MS) {
      const text = `began at index ${this.#start}, reached its absolute limit at ${timeOf(absoluteAt)}, and has no end`;
      this.#find("R2", this.#last, text);
    } else if (clock > deadline + this.#slackMs + END_DUE_MS) {
      this.#note("end-overdue", this.#last, `reached its idle limit at ${timeOf(deadline)}, and has no end yet`);
    }
    this.#context.users.ended(userOf(state), this.session, deadline);
  }

  /** Shows how it was at the time that was asked for. Once. */
  showState(): void {
    const { showAt, show, policies } = this.#context;
    const state = this.#shown ?? this.#state;
    if (showAt === undefined || state === null || state.startedAt > showAt) return;
    const policy = state.ended === null ? policies.inForce(showAt) : undefined;
    const isNewer = policy !== undefined && policy.since > this.#policySince;
    const input: SessionInput = { type: "sweep", detectedBy: "sweep", policy: isNewer ? policy : undefined };
    const then = decide(state, input, showAt).state ?? state;
    show({
      session: this.session,
      start: this.#start,
      deadlineAt: deadlineOf(then),
      state: { ...then, entries: state.entries },
    });
  }

  /** Nothing more can be waited for: what is missing is a hole. */
  #drainAll(): void {
    for (const n of [...this.#waiting.keys()].toSorted((one, other) => one - other)) {
      const entry = this.#waiting.get(n);
      if (entry === undefined) continue;
      if (n > this.#next && !this.#isHoled) {
        const missing = n - this.#next === 1 ? `entry ${this.#next}` : `entries ${this.#next} to ${n - 1}`;
        this.#find(
          "R8",
          entry.index,
          `${missing} of its chain, before this one, ${n - this.#next === 1 ? "is" : "are"} missing`,
        );
        this.#isHoled = true;
      }
      this.#take(entry);
    }
  }

  /** Not by the hash alone: limits may come into force a second time, and that be logged later than what was decided by them. */
  #knowsPolicy({ event, at }: ChainEntry): boolean {
    const hash = textIn(event, "policy");
    return hash === undefined || this.#context.policies.around(at).some((each) => each.hash === hash);
  }

  #take(entry: ChainEntry): void {
    this.#waiting.delete(entry.n);
    this.#next = entry.n + 1;
    if (this.#state === null) this.#begin(entry);
    else this.#go(this.#state, entry);
    this.#last = entry.index;
    if (this.#state !== null) this.#state = { ...this.#state, entries: this.#next };
  }

  #begin(entry: ChainEntry): void {
    const { event, index, at, type } = entry;
    const limits = limitsIn(event);
    const user = (event.actor ?? event.subject)?.id;
    if (type !== "session.start" || limits === undefined || user === undefined) {
      this.#isHoled = true;
      if (entry.n === 0) this.#find("R8", index, "the first entry of its chain is no session.start with limits");
      return;
    }
    const { policies, users } = this.#context;
    const hash = textIn(event, "policy") ?? "";
    const policy = policies.named(hash, at);
    const name = textIn(event, "class") ?? DEFAULT_CLASS;
    const factors = event.auth?.factors ?? textsIn(event, "factors");
    const id = event.session?.id ?? this.session;
    // Without a document there is nothing to decide by but what it says itself.
    const own = {
      version: 1,
      ...limits,
      activity: "requests",
      classes: {},
      concurrent: null,
      tenants: {},
      warningMs: 60_000,
    } as const;
    const input = { type: "start", id, user, tenant: event.tenant, class: name, factors } as const;
    const started = decide(null, { ...input, policy: policy ?? { policy: own, hash, since: at } }, at).state;
    if (started === null) return;
    this.#start = index;
    this.#policySince = policy?.since ?? -1;
    this.#state = { ...started, limits, authAt: numberIn(event, "authAt") ?? at };
    this.#slackMs = activityIntervalMs(this.#state);
    const required = policies.around(at).map((each) => limitsFor(each.policy, ownerOf(started)));
    const [first] = required;
    if (first !== undefined && required.every((each) => isLaxer(limits, each))) this.#laxBy(entry, limits, first);
    if (policy === undefined)
      this.#note("policy-unknown", index, "no session.policy in the log has the document that it names");
    const { startedAt } = started;
    if (numberIn(event, "startedAt") !== startedAt)
      this.#contradicts(entry, `it says that it began at another time than its own`);
    users.started(userOf(started), { session: this.session, index, startedAt });
  }

  #go(before: SessionState, entry: ChainEntry): void {
    const { index, at } = entry;
    if (before.ended !== null) {
      if (entry.type !== "session.use_after_expiry") {
        this.#find("R3", index, `${entry.type} after its end (${before.ended.reason}) at ${timeOf(before.ended.at)}`);
      }
      return;
    }
    if (at < before.at)
      this.#contradicts(entry, `it is of ${timeOf(at)}, and the one before it of ${timeOf(before.at)}`);
    const state = this.#reveal(before, entry);
    if (previousActivityIn(entry.event) !== undefined) this.#resolve(this.#doubts.splice(0), state.lastActivityAt);
    this.#keepShown(before, state, entry);
    this.#judgeBefore(state, entry);
    this.#state = this.#step(state, entry);
    if (this.#state.loggedActivityAt !== before.loggedActivityAt) this.#slackMs = activityIntervalMs(this.#state);
    if (this.#state.ended !== null) this.#end(this.#state, entry);
  }

  /** What an entry tells of the activity before it, which not each request does by itself. */
  #reveal(state: SessionState, entry: ChainEntry): SessionState {
    const { event, at } = entry;
    const claimed = previousActivityIn(event);
    if (claimed === undefined || this.#isHoled)
      return claimed === undefined ? state : { ...state, lastActivityAt: claimed };
    if (claimed < state.lastActivityAt || claimed > Math.max(at, state.at)) {
      const text = `it has the activity before it at ${timeOf(claimed)}, and its chain at ${timeOf(state.lastActivityAt)}`;
      this.#contradicts(entry, text);
      return state;
    }
    if (claimed - state.loggedActivityAt > this.#slackMs && claimed > state.lastActivityAt) {
      const text = `activity from ${timeOf(state.loggedActivityAt)} to ${timeOf(claimed)} was not told, as while a log is down`;
      this.#note("activity-unreported", entry.index, text);
    }
    return { ...state, lastActivityAt: claimed };
  }

  #step(state: SessionState, entry: ChainEntry): SessionState {
    const { event, type, index, at } = entry;
    switch (type) {
      case "session.activity":
        return this.#moves(state, { type: "request", activity: true }, entry);
      case "session.extend":
        return this.#extend(state, entry);
      case "session.reauth": {
        const factors = event.auth?.factors ?? textsIn(event, "factors");
        if (event.outcome !== "success") return this.#weakly(state, entry);
        return this.#moves(state, { type: "reauth", factors, success: true }, entry);
      }
      case "session.class":
        return event.reason === "policy" ? this.#tighten(state, entry) : this.#enterClass(state, entry);
      case "session.timeout":
        return this.#timeout(state, entry);
      case "session.end": {
        const reason = event.reason === "revoked" || event.reason === "superseded" ? event.reason : "logout";
        const ended = this.#decide(state, { type: "end", reason }, entry);
        if (ended.ended?.reason === reason) return ended;
        this.#late(state, entry);
        return { ...state, at, ended: { reason, at, detectedAt: at } };
      }
      case "session.warning":
        return { ...this.#weakly(state, entry), warnedFor: numberIn(event, "deadlineAt") ?? null };
      case "session.use_after_expiry": {
        const endedAt = numberIn(event, "endedAt") ?? at;
        this.#contradicts(entry, "it says that the session has ended, of which its chain says nothing");
        return { ...state, at, ended: { reason: "idle", at: endedAt, detectedAt: at } };
      }
      case "access.denied":
        this.#remember(event);
        return this.#weakly(state, entry);
      case "session.rotate":
        return this.#weakly(state, entry);
      case "session.start":
        break;
    }
    this.#find("R8", index, "it begins a session that had begun");
    return state;
  }

  /** An entry that moves the idle limit. */
  #moves(state: SessionState, input: SessionInput, entry: ChainEntry): SessionState {
    const { at } = entry;
    const moved = this.#decide(state, input, entry);
    if (moved.ended === null) return { ...moved, loggedActivityAt: moved.lastActivityAt };
    this.#late(state, entry);
    const authAt = input.type === "reauth" ? at : state.authAt;
    return { ...state, at, authAt, lastActivityAt: at, loggedActivityAt: at };
  }

  #extend(state: SessionState, entry: ChainEntry): SessionState {
    const moved = this.#moves(state, { type: "extend" }, entry);
    const claimed = numberIn(entry.event, "deadlineAt");
    const absoluteAt = absoluteAtOf(moved);
    if (claimed === undefined) this.#contradicts(entry, "it does not say until when");
    else if (claimed > absoluteAt) {
      this.#find(
        "R7",
        entry.index,
        `extended until ${timeOf(claimed)}, past its absolute limit at ${timeOf(absoluteAt)}`,
      );
    } else if (claimed !== deadlineOf(moved)) {
      this.#contradicts(entry, `extended until ${timeOf(claimed)}, where its limits give ${timeOf(deadlineOf(moved))}`);
    }
    return moved;
  }

  #timeout(state: SessionState, entry: ChainEntry): SessionState {
    const { event, index, at } = entry;
    const reason = event.reason === "absolute" ? "absolute" : "idle";
    const { ended } = this.#decide(state, { type: "sweep", detectedBy: "sweep" }, entry);
    const claimed = numberIn(event, "deadlineAt") ?? at;
    if (ended === null || claimed < ended.at) {
      this.#contradicts(entry, `it ended at ${timeOf(claimed)}, before its deadline at ${timeOf(deadlineOf(state))}`);
    } else if (claimed > ended.at && !this.#isHoled) {
      this.#find(
        "R4",
        index,
        `it ended by a deadline at ${timeOf(claimed)}, where its limits give ${timeOf(ended.at)}`,
      );
    }
    if (at - claimed > DETECTED_WITHIN_MS) {
      this.#note(
        "detected-late",
        index,
        `its deadline at ${timeOf(claimed)} was noticed ${secondsOf(at - claimed)} later`,
      );
    }
    return { ...state, at, ended: { reason, at: claimed, detectedAt: at } };
  }

  /** The limits of a document that came into force. */
  #tighten(state: SessionState, entry: ChainEntry): SessionState {
    const { event, at } = entry;
    const hash = textIn(event, "policy") ?? state.policy;
    const policy = this.#context.policies.named(hash, at);
    const limits = limitsIn(event) ?? state.limits;
    const expected =
      policy === undefined ? state.limits : strictest(state.limits, limitsFor(policy.policy, ownerOf(state)));
    if (isLaxer(limits, expected)) this.#lax(entry.index, limits, expected);
    this.#policySince = Math.max(this.#policySince, policy?.since ?? -1);
    const warningMs = policy === undefined ? state.warningMs : warningMsOf(policy.policy, limits);
    return { ...state, at, policy: hash, limits, warningMs, limitsSince: Math.min(numberIn(event, "since") ?? at, at) };
  }

  #enterClass(before: SessionState, entry: ChainEntry): SessionState {
    const { event, at } = entry;
    const state = this.#weakly(before, entry);
    const name = textIn(event, "class") ?? DEFAULT_CLASS;
    const limits = limitsIn(event) ?? state.limits;
    const owner = { ...ownerOf(state), classes: [name] };
    const named = this.#context.policies.named(state.policy, at);
    const policies = [...(named === undefined ? [] : [named]), ...this.#context.policies.around(at)];
    const expected = policies.map(({ policy }) => strictest(state.limits, limitsFor(policy, owner)));
    const [first = state.limits] = expected;
    if ([...expected, first].every((each) => isLaxer(limits, each))) this.#laxBy(entry, limits, first);
    const limitsSince = Math.min(numberIn(event, "since") ?? at, at);
    const [policy] = policies;
    const warningMs = policy === undefined ? state.warningMs : warningMsOf(policy.policy, limits);
    return { ...state, at, warningMs, classes: [...state.classes, name], limits, limitsSince };
  }

  /** An entry that says nothing of the activity before it: the deadline is only known to the last one that was told. */
  #weakly(state: SessionState, entry: ChainEntry): SessionState {
    const { at } = entry;
    const kept = this.#decide(state, { type: "policy" }, entry);
    this.#doubt({ state, at, say: () => this.#late(state, entry) });
    return { ...state, at: Math.max(at, state.at), policy: kept.policy };
  }

  /** Decides anew, under the document by which it had to be decided; where that was not done, under the one before. */
  #decide(state: SessionState, input: SessionInput, entry: ChainEntry): SessionState {
    const { at, index } = entry;
    const policy = this.#due(at);
    if (policy !== undefined && input.type !== "start") {
      this.#policySince = policy.since;
      const { entries } = decide(state, { type: "policy", policy }, at);
      const tightened = entries.find(({ type }) => type === "session.class");
      if (tightened === undefined) return decide(state, { ...input, policy }, at).state ?? state;
      const { idleMs, absoluteMs } = strictest(state.limits, limitsFor(policy.policy, ownerOf(state)));
      this.#lax(index, state.limits, { idleMs, absoluteMs });
    }
    return decide(state, input, at).state ?? state;
  }

  /** A document that came into force after the one that the limits were compared with, long enough ago. */
  #due(at: number): PolicyInForce | undefined {
    const policy = this.#context.policies.inForce(at - POLICY_GRACE_MS);
    return policy !== undefined && policy.since > this.#policySince ? policy : undefined;
  }

  #end(state: SessionState, entry: ChainEntry): void {
    const { ended } = state;
    if (ended === null) return;
    if (entry.loggedAt - entry.at > LOGGED_WITHIN_MS) {
      const text = `its end was decided at ${timeOf(entry.at)}, and logged ${secondsOf(entry.loggedAt - entry.at)} later`;
      this.#note("logged-late", entry.index, text);
    }
    for (const accepted of this.#accepted.splice(0)) this.#judgeLate(accepted, ended.at, ended.reason);
    this.#context.users.ended(userOf(state), this.session, ended.at);
  }

  /** Other events that came before an entry. */
  #judgeBefore(state: SessionState, { at, type, event }: ChainEntry): void {
    const isEnd = type === "session.timeout" || type === "session.end";
    const until = isEnd ? Math.min(at, numberIn(event, "deadlineAt") ?? at) : at;
    const due = this.#accepted.filter((accepted) => accepted.at < until);
    if (due.length === 0) return;
    this.#accepted = this.#accepted.filter((accepted) => accepted.at >= until);
    for (const accepted of due) this.#judge(state, accepted);
    if (previousActivityIn(event) !== undefined) this.#resolve(this.#doubts.splice(0), state.lastActivityAt);
  }

  #judge(state: SessionState, accepted: Accepted): void {
    const { index, at, event } = accepted;
    if (state.ended !== null) return this.#judgeLate(accepted, state.ended.at, state.ended.reason);
    const say = (deadline: number): void => {
      if (at < deadline + APPLICATION_TOLERANCE_MS) this.#near(accepted, deadline);
      else this.#find("R1", index, `${event.type} at ${timeOf(at)}, after its deadline at ${timeOf(deadline)}`);
    };
    this.#doubt({ state, at, say });
    this.#judgeNeed(state, accepted);
  }

  /** Keeps what is after the deadline as far as that is known. */
  #doubt(doubt: Doubt): void {
    if (doubt.at < deadlineOf(doubt.state)) return;
    this.#doubts.push(doubt);
    if (this.#doubts.length > WAITING_MAX)
      this.#resolve(this.#doubts.splice(0, 1), doubt.state.lastActivityAt + this.#slackMs);
  }

  /** Says what is late even though there was activity at that time. */
  #resolve(doubts: readonly Doubt[], activityAt: number): void {
    for (const { state, at, say } of doubts) {
      const deadline = deadlineOf({ ...state, lastActivityAt: Math.max(state.lastActivityAt, activityAt) });
      if (at >= deadline) say(deadline);
    }
  }

  #judgeLate(accepted: Accepted, endedAt: number, reason: EndReason): void {
    const { index, at, event } = accepted;
    if (at < endedAt) return;
    if (at < endedAt + APPLICATION_TOLERANCE_MS) return this.#near(accepted, endedAt);
    const isLimit = reason === "idle" || reason === "absolute";
    const text = `${event.type} at ${timeOf(at)}, after its ${isLimit ? "deadline" : "end"} (${reason}) at ${timeOf(endedAt)}`;
    this.#find(isLimit ? "R1" : "R3", index, text);
  }

  #near({ index, event }: Accepted, endedAt: number): void {
    this.#note("near-the-end", index, `${event.type} within a minute after ${timeOf(endedAt)}, when it was over`);
  }

  /** What it says of itself that it asks for, or what this session was refused before. */
  #judgeNeed({ authAt, factors }: SessionState, { index, at, event }: Accepted): void {
    const ownMaxAge = numberIn(event, "reauthMaxAgeSeconds");
    const own =
      ownMaxAge === undefined ? [] : [{ maxAgeMs: ownMaxAge * 1000, factors: textsIn(event, "reauthFactors") }];
    const refused = (event.targets ?? []).flatMap((target) => this.#needs.get(keyOfTarget(target)) ?? []);
    for (const { maxAgeMs, factors: wanted = [] } of [...own, ...refused]) {
      const times = [authAt, ...wanted.map((factor) => (Object.hasOwn(factors, factor) ? (factors[factor] ?? 0) : 0))];
      const shownAt = Math.min(...times);
      if (at - shownAt < maxAgeMs + APPLICATION_TOLERANCE_MS) continue;
      const what = wanted.length === 0 ? "an authentication" : wanted.map(quote).join(" and ");
      const text = `${event.type} asks for ${what} within ${secondsOf(maxAgeMs)}; the user's was at ${timeOf(shownAt)}`;
      this.#find("R5", index, text);
      return;
    }
  }

  #remember(event: TallyEvent): void {
    const maxAge = numberIn(event, "maxAgeSeconds");
    if (maxAge === undefined || this.#needs.size >= NEEDS_MAX) return;
    for (const target of event.targets ?? []) {
      this.#needs.set(keyOfTarget(target), { maxAgeMs: maxAge * 1000, factors: textsIn(event, "wanted") });
    }
  }

  #keepShown(before: SessionState, { lastActivityAt }: SessionState, { at, event }: ChainEntry): void {
    const { showAt } = this.#context;
    if (showAt === undefined || at <= showAt || this.#isShownTold) return;
    this.#shown ??= before;
    this.#isShownTold = previousActivityIn(event) !== undefined;
    // What a later entry tells of earlier activity counts as far as it lies before. Not each one tells it.
    if (this.#isShownTold && lastActivityAt <= showAt) this.#shown = { ...this.#shown, lastActivityAt };
  }

  #late(state: SessionState, { index, type, at }: ChainEntry): void {
    this.#find("R1", index, `${type} at ${timeOf(at)}, at or after its deadline at ${timeOf(deadlineOf(state))}`);
  }

  /** Limits that an entry brought, and that are laxer than those in force then: what goes on by them is the same breach. */
  #laxBy({ index, at }: ChainEntry, limits: SessionLimits, required: SessionLimits): void {
    this.#policySince = Math.max(this.#policySince, this.#context.policies.inForce(at)?.since ?? -1);
    this.#lax(index, limits, required);
  }

  #lax(index: number, limits: SessionLimits, required: SessionLimits): void {
    if (this.#laxAt === index) return;
    this.#laxAt = index;
    this.#find("R4", index, `its limits are ${show(limits)}, and those in force ${show(required)}`);
  }

  #contradicts({ index, type }: ChainEntry, text: string): void {
    this.#find("R8", index, `${type}: ${text}`);
  }

  #find(rule: SessionRule, index: number, message: string): void {
    if (this.#isUnreadable) return;
    // Of what rests on entries that are missing, nothing is known.
    if (this.#isHoled && !["R2", "R3", "R7"].includes(rule)) return;
    this.#context.findings.find(rule, index, this.session, message);
  }

  #note(code: Parameters<ReplayFindings["note"]>[0], index: number, message: string): void {
    if (this.#isUnreadable) return;
    this.#context.findings.note(code, index, this.session, message);
  }
}

/** Of an entry that two instances reported. */
export function twiceText(n: number): string {
  return `entry ${n} of its chain stands there twice, in the same words`;
}

/** Whether it is the first of the two events of an operation: the SDK's `audit`. */
function isAttempt(event: TallyEvent): boolean {
  return textIn(event, "step") === "attempt";
}

function ownerOf({ tenant, classes }: SessionState): { tenant?: string; classes: readonly string[] } {
  return tenant === null ? { classes } : { tenant, classes };
}

/** The same id in another tenant is another user. */
function userOf({ tenant, user }: SessionState): string {
  return JSON.stringify([tenant, user]);
}

function isLaxer(limits: SessionLimits, required: SessionLimits): boolean {
  return limits.absoluteMs > required.absoluteMs || (limits.idleMs ?? Infinity) > (required.idleMs ?? Infinity);
}

function keyOfTarget({ type, id }: { readonly type: string; readonly id: string }): string {
  return JSON.stringify([type, id]);
}

function show({ idleMs, absoluteMs }: SessionLimits): string {
  return `idle ${idleMs === null ? "none" : secondsOf(idleMs)}, absolute ${secondsOf(absoluteMs)}`;
}

function secondsOf(ms: number): string {
  return `${ms / 1000} s`;
}
