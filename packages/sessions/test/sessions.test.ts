/** What sessions promise, case by case, over a store whose clock the test sets. */
import { setTimeout as sleep } from "node:timers/promises";
import type { TallyEvent } from "@tallystick/events";
import { describe, expect, test } from "vitest";
import {
  type Checked,
  type SessionPolicy,
  type Sessions,
  type Verdict,
  createMemorySessionStore,
  createSessions,
  parsePolicyDocument,
  sessionById,
} from "@tallystick/sessions";
import type { KeptSession } from "../src/kept-session.ts";
import { rejectionCode } from "../../../test/support/errors.ts";
import { HOUR, MINUTE, T0, USUAL } from "./support/policies.ts";
import { EventList, scene } from "./support/setup.ts";

const USER = { user: "u1", factors: ["password"], source: { ip: "192.0.2.7" } } as const;

/** The remaining seconds of a session that is alive; else what it is. */
function left(verdict: Verdict): number | string {
  return verdict.kind === "ok" ? verdict.remainingSeconds : verdict.kind;
}

function tokenOf({ token }: Checked): string {
  if (token === undefined) throw new Error("expected a new token");
  return token;
}

function documentOf(event: TallyEvent | undefined): SessionPolicy | undefined {
  const document = event?.context?.["document"];
  return typeof document === "string" ? parsePolicyDocument(document) : undefined;
}

async function kinds(sessions: Sessions, tokens: readonly string[]): Promise<string[]> {
  const verdicts = await Promise.all(tokens.map(async (token) => sessions.check(token, { activity: false })));
  return verdicts.map(({ kind }) => kind);
}

describe("start", () => {
  test("gives a token that no event and no value in the store holds, and a chain that begins with 0", async () => {
    const { sessions, log, store } = scene();
    const { token, session, verdict } = await sessions.start({ ...USER, tenant: "acme" });
    await sessions.flush();
    expect(session).toMatchObject({
      user: "u1",
      tenant: "acme",
      class: "default",
      factors: ["password"],
      startedAt: T0,
    });
    expect(left(verdict)).toBe(600);
    const [start] = log.of();
    expect(start).toMatchObject({
      type: "session.start",
      time: T0,
      outcome: "success",
      actor: { type: "user", id: "u1" },
      session: { id: session.auditId },
      source: { ip: "192.0.2.7" },
      auth: { factors: ["password"] },
    });
    expect(start?.context).toMatchObject({
      n: 0,
      class: "default",
      idleMs: 10 * MINUTE,
      absoluteMs: 8 * HOUR,
      startedAt: T0,
      authAt: T0,
    });
    expect(session.auditId).toMatch(/^[0-9a-f]{64}$/);
    const stored = await Promise.all((await store.due(Number.MAX_SAFE_INTEGER, 10)).map(async (key) => store.get(key)));
    const secret = token.slice(token.indexOf(".") + 1);
    expect(JSON.stringify([log.events, stored])).not.toContain(secret);
  });

  test("announces the limits once, whatever instances begin with them", async () => {
    const { sessions, log, another } = scene();
    await sessions.start(USER);
    await another().start(USER);
    await sessions.sweep();
    await sessions.flush();
    const { hash, policy } = await sessions.limits();
    expect(log.of("session.policy")).toHaveLength(1);
    expect(log.of("session.policy")[0]?.context).toMatchObject({ hash, since: T0 });
    expect(documentOf(log.of("session.policy")[0])).toEqual(policy);
  });

  test.each([
    [{ user: "" }, "event-invalid"],
    [{ user: "u1", factors: ["My Password"] }, "event-invalid"],
    [{ user: "u1", source: { ip: "localhost" } }, "event-invalid"],
    [{ user: "u1", class: "huge" }, "RangeError"],
    [{ user: "u1", id: "a b" }, "TypeError"],
  ])("refuses %j, and nothing began", async (options, code) => {
    const { sessions, log } = scene();
    expect(await rejectionCode(sessions.start(options))).toBe(code);
    expect(await sessions.list("u1")).toEqual([]);
    expect(log.of()).toEqual([]);
  });

  test("takes an id of the application's own, once, and then goes by it", async () => {
    const { sessions } = scene();
    await sessions.start({ ...USER, id: "their-own-id" });
    expect(await rejectionCode(sessions.start({ ...USER, id: "their-own-id" }))).toBe("RangeError");
    expect(left(await sessions.check(sessionById("their-own-id")))).toBe(1800);
  });

  test("what a request brings as JSON opens no session without its token", async () => {
    const { sessions, log } = scene();
    const { session } = await sessions.start({ ...USER, id: "their-own-id" });
    await sessions.flush();
    const before = log.types();
    const byId = sessionById(session.id);
    const bodies: unknown[] = [
      JSON.parse(`{"id":"${session.id}"}`),
      JSON.parse(`["${session.id}"]`),
      JSON.parse(`{"#id":"${session.id}","id":"${session.id}"}`),
      structuredClone(byId),
      Object.create(byId),
      Object.assign(Object.create(Object.getPrototypeOf(byId) as object) as object, { id: session.id }),
    ];
    for (const body of bodies) {
      const credential = body as string;
      const asked = [
        sessions.check(credential),
        sessions.look(credential),
        sessions.extend(credential),
        sessions.reauth(credential, { factors: [] }),
        sessions.confirmWarning(credential),
        sessions.end(credential),
      ];
      for (const each of asked) await expect(each).rejects.toThrow(TypeError);
    }
    await sessions.flush();
    expect(log.types()).toEqual(before);
    expect(left(await sessions.check(byId))).toBe(1800);
  });

  test("an id that no session can have is unknown, and what is no text is no id", async () => {
    const { sessions } = scene();
    for (const id of ["", "1", "a b c d e f", "../policy", "a".repeat(200)]) {
      expect(await sessions.check(sessionById(id))).toEqual({ kind: "unknown" });
    }
    expect(() => sessionById({ id: "their-own-id" } as never)).toThrow("id: expected the id of a session, got object");
    await expect(sessions.start({ ...USER, id: ["their-own-id"] as never })).rejects.toThrow("id: expected 8 to 128");
  });

  test.each(["", "x", "a.b", `${"a".repeat(22)}.${"b".repeat(43)}`, "'; --", "a".repeat(10_000)])(
    "a stranger's token %j is unknown",
    async (token) => {
      const { sessions, log } = scene();
      await sessions.start(USER);
      expect(await sessions.check(token)).toEqual({ kind: "unknown" });
      await sessions.flush();
      expect(log.types()).toEqual(["session.start"]);
    },
  );
});

