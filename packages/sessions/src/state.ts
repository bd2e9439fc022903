/** What is known of one session. Nothing else decides what becomes of it. */
import type { SessionLimits } from "./limits.ts";

/** The limits that end a session. */
export type LimitReason = "idle" | "absolute";
/** The wishes that do: its user's, an operator's (or the user's elsewhere), or that of a newer session. */
export type WishReason = "logout" | "revoked" | "superseded";
export type EndReason = LimitReason | WishReason;

export interface SessionEnd {
  readonly reason: EndReason;
  /** When it was over: the deadline that it reached, or the moment when somebody ended it. */
  readonly at: number;
  /** When that was noticed; `at`, but for a deadline. */
  readonly detectedAt: number;
}

/** A token that opens the session: of the token itself only its SHA-256 is kept. */
export interface TokenHash {
  readonly hash: string;
  /** From then on it does not; `null` for the one that is current. */
  readonly until: number | null;
  /** It was replaced at a step-up at that time: of this and later ones it knows nothing. */
  readonly authBefore?: number;
}

/** Uses after the end that no entry counts yet. */
export interface LateUses {
  readonly count: number;
  /** How many of them were no activity: what a page that was left open asks for by itself. 0 where it is not there. */
  readonly background?: number;
  /** Whether one of them came from elsewhere. */
  readonly elsewhere?: boolean;
  /** When an entry counted some last. */
  readonly loggedAt: number | null;
}

/** For so long uses after the end are counted before the log is told. */
const LATE_USE_INTERVAL_MS = 600_000;

/** One session. All times are ms since 1970 by the store's clock. */
export interface SessionState {
  readonly version: 1;
  /** Random and stable; not of any token. */
  readonly id: string;
  readonly user: string;
  readonly tenant: string | null;
  /** Every class that it came under, the latest last. */
  readonly classes: readonly string[];
  readonly startedAt: number;
  readonly lastActivityAt: number;
  /** What the log knows of {@link lastActivityAt}. */
  readonly loggedActivityAt: number;
  /** When the user was last authenticated. */
  readonly authAt: number;
  /** Each factor and when it was last shown. */
  readonly factors: Readonly<Record<string, number>>;
  readonly limits: SessionLimits;
  /** How long before the deadline the user is warned. */
  readonly warningMs: number;
  /** When the limits became stricter last: a deadline that lies before that was not one then. */
  readonly limitsSince: number;
  /** The hash of the document that the limits were last compared with. */
  readonly policy: string;
  /** The deadline that the user was shown a warning of. */
  readonly warnedFor: number | null;
  /** The current one first. Empty where the application has tokens of its own. */
  readonly tokens: readonly TokenHash[];
  /** From where it was used last: a hash, to compare. */
  readonly place: string | null;
  readonly ended: SessionEnd | null;
  readonly lateUses: LateUses;
  /** The latest moment that anything was decided at: time never runs back. */
  readonly at: number;
  /** Entries so far: the number of the next one. */
  readonly entries: number;
}

/** When the log is to be told of the uses after the end, if there are any: at once of the first. */
export function lateUsesDueAt({ lateUses: { count, loggedAt } }: SessionState): number {
  if (count === 0) return Infinity;
  return loggedAt === null ? -Infinity : loggedAt + LATE_USE_INTERVAL_MS;
}

/** When a session is over however active it is. */
export function absoluteAtOf({ startedAt, limits, limitsSince }: SessionState): number {
  return Math.max(startedAt + limits.absoluteMs, limitsSince);
}

/** When it is over unless something happens. Reaching it is being over. */
export function deadlineOf(state: SessionState): number {
  const { lastActivityAt, limits, limitsSince } = state;
  const idleAt = limits.idleMs === null ? Infinity : Math.max(lastActivityAt + limits.idleMs, limitsSince);
  return Math.min(idleAt, absoluteAtOf(state));
}

/** The limit that {@link deadlineOf} is of. */
export function boundOf(state: SessionState): LimitReason {
  const { startedAt, lastActivityAt, limits } = state;
  const idleAt = limits.idleMs === null ? Infinity : lastActivityAt + limits.idleMs;
  return startedAt + limits.absoluteMs <= idleAt ? "absolute" : "idle";
}
