/** The manager of sessions: asks the store, decides, puts, and tells the log. It enforces also while the log is down. */
import { createHmac, hash, randomBytes } from "node:crypto";
import type { Report } from "@tallystick/client";
import { type Target, assertOptionNames, newEventId, parseEvent } from "@tallystick/events";
import { type Change, compareAndSwap, compareAndSwapWith } from "./compare-and-swap.ts";
import { type Credential, parseCredential } from "./credential.ts";
import {
  type Alive,
  type Decision,
  type Party,
  type SessionInput,
  type StartInput,
  type Verdict,
  decide,
} from "./decide.ts";
import { type Duration, parseDuration } from "./duration.ts";
import type { SessionEntryType } from "./entry.ts";
import { SessionError } from "./error.ts";
import { GuardedStore } from "./guarded-store.ts";
import {
  type KeptSession,
  REPORT_MS,
  type Source,
  type UnloggedEntry,
  dueAt,
  formatKeptSession,
  parseKeptSession,
  withSource,
} from "./kept-session.ts";
import { createMemorySessionStore } from "./memory-store.ts";
import { PolicyKeeper } from "./policy-keeper.ts";
import {
  DEFAULT_CLASS,
  type PolicyInForce,
  type SessionPolicy,
  type SessionPolicyOptions,
  assertClass,
  parsePolicyOptions,
} from "./policy.ts";
import { sessionEvent } from "./session-event.ts";
import { type SessionState, deadlineOf } from "./state.ts";
import type { SessionStore } from "./store.ts";
import { type NewToken, createSessionId, createToken, isSessionId } from "./token.ts";
import { type Owner, type PlaceState, RESERVATION_MS, UserSessions } from "./user-sessions.ts";

/** What reports events: a `Tallystick`. */
export interface Recorder {
  record(event: Report): Promise<unknown>;
}

export interface SessionsOptions extends SessionPolicyOptions {
  /** Where the state lies; in memory by default, which production refuses. */
  readonly store?: SessionStore | undefined;
  /**
   * Keys the hashes that are the ids of sessions in events: 32 bytes or more. By default one that is made once and kept
   * in the store, so that all instances over it have the same.
   */
  readonly sessionSecret?: Uint8Array | undefined;
  /** How often to look for sessions that are over; 15,000 by default, 0 for never: then call `sweep()`. */
  readonly sweepIntervalMs?: number | undefined;
  /** For how long the use of a session that has ended is known as that; "24h" by default. */
  readonly keepEnded?: Duration | undefined;
  /** Told of what goes wrong in the background; by default a process warning. */
  readonly onError?: ((error: Error) => void) | undefined;
}

export interface StartOptions {
  /** The user's stable id. */
  readonly user: string;
  readonly tenant?: string | undefined;
  readonly class?: string | undefined;
  /** How the user was authenticated just now: "password", "otp", "passkey", … */
  readonly factors?: readonly string[] | undefined;
  readonly source?: Source | undefined;
  /** The application's own id of the session, 8 to 128 of A-Z a-z 0-9 _ -; else a random one. Not a token. */
  readonly id?: string | undefined;
}

export interface RequestOptions {
  readonly source?: Source | undefined;
}

export interface CheckOptions extends RequestOptions {
  /** Whether it keeps the session alive; by default `true`, or `false` where only explicit activity counts. */
  readonly activity?: boolean | undefined;
  /** What is asked for is of this class. */
  readonly class?: string | undefined;
  /** Asks for an authentication that is not older. */
  readonly reauth?: { readonly maxAge: Duration; readonly factors?: readonly string[] | undefined } | undefined;
  /** What is asked for, for the entry where that is refused. */
  readonly target?: Target | undefined;
  /** `false`: the answer cannot take a new token to the client, so that none replaces the old one. `true` by default. */
  readonly rotate?: boolean | undefined;
}

export interface ReauthOptions extends RequestOptions {
  /** What was shown just now. */
  readonly factors: readonly string[];
  /** `false`: it was tried in vain. `true` by default. */
  readonly success?: boolean | undefined;
}

export interface EndOptions extends RequestOptions {
  /** "logout" by default. */
  readonly reason?: "logout" | "revoked" | undefined;
  /** Who ended it, where that was not its user. */
  readonly by?: Party | undefined;
}

/** Of which tenant a user is: the same id in another one, or without one, is another user. */
export interface OwnerOptions {
  readonly tenant?: string | undefined;
}

export interface EndAllOptions extends EndOptions, OwnerOptions {
  /** The id of a session that goes on. */
  readonly except?: string | undefined;
}