test("S1 a request at the idle deadline is refused, and the log has why and when", async () => {
  const { sessions, log, pass } = scene();
  const { token } = await sessions.start(USER);
  pass(30 * MINUTE - 1);
  expect(left(await sessions.check(token))).toBe(1800);
  pass(30 * MINUTE);
  expect(await sessions.check(token)).toMatchObject({ kind: "expired", reason: "idle", endedAt: T0 + 60 * MINUTE - 1 });
  await sessions.flush();
  expect(log.of("session.timeout")).toMatchObject([
    { reason: "idle", subject: { id: "u1" }, context: { deadlineAt: T0 + 60 * MINUTE - 1, detectedBy: "check" } },
  ]);
});

test("S2 the absolute deadline is reached whatever was done", async () => {
  const { sessions, log, pass } = scene();
  const { token } = await sessions.start(USER);
  let current = token;
  for (let minutes = 20; minutes < 480; minutes += 20) {
    pass(20 * MINUTE);
    await sessions.extend(current);
    current = tokenOf(await sessions.reauth(current, { factors: ["otp"] }));
  }
  pass(20 * MINUTE - 1);
  expect(left(await sessions.check(current))).toBe(0);
  pass(1);
  expect(await sessions.check(current)).toMatchObject({ kind: "expired", reason: "absolute", endedAt: T0 + 8 * HOUR });
  await sessions.flush();
  expect(log.of("session.timeout")).toMatchObject([{ reason: "absolute" }]);
});

