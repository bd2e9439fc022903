/** Ids of events: UUIDs of version 7, which begin with the time and so sort by it. RFC 9562 §5.7. */
import { concatBytes, sha256, utf8 } from "@tallystick/core";
import { formatUuidBytes, uuidBytes } from "./hex.ts";

const UUID_BYTES = 16;
const TIME_MAX = 2 ** 48 - 1;

/**
 * Makes an id from a time and random bytes, of which it keeps 74 bits.
 *
 * @param nowMs - Milliseconds since 1970, from 0 to 2^48 - 1.
 * @param random - 16 fresh random bytes.
 * @throws {RangeError} an argument is out of range.
 * @example
 * newEventId(Date.now(), crypto.getRandomValues(new Uint8Array(16)));
 */
export function newEventId(nowMs: number, random: Uint8Array): string {
  if (!Number.isSafeInteger(nowMs) || nowMs < 0 || nowMs > TIME_MAX) {
    throw new RangeError(`nowMs: expected milliseconds from 0 to 2^48 - 1, got ${nowMs}`);
  }
  if (random.length !== UUID_BYTES) throw new RangeError(`random: expected 16 bytes, got ${random.length}`);
  const bytes = Uint8Array.from(random);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, Math.floor(nowMs / 2 ** 32));
  view.setUint32(2, nowMs % 2 ** 32);
  view.setUint8(6, 0x70 + (view.getUint8(6) % 16));
  view.setUint8(8, 0x80 + (view.getUint8(8) % 64));
  return formatUuid(bytes);
}

/** Where a line that is imported stands. */
export interface LinePosition {
  /** What the line is from, such as a file's name: the same each time it is imported. */
  readonly source: string;
  /** Counted from 1. */
  readonly lineNumber: number;
  readonly line: string;
}

/**
 * The id of the event that a line is imported as: the same for the same time, source, number and line, so that to
 * import a file again adds nothing. It has the form of version 7, with a hash for the random bits.
 */
export function importedEventId(timeMs: number, { source, lineNumber, line }: LinePosition): string {
  const parts = ["tallystick/import/v1", source, String(lineNumber), line].map((part) => utf8(part.toWellFormed()));
  const zero = Uint8Array.of(0);
  const hash = sha256(concatBytes(...parts.flatMap((part, i) => (i === 0 ? [part] : [zero, part]))));
  return newEventId(timeMs, hash.subarray(0, UUID_BYTES));
}

/** The bytes of a UUID in lower case. @throws {RangeError} `text` is none. */
export function parseUuid(text: string): Uint8Array {
  const bytes = uuidBytes(text);
  if (bytes === undefined) throw new RangeError("id: expected a UUID in lower case");
  return bytes;
}

/** A UUID's text in lower case. @throws {RangeError} not 16 bytes. */
export function formatUuid(bytes: Uint8Array): string {
  if (bytes.length !== UUID_BYTES) throw new RangeError(`id: expected 16 bytes, got ${bytes.length}`);
  return formatUuidBytes(bytes);
}
