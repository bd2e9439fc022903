/**
 * How far a journal was synced, in a small file beside it: a journal that ends before that was cut off or removed, and
 * held events that were promised. A crash cannot do it, since the mark is written after the journal's own sync.
 *
 * Two lines that lie 4096 bytes apart and share no sector, overwritten in turn and in place, so that they fit on a full
 * disk: if we die in the midst of one, the other is whole. A line: the journal's end in 16 digits, a second end or 16
 * dashes, and the CRC-32 of both. The second end is that of the file which a rewrite is about to put in place.
 *
 * What a line asks for is there as soon as it is written, so the larger of both counts. They are synced only before a
 * rewrite, at open and at close: what a power cut takes back of them only makes them a lower bound than they could be. Marks of
 * before have the first line alone.
 */
import { type FileHandle, open } from "node:fs/promises";
import { crc32 } from "node:zlib";
import { utf8 } from "@tallystick/core";
import { ClientError } from "./error.ts";
import { codeOf, createFile } from "./files.ts";

const DIGITS = 16;
const NONE = "-".repeat(DIGITS);
const LINE = /^(\d{16}) (\d{16}|-{16}) ([0-9a-f]{8})\n$/;
const LINE_BYTES = 43;
const LINE_OFFSETS = [0, 4096] as const;

/** One owner, who waits for each call before the next. */
export class JournalMark {
  readonly #file: FileHandle;
  /** The least that the journal must hold, as it was found. */
  readonly end: number;
  /** Which line is written next. */
  #next: 0 | 1 = 0;

  private constructor(file: FileHandle, end: number) {
    this.#file = file;
    this.end = end;
  }

  /**
   * Opens a mark, makes it where there is none.
   *
   * @throws {ClientError} `outbox-corrupt`: neither line is what was written.
   */
  static async open(path: string): Promise<JournalMark> {
    const file = await openOrCreate(path);
    try {
      return new JournalMark(file, endOf(await file.readFile("latin1"), path));
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** Notes that the journal is synced up to here. */
  async set(end: number): Promise<void> {
    await this.#write(lineOf(end, undefined), this.#next);
    this.#next = this.#next === 0 ? 1 : 0;
  }

  /** Notes the same in both lines, synced. */
  async settle(end: number): Promise<void> {
    await this.#writeBoth(lineOf(end, undefined));
  }

  /**
   * Notes, synced, that the journal is about to be replaced by one that ends at `next`: in both lines, so that neither
   * asks for the end of the old one.
   */
  async announce({ end, next }: { readonly end: number; readonly next: number }): Promise<void> {
    await this.#writeBoth(lineOf(end, next));
  }

  async close(): Promise<void> {
    await this.#file.close();
  }

  /** Dying before the first sync leaves the second line as it was. */
  async #writeBoth(line: string): Promise<void> {
    for (const at of [0, 1] as const) {
      await this.#write(line, at);
      await this.#file.datasync();
    }
  }

  async #write(line: string, at: 0 | 1): Promise<void> {
    const bytes = utf8(line);
    for (let written = 0; written < bytes.length;) {
      const place = LINE_OFFSETS[at] + written;
      written += (await this.#file.write(bytes, written, bytes.length - written, place)).bytesWritten;
    }
  }
}

/** Whole from the first, so that every later write finds room. */
async function openOrCreate(path: string): Promise<FileHandle> {
  try {
    return await open(path, "r+");
  } catch (cause) {
    if (codeOf(cause) !== "ENOENT") throw cause;
  }
  const line = lineOf(0, undefined);
  await createFile(path, `${line.padEnd(LINE_OFFSETS[1], "\0")}${line}`);
  return open(path, "r+");
}

function lineOf(end: number, next: number | undefined): string {
  const ends = `${digits(end)} ${next === undefined ? NONE : digits(next)}`;
  return `${ends} ${crc32(ends).toString(16).padStart(8, "0")}\n`;
}

function digits(end: number): string {
  return String(end).padStart(DIGITS, "0");
}

function endOf(text: string, path: string): number {
  // Made, and lost its bytes to a power cut: it says nothing.
  if (/^\0*$/.test(text)) return 0;
  const ends = LINE_OFFSETS.map((at) => endOfLine(text.slice(at, at + LINE_BYTES))).filter((end) => end !== undefined);
  if (ends.length > 0) return Math.max(...ends);
  const message = `${path}: expected how far the outbox was synced, got something else: it is damaged. Restore it, or move its folder away to begin a new stream`;
  throw new ClientError("outbox-corrupt", message, { details: { path } });
}

/** Either file may be in place where a rewrite was announced: the smaller end is what must be there. */
function endOfLine(line: string): number | undefined {
  const [, end = "", next = "", checksum = ""] = LINE.exec(line) ?? [];
  if (checksum === "" || Number.parseInt(checksum, 16) !== crc32(`${end} ${next}`)) return undefined;
  return next === NONE ? Number(end) : Math.min(Number(end), Number(next));
}
