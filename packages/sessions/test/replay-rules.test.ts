/** Each rule of the replay by itself: what it names, and what it must not take for a breach. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type TallyEvent, sessionTag } from "@tallystick/events";
import { type PolicyInForce, formatPolicy, hashPolicy } from "@tallystick/sessions";
import {
  type LoggedEntry,
  type ReplayedLeaf,
  SessionReplay,
  type SessionReplayOptions,
  type SessionReplayReport,
} from "@tallystick/sessions/replay";
import { HOUR, MINUTE, T0, USUAL, inForce } from "./support/policies.ts";
import { scene } from "./support/setup.ts";

const numRuns = Number(process.env["TALLYSTICK_RUNS"] ?? 300);
const SECOND = 1000;
const ID = "5e".repeat(32);
const POLICY = inForce(USUAL);

let ids = 0;

function event(type: string, at: number, context: TallyEvent["context"], more: Partial<TallyEvent> = {}): TallyEvent {
  ids += 1;
  const id = `0198c5d2-7c3a-7f4e-9d1b-${ids.toString(16).padStart(12, "0")}`;
  const session = type === "session.policy" ? undefined : { id: ID };
  return { id, time: T0 + at, type, outcome: "success", session, actor: { type: "user", id: "u1" }, context, ...more };
}

function announce({ policy, hash, since }: PolicyInForce): TallyEvent {
  return event("session.policy", since - T0, { hash, document: formatPolicy(policy), since });
}

function start(more: Record<string, number | string | null> = {}): TallyEvent {
  const context = { n: 0, class: "default", idleMs: 30 * MINUTE, absoluteMs: 8 * HOUR, startedAt: T0, authAt: T0 };
  return event("session.start", 0, { ...context, policy: POLICY.hash, ...more });
}

function activity(n: number, at: number, previousAt: number): TallyEvent {
  return event("session.activity", at, { n, previousAt: T0 + previousAt, at: T0 + at });
}

function logout(n: number, at: number, lastActivityAt: number): TallyEvent {
  return event("session.end", at, { n, at: T0 + at, lastActivityAt: T0 + lastActivityAt }, { reason: "logout" });
}

function timeout(n: number, deadlineAt: number, lastActivityAt: number, detectedAt: number = deadlineAt): TallyEvent {
  const context = { n, deadlineAt: T0 + deadlineAt, lastActivityAt: T0 + lastActivityAt, detectedAt: T0 + detectedAt };
  return event("session.timeout", detectedAt, { ...context, detectedBy: "sweep" }, { reason: "idle" });
}

function read(at: number, more: Partial<TallyEvent> = {}): TallyEvent {
  return event("access.read", at, undefined, { targets: [{ type: "file", id: "f1" }], ...more });
}

/** A log of these events, each logged when it says it was, or when the one before it was. */
function logOf(events: readonly TallyEvent[], loggedLater = 0): LoggedEntry[] {
  const chains = new Map<string, NonNullable<ReplayedLeaf["session"]>>();
  let loggedAt = 0;
  return events.map((each, index) => {
    loggedAt = Math.max(loggedAt, each.time + loggedLater);
    const id = each.session?.id;
    if (id === undefined)
      return { index, leaf: { loggedAt, session: null, sequence: index + 1 }, stream: "s", event: each };
    const session = chains.get(id) ?? { tag: sessionTag(Buffer.from(id, "hex")), n: 0, prev: null };
    chains.set(id, { tag: session.tag, n: session.n + 1, prev: index });
    return { index, leaf: { loggedAt, session, sequence: index + 1 }, stream: "s", event: each };
  });
}

function replay(log: readonly LoggedEntry[], options: SessionReplayOptions = {}): SessionReplayReport {
  const folded = new SessionReplay(options);
  for (const entry of log) folded.follow(entry);
  return folded.finish();
}

function named(events: readonly TallyEvent[], options?: SessionReplayOptions): string[] {
  return replay(logOf(events), options).findings.map(({ rule, index }) => `${rule} ${index}`);
}

