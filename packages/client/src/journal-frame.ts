/** The bytes of one frame of a journal. docs/decisions/0020-outbox-journal.md */
import { concatBytes, equalBytes, readU32, sha256, u32, utf8 } from "@tallystick/core";

/** "TSJ1" */
const MAGIC = 0x54_53_4a_31;
export const HEADER_BYTES = 16;
export const TRAILER_BYTES = 16;
/** Before each record in a frame: its length. */
export const RECORD_HEADER_BYTES = 4;
/** One frame is read whole at open: larger ones are not written, but for a single larger record. */
export const FRAME_BYTES_MAX: number = 8 * 1024 * 1024;

/** A frame that begins at `offset` of its file, and where in the file each record's bytes come to lie. */
export function encodeFrame(
  records: readonly Uint8Array[],
  offset: number,
): { readonly frame: Uint8Array; readonly offsets: readonly number[] } {
  const length = records.reduce((sum, bytes) => sum + RECORD_HEADER_BYTES + bytes.length, 0);
  const frame = new Uint8Array(HEADER_BYTES + length + TRAILER_BYTES);
  const offsets: number[] = [];
  frame.set(encodeHeader(length, offset));
  let at = HEADER_BYTES;
  for (const bytes of records) {
    frame.set(u32(bytes.length), at);
    frame.set(bytes, at + RECORD_HEADER_BYTES);
    offsets.push(offset + at + RECORD_HEADER_BYTES);
    at += RECORD_HEADER_BYTES + bytes.length;
  }
  frame.set(digest(frame.subarray(HEADER_BYTES, at)), at);
  return { frame, offsets };
}

/** The payload's length, from a header that is whole and belongs at this offset. */
export function decodeHeader(header: Uint8Array, offset: number): number | undefined {
  const length = readU32(header, 4);
  if (length > 2 * FRAME_BYTES_MAX) return undefined;
  return equalBytes(header, encodeHeader(length, offset)) ? length : undefined;
}

/** The records of a frame, from what follows its header; `undefined` where it is not what was written. */
export function decodeBody(body: Uint8Array): { readonly bytes: Uint8Array; readonly at: number }[] | undefined {
  const payload = body.subarray(0, body.length - TRAILER_BYTES);
  if (!equalBytes(body.subarray(payload.length), digest(payload))) return undefined;
  const records: { bytes: Uint8Array; at: number }[] = [];
  for (let at = 0; at < payload.length;) {
    const start = at + RECORD_HEADER_BYTES;
    const end = start + readU32(payload, at);
    records.push({ bytes: payload.subarray(start, end), at: start });
    at = end;
  }
  return records;
}

/** Offsets, within these bytes, at which a header may begin. */
export function* possibleHeaders(bytes: Uint8Array): Generator<number> {
  const magic = u32(MAGIC);
  for (let at = bytes.indexOf(magic[0] ?? 0); at !== -1; at = bytes.indexOf(magic[0] ?? 0, at + 1)) {
    if (at + HEADER_BYTES <= bytes.length && equalBytes(bytes.subarray(at, at + magic.length), magic)) yield at;
  }
}

function encodeHeader(length: number, offset: number): Uint8Array {
  const fields = concatBytes(u32(MAGIC), u32(length));
  return concatBytes(fields, sha256(concatBytes(fields, utf8(String(offset)))).subarray(0, 8));
}

function digest(payload: Uint8Array): Uint8Array {
  return sha256(payload).subarray(0, TRAILER_BYTES);
}
