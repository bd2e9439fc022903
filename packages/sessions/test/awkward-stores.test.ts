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

test("S4 S10 whoever put stricter limits in force may die: another instance comes to all sessions within a minute", async () => {
  const { sessions, another, store, log, pass } = scene();
  const begun = await Promise.all(Array.from({ length: 3 }, async (_, at) => sessions.start({ user: `u${at}` })));
  // It dies before it has come to any.
  const due: SessionStore["due"] = async () => {
    throw new Error("the process is gone");
  };
  const dying = another({ ...USUAL, store: over(store, { due }) });
  await dying.setLimits({ ...USUAL, idle: "2m" });
  await dying.flush();
  pass(MINUTE);
  await sessions.sweep();
  pass(MINUTE);
  expect(await sessions.sweep()).toMatchObject({ ended: begun.length });
  await sessions.flush();
  expect(log.of("session.timeout").map(({ context }) => context?.["detectedBy"])).toEqual(["sweep", "sweep", "sweep"]);
});

test("S4 while one instance comes to all sessions, no other does", async () => {
  const { sessions, another, store, pass } = scene();
  await sessions.start({ user: "u1" });
  const listed: number[] = [];
  const due: SessionStore["due"] = async (before, limit) => {
    if (before === Number.MAX_SAFE_INTEGER) listed.push(limit);
    return store.due(before, limit);
  };
  const others = [0, 1].map(() => another({ ...USUAL, store: over(store, { due }) }));
  await Promise.all(others.map(async (each) => each.limits()));
  await sessions.setLimits({ ...USUAL, idle: "2m" });
  await sessions.flush();
  for (let round = 0; round < 3; round += 1) {
    pass(MINUTE / 2);
    await Promise.all(others.map(async (each) => each.sweep()));
  }
  expect(listed).toEqual([]);
});

test("S20 while the log takes nothing, a session's state stops growing whatever is repeated, and is decided as before", async () => {
  const { sessions, log, store, pass } = scene();
  const { token, session } = await sessions.start({ user: "u1", factors: ["password"] });
  await sessions.flush();
  log.down = true;
  const ask = { reauth: { maxAge: "1m", factors: ["otp"] } } as const;
  const repeat = async (): Promise<void> => {
    for (let times = 0; times < 300; times += 1) {
      pass(1);
      expect((await sessions.check(token, ask)).kind).toBe("reauth-required");
      expect(await sessions.extend(token)).toMatchObject({ kind: "ok", extended: true, remainingSeconds: 1800 });
      expect((await sessions.reauth(token, { factors: ["password"], success: false })).kind).toBe("ok");
    }
  };
  const size = async (): Promise<number> => (await store.get(`session/${session.id}`))?.value.length ?? 0;
  await repeat();
  const before = await size();
  await repeat();
  expect(await size()).toBeLessThan(before + 1000);
  expect(before).toBeLessThan(192 * 1024);
  log.down = false;
  expect((await sessions.reauth(token, { factors: ["otp"] })).kind).toBe("ok");
  pass(MINUTE);
  await sessions.sweep();
  await sessions.flush();
  const numbers = log.of().map(({ context }) => context?.["n"]);
  expect(numbers.toSorted((one, other) => Number(one) - Number(other))).toEqual(numbers.map((_, at) => at));
  expect(log.types()).toContain("session.rotate");
});

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