function noted(events: readonly TallyEvent[], loggedLater?: number): string[] {
  return replay(logOf(events, loggedLater)).notes.map(({ code, index }) => `${code} ${index}`);
}

describe("R1, an accepted event at or after the deadline", () => {
  test("is at the deadline by a millisecond, and not one before it", () => {
    const upTo = (at: number): TallyEvent[] => [announce(POLICY), start(), activity(1, at, 0), logout(2, at + 1, at)];
    expect(named(upTo(30 * MINUTE))).toEqual(["R1 2"]);
    expect(named(upTo(30 * MINUTE - 1))).toEqual([]);
  });

  test("is an extension, a step-up or a logout too", () => {
    const late = { n: 1, previousAt: T0, authAt: T0 + HOUR, deadlineAt: T0 + 90 * MINUTE };
    for (const type of ["session.extend", "session.reauth"]) {
      expect(named([announce(POLICY), start(), event(type, HOUR, late), logout(2, 61 * MINUTE, HOUR)])).toEqual([
        "R1 2",
      ]);
    }
    expect(named([announce(POLICY), start(), logout(1, HOUR, 0)])).toEqual(["R1 2"]);
  });

  test("is an event of the application a minute later on; before that it is a note", () => {
    const upTo = (at: number): TallyEvent[] => [announce(POLICY), start(), read(at), timeout(1, 30 * MINUTE, 0, at)];
    expect(named(upTo(31 * MINUTE))).toEqual(["R1 2"]);
    expect(named(upTo(31 * MINUTE - 1))).toEqual([]);
    expect(noted(upTo(30 * MINUTE))).toEqual(["near-the-end 2"]);
    expect(noted(upTo(30 * MINUTE - 1))).toEqual([]);
  });

  test("is not an event that was refused, nor one that the log had before", () => {
    const refused = read(2 * HOUR, { outcome: "denied" });
    expect(named([announce(POLICY), start(), refused, timeout(1, 30 * MINUTE, 0, 2 * HOUR)])).toEqual([]);
    const fast = logOf([announce(POLICY), start(), read(20 * MINUTE), timeout(1, 30 * MINUTE, 0)]).map((entry) =>
      entry.index === 2 ? { ...entry, event: read(2 * HOUR) } : entry,
    );
    expect(replay(fast).findings).toEqual([]);
  });

  test("is judged by the activity that the next entry tells of", () => {
    const events = [
      announce(POLICY),
      start(),
      read(31 * MINUTE + 10 * SECOND),
      activity(1, 31 * MINUTE + 20 * SECOND, 50 * SECOND),
    ];
    expect(named(events)).toEqual(["R1 3"]);
    const honest = [announce(POLICY), start(), activity(1, 30 * MINUTE + 20 * SECOND, 50 * SECOND)];
    expect(named(honest)).toEqual([]);
  });
});

describe("uses after the end", () => {
  const used = (n: number, at: number): TallyEvent =>
    event(
      "session.use_after_expiry",
      at,
      { n, endedAt: T0 + 30 * MINUTE, count: 1, critical: false },
      { outcome: "denied" },
    );
  const ended = [announce(POLICY), start(), timeout(1, 30 * MINUTE, 0)];

  test("may be logged in another order, as other entries may", () => {
    expect(named([...ended, used(4, 3 * HOUR), used(2, HOUR), used(3, 2 * HOUR)])).toEqual([]);
  });

  test("R8 are named where there are two of a number, or one is missing", () => {
    expect(named([...ended, used(2, HOUR), used(2, 2 * HOUR)])).toEqual(["R8 4"]);
    expect(named([...ended, used(3, 2 * HOUR), used(2, HOUR), used(2, HOUR + 1)])).toEqual(["R8 5"]);
    expect(named([...ended, used(2, HOUR), used(4, 3 * HOUR)])).toEqual(["R8 4"]);
  });
});

