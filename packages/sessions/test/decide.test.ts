import { describe, expect, test } from "vitest";
import { type SessionInput, type Verdict, decide } from "@tallystick/sessions";
import { BACKGROUND, HOUR, MINUTE, REQUEST, T0, USUAL, inForce, play, started } from "./support/policies.ts";

const policy = inForce(USUAL);
const logout: SessionInput = { type: "end", reason: "logout" };
const sweep: SessionInput = { type: "sweep", detectedBy: "sweep" };
const HIGH: SessionInput = { type: "request", activity: true, class: "high", policy };

function kinds({ entries }: { entries: readonly { type: string }[] }): string[] {
  return entries.map(({ type }) => type);
}

function remaining(verdict: Verdict): number | undefined {
  return verdict.kind === "ok" ? verdict.remainingSeconds : undefined;
}

describe("S1 idle", () => {
  test("S1 a request one millisecond before the deadline is served, one at the deadline is not", () => {
    expect(play(started(), [30 * MINUTE - 1, REQUEST]).verdict.kind).toBe("ok");
    const late = play(started(), [30 * MINUTE, REQUEST]);
    expect(late.verdict).toEqual({ kind: "expired", reason: "idle", endedAt: T0 + 30 * MINUTE });
    expect(late.entries).toEqual([
      {
        type: "session.timeout",
        at: T0 + 30 * MINUTE,
        outcome: "success",
        actor: "nobody",
        reason: "idle",
        context: {
          n: 1,
          deadlineAt: T0 + 30 * MINUTE,
          lastActivityAt: T0,
          detectedAt: T0 + 30 * MINUTE,
          detectedBy: "check",
        },
      },
    ]);
  });

  test("S1 says later requests the same, and the same deadline", () => {
    const { verdict } = play(started(), [30 * MINUTE, REQUEST], [5 * HOUR, REQUEST]);
    expect(verdict).toEqual({ kind: "expired", reason: "idle", endedAt: T0 + 30 * MINUTE });
  });
});

describe("S2 absolute", () => {
  test("S2 nothing moves it: activity, extension, step-up", () => {
    let state = started();
    for (let at = 10 * MINUTE; at < 8 * HOUR; at += 10 * MINUTE) {
      const inputs: SessionInput[] = [REQUEST, { type: "extend" }, { type: "reauth", factors: ["otp"], success: true }];
      const decision = play(state, ...inputs.map((input) => [at, input] as const));
      expect(decision.verdict.kind).toBe("ok");
      state = decision.state ?? state;
    }
    expect(play(state, [8 * HOUR - 1, REQUEST]).verdict.kind).toBe("ok");
    expect(play(state, [8 * HOUR, REQUEST]).verdict).toMatchObject({ kind: "expired", reason: "absolute" });
  });

  test("S2 where both are reached at once, absolute is the reason", () => {
    expect(play(started({ idle: "8h", absolute: "8h" }), [8 * HOUR, sweep]).verdict).toMatchObject({
      reason: "absolute",
    });
  });
});

describe("S3 class", () => {
  test("S3 a stricter class tightens the rest of the session, under a new token", () => {
    const entered = play(started(), [MINUTE, { ...HIGH, token: "t1", nextToken: "t2" }]);
    expect(kinds(entered)).toEqual(["session.class", "session.rotate", "session.activity"]);
    expect(entered.entries[0]?.context).toEqual({
      n: 1,
      class: "high",
      idleMs: 5 * MINUTE,
      absoluteMs: HOUR,
      since: T0 + MINUTE,
    });
    expect(entered.verdict).toMatchObject({ kind: "ok", rotated: true, remainingSeconds: 300 });
    const after = play(started(), [MINUTE, HIGH], [6 * MINUTE, REQUEST]);
    expect(after.verdict).toMatchObject({ kind: "expired", reason: "idle" });
  });

  test("S3 who was idle for longer than the class allows does not get in, and the session is over then, not before", () => {
    const { verdict, entries } = play(started(), [7 * MINUTE, HIGH]);
    expect(verdict).toEqual({ kind: "expired", reason: "idle", endedAt: T0 + 7 * MINUTE });
    expect(entries.map(({ type }) => type)).toEqual(["session.class", "session.timeout"]);
  });

  test("S3 a class that would be laxer changes no limit", () => {
    const { state } = play(started(), [MINUTE, { ...HIGH, class: "long" }]);
    expect(state?.limits).toEqual({ idleMs: 30 * MINUTE, absoluteMs: 8 * HOUR });
  });

  test("S3 is entered once", () => {
    expect(kinds(play(started(), [MINUTE, HIGH], [MINUTE + 1, HIGH]))).toEqual([]);
  });
});

