/** What an application may do while its events cannot get to the log: the rules of `onOutage`. */
import { assertOptionNames, typeProblem } from "@tallystick/events";
import { reasonLine } from "./reason-line.ts";
import type { Report } from "./report.ts";
import { ClientError, type ClientErrorCode } from "./error.ts";

export type OutageVerdict = "allow" | "deny";

/** What becomes of events while the log cannot be reached, or the outbox takes nothing. */
export interface OutageRules {
  /** For types that neither list names; "allow" by default. */
  readonly default?: OutageVerdict | undefined;
  /** Types that must be durable in the log before the application goes on; `["access.export", "access.grant"]` by default. */
  readonly deny?: readonly string[] | undefined;
  /** Types that need not, where the default is "deny". */
  readonly allow?: readonly string[] | undefined;
}

export interface ResolvedOutageRules {
  readonly default: OutageVerdict;
  readonly deny: ReadonlySet<string>;
  readonly allow: ReadonlySet<string>;
}

const DENIED_BY_DEFAULT = ["access.export", "access.grant"];

const NAMES: Readonly<Record<keyof OutageRules, true>> = { default: true, deny: true, allow: true };

/** @throws {TypeError} A rule is not what it should be, or names a type that no event can have. */
export function resolveOutageRules(rules: OutageRules = {}): ResolvedOutageRules {
  assertOptionNames("onOutage", rules, NAMES);
  const { default: verdict = "allow", deny = DENIED_BY_DEFAULT, allow = [] } = rules;
  if (verdict !== "allow" && verdict !== "deny")
    throw new TypeError(`onOutage.default: expected allow or deny, got ${JSON.stringify(verdict)}`);
  assertTypes("onOutage.deny", deny);
  assertTypes("onOutage.allow", allow);
  const both = deny.find((type) => allow.includes(type));
  if (both !== undefined) throw new TypeError(`onOutage: ${both} is in deny and in allow`);
  return { default: verdict, deny: new Set(deny), allow: new Set(allow) };
}

/** A type that is misspelt here would not be held, unseen until the log is away. */
function assertTypes(name: string, types: readonly string[]): void {
  if (!Array.isArray(types)) throw new TypeError(`${name}: expected a list of types, got ${JSON.stringify(types)}`);
  for (const type of types) {
    const problem = typeof type === "string" ? typeProblem(type) : {};
    if (problem === undefined) continue;
    const meant = problem.suggestion === undefined ? "" : `: did you mean ${problem.suggestion}?`;
    throw new TypeError(`${name}: expected types of events, got ${JSON.stringify(type)}${meant}`);
  }
}

/** Whether an event of this type must be durable in the log before what it tells of is done. */
export function isHeld(type: string, rules: ResolvedOutageRules): boolean {
  if (rules.deny.has(type)) return true;
  return rules.default === "deny" && !rules.allow.has(type);
}

/** Whether a report tells of something that may be done only once the log has it: what failed or was denied was not done. */
export function holds(rules: ResolvedOutageRules, { type, outcome }: Pick<Report, "type" | "outcome">): boolean {
  return outcome !== "failure" && outcome !== "denied" && isHeld(type, rules);
}

const OUTAGES: ReadonlySet<ClientErrorCode> = new Set<ClientErrorCode>([
  "audit-unavailable",
  "log-answer-malformed",
  "log-forked",
  "log-misbehaved",
  "outbox-corrupt",
  "outbox-full",
  "outbox-locked",
  "outbox-outdated",
]);

/** Whether an error says that the event did not get where it should, and not that something is wrong with it. */
export function isOutage(error: unknown): error is ClientError {
  return error instanceof ClientError && OUTAGES.has(error.code);
}

/** The reason in TALLYSTICK_BREAK_GLASS on one line, or `undefined` where the glass is whole. */
export function breakGlassReason(text: string | undefined): string | undefined {
  return text === undefined ? undefined : reasonLine(text);
}
