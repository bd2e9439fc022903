/**
 * Reads the base64 in a text of many lines: with the kernel sixteen digits at a time.
 *
 * Everything here is synchronous, and what is read stays until the next text is taken.
 */
import { readBase64 } from "./base64.ts";
import { HASH_BYTES } from "./hash.ts";
import { type Kernel, sharedKernel } from "./kernel.ts";
import { codeUnitsOf } from "#crypto";

/** As many as a tree of 2^63 leaves is high. */
export const HASH_LINES_MAX = 63;
/** A hash in base64 and its newline. */
export const HASH_LINE_CHARS = 45;
const NEWLINE = 0x0a;

const KERNEL_DIGITS = 16;
/** At the end, where there may be padding. */
const LAST_DIGITS = 4;

export class Base64Reader {
  readonly #kernel: Kernel | undefined;
  readonly #hashes = new Uint8Array(HASH_LINES_MAX * HASH_BYTES);
  readonly #hashWords = new Uint32Array(this.#hashes.buffer);
  #units: Uint16Array = new Uint16Array();

  constructor(kernel: Kernel | "none" = sharedKernel() ?? "none") {
    this.#kernel = kernel === "none" ? undefined : kernel;
  }

  /** Takes a text, at most 100,000 characters; gives its code units, from the start of an array that may be longer. */
  take(text: string): Uint16Array {
    this.#units = codeUnitsOf(text);
    this.#kernel?.takeUnits(this.#units, text.length);
    return this.#units;
  }

  /** What {@link readBase64} does with the code units from `start` to before `end`. There is room for three bytes in four. */
  readBytes(start: number, end: number, bytes: Uint8Array, at: number): number {
    const count = this.#kernel === undefined ? 0 : Math.floor((end - start - LAST_DIGITS) / KERNEL_DIGITS);
    if (count <= 0) return readBase64({ units: this.#units, start, end }, bytes, at);
    const most = this.#kernel?.readBase64(start, count);
    if (most === undefined) return -1;
    bytes.set(most, at);
    const rest = { units: this.#units, start: start + count * KERNEL_DIGITS, end };
    const size = readBase64(rest, bytes, at + most.length);
    return size === -1 ? -1 : most.length + size;
  }

  /**
   * Reads lines that are a hash each, and its newline.
   *
   * @param count - At most {@link HASH_LINES_MAX}.
   * @returns Their words, until the next call; `undefined` where one is not in its one form.
   */
  readHashes(start: number, count: number): Uint32Array | undefined {
    return this.#kernel === undefined ? this.#readHashesSingly(start, count) : this.#kernel.readHashes(start, count);
  }

  #readHashesSingly(start: number, count: number): Uint32Array | undefined {
    for (let line = 0; line < count; line += 1) {
      const from = start + line * HASH_LINE_CHARS;
      const end = from + HASH_LINE_CHARS - 1;
      if (this.#units[end] !== NEWLINE) return undefined;
      const size = readBase64({ units: this.#units, start: from, end }, this.#hashes, line * HASH_BYTES);
      if (size !== HASH_BYTES) return undefined;
    }
    return this.#hashWords;
  }
}
