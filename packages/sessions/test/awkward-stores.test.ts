/** Sessions over stores that are slow, stuck, wrong or overfull, and what many do at one moment. */
import { setTimeout as sleep } from "node:timers/promises";
import { expect, onTestFinished, test, vi } from "vitest";
import { type SessionStore, createMemorySessionStore, parsePolicyDocument } from "@tallystick/sessions";
import { rejectionCode } from "../../../test/support/errors.ts";
import { HOUR, MINUTE, T0, USUAL } from "./support/policies.ts";
import { scene } from "./support/setup.ts";

/** A store of which some of the methods do more. */
function over(store: SessionStore, methods: Partial<SessionStore>): SessionStore {
  return {
    now: async () => store.now(),
    get: async (key) => store.get(key),
    put: async (key, value, version, deadline) => store.put(key, value, version, deadline),
    due: async (before, limit) => store.due(before, limit),
    close: async () => store.close(),
    ...methods,
  };
}

test("S13 a login that has its place when all are revoked does not outlive that", async () => {
  const store = createMemorySessionStore();
  const [reserved, goOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const put: SessionStore["put"] = async (key, value, version, deadline) => {
    if (key.startsWith("session/") && version === 0) {
      reserved.resolve();
      await goOn.promise;
    }
    return store.put(key, value, version, deadline);
  };
  const { sessions } = scene({ ...USUAL, store: over(store, { put }) });
  const begun = sessions.start({ user: "u1" });
  await reserved.promise;
  const revoked = sessions.endAll("u1");
  await sleep(20);
  goOn.resolve();
  const { token } = await begun;
  expect([await revoked, (await sessions.check(token)).kind]).toEqual([1, "ended"]);
});

test("S4 tighter limits are in what is listed before the background has come to a session", async () => {
  const store = createMemorySessionStore({ now: () => now });
  let now = T0;
  // Whoever sets limits finds no session to bring under them.
  const { sessions, another } = scene({ ...USUAL, store: over(store, { due: async () => [] }) });
  const old = await sessions.start({ user: "u1" });
  now += 6 * MINUTE;
  const fresh = await sessions.start({ user: "u1" });
  await sessions.setLimits({ ...USUAL, idle: "5m" });
  await sessions.flush();
  now += MINUTE;
  const [listed, ...others] = await sessions.list("u1");
  expect([listed?.id, others]).toEqual([fresh.session.id, []]);
  expect(listed).toEqual((await sessions.look(fresh.token)).session);
  expect(listed).toMatchObject({ limits: { idleMs: 5 * MINUTE }, deadlineAt: T0 + 11 * MINUTE });
  expect((await sessions.look(old.token)).kind).toBe("expired");
  // The document of an instance that only lists is in force too.
  expect(await another({ ...USUAL, idle: "1m", store }).list("u1")).toEqual([]);
});

test("a login does not look at all sessions that its user has, be they ever so many", async () => {
  const store = createMemorySessionStore();
  const gets: string[] = [];
  const get: SessionStore["get"] = async (key) => {
    gets.push(key);
    return store.get(key);
  };
  const { sessions } = scene({ ...USUAL, store: over(store, { get }) });
  for (let times = 0; times < 200; times += 1) await sessions.start({ user: "u1" });
  await sessions.flush();
  expect(gets.length).toBeLessThan(3000);
  expect(await sessions.list("u1")).toHaveLength(200);
});

test("S10 a deadline is noticed however many others stay due, as the log takes nothing of them", async () => {
  const { sessions, log, pass } = scene({ ...USUAL, keepEnded: "1h" });
  await sessions.limits();
  await sessions.flush();
  log.down = true;
  for (let times = 0; times < 300; times += 1) await sessions.end((await sessions.start({ user: "u1" })).token);
  await sessions.flush();
  pass(2 * HOUR);
  await sessions.start({ user: "u2" });
  pass(HOUR);
  expect(await sessions.sweep()).toEqual({ ended: 1, forgotten: 0 });
  log.down = false;
  pass(HOUR);
  expect(await sessions.sweep()).toEqual({ ended: 0, forgotten: 0 });
  await sessions.flush();
  expect(await sessions.sweep()).toEqual({ ended: 0, forgotten: 301 });
});

test("S20 a store that never answers is one that fails", async () => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const store = createMemorySessionStore();
  let isStuck = false;
  const get: SessionStore["get"] = async (key) => (isStuck ? new Promise(() => undefined) : store.get(key));
  const { sessions } = scene({ ...USUAL, store: over(store, { get }) });
  const { token } = await sessions.start({ user: "u1" });
  await sessions.flush();
  isStuck = true;
  const code = rejectionCode(sessions.check(token));
  await vi.advanceTimersByTimeAsync(7000);
  expect(await code).toBe("session-state-unavailable");
});

test.each([Number.NaN, Infinity, -1, "1769850000000"])(
  "S19 a store whose clock says %s is one that fails",
  async (wrong) => {
    let now: unknown = T0;
    const store = over(createMemorySessionStore(), { now: async () => now as number });
    const { sessions } = scene({ ...USUAL, store });
    const { token } = await sessions.start({ user: "u1" });
    now = wrong;
    for (const activity of [true, false]) {
      expect(await rejectionCode(sessions.check(token, { activity }))).toBe("session-state-unavailable");
    }
  },
);

test("S4 limits that were replaced before the log had them are announced all the same", async () => {
  const { sessions, log, pass } = scene({ ...USUAL, idle: "30m" });
  await sessions.limits();
  await sessions.flush();
  log.down = true;
  for (const idle of ["20m", "10m", "5m"] as const) {
    await sessions.setLimits({ ...USUAL, idle });
    await sessions.flush();
    pass(1000);
  }
  log.down = false;
  for (let times = 0; times < 4; times += 1) {
    pass(20_000);
    await sessions.sweep();
    await sessions.flush();
  }
  const announced = log.of("session.policy").map(({ context }) => context?.["document"]);
  const idles = announced.map((document) => typeof document === "string" && parsePolicyDocument(document).idleMs);
  expect(idles).toEqual([30 * MINUTE, 20 * MINUTE, 10 * MINUTE, 5 * MINUTE]);
});