/** What is known of a session. Times are ms since 1970 by the store's clock: not for browsers, whose clocks differ. */
export interface SessionInfo {
  readonly id: string;
  /** Its id in events: 64 hex digits. `record({ session: { id: auditId } })` joins its chain. */
  readonly auditId: string;
  readonly user: string;
  readonly tenant?: string;
  readonly class: string;
  readonly startedAt: number;
  readonly lastActivityAt: number;
  readonly authAt: number;
  readonly factors: readonly string[];
  readonly deadlineAt: number;
  readonly limits: SessionState["limits"];
}

/** A verdict, and what goes with it. */
export type Checked<V extends Verdict = Verdict> = V & {
  /** Not there where nothing is known of it. */
  readonly session?: SessionInfo;
  /** The new token, where it was replaced: give it to the browser. */
  readonly token?: string;
};

export interface Started {
  /** For the cookie. It is nowhere else. */
  readonly token: string;
  readonly session: SessionInfo;
  readonly verdict: Alive;
}

export interface Swept {
  /** Sessions whose deadline was found to have passed. */
  readonly ended: number;
  /** Ended sessions that were forgotten. */
  readonly forgotten: number;
}

export interface Sessions extends AsyncDisposable {
  /**
   * Begins a session for a user who was authenticated just now.
   *
   * @throws {SessionError} `session-denied`: the user has too many; `session-state-unavailable`.
   * @throws {EventError} `event-invalid`: a user, factor or source that no event can bear. Nothing began.
   */
  start(options: StartOptions): Promise<Started>;
  /** Says whether a request may be served. @throws {SessionError} `session-state-unavailable`: it may not. */
  check(credential: Credential, options?: CheckOptions): Promise<Checked>;
  /** Says whether a session is alive, for what stays open: neither activity nor a use of it, and nothing is reported of it. */
  look(credential: Credential): Promise<Checked>;
  /** The user's wish to stay. `extended` says whether it moved the deadline. */
  extend(credential: Credential, options?: RequestOptions): Promise<Checked>;
  /** The user was authenticated again, or tried it in vain. */
  reauth(credential: Credential, options: ReauthOptions): Promise<Checked>;
  /** The browser showed the warning. */
  confirmWarning(credential: Credential, options?: RequestOptions): Promise<Checked>;
  end(credential: Credential, options?: EndOptions): Promise<Checked>;
  /** The sessions of a user, of a tenant where one is named, that are alive, the oldest first. */
  list(user: string, options?: OwnerOptions): Promise<SessionInfo[]>;
  /** Ends all sessions of a user, of a tenant where one is named, or all but one; "revoked" by default. Gives how many. */
  endAll(user: string, options?: EndAllOptions): Promise<number>;
  /** Ends what has reached its deadline, reports what was not reported, forgets what ended long ago. */
  sweep(): Promise<Swept>;
  /** Other limits from now on, in all instances: tighter ones for all sessions, looser ones for new ones. */
  setLimits(options: SessionPolicyOptions): Promise<void>;
  /**
   * Refuses the name of a class that the limits do not know which this instance was given last: before any request asks for
   * it. Guards do so where they are made.
   *
   * @throws {RangeError} It says which there are, or the one that was likely meant.
   */
  assertClass(name: string): void;
  /** The limits in force. */
  limits(): Promise<PolicyInForce>;
  /** Waits until what was decided so far is recorded. */
  flush(): Promise<void>;
  /** Stops sweeping, and waits for what is under way. Sessions go on. The store is closed if this made it. */
  close(): Promise<void>;
}

const SWEEP_INTERVAL_MS = 15_000;
const SWEEP_BATCH = 256;
/** Looked at side by side: a store far away answers many at once as fast as one. */
const CROWD = 16;
/** More sessions than this are not all looked at when limits change: they are at their next check, or when due. */
const TIGHTEN_MAX = 1_000_000;
const TIGHTEN_BATCH = 1024;
const TIMER_MS_MAX = 2 ** 31 - 1;
/**
 * While the log takes nothing and so many entries of a session wait, these are not told any more: whoever repeats them would
 * make the state grow without bound. Of activity `previousAt` shows that it was not told.
 */
const UNLOGGED_MAX: Partial<Record<SessionEntryType, number>> = {
  "session.activity": 64,
  "session.extend": 64,
  "access.denied": 256,
  "session.reauth": 256,
};
const SESSION_PREFIX = "session/";

/**
 * Makes the manager. Never throws because the store cannot be reached: that each call says.
 *
 * @throws {TypeError | RangeError} An option is not what it should be.
 */
