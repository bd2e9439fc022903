/** What a replay of sessions finds: rules that were broken, by index, and notes on what is no breach. */
import type { SessionState } from "./state.ts";

/**
 * The rules, docs/reference/session-audit.md:
 *
 * - `session-used-past-deadline` (R1): something was accepted at or after the deadline.
 * - `session-without-end` (R2): a minute after the absolute limit the log has no end of it.
 * - `session-used-after-end` (R3): something came after the end.
 * - `session-limits-lax` (R4): limits were laxer than those of the `session.policy` in force.
 * - `session-step-up-missing` (R5): a guarded action without the authentication that it asks for.
 * - `sessions-too-many` (R6): a user had more at once than allowed.
 * - `session-extended-past-absolute` (R7): an extension beyond the absolute limit.
 * - `session-chain-hole` (R8): a chain or sequence has a hole, or its entries contradict each other.
 */
export type SessionFindingCode =
  | "session-chain-hole"
  | "session-extended-past-absolute"
  | "session-limits-lax"
  | "session-step-up-missing"
  | "session-used-after-end"
  | "session-used-past-deadline"
  | "session-without-end"
  | "sessions-too-many";

export type SessionRule = "R1" | "R2" | "R3" | "R4" | "R5" | "R6" | "R7" | "R8";

/** The code of each rule. */
export const SESSION_RULES: Readonly<Record<SessionRule, SessionFindingCode>> = {
  R1: "session-used-past-deadline",
  R2: "session-without-end",
  R3: "session-used-after-end",
  R4: "session-limits-lax",
  R5: "session-step-up-missing",
  R6: "sessions-too-many",
  R7: "session-extended-past-absolute",
  R8: "session-chain-hole",
};

export interface SessionFinding {
  readonly rule: SessionRule;
  /** docs/reference/errors.md. */
  readonly code: SessionFindingCode;
  /** The entry at which it shows. */
  readonly index: number;
  /** The session's tag, 32 hex digits; absent where it is of no one session. */
  readonly session?: string;
  readonly message: string;
}

/** What is no breach, and worth a look. */
export interface SessionNote {
  readonly code:
    | "activity-unreported"
    | "detected-late"
    | "end-overdue"
    | "logged-late"
    | "near-the-end"
    | "policy-unknown"
    | "reported-twice";
  readonly index: number;
  readonly session: string;
  readonly message: string;
}

/** A session as it was at the time that was asked for. */
export interface ReplayedSession {
  /** The session's tag, 32 hex digits. */
  readonly session: string;
  /** Index of its `session.start`. */
  readonly start: number;
  readonly deadlineAt: number;
  /** As far as the log knows it: tokens and places are none of its business, and `id` is the one in events. */
  readonly state: SessionState;
}

export interface SessionReplayReport {
  /** The first thousand, by index. */
  readonly findings: readonly SessionFinding[];
  readonly findingsTotal: number;
  /** The first thousand, by index. */
  readonly notes: readonly SessionNote[];
  readonly notesTotal: number;
  readonly counts: {
    /** Sessions whose start was replayed; `ended` of them have an end. */
    readonly sessions: number;
    readonly ended: number;
    /** Entries of their chains, and other events that bear one of these sessions. */
    readonly entries: number;
    readonly events: number;
    /** Entries of sessions that could not be read, being erased or withheld: nothing is said of their sessions. */
    readonly unreadable: number;
    /** Sessions that only other events name: no limits of theirs are in the log. */
    readonly unmanaged: number;
    /** Entries that came when more sessions were open, or had been, than a replay keeps: nothing is said of them. */
    readonly unjudged: number;
  };
}

/** Findings and notes that are kept; the rest is counted. */
const KEPT_MAX = 1000;

/** Collects what a replay finds. */
export class ReplayFindings {
  readonly #findings: SessionFinding[] = [];
  readonly #notes: SessionNote[] = [];
  findingsTotal = 0;
  notesTotal = 0;

  find(rule: SessionRule, index: number, session: string | undefined, message: string): void {
    this.findingsTotal += 1;
    if (this.#findings.length >= KEPT_MAX) return;
    const found = { rule, code: SESSION_RULES[rule], index, message };
    this.#findings.push(session === undefined ? found : { ...found, session });
  }

  note(code: SessionNote["code"], index: number, session: string, message: string): void {
    this.notesTotal += 1;
    if (this.#notes.length < KEPT_MAX) this.#notes.push({ code, index, session, message });
  }

  get findings(): SessionFinding[] {
    return this.#findings.toSorted((one, other) => one.index - other.index);
  }

  get notes(): SessionNote[] {
    return this.#notes.toSorted((one, other) => one.index - other.index);
  }
}
