/** What can be reported in one request, and how it is read: JSON, lines of JSON, CBOR, or a signed batch. */
import { TallystickError, decodeUtf8 } from "@tallystick/core";
import { BATCH_MEDIA_TYPE, EventError, type TallyEvent, decodeCbor, parseEvent, parseJson } from "@tallystick/events";
import { ServerError } from "./error.ts";
import type { ServerRequest } from "./http/request.ts";

/** A thousand events of 4 KiB, or 128 of the largest. */
export const BODY_BYTES_MAX = 4_194_304;
export const EVENTS_MAX = 1000;
/** An event nests to 8; the array around it is one more. */
const CBOR_DEPTH = 9;
/** As many as fit into the body of a thousand events with many fields. */
const CBOR_ITEMS_MAX = 500_000;

export type Submitted =
  | { readonly kind: "batch"; readonly batch: Uint8Array }
  | { readonly kind: "events"; readonly single: boolean; readonly events: readonly TallyEvent[] };

export type EventMediaType =
  | "application/json"
  | "application/x-ndjson"
  | "application/cbor"
  | "application/vnd.tallystick.batch+cbor";

export const EVENT_MEDIA_TYPES: readonly EventMediaType[] = [
  "application/json",
  "application/x-ndjson",
  "application/cbor",
  BATCH_MEDIA_TYPE,
];

/** @throws {ServerError} `media-type-unsupported` */
export function mediaTypeOf<Type extends EventMediaType>(request: ServerRequest, types: readonly Type[]): Type {
  const text = request.header("content-type") ?? "";
  const known = types.find((each) => each === text) ?? parseMediaType(text, types);
  if (known === undefined) {
    const got = JSON.stringify(text.slice(0, 80));
    throw new ServerError("media-type-unsupported", `expected one of ${types.join(", ")}, got ${got}`);
  }
  const encoding = request.header("content-encoding")?.trim().toLowerCase() ?? "identity";
  if (encoding !== "identity")
    throw new ServerError("media-type-unsupported", "expected a body without Content-Encoding");
  return known;
}

function parseMediaType<Type extends EventMediaType>(text: string, types: readonly Type[]): Type | undefined {
  const mediaType = text.split(";", 1)[0]?.trim().toLowerCase();
  return types.find((each) => each === mediaType);
}

/**
 * Reads a request's events. All or none: one that is not valid, and nothing of the request is taken.
 *
 * @throws {ServerError} `request-malformed`, `body-too-large` (too many events)
 * @throws {EventError} `json-malformed`, `cbor-malformed`; `event-invalid`: every defect with `{entry, path, message}`.
 */
export function readSubmission(body: Uint8Array, mediaType: EventMediaType): Submitted {
  if (mediaType === BATCH_MEDIA_TYPE) return { kind: "batch", batch: body };
  const value = readValue(body, mediaType);
  const single = !Array.isArray(value);
  const values: readonly unknown[] = Array.isArray(value) ? value : [value];
  if (values.length === 0) throw new ServerError("request-malformed", "expected at least one event, got none");
  if (values.length > EVENTS_MAX)
    throw new ServerError("body-too-large", `expected at most ${EVENTS_MAX} events, got ${values.length}`);
  return { kind: "events", single, events: parseAll(values) };
}

function readValue(body: Uint8Array, mediaType: Exclude<EventMediaType, typeof BATCH_MEDIA_TYPE>): unknown {
  if (mediaType === "application/json") return parseJson(textOf(body));
  if (mediaType === "application/x-ndjson") return parseLines(textOf(body));
  return decodeCbor(body, { bytesMax: BODY_BYTES_MAX, depthMax: CBOR_DEPTH, itemsMax: CBOR_ITEMS_MAX });
}

/** @throws {ServerError} `request-malformed` */
export function textOf(body: Uint8Array): string {
  try {
    return decodeUtf8(body);
  } catch (cause) {
    if (!(cause instanceof TallystickError)) throw cause;
    throw new ServerError("request-malformed", "the body is not UTF-8", { cause });
  }
}

/** Blank lines are nothing; a line that does not parse is named by its number. */
function parseLines(text: string): unknown[] {
  const values: unknown[] = [];
  for (const [at, line] of text.split("\n").entries()) {
    if (line.trim() === "") continue;
    // Not read to the end only to be refused.
    if (values.length > EVENTS_MAX) break;
    values.push(parseLine(line, at + 1));
  }
  return values;
}

function parseLine(text: string, line: number): unknown {
  try {
    return parseJson(text);
  } catch (error) {
    if (!(error instanceof EventError)) throw error;
    const { column } = error.details;
    throw new EventError(error.code, `line ${line}: ${error.message}`, { details: { line, column }, cause: error });
  }
}

interface EntryDefect {
  readonly entry: number;
  readonly path: string;
  readonly message: string;
}

/** Defects in one answer: enough to see a pattern. */
const DEFECTS_MAX = 100;

function parseAll(values: readonly unknown[]): TallyEvent[] {
  const events: TallyEvent[] = [];
  const defects: EntryDefect[] = [];
  for (const [entry, value] of values.entries()) {
    try {
      events.push(parseEvent(value));
    } catch (error) {
      if (!(error instanceof EventError)) throw error;
      defects.push(...defectsOf(error, entry));
      if (defects.length >= DEFECTS_MAX) break;
    }
  }
  if (defects.length === 0) return events;
  const [first] = defects;
  const count = `${defects.length} defect${defects.length === 1 ? "" : "s"}`;
  const where = first?.path === "" ? "" : `${first?.path}: `;
  throw new EventError("event-invalid", `${count}; the first: entry ${first?.entry}: ${where}${first?.message}`, {
    details: { defects: defects.slice(0, DEFECTS_MAX) },
  });
}

function defectsOf(error: EventError, entry: number): EntryDefect[] {
  const { defects } = error.details;
  if (!Array.isArray(defects)) return [{ entry, path: "", message: error.message }];
  return defects.map((defect: { readonly path: string; readonly message: string }) => ({ entry, ...defect }));
}
