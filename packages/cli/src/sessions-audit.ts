/** Sessions in an audit: each entry goes on to the replay, and what that finds is put into words. */
import type { AuditedEntry } from "@tallystick/client";
import { quote } from "@tallystick/core";
import {
  type ReplayedSession,
  type SessionFinding,
  SessionReplay,
  type SessionReplayReport,
} from "@tallystick/sessions/replay";
import { UsageError } from "./command.ts";
import { describeTime, wordOf } from "./words.ts";

const FINDINGS_SHOWN = 20;
const NOTES_SHOWN = 5;
const SESSIONS_SHOWN = 20;
/** Sessions in JSON, the first by index; the others are counted. */
const SESSIONS_KEPT = 10_000;

/** 2000: no log has sessions from before, and what is below it is a number of seconds. */
const MOMENT_MIN = 946_684_800_000;

/**
 * A moment: RFC 3339, or ms since 1970.
 *
 * @throws {UsageError} It is neither, or is before 2000.
 */
export function momentOf(text: string): number {
  const isTime = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)$/.test(text);
  const at = /^\d{1,15}$/.test(text) ? Number(text) : isTime ? Date.parse(text) : Number.NaN;
  if (!Number.isSafeInteger(at))
    throw new UsageError(`--at: expected a time such as 2026-01-31T09:00:00Z, or ms since 1970, got ${quote(text)}`);
  if (at >= MOMENT_MIN) return at;
  const hint = isTime || at * 1000 < MOMENT_MIN ? "" : `: if these are seconds, ${at * 1000} is meant`;
  throw new UsageError(`--at: expected a time since 2000, got ${quote(text)}, which is in ${yearOf(at)}${hint}`);
}

function yearOf(at: number): number {
  return new Date(at).getUTCFullYear();
}

export class SessionsAudit {
  readonly #at: number | undefined;
  readonly #replay: SessionReplay;
  readonly #open: ReplayedSession[] = [];
  #openTotal = 0;
  #endedBefore = 0;
  #report: SessionReplayReport | undefined;

  /** @param at - The time at which to show sessions, if at all. */
  constructor(at: number | undefined) {
    this.#at = at;
    this.#replay = new SessionReplay({ at, onSession: (session) => this.#keep(session) });
  }

  follow(entry: AuditedEntry): void {
    this.#replay.follow(entry);
  }

  finish(): SessionReplayReport {
    this.#report ??= this.#replay.finish();
    return this.#report;
  }

  /** In JSON. */
  value(): object {
    const at = this.#at;
    const report = this.finish();
    if (at === undefined) return report;
    const open = this.#open.toSorted((one, other) => one.start - other.start);
    return { ...report, at: { time: at, open, openTotal: this.#openTotal, endedBefore: this.#endedBefore } };
  }

  lines(): string[] {
    const { findings, findingsTotal, notes, notesTotal } = this.finish();
    return [
      `  sessions ${describeCounts(this.finish())}`,
      ...findings.slice(0, FINDINGS_SHOWN).map((found) => `  index ${found.index}: ${describeFinding(found)}`),
      ...more(findingsTotal - FINDINGS_SHOWN, "more findings"),
      ...notes
        .slice(0, NOTES_SHOWN)
        .map(
          ({ index, session, message, code }) =>
            `  note     index ${index}, session ${short(session)}: ${message} (${code})`,
        ),
      ...more(notesTotal - NOTES_SHOWN, "more notes"),
      ...this.#openLines(),
      "  not seen: requests that were never reported, and whether what was reported is true",
    ];
  }

  #openLines(): string[] {
    if (this.#at === undefined) return [];
    const shown = this.#open.toSorted((one, other) => one.start - other.start).slice(0, SESSIONS_SHOWN);
    return [
      `  open     ${this.#openTotal} at ${describeTime(this.#at)} (UTC), ${this.#endedBefore} had ended`,
      ...shown.map(describeOpen),
      ...more(this.#openTotal - SESSIONS_SHOWN, "more open sessions"),
    ];
  }

  #keep(session: ReplayedSession): void {
    if (session.state.ended !== null) {
      this.#endedBefore += 1;
      return;
    }
    this.#openTotal += 1;
    if (this.#open.length < SESSIONS_KEPT) this.#open.push(session);
  }
}

function describeCounts({ counts }: SessionReplayReport): string {
  const { sessions, ended, entries, events, unreadable, unmanaged, unjudged } = counts;
  const parts = [`${sessions} replayed, ${ended} of them ended, by ${entries} entries; ${events} other events`];
  if (unreadable > 0) parts.push(`${unreadable} entries cannot be read: nothing is said of their sessions`);
  if (unmanaged > 0) parts.push(`${unmanaged} without limits in the log`);
  if (unjudged > 0) parts.push(`${unjudged} entries beyond what can be followed: nothing is said of them`);
  return parts.join("; ");
}

function describeFinding({ rule, session, message, code }: SessionFinding): string {
  return `${rule} ${session === undefined ? "" : `session ${short(session)}: `}${message} (${code})`;
}

function describeOpen({ session, start, deadlineAt, state }: ReplayedSession): string {
  const { user, classes, lastActivityAt } = state;
  const since = `since ${describeTime(state.startedAt)} (index ${start}), active ${describeTime(lastActivityAt)}`;
  return `  session  ${short(session)} of ${wordOf(user)}, ${classes.map(wordOf).join(" + ")}: ${since}, until ${describeDeadline(deadlineAt)}`;
}

/** Limits are what the application wrote. */
function describeDeadline(at: number): string {
  return at > 8.64e15 ? "the end of time" : describeTime(at);
}

function short(session: string): string {
  return `${session.slice(0, 8)}…`;
}

function more(count: number, what: string): string[] {
  return count > 0 ? [`  and ${count} ${what}; --json lists them`] : [];
}
