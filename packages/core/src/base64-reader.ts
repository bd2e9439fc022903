/**
 * Reads the base64 in a text of many lines: with the kernel sixteen digits at a time.
 *
 * Everything here is synchronous, and what is read stays until the next text is taken.
 */
import { readBase64 } from "./base64.ts";
import { HASH_BYTES } from "./hash.ts";
import { type Kernel, sharedKernel } from "./kernel.ts";
import { unitsWriter } from "#crypto";

/** As many as a tree of 2^63 leaves is high. */
export const HASH_LINES_MAX = 63;
/** A hash in base64 and its newline. */
export const HASH_LINE_CHARS = 45;
/** Of a text that is taken: what a proof has before its checkpoint, 63 hashes and an entry. */
export const TEXT_CHARS_MAX = 4096;
const NEWLINE = 0x0a;

const KERNEL_DIGITS = 16;
const KERNEL_BYTES = 12;
/** At the end, where there may be padding. */
const LAST_DIGITS = 4;

export class Base64Reader {
  /** Begins with the code units of the text that was taken last. */
  readonly units: Uint16Array;
  readonly #kernel: Kernel | undefined;
  readonly #write: (text: string) => void;
  readonly #hashes = new Uint8Array(HASH_LINES_MAX * HASH_BYTES);
  readonly #hashWords = new Uint32Array(this.#hashes.buffer);

  constructor(kernel: Kernel | "none" = sharedKernel() ?? "none") {
    this.#kernel = kernel === "none" ? undefined : kernel;
    this.units = this.#kernel?.units ?? new Uint16Array(TEXT_CHARS_MAX);
    this.#write = unitsWriter(this.units);
  }

  /** @throws {RangeError} The text is longer than 4096 characters. */
  take(text: string): void {
    if (text.length > TEXT_CHARS_MAX) throw new RangeError(`text: expected at most ${TEXT_CHARS_MAX} characters`);
    this.#write(text);
  }

  /** What {@link readBase64} does with the code units from `start` to before `end`. There is room for three bytes in four. */
  readBytes(start: number, end: number, bytes: Uint8Array, at: number): number {
    const kernel = this.#kernel;
    const count = Math.floor((end - start - LAST_DIGITS) / KERNEL_DIGITS);
    if (kernel === undefined || count <= 0) return readBase64({ units: this.units, start, end }, bytes, at);
    if (!kernel.readBase64(start, count)) return -1;
    const most = count * KERNEL_BYTES;
    bytes.set(kernel.read.subarray(0, most), at);
    const rest = { units: this.units, start: start + count * KERNEL_DIGITS, end };
    const size = readBase64(rest, bytes, at + most);
    return size === -1 ? -1 : most + size;
  }

  /**
   * Reads lines that are a hash each, and its newline.
   *
   * @param count - At most {@link HASH_LINES_MAX}.
   * @returns Their words, until the next call; `undefined` where one is not in its one form.
   */
  readHashes(start: number, count: number): Uint32Array | undefined {
    const kernel = this.#kernel;
    if (kernel === undefined) return this.#readHashesSingly(start, count);
    return kernel.readHashes(start, count) ? kernel.readWords : undefined;
  }

  #readHashesSingly(start: number, count: number): Uint32Array | undefined {
    for (let line = 0; line < count; line += 1) {
      const from = start + line * HASH_LINE_CHARS;
      const end = from + HASH_LINE_CHARS - 1;
      if (this.units[end] !== NEWLINE) return undefined;
      const size = readBase64({ units: this.units, start: from, end }, this.#hashes, line * HASH_BYTES);
      if (size !== HASH_BYTES) return undefined;
    }
    return this.#hashWords;
  }
}
