/** What holds of the decision whatever is asked of it, and in whatever order. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type Decision,
  type SessionEntry,
  type SessionInput,
  type SessionState,
  absoluteAtOf,
  activityIntervalMs,
  deadlineOf,
  decide,
} from "@tallystick/sessions";
import { HOUR, MINUTE, T0, USUAL, inForce, started } from "./support/policies.ts";

const numRuns = Number(process.env["TALLYSTICK_RUNS"] ?? 500);

const policies = fc.constantFrom(
  undefined,
  inForce(USUAL),
  inForce({ ...USUAL, idle: "7m" }, T0 + 20 * MINUTE),
  inForce({ ...USUAL, absolute: "40m" }, T0 + 35 * MINUTE),
  inForce({ idle: "none", absolute: "30d" }, T0 + 5 * MINUTE),
);
const common = {
  policy: policies,
  place: fc.constantFrom(undefined, "here", "there"),
  token: fc.constantFrom(undefined, "t1", "t2"),
};
const nextToken = fc.constantFrom(undefined, "t2", "t3");
const inputs: fc.Arbitrary<SessionInput> = fc.oneof(
  fc.record({
    type: fc.constant("request" as const),
    activity: fc.boolean(),
    class: fc.constantFrom(undefined, "default", "high", "long"),
    reauth: fc.constantFrom(undefined, { maxAgeMs: 5 * MINUTE }, { maxAgeMs: HOUR, factors: ["otp"] }),
    nextToken,
    ...common,
  }),
  fc.record({ type: fc.constantFrom("extend" as const, "warned" as const, "policy" as const), ...common }),
  fc.record({ type: fc.constant("class" as const), class: fc.constantFrom("high", "long"), nextToken, ...common }),
  fc.record({
    type: fc.constant("reauth" as const),
    factors: fc.constantFrom([], ["otp"], ["password", "otp"]),
    success: fc.boolean(),
    nextToken,
    ...common,
  }),
  fc.record({
    type: fc.constant("sweep" as const),
    detectedBy: fc.constantFrom("sweep" as const, "start" as const),
    ...common,
  }),
);
const wishes: fc.Arbitrary<SessionInput> = fc.record({
  type: fc.constant("end" as const),
  reason: fc.constantFrom("logout" as const, "revoked" as const, "superseded" as const),
  ...common,
});
/** Mostly small steps, now and then a long one, sometimes back. */
const pauses = fc.oneof(
  { weight: 5, arbitrary: fc.integer({ min: 0, max: 4 * MINUTE }) },
  { weight: 2, arbitrary: fc.constantFrom(0, 30 * MINUTE, 5 * MINUTE, 10_000) },
  { weight: 1, arbitrary: fc.integer({ min: -20 * MINUTE, max: 0 }) },
);
const stories = fc.array(
  fc.tuple(pauses, fc.oneof({ weight: 12, arbitrary: inputs }, { weight: 1, arbitrary: wishes })),
  {
    maxLength: 40,
  },
);

interface Scene extends Decision {
  readonly before: SessionState;
  readonly state: SessionState;
  readonly input: SessionInput;
  readonly now: number;
}

/** Plays a story out and gives every scene of it. */
function scenesOf(story: readonly (readonly [number, SessionInput])[]): Scene[] {
  let state = started();
  let now = T0;
  return story.map(([pause, input]) => {
    now += pause;
    const before = state;
    const decision = decide(before, input, now);
    state = decision.state ?? before;
    return { ...decision, before, state, input, now };
  });
}

function check(statement: string, holds: (scenes: readonly Scene[]) => void): void {
  test(statement, () => {
    fc.assert(
      fc.property(stories, (story) => holds(scenesOf(story))),
      { numRuns },
    );
  });
}

const TERMINAL = new Set(["session.timeout", "session.end"]);

