/** Writes canonical CBOR: shortest heads, sorted keys. RFC 8949 §4.2.1. */
import { CBOR_DEPTH_MAX, type CborMap, type CborValue, MAJOR, SIMPLE } from "./cbor-value.ts";
import { EventError } from "./error.ts";

const TWO_32 = 2 ** 32;
const textEncoder = new TextEncoder();

/** The buffer of the last encoder that finished. An encoder takes it away: a getter in a value could start another. */
let scratch: DataView<ArrayBuffer> | undefined;
const SCRATCH_BYTES_MAX = 65_536;

/** Encodes one item; not to be used again after finish(). */
export class Encoder {
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
    else if (value === null) this.#head(MAJOR.simple, SIMPLE.null);
    else if (typeof value === "boolean") this.#head(MAJOR.simple, value ? SIMPLE.true : SIMPLE.false);
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

/** The order of two keys' encodings, without encoding them: the shorter one's head is lower, so length comes first. */
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

/** Array.isArray does not narrow to readonly arrays. */
function isArray(value: readonly CborValue[] | CborMap): value is readonly CborValue[] {
  return Array.isArray(value);
}