test("S3 a stricter class tightens the rest of the session; the strictest of default, tenant and class wins", async () => {
  const { sessions, log, pass } = scene();
  const { token } = await sessions.start({ ...USER, tenant: "acme" });
  const entered = await sessions.check(token, { class: "high" });
  expect(left(entered)).toBe(120);
  expect(entered.session).toMatchObject({ class: "high", limits: { idleMs: 2 * MINUTE, absoluteMs: HOUR } });
  pass(2 * MINUTE);
  expect((await sessions.check(tokenOf(entered))).kind).toBe("expired");
  await sessions.flush();
  expect(log.types()).toEqual(["session.start", "session.class", "session.rotate", "session.timeout"]);
});

describe("S4 limits change", () => {
  test("S4 tighter ones bite at the next check in every instance, looser ones for new sessions", async () => {
    const { sessions, another, log, pass } = scene();
    const old = await sessions.start(USER);
    pass(6 * MINUTE);
    const other = another({ ...USUAL, idle: "5m" });
    const fresh = await other.start(USER);
    expect(await sessions.check(old.token)).toMatchObject({ kind: "expired", endedAt: T0 + 6 * MINUTE });
    expect(left(await sessions.check(fresh.token))).toBe(300);
    await other.setLimits({ ...USUAL, idle: "2h" });
    expect(left(await sessions.check(fresh.token))).toBe(300);
    expect(left((await sessions.start(USER)).verdict)).toBe(7200);
    await Promise.all([sessions.flush(), other.flush()]);
    expect(log.of("session.policy").map((event) => documentOf(event)?.idleMs)).toEqual([
      30 * MINUTE,
      5 * MINUTE,
      2 * HOUR,
    ]);
  });

  test("S4 S10 what is idle for too long under them is found by the sweeper, without a request", async () => {
    const { sessions, log, pass } = scene();
    await sessions.start(USER);
    pass(MINUTE);
    await sessions.setLimits({ ...USUAL, idle: "5m" });
    await sessions.flush();
    pass(4 * MINUTE);
    expect(await sessions.sweep()).toEqual({ ended: 1, forgotten: 0 });
    expect(log.of("session.timeout")).toMatchObject([
      { context: { deadlineAt: T0 + 5 * MINUTE, detectedBy: "sweep" } },
    ]);
  });
});

test("S5 the warning comes 60 s before, in seconds; that it was shown is told once per deadline", async () => {
  const { sessions, log, pass } = scene();
  const { token } = await sessions.start(USER);
  pass(29 * MINUTE - 1);
  expect(await sessions.check(token, { activity: false })).toMatchObject({ warning: null });
  pass(1);
  expect(await sessions.check(token, { activity: false })).toMatchObject({
    warning: { remainingSeconds: 60, extendable: true },
  });
  await sessions.confirmWarning(token);
  await sessions.confirmWarning(token);
  await sessions.extend(token);
  pass(29 * MINUTE);
  await sessions.confirmWarning(token);
  await sessions.flush();
  expect(log.of("session.warning").map(({ context }) => context)).toEqual([
    { n: 1, deadlineAt: T0 + 30 * MINUTE, remainingSeconds: 60, confirmed: true },
    { n: 3, deadlineAt: T0 + 59 * MINUTE, remainingSeconds: 60, confirmed: true },
  ]);
});

test("S6 the user extends again and again, until near the absolute deadline", async () => {
  const { sessions, log, pass } = scene({ idle: "10m", absolute: "2h" });
  const { token } = await sessions.start(USER);
  for (let times = 1; times <= 12; times += 1) {
    pass(9 * MINUTE);
    expect(await sessions.extend(token)).toMatchObject({ kind: "ok", extended: true });
  }
  pass(11 * MINUTE - 1);
  expect((await sessions.extend(token)).kind).toBe("expired");
  const again = await sessions.start(USER);
  for (let times = 1; times <= 13; times += 1) {
    pass(9 * MINUTE);
    await sessions.check(again.token);
  }
  pass(2 * MINUTE);
  expect(await sessions.extend(again.token)).toMatchObject({ kind: "ok", extended: false, extendable: false });
  await sessions.flush();
  expect(log.of("session.extend")).toHaveLength(12);
});

