/**
 * A week of sessions on a clock that nobody waits for: logins, requests, step-ups, changed limits, ends of every kind, by
 * three instances that share a store and have outboxes of their own. Everything is decided by `decide`; a seed gives the
 * same week again.
 */
import { createHash } from "node:crypto";
import { type TallyEvent, sessionTag } from "@tallystick/events";
import {
  type Decision,
  type PolicyInForce,
  type SessionEntry,
  type SessionInput,
  type SessionState,
  type StartInput,
  deadlineOf,
  decide,
  formatPolicy,
} from "@tallystick/sessions";
import type { LoggedEntry } from "@tallystick/sessions/replay";
import { sessionEvent } from "../../src/session-event.ts";
import { HOUR, MINUTE, T0, USUAL, inForce } from "./policies.ts";

const DAY = 24 * HOUR;
const SESSIONS_AT_ONCE = 2;
const CONCURRENT = { max: SESSIONS_AT_ONCE, beyond: "end-oldest" } as const;

/** The limits of the week: as usual, stricter from the third day on, as before from the fifth. */
export const POLICIES: readonly PolicyInForce[] = [
  inForce({ ...USUAL, concurrent: CONCURRENT }, T0),
  inForce({ ...USUAL, idle: "12m", absolute: "4h", concurrent: CONCURRENT }, T0 + 2 * DAY + 10 * HOUR),
  inForce({ ...USUAL, concurrent: CONCURRENT }, T0 + 4 * DAY + 9 * HOUR),
];

export function policyAt(at: number): PolicyInForce {
  const policy = POLICIES.findLast(({ since }) => since <= at);
  if (policy === undefined) throw new Error("expected a time of the week");
  return policy;
}

/** Numbers from 0 to below 1, the same for the same seed (mulberry32). */
export function createRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** An event on its way to the log, from one of the instances. */
export interface Sent {
  readonly event: TallyEvent;
  readonly at: number;
  readonly instance: number;
}

interface Instance {
  readonly skewMs: number;
  readonly delayMs: number;
  readonly outage?: { readonly from: number; readonly until: number };
}

/** Of the instances one is ten minutes fast, and one had no log for two hours of the second day. */
const INSTANCES: readonly Instance[] = [
  { skewMs: 0, delayMs: 300 },
  { skewMs: 10 * MINUTE, delayMs: 2000 },
  { skewMs: 0, delayMs: 900, outage: { from: T0 + 30 * HOUR, until: T0 + 32 * HOUR } },
];
/** Nobody looked for sessions that were over. */
const UNSWEPT = { from: T0 + 54 * HOUR, until: T0 + 57 * HOUR };

interface Timed {
  readonly at: number;
  readonly run: () => void;
}

/** What is to happen, the earliest first: a binary heap. */
class Agenda {
  readonly #heap: Timed[] = [];

  add(at: number, run: () => void): void {
    const heap = this.#heap;
    let slot = heap.push({ at, run }) - 1;
    for (let above = (slot - 1) >> 1; slot > 0 && (heap[above]?.at ?? 0) > at; above = (slot - 1) >> 1) {
      this.#swap(slot, above);
      slot = above;
    }
  }

  next(): Timed | undefined {
    const heap = this.#heap;
    this.#swap(0, heap.length - 1);
    const first = heap.pop();
    let slot = 0;
    for (;;) {
      const left = 2 * slot + 1;
      const child = (heap[left + 1]?.at ?? Infinity) < (heap[left]?.at ?? Infinity) ? left + 1 : left;
      if ((heap[child]?.at ?? Infinity) >= (heap[slot]?.at ?? Infinity)) return first;
      this.#swap(slot, child);
      slot = child;
    }
  }

  #swap(one: number, other: number): void {
    const heap = this.#heap;
    const [first, second] = [heap[one], heap[other]];
    if (first === undefined || second === undefined) return;
    heap[one] = second;
    heap[other] = first;
  }
}

export interface Live {
  state: SessionState;
  readonly auditId: string;
}

export class Week {
  readonly sent: Sent[] = [];
  readonly sessions: Live[] = [];
  readonly #random: () => number;
  readonly #agenda = new Agenda();
  readonly #byUser = new Map<string, Live[]>();
  #events = 0;

