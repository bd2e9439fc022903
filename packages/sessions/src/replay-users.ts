/** How many sessions a user had at once. Ends may be logged after the starts that they made room for. */
import type { ReplayPolicies } from "./replay-policies.ts";
import type { ReplayFindings } from "./replay-report.ts";

interface Span {
  readonly session: string;
  /** Of its start. */
  readonly index: number;
  readonly startedAt: number;
  /** Not there while nothing says that it ended. */
  endedAt?: number;
  isJudged: boolean;
}

/** Users of whom no session is open, the latest: the start of one of theirs may still be on its way to the log. */
const USERS_KEPT = 10_000;
const ENDED_KEPT_MS = 86_400_000;
/** Sessions that are kept of a user, the latest: twice as many as a document can allow at once. */
const SPANS_MAX = 2000;
/** Starts that are judged anew when a session of the user ends; the others are at the end of the log. */
const JUDGED_MAX = 64;

/** Memory: the open sessions, those that ended while another one of the same user was open, and a bounded list of users. */
export class ReplayUsers {
  readonly #policies: ReplayPolicies;
  readonly #findings: ReplayFindings;
  readonly #users = new Map<string, Span[]>();
  /** Users all of whose sessions have ended, the earliest first. */
  readonly #idle = new Set<string>();

  constructor(policies: ReplayPolicies, findings: ReplayFindings) {
    this.#policies = policies;
    this.#findings = findings;
  }

  started(user: string, span: Pick<Span, "session" | "index" | "startedAt">): void {
    const spans = this.#users.get(user) ?? [];
    const kept = spans.filter(
      ({ endedAt = Infinity, isJudged }) => !isJudged || endedAt > span.startedAt - ENDED_KEPT_MS,
    );
    const added = { ...span, isJudged: false };
    kept.push(added);
    if (kept.length > SPANS_MAX) kept.shift();
    kept.sort((one, other) => one.startedAt - other.startedAt || one.index - other.index);
    this.#users.set(user, kept);
    this.#idle.delete(user);
    this.#judge(kept, [added]);
  }

  ended(user: string, session: string, endedAt: number): void {
    const spans = this.#users.get(user) ?? [];
    const span = spans.find((each) => each.session === session);
    if (span === undefined) return;
    span.endedAt = endedAt;
    this.#judge(spans, spans.filter(({ isJudged }) => !isJudged).slice(0, JUDGED_MAX));
    if (spans.every((each) => each.endedAt !== undefined && each.isJudged)) this.#retire(user);
  }

  #retire(user: string): void {
    this.#idle.add(user);
    const [oldest] = this.#idle;
    if (this.#idle.size <= USERS_KEPT || oldest === undefined) return;
    this.#idle.delete(oldest);
    this.#users.delete(oldest);
  }

  /** Judges each start of which it is clear which others were open. */
  #judge(spans: readonly Span[], starts: readonly Span[]): void {
    for (const span of starts) {
      const max = this.#policies.sessionsMax(span.startedAt);
      const others = spans.slice(0, spans.indexOf(span)).filter(({ endedAt = Infinity }) => endedAt > span.startedAt);
      const sure = others.filter(({ endedAt }) => endedAt !== undefined);
      if (others.length < max) span.isJudged = true;
      else if (sure.length >= max) this.#tooMany(span, sure.length, max);
    }
  }

  /** Call once, when every session that has no end was given the time at which it would end. */
  finish(): void {
    for (const spans of this.#users.values()) {
      this.#judge(
        spans,
        spans.filter(({ isJudged }) => !isJudged),
      );
    }
  }

  #tooMany(span: Span, others: number, max: number): void {
    span.isJudged = true;
    const text = `it began while its user had ${others} others, and ${max} are allowed at once`;
    this.#findings.find("R6", span.index, span.session, text);
  }
}