test("S7 background requests keep nothing alive; where only explicit activity counts, neither does a plain one", async () => {
  const { sessions, pass } = scene();
  const { token } = await sessions.start(USER);
  pass(10 * MINUTE);
  expect(left(await sessions.check(token, { activity: false }))).toBe(1200);
  expect(left(await sessions.check(token))).toBe(1800);
  const explicit = scene({ ...USUAL, activity: "explicit" });
  const started = await explicit.sessions.start(USER);
  explicit.pass(10 * MINUTE);
  expect(left(await explicit.sessions.check(started.token))).toBe(1200);
  expect(left(await explicit.sessions.check(started.token, { activity: true }))).toBe(1800);
});

test("S8 a step-up is asked for with factors and age, and its success moves authAt and idle, not absolute", async () => {
  const { sessions, log, pass } = scene();
  const { token } = await sessions.start(USER);
  pass(10 * MINUTE);
  const need = { reauth: { maxAge: "5m", factors: ["otp"] }, target: { type: "route", id: "/app/export" } } as const;
  expect(await sessions.check(token, need)).toMatchObject({
    kind: "reauth-required",
    factors: ["otp"],
    maxAgeSeconds: 300,
  });
  expect(await sessions.reauth(token, { factors: ["otp"], success: false })).not.toHaveProperty("token");
  expect((await sessions.check(token, need)).kind).toBe("reauth-required");
  const stepped = await sessions.reauth(token, { factors: ["otp"] });
  expect(stepped.session).toMatchObject({ authAt: T0 + 10 * MINUTE, startedAt: T0, factors: ["password", "otp"] });
  expect((await sessions.check(tokenOf(stepped), need)).kind).toBe("ok");
  pass(5 * MINUTE);
  expect((await sessions.check(tokenOf(stepped), need)).kind).toBe("reauth-required");
  await sessions.flush();
  const told = log.of().filter(({ type }) => type === "access.denied" || type === "session.reauth");
  expect(told.map(({ type, outcome }) => `${type} ${outcome}`)).toEqual([
    "access.denied denied",
    "session.reauth failure",
    "access.denied denied",
    "session.reauth success",
    "access.denied denied",
  ]);
  expect(told[0]?.targets).toEqual([{ type: "route", id: "/app/export" }]);
});

test("S9 a token that was replaced opens for 10 s more; the session's id stays", async () => {
  const { sessions, log, pass } = scene();
  const first = await sessions.start(USER);
  const stepped = await sessions.reauth(first.token, { factors: ["otp"] });
  const second = tokenOf(stepped);
  expect(second).not.toBe(first.token);
  expect(stepped.session?.id).toBe(first.session.id);
  pass(9_999);
  expect(await kinds(sessions, [first.token, second])).toEqual(["ok", "ok"]);
  pass(1);
  expect(await kinds(sessions, [first.token, second])).toEqual(["unknown", "ok"]);
  await sessions.flush();
  expect(log.of("session.rotate")).toMatchObject([
    { session: { id: first.session.auditId }, context: { why: "reauth" } },
  ]);
});

describe("S10 silent expiry", () => {
  test("S10 is found without any request, by the timer, within 30 s", async () => {
    let now = T0;
    const log = new EventList();
    const store = createMemorySessionStore({ now: () => now });
    await using sessions = createSessions(log, { ...USUAL, store, sweepIntervalMs: 20 });
    await sessions.start(USER);
    now += 30 * MINUTE;
    for (let tries = 0; tries < 500 && log.of("session.timeout").length === 0; tries += 1) await sleep(10);
    expect(log.of("session.timeout")).toMatchObject([{ context: { deadlineAt: T0 + 30 * MINUTE } }]);
  });

  test("S10 is found at start, after a downtime, once by however many", async () => {
    const { sessions, log, pass, another } = scene();
    await Promise.all(Array.from({ length: 40 }, async (_, at) => sessions.start({ user: `u${at}` })));
    await sessions.close();
    pass(3 * HOUR);
    const [one, two] = [another({ ...USUAL, sweepIntervalMs: 10_000 }), another({ ...USUAL, sweepIntervalMs: 10_000 })];
    for (let tries = 0; tries < 500 && log.of("session.timeout").length < 40; tries += 1) await sleep(10);
    await Promise.all([one.close(), two.close()]);
    expect(log.of("session.timeout")).toHaveLength(40);
    expect(new Set(log.of("session.timeout").map(({ context }) => context?.["detectedBy"]))).toEqual(
      new Set(["start"]),
    );
  });
});

