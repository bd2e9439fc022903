/** Durations as options have them: "30m", "8h", "30d". */

/** A whole number and its unit: ms, s, m, h or d. */
export type Duration = `${number}${"ms" | "s" | "m" | "h" | "d"}`;

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
/** Ten years. A longer one is a slip of units. */
const DURATION_MS_MAX = 3650 * 86_400_000;

/**
 * Milliseconds of a duration.
 *
 * @throws {TypeError} `text` is no duration. @throws {RangeError} It is 0, or more than 3650 days.
 */
export function parseDuration(name: string, text: string): number {
  const [, digits = "", unit = ""] = /^([1-9][0-9]{0,14}|0)(ms|s|m|h|d)$/.exec(text) ?? [];
  const factor = UNITS[unit];
  if (factor === undefined) throw new TypeError(`${name}: expected a duration such as "30m", got ${quoted(text)}`);
  const ms = Number(digits) * factor;
  if (ms >= 1 && ms <= DURATION_MS_MAX) return ms;
  throw new RangeError(`${name}: expected a duration from 1ms to 3650d, got ${quoted(text)}`);
}

function quoted(value: unknown): string {
  return JSON.stringify(value) ?? String(value);
}
