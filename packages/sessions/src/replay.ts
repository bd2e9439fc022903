/**
 * The replay of sessions: folds the chain of each session in a log through the same `decide` that enforced it, and names by
 * index what it should not have come to. docs/reference/session-audit.md.
 *
 * It can't see requests that were never reported, nor that what was reported is true.
 */
import type { TallyEvent } from "@tallystick/events";
import { encodeHex } from "@tallystick/core";
import {
  APPLICATION_TOLERANCE_MS,
  END_DUE_MS,
  type EndedChain,
  type ReplayContext,
  SessionChain,
  twiceText,
} from "./replay-chain.ts";
import { type ChainEntry, type LoggedEntry, chainEntryOf, numberIn, timeOf } from "./replay-entry.ts";
import { KNOWN_OF_ENDED } from "./replay-known.ts";
import { ReplayPolicies } from "./replay-policies.ts";
import { ReplayFindings, type ReplayedSession, type SessionReplayReport } from "./replay-report.ts";
import { ReplayUsers } from "./replay-users.ts";
import { absoluteAtOf } from "./state.ts";

export type { LoggedEntry, ReplayedLeaf } from "./replay-entry.ts";
export {
  type ReplayedSession,
  SESSION_RULES,
  type SessionFinding,
  type SessionFindingCode,
  type SessionNote,
  type SessionReplayReport,
  type SessionRule,
} from "./replay-report.ts";

export interface SessionReplayOptions {
  /** Shows each session that had begun by then, as it was: ms since 1970 by the store's clock. */
  readonly at?: number | undefined;
  /** Told of each, in no particular order. */
  readonly onSession?: ((session: ReplayedSession) => void) | undefined;
  /** Sessions that are followed at a time; 1,000,000 by default. One more, and there are some of which nothing is said. */
  readonly openMax?: number | undefined;
  /** Ended sessions that are remembered, the latest; 1,000,000 by default. */
  readonly endedMax?: number | undefined;
}

/** What a session's leaves have said of themselves so far. */
interface Place {
  count: number;
  last: number;
}

interface Open extends Place {
  readonly chain: SessionChain;
  /** Some of it cannot be read, so that holes are none. */
  isUnreadable: boolean;
}

interface Ended extends EndedChain, Place {
  /** Numbers that were passed over after the end, and the index of the entry behind each. */
  missing?: Map<number, number>;
  /** Some of what came after the end cannot be read, so that holes are none. */
  isUnreadable?: boolean;
}

/** Of each session that ended: entries that may still come after a later one. */
const MISSING_MAX = 64;
/** How many open sessions are looked at to find one that can be let go. */
const LOOKED_AT_MAX = 1000;

/**
 * Feed it every entry of a log, in order, from index 0.
 *
 * Memory: the sessions that are open, about 2 KiB each, and a row of about 500 bytes for each of the latest million that
 * ended. Both are bounded; of what lies beyond, the report says how much it was.
 */
export class SessionReplay {
  readonly #findings = new ReplayFindings();
  readonly #policies = new ReplayPolicies();
  readonly #users = new ReplayUsers(this.#policies, this.#findings);
  readonly #context: ReplayContext;
  readonly #openMax: number;
  readonly #endedMax: number;
  readonly #open = new Map<string, Open>();
  readonly #ended = new Map<string, Ended>();
  /** Those whose next entry names a document that is not there yet. */
  readonly #stalled = new Set<SessionChain>();
  readonly #sequences = new Map<object | string, number>();
  #clock = 0;
  /** Sessions were let go of: an unknown one may be among them. */
  #isForgetful = false;
  readonly #counts = { sessions: 0, ended: 0, entries: 0, events: 0, unreadable: 0, unmanaged: 0, unjudged: 0 };

