/** Writes canonical CBOR piece by piece into one buffer: shortest heads; the order of keys is the caller's. RFC 8949 §4.2.1. */
import { HEAD_BYTES_MAX, putHead } from "./cbor-head.ts";
import { MAJOR, SIMPLE } from "./cbor-value.ts";

const textEncoder = new TextEncoder();

/** Up to this length a loop of ours writes ASCII sooner than a call into the platform. */
const SHORT_TEXT = 48;
/** Up to this length it copies them sooner. */
const SHORT_BYTES = 64;
const BUFFER_BYTES_MAX = 65_536;

/** The writer that was used last. Whoever writes takes it away: a getter in a value could begin to encode another. */
let idle: CborWriter | undefined;

/** The bytes of what `write` writes of `value`; `undefined` where it gives `false`. */
export function encodeWith<Value>(
  write: (to: CborWriter, value: Value) => boolean,
  value: Value,
): Uint8Array | undefined;
export function encodeWith<Value>(write: (to: CborWriter, value: Value) => void, value: Value): Uint8Array;
export function encodeWith<Value>(
  write: (to: CborWriter, value: Value) => boolean | void,
  value: Value,
): Uint8Array | undefined {
  const to = idle ?? new CborWriter();
  idle = undefined;
  const bytes = write(to, value) === false ? undefined : to.copy();
  to.reset();
  if (to.capacity <= BUFFER_BYTES_MAX) idle = to;
  return bytes;
}

/** Of many values as much goes into one copy, and the value that ends there: whoever keeps one value keeps no more alive. */
const TOGETHER_BYTES = 32_768;

/**
 * The bytes of what `write` writes of each: one copy of many, and a view of each, a third of the time of a copy of each;
 * `undefined` where it gives `false` for one.
 */
export function encodeAllWith<Value>(
  write: (to: CborWriter, value: Value) => boolean,
  values: readonly Value[],
): Uint8Array[] | undefined;
export function encodeAllWith<Value>(
  write: (to: CborWriter, value: Value) => void,
  values: readonly Value[],
): Uint8Array[];
export function encodeAllWith<Value>(
  write: (to: CborWriter, value: Value) => boolean | void,
  values: readonly Value[],
): Uint8Array[] | undefined {
  const to = idle ?? new CborWriter();
  idle = undefined;
  const encoded: Uint8Array[] = [];
  const ends: number[] = [];
  for (const value of values) {
    // The writer is left where it is: what was written of this value would be in it.
    if (write(to, value) === false) return undefined;
    ends.push(to.size);
    if (to.size >= TOGETHER_BYTES) takeViews(to, ends, encoded);
  }
  takeViews(to, ends, encoded);
  if (to.capacity <= BUFFER_BYTES_MAX) idle = to;
  return encoded;
}

/** Moves what was written up to each of `ends` to `encoded`. */
function takeViews(to: CborWriter, ends: number[], encoded: Uint8Array[]): void {
  const bytes = to.copy();
  let from = 0;
  for (const end of ends) {
    encoded.push(bytes.subarray(from, end));
    from = end;
  }
  ends.length = 0;
  to.reset();
}

/** Checks no order and no count: an array's or a map's head says how many items its caller goes on to write. */
export class CborWriter {
  #bytes: Uint8Array<ArrayBuffer> = new Uint8Array(1024);
  #size = 0;

  /** The bytes that were written so far. */
  get size(): number {
    return this.#size;
  }

  /** The bytes that fit in without another buffer. */
  get capacity(): number {
    return this.#bytes.length;
  }

  /** What was written so far, in bytes of their own. */
  copy(): Uint8Array {
    return this.#bytes.slice(0, this.#size);
  }

  reset(): void {
    this.#size = 0;
  }

  null(): void {
    this.head(MAJOR.simple, SIMPLE.null);
  }

  boolean(value: boolean): void {
    this.head(MAJOR.simple, value ? SIMPLE.true : SIMPLE.false);
  }

  /** @param value - A safe integer. */
  integer(value: number): void {
    if (value < 0) this.head(MAJOR.negative, -1 - value);
    else this.head(MAJOR.unsigned, value);
  }

  array(length: number): void {
    this.head(MAJOR.array, length);
  }

  map(size: number): void {
    this.head(MAJOR.map, size);
  }

  byteString(value: Uint8Array): void {
    this.head(MAJOR.bytes, value.length);
    this.#reserve(value.length);
    this.#bytes.set(value, this.#size);
    this.#size += value.length;
  }

  /** Writes a byte string of `size` that `put` makes from text; gives `false` where it does. */
  byteStringOf(text: string, size: number, put: (bytes: Uint8Array, at: number, text: string) => boolean): boolean {
    this.head(MAJOR.bytes, size);
    this.#reserve(size);
    const at = this.#size;
    this.#size = at + size;
    return put(this.#bytes, at, text);
  }

  /** Writes bytes as they are: an item that was encoded before, or part of one. */
  encoded(item: Uint8Array): void {
    this.#reserve(item.length);
    const bytes = this.#bytes;
    const at = this.#size;
    if (item.length > SHORT_BYTES) bytes.set(item, at);
    else for (let i = 0; i < item.length; i += 1) bytes[at + i] = item[i] ?? 0;
    this.#size = at + item.length;
  }

  /** Writes text; gives `false` and writes nothing where it holds a lone surrogate. */
  text(value: string): boolean {
    return (value.length <= SHORT_TEXT && this.#shortAscii(value)) || this.#anyText(value);
  }

  /** For short text several times as fast as the platform's encoder. Gives `false` where it is not ASCII. */
  #shortAscii(value: string): boolean {
    const { length } = value;
    const headBytes = length < 24 ? 1 : 2;
    // Room for the longest head, or to write the head would move what is written here to another buffer, and lose it.
    this.#reserve(HEAD_BYTES_MAX + length);
    const bytes = this.#bytes;
    const start = this.#size + headBytes;
    let units = 0;
    for (let i = 0; i < length; i += 1) {
      const unit = value.charCodeAt(i);
      units |= unit;
      bytes[start + i] = unit;
    }
    if (units >= 0x80) return false;
    this.head(MAJOR.text, length);
    this.#size += length;
    return true;
  }

  #anyText(value: string): boolean {
    if (!value.isWellFormed()) return false;
    this.#reserve(HEAD_BYTES_MAX + 3 * value.length);
    const start = this.#size;
    this.head(MAJOR.text, value.length);
    const written = this.#utf8(value);
    // Text beyond ASCII has more bytes than characters, and its head may take more room than was left for it.
    if (written !== value.length) {
      const from = this.#size;
      this.#size = start;
      this.head(MAJOR.text, written);
      if (this.#size !== from) this.#utf8(value);
    }
    this.#size += written;
    return true;
  }

  /** Where the writer stands; gives the number of bytes. */
  #utf8(value: string): number {
    return textEncoder.encodeInto(value, this.#bytes.subarray(this.#size)).written;
  }

  head(major: number, argument: number): void {
    if (this.#size + HEAD_BYTES_MAX > this.#bytes.length) this.#reserve(HEAD_BYTES_MAX);
    this.#size = putHead(this.#bytes, this.#size, major, argument);
  }

  #reserve(count: number): void {
    const needed = this.#size + count;
    if (needed <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(needed, 2 * this.#bytes.length));
    grown.set(this.#bytes.subarray(0, this.#size));
    this.#bytes = grown;
  }
}