describe("R2, no end", () => {
  const later = (at: number): TallyEvent => read(at, { session: undefined });

  test("is named from a minute after the absolute limit on, at the last entry of the session", () => {
    const upTo = (at: number): TallyEvent[] => [announce(POLICY), start(), activity(1, 20 * MINUTE, 0), later(at)];
    expect(named(upTo(8 * HOUR + MINUTE + 1))).toEqual(["R2 2"]);
    expect(named(upTo(8 * HOUR + MINUTE))).toEqual([]);
    expect(noted(upTo(2 * HOUR))).toEqual(["end-overdue 2"]);
  });

  test("is no breach where it was noticed late, as after a downtime: a note", () => {
    const events = [announce(POLICY), start(), later(9 * HOUR), timeout(1, 30 * MINUTE, 0, 9 * HOUR)];
    expect(named(events)).toEqual([]);
    expect(noted(events)).toEqual(["detected-late 3"]);
    expect(noted([announce(POLICY), start(), timeout(1, 30 * MINUTE, 0)], HOUR)).toEqual(["logged-late 2"]);
  });
});

describe("R3, anything after the end", () => {
  const ended = [announce(POLICY), start(), logout(1, MINUTE, 0)];

  test("is an entry of its chain, whenever, and an event from a minute later on", () => {
    expect(named([...ended, activity(2, MINUTE + 1, 0)])).toEqual(["R3 3"]);
    expect(named([...ended, read(2 * MINUTE)])).toEqual(["R3 3"]);
    expect(named([...ended, read(2 * MINUTE - 1)])).toEqual([]);
    expect(named([announce(POLICY), start(), read(3 * MINUTE), logout(1, MINUTE, 0)])).toEqual(["R3 2"]);
  });

  test("is not what was refused then, nor the word of the logout", () => {
    const late = { n: 2, endedAt: T0 + MINUTE, count: 1, critical: false };
    expect(named([...ended, event("session.use_after_expiry", HOUR, late, { outcome: "denied" })])).toEqual([]);
    expect(named([...ended, event("auth.logout", HOUR, undefined)])).toEqual([]);
  });

  test("is not what was decided before and logged after it", () => {
    expect(named([announce(POLICY), start(), logout(2, 10 * MINUTE, 5 * MINUTE), activity(1, 5 * MINUTE, 0)])).toEqual(
      [],
    );
    expect(named([...ended, read(30 * SECOND)])).toEqual([]);
  });
});

describe("what takes long", () => {
  const step = (at: number, name: string, outcome: "unknown" | "success"): TallyEvent =>
    event("access.export", at, { step: name }, { operation: "op-1", outcome });
  const ends = [timeout(1, 30 * MINUTE, 0)];

  test("is judged by its attempt: its outcome may come long after the end", () => {
    const events = [
      announce(POLICY),
      start(),
      step(MINUTE, "attempt", "unknown"),
      ...ends,
      step(HOUR, "outcome", "success"),
    ];
    expect(named(events)).toEqual([]);
    expect(
      named([announce(POLICY), start(), step(MINUTE, "attempt", "unknown"), step(HOUR, "outcome", "success")]),
    ).toEqual([]);
  });

  test("is a breach where it was attempted after the end, or not at all", () => {
    const late = [step(HOUR, "attempt", "unknown"), step(HOUR, "outcome", "success")];
    expect(named([announce(POLICY), start(), ...ends, ...late])).toEqual(["R3 3", "R3 4"]);
    expect(named([announce(POLICY), start(), ...ends, step(HOUR, "outcome", "success")])).toEqual(["R3 3"]);
  });

  test("counts from when the guard let it in, where the event says that", () => {
    const context = { guardedAt: T0 + 4 * MINUTE, reauthMaxAgeSeconds: 300 };
    const slow = event("access.export", HOUR, context);
    expect(named([announce(POLICY), start(), ...ends, slow])).toEqual([]);
    expect(named([announce(POLICY), start(), slow, ...ends])).toEqual([]);
  });
});