export function createSessions(recorder: Recorder, options: SessionsOptions = {}): Sessions {
  return new Manager(recorder, options);
}

/** All there are. Where limits change, those that say nothing of limits may come along. */
const OPTIONS: OptionNames<SessionsOptions> = {
  preset: true,
  idle: true,
  absolute: true,
  classes: true,
  tenants: true,
  warning: true,
  activity: true,
  concurrent: true,
  store: true,
  sessionSecret: true,
  sweepIntervalMs: true,
  keepEnded: true,
  onError: true,
};

/** By call: all that there are. `as const` would not tell of one that is missing. */
type OptionNames<Options> = Readonly<Record<keyof Options, true>>;

const REQUEST_OPTIONS: OptionNames<RequestOptions> = { source: true };
const START_OPTIONS: OptionNames<StartOptions> = {
  ...REQUEST_OPTIONS,
  user: true,
  tenant: true,
  class: true,
  factors: true,
  id: true,
};
const CHECK_OPTIONS: OptionNames<CheckOptions> = {
  ...REQUEST_OPTIONS,
  activity: true,
  class: true,
  reauth: true,
  target: true,
  rotate: true,
};
const REAUTH_OPTIONS: OptionNames<ReauthOptions> = { ...REQUEST_OPTIONS, factors: true, success: true };
const END_OPTIONS: OptionNames<EndOptions> = { ...REQUEST_OPTIONS, reason: true, by: true };
const OWNER_OPTIONS: OptionNames<OwnerOptions> = { tenant: true };
const END_ALL_OPTIONS: OptionNames<EndAllOptions> = { ...END_OPTIONS, ...OWNER_OPTIONS, except: true };

function assertUser(user: unknown): void {
  if (typeof user === "string") return;
  throw new TypeError(`user: expected the user's id, got ${JSON.stringify(user)}`);
}

/** The replay knows no other. */
function assertEndReason(reason: unknown): void {
  if (reason === "logout" || reason === "revoked") return;
  throw new TypeError(`reason: expected logout or revoked, got ${JSON.stringify(reason)}`);
}

function isOf({ tenant }: Owner, state: SessionState): boolean {
  return state.tenant === (tenant ?? null);
}

function assertFactors(factors: unknown): void {
  if (Array.isArray(factors)) return;
  throw new TypeError(`factors: expected a list such as ["password"], got ${JSON.stringify(factors)}`);
}

function assertStore(store: SessionStore): void {
  const methods = ["now", "get", "put", "due", "close"] as const;
  const missing = methods.find((name) => typeof (store as Partial<SessionStore>)[name] !== "function");
  if (missing !== undefined) throw new TypeError(`store: expected a SessionStore, and it has no ${missing}()`);
}

/** An input without what the manager adds to each. */
type Wish<Input = Exclude<SessionInput, StartInput>> = Input extends unknown
  ? Omit<Input, "token" | "nextToken" | "place" | "policy">
  : never;

/** What came with a wish. */
interface Presented {
  readonly source?: Source | undefined;
  /** The hash of the token that was shown. */
  readonly token?: string | undefined;
  /** The token to replace it with, where one is due. */
  readonly next?: NewToken | undefined;
}

interface Outcome {
  readonly decision: Decision;
  /** With the entries of this decision only. */
  readonly kept: KeptSession;
}

class Manager implements Sessions {
  readonly #recorder: Recorder;
  readonly #options: SessionsOptions;
  /** The document of the options; of `setLimits`, once that was called. */
  #policy: SessionPolicy;
  readonly #keepEndedMs: number;
  readonly #store: SessionStore;
  readonly #policies: PolicyKeeper;
  readonly #users: UserSessions;
  #secret: Promise<Buffer> | undefined;
  #prepared: Promise<void> | undefined;
  /** What is being reported, by session: its entries go to the log in their order. */
  readonly #reporting = new Map<string, Promise<void>>();
  readonly #background = new Set<Promise<void>>();
  #timer: NodeJS.Timeout | undefined;
  #sweeps = 0;
  #closing: Promise<void> | undefined;