describe("S4 limits change", () => {
  const tighter = inForce({ ...USUAL, idle: "10m", absolute: "2h" }, T0 + 12 * MINUTE);
  const looser = inForce({ ...USUAL, idle: "2h", absolute: "30d" }, T0 + 12 * MINUTE);

  test("S4 tighter limits bite at the next check, and nothing is over before they were in force", () => {
    const { verdict, entries } = play(started(), [15 * MINUTE, { ...REQUEST, policy: tighter }]);
    expect(verdict).toEqual({ kind: "expired", reason: "idle", endedAt: T0 + 12 * MINUTE });
    expect(entries[0]).toMatchObject({ type: "session.class", reason: "policy", context: { policy: tighter.hash } });
  });

  test("S4 looser limits are for new sessions only", () => {
    const { state, entries } = play(started(), [15 * MINUTE, { ...BACKGROUND, policy: looser }]);
    expect(state?.limits).toEqual({ idleMs: 30 * MINUTE, absoluteMs: 8 * HOUR });
    expect(entries).toEqual([]);
  });

  test("S4 a session that was over before is over when it was", () => {
    const late = inForce({ ...USUAL, idle: "10m" }, T0 + HOUR);
    const { verdict } = play(started(), [2 * HOUR, { ...sweep, policy: late }]);
    expect(verdict).toMatchObject({ kind: "expired", endedAt: T0 + 30 * MINUTE });
  });
});

describe("S5 warning", () => {
  test("S5 tells the remaining seconds from 60 s before the deadline on", () => {
    expect(play(started(), [29 * MINUTE - 1, BACKGROUND]).verdict).toMatchObject({ warning: null });
    const { verdict } = play(started(), [29 * MINUTE + 500, BACKGROUND]);
    expect(verdict).toMatchObject({ warning: { remainingSeconds: 59, extendable: true } });
  });

  test("S5 that it was shown is an entry, once per deadline", () => {
    const shown: SessionInput = { type: "warned" };
    const first = play(started(), [29 * MINUTE, shown]);
    expect(first.entries).toMatchObject([
      {
        type: "session.warning",
        context: { n: 1, deadlineAt: T0 + 30 * MINUTE, remainingSeconds: 60, confirmed: true },
      },
    ]);
    expect(play(started(), [29 * MINUTE, shown], [29 * MINUTE + 5, shown]).entries).toEqual([]);
    const again = play(started(), [29 * MINUTE, shown], [29 * MINUTE + 9, { type: "extend" }], [59 * MINUTE, shown]);
    expect(kinds(again)).toEqual(["session.warning"]);
    expect(play(started(), [20 * MINUTE, shown]).entries, "nobody warns so early").toEqual([]);
  });
});

describe("S6 extend", () => {
  test("S6 one action is enough, a hundred times over, and never past absolute", () => {
    let state = started({ idle: "2m", absolute: "1h" });
    for (let at = MINUTE; at <= HOUR - 2 * MINUTE; at += 30_000) {
      const { verdict, entries, state: next } = play(state, [at, { type: "extend" }]);
      expect(verdict).toMatchObject({ kind: "ok", extended: true });
      expect(entries[0]?.context["deadlineAt"]).toBe(Math.min(T0 + at + 2 * MINUTE, T0 + HOUR));
      state = next ?? state;
    }
    const last = play(state, [HOUR - MINUTE, { type: "extend" }]);
    expect(last.verdict).toMatchObject({ kind: "ok", extended: false, extendable: false, remainingSeconds: 60 });
    expect(kinds(last)).not.toContain("session.extend");
  });
});

describe("S7 activity", () => {
  test("S7 what runs in the background keeps nothing alive", () => {
    expect(remaining(play(started(), [10 * MINUTE, BACKGROUND]).verdict)).toBe(20 * 60);
    expect(play(started(), [29 * MINUTE, BACKGROUND], [30 * MINUTE, BACKGROUND]).verdict.kind).toBe("expired");
  });

  test("S7 is told at most every min(60 s, idle/10), with the exact time of the one before", () => {
    let state = started({ idle: "5m", absolute: "1h" });
    const told: number[] = [];
    for (let at = 7_000; at < 10 * MINUTE; at += 7_000) {
      const { entries, state: next } = play(state, [at, REQUEST]);
      for (const { context } of entries) {
        expect(context).toEqual({ n: told.length + 1, previousAt: T0 + at - 7_000, at: T0 + at });
        told.push(at);
      }
      state = next ?? state;
    }
    expect(told.slice(0, 3)).toEqual([35_000, 70_000, 105_000]);
  });
});