describe("R4, limits laxer than those in force", () => {
  test("is none where limits came into force a second time, and that was logged after what was decided by them", () => {
    const strict = inForce({ ...USUAL, idle: "10m" }, T0 - 2 * HOUR);
    const [first, again] = [
      { ...POLICY, since: T0 - 3 * HOUR },
      { ...POLICY, since: T0 - HOUR },
    ];
    const session = [start(), activity(1, 20 * MINUTE, 0), logout(2, 21 * MINUTE, 20 * MINUTE)];
    expect(named([announce(first), announce(strict), ...session, announce(again)])).toEqual([]);
    expect(named([announce(first), announce(strict), announce(again), ...session])).toEqual([]);
  });

  test("is named once, at what brought them, however long it goes on by them", () => {
    const strict = inForce({ ...USUAL, idle: "10m" }, T0 - 2 * HOUR);
    const older = [announce({ ...POLICY, since: T0 - 3 * HOUR }), announce(strict)];
    expect(named([...older, start(), activity(1, 20 * MINUTE, 0), logout(2, 21 * MINUTE, 20 * MINUTE)])).toEqual([
      "R4 2",
    ]);
    const high = { n: 1, class: "high", idleMs: HOUR, absoluteMs: 8 * HOUR, since: T0 + MINUTE };
    const begun = start({ idleMs: 10 * MINUTE, policy: strict.hash });
    const entered = event("session.class", MINUTE, high);
    expect(named([...older, begun, entered, activity(2, 5 * MINUTE, 0), logout(3, 6 * MINUTE, 5 * MINUTE)])).toEqual([
      "R4 3",
    ]);
    const wide = event("session.class", HOUR, { ...high, idleMs: 2 * HOUR, since: T0 + HOUR });
    expect(
      named([announce(POLICY), start({ idleMs: null }), announce(tight), wide, logout(2, 61 * MINUTE, 0)]),
    ).toEqual(["R4 1", "R4 3"]);
  });

  const tight = inForce({ ...USUAL, idle: "10m" }, T0 + HOUR);
  const alive = [20, 40, 58].map((minutes, at) => activity(at + 1, minutes * MINUTE, ([0, 20, 40][at] ?? 0) * MINUTE));

  test("is a start with longer ones, also where the document comes later", () => {
    const lax = [start({ idleMs: HOUR }), logout(1, MINUTE, 0)];
    expect(named([announce(POLICY), ...lax])).toEqual(["R4 1"]);
    expect(named([...lax, announce(POLICY)])).toEqual(["R4 0"]);
    expect(named([announce(POLICY), start({ idleMs: null }), logout(1, MINUTE, 0)])).toEqual(["R4 1"]);
    expect(named([announce(POLICY), start({ absoluteMs: HOUR }), logout(1, MINUTE, 0)])).toEqual([]);
  });

  test("is going on by the limits of before, from ten seconds after they were tightened", () => {
    const upTo = (at: number): TallyEvent[] => [
      announce(POLICY),
      start(),
      ...alive,
      announce(tight),
      activity(4, at, 58 * MINUTE),
      logout(5, at, at),
    ];
    expect(named(upTo(HOUR + 10 * SECOND))).toEqual(["R4 6"]);
    expect(named(upTo(HOUR + 10 * SECOND - 1))).toEqual([]);
  });

  test("is found also where the document is logged after what was decided", () => {
    const late = [activity(4, 75 * MINUTE, 58 * MINUTE), announce(tight), logout(5, 76 * MINUTE, 75 * MINUTE)];
    expect(named([announce(POLICY), start(), ...alive, ...late])).toEqual(["R4 5"]);
  });

  test("is a class that came with longer ones than the document gives it", () => {
    const entered = (idleMs: number): TallyEvent =>
      event("session.class", MINUTE, { n: 1, class: "high", idleMs, absoluteMs: HOUR, since: T0 + MINUTE });
    const events = (idleMs: number): TallyEvent[] => [
      announce(POLICY),
      start(),
      entered(idleMs),
      logout(2, 2 * MINUTE, 0),
    ];
    expect(named(events(5 * MINUTE))).toEqual([]);
    expect(named(events(6 * MINUTE))).toEqual(["R4 2"]);
  });

  test("is a document that is not what its hash says, or none", () => {
    const forged = event("session.policy", 0, { hash: POLICY.hash, document: formatPolicy(tight.policy), since: T0 });
    expect(named([forged])).toEqual(["R4 0"]);
    const other = "{}";
    expect(named([event("session.policy", 0, { hash: hashPolicy(other), document: other, since: T0 })])).toEqual([
      "R4 0",
    ]);
  });

  test("cannot be told without a document, which is a note", () => {
    const events = [start({ policy: "00".repeat(32) }), logout(1, MINUTE, 0)];
    expect(named(events)).toEqual([]);
    expect(noted(events)).toEqual(["policy-unknown 0"]);
  });
});

