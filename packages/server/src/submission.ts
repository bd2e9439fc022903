/** What can be reported in one request, and how it is read: JSON, lines of JSON, CBOR, or a signed batch. */
import { TallystickError, decodeUtf8 } from "@tallystick/core";
import { BATCH_MEDIA_TYPE, EventError, type TallyEvent, decodeCbor, parseEvent, parseJson } from "@tallystick/events";
import { ServerError } from "./error.ts";

export const BODY_BYTES_MAX = 4_194_304;
export const EVENTS_MAX = 1000;
/** An event nests to 8; the array around it is one more. */
const CBOR_DEPTH = 9;

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

/**
 * Reads a request's events. All or none: one that is not valid, and nothing of the request is taken.
 *
 * @throws {ServerError} `media-type-unsupported`, `request-malformed`
 * @throws {EventError} `json-malformed`, `cbor-malformed`; `event-invalid`: every defect with `{entry, path, message}`.
 */
export function readSubmission(body: Uint8Array, contentType: string | undefined): Submitted {
  const mediaType = (contentType ?? "").split(";", 1)[0]?.trim().toLowerCase();
  if (mediaType === BATCH_MEDIA_TYPE) return { kind: "batch", batch: body };
  const value = readValue(body, mediaType);
  const single = !Array.isArray(value);
  const values: readonly unknown[] = Array.isArray(value) ? value : [value];
  if (values.length === 0) throw new ServerError("request-malformed", "expected at least one event, got none");
  if (values.length > EVENTS_MAX)
    throw new ServerError("body-too-large", `expected at most ${EVENTS_MAX} events, got ${values.length}`);
  return { kind: "events", single, events: parseAll(values) };
}

function readValue(body: Uint8Array, mediaType: string | undefined): unknown {
  switch (mediaType) {
    case "application/json":
      return parseJson(textOf(body));
    case "application/x-ndjson":
      return textOf(body)
        .split("\n")
        .filter((line) => line.trim() !== "")
        .map((line) => parseJson(line));
    case "application/cbor":
      return decodeCbor(body, { bytesMax: BODY_BYTES_MAX, depthMax: CBOR_DEPTH });
    default:
      throw new ServerError(
        "media-type-unsupported",
        `expected one of ${EVENT_MEDIA_TYPES.join(", ")}, got ${JSON.stringify((mediaType ?? "").slice(0, 80))}`,
      );
  }
}

function textOf(body: Uint8Array): string {
  try {
    return decodeUtf8(body);
  } catch (cause) {
    if (!(cause instanceof TallystickError)) throw cause;
    throw new ServerError("request-malformed", "the body is not UTF-8", { cause });
  }
}

interface EntryDefect {
  readonly entry: number;
  readonly path: string;
  readonly message: string;
}

/** Lines of defects in one answer: enough to see a pattern. */
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
  const message = `${defects.length} defect${defects.length === 1 ? "" : "s"}; the first: entry ${first?.entry}: ${first?.path}: ${first?.message}`;
  throw new EventError("event-invalid", message, { details: { defects: defects.slice(0, DEFECTS_MAX) } });
}

/** The defects of one event, with its place in the request. */
export function defectsOf(error: EventError, entry: number): EntryDefect[] {
  const { defects } = error.details;
  if (!Array.isArray(defects)) return [{ entry, path: "", message: error.message }];
  return defects.map((defect: { readonly path: string; readonly message: string }) => ({
    entry,
    path: defect.path,
    message: defect.message,
  }));
}