describe("S8 step-up", () => {
  const EXPORT: SessionInput = { type: "request", activity: true, reauth: { maxAgeMs: 5 * MINUTE, factors: ["otp"] } };

  test("S8 names factors and age, moves nothing, and says so in the log", () => {
    const { verdict, entries, state } = play(started(), [MINUTE, EXPORT]);
    expect(verdict).toMatchObject({ kind: "reauth-required", factors: ["otp"], maxAgeSeconds: 300 });
    expect(entries).toMatchObject([
      { type: "access.denied", outcome: "denied", reason: "reauth-required", context: { n: 1 } },
    ]);
    expect(state?.lastActivityAt).toBe(T0);
  });

  test("S8 success moves authAt and idle, not absolute, and rotates", () => {
    const stepUp: SessionInput = { type: "reauth", factors: ["otp"], success: true, nextToken: "t2" };
    const decision = play(started(), [20 * MINUTE, stepUp]);
    expect(kinds(decision)).toEqual(["session.reauth", "session.rotate"]);
    expect(remaining(decision.verdict)).toBe(30 * 60);
    expect(play(started(), [20 * MINUTE, stepUp], [25 * MINUTE - 1, EXPORT]).verdict.kind).toBe("ok");
    expect(play(started(), [20 * MINUTE, stepUp], [25 * MINUTE, EXPORT]).verdict.kind).toBe("reauth-required");
  });

  test("S8 a factor of long ago does not count, though another is fresh", () => {
    const state = started(USUAL, { factors: ["password", "otp"] });
    const password: SessionInput = { type: "reauth", factors: ["password"], success: true };
    expect(play(state, [MINUTE, EXPORT]).verdict.kind).toBe("ok");
    expect(play(state, [20 * MINUTE, password], [21 * MINUTE, EXPORT]).verdict.kind).toBe("reauth-required");
  });

  test("S8 a failure moves nothing and is told", () => {
    const { entries, state } = play(started(), [MINUTE, { type: "reauth", factors: ["otp"], success: false }]);
    expect(entries).toMatchObject([{ type: "session.reauth", outcome: "failure" }]);
    expect([state?.authAt, state?.lastActivityAt]).toEqual([T0, T0]);
  });
});

describe("S9 rotation", () => {
  const stepUp: SessionInput = { type: "reauth", factors: [], success: true, token: "t1", nextToken: "t2" };
  const withToken = (token: string): SessionInput => ({ type: "request", activity: true, token });
  const enters = (nextToken: string, reauth?: { maxAgeMs: number }): SessionInput => {
    const policy = inForce(USUAL);
    return { type: "request", activity: true, token: "t1", class: "high", policy, nextToken, reauth };
  };

  test("S9 the old token opens for 10 s more, the new one from now on, under one id", () => {
    const { state } = play(started(), [MINUTE, stepUp]);
    expect(state?.id).toBe("s1");
    expect(play(started(), [MINUTE, stepUp], [MINUTE + 9_999, withToken("t1")]).verdict.kind).toBe("ok");
    expect(play(started(), [MINUTE, stepUp], [MINUTE + 10_000, withToken("t1")])).toMatchObject({
      verdict: { kind: "unknown" },
      entries: [],
    });
    expect(play(started(), [MINUTE, stepUp], [MINUTE + 10_000, withToken("t2")]).verdict.kind).toBe("ok");
    expect(play(started(), [MINUTE, withToken("t3")]).verdict.kind).toBe("unknown");
  });

  test("S9 whoever has the old token gets nothing of the step-up, and no new token", () => {
    const need = { maxAgeMs: 5 * MINUTE };
    const guarded = (token: string): SessionInput => ({ type: "request", activity: true, token, reauth: need });
    const late = 6 * MINUTE;
    expect(play(started(), [late, stepUp], [late + 1, guarded("t1")]).verdict.kind).toBe("reauth-required");
    expect(play(started(), [late, stepUp], [late + 1, guarded("t2")]).verdict.kind).toBe("ok");
    const entered = play(started(), [late, stepUp], [late + 1, enters("t3")]);
    expect(entered).toMatchObject({ verdict: { kind: "ok", rotated: false }, state: { classes: ["default", "high"] } });
    expect(entered.state?.tokens.map(({ hash }) => hash)).toEqual(["t2", "t1"]);
  });

  test("S9 of requests side by side, those with a token replaced at a class change keep what they could do", () => {
    const need = { maxAgeMs: 5 * MINUTE };
    const { verdict } = play(started(), [MINUTE, enters("t2", need)], [MINUTE, enters("t3", need)]);
    expect(verdict).toMatchObject({ kind: "ok", rotated: false });
  });

  test("S9 a try again, after a put that took place and said that it had not, still gives the new token", () => {
    const { verdict, entries } = play(started(), [MINUTE, enters("t2")], [MINUTE, enters("t2")]);
    expect([verdict, entries]).toMatchObject([{ kind: "ok", rotated: true }, []]);
  });
});