  constructor(recorder: Recorder, options: SessionsOptions) {
    if (typeof (recorder as Partial<Recorder> | undefined)?.record !== "function") {
      throw new TypeError("tally: expected what createTallystick gives: where the sessions are recorded");
    }
    assertOptionNames("", options, OPTIONS);
    if (options.store !== undefined) assertStore(options.store);
    this.#recorder = recorder;
    this.#options = options;
    this.#policy = parsePolicyOptions(options);
    this.#keepEndedMs = parseDuration("keepEnded", options.keepEnded ?? "24h");
    if (options.sessionSecret !== undefined && options.sessionSecret.length < 32) {
      throw new RangeError(`sessionSecret: expected 32 bytes or more, got ${options.sessionSecret.length}`);
    }
    const intervalMs = options.sweepIntervalMs ?? SWEEP_INTERVAL_MS;
    if (!Number.isSafeInteger(intervalMs) || intervalMs < 0 || intervalMs > TIMER_MS_MAX) {
      throw new RangeError(`sweepIntervalMs: expected a whole number from 0 to ${TIMER_MS_MAX}, got ${intervalMs}`);
    }
    this.#store = new GuardedStore(options.store ?? createMemorySessionStore());
    this.#policies = new PolicyKeeper(this.#store);
    this.#users = new UserSessions(this.#store, {
      look: async (id, owner) => this.#look(id, owner),
      supersede: async (id) => {
        await this.#change(id, { type: "end", reason: "superseded" });
      },
    });
    if (intervalMs > 0) this.#sweepEvery(intervalMs);
  }

  async start(options: StartOptions): Promise<Started> {
    assertOptionNames("", options, START_OPTIONS);
    assertUser(options.user);
    if (options.factors !== undefined) assertFactors(options.factors);
    const { user, tenant, source } = options;
    const id = options.id ?? createSessionId();
    if (!isSessionId(id)) throw new TypeError(`id: expected 8 to 128 of A-Z a-z 0-9 _ -, got ${JSON.stringify(id)}`);
    const policy = await this.#inForce();
    if (options.class !== undefined) assertClass(policy.policy, options.class);
    const token = createToken(id);
    const input: StartInput = {
      type: "start",
      id,
      user,
      tenant,
      class: options.class,
      factors: options.factors,
      token: token.hash,
      policy,
      place: placeOf(id, source),
    };
    const auditId = await this.#auditId(id);
    // Before a place is taken: what no event can bear must not begin.
    assertEvents(this.#begun(input, { auditId, source, now: await this.#store.now() }));
    await this.#assertNew(id);
    const reservedAt = await this.#reserve(options, id, policy);
    const now = await this.#store.now();
    if (now - reservedAt >= RESERVATION_MS / 2) {
      throw new SessionError("session-state-unavailable", "the store of session states is too slow to begin a session");
    }
    const begun = this.#begun(input, { auditId, source, now });
    if (!(await this.#store.put(keyOf(id), formatKeptSession(begun), 0, dueAt(begun, this.#keepEndedMs)))) {
      throw new RangeError("id: expected one that no session has, got one that is in use");
    }
    this.#reportLater(begun);
    const { verdict } = decide(begun.state, { type: "request", activity: false }, now);
    if (verdict.kind !== "ok") throw new SessionError("session-state-unavailable", "the session was over at once");
    return { token: token.token, session: infoOf(begun), verdict };
  }

  async check(credential: Credential, options: CheckOptions = {}): Promise<Checked> {
    assertOptionNames("", options, CHECK_OPTIONS);
    const { class: name, reauth, target, source, rotate = true } = options;
    const need =
      reauth === undefined
        ? undefined
        : { maxAgeMs: parseDuration("reauth.maxAge", reauth.maxAge), factors: reauth.factors };
    return this.#ask(credential, { source, rotates: rotate && name !== undefined }, ({ policy }) => {
      if (name !== undefined) assertClass(policy, name);
      const activity = options.activity ?? policy.activity === "requests";
      return { type: "request", activity, class: name, reauth: need, target };
    });
  }

  async look(credential: Credential): Promise<Checked> {
    return this.#ask(credential, {}, () => ({ type: "policy" }));
  }

  async extend(credential: Credential, options: RequestOptions = {}): Promise<Checked> {
    assertOptionNames("", options, REQUEST_OPTIONS);
    return this.#ask(credential, options, () => ({ type: "extend" }));
  }

  async reauth(credential: Credential, options: ReauthOptions): Promise<Checked> {
    assertOptionNames("", options, REAUTH_OPTIONS);
    const { factors, success = true, source } = options;
    assertFactors(factors);
    return this.#ask(credential, { source, rotates: success }, () => ({ type: "reauth", factors, success }));
  }

  async confirmWarning(credential: Credential, options: RequestOptions = {}): Promise<Checked> {
    assertOptionNames("", options, REQUEST_OPTIONS);
    return this.#ask(credential, options, () => ({ type: "warned" }));
  }

  async end(credential: Credential, options: EndOptions = {}): Promise<Checked> {
    assertOptionNames("", options, END_OPTIONS);
    const { reason = "logout", by, source } = options;
    assertEndReason(reason);
    return this.#ask(credential, { source }, () => ({ type: "end", reason, by }));
  }

  async list(user: string, options: OwnerOptions = {}): Promise<SessionInfo[]> {
    assertUser(user);
    assertOptionNames("", options, OWNER_OPTIONS);
    const owner = { user, tenant: options.tenant };
    const [policy, ids, now] = await Promise.all([this.#inForce(), this.#users.ids(owner), this.#store.now()]);
    const kept = await Promise.all(ids.map(async (id) => this.#read(id)));
    return kept.flatMap((session) => {
      if (session === undefined || !isOf(owner, session.state) || session.state.ended !== null) return [];
      // As the next check will find it.
      const { state, verdict } = decide(session.state, { type: "policy", policy }, now);
      return state === null || verdict.kind !== "ok" ? [] : [infoOf({ ...session, state })];
    });
  }

  async endAll(user: string, options: EndAllOptions = {}): Promise<number> {
    assertUser(user);
    assertOptionNames("", options, END_ALL_OPTIONS);
    const { except, tenant, reason = "revoked", by, source } = options;
    assertEndReason(reason);
    await this.#prepare();
    const owner = { user, tenant };
    const ids = (await this.#users.ids(owner)).filter((id) => id !== except);
    const ended = await Promise.all(
      ids.map(async (id) =>
        this.#users.begun(owner, id, async () => {
          const kept = await this.#read(id);
          if (kept === undefined) return undefined;
          if (!isOf(owner, kept.state)) return false;
          const outcome = await this.#change(id, { type: "end", reason, by }, { source });
          return outcome?.decision.entries.some(({ type }) => type === "session.end") ?? false;
        }),
      ),
    );
    return ended.filter((isEnded) => isEnded === true).length;
  }

  async sweep(): Promise<Swept> {
    await this.#prepare();
    return this.#sweep("sweep");
  }

  async setLimits(options: SessionPolicyOptions): Promise<void> {
    assertOptionNames("", options, OPTIONS);
    const policy = parsePolicyOptions(options);
    await this.#prepare();
    await this.#putInForce(policy);
    this.#policy = policy;
  }

  assertClass(name: string): void {
    assertClass(this.#policy, name);
  }

  async limits(): Promise<PolicyInForce> {
    return this.#inForce();
  }

  async flush(): Promise<void> {
    while (this.#background.size > 0) await Promise.all(this.#background);
  }

  async close(): Promise<void> {
    this.#closing ??= this.#close();
    await this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #close(): Promise<void> {
    clearTimeout(this.#timer);
    await this.flush();
    if (this.#options.store === undefined) await this.#store.close();
  }

  /** The document of this instance is in force, and the log is told; once, and again where that failed. */
  async #prepare(): Promise<void> {
    if (this.#closing !== undefined) throw new SessionError("sessions-closed", "these sessions were closed");
    this.#prepared ??= this.#putInForce(this.#policy);
    try {
      await this.#prepared;
    } catch (error) {
      this.#prepared = undefined;
      throw error;
    }
  }

  /** Whoever puts a document in force announces it, and sees to it that the sweeper knows all deadlines under it. */
  async #putInForce(policy: SessionPolicy): Promise<void> {
    const { before, event } = await this.#policies.put(policy);
    if (before === "other") this.#inBackground(this.#tighten(policy));
    if (event !== undefined) this.#inBackground(this.#announce(event));
  }

  async #inForce(): Promise<PolicyInForce> {
    await this.#prepare();
    return this.#policies.inForce();
  }

  async #announce(event: Report): Promise<void> {
    await this.#recorder.record(event);
    if (event.id !== undefined) await this.#policies.announced(event.id);
  }

  async #announceAgain(): Promise<void> {
    const event = await this.#policies.overdue();
    if (event !== undefined) await this.#announce(event);
  }

  /** Looks at every session under the new limits, so that the sweeper knows their new deadlines. */
  async #tighten(policy: SessionPolicy): Promise<void> {
    const keys = await this.#store.due(Number.MAX_SAFE_INTEGER, TIGHTEN_MAX);
    for (let from = 0; from < keys.length; from += TIGHTEN_BATCH) {
      // Nobody else is to begin while this goes on; and where other limits came meanwhile, whoever put them does it all.
      if (from > 0 && !(await this.#policies.tightens(policy))) return;
      const batch = keys.slice(from, from + TIGHTEN_BATCH);
      await inCrowds(batch, async (key) => this.#orSay(this.#change(idOf(key), { type: "policy" })));
    }
    await this.#policies.tightened(policy);
  }

  /** What whoever put limits in force did not get done, being dead. */
  async #tightenAgain(): Promise<void> {
    const policy = await this.#policies.untightened();
    if (policy !== undefined) await this.#tighten(policy);
  }

  async #reserve({ user, tenant, source }: StartOptions, id: string, { policy }: PolicyInForce): Promise<number> {
    try {
      return await this.#users.reserve({ user, tenant }, id, policy.concurrent);
    } catch (error) {
      if (error instanceof SessionError && error.code === "session-denied") {
        const { details } = error;
        const context = { sessions: Number(details["sessions"]), max: Number(details["max"]) };
        const event: Report = {
          type: "auth.login",
          outcome: "denied",
          actor: { type: "user", id: user },
          reason: "too many sessions",
          tenant,
          ...withSource(source),
          context,
        };
        this.#inBackground(this.#recorder.record(event));
      }
      throw error;
    }
  }

  #begun(
    input: StartInput,
    { auditId, source, now }: { auditId: string; source: Source | undefined; now: number },
  ): KeptSession {
    const { state, entries } = decide(null, input, now);
    if (state === null) throw new Error("internal error: a session that did not begin");
    return { auditId, state, unlogged: unloggedOf(entries, source), retryAt: now + REPORT_MS };
  }

  async #assertNew(id: string): Promise<void> {
    if ((await this.#store.get(keyOf(id))) === undefined) return;
    throw new RangeError("id: expected one that no session has, got one that is in use");
  }

  /** Asks for whoever bears the credential. */
  async #ask(
    credential: Credential,
    { source, rotates = false }: RequestOptions & { readonly rotates?: boolean },
    wishOf: (inForce: PolicyInForce) => Wish,
  ): Promise<Checked> {
    const shown = parseCredential(credential);
    await this.#prepare();
    if (shown === undefined) return { kind: "unknown" };
    const next = rotates && shown.hash !== undefined ? createToken(shown.id) : undefined;
    const outcome = await this.#change(shown.id, wishOf, { source, token: shown.hash, next });
    return outcome === undefined ? { kind: "unknown" } : checkedOf(outcome, next);
  }

  /** Decides about a session and puts what comes of it, or does nothing where nothing does. */
  async #change(
    id: string,
    wish: Wish | ((inForce: PolicyInForce) => Wish),
    more: Presented = {},
  ): Promise<Outcome | undefined> {
    const alongside = async (): Promise<[PolicyInForce, number]> =>
      Promise.all([this.#policies.inForce(), this.#store.now()]);
    const outcome = await compareAndSwapWith(
      this.#store,
      { key: keyOf(id), alongside },
      (entry, [policy, now]): Change<Outcome | undefined> => {
        if (entry === undefined) return { done: undefined };
        const wished = typeof wish === "function" ? wish(policy) : wish;
        return this.#changeOf(parseKeptSession(entry.value), { ...wished, policy }, { ...more, now });
      },
    );
    if (outcome !== undefined && outcome.decision.entries.length > 0) this.#reportLater(outcome.kept);
    return outcome;
  }

  #changeOf(
    kept: KeptSession,
    wish: Wish & { readonly policy: PolicyInForce },
    { source, token, next, now }: Presented & { readonly now: number },
  ): Change<Outcome> {
    const place = placeOf(kept.state.id, source);
    const decision = quiet(decide(kept.state, { ...wish, token, nextToken: next?.hash, place }, now), kept);
    const { state, entries } = decision;
    if (state === kept.state || state === null) return { done: { decision, kept: { ...kept, unlogged: [] } } };
    const added = { ...kept, state, unlogged: unloggedOf(entries, source) };
    assertEvents(added);
    const changed: KeptSession = {
      ...added,
      unlogged: [...kept.unlogged, ...added.unlogged],
      retryAt: entries.length === 0 ? kept.retryAt : now + REPORT_MS,
    };
    const deadline = dueAt(changed, this.#keepEndedMs);
    return { value: formatKeptSession(changed), deadline, result: { decision, kept: added } };
  }

  async #read(id: string): Promise<KeptSession | undefined> {
    const entry = await this.#store.get(keyOf(id));
    return entry === undefined ? undefined : parseKeptSession(entry.value);
  }

  async #look(id: string, owner: Owner): Promise<PlaceState> {
    const outcome = await this.#change(id, { type: "sweep", detectedBy: "sweep" });
    if (outcome === undefined) return "missing";
    if (outcome.decision.verdict.kind !== "ok") return "over";
    return isOf(owner, outcome.kept.state) ? "alive" : "another's";
  }

  async #auditId(id: string): Promise<string> {
    this.#secret ??= this.#readSecret();
    try {
      return createHmac("sha256", await this.#secret)
        .update(id)
        .digest("hex");
    } catch (error) {
      this.#secret = undefined;
      throw error;
    }
  }

  async #readSecret(): Promise<Buffer> {
    const { sessionSecret } = this.#options;
    if (sessionSecret !== undefined) return Buffer.from(sessionSecret);
    return compareAndSwap(this.#store, "secret", async (entry) => {
      if (entry !== undefined) return { done: Buffer.from(entry.value, "hex") };
      const made = randomBytes(32);
      return { value: made.toString("hex"), result: made };
    });
  }

  /** Tells the log, after what the same session told it before. No request waits for it. */
  #reportLater(kept: KeptSession): void {
    const { id } = kept.state;
    const before = this.#reporting.get(id) ?? Promise.resolve();
    const mine = before.then(async () => this.#report(kept)).catch((error: unknown) => this.#failed(error));
    this.#reporting.set(id, mine);
    this.#inBackground(
      mine.then(() => {
        if (this.#reporting.get(id) === mine) this.#reporting.delete(id);
      }),
    );
  }

  async #report(kept: KeptSession): Promise<void> {
    if (kept.unlogged.length === 0) return;
    for (const unlogged of kept.unlogged) await this.#recorder.record(sessionEvent(kept, unlogged));
    const done = new Set(kept.unlogged.map(({ id }) => id));
    await compareAndSwap(this.#store, keyOf(kept.state.id), async (entry) => {
      if (entry === undefined) return { done: undefined };
      const now = parseKeptSession(entry.value);
      const left = { ...now, unlogged: now.unlogged.filter(({ id }) => !done.has(id)) };
      if (left.unlogged.length === now.unlogged.length) return { done: undefined };
      return { value: formatKeptSession(left), deadline: dueAt(left, this.#keepEndedMs), result: undefined };
    });
  }

  async #sweep(detectedBy: "sweep" | "start"): Promise<Swept> {
    await this.#orSay(this.#announceAgain());
    await this.#orSay(this.#tightenAgain());
    const swept = { ended: 0, forgotten: 0 };
    const seen = new Set<string>();
    for (let limit = SWEEP_BATCH; ;) {
      const keys = await this.#store.due(await this.#store.now(), limit);
      const fresh = keys.filter((key) => !seen.has(key));
      if (fresh.length === 0 && keys.length < limit) break;
      // Those that stay due, as they are corrupt or the log does not take them, must not stand before all others.
      if (fresh.length === 0) limit *= 2;
      for (const key of fresh) seen.add(key);
      await inCrowds(fresh, async (key) => {
        const what = await this.#orSay(this.#sweepOne(idOf(key), detectedBy));
        if (what !== undefined) swept[what] += 1;
      });
    }
    await this.#reported();
    return swept;
  }

  async #sweepOne(id: string, detectedBy: "sweep" | "start"): Promise<"ended" | "forgotten" | undefined> {
    const outcome = await this.#change(id, { type: "sweep", detectedBy });
    if (outcome === undefined) return undefined;
    if (outcome.decision.entries.some(({ type }) => type === "session.timeout")) return "ended";
    await this.#reportAgain(id);
    return (await this.#forget(outcome.kept)) ? "forgotten" : undefined;
  }

  /** Reports what whoever decided it did not in time, being dead or without a log. */
  async #reportAgain(id: string): Promise<void> {
    const overdue = await compareAndSwap(
      this.#store,
      keyOf(id),
      async (entry): Promise<Change<KeptSession | undefined>> => {
        const kept = entry === undefined ? undefined : parseKeptSession(entry.value);
        const now = await this.#store.now();
        if (kept === undefined || kept.unlogged.length === 0 || now < kept.retryAt) return { done: undefined };
        // One of the instances that sweep reports it; the others come when that one has had its time.
        const claimed = { ...kept, retryAt: now + REPORT_MS };
        return { value: formatKeptSession(claimed), deadline: dueAt(claimed, this.#keepEndedMs), result: claimed };
      },
    );
    if (overdue !== undefined) this.#reportLater(overdue);
  }

  async #forget({ state: { id, user, tenant } }: KeptSession): Promise<boolean> {
    const isForgotten = await compareAndSwap(this.#store, keyOf(id), async (entry) => {
      const kept = entry === undefined ? undefined : parseKeptSession(entry.value);
      if (kept === undefined || kept.state.ended === null || kept.unlogged.length > 0) return { done: false };
      const until = kept.state.ended.detectedAt + this.#keepEndedMs;
      if ((await this.#store.now()) < until) return { done: false };
      return { value: null, result: true };
    });
    if (isForgotten) await this.#users.release({ user, tenant: tenant ?? undefined }, id);
    return isForgotten;
  }

  async #reported(): Promise<void> {
    await Promise.all(this.#reporting.values());
  }

  /** At once, for what went on while nothing ran; then at intervals. */
  #sweepEvery(intervalMs: number): void {
    const again = (afterMs: number): void => {
      if (this.#closing !== undefined) return;
      this.#timer = setTimeout(() => {
        const run = this.#prepare().then(async () => this.#sweep((this.#sweeps += 1) === 1 ? "start" : "sweep"));
        this.#inBackground(
          run.then(
            () => again(intervalMs),
            (error: unknown) => {
              this.#failed(error);
              again(intervalMs);
            },
          ),
        );
      }, afterMs);
      this.#timer.unref();
    };
    again(0);
  }

  #inBackground(work: Promise<unknown>): void {
    const settled: Promise<void> = work
      .then(
        () => undefined,
        (error: unknown) => this.#failed(error),
      )
      .finally(() => this.#background.delete(settled));
    this.#background.add(settled);
  }

  /** One that fails must not stop the others. */
  async #orSay<Result>(work: Promise<Result>): Promise<Result | undefined> {
    try {
      return await work;
    } catch (error) {
      this.#failed(error);
      return undefined;
    }
  }

  #failed(cause: unknown): void {
    const error = cause instanceof Error ? cause : new Error(String(cause));
    try {
      if (this.#options.onError === undefined) process.emitWarning(error.message, { type: "TallystickWarning" });
      else this.#options.onError(error);
    } catch {
      // What the application's own handler throws must not stop the sweeper.
    }
  }
}