describe("R5, a guarded action without step-up", () => {
  const guarded = (at: number, context: TallyEvent["context"]): TallyEvent[] => [
    announce(POLICY),
    start(),
    event("access.export", at, context),
    logout(1, at + MINUTE, 0),
  ];

  test("is one that says itself how fresh the authentication has to be", () => {
    expect(named(guarded(6 * MINUTE, { reauthMaxAgeSeconds: 300 }))).toEqual(["R5 2"]);
    expect(named(guarded(6 * MINUTE - 1, { reauthMaxAgeSeconds: 300 }))).toEqual([]);
    expect(named(guarded(MINUTE, { reauthMaxAgeSeconds: 300, reauthFactors: ["otp"] }))).toEqual(["R5 2"]);
  });

  test("is what the session was refused before, unless the step-up came in between", () => {
    const target = { type: "route", id: "POST /export" };
    const refused = event(
      "access.denied",
      10 * MINUTE,
      { n: 1, maxAgeSeconds: 300, authAt: T0 },
      {
        outcome: "denied",
        reason: "reauth-required",
        targets: [target],
      },
    );
    const done = event("access.export", 12 * MINUTE, undefined, { targets: [target] });
    expect(named([announce(POLICY), start(), refused, done, logout(2, 13 * MINUTE, 0)])).toEqual(["R5 3"]);
    const shown = event("session.reauth", 11 * MINUTE, { n: 2, authAt: T0 + 11 * MINUTE, previousAt: T0 });
    expect(named([announce(POLICY), start(), refused, shown, done, logout(3, 13 * MINUTE, 11 * MINUTE)])).toEqual([]);
  });
});

