/** Class-days as `GET v1/retention` tells them, and as `retention show --json` prints them. */
import { decodeUtf8 } from "@tallystick/core";
import { parseJson } from "@tallystick/events";
import type { ClassDay } from "@tallystick/log";
import { naming } from "./bounded-file.ts";
import { indexOf, malformed, objectOf, textOf } from "./log-answer.ts";

const DAY_MS = 86_400_000;

export interface ClassDaysTold {
  readonly classDays: readonly ClassDay[];
  /** Whether the log has more of them. */
  readonly more: boolean;
}

/** @throws {TallystickError} `log-answer-malformed`, `json-malformed`, with `place` before its words. */
export function parseClassDays(place: string, bytes: Uint8Array): ClassDaysTold {
  return naming(place, () => {
    const { classDays, more } = objectOf(parseJson(decodeUtf8(bytes)), "class-days");
    if (!Array.isArray(classDays)) throw malformed("classDays: expected an array");
    return { classDays: classDays.map(classDayOf), more: more === true };
  });
}

function classDayOf(value: unknown, at: number): ClassDay {
  const place = `class-day ${at}`;
  const { class: name, day, first, last, count, atLeastDays, dueOn, held } = objectOf(value, place);
  return {
    class: textOf(name, `${place}: class`),
    day: dayOf(day, `${place}: day`),
    first: indexOf(first, `${place}: first`),
    last: indexOf(last, `${place}: last`),
    count: indexOf(count, `${place}: count`),
    atLeastDays: promiseOf(atLeastDays, `${place}: atLeastDays`),
    dueAt: dueOn === undefined ? undefined : dayOf(dueOn, `${place}: dueOn`) * DAY_MS,
    held: held === true,
  };
}

/** As many days as rules can promise. */
const PROMISE_DAYS_MAX = 36_500;

function promiseOf(value: unknown, place: string): number {
  const days = value === undefined ? 0 : indexOf(value, place);
  if (days > PROMISE_DAYS_MAX) throw malformed(`${place}: expected at most ${PROMISE_DAYS_MAX} days`);
  return days;
}

function dayOf(value: unknown, place: string): number {
  const day = parseDay(textOf(value, place));
  if (day === undefined) throw malformed(`${place}: expected a day, such as 2027-01-01`);
  return day;
}

/** Days since 1970; `undefined` where the text is no day of the calendar. */
export function parseDay(text: string): number | undefined {
  const ms = /^\d{4}-\d{2}-\d{2}$/.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(ms) || formatDay(ms) !== text ? undefined : ms / DAY_MS;
}

/** The day of a time, in UTC. */
export function formatDay(timeMs: number): string {
  return new Date(timeMs).toISOString().replace(/T.*/, "");
}