test("S11 timeout, logout, revocation and activity at once leave one end", async () => {
  for (const at of [MINUTE, 30 * MINUTE]) {
    const { sessions, another, log, store, pass } = scene();
    const { token, session } = await sessions.start(USER);
    const other = another();
    pass(at);
    const verdicts = await Promise.all([
      other.sweep(),
      sessions.end(token),
      other.end(sessionById(session.id), { reason: "revoked", by: { type: "user", id: "admin" } }),
      sessions.check(token),
      other.extend(token),
      other.endAll("u1"),
    ]);
    expect(verdicts).toHaveLength(6);
    expect((await sessions.check(token)).kind).not.toBe("ok");
    await Promise.all([sessions.flush(), other.flush()]);
    const ends = log.of().filter(({ type }) => type === "session.end" || type === "session.timeout");
    expect(ends).toHaveLength(1);
    const { state } = JSON.parse((await store.get(`session/${session.id}`))?.value ?? "") as Pick<KeptSession, "state">;
    expect(ends[0]?.reason).toBe(state.ended?.reason);
    expect(ends[0]?.type).toBe(at === MINUTE ? "session.end" : "session.timeout");
  }
});

test("S12 the use of what has ended is refused and told once in 10 minutes; after revocation it is critical", async () => {
  const { sessions, log, pass } = scene();
  const { token } = await sessions.start(USER);
  await sessions.end(token, { reason: "revoked", by: { type: "user", id: "admin" } });
  for (let turn = 0; turn < 12; turn += 1) {
    expect(await sessions.check(token, { source: { ip: "192.0.2.7" } })).toMatchObject({
      kind: "ended",
      reason: "revoked",
    });
    pass(MINUTE);
  }
  await sessions.flush();
  expect(log.of("session.use_after_expiry").map(({ context }) => context)).toEqual([
    { n: 2, endedAt: T0, count: 1, critical: true },
    { n: 3, endedAt: T0, count: 10, critical: true },
  ]);
  const signedOut = await sessions.start(USER);
  await sessions.end(signedOut.token);
  await sessions.check(signedOut.token, { source: { ip: "192.0.2.7" } });
  const elsewhere = await sessions.start(USER);
  await sessions.end(elsewhere.token);
  await sessions.check(elsewhere.token, { source: { ip: "198.51.100.1" } });
  await sessions.flush();
  expect(log.of("session.use_after_expiry").slice(2)).toMatchObject([
    { context: { critical: false } },
    { context: { critical: true }, source: { ip: "198.51.100.1" } },
  ]);
});

test("S13 one, the others or all are revoked, at the next check in every instance", async () => {
  const { sessions, another, log } = scene();
  const [a, b, c] = [await sessions.start(USER), await sessions.start(USER), await sessions.start(USER)];
  const stranger = await sessions.start({ user: "u2" });
  const tokens = [a.token, b.token, c.token, stranger.token];
  const other = another();
  await sessions.end(sessionById(b.session.id), { reason: "revoked", by: { type: "user", id: "u1" } });
  expect(await kinds(other, tokens)).toEqual(["ok", "ended", "ok", "ok"]);
  expect((await other.list("u1")).map(({ id }) => id)).toEqual([a.session.id, c.session.id]);
  expect(await sessions.endAll("u1", { except: a.session.id })).toBe(1);
  expect(await kinds(other, tokens)).toEqual(["ok", "ended", "ended", "ok"]);
  expect(await sessions.endAll("u1", { by: { type: "user", id: "admin" } })).toBe(1);
  expect(await kinds(other, tokens)).toEqual(["ended", "ended", "ended", "ok"]);
  await sessions.flush();
  expect(log.of("session.end").map(({ reason, actor, subject }) => [reason, actor?.id, subject?.id])).toEqual([
    ["revoked", "u1", undefined],
    ["revoked", undefined, "u1"],
    ["revoked", "admin", "u1"],
  ]);
});

