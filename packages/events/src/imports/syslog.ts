/** The head of a syslog line, in the traditional form without a year (RFC 3164) and with RFC 3339 times. */
import { midnightOf, parseTime } from "../time.ts";

/** Month from 1. */
export interface Stamp {
  readonly month: number;
  readonly day: number;
  readonly secondOfDay: number;
}

export interface SyslogLine {
  /** Milliseconds since 1970, or the local time of an unnamed year. */
  readonly time: number | Stamp;
  readonly host: string;
  readonly process: string;
  readonly pid: number | undefined;
  readonly message: string;
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const LINE =
  /^(?:<\d{1,3}>)?(?:(?<month>[A-Z][a-z]{2}) {1,2}(?<day>\d{1,2}) (?<hour>\d{2}):(?<minute>\d{2}):(?<second>\d{2})|(?<time>\d{4}-\S{1,40})) (?<host>\S{1,256}) (?<process>[^\s:[\]]{1,64})(?:\[(?<pid>\d{1,10})\])?: ?(?<message>.*)$/s;

/** Takes a line apart; `undefined` where it is none of syslog's. */
export function parseSyslogLine(line: string): SyslogLine | undefined {
  const parts = LINE.exec(line)?.groups;
  if (parts === undefined) return undefined;
  const { host = "", process = "", pid, message = "" } = parts;
  const time = parts["time"] === undefined ? readStamp(parts) : parseTime(parts["time"]);
  if (time === undefined) return undefined;
  return { time, host, process, pid: pid === undefined ? undefined : Number(pid), message };
}

function readStamp(parts: Readonly<Record<string, string | undefined>>): Stamp | undefined {
  const month = MONTHS.indexOf(parts["month"] ?? "") + 1;
  const [day, hour, minute, second] = ["day", "hour", "minute", "second"].map((part) => Number(parts[part]));
  if (day === undefined || hour === undefined || minute === undefined || second === undefined) return undefined;
  // 2000 had a February 29. A leap second is the last second of its minute here.
  if (month === 0 || midnightOf(2000, month, day) === undefined || hour > 23 || minute > 59 || second > 60) {
    return undefined;
  }
  return { month, day, secondOfDay: (hour * 60 + minute) * 60 + Math.min(second, 59) };
}

const DAY_MS = 86_400_000;

export interface SyslogClockOptions {
  /** The year of the first line that has none. */
  readonly year: number;
  /** What local time is ahead of UTC. Default 0. */
  readonly utcOffsetMinutes?: number;
}

/**
 * Gives lines their year: that of the line before, or the next one where time would otherwise run back.
 *
 * Lines that are up to two days late do not make it a new year, not even across the turn of one.
 */
export class SyslogClock {
  readonly #firstYear: number;
  #previousMs: number | undefined;
  readonly #offsetMs: number;

  constructor({ year, utcOffsetMinutes = 0 }: SyslogClockOptions) {
    this.#firstYear = year;
    this.#offsetMs = utcOffsetMinutes * 60_000;
  }

  /** Milliseconds since 1970; `undefined` for February 29 in a year that has none. */
  timeOf(time: number | Stamp): number | undefined {
    const timeMs = typeof time === "number" ? time : this.#inItsYear(time);
    if (timeMs !== undefined) this.#previousMs = timeMs;
    return timeMs;
  }

  #inItsYear(stamp: Stamp): number | undefined {
    const previousMs = this.#previousMs;
    if (previousMs === undefined) return this.#inYear(stamp, this.#firstYear);
    const year = new Date(previousMs + this.#offsetMs).getUTCFullYear();
    for (const candidate of [year - 1, year, year + 1]) {
      const timeMs = this.#inYear(stamp, candidate);
      if (timeMs === undefined || timeMs < previousMs - 2 * DAY_MS) continue;
      return timeMs;
    }
    return undefined;
  }

  #inYear({ month, day, secondOfDay }: Stamp, year: number): number | undefined {
    const midnight = midnightOf(year, month, day);
    return midnight === undefined ? undefined : midnight + secondOfDay * 1000 - this.#offsetMs;
  }
}

/**
 * The year of the first of `lines`, such that the last of them is as late as can be, but not after `notAfterMs`, with
 * a day's grace for clocks and time zones.
 *
 * `notAfterMs` should be a time that does not change with the next import, such as the file's modification time:
 * another year would make other events of the same lines.
 */
export function inferFirstYear(
  lines: Iterable<string>,
  { notAfterMs, utcOffsetMinutes = 0 }: { readonly notAfterMs: number; readonly utcOffsetMinutes?: number },
): number {
  const days = lastStampsOfDays(lines);
  const latest = new Date(notAfterMs).getUTCFullYear() + 1;
  for (let year = latest; year > latest - 100; year -= 1) {
    const lastMs = lastTimeOf(days, new SyslogClock({ year, utcOffsetMinutes }));
    if (lastMs !== undefined && lastMs <= notAfterMs + DAY_MS) return year;
  }
  return latest - 1;
}

/** One stamp for each day that the lines come to, so that a long file takes little memory. */
function lastStampsOfDays(lines: Iterable<string>): Stamp[] {
  const days: Stamp[] = [];
  for (const line of lines) {
    const time = parseSyslogLine(line)?.time;
    if (typeof time !== "object") continue;
    const last = days.at(-1);
    if (last?.month === time.month && last.day === time.day) days.pop();
    days.push(time);
  }
  return days;
}

/** `undefined` where a day is in no year that it could be in: a February 29. */
function lastTimeOf(stamps: readonly Stamp[], clock: SyslogClock): number | undefined {
  let lastMs: number | undefined;
  for (const stamp of stamps) {
    lastMs = clock.timeOf(stamp);
    if (lastMs === undefined) return undefined;
  }
  return lastMs;
}