  constructor(seed: number) {
    this.#random = createRandom(seed);
    for (const { policy, hash, since } of POLICIES) {
      const context = { hash, document: formatPolicy(policy), since };
      const event = { id: this.#id(), time: since, type: "session.policy", outcome: "success", context } as const;
      this.sent.push({ event, at: since, instance: 0 });
    }
  }

  /** Does something at a time of the week. Call before {@link play}. */
  at(time: number, run: () => void): void {
    this.#agenda.add(time, run);
  }

  /** @param count - How many sessions, over seven days. */
  play(count: number): void {
    for (let login = 0; login < count; login += 1) {
      const user = `u_${this.#below(Math.ceil(count / 3))}`;
      const at = T0 + this.#below(7 * DAY);
      this.#agenda.add(at, () => this.#login(user, at));
    }
    for (const { since } of POLICIES) this.#agenda.add(since, () => this.#tighten(since));
    for (let next = this.#agenda.next(); next !== undefined; next = this.#agenda.next()) next.run();
  }

  /** Whoever puts a document in force looks at every session. */
  #tighten(at: number): void {
    for (const live of this.sessions) {
      if (live.state.ended === null && at < deadlineOf(live.state)) this.decide(live, { type: "policy" }, at);
    }
  }

  /** Begins a session beside the played ones, for a test to do with as it likes. */
  start(user: string, at: number, more: Partial<StartInput> = {}): Live {
    const id = `session-${this.sessions.length}`;
    const auditId = createHash("sha256").update(id).digest("hex");
    const input: StartInput = { type: "start", id, user, factors: ["password"], policy: policyAt(at), ...more };
    const { state, entries } = decide(null, input, at);
    if (state === null) throw new Error("expected a session");
    const live = { state, auditId };
    this.sessions.push(live);
    this.tell(live, entries);
    return live;
  }

  decide(live: Live, input: SessionInput, at: number): Decision {
    const before = deadlineOf(live.state);
    const decision = decide(live.state, { ...input, policy: policyAt(at) }, at);
    live.state = decision.state ?? live.state;
    if (deadlineOf(live.state) < before) this.#sweepAt(live);
    this.tell(live, decision.entries);
    return decision;
  }

  /** Sends entries, by one of the instances. */
  tell(live: Live, entries: readonly SessionEntry[]): void {
    const instance = this.#below(INSTANCES.length);
    for (const entry of entries) {
      const report = sessionEvent({ ...live, unlogged: [], retryAt: 0 }, { id: this.#id(), entry });
      const event = report as TallyEvent;
      this.sent.push({ event, at: entry.at, instance });
      // Another one thought that this one was dead, or it was, and came back hours later with what it had not sent.
      if (this.#random() < 0.005) {
        const at = entry.at + 20_000 + this.#below(6 * HOUR);
        this.sent.push({ event, at, instance: (instance + 1) % INSTANCES.length });
      }
    }
  }

  /** Something that the application reports by itself, by the clock of the instance. */
  report(
    live: Live,
    at: number,
    event: Pick<TallyEvent, "type" | "outcome"> & Partial<TallyEvent>,
    on: number = this.#below(3),
  ): void {
    const { state, auditId } = live;
    const base = { id: this.#id(), time: at + (INSTANCES[on]?.skewMs ?? 0), session: { id: auditId } };
    this.sent.push({ event: { ...base, actor: { type: "user", id: state.user }, ...event }, at, instance: on });
  }

  #login(user: string, at: number): void {
    const others = (this.#byUser.get(user) ?? []).filter((live) => this.#isAlive(live, at));
    for (const live of others.slice(0, Math.max(0, others.length - SESSIONS_AT_ONCE + 1))) {
      this.decide(live, { type: "end", reason: "superseded" }, at);
    }
    const tenant = this.#random() < 0.2 ? "acme" : undefined;
    const live = this.start(user, at, { tenant, ...(this.#random() < 0.05 ? { class: "high" } : {}) });
    this.#byUser.set(user, [...others, live]);
    this.#agenda.add(at + this.#pause(), () => this.#act(live, at));
    this.#sweepAt(live);
  }

  /** A login looks at the user's other sessions, and finds those that are over. */
  #isAlive(live: Live, at: number): boolean {
    if (live.state.ended === null) this.decide(live, { type: "sweep", detectedBy: "sweep" }, at);
    return live.state.ended === null;
  }

  #sweepAt(live: Live): void {
    const due = deadlineOf(live.state) + this.#below(15_000);
    const isUnswept = due >= UNSWEPT.from && due < UNSWEPT.until;
    const at = isUnswept ? UNSWEPT.until : due;
    this.#agenda.add(at, () => {
      if (live.state.ended !== null) return;
      this.decide(live, { type: "sweep", detectedBy: isUnswept ? "start" : "sweep" }, at);
      if (live.state.ended === null) this.#sweepAt(live);
    });
  }

  #act(live: Live, before: number): void {
    const at = Math.max(before, live.state.at) + this.#pause();
    this.#agenda.add(at, () => {
      const wasOver = live.state.ended !== null;
      this.#do(live, at);
      if (!wasOver || this.#random() < 0.1) this.#act(live, at);
    });
  }

  #do(live: Live, at: number): void {
    const dice = this.#random();
    if (dice < 0.03) this.decide(live, { type: "end", reason: "logout" }, at);
    else if (dice < 0.035) this.decide(live, { type: "end", reason: "revoked", by: { type: "user", id: "admin" } }, at);
    else if (dice < 0.1) this.decide(live, { type: "extend" }, at);
    else if (dice < 0.14) this.decide(live, { type: "warned" }, at);
    else if (dice < 0.18) this.#export(live, at);
    else if (dice < 0.2) this.decide(live, { type: "reauth", factors: ["otp"], success: this.#random() < 0.8 }, at);
    else if (dice < 0.23) this.#readInTabs(live, at);
    else this.#read(live, at, this.#random() < 0.75);
  }

  /** All tabs of a browser ask in the same moment, those in the background too. */
  #readInTabs(live: Live, at: number): void {
    for (let tab = this.#below(5); tab >= 0; tab -= 1) this.#read(live, at, tab % 2 === 0);
  }

  #read(live: Live, at: number, activity: boolean): void {
    const name = this.#random() < 0.02 ? "high" : undefined;
    const nextToken = name === undefined ? undefined : `token-${at}`;
    const { verdict } = this.decide(live, { type: "request", activity, class: name, nextToken }, at);
    if (verdict.kind !== "ok" || this.#random() < 0.5) return;
    const targets = [{ type: "file", id: "f1" }];
    this.report(live, at + this.#below(3000), { type: "access.read", outcome: "success", targets });
  }

  /** A guarded action: refused at first, where the last authentication is too long ago. */
  #export(live: Live, at: number): void {
    const target = { type: "route", id: "POST /export" };
    const request = { type: "request", activity: true, reauth: { maxAgeMs: 5 * MINUTE }, target } as const;
    if (this.decide(live, request, at).verdict.kind === "reauth-required") {
      this.decide(live, { type: "reauth", factors: ["otp"], success: true, nextToken: `token-${at}` }, at + 1);
      if (this.decide(live, request, at + 2).verdict.kind !== "ok") return;
    } else if (live.state.ended !== null) return;
    const context = { reauthMaxAgeSeconds: 300 };
    this.report(live, at + 2 + this.#below(3000), {
      type: "access.export",
      outcome: "success",
      targets: [target],
      context,
    });
  }

  /** Mostly short, now and then longer than any limit. */
  #pause(): number {
    const dice = this.#random();
    if (dice < 0.6) return 1 + this.#below(3 * MINUTE);
    return 1 + this.#below(dice < 0.9 ? 14 * MINUTE : 90 * MINUTE);
  }

