/**
 * A plugin for better-auth 1.7: what its users do is in the log, and its sessions are held to their limits.
 *
 * A session of better-auth begins one of ours under the same id. The guard's cookie goes beside better-auth's, so that
 * `guard(sessions)` protects the application's own routes; and no endpoint of better-auth serves a session that is over, not
 * even one that better-auth has in a cookie's cache. Sessions from before this plugin was there have to sign in again.
 */
import type { Report } from "@tallystick/client";
import { assertOptionNames } from "@tallystick/events";
import type { AuthContext, BetterAuthPlugin, GenericEndpointContext } from "better-auth";
import { APIError, createAuthEndpoint, createAuthMiddleware, getSessionFromCtx } from "better-auth/api";
import { deleteSessionCookie } from "better-auth/cookies";
import { type AuthCall, eventsOfCall, factorsOfCall } from "./better-auth-events.ts";
import { type Lockout, type LockoutOptions, createLockout } from "./better-auth-lockout.ts";
import { type BetterAuthSessionStore, SESSION_STORE_SCHEMA } from "./better-auth-store.ts";
import { sessionById } from "./credential.ts";
import { SessionError } from "./error.ts";
import { activityOf, assertSessions } from "./http.ts";
import { type RequestFacts, isEncrypted, sourceOf } from "./request-facts.ts";
import {
  AUDIT_OPTIONS,
  type AuditOptions,
  type HttpSettings,
  assertLog,
  knownSource,
  resolveAuditOptions,
} from "./request-state.ts";
import { removalHeaders, shownToken, tokenHeaders } from "./session-cookie.ts";
import type { Recorder, Sessions } from "./sessions.ts";
import { parseToken } from "./token.ts";

export type { LockoutOptions } from "./better-auth-lockout.ts";
export {
  type BetterAuthDatabase,
  type BetterAuthSessionStore,
  type BetterAuthSessionStoreOptions,
  createBetterAuthSessionStore,
} from "./better-auth-store.ts";

/** `trustProxy` and `cookie` as `audit` has them. */
export interface TallystickPluginOptions extends AuditOptions {
  /** The application's sessions. Without them better-auth's own limits hold, and only what happens is logged. */
  readonly sessions?: Sessions | undefined;
  /** The store of these sessions, where it is `createBetterAuthSessionStore()`: the plugin brings its table. */
  readonly store?: BetterAuthSessionStore | undefined;
  /** Locks an account after too many failures; off by default, as whoever knows a name can lock its account. */
  readonly lockout?: LockoutOptions | undefined;
}

const OPTIONS: Readonly<Record<keyof TallystickPluginOptions, true>> = {
  ...AUDIT_OPTIONS,
  sessions: true,
  store: true,
  lockout: true,
};

/** What the hooks and the endpoint of better-auth are called with, as far as this plugin looks. */
type Call = Parameters<Parameters<typeof createAuthMiddleware>[0]>[0];

/** What is known of a call before it is made, and cannot be known after. */
interface Before {
  readonly user: string | undefined;
  readonly session: string | undefined;
}

/** Polled by better-auth's client whether anybody is there or not. */
const IN_BACKGROUND = new Set(["/get-session", "/list-sessions"]);
const LOGIN_CHARS_MAX = 254;

/**
 * Makes the plugin. List it after all others: a second factor that is still due takes back the session that a password
 * began.
 *
 * @throws {TypeError | RangeError} An option is not what it should be.
 * @example
 * betterAuth({ plugins: [twoFactor(), tallystickPlugin(tally, { sessions })] });
 */
