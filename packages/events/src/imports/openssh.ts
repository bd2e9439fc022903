/** The auth log of an OpenSSH server as events, one for each line. */
import type { EventInput } from "../event.ts";
import { isIpAddress } from "../event-schema.ts";
import type { LinePosition } from "../event-id.ts";
import { type ImportedLine, cutText, lineOfText, originOf, readableLine, unreadableLine } from "./imported-line.ts";
import { type Meaning, readOpenSshMessage } from "./openssh-messages.ts";
import { SyslogClock, type SyslogLine, parseSyslogLine } from "./syslog.ts";

export interface OpenSshImportOptions {
  /** What the lines are from, such as a file's name: the same each time, as ids are made of it. */
  readonly source: string;
  /** The year of the first line, which syslog leaves out: as known, or from inferFirstYear(). */
  readonly year: number;
  /** What the server's local time is ahead of UTC. Default 0. */
  readonly utcOffsetMinutes?: number;
}

/**
 * Makes a function that maps the lines of a log to events, called with each line once, in order and from the first.
 *
 * Every line that is not blank gives an event; what no rule knows gives an `import.unreadable` that keeps the line. The
 * same options and lines give the same events with the same ids, so that to import a file again adds nothing. A
 * line's end, `\n` or `\r\n`, may be there or not.
 *
 * @throws {RangeError} an option is out of range.
 * @example
 * const next = createOpenSshImport({ source: "auth.log", year: 2025 });
 * for (const line of text.split("\n")) {
 *   const imported = next(line);
 *   if (imported !== undefined) report(imported.event);
 * }
 */
export function createOpenSshImport(options: OpenSshImportOptions): (line: string) => ImportedLine | undefined {
  assertOptions(options);
  const clock = new SyslogClock(options);
  let lineNumber = 0;
  let lastTime = Date.UTC(options.year, 0, 1);
  return (text) => {
    lineNumber += 1;
    const line = text.replace(/\r?\n?$/, "");
    if (line.trim() === "") return undefined;
    const at: LinePosition = { source: options.source, lineNumber, line };
    const syslog = parseSyslogLine(line);
    const time = syslog && clock.timeOf(syslog.time);
    if (syslog === undefined || time === undefined) return keep(at, lastTime, "not a line of syslog");
    lastTime = time;
    return mapLine(syslog, time, at);
  };
}

const YEAR_MIN = 1991;
const YEAR_MAX = 9998;
const OFFSET_MAX = 14 * 60;

function assertOptions({ year, utcOffsetMinutes = 0 }: OpenSshImportOptions): void {
  if (!Number.isInteger(year) || year < YEAR_MIN || year > YEAR_MAX) {
    throw new RangeError(`year: expected a year from ${YEAR_MIN} to ${YEAR_MAX}, got ${year}`);
  }
  if (!Number.isInteger(utcOffsetMinutes) || Math.abs(utcOffsetMinutes) > OFFSET_MAX) {
    throw new RangeError(`utcOffsetMinutes: expected minutes from -840 to 840, got ${utcOffsetMinutes}`);
  }
}

function keep(at: LinePosition, time: number, reason: string): ImportedLine {
  return unreadableLine({ time, reason, raw: at.line }, at);
}

/** The names that the server's program has had; newer versions split it. */
const PROGRAMS: ReadonlySet<string> = new Set(["sshd", "sshd-session", "sshd-auth"]);

function mapLine(syslog: SyslogLine, time: number, at: LinePosition): ImportedLine {
  if (!PROGRAMS.has(syslog.process)) return keep(at, time, "not a line of sshd");
  const meaning = readOpenSshMessage(syslog.message);
  if (meaning === undefined) return keep(at, time, "no rule for this message of sshd");
  return readableLine(fieldsOf(meaning, syslog, at), time, at);
}

function fieldsOf(meaning: Meaning, syslog: SyslogLine, at: LinePosition): Omit<EventInput, "id" | "time"> {
  const { type, outcome, method, peer, reason } = meaning;
  const byAddress = peer !== undefined && isIpAddress(peer);
  return {
    type,
    outcome,
    ...partiesOf(meaning),
    ...(byAddress && { source: { ip: peer } }),
    ...(method !== undefined && { auth: { method } }),
    ...(reason !== undefined && { reason: lineOfText(reason, 512) }),
    context: {
      ...originOf(at),
      host: syslog.host,
      process: syslog.process,
      ...(syslog.pid !== undefined && { pid: syslog.pid }),
      ...boundedContext(meaning.context),
      ...(peer !== undefined && !byAddress && { peer: cutText(peer, 256) }),
      message: cutText(syslog.message, 8192),
    },
  };
}

function boundedContext(context: Meaning["context"]): Record<string, string | number> {
  return Object.fromEntries(
    Object.entries(context).map(([name, value]) => [name, typeof value === "string" ? cutText(value, 1024) : value]),
  );
}

/** A name that nobody proved is an actor without a key; the account that it names, if there is one, is the subject. */
function partiesOf({ user, peer }: Meaning): Pick<EventInput, "actor" | "subject"> {
  if (user === undefined) return peer === undefined ? {} : { actor: { type: "anonymous", id: lineOfText(peer, 256) } };
  const id = lineOfText(user.name, 256);
  if (user.standing === "proved") return { actor: { type: "user", id } };
  const actor = { type: "unverified", id };
  return user.standing === "account" ? { actor, subject: { type: "user", id } } : { actor };
}
