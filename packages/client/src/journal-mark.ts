/**
 * How far a journal was synced, in a small file beside it: a journal that ends before that was cut off or removed, and
 * held events that were promised. A crash cannot do it, since the mark is written after the journal's own sync.
 *
 * One line, overwritten in place so that it fits on a full disk: the journal's end in 16 digits, a second end or 16
 * dashes, and the CRC-32 of both. The second end is that of the file which a rewrite is about to put in place. The mark
 * itself is synced only then: what a power cut takes back of it only makes it a lower bound than it could be.
 */
import { type FileHandle, open } from "node:fs/promises";
import { crc32 } from "node:zlib";
import { utf8 } from "@tallystick/core";
import { ClientError } from "./error.ts";

const DIGITS = 16;
const NONE = "-".repeat(DIGITS);
const LINE = /^(\d{16}) (\d{16}|-{16}) ([0-9a-f]{8})\n$/;

/** One owner, who waits for each call before the next. */
export class JournalMark {
  readonly #file: FileHandle;
  /** The least that the journal must hold. */
  readonly end: number;

  private constructor(file: FileHandle, end: number) {
    this.#file = file;
    this.end = end;
  }

  /**
   * Opens a mark, makes it where there is none.
   *
   * @throws {ClientError} `outbox-corrupt`: it is not what was written.
   */
  static async open(path: string): Promise<JournalMark> {
    await (await open(path, "a", 0o600)).close();
    const file = await open(path, "r+");
    try {
      return new JournalMark(file, endOf(await file.readFile("latin1"), path));
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** Notes that the journal is synced up to here. */
  async set(end: number): Promise<void> {
    await this.#write(lineOf(end, undefined));
  }

  /** Notes, synced, that the journal is about to be replaced by one that ends at `next`. */
  async announce({ end, next }: { readonly end: number; readonly next: number }): Promise<void> {
    await this.#write(lineOf(end, next));
    await this.#file.sync();
  }

  async close(): Promise<void> {
    await this.#file.close();
  }

  async #write(line: string): Promise<void> {
    const bytes = utf8(line);
    for (let written = 0; written < bytes.length;)
      written += (await this.#file.write(bytes, written, bytes.length - written, written)).bytesWritten;
  }
}

function lineOf(end: number, next: number | undefined): string {
  const ends = `${digits(end)} ${next === undefined ? NONE : digits(next)}`;
  return `${ends} ${crc32(ends).toString(16).padStart(8, "0")}\n`;
}

function digits(end: number): string {
  return String(end).padStart(DIGITS, "0");
}

/** Either file may be in place where a rewrite was announced: the smaller end is what must be there. */
function endOf(line: string, path: string): number {
  // Made, and lost its bytes to a power cut: it says nothing.
  if (/^\0*$/.test(line)) return 0;
  const [, end = "", next = "", checksum] = LINE.exec(line) ?? [];
  if (checksum === undefined || Number.parseInt(checksum, 16) !== crc32(`${end} ${next}`)) {
    const text = `${path}: expected how far the outbox was synced, got something else: it is damaged. Restore it, or move its folder away to begin a new stream`;
    throw new ClientError("outbox-corrupt", text, { details: { path } });
  }
  return next === NONE ? Number(end) : Math.min(Number(end), Number(next));
}