export function tallystickPlugin(tally: Recorder, options: TallystickPluginOptions = {}): BetterAuthPlugin {
  const plugin = new Plugin(tally, options);
  const { store } = options;
  const every = (): boolean => true;
  return {
    id: "tallystick",
    ...(store === undefined ? {} : { schema: SESSION_STORE_SCHEMA }),
    init: (context) => {
      const { plugins = [] } = context.options;
      if (plugins.at(-1)?.id !== "tallystick") {
        throw new TypeError(`plugins: expected tallystick to be the last, got ${plugins.at(-1)?.id}`);
      }
      store?.begin(context);
      const after = async (
        session: { id: string; expiresAt: Date },
        context: GenericEndpointContext | null,
      ): Promise<void> => plugin.deleted(session, context);
      return { options: { databaseHooks: { session: { delete: { after } } } } };
    },
    hooks: {
      before: [{ matcher: every, handler: createAuthMiddleware(async (call) => plugin.before(call)) }],
      after: [{ matcher: every, handler: createAuthMiddleware(async (call) => plugin.after(call)) }],
    },
    endpoints: {
      /** `POST /tallystick/reauth` with `{ password }`: the user shows again who he is, as `reauth-required` asks. */
      tallystickReauth: createAuthEndpoint("/tallystick/reauth", { method: "POST" }, async (call) =>
        call.json(await plugin.reauth(call)),
      ),
    },
  };
}

class Plugin {
  readonly #tally: Recorder;
  readonly #sessions: Sessions | undefined;
  readonly #settings: HttpSettings;
  readonly #lockout: Lockout | undefined;
  readonly #before = new WeakMap<AuthContext, Before>();

  constructor(tally: Recorder, options: TallystickPluginOptions) {
    assertLog("tallystickPlugin", tally);
    assertOptionNames("", options, OPTIONS);
    if (options.sessions !== undefined) assertSessions("sessions", options.sessions);
    this.#tally = tally;
    this.#sessions = options.sessions;
    this.#settings = resolveAuditOptions(options);
    this.#lockout = options.lockout === undefined ? undefined : createLockout(options.lockout);
  }