  constructor({ at, onSession, openMax = 1_000_000, endedMax = 1_000_000 }: SessionReplayOptions = {}) {
    const show = onSession ?? (() => undefined);
    const unjudged = (): void => {
      this.#counts.unjudged += 1;
    };
    this.#context = {
      policies: this.#policies,
      findings: this.#findings,
      users: this.#users,
      showAt: at,
      show,
      unjudged,
    };
    this.#openMax = openMax;
    this.#endedMax = endedMax;
  }

  follow(entry: LoggedEntry): void {
    const { leaf, event, index } = entry;
    this.#clock = Math.max(this.#clock, leaf.loggedAt);
    this.#checkSequence(entry);
    if (event?.type === "session.policy") this.#policy(index, event);
    if (leaf.session === null) return;
    const session = encodeHex(leaf.session.tag);
    const open = this.#open.get(session);
    const ended = this.#ended.get(session);
    const place = open ?? ended;
    if (place !== undefined) this.#checkPlace(place, session, entry);
    if (ended !== undefined) this.#afterEnd(ended, session, entry);
    else if (open !== undefined) this.#goOn(open, entry);
    else if (leaf.session.n > 0 && this.#isForgetful) this.#counts.unjudged += 1;
    else this.#begin(session, entry);
  }

  /** Call once, after the last entry. */
  finish(): SessionReplayReport {
    for (const [session, open] of this.#open) this.#close(session, open);
    for (const [session, { missing, isUnreadable = false }] of this.#ended) {
      const [first] = missing ?? [];
      if (first === undefined || isUnreadable) continue;
      const text = `entry ${first[0]} of its chain, before this one, is missing`;
      this.#findings.find("R8", first[1], session, text);
    }
    this.#users.finish();
    const { findings, findingsTotal, notes, notesTotal } = this.#findings;
    return { findings, findingsTotal, notes, notesTotal, counts: { ...this.#counts } };
  }

  #checkSequence({ index, stream, leaf: { sequence } }: LoggedEntry): void {
    if (stream === undefined || sequence === null) return;
    const expected = (this.#sequences.get(stream) ?? 0) + 1;
    this.#sequences.set(stream, sequence);
    if (sequence === expected) return;
    const text = `sequence ${sequence} of its sender stands where ${expected} is due: what is missing may be of any session`;
    this.#findings.find("R8", index, undefined, text);
  }

  #checkPlace(place: Place, session: string, { index, leaf }: LoggedEntry): void {
    const { n = 0, prev = null } = leaf.session ?? {};
    if (n !== place.count || prev !== place.last) {
      const text = `entry ${n} of its chain, after index ${prev ?? "none"}, stands where ${place.count} is due, after index ${place.last}`;
      this.#findings.find("R8", index, session, text);
    }
    place.count = n + 1;
    place.last = index;
  }

  #policy(index: number, event: TallyEvent): void {
    const added = this.#policies.add(event);
    if (typeof added === "string") {
      this.#findings.find("R4", index, undefined, `session.policy: ${added}`);
      return;
    }
    for (const chain of this.#stalled) {
      chain.drain();
      this.#settle(chain);
    }
    if (added.since >= this.#clock) return;
    for (const { chain } of this.#open.values()) chain.recheck(added);
  }

  #begin(session: string, entry: LoggedEntry): void {
    if (this.#open.size >= this.#openMax && !this.#makeRoom()) {
      this.#counts.unjudged += 1;
      this.#isForgetful = true;
      return;
    }
    const { index, leaf } = entry;
    const n = leaf.session?.n ?? 0;
    const open = { chain: new SessionChain(session, this.#context), count: n + 1, last: index, isUnreadable: false };
    this.#open.set(session, open);
    if (n > 0) this.#findings.find("R8", index, session, `its chain begins with entry ${n}`);
    this.#goOn(open, entry);
  }

  #goOn(open: Open, { index, leaf: { loggedAt }, event }: LoggedEntry): void {
    if (event === undefined) {
      this.#counts.unreadable += 1;
      open.isUnreadable = true;
      open.chain.markUnreadable();
      return;
    }
    const entry = chainEntryOf(index, loggedAt, event);
    if (entry === undefined) {
      this.#counts.events += 1;
      if (isAccepted(event)) open.chain.accept({ index, at: acceptedAt(loggedAt, event), event });
      return;
    }
    this.#count(entry);
    if (open.chain.add(entry) && entry.type === "session.start") this.#counts.sessions += 1;
    this.#settle(open.chain);
  }

  #count({ at }: ChainEntry): void {
    this.#counts.entries += 1;
    this.#clock = Math.max(this.#clock, at);
  }

  /** Files a chain under those that wait, or those that ended. */
  #settle(chain: SessionChain): void {
    if (chain.isStalled) this.#stalled.add(chain);
    else this.#stalled.delete(chain);
    const { ended, session } = chain;
    const open = this.#open.get(session);
    if (ended === undefined || open === undefined) return;
    chain.showState();
    this.#counts.ended += 1;
    this.#open.delete(session);
    ended.known.shrink(KNOWN_OF_ENDED);
    this.#ended.set(session, { ...ended, count: open.count, last: open.last, isUnreadable: open.isUnreadable });
    const [oldest] = this.#ended.keys();
    if (this.#ended.size <= this.#endedMax || oldest === undefined) return;
    this.#ended.delete(oldest);
    this.#isForgetful = true;
  }

  #afterEnd(ended: Ended, session: string, { index, leaf: { loggedAt }, event }: LoggedEntry): void {
    if (event === undefined) {
      this.#counts.unreadable += 1;
      ended.isUnreadable = true;
      return;
    }
    const entry = chainEntryOf(index, loggedAt, event);
    if (entry === undefined) this.#useAfterEnd(ended, session, { index, at: acceptedAt(loggedAt, event), event });
    else this.#entryAfterEnd(ended, session, entry);
  }

  #entryAfterEnd(ended: Ended, session: string, entry: ChainEntry): void {
    const { index, type, n } = entry;
    this.#count(entry);
    if (n < ended.next && ended.missing?.delete(n) !== true) {
      const isSame = ended.known.isSame(n, entry.event);
      if (isSame === true) this.#findings.note("reported-twice", index, session, twiceText(n));
      else if (isSame === undefined) this.#counts.unjudged += 1;
      else if (ended.isUnreadable !== true) {
        this.#findings.find("R8", index, session, `${type}: its chain has another entry of number ${n}`);
      }
      return;
    }
    ended.known.add(n, entry.event);
    ended.known.shrink(KNOWN_OF_ENDED);
    // Of two that instances tell, the later may be logged first.
    for (let next = ended.next; next < n && n - ended.next <= MISSING_MAX; next += 1) {
      ended.missing ??= new Map();
      if (ended.missing.size < MISSING_MAX) ended.missing.set(next, index);
    }
    ended.next = Math.max(ended.next, n + 1);
    if (type !== "session.use_after_expiry") this.#findAfterEnd(ended, session, index, type);
  }

  #useAfterEnd(
    ended: Ended,
    session: string,
    { index, at, event }: { index: number; at: number; event: TallyEvent },
  ): void {
    this.#counts.events += 1;
    if (!isAccepted(event) || at < ended.at || ended.operations?.has(event.operation ?? "") === true) return;
    if (at >= ended.at + APPLICATION_TOLERANCE_MS) this.#findAfterEnd(ended, session, index, event.type);
    else {
      const text = `${event.type} within a minute after ${timeOf(ended.at)}, when it was over`;
      this.#findings.note("near-the-end", index, session, text);
    }
  }

  #findAfterEnd({ at, reason }: Ended, session: string, index: number, type: string): void {
    const text = `${type} after its end (${reason}) at ${timeOf(at)}`;
    this.#findings.find("R3", index, session, text);
  }

  /** Lets the oldest go that names no session of ours, or should have ended. */
  #makeRoom(): boolean {
    let looked = 0;
    for (const [session, open] of this.#open) {
      if ((looked += 1) > LOOKED_AT_MAX) return false;
      const { state, hasEntries } = open.chain;
      const isOver = state !== null && this.#clock > absoluteAtOf(state) + END_DUE_MS;
      if (hasEntries && !isOver) continue;
      this.#close(session, open);
      this.#isForgetful = true;
      return true;
    }
    return false;
  }

  #close(session: string, { chain, isUnreadable }: Open): void {
    this.#open.delete(session);
    this.#stalled.delete(chain);
    if (!chain.hasEntries) {
      if (!isUnreadable) this.#counts.unmanaged += 1;
      return;
    }
    if (isUnreadable) return;
    chain.finish(this.#clock);
    if (chain.state?.ended !== null && chain.state !== null) this.#counts.ended += 1;
  }
}

/** No later than the log had it, or than the guard let it in, where the event says when: `guardedAt`, by the store's clock. */
function acceptedAt(loggedAt: number, event: TallyEvent): number {
  return Math.min(event.time, loggedAt, numberIn(event, "guardedAt") ?? Infinity);
}

/** What let somebody do something: neither a refusal, nor a report on the session itself. */
function isAccepted({ type, outcome }: TallyEvent): boolean {
  if (type.startsWith("session.")) return type === "session.activity" || type === "session.extend";
  return outcome !== "denied" && type !== "auth.logout";
}
