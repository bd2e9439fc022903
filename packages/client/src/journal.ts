/**
 * An append-only file of small records with group sync: the ground under outbox and receipts.
 *
 * What is handed in while one sync runs is written as one frame by the next: header (16 bytes: magic, payload length,
 * 8 bytes of digest over both and the frame's offset), payload (each record with a u32 length before it), 16 bytes of
 * digest over the payload. A frame is only begun when the one before it is synced, so a crash can tear nothing but the
 * last frame; a torn one was never acknowledged and is cut off at the next open. Any other damage is refused.
 */
import { type FileHandle, open, rename } from "node:fs/promises";
import { dirname } from "node:path";
import { concatBytes, equalBytes, sha256 } from "@tallystick/core";
import { ClientError } from "./error.ts";

/** Where a record's bytes lie in the file. Valid until the next `rewrite`. */
export interface Position {
  readonly offset: number;
  readonly length: number;
}

export type OnRecord = (bytes: Uint8Array, position: Position) => void;

const MAGIC = 0x54_53_4a_31;
const HEADER_BYTES = 16;
const TRAILER_BYTES = 16;
/** One frame is read whole at open: larger ones are not written, so a larger length is damage. */
const FRAME_BYTES_MAX = 8 * 1024 * 1024;

interface Waiting {
  readonly bytes: Uint8Array;
  readonly resolve: (position: Position) => void;
  readonly reject: (error: unknown) => void;
}

/** One owner; every method may be called while others are under way. */
export class Journal {
  readonly #path: string;
  #file: FileHandle;
  #end: number;
  #waiting: Waiting[] = [];
  #writing: Promise<void> | undefined;
  #failure: ClientError | undefined;

  private constructor(path: string, file: FileHandle, end: number) {
    this.#path = path;
    this.#file = file;
    this.#end = end;
  }

