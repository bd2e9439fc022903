import { scryptSync } from "node:crypto";
import { DatabaseSync } from "node:sqlite";
import type { SessionsOptions } from "@tallystick/sessions";
import { type TallystickPluginOptions, tallystickPlugin } from "@tallystick/sessions/better-auth";
import { type AuditLog, audit, guard, sessionOf } from "@tallystick/sessions/hono";
import { betterAuth } from "better-auth";
import { getMigrations } from "better-auth/db/migration";
import { twoFactor } from "better-auth/plugins";
import { Hono } from "hono";
import { describe, expect, test } from "vitest";
import { type Scene, scene } from "./support/setup.ts";

const URL = "http://app.example";
const EMAIL = "ann@example.org";
const PASSWORD = "a long password";
const MINUTE_MS = 60_000;

interface World extends Scene {
  readonly app: Hono;
  /** What was sent to set a new password. */
  readonly resets: string[];
}

/** An application with accounts of better-auth on SQLite, one of which is Ann's. */
async function world(
  options: Omit<TallystickPluginOptions, "sessions"> = {},
  limits: Partial<SessionsOptions> = { idle: "5m", absolute: "1h" },
): Promise<World> {
  const set = scene(limits);
  const resets: string[] = [];
  const auth = betterAuth({
    baseURL: URL,
    secret: "of this test alone, and 32 characters",
    database: new DatabaseSync(":memory:"),
    emailAndPassword: {
      enabled: true,
      autoSignIn: false,
      // Of little cost: what is tested here is not how hard it is to guess.
      password: {
        hash: async (password) => hashOf(password),
        verify: async ({ hash, password }) => hash === hashOf(password),
      },
      sendResetPassword: async ({ token }) => void resets.push(token),
    },
    rateLimit: { enabled: false },
    session: { cookieCache: { enabled: true, maxAge: 300 } },
    logger: { disabled: true },
    plugins: [
      twoFactor({ skipVerificationOnEnable: true }),
      tallystickPlugin(set.log, { ...options, sessions: set.sessions }),
    ],
  });
  await (await getMigrations(auth.options)).runMigrations();
  const app = new Hono();
  app.on(["GET", "POST"], "/api/auth/*", async (context) => auth.handler(context.req.raw));
  app.get("/own", guard(set.sessions), (context) => context.text(sessionOf(context).user));
  app.get("/export", guard(set.sessions, { reauth: { maxAge: "1m" } }), (context) => context.text("all of it"));
  const made = { ...set, app, resets };
  await new User(made).post("/sign-up/email", { email: EMAIL, password: PASSWORD, name: "Ann" });
  return made;
}

/** A browser, as far as cookies go. */
class User {
  readonly cookies = new Map<string, string>();
  readonly #world: World;

  constructor(made: World) {
    this.#world = made;
  }

  async get(path: string): Promise<Response> {
    return this.#fetch(path, { method: "GET" });
  }

  async post(path: string, body: object): Promise<Response> {
    const headers = { "content-type": "application/json" };
    return this.#fetch(`/api/auth${path}`, { method: "POST", headers, body: JSON.stringify(body) });
  }

  async signIn(password = PASSWORD): Promise<Response> {
    return this.post("/sign-in/email", { email: EMAIL, password });
  }

  async #fetch(
    path: string,
    init: { method: string; headers?: Record<string, string>; body?: string },
  ): Promise<Response> {
    const cookie = [...this.cookies].map((pair) => pair.join("=")).join("; ");
    const headers = {
      ...init.headers,
      origin: URL,
      cookie,
      "user-agent": "a browser",
      "x-forwarded-for": "203.0.113.9",
    };
    const response = await this.#world.app.request(URL + path, { ...init, headers });
    for (const line of response.headers.getSetCookie()) {
      const [, name = "", value = ""] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      if (/max-age=0/i.test(line)) this.cookies.delete(name);
      else this.cookies.set(name, value);
    }
    return response;
  }
}