describe("look", () => {
  test("S16 says whether a session is alive, by no activity and no use after its end", async () => {
    const { sessions, log, pass } = scene();
    const { token, session } = await sessions.start(USER);
    pass(29 * MINUTE);
    expect([left(await sessions.look(token)), left(await sessions.look(sessionById(session.id)))]).toEqual([60, 60]);
    pass(MINUTE);
    expect([left(await sessions.look(token)), left(await sessions.look(sessionById(session.id)))]).toEqual([
      "expired",
      "expired",
    ]);
    expect((await sessions.look("what nobody gave")).kind).toBe("unknown");
    await sessions.flush();
    expect(log.types()).toEqual(["session.start", "session.timeout"]);
  });

  test("S4 S16 sees at once that limits became stricter", async () => {
    const { sessions, pass } = scene();
    const { token } = await sessions.start(USER);
    pass(6 * MINUTE);
    await sessions.setLimits({ ...USUAL, idle: "5m" });
    expect(left(await sessions.look(token))).toBe("expired");
  });
});

describe("S12 use after the end", () => {
  test("S12 the sweeper tells of the uses that nobody came after, and then forgets the session", async () => {
    const { sessions, log, pass } = scene();
    const { token } = await sessions.start(USER);
    await sessions.end(token);
    for (const ip of ["192.0.2.7", "203.0.113.9"]) await sessions.check(token, { source: { ip } });
    pass(10 * MINUTE);
    expect(await sessions.sweep()).toEqual({ ended: 0, forgotten: 0 });
    await sessions.flush();
    const uses = log.of("session.use_after_expiry");
    expect(uses.map(({ context }) => [context?.["count"], context?.["critical"]])).toEqual([
      [1, false],
      [1, true],
    ]);
    pass(24 * HOUR);
    expect(await sessions.sweep()).toEqual({ ended: 0, forgotten: 1 });
  });
});

describe("S14 sessions at once", () => {
  test("S14 off by default", async () => {
    const { sessions } = scene();
    for (let times = 0; times < 40; times += 1) await sessions.start(USER);
    expect(await sessions.list("u1")).toHaveLength(40);
  });

  test("a request of which no source is known is served, and logged without one", async () => {
    const { sessions, log, pass } = scene({ ...USUAL, concurrent: { max: 1, beyond: "deny-new" } });
    const { token } = await sessions.start({ user: "u1", source: {} });
    await expect(sessions.start({ user: "u1", source: { ip: undefined } })).rejects.toThrow("the user has 1 sessions");
    pass(2 * MINUTE);
    expect((await sessions.check(token, { source: {} })).kind).toBe("ok");
    await sessions.flush();
    expect(log.types()).toEqual(["session.start", "auth.login", "session.activity"]);
    expect(log.of().map(({ source }) => source)).toEqual([undefined, undefined, undefined]);
  });

  test("S14 deny-new refuses one more, and the log has it as a denied login", async () => {
    const { sessions, log, pass } = scene({ ...USUAL, concurrent: { max: 2, beyond: "deny-new" } });
    await sessions.start(USER);
    await sessions.start(USER);
    expect(await rejectionCode(sessions.start(USER))).toBe("session-denied");
    await sessions.start({ user: "u2" });
    pass(30 * MINUTE);
    await sessions.start(USER);
    await sessions.flush();
    expect(log.of("auth.login")).toMatchObject([
      { outcome: "denied", actor: { id: "u1" }, context: { sessions: 2, max: 2 } },
    ]);
  });

  test("S14 end-oldest ends the oldest, and the log has it as superseded", async () => {
    const { sessions, log } = scene({ ...USUAL, concurrent: { max: 2, beyond: "end-oldest" } });
    const tokens = [];
    for (let times = 0; times < 4; times += 1) tokens.push((await sessions.start(USER)).token);
    expect(await kinds(sessions, tokens)).toEqual(["ended", "ended", "ok", "ok"]);
    await sessions.flush();
    expect(log.of("session.end").map(({ reason }) => reason)).toEqual(["superseded", "superseded"]);
  });

  test.each(["deny-new", "end-oldest"] as const)(
    "S14 %s: 50 logins at once, in five instances, never exceed the limit",
    async (beyond) => {
      const options = { ...USUAL, concurrent: { max: 3, beyond } };
      const { another } = scene(options);
      const instances = Array.from({ length: 5 }, () => another(options));
      const watch = { running: true, most: 0 };
      const watched = (async () => {
        const watcher = another(options);
        while (watch.running) {
          watch.most = Math.max(watch.most, (await watcher.list("u1")).length);
          await sleep(1);
        }
      })();
      const logins = Array.from({ length: 50 }, async (_, at) => instances[at % 5]?.start(USER));
      const done = await Promise.allSettled(logins);
      watch.running = false;
      await watched;
      expect(done.filter(({ status }) => status === "fulfilled")).toHaveLength(beyond === "deny-new" ? 3 : 50);
      expect(await instances[0]?.list("u1")).toHaveLength(3);
      expect(watch.most).toBeLessThanOrEqual(3);
    },
  );
});

