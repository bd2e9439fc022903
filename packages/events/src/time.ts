/** Times in text: RFC 3339 to milliseconds since 1970 and back. */

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;
/** After that the calendar repeats. */
const CYCLE_YEARS = 400;
const CYCLE_MS = 146_097 * DAY_MS;
const DAYS_OF_MONTHS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] as const;
const FRACTION_DIGITS_MAX = 9;

/**
 * Reads an RFC 3339 time. Digits beyond milliseconds are cut off.
 *
 * Returns `undefined` for what is no time: another form, February 30, 24:00, and leap seconds, which milliseconds
 * since 1970 cannot tell from the second after.
 */
export function parseTime(text: string): number | undefined {
  // 2026-01-31T09:14:09.131Z
  if (!isOneOf(text, 4, "--") || !isOneOf(text, 7, "--") || !isOneOf(text, 10, "Tt")) return undefined;
  if (!isOneOf(text, 13, "::") || !isOneOf(text, 16, "::")) return undefined;
  const midnight = midnightOf(numberAt(text, 0, 4), numberAt(text, 5, 7), numberAt(text, 8, 10));
  const hour = numberAt(text, 11, 13);
  const minute = numberAt(text, 14, 16);
  const second = numberAt(text, 17, 19);
  const zone = isOneOf(text, 19, "..") ? endOfDigits(text, 20) : 19;
  const offset = offsetAt(text, zone);
  // What is not a number is below nothing.
  const isTime = hour < 24 && minute < 60 && second < 60 && isFraction(zone - 20);
  if (midnight === undefined || offset === undefined || !isTime) return undefined;
  return midnight + ((hour * 60 + minute) * 60 + second) * 1000 + millisecondsAt(text, 20, zone) - offset;
}

/** Milliseconds at the start of a day in UTC; `undefined` where the calendar has no such day. */
export function midnightOf(year: number, month: number, day: number): number | undefined {
  const isLeapDay = month === 2 && day === 29 && year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
  const days = DAYS_OF_MONTHS[month - 1] ?? 0;
  if (!(day >= 1 && day <= days) && !isLeapDay) return undefined;
  // Date.UTC() takes the years below 100 for those of the twentieth century.
  const midnight = Date.UTC(year + CYCLE_YEARS, month - 1, day) - CYCLE_MS;
  return Number.isNaN(midnight) ? undefined : midnight;
}

/** RFC 3339 in UTC with three digits of milliseconds. */
export function formatTime(timeMs: number): string {
  return new Date(timeMs).toISOString();
}

/** The offset of the zone that stands at the end, in milliseconds. */
function offsetAt(text: string, at: number): number | undefined {
  if (isOneOf(text, at, "Zz")) return text.length === at + 1 ? 0 : undefined;
  const isOffset = isOneOf(text, at, "+-") && isOneOf(text, at + 3, "::") && text.length === at + 6;
  const hours = numberAt(text, at + 1, at + 3);
  const minutes = numberAt(text, at + 4, at + 6);
  if (!isOffset || !(hours < 24 && minutes < 60)) return undefined;
  return (text[at] === "-" ? -1 : 1) * (hours * 60 + minutes) * MINUTE_MS;
}

/** Whether a character of `text` is one of two. */
function isOneOf(text: string, at: number, pair: string): boolean {
  const unit = text.charCodeAt(at);
  return unit === pair.charCodeAt(0) || unit === pair.charCodeAt(1);
}

/** @param digits - -1 where there is not even a point. */
function isFraction(digits: number): boolean {
  return digits !== 0 && digits <= FRACTION_DIGITS_MAX;
}

/** A number of decimal digits; NaN where another character stands among them, or the text ends. */
function numberAt(text: string, from: number, to: number): number {
  let value = 0;
  for (let at = from; at < to; at += 1) value = value * 10 + digitAt(text, at);
  return value;
}

/** The first three digits of a fraction; those that are not there are zero. */
function millisecondsAt(text: string, from: number, to: number): number {
  let value = 0;
  for (let at = from; at < from + 3; at += 1) value = value * 10 + (at < to ? digitAt(text, at) : 0);
  return value;
}

function endOfDigits(text: string, from: number): number {
  let at = from;
  while (!Number.isNaN(digitAt(text, at))) at += 1;
  return at;
}

function digitAt(text: string, at: number): number {
  const digit = text.charCodeAt(at) - 0x30;
  return digit >= 0 && digit <= 9 ? digit : Number.NaN;
}