  #below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }

  #id(): string {
    this.#events += 1;
    return `0198c5d2-7c3a-7f4e-9d1b-${this.#events.toString(16).padStart(12, "0")}`;
  }
}

/** What the log makes of it: each instance's events in its order, with their places in the chains. */
export function logOf(sent: readonly Sent[]): LoggedEntry[] {
  const lastAt: number[] = [];
  const delivered = sent
    .toSorted((one, other) => one.at - other.at)
    .map(({ event, at, instance }) => {
      const { delayMs = 0, outage } = INSTANCES[instance] ?? {};
      const isOut = outage !== undefined && at >= outage.from && at < outage.until;
      const loggedAt = Math.max(lastAt[instance] ?? 0, isOut ? outage.until : at + delayMs);
      lastAt[instance] = loggedAt;
      return { event, loggedAt, instance };
    })
    .toSorted((one, other) => one.loggedAt - other.loggedAt);
  const chains = new Map<string, { readonly tag: Uint8Array; n: number; prev: number | null }>();
  const sequences = new Map<number, number>();
  return delivered.map(({ event, loggedAt, instance }, index): LoggedEntry => {
    const sequence = (sequences.get(instance) ?? 0) + 1;
    sequences.set(instance, sequence);
    const id = event.session?.id;
    if (id === undefined) return { index, leaf: { loggedAt, session: null, sequence }, stream: `i${instance}`, event };
    const chain = chains.get(id) ?? { tag: sessionTag(Buffer.from(id, "hex")), n: 0, prev: null };
    chains.set(id, { tag: chain.tag, n: chain.n + 1, prev: index });
    return { index, leaf: { loggedAt, session: chain, sequence }, stream: `i${instance}`, event };
  });
}
