/** What a line of a file becomes when it is imported: always one event, whether the line could be read or not. */
import type { EventInput, TallyEvent } from "../event.ts";
import { type LinePosition, importedEventId } from "../event-id.ts";
import { parseEvent } from "../parse-event.ts";

/** The type of the events that hold what could not be read. */
export const UNREADABLE_TYPE = "import.unreadable";

export interface ImportedLine {
  readonly event: TallyEvent;
  /** Why the line could not be read, where the event is an `import.unreadable`. */
  readonly unreadable?: string;
}

/** Characters of a line that an event keeps. The line's number leads to the rest. */
const RAW_CHARS_MAX = 8192;
const REASON_CHARS_MAX = 512;

/** The event of a line that was read. Its id follows from its time and the line. */
export function readableLine(fields: Omit<EventInput, "id" | "time">, time: number, at: LinePosition): ImportedLine {
  return { event: parseEvent({ ...fields, id: importedEventId(time, at), time }) };
}

export interface Unreadable {
  readonly time: number;
  readonly reason: string;
  /** What to keep of the line; `undefined` where it may hold secrets. */
  readonly raw: string | undefined;
}

/** The event that keeps a line that could not be read. */
export function unreadableLine({ time, reason, raw }: Unreadable, at: LinePosition): ImportedLine {
  const short = lineOfText(reason, REASON_CHARS_MAX);
  const event = parseEvent({
    id: importedEventId(time, at),
    time,
    type: UNREADABLE_TYPE,
    outcome: "unknown",
    reason: short,
    context: { ...originOf(at), ...(raw !== undefined && { raw: cutText(raw, RAW_CHARS_MAX) }) },
  });
  return { event, unreadable: short };
}

/** Where an event came from, for its context. */
export function originOf({ source, lineNumber }: LinePosition): { readonly file: string; readonly line: number } {
  return { file: cutText(source, 1024), line: lineNumber };
}

/** Well-formed text of bounded length. */
export function cutText(text: string, charsMax: number): string {
  return text.length <= charsMax ? text.toWellFormed() : `${text.slice(0, charsMax - 1).toWellFormed()}…`;
}

/** The same on one line, so that an id or a reason can hold it: what could move a cursor is written as an escape. */
export function lineOfText(text: string, charsMax: number): string {
  const escaped = text
    .toWellFormed()
    .replaceAll(/[\p{Cc}\u2028\u2029]/gu, (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`);
  return cutText(escaped, charsMax);
}
