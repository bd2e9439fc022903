/**
 * CBOR (RFC 8949) in the one form in which bytes are permanent: docs/reference/formats.md, "Canonical CBOR".
 *
 * Every value has exactly one encoding, and the decoder accepts no other: what decodes, encodes to the same bytes.
 */
import { EventError } from "./error.ts";

/** What permanent bytes can hold. Numbers are integers within ±(2^53 - 1); a larger or broken one is decimal text. */
export type CborValue = null | boolean | number | string | Uint8Array | readonly CborValue[] | CborMap;

/** A map; decoded ones have no prototype, so that no key of theirs means anything to JavaScript. */
export interface CborMap {
  readonly [key: string]: CborValue;
}

/** The most bytes that an encoded event may have. */
export const EVENT_BYTES_MAX = 32_768;

/** The most arrays and maps that may stand inside each other, the outermost included. */
export const CBOR_DEPTH_MAX = 8;

export interface DecodeCborOptions {
  /** Default 8: {@link CBOR_DEPTH_MAX}. */
  readonly depthMax?: number;
  /** Default: no bound beyond that of the bytes given. */
  readonly bytesMax?: number;
  /** Items in all, keys included. Default 65,536: one byte can become an object that takes a hundred. */
  readonly itemsMax?: number;
}

/**
 * Encodes `value` as canonical CBOR.
 *
 * Negative zero is zero. Objects may have any prototype; only their own enumerable keys count.
 *
 * @throws {EventError} `cbor-unencodable`: a number that is no safe integer, text with a lone surrogate, a value of
 *   another kind (`undefined`, bigint, function, …), or more than 8 levels.
 * @example
 * encodeCbor({ b: 1, a: [true, null] }); // a2 61 61 82 f5 f6 61 62 01
 */
export function encodeCbor(value: CborValue): Uint8Array {
  const encoder = new Encoder();
  encoder.item(value, 0);
  return encoder.finish();
}

/**
 * Decodes one canonical item that fills `bytes`. Byte strings are copied, so that the result keeps nothing else alive.
 *
 * Takes time and memory in proportion to the bytes that are there, never to a length that they claim.
 *
 * @throws {EventError} `cbor-malformed`: anything but the canonical form; `details.offset` is where it shows.
 */
export function decodeCbor(bytes: Uint8Array, options: DecodeCborOptions = {}): CborValue {
  const { depthMax = CBOR_DEPTH_MAX, bytesMax = bytes.length, itemsMax = 65_536 } = options;
  if (bytes.length > bytesMax) malformed(bytesMax, `expected at most ${bytesMax} bytes, got ${bytes.length}`);
  return new Decoder(bytes, { depthMax, itemsMax }).only();
}

const MAJOR = { unsigned: 0, negative: 1, bytes: 2, text: 3, array: 4, map: 5, tag: 6, simple: 7 } as const;
const KINDS = [
  "an unsigned integer",
  "a negative integer",
  "a byte string",
  "text",
  "an array",
  "a map",
  "a tag",
  "a simple value",
] as const;
const FALSE = 20;
const TRUE = 21;
const NULL = 22;
const TWO_32 = 2 ** 32;

const textEncoder = new TextEncoder();
const textDecoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The buffer of the last encoder that finished. An encoder takes it away: a getter in a value could start another. */
let scratch: DataView<ArrayBuffer> | undefined;
const SCRATCH_BYTES_MAX = 65_536;

class Encoder {
  #view: DataView<ArrayBuffer>;
  #bytes: Uint8Array<ArrayBuffer>;
  #size = 0;
  /** Keys and indexes on the way to the value at hand. */
  readonly #path: (string | number)[] = [];

  constructor() {
    this.#view = scratch ?? new DataView(new ArrayBuffer(1024));
    this.#bytes = new Uint8Array(this.#view.buffer);
    scratch = undefined;
  }

