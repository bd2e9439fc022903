/** JSON lines, an event each, as events. */
import type { EventInput, TallyEvent } from "../event.ts";
import { isHashedSessionId } from "../event.ts";
import { EventError } from "../error.ts";
import { type LinePosition, importedEventId } from "../event-id.ts";
import { isPlainObject } from "../context.ts";
import { type JsonValue, parseJson } from "../json.ts";
import { TIME_MAX_MS, TIME_MIN_MS } from "../event-schema.ts";
import { parseEvent } from "../parse-event.ts";
import { isSecretName } from "../secrets.ts";
import { parseTime } from "../time.ts";
import { type ImportedLine, unreadableLine } from "./imported-line.ts";

export interface JsonLinesImportOptions {
  /** What the lines are from, such as a file's name: the same each time, as ids are made of it. */
  readonly source: string;
  /** The time of what cannot be read before any event was: milliseconds since 1970, such as the file's. */
  readonly fallbackTimeMs: number;
}

/**
 * Makes a function that maps lines of JSON to events, called with each line once, in order and from the first.
 *
 * An event without `id` gets one that follows from its time and the line, so that to import a file again adds
 * nothing. A line that is no valid event gives an `import.unreadable` that says why and keeps the line, but for what
 * stands under names of secrets. Session ids that are not 64 hex digits come back as they are: see normaliseSession().
 *
 * @throws {RangeError} `fallbackTimeMs` is out of range.
 */
export function createJsonLinesImport(options: JsonLinesImportOptions): (line: string) => ImportedLine | undefined {
  const { fallbackTimeMs } = options;
  if (!(fallbackTimeMs >= TIME_MIN_MS && fallbackTimeMs <= TIME_MAX_MS)) {
    throw new RangeError(`fallbackTimeMs: expected milliseconds from 1990 to 9999, got ${fallbackTimeMs}`);
  }
  let lineNumber = 0;
  let lastTime = Math.floor(fallbackTimeMs);
  return (text) => {
    lineNumber += 1;
    const line = text.replace(/\r?\n?$/, "");
    if (line.trim() === "") return undefined;
    const at: LinePosition = { source: options.source, lineNumber, line };
    const imported = mapLine(at, lastTime);
    lastTime = imported.event.time;
    return imported;
  };
}

function mapLine(at: LinePosition, fallbackTime: number): ImportedLine {
  let json: JsonValue | undefined;
  try {
    json = parseJson(at.line);
    return { event: readEvent(json, at) };
  } catch (error) {
    if (!(error instanceof EventError)) throw error;
    const raw = json === undefined ? rawText(at.line) : JSON.stringify(redact(json));
    return unreadableLine({ time: fallbackTime, reason: error.message, raw }, at);
  }
}

function readEvent(json: JsonValue, at: LinePosition): TallyEvent {
  if (!isPlainObject(json) || json["id"] !== undefined) return parseEvent(json);
  const { time } = json as Partial<EventInput>;
  const timeMs = typeof time === "string" ? parseTime(time) : time;
  // Without a valid time there is no id either; parseEvent() tells of the time.
  const id = isTime(timeMs) ? importedEventId(timeMs, at) : importedEventId(0, at);
  return parseEvent({ ...json, id });
}

function isTime(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) < 2 ** 48;
}

const REMOVED = "[removed]";

/** A copy without what a log must not hold: text under names of secrets, and a raw session id. */
function redact(value: JsonValue, name = ""): JsonValue {
  if (typeof value === "string") return isSecret(name, value) ? REMOVED : value;
  if (Array.isArray(value)) return value.map((member) => redact(member, name));
  if (typeof value !== "object" || value === null) return value;
  const inner = (key: string): string => (name === "session" && key === "id" ? "sessionId" : key);
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [key, redact(member, inner(key))]));
}

function isSecret(name: string, value: string): boolean {
  return isSecretName(name) ? !isHashedSessionId(value) : name === "session";
}

/** Text that is not JSON cannot be redacted: it is kept only if no name in it is that of a secret. */
function rawText(line: string): string | undefined {
  const names = [...line.matchAll(/"([^"\\]{1,40})"\s*:/g)].map(([, name = ""]) => name);
  return names.some((name) => name === "session" || isSecretName(name)) ? undefined : line;
}
