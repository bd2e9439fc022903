/** Destructions, holds and class-days as values of the API: days and times in words, and never whose they are. */
import type { ClassDay, ClassDayScope, Destruction, Hold } from "@tallystick/log";

const DAY_MS = 86_400_000;

/** `undefined` is left out where the value becomes JSON. */
export function describeDestruction({ scope, kept, ...destruction }: Destruction): unknown {
  return {
    ...destruction,
    scope: scope === undefined ? undefined : describeScope(scope),
    kept: kept?.map(([retentionClass, count]) => ({ class: retentionClass, count })),
  };
}

export function describeScope({ day, ...scope }: ClassDayScope): unknown {
  return { ...scope, day: dateOf(day * DAY_MS) };
}

export function describeClassDay({
  class: name,
  day,
  first,
  last,
  count,
  atLeastDays,
  dueAt,
  held,
}: ClassDay): unknown {
  const dueOn = dueAt === undefined ? undefined : dateOf(dueAt);
  return { class: name, day: dateOf(day * DAY_MS), first, last, count, atLeastDays, dueOn, held };
}

export function describeHold({ from, to, setAt, liftedAt, ...hold }: Hold): unknown {
  return { ...hold, from: timeOf(from), to: timeOf(to), setAt: timeOf(setAt), liftedAt: timeOf(liftedAt) };
}

function dateOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}

function timeOf(ms: number | undefined): string | undefined {
  return ms === undefined ? undefined : new Date(ms).toISOString();
}