describe("tallystickPlugin", () => {
  test("logs a login with its factor, begins a session under better-auth's id, and its cookie opens the guard", async () => {
    const made = await world();
    const ann = new User(made);
    expect((await ann.signIn()).status).toBe(200);
    const own = await ann.get("/own");
    expect(own.status).toBe(200);
    await made.sessions.flush();
    const login = made.log.of("auth.login")[0];
    expect(login).toMatchObject({ outcome: "success", actor: { type: "user", id: await own.text() } });
    expect(login).toMatchObject({ auth: { factors: ["password"] }, source: { userAgent: "a browser" } });
    expect(made.log.of("session.start")).toHaveLength(1);
    expect(made.log.of("account.create")).toHaveLength(1);
  });

  test("takes no address from a header that anybody may write, unless a proxy is trusted", async () => {
    const [made, behindProxy] = [await world(), await world({ trustProxy: 1 })];
    await new User(made).signIn();
    await new User(behindProxy).signIn();
    expect(made.log.of("auth.login")[0]?.source).toEqual({ userAgent: "a browser" });
    expect(behindProxy.log.of("auth.login")[0]?.source).toMatchObject({ ip: "203.0.113.9" });
  });

  test("takes the address of the connection where audit has seen the request", async () => {
    const made = await world();
    const app = new Hono();
    app.use(audit(made.log as unknown as AuditLog));
    app.route("/", made.app);
    const body = JSON.stringify({ email: EMAIL, password: "wrong" });
    const headers = { "content-type": "application/json", origin: URL, "x-forwarded-for": "203.0.113.9" };
    const env = { incoming: { socket: { remoteAddress: "::ffff:192.0.2.7" } } };
    await app.request(`${URL}/api/auth/sign-in/email`, { method: "POST", headers, body }, env);
    expect(made.log.of("auth.login")[0]).toMatchObject({ outcome: "failure", source: { ip: "192.0.2.7" } });
  });

  test("logs a failed login with better-auth's reason and what was typed as unverified", async () => {
    const made = await world();
    expect((await new User(made).signIn("wrong")).status).toBe(401);
    expect(made.log.of("auth.login")).toMatchObject([
      { outcome: "failure", reason: "INVALID_EMAIL_OR_PASSWORD", actor: { type: "unverified", id: EMAIL } },
    ]);
    expect(made.log.of("session.start")).toEqual([]);
  });

  test("S1 serves no session that was idle for too long, not even from better-auth's cookie cache", async () => {
    const made = await world();
    const ann = new User(made);
    await ann.signIn();
    const stolen = new User(made);
    for (const [name, value] of ann.cookies) stolen.cookies.set(name, value);
    made.pass(5 * MINUTE_MS);
    expect(await (await ann.get("/api/auth/get-session")).json()).toBeNull();
    expect(
      (await stolen.post("/change-password", { currentPassword: PASSWORD, newPassword: "another long one" })).status,
    ).toBe(401);
    expect((await stolen.get("/own")).status).toBe(401);
    await made.sessions.flush();
    expect(made.log.of("session.timeout")).toMatchObject([{ reason: "idle" }]);
    expect(made.log.of("session.end")).toEqual([]);
  });

  test("S7 better-auth's own polling is no activity, what the user does is", async () => {
    const made = await world();
    const ann = new User(made);
    await ann.signIn();
    made.pass(3 * MINUTE_MS);
    await ann.get("/api/auth/get-session");
    made.pass(MINUTE_MS);
    await ann.post("/update-user", { name: "Ann B." });
    made.pass(4 * MINUTE_MS);
    expect(await (await ann.get("/api/auth/get-session")).json()).not.toBeNull();
    made.pass(MINUTE_MS);
    expect(await (await ann.get("/api/auth/get-session")).json()).toBeNull();
  });

  test("a logout ends the session once, for the guard too", async () => {
    const made = await world();
    const ann = new User(made);
    await ann.signIn();
    const before = new Map(ann.cookies);
    await ann.post("/sign-out", {});
    for (const [name, value] of before) ann.cookies.set(name, value);
    expect((await ann.get("/own")).status).toBe(401);
    await made.sessions.flush();
    expect(made.log.of("auth.logout")).toHaveLength(1);
    expect(made.log.of("session.end")).toMatchObject([{ reason: "logout" }]);
  });

  test("S13 sessions that better-auth revokes are over at the guard's next check", async () => {
    const made = await world();
    const [here, elsewhere] = [new User(made), new User(made)];
    await here.signIn();
    await elsewhere.signIn();
    await here.post("/revoke-other-sessions", {});
    expect((await elsewhere.get("/own")).status).toBe(401);
    expect((await here.get("/own")).status).toBe(200);
    await made.sessions.flush();
    expect(made.log.of("session.end")).toMatchObject([{ reason: "revoked" }]);
  });

  test("S8 the user shows the password again, which lets him export; a wrong one is logged and does not", async () => {
    const made = await world();
    const ann = new User(made);
    await ann.signIn();
    made.pass(2 * MINUTE_MS);
    expect((await ann.get("/export")).status).toBe(401);
    expect((await ann.post("/tallystick/reauth", { password: "wrong" })).status).toBe(401);
    expect((await ann.get("/export")).status).toBe(401);
    const before = ann.cookies.get("session");
    expect((await ann.post("/tallystick/reauth", { password: PASSWORD })).status).toBe(200);
    expect((await ann.get("/export")).status).toBe(200);
    // S9: under a new token.
    expect(ann.cookies.get("session")).not.toBe(before);
    await made.sessions.flush();
    expect(made.log.of("session.reauth").map(({ outcome }) => outcome)).toEqual(["failure", "success"]);
  });

  test("logs a change and a reset of the password, and whose it was", async () => {
    const made = await world();
    const ann = new User(made);
    await ann.signIn();
    const user = await (await ann.get("/own")).text();
    await ann.post("/change-password", { currentPassword: "wrong", newPassword: "another long one" });
    await ann.post("/change-password", { currentPassword: PASSWORD, newPassword: "another long one" });
    expect(made.log.of("auth.password.change")).toMatchObject([
      { outcome: "failure", reason: "INVALID_PASSWORD", actor: { id: user } },
      { outcome: "success", actor: { id: user } },
    ]);
    await new User(made).post("/request-password-reset", { email: EMAIL });
    await new User(made).post("/reset-password", { token: made.resets[0], newPassword: "a third long one" });
    await new User(made).post("/reset-password", { token: made.resets[0], newPassword: "a third long one" });
    expect(made.log.of("auth.password.reset.request")).toMatchObject([{ actor: { type: "unverified", id: EMAIL } }]);
    expect(made.log.of("auth.password.reset.complete")).toMatchObject([
      { outcome: "success", actor: { type: "user", id: user } },
      { outcome: "failure", actor: { type: "unverified" } },
    ]);
  });

  test("a session begins only once the second factor was shown, and says so", async () => {
    const made = await world();
    const ann = new User(made);
    await ann.signIn();
    const enabled = (await (await ann.post("/two-factor/enable", { password: PASSWORD })).json()) as Enabled;
    await ann.post("/two-factor/verify-totp", { code: "000000" });
    await made.sessions.flush();
    expect(made.log.of("auth.mfa.enroll")).toHaveLength(1);
    expect(made.log.of("auth.mfa.challenge")).toMatchObject([{ outcome: "failure", auth: { factors: ["totp"] } }]);
    expect(made.log.of("session.reauth")).toMatchObject([{ outcome: "failure" }]);
    const [code] = enabled.backupCodes;

    const again = new User(made);
    const before = made.log.of("session.start").length;
    expect(await (await again.signIn()).json()).toMatchObject({ twoFactorRedirect: true });
    expect((await again.get("/own")).status).toBe(401);
    await made.sessions.flush();
    expect(made.log.of("session.start")).toHaveLength(before);
    expect((await again.post("/two-factor/verify-backup-code", { code })).status).toBe(200);
    expect((await again.get("/own")).status).toBe(200);
    await made.sessions.flush();
    expect(made.log.of("session.start")).toHaveLength(before + 1);
    expect(made.log.of("auth.login").at(-1)).toMatchObject({
      outcome: "success",
      auth: { factors: ["password", "backup-code"] },
    });
  });

  test("locks an account after so many failures, for the right password too", async () => {
    const made = await world({ lockout: { failures: 3, within: "15m" } });
    for (let times = 0; times < 3; times += 1) await new User(made).signIn("wrong");
    const refused = await new User(made).signIn();
    expect(refused.status).toBe(429);
    expect(await refused.json()).toMatchObject({ code: "ACCOUNT_LOCKED" });
    const types = made.log.types().filter((type) => type.startsWith("auth."));
    expect(types.join(" ")).toBe("auth.login auth.login auth.login auth.lockout auth.login");
    expect(made.log.of("auth.login").at(-1)).toMatchObject({ outcome: "denied", reason: "account locked" });
  });

  test("failures are forgotten at a login that succeeds, and are of one account", async () => {
    const made = await world({ lockout: { failures: 2 } });
    await new User(made).signIn("wrong");
    await new User(made).post("/sign-in/email", { email: "bob@example.org", password: "wrong" });
    expect((await new User(made).signIn()).status).toBe(200);
    await new User(made).signIn("wrong");
    expect((await new User(made).signIn()).status).toBe(200);
    expect(made.log.of("auth.lockout")).toEqual([]);
  });

  test("S14 who has as many sessions as are allowed gets none of better-auth either", async () => {
    const made = await world({}, { idle: "5m", absolute: "1h", concurrent: { max: 1, beyond: "deny-new" } });
    expect((await new User(made).signIn()).status).toBe(200);
    const denied = new User(made);
    const response = await denied.signIn();
    expect(response.status).toBe(403);
    expect(await response.json()).toMatchObject({ code: "SESSION_DENIED" });
    expect(await (await denied.get("/api/auth/get-session")).json()).toBeNull();
    await made.sessions.flush();
    expect(made.log.of("auth.login").map(({ outcome }) => outcome)).toEqual(["success", "denied"]);
  });

  test("S20 nothing is served while the store of sessions does not answer", async () => {
    const made = await world();
    const ann = new User(made);
    await ann.signIn();
    await made.store.close();
    const response = await ann.get("/api/auth/get-session");
    expect(response.status).toBe(503);
    expect(await response.json()).toMatchObject({ code: "SESSION_STATE_UNAVAILABLE" });
  });

  test.each([
    [{ sesions: {} }, "sesions: no option has this name: did you mean sessions?"],
    [{ sessions: {} }, "sessions: expected what createSessions gives, got object"],
    [{ lockout: { failure: 3 } }, "lockout.failure: no option has this name: did you mean failures?"],
    [{ lockout: true }, "lockout: expected an object with failures, within, got boolean"],
  ])("refuses %j", (options, message) => {
    const { log } = scene();
    expect(() => tallystickPlugin(log, options as object)).toThrow(message);
    expect(() => tallystickPlugin(undefined as never)).toThrow(
      "tallystickPlugin: expected what createTallystick gives",
    );
  });

  test("has to be the last of all plugins", async () => {
    const { log, sessions } = scene();
    const auth = betterAuth({
      baseURL: URL,
      secret: "of this test alone, and 32 characters",
      database: new DatabaseSync(":memory:"),
      logger: { disabled: true },
      plugins: [tallystickPlugin(log, { sessions }), twoFactor()],
    });
    await expect(auth.$context).rejects.toThrow("plugins: expected tallystick to be the last, got two-factor");
  });
});

function hashOf(password: string): string {
  return scryptSync(password, "salt", 32, { N: 2 }).toString("hex");
}

interface Enabled {
  readonly backupCodes: readonly string[];
}
