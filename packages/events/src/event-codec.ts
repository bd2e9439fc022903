/**
 * An event's permanent bytes: canonical CBOR of its fields, ids as byte strings. docs/reference/formats.md, "Event".
 *
 * `id` has 16 bytes, `session.id` and `amends` 32; `time` is in milliseconds; what is not there has no key.
 */
import { decodeHex, encodeHex, invariant } from "@tallystick/core";
import { type CborMap, type CborValue, EVENT_BYTES_MAX, decodeCbor, encodeCbor } from "./cbor.ts";
import { encodeAllWith, encodeWith } from "./cbor-writer.ts";
import { Defects, type Path, describe } from "./defects.ts";
import { EventError } from "./error.ts";
import { type TallyEvent, isHashedSessionId } from "./event.ts";
import { readEventView } from "./event-reader.ts";
import { writeEvent } from "./event-writer.ts";
import { formatUuid, parseUuid } from "./event-id.ts";
import { readFitEvent } from "./fit-event.ts";
import { readShape } from "./parse-event.ts";

/**
 * Encodes an event that was read. The bytes are what is committed to, so this happens once in an event's life.
 *
 * @throws {EventError} `event-invalid`: a session id that was not hashed, or more than 32 KiB.
 */
export function encodeEvent(event: TallyEvent): Uint8Array {
  const bytes = encodeWith(writeEvent, event) ?? encodeGenerally(event);
  if (bytes.length > EVENT_BYTES_MAX) {
    refuse([], { expected: `at most ${EVENT_BYTES_MAX} bytes when encoded`, got: `${bytes.length}` });
  }
  return bytes;
}

/**
 * {@link encodeEvent} of each, sooner than one by one: views of few copies.
 *
 * @throws {EventError} `event-invalid`, with the event's place in `details.entry`.
 */
export function encodeEvents(events: readonly TallyEvent[]): Uint8Array[] {
  const encoded = encodeAllWith(writeEvent, events);
  if (encoded?.every(({ length }) => length <= EVENT_BYTES_MAX)) return encoded;
  return events.map((event, entry) => {
    try {
      return encodeEvent(event);
    } catch (error) {
      if (!(error instanceof EventError)) throw error;
      throw error.ofEntry(entry);
    }
  });
}

/** Whatever the event holds, beyond what its type says too: tells what cannot be encoded. */
export function encodeGenerally(event: TallyEvent): Uint8Array {
  const { id, session, amends, ...rest } = event;
  return encodeCbor({
    ...withoutUndefined(rest),
    id: parseUuid(id),
    ...(session === undefined ? undefined : { session: { id: sessionBytes(session.id) } }),
    ...(amends === undefined ? undefined : { amends: decodeHex(amends) }),
  });
}

function sessionBytes(id: string): Uint8Array {
  if (isHashedSessionId(id)) return decodeHex(id);
  return refuse(["session", "id"], { expected: "64 hex digits: the keyed hash of a session id", got: describe(id) });
}

function refuse(path: Path, defect: { expected: string; got: string }): never {
  const defects = new Defects();
  defects.add(path, defect);
  defects.throwIfAny();
  throw new Error("internal error: a defect was added");
}

/** CBOR has no `undefined`. What parseEvent() read holds nothing else that CBOR has not; context has none already. */
function withoutUndefined(fields: object): CborMap {
  const map: Record<string, CborValue> = {};
  for (const [key, value] of Object.entries(fields) as [string, unknown][]) {
    if (value !== undefined) map[key] = key === "context" ? (value as CborMap) : toCbor(value);
  }
  return map;
}

function toCbor(value: unknown): CborValue {
  if (Array.isArray(value)) return value.map(toCbor);
  return typeof value === "object" && value !== null ? withoutUndefined(value) : (value as CborValue);
}

/**
 * Decodes an event's permanent bytes: what encodeEvent() gave, and nothing else.
 *
 * The catalogue has no say here, as it may grow: what is logged stays readable. For what is being reported,
 * assertReportable() asks it.
 *
 * @throws {EventError} `cbor-malformed`: not canonical CBOR, deeper than 8 or above 32 KiB.
 * @throws {EventError} `event-invalid`: not the shape of an event.
 */
export function decodeEvent(bytes: Uint8Array): TallyEvent {
  return readFitBytes(bytes) ?? decodeGenerally(bytes);
}

function readFitBytes(bytes: Uint8Array): TallyEvent | undefined {
  const view = bytes.length <= EVENT_BYTES_MAX ? readEventView(bytes) : undefined;
  return view === undefined ? undefined : readFitEvent(view, { refuseSecrets: false });
}

/** Whatever the bytes hold: tells what is wrong with them. */
export function decodeGenerally(bytes: Uint8Array): TallyEvent {
  const value = decodeCbor(bytes, { bytesMax: EVENT_BYTES_MAX });
  const defects = new Defects();
  if (!isMap(value)) return refuse([], { expected: "a map", got: describe(value) });
  const event = readShape(viewOf(value, defects), defects, { refuseSecrets: false });
  defects.throwIfAny();
  invariant(event !== undefined, "an event without defects has a shape");
  return event;
}

/** The event as JSON has it, where JSON is looser or writes bytes in text. Each event has one encoding. */
function viewOf(map: CborMap, defects: Defects): Readonly<Record<string, unknown>> {
  const { session } = map;
  if (typeof map["time"] !== "number") addKind(defects, ["time"], "an integer: milliseconds since 1970", map["time"]);
  if (map["outcome"] === undefined) addKind(defects, ["outcome"], "an outcome", undefined);
  if ("tenant" in map && typeof map["tenant"] !== "string") addKind(defects, ["tenant"], "text", map["tenant"]);
  return {
    ...map,
    id: textOf(map["id"], { path: ["id"], size: 16, format: formatUuid, defects }),
    ...(isMap(session) && {
      session: {
        ...session,
        id: textOf(session["id"], { path: ["session", "id"], size: 32, format: encodeHex, defects }),
      },
    }),
    ...("amends" in map && {
      amends: textOf(map["amends"], { path: ["amends"], size: 32, format: encodeHex, defects }),
    }),
  };
}

interface ByteField {
  readonly path: Path;
  readonly size: number;
  readonly format: (bytes: Uint8Array) => string;
  readonly defects: Defects;
}

function textOf(value: CborValue | undefined, { path, size, format, defects }: ByteField): string | undefined {
  if (value instanceof Uint8Array && value.length === size) return format(value);
  addKind(defects, path, `${size} bytes`, value);
  return undefined;
}

function addKind(defects: Defects, path: Path, expected: string, value: unknown): void {
  defects.add(path, { expected, got: describe(value) });
}

function isMap(value: CborValue | undefined): value is CborMap {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array);
}