describe("R6, too many at once", () => {
  const two = inForce({ ...USUAL, concurrent: { max: 2, beyond: "end-oldest" } });
  /** The start, and the logout, of the session of a number. */
  const begin = (at: number, number: number): TallyEvent =>
    by(number, { ...start({ policy: two.hash, startedAt: T0 + at, authAt: T0 + at }), time: T0 + at });
  const end = (at: number, number: number): TallyEvent => by(number, logout(1, at, at));
  const by = (number: number, each: TallyEvent): TallyEvent => ({ ...each, session: { id: `0${number}`.repeat(32) } });

  test("is the start of the one beyond, wherever the ends of the others stand", () => {
    const starts = [1, 2, 3].map((number) => begin(number * MINUTE, number));
    const ends = [1, 2, 3].map((number) => end(10 * MINUTE, number));
    expect(named([announce(two), ...starts, ...ends])).toEqual(["R6 3"]);
    expect(named([announce(two), ...starts])).toEqual(["R6 3"]);
    expect(named([...starts, ...ends, announce(two)])).toEqual(["R6 2"]);
  });

  test("counts the same id in another tenant as somebody else", () => {
    const tenants = ["initech", "initech", "globex", "globex"];
    const starts = tenants.map((tenant, at) => ({ ...begin(at * MINUTE, at + 1), tenant }));
    const none = [begin(4 * MINUTE, 5), begin(5 * MINUTE, 6)];
    expect(named([announce(two), ...starts, ...none])).toEqual([]);
    expect(named([announce(two), ...starts, ...none, { ...begin(6 * MINUTE, 7), tenant: "globex" }])).toEqual(["R6 7"]);
  });

  test("is none where the oldest had ended, even if the log was told later, or in the same moment", () => {
    const [first, second, third] = [1, 2, 3].map((number) => begin(number * MINUTE, number));
    if (first === undefined || second === undefined || third === undefined) throw new Error("expected three");
    const others = [end(10 * MINUTE, 2), end(10 * MINUTE, 3)];
    expect(named([announce(two), first, second, third, by(1, logout(1, 3 * MINUTE, MINUTE)), ...others])).toEqual([]);
    expect(named([announce(two), first, second, third, ...others, by(1, logout(1, 2 * MINUTE, MINUTE))])).toEqual([]);
  });

  test("does not count those that had reached their deadline, though nobody had noticed", () => {
    const events = [announce(two), begin(0, 1), begin(0, 2), begin(31 * MINUTE, 3), begin(32 * MINUTE, 4)];
    expect(named(events)).toEqual([]);
    expect(named([...events, begin(33 * MINUTE, 5)])).toEqual(["R6 5"]);
  });
});

describe("R7, an extension past the absolute limit", () => {
  test("is one that says so, by a millisecond", () => {
    const short = inForce({ idle: "30m", absolute: "40m" });
    const begun = start({ absoluteMs: 40 * MINUTE, policy: short.hash });
    const extended = (until: number): TallyEvent[] => {
      const extend = event("session.extend", 10 * MINUTE, {
        n: 1,
        at: T0 + 10 * MINUTE,
        previousAt: T0,
        deadlineAt: T0 + until,
      });
      return [announce(short), begun, extend, logout(2, 11 * MINUTE, 10 * MINUTE)];
    };
    expect(named(extended(40 * MINUTE))).toEqual([]);
    expect(named(extended(40 * MINUTE + 1))).toEqual(["R7 2"]);
    expect(named(extended(39 * MINUTE))).toEqual(["R8 2"]);
  });
});

