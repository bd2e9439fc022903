/** How long contents are kept, as rules write it: `90d`, `6y`, `for-ever`. */
import { FOR_EVER } from "./rules.ts";
import { type Shape, refined, text } from "./shape.ts";

/** A year is 365 days: what a law asks for in years is then at most a day per four years short; write days where it matters. */
export const YEAR_DAYS = 365;

const DAYS = "[1-9][0-9]{0,3}d";
const YEARS = "(?:[1-9][0-9]?|100)y";
const WORDS = "days (1d to 9999d) or years (1y to 100y, of 365 days)";

/** A number of days. */
export const days: Shape<number> = refined(
  text({ pattern: `^(?:${DAYS}|${YEARS})$`, expected: WORDS, meant: meantDuration }),
  daysOf,
);

/** A number of days, or for ever. */
export const daysOrForEver: Shape<number | typeof FOR_EVER> = refined(
  text({ pattern: `^(?:${DAYS}|${YEARS}|${FOR_EVER})$`, expected: `${WORDS} or ${FOR_EVER}`, meant: meantTime }),
  (given) => (given === FOR_EVER ? FOR_EVER : daysOf(given)),
);

function daysOf(given: string): number {
  const count = Number(given.slice(0, -1));
  return given.endsWith("y") ? count * YEAR_DAYS : count;
}

/** `90d`, or `6y` where it is whole years. */
export function formatDays(count: number | typeof FOR_EVER): string {
  if (count === FOR_EVER) return FOR_EVER;
  return count >= YEAR_DAYS && count % YEAR_DAYS === 0 ? `${count / YEAR_DAYS}y` : `${count}d`;
}

function meantTime(given: string): string | undefined {
  if (/^(?:for[ _-]?ever|always|never|indefinite(?:ly)?|infinite|unlimited)$/i.test(given)) return FOR_EVER;
  return meantDuration(given);
}

const UNITS: readonly (readonly [names: RegExp, form: (count: number) => string])[] = [
  [/^(?:|d|days?)$/i, (count) => `${count}d`],
  [/^(?:w|wks?|weeks?)$/i, (count) => `${count * 7}d`],
  // The longest that so many months can be: a duty to keep is met then.
  [/^(?:m|mo|mons?|months?)$/i, (count) => (count % 12 === 0 ? `${count / 12}y` : `${Math.ceil((count * 367) / 12)}d`)],
  [/^(?:y|yrs?|years?|a)$/i, (count) => `${count}y`],
];

/** Of `90`, `90 days`, `P90D`, `6 months`: how it is written here. */
function meantDuration(given: string): string | undefined {
  const [, number = "", unit = ""] = /^P?0*([1-9][0-9]{0,3})\s*([a-z]*)$/i.exec(given.trim()) ?? [];
  const form = UNITS.find(([names]) => names.test(unit))?.[1];
  return number === "" ? undefined : form?.(Number(number));
}
