/**
 * Reading a journal back, and telling a torn last frame from a damaged one.
 *
 * A frame that a crash tore was never acknowledged: it is cut off. A frame that was synced and has changed since holds
 * events that were promised: it is refused. A torn one ends early, or lacks whole sectors, which read as zeros; and
 * nothing follows it, since no frame is begun before the one before it is synced.
 */
import type { FileHandle } from "node:fs/promises";
import { ClientError } from "./error.ts";
import {
  FRAME_BYTES_MAX,
  HEADER_BYTES,
  TRAILER_BYTES,
  decodeBody,
  decodeHeader,
  possibleHeaders,
} from "./journal-frame.ts";

/** What a disk writes whole or not at all. */
const SECTOR_BYTES = 512;

interface Place {
  readonly file: FileHandle;
  readonly path: string;
  readonly offset: number;
  /** Bytes from `offset` to the end of the file. */
  readonly rest: number;
}

/**
 * Reports every record of every whole frame, with the offset of its bytes; returns where the next frame belongs.
 *
 * @throws {ClientError} `outbox-corrupt`: a frame is damaged.
 */
export async function replayFrames(
  { file, path }: { readonly file: FileHandle; readonly path: string },
  onRecord: (bytes: Uint8Array, offset: number) => void,
): Promise<number> {
  const { size } = await file.stat();
  let offset = 0;
  while (offset < size) {
    const body = await readBody({ file, path, offset, rest: size - offset });
    if (body === undefined) return offset;
    const start = offset + HEADER_BYTES;
    for (const { bytes, at } of body.records) onRecord(bytes, start + at);
    offset = start + body.length;
  }
  return offset;
}

interface Body {
  readonly records: readonly { bytes: Uint8Array; at: number }[];
  readonly length: number;
}

/** What follows a frame's header; `undefined` where the frame is the torn last one. */
async function readBody(place: Place): Promise<Body | undefined> {
  const { offset, rest } = place;
  if (rest < HEADER_BYTES) return undefined;
  const payloadLength = decodeHeader(await readAt(place, HEADER_BYTES), offset);
  if (payloadLength === undefined) return refuseUnlessTorn(place);
  const length = payloadLength + TRAILER_BYTES;
  if (HEADER_BYTES + length > rest) return undefined;
  const frame = await readAt(place, HEADER_BYTES + length);
  const records = decodeBody(frame.subarray(HEADER_BYTES));
  if (records !== undefined) return { records, length };
  return HEADER_BYTES + length === rest && lacksSector(frame, offset) ? undefined : refuse(place);
}

/** A frame without a header that holds: torn if it lacks a sector and nothing that was written later follows it. */
async function refuseUnlessTorn(place: Place): Promise<undefined> {
  if (place.rest > 2 * FRAME_BYTES_MAX + HEADER_BYTES + TRAILER_BYTES) refuse(place);
  const bytes = await readAt(place, place.rest);
  const followed = [...possibleHeaders(bytes)].some(
    (at) => decodeHeader(bytes.slice(at, at + HEADER_BYTES), place.offset + at) !== undefined,
  );
  if (followed || !lacksSector(bytes, place.offset)) refuse(place);
}

/** Whether what lies in one of the file's sectors is all zeros. */
function lacksSector(bytes: Uint8Array, offset: number): boolean {
  for (let start = 0; start < bytes.length;) {
    const end = start + SECTOR_BYTES - ((offset + start) % SECTOR_BYTES);
    if (bytes.subarray(start, end).every((byte) => byte === 0)) return true;
    start = end;
  }
  return false;
}

async function readAt({ file, offset }: Place, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  for (let read = 0; read < length;) {
    const { bytesRead } = await file.read(bytes, read, length - read, offset + read);
    if (bytesRead === 0) break;
    read += bytesRead;
  }
  return bytes;
}

function refuse({ path, offset }: Place): never {
  const text = `${path}: the frame at byte ${offset} is damaged; keep the file, restore it or move its folder away to begin a new stream`;
  throw new ClientError("outbox-corrupt", text, { details: { path, offset } });
}