describe("R8, holes and contradictions", () => {
  const whole = [
    announce(POLICY),
    start(),
    activity(1, MINUTE, 0),
    activity(2, 2 * MINUTE, MINUTE),
    logout(3, 3 * MINUTE, 2 * MINUTE),
  ];

  test("is any one entry that is missing but the last, at the one behind it", () => {
    expect(named(whole)).toEqual([]);
    for (const missing of [1, 2, 3]) expect(named(whole.filter((_, at) => at !== missing))).toEqual([`R8 ${missing}`]);
  });

  test("is not any order in which the same entries come", () => {
    fc.assert(
      fc.property(fc.shuffledSubarray(whole, { minLength: whole.length }), (events) => {
        const log = logOf(events).map((entry) => ({ ...entry, leaf: { ...entry.leaf, loggedAt: T0 + HOUR } }));
        expect(replay(log)).toMatchObject({ findings: [], counts: { sessions: 1, ended: 1 } });
      }),
      { numRuns },
    );
  });

  test("is another entry under the same number; the same one twice is a note", () => {
    expect(named([...whole.slice(0, 3), activity(1, 90 * SECOND, 0), ...whole.slice(3)])).toEqual(["R8 3"]);
    expect(named([...whole, logout(3, 3 * MINUTE, 2 * MINUTE)])).toEqual(["R8 5"]);
    const [, , again] = whole;
    const twice = [...whole.slice(0, 3), again ?? start(), ...whole.slice(3)];
    expect(named(twice)).toEqual([]);
    expect(noted(twice)).toEqual(["reported-twice 3"]);
  });

  test("is not the same entry of an instance that was thought dead, however late, and also after the end", () => {
    for (const [at, again] of whole.entries()) {
      if (at === 0) continue;
      for (let behind = at + 1; behind <= whole.length; behind += 1) {
        const twice = [...whole.slice(0, behind), again, ...whole.slice(behind)];
        expect([named(twice), noted(twice)]).toEqual([[], [`reported-twice ${behind}`]]);
        const other = { ...again, context: { ...again.context, more: 1 } };
        expect(named([...whole.slice(0, behind), other, ...whole.slice(behind)])).toEqual([`R8 ${behind}`]);
      }
    }
    const late = { n: 4, endedAt: T0 + 3 * MINUTE, count: 1, critical: false };
    const used = event("session.use_after_expiry", HOUR, late, { outcome: "denied" });
    expect(noted([...whole, used, used])).toEqual(["reported-twice 6"]);
    const begunTwice = [...whole.slice(0, 2), ...whole.slice(1), ...whole.slice(1, 2)];
    expect(replay(logOf(begunTwice)).counts).toMatchObject({ sessions: 1, ended: 1, entries: 6 });
  });

  test("is not told of what is repeated after a thousand others: that is unjudged", () => {
    const many = Array.from({ length: 5000 }, (_, at) => activity(at + 1, (at + 1) * SECOND, at * SECOND));
    const [first = start()] = many;
    const log = logOf([announce(POLICY), start(), ...many, first, many.at(-900) ?? start()]);
    expect(replay(log)).toMatchObject({
      findings: [],
      notes: [{ code: "reported-twice", index: 5003 }],
      counts: { unjudged: 1 },
    });
  });

  test("is a gap in a sender's sequence, or in the leaf's own chain", () => {
    const log = logOf(whole);
    const gap = log.map((entry) => ({
      ...entry,
      leaf: { ...entry.leaf, sequence: entry.index + (entry.index < 2 ? 1 : 2) },
    }));
    expect(replay(gap).findings).toMatchObject([{ rule: "R8", index: 2 }]);
    const moved = log.map((entry) => {
      const { session } = entry.leaf;
      return entry.index !== 3 || session === null
        ? entry
        : { ...entry, leaf: { ...entry.leaf, session: { ...session, prev: 1 } } };
    });
    expect(replay(moved).findings).toMatchObject([{ rule: "R8", index: 3 }]);
  });

  test("is an activity before the one that the chain has, and an end before its deadline", () => {
    expect(
      named([
        announce(POLICY),
        start(),
        activity(1, MINUTE, 0),
        activity(2, 2 * MINUTE, 0),
        logout(3, 3 * MINUTE, 2 * MINUTE),
      ]),
    ).toEqual(["R8 3"]);
    expect(named([announce(POLICY), start(), timeout(1, 20 * MINUTE, 0)])).toEqual(["R8 2"]);
  });
});

