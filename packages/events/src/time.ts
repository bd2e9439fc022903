/** Times in text: RFC 3339 to milliseconds since 1970 and back. */

const SHAPE = /^(\d{4})-(\d{2})-(\d{2})[Tt](\d{2}):(\d{2}):(\d{2})(?:\.(\d{1,9}))?(?:[Zz]|([+-])(\d{2}):(\d{2}))$/;

const MINUTE_MS = 60_000;

/**
 * Reads an RFC 3339 time. Digits beyond milliseconds are cut off.
 *
 * Returns `undefined` for what is no time: another form, February 30, 24:00, and leap seconds, which milliseconds
 * since 1970 cannot tell from the second after.
 */
export function parseTime(text: string): number | undefined {
  const match = SHAPE.exec(text);
  if (match === null) return undefined;
  const [, year, month, day, hour, minute, second, fraction = "", sign, offsetHour, offsetMinute] = match;
  const [h, m, s] = [Number(hour), Number(minute), Number(second)];
  if (h > 23 || m > 59 || s > 59) return undefined;
  const midnight = midnightOf(Number(year), Number(month), Number(day));
  if (midnight === undefined) return undefined;
  const offset = sign === undefined ? 0 : offsetOf(Number(offsetHour), Number(offsetMinute));
  if (offset === undefined) return undefined;
  const local = midnight + ((h * 60 + m) * 60 + s) * 1000 + Number(fraction.padEnd(3, "0").slice(0, 3));
  return local - (sign === "-" ? -offset : offset);
}

/** Milliseconds at the start of a day in UTC; `undefined` where the calendar has no such day. */
export function midnightOf(year: number, month: number, day: number): number | undefined {
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  return date.getUTCMonth() === month - 1 && date.getUTCDate() === day ? date.getTime() : undefined;
}

function offsetOf(hours: number, minutes: number): number | undefined {
  return hours > 23 || minutes > 59 ? undefined : (hours * 60 + minutes) * MINUTE_MS;
}

/** RFC 3339 in UTC with three digits of milliseconds. */
export function formatTime(timeMs: number): string {
  return new Date(timeMs).toISOString();
}