  finish(): Uint8Array {
    if (this.#bytes.length <= SCRATCH_BYTES_MAX) scratch = this.#view;
    return this.#bytes.slice(0, this.#size);
  }

  item(value: CborValue, depth: number): void {
    if (typeof value === "string") this.#text(value);
    else if (typeof value === "number") this.#integer(value);
    else if (value === null) this.#head(MAJOR.simple, NULL);
    else if (typeof value === "boolean") this.#head(MAJOR.simple, value ? TRUE : FALSE);
    else if (value instanceof Uint8Array) this.#byteString(value);
    else if (typeof value !== "object") this.#refuse(`expected a value that CBOR holds, got ${typeof value}`);
    else this.#container(value, depth + 1);
  }

  #integer(value: number): void {
    if (!Number.isSafeInteger(value)) this.#refuse("expected an integer within ±(2^53 - 1); write others as text");
    if (value < 0) this.#head(MAJOR.negative, -1 - value);
    else this.#head(MAJOR.unsigned, value);
  }

  #text(value: string): void {
    if (!value.isWellFormed()) this.#refuse("expected well-formed text, got a lone surrogate");
    const size = utf8Size(value);
    this.#head(MAJOR.text, size);
    this.#reserve(size);
    if (size === value.length && size <= 32) {
      // ASCII; for short text the call into the platform costs more than the loop.
      for (let i = 0; i < size; i += 1) this.#bytes[this.#size + i] = value.charCodeAt(i);
    } else {
      textEncoder.encodeInto(value, this.#bytes.subarray(this.#size));
    }
    this.#size += size;
  }

  #byteString(value: Uint8Array): void {
    this.#head(MAJOR.bytes, value.length);
    this.#reserve(value.length);
    this.#bytes.set(value, this.#size);
    this.#size += value.length;
  }

  #container(value: readonly CborValue[] | CborMap, depth: number): void {
    if (depth > CBOR_DEPTH_MAX) this.#refuse(`expected at most ${CBOR_DEPTH_MAX} levels of arrays and maps`);
    if (isArray(value)) this.#array(value, depth);
    else this.#map(value, depth);
  }

  #array(values: readonly CborValue[], depth: number): void {
    this.#head(MAJOR.array, values.length);
    // By index: forEach would leave out a hole, which has to be refused.
    for (let i = 0; i < values.length; i += 1) {
      this.#path.push(i);
      this.item(values[i] as CborValue, depth);
      this.#path.pop();
    }
  }

  #map(map: CborMap, depth: number): void {
    const keys = Object.keys(map).sort(compareKeys);
    this.#head(MAJOR.map, keys.length);
    for (const key of keys) {
      this.#text(key);
      this.#path.push(key);
      this.item(map[key] as CborValue, depth);
      this.#path.pop();
    }
  }

  #head(major: number, argument: number): void {
    this.#reserve(9);
    const view = this.#view;
    const at = this.#size;
    const first = major * 32;
    if (argument < 24) {
      view.setUint8(at, first + argument);
      this.#size += 1;
    } else if (argument < 256) {
      view.setUint8(at, first + 24);
      view.setUint8(at + 1, argument);
      this.#size += 2;
    } else if (argument < 65_536) {
      view.setUint8(at, first + 25);
      view.setUint16(at + 1, argument);
      this.#size += 3;
    } else if (argument < TWO_32) {
      view.setUint8(at, first + 26);
      view.setUint32(at + 1, argument);
      this.#size += 5;
    } else {
      view.setUint8(at, first + 27);
      view.setUint32(at + 1, Math.floor(argument / TWO_32));
      view.setUint32(at + 5, argument % TWO_32);
      this.#size += 9;
    }
  }

  #reserve(count: number): void {
    const needed = this.#size + count;
    if (needed <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(needed, 2 * this.#bytes.length));
    grown.set(this.#bytes.subarray(0, this.#size));
    this.#bytes = grown;
    this.#view = new DataView(grown.buffer);
  }

  #refuse(message: string): never {
    const steps = this.#path.map((step) => (typeof step === "number" ? `[${step}]` : `.${step}`));
    const path = steps.join("").replace(/^\./, "");
    throw new EventError("cbor-unencodable", `${path === "" ? "value" : path}: ${message}`, { details: { path } });
  }
}