describe("S11 races", () => {
  const wishes: SessionInput[] = [logout, { type: "end", reason: "revoked" }, { type: "end", reason: "superseded" }];

  test("S11 at the deadline it is the deadline that ends it, whoever comes first", () => {
    for (const wish of [...wishes, REQUEST, sweep, { type: "extend" } as const]) {
      const { verdict, state } = play(started(), [30 * MINUTE, wish]);
      expect(verdict).toMatchObject({ kind: "expired", reason: "idle" });
      expect(state?.ended).toMatchObject({ reason: "idle", at: T0 + 30 * MINUTE });
    }
  });

  test("S11 of several wishes the first ends it, and the others change nothing", () => {
    const inputs = [...wishes, sweep].map((input) => [MINUTE, input] as const);
    const { state, entries } = play(started(), ...inputs);
    expect(state?.ended).toEqual({ reason: "logout", at: T0 + MINUTE, detectedAt: T0 + MINUTE });
    expect([state?.entries, entries]).toEqual([2, []]);
  });
});

describe("S12 use after the end", () => {
  test("S12 is told once in 10 minutes, with how often", () => {
    const steps = Array.from({ length: 25 }, (_, at) => [MINUTE + 1 + at * MINUTE, REQUEST] as const);
    let { state } = play(started(), [MINUTE, logout]);
    const told: unknown[] = [];
    for (const [at, input] of steps) {
      const decision = decide(state, input, T0 + at);
      expect(decision.verdict).toEqual({ kind: "ended", reason: "logout", endedAt: T0 + MINUTE });
      told.push(...decision.entries.map(({ context }) => context));
      state = decision.state;
    }
    const common = { endedAt: T0 + MINUTE, critical: false };
    expect(told).toEqual([
      { n: 2, count: 1, ...common },
      { n: 3, count: 10, ...common },
      { n: 4, count: 10, ...common },
    ]);
  });

  test.each([
    ["after revocation", { type: "end", reason: "revoked" }, "here", true],
    ["from elsewhere", logout, "elsewhere", true],
    ["from where it was used", logout, "here", false],
  ] as const)("S12 %s: critical is %s", (_, wish, place, critical) => {
    const used: SessionInput = { type: "request", activity: true, place: "here" };
    const { entries } = play(started(), [1, used], [MINUTE, wish], [2 * MINUTE, { ...used, place }]);
    expect(entries).toMatchObject([{ type: "session.use_after_expiry", context: { critical } }]);
  });

  test("S12 a page that was left open is told from somebody who uses it, and hides nobody", () => {
    const poll: SessionInput = { type: "request", activity: false, place: "here" };
    const used = { ...poll, activity: true } as const;
    const { state } = play(started(), [1, used], [MINUTE, logout]);
    const after = (...inputs: [number, SessionInput][]): unknown[] => {
      let current = state;
      return inputs.flatMap(([at, input]) => {
        const decision = decide(current, input, T0 + at * MINUTE);
        current = decision.state;
        return decision.entries.map(({ context: { count, background, critical } }) => [count, background, critical]);
      });
    };
    expect(after([2, poll], [3, poll], [4, poll], [12, poll])).toEqual([
      [1, 1, false],
      [3, 3, false],
    ]);
    const stolen = { ...used, place: "elsewhere" };
    expect(after([2, poll], [3, stolen], [12, poll])).toEqual([
      [1, 1, false],
      [2, 1, true],
    ]);
    expect(after([2, poll], [3, stolen], [11, sweep], [12, sweep], [30, sweep])).toEqual([
      [1, 1, false],
      [1, undefined, true],
    ]);
  });

  test("S12 whoever has no token of it leaves no trace", () => {
    const { entries, verdict } = play(started(), [MINUTE, logout], [2 * MINUTE, { ...REQUEST, token: "guess" }]);
    expect([entries, verdict.kind]).toEqual([[], "unknown"]);
  });
});

test("S19 time never runs back: an earlier time counts as the one before", () => {
  const { state, verdict } = play(
    started(),
    [20 * MINUTE, REQUEST],
    [-HOUR, REQUEST],
    [5 * MINUTE, { type: "extend" }],
  );
  expect([state?.at, state?.lastActivityAt]).toEqual([T0 + 20 * MINUTE, T0 + 20 * MINUTE]);
  expect(remaining(verdict)).toBe(30 * 60);
});

test("a session that there is not is unknown, and one that there is does not start again", () => {
  expect(decide(null, REQUEST, T0)).toEqual({ state: null, verdict: { kind: "unknown" }, entries: [] });
  const state = started();
  const again = decide(state, { type: "start", id: "s1", user: "u2", policy }, T0 + 1);
  expect(again).toEqual({ state, verdict: { kind: "unknown" }, entries: [] });
});

test("a request that changes nothing gives the very state back, so that nothing need be written", () => {
  const state = started();
  expect(play(state, [MINUTE, BACKGROUND]).state).toBe(state);
  expect(play(state, [0, REQUEST]).state).toBe(state);
});
