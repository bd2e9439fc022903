/**
 * A session as the store has it: its state, and the entries that the log may not have yet.
 *
 * Both change in one put. So no entry is lost when the process dies between the two: whoever finds it later reports it, under
 * the same id.
 */
import { SessionError } from "./error.ts";
import type { SessionEntry } from "./entry.ts";
import { type SessionState, deadlineOf, lateUsesDueAt } from "./state.ts";

/** From where a request came, for the events about it. */
export interface Source {
  readonly ip?: string | undefined;
  readonly userAgent?: string | undefined;
  readonly device?: string | undefined;
}

/** Where nothing is known of the source, an event has none: an empty one would make it invalid. */
export function withSource(source: Source | undefined): { readonly source?: Source } {
  const isKnown = source !== undefined && Object.values(source).some((value) => value !== undefined);
  return isKnown ? { source } : {};
}

/** An entry on its way to the log, with all that makes the event the same however often it is reported. */
export interface UnloggedEntry {
  /** The event's. */
  readonly id: string;
  readonly entry: SessionEntry;
  readonly source?: Source;
}

export interface KeptSession {
  /** The session's id in events: 64 hex digits, a keyed hash of the stable id. */
  readonly auditId: string;
  readonly state: SessionState;
  readonly unlogged: readonly UnloggedEntry[];
  /** When somebody else may report what is unlogged: whoever decided it had time enough. */
  readonly retryAt: number;
}

/** For so long whoever decided an entry is the one to report it. */
export const REPORT_MS = 20_000;

export function formatKeptSession(kept: KeptSession): string {
  return JSON.stringify(kept);
}

/** @throws {SessionError} `session-state-corrupt` */
export function parseKeptSession(text: string): KeptSession {
  const kept = parse(text) as Partial<KeptSession> | null;
  if (kept?.state?.version === 1 && Array.isArray(kept.unlogged) && typeof kept.auditId === "string") {
    return kept as KeptSession;
  }
  throw new SessionError("session-state-corrupt", "session state: expected one of version 1");
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new SessionError("session-state-corrupt", "session state: expected JSON", { cause });
  }
}

/** When the sweeper has to look at it next: at its deadline, at what is unlogged or untold, or to forget it. */
export function dueAt({ state, unlogged, retryAt }: KeptSession, keepEndedMs: number): number {
  const next =
    state.ended === null ? deadlineOf(state) : Math.min(state.ended.detectedAt + keepEndedMs, lateUsesDueAt(state));
  return unlogged.length === 0 ? next : Math.min(next, retryAt);
}