  /** Refuses what is of a session that is over, or of an account that is locked. */
  async before(call: Call): Promise<unknown> {
    const isAlive = await this.#isAlive(call);
    const { session } = call.context;
    const user = session?.user.id ?? (await this.#userOfReset(call));
    this.#before.set(call.context, { user, session: session?.session.id });
    const login = loginOf(call);
    if (login !== undefined && (await this.#lockout?.isLocked(call.context, login)) === true) {
      await this.#record(call, { ...this.#failure(call, login), outcome: "denied", reason: "account locked" });
      throw new APIError("TOO_MANY_REQUESTS", {
        code: "ACCOUNT_LOCKED",
        message: "Too many failures: try again later",
      });
    }
    if (isAlive || isOpen(call.path)) return undefined;
    if (call.path === "/get-session") return call.json(null);
    throw new APIError("UNAUTHORIZED", { code: "SESSION_EXPIRED", message: "The session is over" });
  }

  /** Begins a session where better-auth began one, and says in the log what happened. */
  async after(call: Call): Promise<void> {
    const { newSession, returned } = call.context;
    const before = this.#before.get(call.context);
    // better-auth calls it new too where only its cookie is.
    const began = newSession !== null && newSession.session.id !== before?.session;
    const failure = failureOf(returned, { path: call.path, began });
    if (began && failure === null) await this.#begin(call, newSession);
    const login = loginOf(call);
    const user = newSession?.user.id ?? before?.user;
    if (before?.session !== undefined && !began && call.path.startsWith("/two-factor/verify-")) {
      const factors = factorsOfCall(call).slice(-1);
      await this.#reauthenticated(call, { id: before.session, factors, success: failure === null });
    }
    const facts: AuthCall = { path: call.path, failure, user, login, began };
    for (const event of eventsOfCall(facts)) await this.#record(call, event);
    if (login !== undefined) await this.#count(call, { login, failed: failure !== null });
  }

  /** However better-auth removed it. What expired by its own clock, ours ends by that of the store. */
  async deleted(
    { id, expiresAt }: { id: string; expiresAt: Date },
    call: GenericEndpointContext | null,
  ): Promise<void> {
    if (this.#sessions === undefined || expiresAt.getTime() <= Date.now()) return;
    const by = call?.context.session?.user.id;
    const isLogout = call?.path === "/sign-out";
    await this.#sessions.end(
      sessionById(id),
      isLogout || by === undefined
        ? { reason: isLogout ? "logout" : "revoked" }
        : { reason: "revoked", by: { type: "user", id: by } },
    );
  }

  async reauth(call: Call): Promise<{ readonly status: true }> {
    const session = await getSessionFromCtx(call);
    if (session === null || this.#sessions === undefined) {
      throw new APIError("UNAUTHORIZED", { code: "SESSION_EXPIRED", message: "The session is over" });
    }
    const accounts = await call.context.internalAdapter.findAccounts(session.user.id);
    const hash = accounts.find(({ providerId }) => providerId === "credential")?.password;
    const password = textOf(call.body, "password") ?? "";
    const isRight = typeof hash === "string" && (await call.context.password.verify({ hash, password }));
    await this.#reauthenticated(call, { id: session.session.id, success: isRight, factors: ["password"] });
    if (isRight) return { status: true };
    throw new APIError("UNAUTHORIZED", { code: "INVALID_PASSWORD", message: "The password is wrong" });
  }

  async #reauthenticated(
    call: Call,
    { id, factors, success }: { id: string; factors: readonly string[]; success: boolean },
  ): Promise<void> {
    const { facts, source } = this.#requestOf(call);
    const token = shownToken(facts, this.#settings.cookie, this.#isEncrypted(facts))?.token;
    // Only whoever shows the token gets the one that takes its place.
    const credential = token !== undefined && parseToken(token)?.id === id ? token : sessionById(id);
    const checked = await unlessDown(async () => this.#sessions?.reauth(credential, { factors, success, source }));
    if (checked?.token !== undefined) this.#giveToken(call, checked.token);
  }

  /** Whether the call is of a session that may be served. One that is over is removed from better-auth too. */
  async #isAlive(call: Call): Promise<boolean> {
    const session = await getSessionFromCtx(call);
    if (session === null || this.#sessions === undefined) return true;
    const { facts, source } = this.#requestOf(call);
    const activity = activityOf(facts, IN_BACKGROUND.has(call.path) ? false : undefined);
    const { id, token } = session.session;
    const checked = await unlessDown(async () => this.#sessions?.check(sessionById(id), { activity, source }));
    if (checked?.kind === "ok") return true;
    await this.#remove(call, token);
    return false;
  }

  async #begin(call: Call, { session, user }: NonNullable<Call["context"]["newSession"]>): Promise<void> {
    if (this.#sessions === undefined) return;
    const { source } = this.#requestOf(call);
    const factors = factorsOfCall(call);
    try {
      const { token } = await this.#sessions.start({ id: session.id, user: user.id, factors, source });
      this.#giveToken(call, token);
    } catch (error) {
      await this.#remove(call, session.token);
      call.context.setNewSession(null);
      if (!(error instanceof SessionError)) throw error;
      if (error.code !== "session-denied") throw unavailable();
      throw new APIError("FORBIDDEN", { code: "SESSION_DENIED", message: "There are as many sessions as are allowed" });
    }
  }

  async #remove(call: Call, token: string): Promise<void> {
    call.context.session = null;
    deleteSessionCookie(call);
    await call.context.internalAdapter.deleteSession(token);
    const { facts } = this.#requestOf(call);
    for (const [name, value] of removalHeaders(this.#settings.cookie, this.#isEncrypted(facts)))
      appendHeader(call, name, value);
  }

  #giveToken(call: Call, token: string): void {
    const { facts } = this.#requestOf(call);
    const headers = tokenHeaders(token, "cookie", this.#settings.cookie, this.#isEncrypted(facts));
    for (const [name, value] of headers) appendHeader(call, name, value);
  }

  async #count({ context, path }: Call, { login, failed }: { login: string; failed: boolean }): Promise<void> {
    if (this.#lockout === undefined || !path.startsWith("/sign-in/")) return;
    if (!failed) return this.#lockout.succeeded(context, login);
    if (!(await this.#lockout.failed(context, login))) return undefined;
    await this.#tally.record({ type: "auth.lockout", outcome: "success", actor: { type: "unverified", id: login } });
    return undefined;
  }

  #failure(call: Call, login: string): Report {
    const [event] = eventsOfCall({ path: call.path, failure: "denied", user: undefined, login, began: false });
    return event ?? { type: "auth.login", outcome: "denied", actor: { type: "unverified", id: login } };
  }

  async #record(call: Call, event: Report): Promise<void> {
    const { source } = this.#requestOf(call);
    await this.#tally.record(Object.keys(source).length === 0 ? event : { ...event, source });
  }

  /** Whose password a reset is of, which nobody can tell once it is done. */
  async #userOfReset({ path, body, query, context }: Call): Promise<string | undefined> {
    if (path !== "/reset-password") return undefined;
    const token = textOf(body, "token") ?? textOf(query, "token");
    if (token === undefined) return undefined;
    return (await context.internalAdapter.findVerificationValue(`reset-password:${token}`))?.value;
  }

  #requestOf(call: Call): { readonly facts: RequestFacts; readonly source: ReturnType<typeof sourceOf> } {
    const facts = factsOf(call);
    return { facts, source: knownSource(call.request) ?? sourceOf(facts, this.#settings.trustProxy) };
  }

  #isEncrypted(facts: RequestFacts): boolean {
    return isEncrypted(facts, this.#settings.trustProxy);
  }
}

/** Endpoints that need no session, so that one that is over does not matter to them. */
function isOpen(path: string): boolean {
  return /^\/(sign-in|sign-up|sign-out|callback|oauth2|magic-link|reset-password|request-password-reset|verify-email|error|ok|two-factor\/verify-)/.test(
    path,
  );
}

function factsOf({ path, headers, request, method }: Call): RequestFacts {
  return {
    method: request?.method ?? method,
    path,
    header: (name) => headers?.get(name) ?? undefined,
    encrypted: request?.url.startsWith("https:") ?? false,
  };
}

/** Where it failed, why. A login by a provider elsewhere that failed is a redirect, as one that did not. */
function failureOf(returned: unknown, { path, began }: { path: string; began: boolean }): string | null {
  if (!(returned instanceof APIError)) return null;
  const isRedirect = returned.statusCode >= 300 && returned.statusCode < 400;
  if (isRedirect) return began || !/callback/.test(path) ? null : "the provider did not vouch";
  const { code } = returned.body ?? {};
  return typeof code === "string" ? code : String(returned.status);
}

/** What was typed to say who one is, as better-auth compares it. */
function loginOf({ path, body }: Call): string | undefined {
  if (!path.startsWith("/sign-in/") && path !== "/request-password-reset") return undefined;
  const typed = textOf(body, "email") ?? textOf(body, "username") ?? textOf(body, "phoneNumber");
  return typed === undefined || typed === "" ? undefined : typed.toLowerCase().slice(0, LOGIN_CHARS_MAX);
}

function textOf(object: unknown, name: string): string | undefined {
  const value: unknown = (object as Record<string, unknown> | undefined)?.[name];
  return typeof value === "string" ? value : undefined;
}

function appendHeader(call: Call, name: string, value: string): void {
  if (name === "set-cookie") call.responseHeaders?.append(name, value);
  else call.setHeader(name, value);
}

/** Without the store nobody can tell whether a session is alive, so nothing is served. */
async function unlessDown<Result>(ask: () => Promise<Result>): Promise<Result> {
  try {
    return await ask();
  } catch (error) {
    throw error instanceof SessionError ? unavailable() : error;
  }
}

function unavailable(): APIError {
  const message = "Nobody can tell now whether the session is alive";
  return new APIError("SERVICE_UNAVAILABLE", { code: "SESSION_STATE_UNAVAILABLE", message });
}
