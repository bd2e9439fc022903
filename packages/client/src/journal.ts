/**
 * An append-only file of small records with group sync: the ground under outbox and receipts.
 *
 * What is handed in while one sync runs is written as one frame by the next: header (16 bytes: magic, payload length,
 * 8 bytes of digest over both and the frame's offset), payload (each record with a u32 length before it), 16 bytes of
 * digest over the payload. A frame is only begun when the one before it is synced, so a crash can tear nothing but the
 * last frame; a torn one was never acknowledged and is cut off at the next open. Any other damage is refused:
 * journal-replay.ts tells the two apart. docs/decisions/0020-outbox-journal.md
 */
import { type FileHandle, open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { crc32 } from "node:zlib";
import { AuditUnavailableError, ClientError } from "./error.ts";
import { codeOf, isAt, syncFolder } from "./files.ts";
import { FRAME_BYTES_MAX, RECORD_HEADER_BYTES, encodeFrame } from "./journal-frame.ts";
import { JournalMark } from "./journal-mark.ts";
import { replayFrames } from "./journal-replay.ts";

/** Where a record's bytes lie in the file, and what they add up to. Valid until the next `rewrite`. */
export interface Position {
  readonly offset: number;
  readonly length: number;
  /** CRC-32: a bit that flips between open and read must not pass for what was recorded. */
  readonly checksum: number;
}

/** Called in the turn in which a record is synced, before anything else is written. */
export type OnSynced = (position: Position) => void;

/** A rewrite writes frames of about this size. */
const REWRITE_FRAME_BYTES = 1024 * 1024;

interface Waiting {
  readonly bytes: Uint8Array;
  readonly onSynced: OnSynced | undefined;
  readonly onFailed: (() => void) | undefined;
  readonly resolve: (position: Position) => void;
  readonly reject: (error: unknown) => void;
}

interface Rewriting {
  readonly records: () => Iterable<Uint8Array | Promise<Uint8Array>>;
  readonly onMoved: (positions: readonly Position[]) => void;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** One owner; every method may be called while others are under way. */
export class Journal {
  readonly #path: string;
  readonly #mark: JournalMark | undefined;
  #file: FileHandle;
  #end: number;
  #waiting: Waiting[] = [];
  readonly #rewrites: Rewriting[] = [];
  readonly #reads = new Set<Promise<unknown>>();
  #working: Promise<void> | undefined;
  /** A write failed: what lies beyond the end is to be cut off before the next one. */
  #broken = false;
  #closed = false;

  private constructor(opened: {
    readonly path: string;
    readonly file: FileHandle;
    readonly end: number;
    readonly mark: JournalMark | undefined;
  }) {
    this.#path = opened.path;
    this.#file = opened.file;
    this.#end = opened.end;
    this.#mark = opened.mark;
  }

  /**
   * Opens a journal, makes it where there is none, and reports every record in it, oldest first.
   *
   * @param marked - Keep beside it, as `PATH.mark`, how far it was synced, so that a file that was cut off is refused.
   * @throws {ClientError} `outbox-corrupt`: a frame that was synced is damaged, or is gone; the file is left as it is.
   */
  static async open(
    path: string,
    onRecord: (bytes: Uint8Array, position: Position) => void,
    { marked = false }: { readonly marked?: boolean } = {},
  ): Promise<Journal> {
    const mark = marked ? await JournalMark.open(`${path}.mark`) : undefined;
    const opened: { close(): Promise<void> }[] = mark === undefined ? [] : [mark];
    try {
      if ((mark?.end ?? 0) === 0) await (await open(path, "a", 0o600)).close();
      const file = await openMarked(path, mark?.end ?? 0);
      opened.push(file);
      const end = await replayFrames({ file, path }, (bytes, offset) => onRecord(bytes, positionOf(bytes, offset)));
      if (end < (mark?.end ?? 0)) throw cutOff(path, { end, synced: mark?.end ?? 0 });
      await file.truncate(end);
      await file.sync();
      // Where it cannot be written, the mark says less than it could.
      await mark?.settle(end).catch(() => undefined);
      await syncFolder(dirname(path));
      return new Journal({ path, file, end, mark });
    } catch (error) {
      for (const handle of opened) await handle.close();
      throw error;
    }
  }

  /** Bytes in the file. */
  get bytes(): number {
    return this.#end;
  }

  /**
   * Appends one record; resolves when it is synced. Records are written in the order of the calls.
   *
   * @param onFailed - Called where it could not be written, for each record of which that is so in the same turn.
   * @throws {ClientError} `audit-unavailable`: it could not be written (disk full, input/output error), nor was what came
   *   after it. The next call tries again.
   */
  async append(bytes: Uint8Array, onSynced?: OnSynced, onFailed?: () => void): Promise<Position> {
    if (this.#closed) {
      onFailed?.();
      throw closed();
    }
    const { promise, resolve, reject } = Promise.withResolvers<Position>();
    this.#waiting.push({ bytes, onSynced, onFailed, resolve, reject });
    this.#working ??= this.#work();
    return promise;
  }

  /**
   * Reads back the bytes of one record.
   *
   * @throws {ClientError} `outbox-corrupt`: they are no longer what was written.
   */
  async read({ offset, length, checksum }: Position): Promise<Uint8Array> {
    const bytes = new Uint8Array(length);
    const reading = this.#file.read(bytes, 0, length, offset);
    this.#reads.add(reading);
    try {
      const { bytesRead } = await reading;
      if (bytesRead === length && crc32(bytes) === checksum) return bytes;
    } finally {
      this.#reads.delete(reading);
    }
    throw new ClientError(
      "outbox-corrupt",
      `${this.#path}: the record at byte ${offset} is no longer what was written`,
      {
        details: { path: this.#path, offset },
      },
    );
  }

  /**
   * Replaces the whole file by these records, atomically. `records` is called, and `onMoved` with where they now lie,
   * while nothing else is written; what is appended meanwhile comes after them.
   *
   * @throws {ClientError} `audit-unavailable`: it could not be written; the old file stays in use.
   */
  async rewrite(records: Rewriting["records"], onMoved: Rewriting["onMoved"]): Promise<void> {
    if (this.#closed) throw closed();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#rewrites.push({ records, onMoved, resolve, reject });
    this.#working ??= this.#work();
    await promise;
  }

  /** Waits for what is under way and closes the file. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#working;
    // What was refused must not come back at the next open; where even that fails, it may.
    if (this.#broken) await this.#repair().catch(() => undefined);
    await Promise.allSettled(this.#reads);
    if (!this.#broken) await this.#mark?.settle(this.#end).catch(() => undefined);
    await this.#mark?.close();
    await this.#file.close();
  }

  async #work(): Promise<void> {
    // Yield once, so that everything recorded in this turn of the event loop shares the sync.
    await Promise.resolve();
    try {
      while (this.#rewrites.length + this.#waiting.length > 0) {
        if (this.#broken) await this.#repair();
        const rewriting = this.#rewrites.shift();
        await (rewriting === undefined ? this.#writeWaiting() : this.#rewriteNow(rewriting));
      }
    } catch (cause) {
      this.#fail(cause);
    }
    this.#working = undefined;
  }

  /** Refuses everything that waits: a record is never written without those before it. */
  #fail(cause: unknown): void {
    this.#broken = true;
    const failure = unwritable(this.#path, cause);
    const refused = this.#waiting.splice(0);
    for (const { onFailed } of refused) onFailed?.();
    for (const { reject } of [...refused, ...this.#rewrites.splice(0)]) reject(failure);
  }

  /** A rename that says that it failed may have landed. */
  async #replaceBy(file: FileHandle, path: string): Promise<void> {
    try {
      await rename(path, this.#path);
    } catch (cause) {
      if (!(await isAt(this.#path, file))) throw cause;
    }
  }

  /** Cuts off what a failed write left behind the last frame that is synced. */
  async #repair(): Promise<void> {
    if (!(await isAt(this.#path, this.#file))) throw new Error("another file is under its name");
    await this.#file.truncate(this.#end);
    await this.#file.sync();
    await syncFolder(dirname(this.#path));
    this.#broken = false;
  }

  async #writeWaiting(): Promise<void> {
    const taken = this.#take();
    try {
      const positions = await this.#writeFrame(taken.map(({ bytes }) => bytes));
      for (const [at, { onSynced }] of taken.entries()) onSynced?.(positionAt(positions, at));
      for (const [at, { resolve }] of taken.entries()) resolve(positionAt(positions, at));
    } catch (cause) {
      this.#waiting.unshift(...taken);
      throw cause;
    }
  }

  #take(): Waiting[] {
    let bytes = 0;
    const over = this.#waiting.findIndex(
      (waiting) => (bytes += waiting.bytes.length + RECORD_HEADER_BYTES) > FRAME_BYTES_MAX,
    );
    return this.#waiting.splice(0, over === -1 ? this.#waiting.length : Math.max(1, over));
  }

  async #writeFrame(records: readonly Uint8Array[]): Promise<Position[]> {
    const { frame, offsets } = encodeFrame(records, this.#end);
    await writeAll(this.#file, frame, this.#end);
    // Dying before this line returns tears the frame at worst; nothing in it was acknowledged.
    await this.#file.datasync();
    this.#end += frame.length;
    await this.#noteEnd();
    return positionsOf(records, offsets);
  }

  /** Before anything in the frame is acknowledged. Where it fails the mark says less than it could: that refuses nothing. */
  async #noteEnd(): Promise<void> {
    await this.#mark?.set(this.#end).catch(() => undefined);
  }

  async #rewriteNow({ records, onMoved, resolve, reject }: Rewriting): Promise<void> {
    const path = `${this.#path}.new`;
    let written: Written | undefined;
    try {
      written = await writeNew(path, records());
      // From here until the rename is noted, the end of either file will do.
      await this.#mark?.announce({ end: this.#end, next: written.end });
      await this.#replaceBy(written.file, path);
    } catch (cause) {
      // The old file is still the one under the name, which is looked at before it is written to again.
      this.#broken = true;
      await written?.file.close().catch(() => undefined);
      await rm(path, { force: true }).catch(() => undefined);
      reject(cause instanceof ClientError ? cause : unwritable(path, cause));
      return;
    }
    const old = this.#file;
    this.#file = written.file;
    this.#end = written.end;
    onMoved(written.positions);
    try {
      // Until this returns a crash may bring back the old file: nothing that is only in the new one is acknowledged yet.
      await syncFolder(dirname(this.#path));
      await this.#noteEnd();
      resolve();
    } catch (cause) {
      reject(unwritable(this.#path, cause));
      throw cause;
    } finally {
      await Promise.allSettled(this.#reads);
      await old.close();
    }
  }
}

/** Opens a file that must be there where something in it was synced. */
async function openMarked(path: string, synced: number): Promise<FileHandle> {
  try {
    return await open(path, "r+");
  } catch (cause) {
    if (codeOf(cause) === "ENOENT") throw cutOff(path, { end: 0, synced });
    throw cause;
  }
}

function cutOff(path: string, { end, synced }: { readonly end: number; readonly synced: number }): ClientError {
  const what = end === 0 ? "is gone or empty" : `ends at byte ${end}`;
  const text = `${path}: ${what}, but ${synced} bytes of it were synced: events that were recorded are missing. Restore the newest copy of the file; if there is none they are lost: move its folder away to begin a new stream`;
  return new ClientError("outbox-corrupt", text, { details: { path, end, synced } });
}

interface Written {
  readonly file: FileHandle;
  readonly end: number;
  readonly positions: readonly Position[];
}

async function writeNew(path: string, records: Iterable<Uint8Array | Promise<Uint8Array>>): Promise<Written> {
  const file = await open(path, "w+", 0o600);
  try {
    const positions: Position[] = [];
    let end = 0;
    let frame: Uint8Array[] = [];
    let frameBytes = 0;
    const flush = async (): Promise<void> => {
      const { frame: bytes, offsets } = encodeFrame(frame, end);
      await writeAll(file, bytes, end);
      positions.push(...positionsOf(frame, offsets));
      end += bytes.length;
      frame = [];
      frameBytes = 0;
    };
    for (const record of records) {
      frame.push(await record);
      frameBytes += frame.at(-1)?.length ?? 0;
      if (frameBytes > REWRITE_FRAME_BYTES) await flush();
    }
    if (frame.length > 0) await flush();
    await file.sync();
    return { file, end, positions };
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function writeAll(file: FileHandle, bytes: Uint8Array, offset: number): Promise<void> {
  for (let written = 0; written < bytes.length;) {
    written += (await file.write(bytes, written, bytes.length - written, offset + written)).bytesWritten;
  }
}

function positionsOf(records: readonly Uint8Array[], offsets: readonly number[]): Position[] {
  return records.map((bytes, at) => positionOf(bytes, offsets[at] ?? 0));
}

function positionOf(bytes: Uint8Array, offset: number): Position {
  return { offset, length: bytes.length, checksum: crc32(bytes) };
}

function positionAt(positions: readonly Position[], at: number): Position {
  const position = positions[at];
  if (position === undefined) throw new RangeError(`record ${at} of the frame has no position`);
  return position;
}

function closed(): ClientError {
  return new ClientError("client-closed", "the outbox is closed");
}

function unwritable(path: string, cause: unknown): ClientError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new AuditUnavailableError(`${path}: could not be written: ${reason}`, { cause, details: { path } });
}
