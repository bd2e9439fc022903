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
    kept.push({ ...span, isJudged: false });
    kept.sort((one, other) => one.startedAt - other.startedAt || one.index - other.index);
    this.#users.set(user, kept);
    this.#idle.delete(user);
    this.#judge(kept);
  }

  ended(user: string, session: string, endedAt: number): void {
    const spans = this.#users.get(user) ?? [];
    const span = spans.find((each) => each.session === session);
    if (span === undefined) return;
    span.endedAt = endedAt;
    this.#judge(spans);
    if (spans.every((each) => each.endedAt !== undefined && each.isJudged)) this.#retire(user);
  }

  #retire(user: string): void {
    this.#idle.add(user);
    const [oldest] = this.#idle;
    if (this.#idle.size <= USERS_KEPT || oldest === undefined) return;
    this.#idle.delete(oldest);
    this.#users.delete(oldest);
  }

  /** Judges every start of which it is clear which others were open. */
  #judge(spans: readonly Span[]): void {
    for (const [at, span] of spans.entries()) {
      if (span.isJudged) continue;
      const max = this.#policies.sessionsMax(span.startedAt);
      const others = spans.slice(0, at).filter(({ endedAt = Infinity }) => endedAt > span.startedAt);
      const sure = others.filter(({ endedAt }) => endedAt !== undefined);
      if (others.length < max) span.isJudged = true;
      else if (sure.length >= max) this.#tooMany(span, sure.length, max);
    }
  }

  /** Call once, when every session that has no end was given the time at which it would end. */
  finish(): void {
    for (const spans of this.#users.values()) this.#judge(spans);
  }

  #tooMany(span: Span, others: number, max: number): void {
    span.isJudged = true;
    const text = `it began while its user had ${others} others, and ${max} are allowed at once`;
    this.#findings.find("R6", span.index, span.session, text);
  }
}