interface Limits {
  readonly depthMax: number;
  readonly itemsMax: number;
}

/** Recursive, but never deeper than `depthMax`. */
class Decoder {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #limits: Limits;
  #at = 0;
  #items = 0;

  constructor(bytes: Uint8Array, limits: Limits) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#limits = limits;
  }

  only(): CborValue {
    const value = this.#item(0);
    const rest = this.#bytes.length - this.#at;
    if (rest > 0) malformed(this.#at, `expected the end of the data, got ${rest} more bytes`);
    return value;
  }

  #item(depth: number): CborValue {
    const at = this.#at;
    const { major, info } = this.#initialByte();
    if (major === MAJOR.simple) return simple(info, at);
    if (major === MAJOR.tag) malformed(at, "a tag is not allowed");
    const argument = this.#argument(info, major, at);
    switch (major) {
      case MAJOR.unsigned:
        return argument <= Number.MAX_SAFE_INTEGER ? argument : malformed(at, "an integer is above 2^53 - 1");
      case MAJOR.negative:
        return argument < Number.MAX_SAFE_INTEGER ? -1 - argument : malformed(at, "an integer is below -(2^53 - 1)");
      case MAJOR.bytes:
        return new Uint8Array(this.#take(argument, MAJOR.bytes, at));
      case MAJOR.text:
        return decodeText(this.#take(argument, MAJOR.text, at), at);
      case MAJOR.array:
        return this.#array(argument, depth + 1, at);
      default:
        return this.#map(argument, depth + 1, at);
    }
  }

  #initialByte(): { major: number; info: number } {
    if (this.#at === this.#bytes.length) malformed(this.#at, "expected an item, got the end of the data");
    if (this.#items === this.#limits.itemsMax) {
      malformed(this.#at, `expected at most ${this.#limits.itemsMax} items`);
    }
    this.#items += 1;
    const byte = this.#view.getUint8(this.#at);
    this.#at += 1;
    return { major: Math.floor(byte / 32), info: byte % 32 };
  }

  /** The number in an item's head: an integer's value, or a length. Above 2^53 it is only near the true one. */
  #argument(info: number, major: number, at: number): number {
    if (info < 24) return info;
    if (info === 31) malformed(at, `${kindOf(major)} of indefinite length is not allowed`);
    if (info > 27) malformed(at, `additional information ${info} is reserved`);
    const size = 2 ** (info - 24);
    const start = this.#at;
    if (this.#bytes.length - start < size) malformed(at, `the data ends within the head of ${kindOf(major)}`);
    this.#at += size;
    const argument = readUint(this.#view, start, size);
    const shortest = size === 1 ? 24 : 2 ** (4 * size);
    if (argument < shortest) malformed(at, `the head of ${kindOf(major)} is not in its shortest form`);
    return argument;
  }

  #take(length: number, major: number, at: number): Uint8Array {
    const rest = this.#bytes.length - this.#at;
    if (length > rest) malformed(at, `${kindOf(major)} claims ${length} bytes, of which ${rest} are there`);
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }

  #enter(count: number, itemBytesMin: number, position: { major: number; depth: number; at: number }): void {
    const { major, depth, at } = position;
    if (depth > this.#limits.depthMax)
      malformed(at, `${kindOf(major)} lies deeper than ${this.#limits.depthMax} levels`);
    const rest = this.#bytes.length - this.#at;
    if (count * itemBytesMin > rest)
      malformed(at, `${kindOf(major)} claims ${count} entries, but only ${rest} bytes follow`);
  }

  #array(count: number, depth: number, at: number): CborValue[] {
    this.#enter(count, 1, { major: MAJOR.array, depth, at });
    const values: CborValue[] = [];
    for (let i = 0; i < count; i += 1) values.push(this.#item(depth));
    return values;
  }

  #map(count: number, depth: number, at: number): CborMap {
    this.#enter(count, 2, { major: MAJOR.map, depth, at });
    const map = Object.create(null) as Record<string, CborValue>;
    let previous: Uint8Array | undefined;
    for (let i = 0; i < count; i += 1) {
      const keyAt = this.#at;
      const key = this.#key(keyAt);
      if (previous !== undefined) assertOrder(previous, key, keyAt);
      previous = key;
      map[decodeText(key, keyAt)] = this.#item(depth);
    }
    return map;
  }

  #key(at: number): Uint8Array {
    const { major, info } = this.#initialByte();
    if (major !== MAJOR.text) malformed(at, `expected text as a map's key, got ${kindOf(major)}`);
    return this.#take(this.#argument(info, major, at), MAJOR.text, at);
  }
}

