/** The replay of sessions: an honest week gives no findings, and of what is not honest each rule names its index. */
import { isDeepStrictEqual } from "node:util";
import { beforeAll, describe, expect, test } from "vitest";
import { type SessionState, activityIntervalMs, deadlineOf, decide } from "@tallystick/sessions";
import {
  type LoggedEntry,
  type ReplayedSession,
  SessionReplay,
  type SessionReplayOptions,
  type SessionReplayReport,
  type SessionRule,
} from "@tallystick/sessions/replay";
import { HOUR, MINUTE, T0, inForce } from "./support/policies.ts";
import { type Live, type Sent, Week, logOf, policyAt } from "./support/week.ts";

const NOON = T0 + 28 * HOUR;
const LAX = inForce({ idle: "3h", absolute: "3d" }, T0);
const EXPORT = { type: "route", id: "POST /export" };

function replay(log: readonly LoggedEntry[], options: SessionReplayOptions = {}): SessionReplayReport {
  const folded = new SessionReplay(options);
  for (const entry of log) folded.follow(entry);
  return folded.finish();
}

function named({ findings }: SessionReplayReport): string[] {
  return findings.map(({ rule, index }) => `${rule} ${index}`);
}

/** What somebody does to the truth: gives the event at which the finding is due, and may leave events out. */
type Misdeed = (week: Week) => { readonly at: () => Sent | undefined; readonly without?: () => Sent | undefined };

function lastOf(week: Week, live: Live, type: string): Sent | undefined {
  return week.sent.findLast(({ event }) => event.session?.id === live.auditId && event.type === type);
}

function request(week: Week, live: Live, at: number): void {
  week.decide(live, { type: "request", activity: true }, at);
}

/** Lets it end as it would. */
function sweep(week: Week, live: Live): void {
  week.decide(live, { type: "sweep", detectedBy: "sweep" }, deadlineOf(live.state));
}

const MISDEEDS: Readonly<Record<SessionRule, Misdeed>> = {
  /** The idle limit is overlooked once. */
  R1: (week) => {
    const live = week.start("seed-1", NOON);
    const { limits } = live.state;
    live.state = { ...live.state, limits: { ...limits, idleMs: null } };
    request(week, live, NOON + 31 * MINUTE);
    live.state = { ...live.state, limits };
    sweep(week, live);
    return { at: () => lastOf(week, live, "session.activity") };
  },
  /** Nobody notices that it is over. */
  R2: (week) => {
    const live = week.start("seed-2", NOON);
    return { at: () => lastOf(week, live, "session.start") };
  },
  /** It is used after its user has signed out. */
  R3: (week) => {
    const live = week.start("seed-3", NOON);
    week.decide(live, { type: "end", reason: "logout" }, NOON + MINUTE);
    live.state = { ...live.state, ended: null };
    request(week, live, NOON + 3 * MINUTE);
    return { at: () => lastOf(week, live, "session.activity") };
  },
  /** It begins with limits of its own, under the name of the document in force. */
  R4: (week) => {
    const { policy } = LAX;
    const live = week.start("seed-4", NOON, { policy: { ...policyAt(NOON), policy } });
    week.decide(live, { type: "end", reason: "logout" }, NOON + MINUTE);
    return { at: () => lastOf(week, live, "session.start") };
  },
  /** What it was refused is let through a little later, without a step-up. */
  R5: (week) => {
    const live = week.start("seed-5", NOON);
    const at = NOON + 10 * MINUTE;
    week.decide(live, { type: "request", activity: true, reauth: { maxAgeMs: 5 * MINUTE }, target: EXPORT }, at);
    week.report(live, at + MINUTE, { type: "access.export", outcome: "success", targets: [EXPORT] }, 0);
    sweep(week, live);
    return { at: () => lastOf(week, live, "access.export") };
  },
  /** A third session, where two are allowed. */
  R6: (week) => {
    const lives = [0, 1, 2].map((turn) => week.start("seed-6", NOON + turn * MINUTE));
    for (const live of lives) week.decide(live, { type: "end", reason: "logout" }, NOON + 10 * MINUTE);
    return { at: () => lives.map((live) => lastOf(week, live, "session.start"))[2] };
  },
  /** An extension forgets the absolute limit. */
  R7: (week) => {
    const live = week.start("seed-7", NOON);
    for (let minutes = 25; minutes < 475; minutes += 25) request(week, live, NOON + minutes * MINUTE);
    const { limits } = live.state;
    live.state = { ...live.state, limits: { ...limits, absoluteMs: 9 * HOUR } };
    week.decide(live, { type: "extend" }, NOON + 470 * MINUTE);
    live.state = { ...live.state, limits };
    sweep(week, live);
    return { at: () => lastOf(week, live, "session.extend") };
  },
  /** An entry never gets to the log. */
  R8: (week) => {
    const live = week.start("seed-8", NOON);
    for (const minutes of [5, 10]) request(week, live, NOON + minutes * MINUTE);
    sweep(week, live);
    return { at: () => lastOf(week, live, "session.timeout"), without: () => lastOf(week, live, "session.activity") };
  },
};