describe("decide, whatever happens", () => {
  check("S1 S2 nothing at or after the deadline is ok", (scenes) => {
    for (const { before, state, verdict, now } of scenes) {
      const at = Math.max(now, before.at);
      if (verdict.kind !== "ok" && verdict.kind !== "reauth-required") continue;
      expect(at).toBeLessThan(deadlineOf(before));
      expect(at).toBeLessThan(deadlineOf(state));
      expect(before.ended).toBeNull();
    }
  });

  check("S2 S4 the absolute limit never moves but to an earlier time", (scenes) => {
    for (const { before, state } of scenes) expect(absoluteAtOf(state)).toBeLessThanOrEqual(absoluteAtOf(before));
    for (const { state } of scenes) expect(absoluteAtOf(state)).toBeLessThanOrEqual(T0 + 8 * HOUR);
  });

  check("S3 S4 limits never become laxer", (scenes) => {
    for (const { before, state } of scenes) {
      expect(state.limits.idleMs ?? Infinity).toBeLessThanOrEqual(before.limits.idleMs ?? Infinity);
      expect(state.limits.absoluteMs).toBeLessThanOrEqual(before.limits.absoluteMs);
    }
  });

  check("S11 one entry ends it, and what has ended stays as it ended", (scenes) => {
    const ends = scenes.flatMap(({ entries }) => entries.filter(({ type }) => TERMINAL.has(type)));
    expect(ends.length).toBe(scenes.some(({ state }) => state.ended !== null) ? 1 : 0);
    for (const { before, state } of scenes) if (before.ended !== null) expect(state.ended).toBe(before.ended);
  });

  check("S12 of what has ended the log hears nothing but late uses", (scenes) => {
    const late = scenes.filter(({ before }) => before.ended !== null).flatMap(({ entries }) => entries);
    for (const { type } of late) expect(type).toBe("session.use_after_expiry");
    for (const [at, entry] of late.entries()) {
      const before = late[at - 1];
      if (before !== undefined) expect(entry.at - before.at).toBeGreaterThanOrEqual(10 * MINUTE);
    }
  });

  check("S19 time never runs back, in the state or in the entries", (scenes) => {
    for (const { before, state } of scenes) {
      expect(state.at).toBeGreaterThanOrEqual(before.at);
      expect(state.lastActivityAt).toBeGreaterThanOrEqual(before.lastActivityAt);
    }
    const times = scenes.flatMap(({ entries }) => entries.map(({ at }) => at));
    expect(times).toEqual(times.toSorted((one, other) => one - other));
  });

  check("the entries are numbered without a gap", (scenes) => {
    const numbers = scenes.flatMap(({ entries }) => entries.map(({ context }) => context.n));
    expect(numbers).toEqual(numbers.map((_, at) => at + 1));
  });

  check("S7 the log is never further behind the last activity than it may be", (scenes) => {
    for (const { before, state } of scenes) {
      if (state.lastActivityAt === before.lastActivityAt) continue;
      expect(state.lastActivityAt - state.loggedActivityAt).toBeLessThan(activityIntervalMs(state));
    }
    for (const { context } of activityOf(scenes))
      expect(Number(context["previousAt"])).toBeLessThan(Number(context["at"]));
  });

  check("S11 at one moment the outcome is that of the deadline, whatever the order", (scenes) => {
    const last = scenes.findLast(({ state }) => state.ended === null);
    if (last === undefined) return;
    const at = deadlineOf(last.state);
    const racing: SessionInput[] = [
      { type: "request", activity: true },
      { type: "end", reason: "revoked" },
      { type: "sweep", detectedBy: "sweep" },
    ];
    const ends = racing.map((_, turn) => {
      const order = [...racing.slice(turn), ...racing.slice(0, turn)];
      return order.reduce<SessionState | null>((state, input) => decide(state, input, at).state, last.state)?.ended;
    });
    for (const end of ends) expect(end).toMatchObject({ at, reason: ends[0]?.reason });
    expect(["idle", "absolute"]).toContain(ends[0]?.reason);
  });

  check("is a function: the same once more, from a copy, and its argument as it was", (scenes) => {
    for (const { before, input, now, verdict, entries, state } of scenes) {
      const copy: unknown = JSON.parse(JSON.stringify(before));
      expect(copy, "the state survives the store").toEqual(before);
      expect(decide(copy as SessionState, input, now)).toEqual({ verdict, entries, state });
    }
  });
});

function activityOf(scenes: readonly Scene[]): SessionEntry[] {
  return scenes.flatMap(({ entries }) => entries.filter(({ type }) => type === "session.activity"));
}