/** Leaves untold what comes too often while the log has not even taken what it was told before. The state is the same but for that. */
function quiet(decision: Decision, { state: before, unlogged }: KeptSession): Decision {
  const [entry, ...others] = decision.entries;
  if (entry === undefined || others.length > 0 || decision.state === null) return decision;
  if (unlogged.length < (UNLOGGED_MAX[entry.type] ?? Infinity)) return decision;
  // Who succeeds to show who he is did not do so in vain, and his authentication would be nowhere.
  if (entry.type === "session.reauth" && entry.outcome === "success") return decision;
  const { loggedActivityAt, entries } = before;
  return { ...decision, state: { ...decision.state, loggedActivityAt, entries }, entries: [] };
}

function unloggedOf(entries: Decision["entries"], source: Source | undefined): UnloggedEntry[] {
  return entries.map((entry) => {
    return { id: newEventId(entry.at, randomBytes(16)), entry, ...withSource(source) };
  });
}

/** @throws {EventError} `event-invalid`: what a caller gave makes no event. */
function assertEvents(kept: KeptSession): void {
  for (const unlogged of kept.unlogged) {
    const { id, time, ...report } = sessionEvent(kept, unlogged);
    parseEvent({ ...report, id: id ?? unlogged.id, time: time ?? unlogged.entry.at });
  }
}