/** Whether what was rebuilt is the truth, as far as the log was told it. */
function isAsItWas({ state, deadlineAt }: ReplayedSession, truth: SessionState | undefined, moment: number): boolean {
  if (truth === undefined) return false;
  // Over is over, whether or not somebody had noticed it.
  const ended = truth.ended ?? decide(truth, { type: "sweep", detectedBy: "sweep" }, moment).state?.ended;
  const untoldMs = deadlineOf(truth) - deadlineAt;
  const isSameEnd = state.ended?.at === ended?.at && state.ended?.reason === ended?.reason;
  const isSameDeadline =
    ended !== undefined && ended !== null ? true : untoldMs >= 0 && untoldMs < activityIntervalMs(truth);
  return isSameEnd && isSameDeadline && isDeepStrictEqual(toldOf(state), toldOf(truth));
}

function toldOf({ startedAt, user, tenant, classes, limits, authAt, factors }: SessionState): object {
  return { startedAt, user, tenant, classes, limits, authAt, factors };
}

describe("a simulated week of 10,000 sessions", () => {
  const week = new Week(8);
  /** A moment at which limits had just changed, and much was going on. */
  const moment = T0 + 58 * HOUR + 17 * MINUTE;
  const then = new Map<string, SessionState>();
  beforeAll(() => {
    week.at(moment, () => {
      for (const { auditId, state } of week.sessions) then.set(auditId, state);
    });
    week.play(10_000);
  }, 60_000);

  test("is rebuilt at any time: every session, as it was", { timeout: 60_000 }, () => {
    const shown: ReplayedSession[] = [];
    replay(logOf(week.sent), { at: moment, onSession: (session) => shown.push(session) });
    expect(shown).toHaveLength(then.size);
    const open = shown.filter(({ state }) => state.ended === null);
    expect(open.length).toBeGreaterThan(20);
    expect(shown.filter((session) => !isAsItWas(session, then.get(session.state.id), moment))).toEqual([]);
  });

  test("has no findings where all is honest", { timeout: 60_000 }, () => {
    const { counts, ...report } = replay(logOf(week.sent));
    expect(report).toMatchObject({ findings: [], findingsTotal: 0 });
    expect(counts).toMatchObject({ sessions: 10_000, ended: 10_000, unreadable: 0, unmanaged: 0, unjudged: 0 });
    expect(week.sent.length).toBeGreaterThan(80_000);
    expect(new Set(report.notes.map(({ code }) => code))).toEqual(
      new Set(["detected-late", "logged-late", "near-the-end", "reported-twice"]),
    );
  });

  test("has exactly the findings that were put into it, one of each rule, by index", { timeout: 60_000 }, () => {
    const seeds = Object.entries(MISDEEDS).map(([rule, commit]) => ({ rule, ...commit(week) }));
    const left = new Set(seeds.map(({ without }) => without?.()));
    const log = logOf(week.sent.filter((sent) => !left.has(sent)));
    const due = seeds.map(({ rule, at }) => `${rule} ${log.findIndex(({ event }) => event === at()?.event)}`);
    expect(named(replay(log)).toSorted()).toEqual(due.toSorted());
  });
});
