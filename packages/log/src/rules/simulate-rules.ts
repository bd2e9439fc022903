/** What would go, and when, if rules held: asked before they do. */
import type { ClassDay } from "../disposition/api.ts";
import { DAY_MS } from "../disposition/day.ts";
import { FOR_EVER, type Rules, ruleOf } from "./rules.ts";

/**
 * - `due`: its time is over, and the next run destroys it.
 * - `held`: its time is over, and a legal hold keeps what it covers.
 * - `later`: its time is not over.
 * - `for-ever`: it is kept as long as the log.
 */
export type Fate = "due" | "held" | "later" | "for-ever";

/** A class-day, and what the simulated rules would do with it. */
export interface SimulatedClassDay extends ClassDay {
  /** By the simulated rules; `undefined` where it is kept for ever. */
  readonly dueAt: number | undefined;
  /** By the rules that hold now. */
  readonly dueAtNow: number | undefined;
  readonly fate: Fate;
  /** Whether the rules would let it go earlier, and what was promised when it was logged keeps it. */
  readonly promiseBinds: boolean;
}

/** Class-days, and the entries in them. */
export interface Amount {
  readonly classDays: number;
  readonly entries: number;
}

export interface SimulatedClass {
  readonly class: string;
  readonly all: Amount;
  readonly due: Amount;
  /** Those of `due` that the rules of now would keep: what applying the rules destroys. */
  readonly dueOnlyByThese: Amount;
  readonly held: Amount;
  readonly within30Days: Amount;
  readonly promiseBinds: Amount;
  /** When the first is due that is not due yet, in ms since 1970; `undefined` where none will be. */
  readonly nextAt: number | undefined;
}

export interface Simulation {
  readonly now: number;
  /** What is due first comes first; what is kept for ever last. */
  readonly classDays: readonly SimulatedClassDay[];
  /** In the order of their names. */
  readonly classes: readonly SimulatedClass[];
}

export interface SimulateRulesInput {
  readonly rules: Pick<Rules, "classes" | "other">;
  /** As the log has them, or as `GET v1/retention` tells. */
  readonly classDays: Iterable<ClassDay>;
  /** In ms since 1970. */
  readonly now: number;
}

/** Says what rules would do with class-days that are there. Changes nothing. */
export function simulateRules({ rules, classDays, now }: SimulateRulesInput): Simulation {
  const simulated = [...classDays].map((classDay) => simulate(classDay, { rules, now })).toSorted(byDueTime);
  const groups = Map.groupBy(simulated, (classDay) => classDay.class);
  const classes = [...groups].map(([name, members]) => summarise(name, members, now));
  return { now, classDays: simulated, classes: classes.toSorted((a, b) => (a.class < b.class ? -1 : 1)) };
}

/**
 * When a class-day's contents are destroyed, in ms since 1970: after whole days, so that nothing of it goes early;
 * `undefined` where they are kept for ever.
 */
export function classDayDueAt(
  rules: Pick<Rules, "classes" | "other">,
  { class: retentionClass, day, atLeastDays }: Pick<ClassDay, "class" | "day" | "atLeastDays">,
): number | undefined {
  const { keepDays } = ruleOf(rules, retentionClass);
  return keepDays === FOR_EVER ? undefined : (day + 1 + Math.max(keepDays, atLeastDays)) * DAY_MS;
}

function simulate(classDay: ClassDay, { rules, now }: Pick<SimulateRulesInput, "rules" | "now">): SimulatedClassDay {
  const { keepDays } = ruleOf(rules, classDay.class);
  const dueAt = classDayDueAt(rules, classDay);
  const promiseBinds = keepDays !== FOR_EVER && keepDays < classDay.atLeastDays;
  return { ...classDay, dueAt, dueAtNow: classDay.dueAt, fate: fateOf(dueAt, classDay.held, now), promiseBinds };
}

function fateOf(dueAt: number | undefined, held: boolean, now: number): Fate {
  if (dueAt === undefined) return "for-ever";
  if (dueAt > now) return "later";
  return held ? "held" : "due";
}

function byDueTime(a: SimulatedClassDay, b: SimulatedClassDay): number {
  return (a.dueAt ?? Infinity) === (b.dueAt ?? Infinity)
    ? a.first - b.first
    : (a.dueAt ?? Infinity) - (b.dueAt ?? Infinity);
}

const SOON_DAYS = 30;

function summarise(name: string, members: readonly SimulatedClassDay[], now: number): SimulatedClass {
  const amountOf = (fits: (member: SimulatedClassDay) => boolean): Amount => {
    const fitting = members.filter(fits);
    return { classDays: fitting.length, entries: fitting.reduce((sum, { count }) => sum + count, 0) };
  };
  const soon = now + SOON_DAYS * DAY_MS;
  return {
    class: name,
    all: amountOf(() => true),
    due: amountOf(({ fate }) => fate === "due"),
    dueOnlyByThese: amountOf(({ fate, dueAtNow }) => fate === "due" && (dueAtNow === undefined || dueAtNow > now)),
    held: amountOf(({ fate }) => fate === "held"),
    within30Days: amountOf(({ fate, dueAt }) => fate === "later" && dueAt !== undefined && dueAt <= soon),
    promiseBinds: amountOf(({ promiseBinds }) => promiseBinds),
    nextAt: members.find(({ fate }) => fate === "later")?.dueAt,
  };
}