function simple(info: number, at: number): boolean | null {
  switch (info) {
    case FALSE:
      return false;
    case TRUE:
      return true;
    case NULL:
      return null;
    case 23:
      return malformed(at, "undefined is not allowed");
    case 25:
    case 26:
    case 27:
      return malformed(at, "a floating-point number is not allowed");
    case 31:
      return malformed(at, "a break stands where an item is expected");
    default:
      return malformed(at, info > 27 ? `additional information ${info} is reserved` : "a simple value is not allowed");
  }
}

function assertOrder(previous: Uint8Array, key: Uint8Array, at: number): void {
  const order = compareEncodedKeys(previous, key);
  if (order === 0) malformed(at, "a map has the same key twice");
  if (order > 0) malformed(at, "a map's keys are not in the order of their encodings");
}

/** The order of two texts' encodings: the shorter one's head is lower, so length in bytes comes first. */
function compareEncodedKeys(a: Uint8Array, b: Uint8Array): number {
  if (a.length !== b.length) return a.length - b.length;
  const i = a.findIndex((byte, at) => byte !== b[at]);
  return i === -1 ? 0 : (a[i] ?? 0) - (b[i] ?? 0);
}

/** The same order on strings, without encoding them. */
function compareKeys(a: string, b: string): number {
  const difference = utf8Size(a) - utf8Size(b);
  if (difference !== 0) return difference;
  for (let i = 0; i < a.length && i < b.length; i += 1) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x === y) continue;
    // Code units sort like UTF-8 except that surrogates stand for what comes after all the others.
    return isSurrogate(x) === isSurrogate(y) ? x - y : isSurrogate(x) ? 1 : -1;
  }
  return 0;
}

function utf8Size(text: string): number {
  let size = text.length;
  for (let i = 0; i < text.length; i += 1) {
    const unit = text.charCodeAt(i);
    if (unit < 0x80) continue;
    // Two surrogates of two bytes each make up one character of four.
    size += unit < 0x800 || isSurrogate(unit) ? 1 : 2;
  }
  return size;
}

function isSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdfff;
}

function decodeText(utf8: Uint8Array, at: number): string {
  if (utf8.length <= 32) {
    const ascii = decodeShortAscii(utf8);
    if (ascii !== undefined) return ascii;
  }
  try {
    return textDecoder.decode(utf8);
  } catch {
    return malformed(at, "text is not valid UTF-8");
  }
}

/** For short text several times as fast as the platform's decoder. */
function decodeShortAscii(utf8: Uint8Array): string | undefined {
  let text = "";
  for (const byte of utf8) {
    if (byte >= 0x80) return undefined;
    text += String.fromCharCode(byte);
  }
  return text;
}

function readUint(view: DataView, at: number, size: number): number {
  if (size === 1) return view.getUint8(at);
  if (size === 2) return view.getUint16(at);
  if (size === 4) return view.getUint32(at);
  return view.getUint32(at) * TWO_32 + view.getUint32(at + 4);
}

function kindOf(major: number): string {
  return KINDS[major] ?? "";
}

/** Array.isArray does not narrow to readonly arrays. */
function isArray(value: readonly CborValue[] | CborMap): value is readonly CborValue[] {
  return Array.isArray(value);
}

function malformed(offset: number, message: string): never {
  throw new EventError("cbor-malformed", `byte ${offset}: ${message}`, { details: { offset } });
}
