/** The replay rebuilds what the store had, at every moment of whatever happened. */
import { isDeepStrictEqual } from "node:util";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { type TallyEvent, sessionTag } from "@tallystick/events";
import {
  type SessionPolicyOptions,
  type SessionState,
  type SessionStore,
  type Sessions,
  activityIntervalMs,
  deadlineOf,
  decide,
} from "@tallystick/sessions";
import { type ReplayedLeaf, type ReplayedSession, SessionReplay } from "@tallystick/sessions/replay";
import { parseKeptSession } from "../src/kept-session.ts";
import { HOUR, MINUTE, T0, USUAL } from "./support/policies.ts";
import { scene } from "./support/setup.ts";

const numRuns = Math.ceil(Number(process.env["TALLYSTICK_RUNS"] ?? 300) / 6);

/** What is in force, and what may come. The second is stricter, the third looser than the first. */
const LIMITS: readonly SessionPolicyOptions[] = [
  { ...USUAL, concurrent: { max: 2, beyond: "end-oldest" } },
  { ...USUAL, idle: "7m", absolute: "1h", concurrent: { max: 2, beyond: "end-oldest" } },
  { ...USUAL, idle: "1h" },
];

const STEPS = [
  "start",
  "request",
  "request",
  "background",
  "class",
  "extend",
  "reauth",
  "fail",
  "step-up",
  "end",
  "revoke",
  "sweep",
  "limits",
  "warned",
] as const;

const step = fc.record({
  what: fc.constantFrom(...STEPS),
  afterMs: fc.oneof(
    fc.integer({ min: 0, max: MINUTE }),
    fc.integer({ min: 0, max: 12 * MINUTE }),
    fc.integer({ min: 0, max: 70 * MINUTE }),
  ),
  who: fc.integer({ min: 0, max: 3 }),
  which: fc.integer({ min: 0, max: 2 }),
});
type Step = typeof step extends fc.Arbitrary<infer Value> ? Value : never;

/** A user's browser: its latest token. */
interface Browser {
  token: string;
}

async function perform(sessions: Sessions, { what, who, which }: Step, browsers: Browser[]): Promise<void> {
  const user = { user: `u${who % 2}`, tenant: who > 1 ? "acme" : undefined };
  if (what === "start" || browsers.length === 0) {
    const { token } = await sessions.start({
      ...user,
      factors: ["password"],
      ...(which === 0 ? { class: "high" } : {}),
    });
    browsers.unshift({ token });
    return;
  }
  if (what === "sweep") return void (await sessions.sweep());
  if (what === "limits") return sessions.setLimits(LIMITS[which] ?? USUAL);
  if (what === "revoke") return void (await sessions.endAll(user.user, { tenant: user.tenant }));
  const browser = browsers[who % browsers.length];
  if (browser === undefined) throw new Error("expected a browser");
  const verdict = await ask(sessions, what, browser.token);
  browser.token = verdict.token ?? browser.token;
}

function ask(sessions: Sessions, what: Step["what"], token: string): ReturnType<Sessions["check"]> {
  if (what === "extend") return sessions.extend(token);
  if (what === "warned") return sessions.confirmWarning(token);
  if (what === "end") return sessions.end(token);
  if (what === "reauth" || what === "fail")
    return sessions.reauth(token, { factors: ["otp"], success: what === "reauth" });
  if (what === "class") return sessions.check(token, { class: "high" });
  if (what === "step-up") return sessions.check(token, { reauth: { maxAge: "5m" } });
  return sessions.check(token, { activity: what === "request" });
}

/** The state of every session in the store, by its id in events. */
async function statesOf(store: SessionStore): Promise<Map<string, SessionState>> {
  const keys = (await store.due(Number.MAX_SAFE_INTEGER, 1000)).filter((key) => key.startsWith("session/"));
  const entries = await Promise.all(keys.map(async (key) => store.get(key)));
  return new Map(
    entries.flatMap((entry) => {
      if (entry === undefined) return [];
      const { auditId, state } = parseKeptSession(entry.value);
      return [[auditId, state] as const];
    }),
  );
}

