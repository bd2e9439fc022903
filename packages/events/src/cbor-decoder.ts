/** Reads canonical CBOR, and refuses every other form with the byte at which it shows. RFC 8949 §4.2.1. */
import { type CborMap, type CborValue, MAJOR, SIMPLE } from "./cbor-value.ts";
import { EventError } from "./error.ts";
import { SHORT_TEXT_BYTES, shortText } from "./short-text.ts";

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
const TWO_32 = 2 ** 32;
const textDecoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export interface Limits {
  readonly depthMax: number;
  readonly itemsMax: number;
}

/** Recursive, but never deeper than `depthMax`. */
export class Decoder {
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
    case SIMPLE.false:
      return false;
    case SIMPLE.true:
      return true;
    case SIMPLE.null:
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

function decodeText(utf8: Uint8Array, at: number): string {
  const short = utf8.length <= SHORT_TEXT_BYTES ? shortText(utf8, 0, utf8.length) : undefined;
  if (short !== undefined) return short;
  try {
    return textDecoder.decode(utf8);
  } catch {
    return malformed(at, "text is not valid UTF-8");
  }
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

/** Refuses the bytes, for what shows at `offset`. */
export function malformed(offset: number, message: string): never {
  throw new EventError("cbor-malformed", `byte ${offset}: ${message}`, { details: { offset } });
}