/** To tell whether two requests came from one place, without keeping the address. */
function placeOf(id: string, source: Source | undefined): string | undefined {
  if (source?.ip === undefined) return undefined;
  return hash("sha256", `${id} ${source.ip}`, "base64url").slice(0, 16);
}

async function inCrowds(keys: readonly string[], work: (key: string) => Promise<unknown>): Promise<void> {
  for (let from = 0; from < keys.length; from += CROWD) await Promise.all(keys.slice(from, from + CROWD).map(work));
}

function keyOf(id: string): string {
  return SESSION_PREFIX + id;
}

function idOf(key: string): string {
  return key.slice(SESSION_PREFIX.length);
}

function checkedOf({ decision: { verdict, state }, kept }: Outcome, next: NewToken | undefined): Checked {
  if (verdict.kind === "unknown" || state === null) return verdict;
  const session = infoOf({ ...kept, state });
  const rotated = "rotated" in verdict && verdict.rotated && next !== undefined;
  return rotated ? { ...verdict, session, token: next.token } : { ...verdict, session };
}

function infoOf({ auditId, state }: KeptSession): SessionInfo {
  const { id, user, tenant, classes, startedAt, lastActivityAt, authAt, factors, limits } = state;
  return {
    id,
    auditId,
    user,
    ...(tenant === null ? {} : { tenant }),
    class: classes.at(-1) ?? DEFAULT_CLASS,
    startedAt,
    lastActivityAt,
    authAt,
    factors: Object.keys(factors),
    deadlineAt: deadlineOf(state),
    limits,
  };
}
