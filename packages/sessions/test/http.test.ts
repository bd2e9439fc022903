/** What sessions promise, through real HTTP: each case with Hono, Express and Fastify. */
import { describe, expect, test } from "vitest";
import { createMemorySessionStore, createSessions, sessionById } from "@tallystick/sessions";
import { HOUR, MINUTE } from "./support/policies.ts";
import { FRAMEWORKS } from "./support/web-app.ts";
import { LIMITS, refusalOf, remainingOf, webScene } from "./support/web-scene.ts";

const SECOND = 1000;
const EXPIRED_IDLE = { status: 401, code: "session-expired", reason: "idle" };
const LATER = { timeout: 20_000, interval: 50 };
/** What an answer says of the session. */
function statusHeaders({ status, headers }: Response): object {
  const of = (name: string): string | null => headers.get(`tallystick-session-${name}`);
  return { status, remaining: of("remaining"), warning: of("warning") };
}

const BACKGROUND = { "tallystick-activity": "background" };

describe.each(Object.keys(FRAMEWORKS))("%s", (framework) => {
  test("S1 a request at the idle deadline is refused, and its handler does not run", async () => {
    await using scene = await webScene(framework);
    const browser = await scene.signedIn();
    scene.at(10 * MINUTE - 1);
    const alive = await browser.get("/app/hello");
    expect({ status: alive.status, remaining: remainingOf(alive) }).toEqual({ status: 200, remaining: 600 });
    scene.at(20 * MINUTE - 1);
    expect(await refusalOf(await browser.get("/app/hello"))).toEqual(EXPIRED_IDLE);
    expect(scene.app.ran).toEqual(["hello"]);
    const timeout = await scene.expectEvent({ type: "session.timeout", reason: "idle" });
    expect(timeout.context).toMatchObject({ detectedBy: "check" });
  });

  test("S1 without a session nothing is served, and what is no token is none", async () => {
    await using scene = await webScene(framework);
    const required = await scene.browser().get("/app/hello");
    expect(required.headers.get("www-authenticate")).toBe("Bearer");
    expect(await refusalOf(required)).toEqual({ status: 401, code: "session-required" });
    for (const token of ["x", "a.b", `${"a".repeat(22)}.${"b".repeat(43)}`, "x".repeat(500)]) {
      const answer = await scene.browser().get("/app/hello", { authorization: `Bearer ${token}` });
      expect(await refusalOf(answer)).toEqual({ status: 401, code: "session-expired", reason: "unknown" });
    }
    expect(scene.app.ran).toEqual([]);
  });

  test("S1 what a session opens is in no cache, where it would be shown after the deadline", async () => {
    await using scene = await webScene(framework);
    const browser = await scene.signedIn();
    const answers = [await browser.get("/app/hello"), await browser.get("/app/cached")];
    expect(answers.map(({ headers }) => headers.get("cache-control"))).toEqual(["no-store", "private, max-age=60"]);
  });

  test("S2 nothing moves the absolute limit", async () => {
    await using scene = await webScene(framework);
    const browser = await scene.signedIn();
    for (let after = 9 * MINUTE; after < HOUR; after += 9 * MINUTE) {
      scene.at(after);
      expect((await browser.get("/app/hello")).status).toBe(200);
      expect((await browser.post("/session/extend")).status).toBe(200);
      expect((await browser.post("/reauth", { factors: ["otp"] })).status).toBe(200);
    }
    scene.at(HOUR - 1);
    expect(remainingOf(await browser.get("/app/hello"))).toBe(0);
    scene.at(HOUR);
    const refused = await browser.get("/app/hello");
    expect(await refusalOf(refused)).toEqual({ status: 401, code: "session-expired", reason: "absolute" });
    await scene.expectEvent({ type: "session.timeout", reason: "absolute" });
  });

  test("S3 a stricter class tightens the rest of the session, and the strictest of default, tenant and class wins", async () => {
    await using scene = await webScene(framework);
    const browser = await scene.signedIn();
    expect(remainingOf(await browser.get("/app/hello"))).toBe(600);
    expect(remainingOf(await browser.get("/app/high"))).toBe(300);
    expect(remainingOf(await browser.get("/app/hello"))).toBe(300);
    const ofTenant = await scene.signedIn({ user: "u2", tenant: "strict" });
    expect(remainingOf(await ofTenant.get("/app/hello"))).toBe(180);
    expect(remainingOf(await ofTenant.get("/app/high"))).toBe(120);
    scene.at(5 * MINUTE);
    expect(await refusalOf(await browser.get("/app/hello"))).toEqual(EXPIRED_IDLE);
    const classes = await scene.reported("session.class");
    expect(classes.map(({ context }) => [context?.["class"], context?.["idleMs"]])).toEqual([
      ["high", 5 * MINUTE],
      ["high", 2 * MINUTE],
    ]);
  });

  test("S4 tighter limits bite at the next check, looser ones are for new sessions only", async () => {
    await using scene = await webScene(framework);
    const browser = await scene.signedIn();
    await scene.sessions.setLimits({ idle: "2m", absolute: "1h", classes: { high: {} } });
    expect(remainingOf(await browser.get("/app/hello"))).toBe(120);
    await scene.sessions.setLimits({ idle: "20m", absolute: "2h", classes: { high: {} } });
    expect(remainingOf(await browser.get("/app/hello"))).toBe(120);
    expect(remainingOf(await (await scene.signedIn()).get("/app/hello"))).toBe(1200);
    scene.at(2 * MINUTE);
    expect(await refusalOf(await browser.get("/app/hello"))).toEqual(EXPIRED_IDLE);
    const policies = await scene.reported("session.policy");
    expect(new Set(policies.map(({ context }) => context?.["hash"])).size).toBe(3);
  });

  test("S5 the warning comes 60 s before, in seconds that remain; its confirmation is one entry per deadline", async () => {
    await using scene = await webScene(framework);
    const browser = await scene.signedIn();
    scene.at(9 * MINUTE - 1);
    const early = await browser.get("/app/hello", BACKGROUND);
    expect(early.headers.get("tallystick-session-warning")).toBeNull();
    expect((await browser.post("/session/warned")).status).toBe(200);
    scene.at(9 * MINUTE);
    const warned = await browser.get("/app/hello", BACKGROUND);
    expect([remainingOf(warned), warned.headers.get("tallystick-session-warning")]).toEqual([60, "extend"]);
    const status = await browser.get("/session");
    expect(await status.json()).toEqual({
      session: (await scene.expectEvent({ type: "session.start" })).session?.id,
      remainingSeconds: 60,
      extendable: true,
      warning: { remainingSeconds: 60, extendable: true },
      extended: false,
      class: "default",
    });
    for (let times = 0; times < 3; times += 1) expect((await browser.post("/session/warned")).status).toBe(200);
    const warnings = await scene.reported("session.warning");
    expect(warnings.map(({ context }) => context?.["remainingSeconds"])).toEqual([60]);
    expect(warnings[0]?.context).toMatchObject({ confirmed: true });
  });

  test("S6 an extension is one action, ten times and more, and close to the absolute limit there is none", async () => {
    await using scene = await webScene(framework);
    const browser = await scene.signedIn();
    for (let times = 1; times <= 11; times += 1) {
      scene.at(times * 4 * MINUTE);
      const answer = await browser.post("/session/extend");
      expect(await answer.json()).toMatchObject({ extended: true, remainingSeconds: 600 });
    }
    scene.at(53 * MINUTE);
    expect(await (await browser.post("/session/extend")).json()).toMatchObject({ remainingSeconds: 420 });
    scene.at(59 * MINUTE + 10 * SECOND);
    const last = await browser.post("/session/extend");
    expect(last.headers.get("tallystick-session-warning")).toBe("sign-in");
    expect(await last.json()).toMatchObject({ extended: false, extendable: false, remainingSeconds: 50 });
    const extensions = await scene.reported("session.extend");
    expect(extensions.length).toBeGreaterThanOrEqual(11);
    const { startedAt } = (await scene.expectEvent({ type: "session.start" })).context ?? {};
    for (const { context } of extensions) {
      expect(Number(context?.["deadlineAt"])).toBeLessThanOrEqual(Number(startedAt) + HOUR);
    }
  });

  test("S7 what runs in the background, is prefetched, or streams, keeps no session alive", async () => {
    await using scene = await webScene(framework);
    const browser = await scene.signedIn();
    scene.at(5 * MINUTE);
    const idle: readonly (readonly [path: string, headers?: Record<string, string>])[] = [
      ["/app/hello", BACKGROUND],
      ["/app/hello", { "sec-purpose": "prefetch;prerender" }],
      ["/app/hello", { purpose: "prefetch" }],
      ["/app/hello", { accept: "text/event-stream" }],
      ["/app/poll"],
      ["/app/poll", { "tallystick-activity": "user" }],
      ["/session"],
    ];
    for (const [path, headers] of idle) {
      const answer = await browser.get(path, headers);
      expect([path, headers, answer.status, remainingOf(answer)]).toEqual([path, headers, 200, 300]);
    }
    expect(remainingOf(await browser.get("/app/hello"))).toBe(600);
    const activities = await scene.reported("session.activity");
    const [first] = activities;
    expect(activities).toHaveLength(1);
    expect(Number(first?.context?.["at"]) - Number(first?.context?.["previousAt"])).toBe(5 * MINUTE);
  });

  test("S7 where only explicit activity counts, a request has to say that somebody is there", async () => {
    await using scene = await webScene(framework, { limits: { activity: "explicit" } });
    const browser = await scene.signedIn();
    scene.at(5 * MINUTE);
    expect(remainingOf(await browser.get("/app/hello"))).toBe(300);
    expect(remainingOf(await browser.get("/app/hello", { "tallystick-activity": "user" }))).toBe(600);
  });

  test("S7 activity is one entry in every minute at most", async () => {
    await using scene = await webScene(framework);
    const browser = await scene.signedIn();
    for (let seconds = 5; seconds <= 300; seconds += 5) {
      scene.at(seconds * SECOND);
      await browser.get("/app/hello");
    }
    expect(await scene.reported("session.activity")).toHaveLength(5);
  });

  test("S8 a step-up names factors and age; success moves the authentication, not the absolute limit", async () => {
    await using scene = await webScene(framework);
    const browser = await scene.signedIn();
    scene.at(2 * MINUTE);
    const refused = await browser.post("/app/step-up?secret=1");
    expect(refused.headers.get("www-authenticate")).toBe(
      'Bearer error="insufficient_user_authentication", max_age="300"',
    );
    const wanted = { status: 401, code: "reauth-required", factors: ["otp"], maxAgeSeconds: 300 };
    expect(await refusalOf(refused)).toEqual(wanted);
    expect((await browser.post("/reauth", { factors: ["otp"], success: false })).status).toBe(200);
    expect(await refusalOf(await browser.post("/app/step-up"))).toEqual(wanted);
    expect((await browser.post("/reauth", { factors: ["otp"] })).status).toBe(200);
    expect((await browser.post("/app/step-up")).status).toBe(200);
    scene.at(7 * MINUTE);
    expect(await refusalOf(await browser.post("/app/step-up"))).toEqual(wanted);
    expect(scene.app.ran).toEqual(["step-up"]);
    const [denied] = await scene.reported("access.denied");
    expect(denied).toMatchObject({
      outcome: "denied",
      reason: "reauth-required",
      targets: [{ type: "route", id: "POST /app/step-up" }],
    });
    const outcomes = (await scene.reported("session.reauth")).map(({ outcome }) => outcome);
    expect(outcomes).toEqual(["failure", "success"]);
  });

  test("S5 S8 a step-up that is asked for close to the deadline warns of it, as any other answer does", async () => {
    await using scene = await webScene(framework);
    const browser = await scene.signedIn();
    scene.at(9 * MINUTE + 30 * SECOND);
    const refused = await browser.post("/app/step-up", undefined, BACKGROUND);
    expect(statusHeaders(refused)).toEqual({ status: 401, remaining: "30", warning: "extend" });
    scene.at(9 * MINUTE + 40 * SECOND);
    await browser.get("/app/hello");
    for (let after = 19; after < 59; after += 9) {
      scene.at(after * MINUTE);
      await browser.get("/app/hello");
    }
    scene.at(59 * MINUTE + 10 * SECOND);
    const last = await browser.post("/app/step-up");
    expect(statusHeaders(last)).toEqual({ status: 401, remaining: "50", warning: "sign-in" });
  });

  test("of two guards, and of a guard and a handler, the last says what remains: nothing where it is over", async () => {
    await using scene = await webScene(framework);
    const [over, leaving] = [await scene.signedIn(), await scene.signedIn()];
    scene.at(4 * MINUTE);
    const left = await leaving.get("/app/leave");
    expect([left.status, await left.text()]).toEqual([200, "gone"]);
    expect(statusHeaders(left)).toEqual({ status: 200, remaining: null, warning: null });
    expect(await refusalOf(await leaving.get("/app/hello"))).toEqual({ status: 401, code: "session-required" });
    scene.at(9 * MINUTE + 30 * SECOND);
    const refused = await over.get("/app/high", BACKGROUND);
    expect(statusHeaders(refused)).toEqual({ status: 401, remaining: null, warning: null });
    expect(await refusalOf(refused)).toEqual(EXPIRED_IDLE);
  });

  test("S9 login, step-up and class change give a new token; the old one dies after 10 s; the session stays", async () => {
    await using scene = await webScene(framework);
    const browser = await scene.signedIn();
    const tokens = [browser.cookie];
    const atLogin = browser.copy();
    const id = (await (await browser.get("/app/hello")).json()) as { id: string };
    await browser.get("/app/high");
    tokens.push(browser.cookie);
    await browser.post("/reauth", { factors: ["otp"] });
    tokens.push(browser.cookie);
    expect(new Set(tokens).size).toBe(3);
    scene.at(10 * SECOND - 1);
    expect((await atLogin.copy().get("/app/hello")).status).toBe(200);
    scene.at(10 * SECOND);
    const dead = { status: 401, code: "session-expired", reason: "unknown" };
    expect(await refusalOf(await atLogin.get("/app/hello"))).toEqual(dead);
    const after = await browser.get("/app/hello");
    expect(await after.json()).toMatchObject({ id: id.id });
    const rotations = await scene.reported("session.rotate");
    expect(rotations.map(({ context }) => context?.["why"])).toEqual(["class", "reauth"]);
    const { session } = await scene.expectEvent({ type: "session.start" });
    for (const rotation of rotations) expect(rotation.session).toEqual(session);
  });

  test("S9 signing in again ends the session that the browser had, and a planted token leads nowhere", async () => {
    await using scene = await webScene(framework);
    const browser = await scene.signedIn();
    const before = browser.copy();
    await browser.post("/login", { user: "u1" });
    expect(browser.cookie).not.toBe(before.cookie);
    expect((await browser.get("/app/hello")).status).toBe(200);
    const ended = { status: 401, code: "session-expired", reason: "logout" };
    expect(await refusalOf(await before.get("/app/hello"))).toEqual(ended);
  });

  test("S9 who shows a bearer token gets the new one in a header, and no cookie", async () => {
    await using scene = await webScene(framework);
    const { token } = await scene.sessions.start({ user: "u1" });
    const answer = await scene.browser().get("/app/high", { authorization: `Bearer ${token}` });
    const next = answer.headers.get("tallystick-session-token") ?? "";
    expect(answer.headers.getSetCookie()).toEqual([]);
    scene.at(MINUTE);
    expect((await scene.browser().get("/app/hello", { authorization: `Bearer ${next}` })).status).toBe(200);
    expect((await scene.browser().get("/app/hello", { authorization: `Bearer ${token}` })).status).toBe(401);
  });

  test("S10 an end that nobody asks about is logged all the same, and after a downtime at the start", async () => {
    await using scene = await webScene(framework, { limits: { sweepIntervalMs: 20 } });
    await scene.signedIn();
    scene.at(10 * MINUTE);
    await expect.poll(async () => scene.reported("session.timeout"), LATER).toHaveLength(1);
    const [swept] = await scene.reported("session.timeout");
    expect(swept?.context).toMatchObject({ detectedBy: "sweep" });
    await scene.signedIn();
    await scene.sessions.close();
    scene.at(3 * HOUR);
    await using later = createSessions(scene.tally, { ...LIMITS, store: scene.store });
    await expect.poll(async () => scene.reported("session.timeout"), LATER).toHaveLength(2);
    const [, found] = await scene.reported("session.timeout");
    expect(found?.context).toMatchObject({ detectedBy: "start" });
    expect(Number(found?.context?.["detectedAt"]) - Number(found?.context?.["deadlineAt"])).toBe(
      3 * HOUR - 20 * MINUTE,
    );
    await later.flush();
  });

  test("S11 of time-out, logout, revocation and activity at once one ends the session, and only one", async () => {
    await using scene = await webScene(framework);
    for (const atMs of [5 * MINUTE, 10 * MINUTE]) {
      scene.at(0);
      const browser = await scene.signedIn({ user: `u${atMs}` });
      scene.at(atMs);
      await Promise.all([
        browser.copy().get("/app/hello"),
        browser.copy().post("/logout"),
        scene.sessions.endAll(`u${atMs}`),
        browser.copy().post("/session/end"),
        scene.sessions.sweep(),
        browser.copy().post("/session/extend"),
      ]);
      expect((await browser.get("/app/hello")).status).toBe(401);
    }
    const ends = [...(await scene.reported("session.end")), ...(await scene.reported("session.timeout"))];
    expect(new Set(ends.map(({ session }) => session?.id)).size).toBe(2);
    expect(ends).toHaveLength(2);
  });

  test("S12 uses after the end are refused and counted: one entry in ten minutes, critical after a revocation", async () => {
    await using scene = await webScene(framework, { audit: { trustProxy: 1 } });
    const home = { "x-forwarded-for": "203.0.113.7" };
    const other = await scene.signedIn({ user: "u2" });
    await scene.sessions.endAll("u2");
    for (let times = 0; times < 5; times += 1) {
      const refused = await other.get("/app/hello", home);
      expect(await refusalOf(refused)).toEqual({ status: 401, code: "session-expired", reason: "revoked" });
    }
    scene.at(10 * MINUTE);
    await other.get("/app/hello", home);
    const uses = await scene.reported("session.use_after_expiry");
    expect(uses.map(({ context }) => [context?.["count"], context?.["critical"]])).toEqual([
      [1, true],
      [5, true],
    ]);
    expect(scene.app.ran).toEqual([]);
  });

  test("S12 after a time-out a use from the same place is not critical, from elsewhere it is", async () => {
    await using scene = await webScene(framework, { audit: { trustProxy: 1 } });
    for (const [user, from] of [
      ["u1", "203.0.113.7"],
      ["u2", "198.51.100.9"],
    ] as const) {
      const browser = scene.browser();
      scene.at(0);
      await browser.post("/login", { user }, { "x-forwarded-for": "203.0.113.7" });
      scene.at(10 * MINUTE);
      for (let times = 0; times < 2; times += 1) await browser.get("/app/hello", { "x-forwarded-for": from });
    }
    const uses = await scene.reported("session.use_after_expiry");
    expect(uses.map(({ context }) => context?.["critical"])).toEqual([false, true]);
  });

  test("S12 the polls of a page that was left open are told from requests of somebody who is there", async () => {
    await using scene = await webScene(framework);
    const browser = await scene.signedIn();
    scene.at(10 * MINUTE);
    const poll = async (): Promise<unknown> => browser.get("/app/hello", { "tallystick-activity": "background" });
    // The first finds that the session is over, and is no use of what has ended.
    for (let times = 0; times < 4; times += 1) await poll();
    await browser.get("/app/hello");
    scene.at(20 * MINUTE);
    await scene.sessions.sweep();
    const uses = await scene.reported("session.use_after_expiry");
    expect(uses.map(({ context }) => [context?.["count"], context?.["background"]])).toEqual([
      [1, 1],
      [3, 2],
    ]);
  });

  test("S13 one session, all others, or all are revoked at the next check", async () => {
    await using scene = await webScene(framework);
    const browsers = [await scene.signedIn(), await scene.signedIn(), await scene.signedIn(), await scene.signedIn()];
    const status = async (): Promise<number[]> =>
      Promise.all(browsers.map(async (browser) => (await browser.get("/app/hello")).status));
    const ids = (await scene.sessions.list("u1")).map(({ id }) => id);
    expect(await status()).toEqual([200, 200, 200, 200]);
    await scene.sessions.end(sessionById(ids[1] ?? ""), { reason: "revoked", by: { type: "user", id: "admin" } });
    expect(await status()).toEqual([200, 401, 200, 200]);
    expect(await scene.sessions.endAll("u1", { except: ids[0] ?? "" })).toBe(2);
    expect(await status()).toEqual([200, 401, 401, 401]);
    expect(await scene.sessions.endAll("u1")).toBe(1);
    expect(await status()).toEqual([401, 401, 401, 401]);
    const ends = await scene.reported("session.end");
    expect(ends.map(({ reason }) => reason)).toEqual(["revoked", "revoked", "revoked", "revoked"]);
    expect(ends[0]?.actor).toEqual({ type: "user", id: "admin" });
  });

  test("S14 fifty logins at once never exceed the limit: the others are denied, and that is logged", async () => {
    await using scene = await webScene(framework, { limits: { concurrent: { max: 3, beyond: "deny-new" } } });
    const answers = await Promise.all(
      Array.from({ length: 50 }, async () => scene.browser().post("/login", { user: "u1" })),
    );
    const denied = answers.filter(({ status }) => status !== 200);
    expect(denied).toHaveLength(47);
    for (const answer of denied) expect(await refusalOf(answer)).toEqual({ status: 403, code: "session-denied" });
    expect(await scene.sessions.list("u1")).toHaveLength(3);
    expect(await scene.reported("session.start")).toHaveLength(3);
    expect((await scene.reported("auth.login")).filter(({ outcome }) => outcome === "denied")).toHaveLength(47);
  });

  test("S14 where the oldest ends for the newest, it is refused as superseded", async () => {
    await using scene = await webScene(framework, { limits: { concurrent: { max: 1, beyond: "end-oldest" } } });
    const old = await scene.signedIn();
    const young = await scene.signedIn();
    const superseded = { status: 401, code: "session-expired", reason: "superseded" };
    expect(await refusalOf(await old.get("/app/hello"))).toEqual(superseded);
    expect((await young.get("/app/hello")).status).toBe(200);
    await scene.expectEvent({ type: "session.end", reason: "superseded" });
  });

  test("S14 who signs in again in the same browser is not denied by his own session", async () => {
    await using scene = await webScene(framework, { limits: { concurrent: { max: 1, beyond: "deny-new" } } });
    const browser = await scene.signedIn();
    expect((await browser.post("/login", { user: "u1" })).status).toBe(200);
  });

  test.each([-10, 10])("S19 an application %i min off and a browser a day off change nothing", async (minutes) => {
    await using scene = await webScene(framework, { clockErrorMs: minutes * MINUTE });
    const dates = {
      date: new Date(0).toUTCString(),
      "if-modified-since": new Date(Date.now() + 24 * HOUR).toUTCString(),
    };
    const browser = await scene.signedIn();
    scene.at(10 * MINUTE - 1);
    const alive = await browser.get("/app/hello", { ...BACKGROUND, ...dates });
    expect([alive.status, remainingOf(alive)]).toEqual([200, 0]);
    scene.at(10 * MINUTE);
    expect(await refusalOf(await browser.get("/app/hello", dates))).toEqual(EXPIRED_IDLE);
  });

  test("S19 where the store's clock is set back, no session gets time from it", async () => {
    await using scene = await webScene(framework);
    const browser = await scene.signedIn();
    scene.at(9 * MINUTE);
    expect(remainingOf(await browser.get("/app/hello", BACKGROUND))).toBe(60);
    scene.at(-HOUR);
    expect(remainingOf(await browser.get("/app/hello", BACKGROUND))).toBe(60);
    scene.at(-HOUR + MINUTE);
    expect(await refusalOf(await browser.get("/app/hello"))).toEqual(EXPIRED_IDLE);
  });

  test("S20 without the store nothing is served, and nobody begins a session", async () => {
    const store = createMemorySessionStore();
    await using scene = await webScene(framework, { store });
    const browser = await scene.signedIn();
    await store.close();
    const unavailable = { status: 503, code: "session-state-unavailable" };
    for (const answer of [
      await browser.get("/app/hello"),
      await browser.get("/app/poll"),
      await browser.get("/session"),
      await browser.post("/session/extend"),
      await browser.post("/session/end"),
      await browser.post("/reauth", { factors: ["otp"] }),
      await browser.post("/logout"),
      await scene.browser().post("/login", { user: "u2" }),
    ]) {
      expect(answer.headers.get("retry-after")).toBe("5");
      expect(await refusalOf(answer)).toEqual(unavailable);
    }
    expect(scene.app.ran).toEqual([]);
  });

  test("S20 without the log sessions are enforced all the same, and their entries are in it once it is back", async () => {
    await using scene = await webScene(framework, { limits: { onError: () => undefined } });
    const browser = await scene.signedIn();
    await scene.sessions.flush();
    scene.tally.log.disconnect();
    scene.at(5 * MINUTE);
    expect((await browser.get("/app/hello")).status).toBe(200);
    scene.at(15 * MINUTE);
    expect(await refusalOf(await browser.get("/app/hello"))).toEqual(EXPIRED_IDLE);
    expect(scene.tally.events.filter(({ type }) => type === "session.timeout")).toEqual([]);
    scene.tally.log.reconnect();
    await scene.expectEvent({ type: "session.activity" });
    await scene.expectEvent({ type: "session.timeout", reason: "idle" });
  });

  test("S20 what must be in the log first is refused while the log is down, and not done", async () => {
    await using scene = await webScene(framework);
    const browser = await scene.signedIn();
    expect((await browser.post("/app/export")).status).toBe(200);
    scene.tally.log.disconnect();
    await expect
      .poll(async () => (await browser.post("/app/export")).status, { timeout: 20_000, interval: 50 })
      .toBe(503);
    const done = scene.app.ran.length;
    expect(await refusalOf(await browser.post("/app/export"))).toEqual({ status: 503, code: "audit-unavailable" });
    expect(scene.app.ran).toHaveLength(done);
    scene.tally.log.reconnect();
  }, 40_000);

  test("the events of a request name its operation, session, user and source", async () => {
    await using scene = await webScene(framework, { audit: { trustProxy: 1 } });
    const browser = await scene.signedIn();
    const from = { "x-forwarded-for": "192.0.2.66, 198.51.100.7", "user-agent": "Lynx/2.9 (\u0085)" };
    await browser.post("/app/export", {}, from);
    const { session } = await scene.expectEvent({ type: "session.start" });
    const exported = await scene.expectEvent({ type: "access.export", outcome: "success" });
    expect(exported).toMatchObject({
      session,
      actor: { type: "user", id: "u1" },
      source: { ip: "198.51.100.7" },
    });
    expect(exported.source?.userAgent).toContain("Lynx/2.9");
    const attempt = await scene.expectEvent({ type: "access.export", outcome: "unknown" });
    expect(attempt.operation).toBe(exported.operation);
  });

  test("without trusted proxies no address is believed that a client wrote", async () => {
    await using scene = await webScene(framework);
    const browser = scene.browser();
    await browser.post("/login", { user: "u1" }, { "x-forwarded-for": "203.0.113.7", forwarded: "for=203.0.113.7" });
    const { source } = await scene.expectEvent({ type: "session.start" });
    expect(source?.ip).toBe("127.0.0.1");
  });

  test.each([
    [1, "6.6.6.6, 203.0.113.7", "203.0.113.7"],
    [1, "6.6.6.6, [2001:db8::1]:443", "2001:db8::1"],
    [1, `${"6.6.6.6,".repeat(1500)}203.0.113.9`, "203.0.113.9"],
    [1, "6.6.6.6, unknown", undefined],
    [1, ",,,,", undefined],
    [1, "6.6.6.6, 203.0.113.7;drop", undefined],
    [2, "6.6.6.6, 203.0.113.7, 198.51.100.2", "203.0.113.7"],
    [2, "6.6.6.6, unknown, 198.51.100.2", undefined],
  ])("behind %j proxies a forged chain is not believed, case %#", async (trustProxy, chain, address) => {
    await using scene = await webScene(framework, { audit: { trustProxy } });
    expect((await scene.browser().post("/login", { user: "u1" }, { "x-forwarded-for": chain })).status).toBe(200);
    expect((await scene.expectEvent({ type: "session.start" })).source?.ip).toBe(address);
  });

  test("a HEAD is guarded as a GET is", async () => {
    await using scene = await webScene(framework);
    const browser = await scene.signedIn();
    const head = async (headers: Record<string, string>): Promise<number> =>
      (await fetch(`${scene.app.url}/app/hello`, { method: "HEAD", headers })).status;
    expect([await head({}), await head({ cookie: browser.cookie })]).toEqual([401, 200]);
    scene.at(10 * MINUTE);
    expect(await head({ cookie: browser.cookie })).toBe(401);
  });

  test("cookies are HttpOnly, Lax and of no age; behind a trusted proxy with TLS also Secure and of this host only", async () => {
    await using scene = await webScene(framework, { audit: { trustProxy: 1 } });
    const plain = await scene.browser().post("/login", { user: "u1" });
    expect(plain.headers.getSetCookie()).toEqual([
      expect.stringMatching(/^session=[^;]+; Path=\/; HttpOnly; SameSite=Lax$/),
    ]);
    const browser = scene.browser();
    const tls = { "x-forwarded-proto": "https" };
    const secure = await browser.post("/login", { user: "u1" }, tls);
    expect(secure.headers.getSetCookie()).toEqual([
      expect.stringMatching(/^__Host-session=[^;]+; Path=\/; HttpOnly; SameSite=Lax; Secure$/),
    ]);
    expect((await browser.get("/app/hello", tls)).status).toBe(200);
    const left = await browser.post("/logout", {}, tls);
    expect(left.headers.getSetCookie()).toEqual(["__Host-session=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax; Secure"]);
  });

  test("a handler that fails answers as the framework does, with the headers of the session", async () => {
    await using scene = await webScene(framework);
    const browser = await scene.signedIn();
    const failed = await browser.get("/app/fails");
    expect([failed.status, remainingOf(failed)]).toEqual([500, 600]);
  });

  test("leaving ends the session and removes the cookie; to leave twice is no error", async () => {
    await using scene = await webScene(framework);
    const browser = await scene.signedIn();
    const again = browser.copy();
    expect((await browser.post("/session/end")).status).toBe(204);
    expect(browser.cookie).toBe("");
    expect((await again.post("/session/end")).status).toBe(204);
    expect((await browser.post("/session/end")).status).toBe(204);
    expect(await refusalOf(await browser.get("/session"))).toEqual({ status: 401, code: "session-required" });
    expect((await browser.get("/session/other")).status).toBe(404);
    expect(await scene.reported("session.end")).toHaveLength(1);
  });
});
