/**
 * Reads canonical CBOR whose form is known, in one pass and without values in between.
 *
 * What is not of that form fails: everything that is read from then on is worthless, and isDone stays false. To say
 * what is wrong is the decoder's business.
 */
import { MAJOR, SIMPLE } from "./cbor-value.ts";
import { SHORT_TEXT_BYTES, shortText } from "./short-text.ts";

const TWO_32 = 2 ** 32;
const NULL = 0xf6;
/** Larger ones are on their way into memory of their own anyway. */
const SMALL_BYTES = 64;
const textDecoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export class CborReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** Whether all that was asked for was there, and nothing after it. */
  get isDone(): boolean {
    return this.#at === this.#bytes.length;
  }

  fail(): void {
    // Beyond the end there is nothing to read, and no way back.
    this.#at = this.#bytes.length + 1;
  }

  get hasFailed(): boolean {
    return this.#at > this.#bytes.length;
  }

  /** Whether this comes next, such as a key that was encoded before; it is read then. */
  takes(encoded: Uint8Array): boolean {
    const bytes = this.#bytes;
    const at = this.#at;
    for (let i = 0; i < encoded.length; i += 1) if (bytes[at + i] !== encoded[i]) return false;
    this.#at = at + encoded.length;
    return true;
  }

  /** Whether null comes next; it is read then. */
  null(): boolean {
    if (this.#bytes[this.#at] !== NULL) return false;
    this.#at += 1;
    return true;
  }

  /** From 0 to 2^53 - 1. */
  integer(): number {
    return this.#argument(MAJOR.unsigned);
  }

  /** Of any sign. */
  signedInteger(): number {
    if (majorOf(this.#bytes[this.#at] ?? 0) !== MAJOR.negative) return this.#argument(MAJOR.unsigned);
    const argument = this.#argument(MAJOR.negative);
    if (argument === Number.MAX_SAFE_INTEGER) this.fail();
    return -1 - argument;
  }

  /** The number of items that follow. */
  array(): number {
    return this.#argument(MAJOR.array);
  }

  /** The number of keys that follow, each with its value. */
  map(): number {
    return this.#argument(MAJOR.map);
  }

  /** The kind of the item that comes next. */
  major(): number {
    return majorOf(this.#bytes[this.#at] ?? 0);
  }

  boolean(): boolean {
    const info = this.#argument(MAJOR.simple);
    if (info !== SIMPLE.true && info !== SIMPLE.false) this.fail();
    return info === SIMPLE.true;
  }

  /** A copy. @param expected - Its size; any where absent. */
  byteString(expected?: number): Uint8Array {
    const size = this.#argument(MAJOR.bytes);
    if (expected !== undefined && size !== expected) this.fail();
    const start = this.#take(size);
    const bytes = this.#bytes;
    if (size > SMALL_BYTES) return bytes.slice(start, start + size);
    const copy = new Uint8Array(size);
    for (let i = 0; i < size; i += 1) copy[i] = bytes[start + i] ?? 0;
    return copy;
  }

  /** Passes over a byte string. @returns Its size. */
  skipByteString(): number {
    const size = this.#argument(MAJOR.bytes);
    this.#take(size);
    return size;
  }

  text(): string {
    const size = this.#argument(MAJOR.text);
    const start = this.#take(size);
    const short = size <= SHORT_TEXT_BYTES ? shortText(this.#bytes, start, size) : undefined;
    return short ?? this.#decode(start, size);
  }

  #decode(start: number, size: number): string {
    try {
      return textDecoder.decode(this.#bytes.subarray(start, start + size));
    } catch {
      this.fail();
      return "";
    }
  }

  /** Moves on by `size` bytes; gives where they start. */
  #take(size: number): number {
    const start = this.#at;
    this.#at = start + size;
    if (this.#at > this.#bytes.length) this.fail();
    return start;
  }

  /** The number in the head of an item of one major type, in its shortest form; 0 where it fails. */
  #argument(major: number): number {
    const bytes = this.#bytes;
    const at = this.#at;
    const info = (bytes[at] ?? -1) - 32 * major;
    if (info >= 0 && info < 24) {
      this.#at = at + 1;
      return info;
    }
    if (info === 24) return this.#shortest(at + 2, bytes[at + 1] ?? 0, 24);
    if (info === 25) return this.#shortest(at + 3, uint16(bytes, at + 1), 256);
    if (info === 26) return this.#shortest(at + 5, uint32(bytes, at + 1), 65_536);
    if (info === 27) return this.#shortest(at + 9, uint32(bytes, at + 1) * TWO_32 + uint32(bytes, at + 5), TWO_32);
    this.fail();
    return 0;
  }

  #shortest(end: number, argument: number, min: number): number {
    this.#at = end;
    if (argument >= min && argument <= Number.MAX_SAFE_INTEGER && end <= this.#bytes.length) return argument;
    this.fail();
    return 0;
  }
}

function majorOf(byte: number): number {
  return byte >> 5;
}

function uint16(bytes: Uint8Array, at: number): number {
  return (bytes[at] ?? 0) * 256 + (bytes[at + 1] ?? 0);
}

function uint32(bytes: Uint8Array, at: number): number {
  return uint16(bytes, at) * 65_536 + uint16(bytes, at + 2);
}
