/** What a guard asked for stands in the events of what it let in, so that a replay can hold them against the step-up. */
import { type TestTallystick, createTestTallystick } from "@tallystick/testing";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { guardRequest } from "../src/http.ts";
import type { RequestFacts } from "../src/request-facts.ts";
import { beginAudit, requestState } from "../src/request-state.ts";
import { MINUTE, T0 } from "./support/policies.ts";
import { scene } from "./support/setup.ts";

const SETTINGS = { trustProxy: 0, cookie: {} };

function factsOf(token: string): RequestFacts {
  const headers: Readonly<Record<string, string>> = { authorization: `Bearer ${token}` };
  return { method: "POST", path: "/export", header: (name) => headers[name], peer: "192.0.2.7", encrypted: true };
}

const READ = { type: "access.read", outcome: "success", targets: [{ type: "file", id: "f1" }] } as const;
const EXPORT = { ...READ, type: "access.export" } as const;
const ANYBODY = { type: "anonymous", id: "anybody" };

describe("the events of a request", () => {
  let tally: TestTallystick;
  beforeEach(() => {
    tally = createTestTallystick();
  });
  afterEach(async () => tally.close());

  /** What each event of that type has in its context. */
  async function contexts(type: string): Promise<unknown[]> {
    await tally.flush();
    return tally.events.filter((event) => event.type === type).map(({ context }) => context);
  }

  test("bear what the guard asked for, and when it let it in by the store's clock", async () => {
    const { sessions, pass } = scene();
    const { token } = await sessions.start({ user: "u1", factors: ["password", "otp"] });
    pass(2 * MINUTE + 300);
    const request = {};
    const audit = beginAudit(request, factsOf(token), { log: tally, settings: SETTINGS });
    const state = requestState(request, () => factsOf(token));
    await audit.record({ ...READ, actor: ANYBODY });
    await guardRequest(sessions, state, {});
    await audit.record(READ);
    const answer = await guardRequest(sessions, state, { reauth: { maxAge: "5m", factors: ["otp"] } });
    await audit.record({ ...EXPORT, context: { rows: 3 } });
    expect(answer.served).toBe(true);
    expect(await contexts("access.read")).toEqual([undefined, undefined]);
    const [exported] = await contexts("access.export");
    expect(exported).toEqual({
      reauthMaxAgeSeconds: 300,
      reauthFactors: ["otp"],
      guardedAt: expect.any(Number),
      rows: 3,
    });
    const { guardedAt } = exported as { guardedAt: number };
    expect(guardedAt - (T0 + 2 * MINUTE + 300)).toBeGreaterThanOrEqual(0);
    expect(guardedAt - (T0 + 2 * MINUTE + 300)).toBeLessThan(1000);
  });

  test("bear nothing of it where it was refused", async () => {
    const { sessions, pass } = scene();
    const { token } = await sessions.start({ user: "u1", factors: ["password"] });
    pass(6 * MINUTE);
    const request = {};
    const audit = beginAudit(request, factsOf(token), { log: tally, settings: SETTINGS });
    const state = requestState(request, () => factsOf(token));
    expect((await guardRequest(sessions, state, { reauth: { maxAge: "5m" } })).served).toBe(false);
    await audit.record({ ...EXPORT, outcome: "denied", actor: ANYBODY });
    expect(await contexts("access.export")).toEqual([undefined]);
  });
});