test("S19 the clock of the store counts, and never runs back", async () => {
  const { sessions, pass } = scene();
  const { token } = await sessions.start(USER);
  pass(20 * MINUTE);
  expect(left(await sessions.check(token, { activity: false }))).toBe(600);
  pass(-15 * MINUTE);
  expect(left(await sessions.check(token, { activity: false }))).toBe(600);
  pass(10 * MINUTE);
  expect((await sessions.check(token)).kind).toBe("expired");
});

describe("S20 outage", () => {
  test("S20 while the store is down nothing is ok, and every call says why", async () => {
    const { sessions, store } = scene();
    const { token } = await sessions.start(USER);
    await store.close();
    const calls = [
      async () => sessions.check(token),
      async () => sessions.start(USER),
      async () => sessions.end(token),
      async () => sessions.list("u1"),
      async () => sessions.endAll("u1"),
      async () => sessions.sweep(),
    ];
    for (const call of calls) expect(await rejectionCode(call())).toBe("session-state-unavailable");
  });

  test("S20 while the log is down limits are enforced, and it hears of everything later, once and in order", async () => {
    const { sessions, log, pass, another } = scene();
    log.down = true;
    const { token } = await sessions.start(USER);
    pass(MINUTE);
    expect(left(await sessions.check(token))).toBe(1800);
    pass(30 * MINUTE);
    expect((await sessions.check(token)).kind).toBe("expired");
    await sessions.flush();
    expect(log.events).toEqual([]);
    log.down = false;
    pass(20_000);
    const other = another();
    await Promise.all([other.sweep(), sessions.sweep()]);
    expect(log.types()).toEqual(["session.start", "session.activity", "session.timeout"]);
    expect(log.of().map(({ time }) => time)).toEqual([T0, T0 + MINUTE, T0 + 31 * MINUTE]);
    pass(HOUR);
    await sessions.sweep();
    expect(log.of()).toHaveLength(3);
    expect(log.of("session.policy")).toHaveLength(1);
  });

  test("S20 a log that is down for long fills no store: activity goes untold, and the gap shows", async () => {
    const { sessions, log, pass } = scene();
    log.down = true;
    const { token, session } = await sessions.start(USER);
    for (let minutes = 0; minutes < 120; minutes += 1) {
      pass(MINUTE);
      expect((await sessions.check(token)).kind).toBe("ok");
    }
    await sessions.flush();
    log.down = false;
    pass(21_000);
    await sessions.end(sessionById(session.id));
    await sessions.flush();
    pass(21_000);
    await sessions.sweep();
    expect(log.of("session.activity")).toHaveLength(63);
    const numbers = new Set(log.of().map(({ context }) => context?.["n"]));
    expect(numbers.size).toBe(65);
  });
});

test("what ended is known for a day, and forgotten then", async () => {
  const { sessions, store, pass } = scene();
  const { token } = await sessions.start(USER);
  await sessions.end(token);
  await sessions.flush();
  pass(24 * HOUR - 1);
  expect(await sessions.sweep()).toEqual({ ended: 0, forgotten: 0 });
  expect((await sessions.check(token)).kind).toBe("ended");
  await sessions.flush();
  pass(1);
  expect(await sessions.sweep()).toEqual({ ended: 0, forgotten: 1 });
  expect(await sessions.check(token)).toEqual({ kind: "unknown" });
  expect(await store.due(Number.MAX_SAFE_INTEGER, 10)).toEqual([]);
});

test("after close every call is refused", async () => {
  const { sessions } = scene();
  const { token } = await sessions.start(USER);
  await sessions.close();
  expect(await rejectionCode(sessions.check(token))).toBe("sessions-closed");
});