  /**
   * Opens a journal, makes it where there is none, and reports every record in it, oldest first.
   *
   * @throws {ClientError} `outbox-corrupt`: a frame that was synced is damaged; the file is left as it is.
   */
  static async open(path: string, onRecord: OnRecord): Promise<Journal> {
    const file = await open(path, "a+", 0o600).then(async (created) => {
      await created.close();
      return await open(path, "r+");
    });
    try {
      const end = await replay(file, path, onRecord);
      await file.truncate(end);
      await file.sync();
      await syncFolder(dirname(path));
      return new Journal(path, file, end);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** Bytes in the file. */
  get bytes(): number {
    return this.#end;
  }

  /** Bytes handed in that are not in the file yet. */
  get waitingBytes(): number {
    return this.#waiting.reduce((sum, { bytes }) => sum + bytes.length + 4, 0);
  }

  /**
   * Appends one record; resolves when it is synced.
   *
   * @throws {ClientError} `audit-unavailable`: it could not be written (disk full, input/output error). The journal takes
   *   nothing more until it is opened again.
   */
  async append(bytes: Uint8Array): Promise<Position> {
    if (this.#failure !== undefined) throw this.#failure;
    const done = new Promise<Position>((resolve, reject) => this.#waiting.push({ bytes, resolve, reject }));
    this.#writing ??= this.#drain();
    return await done;
  }

  /** Reads back the bytes of one record. */
  async read({ offset, length }: Position): Promise<Uint8Array> {
    const bytes = new Uint8Array(length);
    const { bytesRead } = await this.#file.read(bytes, 0, length, offset);
    if (bytesRead === length) return bytes;
    throw new ClientError("outbox-corrupt", `${this.#path}: ends at byte ${offset + bytesRead}, within a record`);
  }

  /**
   * Replaces the whole file by these records, atomically, and reports where they now lie. Nothing may be appended
   * meanwhile.
   */
  async rewrite(records: AsyncIterable<Uint8Array>, onRecord: OnRecord): Promise<void> {
    await this.#writing;
    const path = `${this.#path}.new`;
    const file = await open(path, "w+", 0o600);
    let end = 0;
    for await (const bytes of records) {
      const { frame, positions } = encodeFrame([bytes], end);
      await file.write(frame, 0, frame.length, end);
      for (const position of positions) onRecord(bytes, position);
      end += frame.length;
    }
    await file.sync();
    await rename(path, this.#path);
    await syncFolder(dirname(this.#path));
    await this.#file.close();
    this.#file = file;
    this.#end = end;
  }

  /** Waits for what is under way and closes the file. */
  async close(): Promise<void> {
    await this.#writing;
    this.#failure ??= new ClientError("client-closed", "the outbox is closed");
    await this.#file.close();
  }

  async #drain(): Promise<void> {
    // Yield once, so that everything recorded in this turn of the event loop shares the sync.
    await Promise.resolve();
    while (this.#waiting.length > 0 && this.#failure === undefined) {
      const taken = this.#take();
      try {
        const positions = await this.#writeFrame(taken.map(({ bytes }) => bytes));
        for (const [at, position] of positions.entries()) taken[at]?.resolve(position);
      } catch (cause) {
        const text = `${this.#path}: could not be written: ${cause instanceof Error ? cause.message : String(cause)}`;
        this.#failure = new ClientError("audit-unavailable", text, { cause });
        for (const { reject } of [...taken, ...this.#waiting.splice(0)]) reject(this.#failure);
      }
    }
    this.#writing = undefined;
  }

  #take(): Waiting[] {
    let bytes = 0;
    const over = this.#waiting.findIndex((waiting) => (bytes += waiting.bytes.length + 4) > FRAME_BYTES_MAX);
    return this.#waiting.splice(0, over === -1 ? this.#waiting.length : Math.max(1, over));
  }

  async #writeFrame(records: readonly Uint8Array[]): Promise<Position[]> {
    const { frame, positions } = encodeFrame(records, this.#end);
    await this.#file.write(frame, 0, frame.length, this.#end);
    // Dying before this line returns tears the frame at worst; nothing in it was acknowledged.
    await this.#file.datasync();
    this.#end += frame.length;
    return positions;
  }
}

function encodeFrame(records: readonly Uint8Array[], offset: number): { frame: Uint8Array; positions: Position[] } {
  const positions: Position[] = [];
  const parts: Uint8Array[] = [];
  let at = offset + HEADER_BYTES;
  for (const bytes of records) {
    parts.push(uint32(bytes.length), bytes);
    positions.push({ offset: at + 4, length: bytes.length });
    at += 4 + bytes.length;
  }
  const payload = concatBytes(...parts);
  return { frame: concatBytes(encodeHeader(payload.length, offset), payload, digest(payload)), positions };
}

function encodeHeader(length: number, offset: number): Uint8Array {
  const fields = concatBytes(uint32(MAGIC), uint32(length));
  return concatBytes(fields, sha256(concatBytes(fields, new TextEncoder().encode(String(offset)))).subarray(0, 8));
}

function digest(payload: Uint8Array): Uint8Array {
  return sha256(payload).subarray(0, TRAILER_BYTES);
}

function uint32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value);
  return bytes;
}

function readUint32(bytes: Uint8Array, offset: number): number {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(offset);
}

/** Reports every record of every whole frame; returns where the next frame belongs. */
async function replay(file: FileHandle, path: string, onRecord: OnRecord): Promise<number> {
  const { size } = await file.stat();
  let offset = 0;
  while (offset < size) {
    const frame = await readFrame(file, { path, offset, size });
    if (frame === undefined) return offset;
    let at = 0;
    while (at < frame.length) {
      const length = readUint32(frame, at);
      const position = { offset: offset + HEADER_BYTES + at + 4, length };
      onRecord(frame.subarray(at + 4, at + 4 + length), position);
      at += 4 + length;
    }
    offset += HEADER_BYTES + frame.length + TRAILER_BYTES;
  }
  return offset;
}

interface FramePlace {
  readonly path: string;
  readonly offset: number;
  readonly size: number;
}

/** The payload of the frame at `offset`; `undefined` where it is the torn last one. */
async function readFrame(file: FileHandle, { path, offset, size }: FramePlace): Promise<Uint8Array | undefined> {
  const header = new Uint8Array(HEADER_BYTES);
  const { bytesRead } = await file.read(header, 0, HEADER_BYTES, offset);
  const rest = size - offset;
  if (bytesRead < HEADER_BYTES) return undefined;
  const length = readUint32(header, 4);
  const sound = length <= FRAME_BYTES_MAX * 2 && equalBytes(header, encodeHeader(length, offset));
  if (!sound) {
    // A file system may have grown the file before the frame's bytes arrived: then zeros stand there, up to the end.
    if (header.every((byte) => byte === 0) && rest <= FRAME_BYTES_MAX * 2) return undefined;
    throw corrupt(path, offset);
  }
  if (HEADER_BYTES + length + TRAILER_BYTES > rest) return undefined;
  const body = new Uint8Array(length + TRAILER_BYTES);
  await file.read(body, 0, body.length, offset + HEADER_BYTES);
  const payload = body.subarray(0, length);
  if (equalBytes(body.subarray(length), digest(payload))) return payload;
  if (HEADER_BYTES + length + TRAILER_BYTES === rest) return undefined;
  throw corrupt(path, offset);
}

function corrupt(path: string, offset: number): ClientError {
  const text = `${path}: the frame at byte ${offset} is damaged; keep the file, restore it or move it away to begin a new stream`;
  return new ClientError("outbox-corrupt", text, { details: { path, offset } });
}

/** Makes a rename or a new file in this folder durable. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