function shownAt(at: number, events: readonly TallyEvent[]): ReplayedSession[] {
  const shown: ReplayedSession[] = [];
  const replay = new SessionReplay({ at, onSession: (session) => shown.push(session) });
  const chains = new Map<string, NonNullable<ReplayedLeaf["session"]>>();
  let loggedAt = 0;
  for (const [index, event] of events.entries()) {
    loggedAt = Math.max(loggedAt, event.time);
    const id = event.session?.id;
    const session =
      id === undefined ? null : (chains.get(id) ?? { tag: sessionTag(Buffer.from(id, "hex")), n: 0, prev: null });
    if (id !== undefined && session !== null) chains.set(id, { ...session, n: session.n + 1, prev: index });
    replay.follow({ index, leaf: { loggedAt, session, sequence: index + 1 }, stream: "s", event });
  }
  expect(replay.finish().findings).toEqual([]);
  return shown;
}

/** Whether what was rebuilt is the truth, as far as the log was told it. */
function isAsItWas({ state, deadlineAt }: ReplayedSession, truth: SessionState | undefined, at: number): boolean {
  if (truth === undefined) return false;
  // Over is over, whether or not somebody had noticed it.
  const ended = truth.ended ?? decide(truth, { type: "sweep", detectedBy: "sweep" }, at).state?.ended ?? null;
  const untoldMs = deadlineOf(truth) - deadlineAt;
  if (state.ended?.at !== ended?.at || state.ended?.reason !== ended?.reason) return false;
  if (ended === null && (untoldMs < 0 || untoldMs >= activityIntervalMs(truth))) return false;
  return isDeepStrictEqual(toldOf(state), toldOf(truth));
}

function toldOf({ startedAt, user, tenant, classes, limits, authAt, factors }: SessionState): object {
  return { startedAt, user, tenant, classes, limits, authAt, factors };
}

/** Activity that the next entry does not tell, only one behind it. */
const TOLD_LATE: readonly Step[] = [
  { what: "start", afterMs: 0, who: 0, which: 1 },
  { what: "request", afterMs: 52_240, who: 0, which: 0 },
  { what: "class", afterMs: 1_747_759, who: 0, which: 0 },
];

/** By limits under which it would have been told sooner. */
const TOLD_BY_EARLIER_LIMITS: readonly Step[] = [
  { what: "start", afterMs: 0, who: 0, which: 1 },
  { what: "request", afterMs: 41_999, who: 0, which: 0 },
  { what: "limits", afterMs: 0, who: 0, which: 1 },
];

test("every session is rebuilt as it was, at any moment of whatever happened", { timeout: 120_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 3, maxLength: 25 }), async (steps) => {
      const { sessions, log, store, pass } = scene(LIMITS[0]);
      const browsers: Browser[] = [];
      const then: { readonly at: number; readonly states: Map<string, SessionState> }[] = [];
      let now = T0;
      for (const each of steps) {
        // Two things in one moment leave nothing to be told of between them.
        now += each.afterMs + 1;
        pass(each.afterMs + 1);
        await perform(sessions, each, browsers);
        await sessions.flush();
        then.push({ at: now, states: await statesOf(store) });
      }
      // In the end all are over, and that is told with the activity before it: up to then some was not told yet.
      pass(24 * HOUR);
      await sessions.sweep();
      await sessions.flush();
      for (const [turn, { at, states }] of then.entries()) {
        for (const moment of new Set([at, (then[turn + 1]?.at ?? at + 1) - 1])) {
          const shown = shownAt(moment, log.events);
          const wrong = shown.filter((session) => !isAsItWas(session, states.get(session.state.id), moment));
          expect({ moment: moment - T0, wrong, count: shown.length }).toEqual({
            moment: moment - T0,
            wrong: [],
            count: states.size,
          });
        }
      }
    }),
    { numRuns, examples: [[[...TOLD_LATE]], [[...TOLD_BY_EARLIER_LIMITS]]] },
  );
});