describe("what a replay does not judge", () => {
  test("is a session some of whose entries cannot be read", () => {
    const log = logOf([announce(POLICY), start(), activity(1, HOUR, 0), logout(2, 9 * HOUR, 0)]);
    const erased = log.map((entry) => (entry.index === 1 ? { ...entry, event: undefined } : entry));
    expect(replay(erased)).toMatchObject({ findings: [], counts: { unreadable: 1, sessions: 0 } });
  });

  test("is one whose beginning was erased, however much of it came after that", () => {
    const more = Array.from({ length: 300 }, (_, at) => activity(at + 1, (at + 1) * MINUTE, at * MINUTE));
    const log = logOf([announce(POLICY), start(), ...more, activity(301, 40 * HOUR, 0), logout(302, 50 * HOUR, 0)]);
    const until = (last: number): LoggedEntry[] =>
      log.map((entry) => (entry.index > 0 && entry.index <= last ? { ...entry, event: undefined } : entry));
    for (const last of [1, 2, 40, 302]) {
      expect(replay(until(last))).toMatchObject({ findings: [], counts: { unreadable: last } });
    }
  });

  test("is one that only the application names", () => {
    expect(replay(logOf([read(0), read(9 * HOUR)]))).toMatchObject({
      findings: [],
      counts: { unmanaged: 1, events: 2 },
    });
  });

  test("is what is beyond its bounds, and it says how much that is", () => {
    const of = (session: string, events: readonly TallyEvent[]): TallyEvent[] =>
      events.map((each) => ({ ...each, session: { id: session } }));
    const [one, other] = ["01".repeat(32), "02".repeat(32)];
    const begun = [announce(POLICY), ...of(one, [start()]), ...of(other, [start()]), ...of(other, [read(MINUTE)])];
    expect(replay(logOf(begun), { openMax: 1 })).toMatchObject({ findings: [], counts: { sessions: 1, unjudged: 2 } });
    const ended = [...of(one, [start(), logout(1, MINUTE, 0)]), ...of(other, [start(), logout(1, MINUTE, 0)])];
    const late = of(one, [read(HOUR)]);
    expect(replay(logOf([announce(POLICY), ...ended, ...late]), { endedMax: 1 }).counts).toMatchObject({
      ended: 2,
      unjudged: 1,
    });
    expect(named([announce(POLICY), ...ended, ...late])).toEqual(["R3 5"]);
  });

  test("never stops it: whatever entries claim, it goes on to the end", () => {
    const types = [
      "start",
      "activity",
      "class",
      "extend",
      "reauth",
      "timeout",
      "end",
      "warning",
      "rotate",
      "use_after_expiry",
      "policy",
    ];
    const number = fc.oneof(
      fc.integer({ min: -1, max: 5 }),
      fc.constantFrom(T0, T0 + HOUR, Number.MAX_SAFE_INTEGER, 0.5, 2 ** 60),
    );
    const names = [
      "n",
      "at",
      "previousAt",
      "lastActivityAt",
      "deadlineAt",
      "idleMs",
      "absoluteMs",
      "since",
      "authAt",
      "maxAgeSeconds",
    ];
    const context = fc.dictionary(
      fc.constantFrom(...names),
      fc.oneof(number, fc.constantFrom("", POLICY.hash), fc.constant(null)),
    );
    const events = fc.tuple(
      fc.constantFrom(...types),
      fc.integer({ min: 0, max: 9 * HOUR }),
      context,
      fc.integer({ min: 0, max: 3 }),
    );
    fc.assert(
      fc.property(fc.array(events, { maxLength: 12 }), (drawn) => {
        const hostile = drawn.map(([type, at, claims, n]) =>
          event(`session.${type}`, at, { n, policy: POLICY.hash, ...claims }),
        );
        const log = logOf([announce(POLICY), start(), ...hostile]);
        const { counts } = replay(log, { at: T0 + HOUR });
        expect(counts.sessions).toBeGreaterThanOrEqual(1);
      }),
      { numRuns },
    );
  });
});

describe("what the manager reports", () => {
  test("S20 has no findings after hours without a log, in which activity was not told", async () => {
    const { sessions, log, pass } = scene({ ...USUAL, idle: "30m", absolute: "8h", tenants: {} });
    const { token } = await sessions.start({ user: "u1" });
    await sessions.flush();
    log.down = true;
    for (let minutes = 0; minutes < 180; minutes += 1) {
      pass(MINUTE);
      await sessions.check(token);
    }
    await sessions.check(token, { class: "high" });
    log.down = false;
    pass(MINUTE);
    await sessions.check(token, { class: "high" });
    pass(5 * MINUTE);
    for (let sweep = 0; sweep < 5; sweep += 1) {
      pass(30 * SECOND);
      await sessions.sweep();
      await sessions.flush();
    }
    const report = replay(logOf(log.events));
    expect(report.findings).toEqual([]);
    expect(report.notes.map(({ code }) => code)).toContain("activity-unreported");
    expect(report.counts).toMatchObject({ sessions: 1, ended: 1 });
  });
});
