/** Reads the parts of a format out of decoded CBOR; what does not fit becomes that format's own error. */
import { type CborValue, type DecodeCborOptions, decodeCbor } from "./cbor.ts";
import { EventError, type EventErrorCode } from "./error.ts";

interface Bounds {
  readonly min: number;
  readonly max?: number;
}

export class FieldReader {
  readonly #code: EventErrorCode;

  constructor(code: EventErrorCode) {
    this.#code = code;
  }

  /** Decodes `[1, …]` of `length` parts: every format of ours begins with its version. */
  versioned(bytes: Uint8Array, name: string, options: DecodeCborOptions & { length: number }): readonly CborValue[] {
    const parts = decodeCbor(bytes, options);
    if (!isArray(parts)) this.refuse(name, `expected an array, got ${kindOf(parts)}`);
    if (parts[0] !== 1) this.refuse("version", `expected 1, got ${kindOf(parts[0])}`);
    return this.array(parts, name, options.length);
  }

  /** @param length - Of any length where absent. */
  array(value: CborValue | undefined, field: string, length?: number): readonly CborValue[] {
    if (!isArray(value)) return this.refuse(field, `expected an array, got ${kindOf(value)}`);
    if (length !== undefined && value.length !== length) {
      this.refuse(field, `expected ${length} parts, got ${value.length}`);
    }
    return value;
  }

  bytes(value: CborValue | undefined, field: string, length: number | Bounds): Uint8Array {
    if (!(value instanceof Uint8Array)) return this.refuse(field, `expected a byte string, got ${kindOf(value)}`);
    if (typeof length === "number") {
      if (value.length !== length) this.refuse(field, `expected ${length} bytes, got ${value.length}`);
    } else if (!isWithin(value.length, length)) {
      this.refuse(field, `expected ${describe(length)} bytes, got ${value.length}`);
    }
    return value;
  }

  integer(value: CborValue | undefined, field: string, bounds: Bounds): number {
    if (typeof value !== "number") return this.refuse(field, `expected an integer, got ${kindOf(value)}`);
    if (!isWithin(value, bounds)) this.refuse(field, `expected ${describe(bounds)}, got ${value}`);
    return value;
  }

  text(value: CborValue | undefined, field: string, pattern: RegExp): string {
    if (typeof value !== "string") return this.refuse(field, `expected text, got ${kindOf(value)}`);
    if (!pattern.test(value)) this.refuse(field, `expected text that matches ${pattern.source}`);
    return value;
  }

  refuse(field: string, message: string): never {
    throw new EventError(this.#code, `${field}: ${message}`, { details: { field } });
  }
}

function isWithin(value: number, { min, max = Number.MAX_SAFE_INTEGER }: Bounds): boolean {
  return Number.isSafeInteger(value) && value >= min && value <= max;
}

function describe({ min, max }: Bounds): string {
  return max === undefined ? `at least ${min}` : `${min} to ${max}`;
}

/** Numbers are shown: no format has a number that tells of a person. */
function kindOf(value: CborValue | undefined): string {
  if (value === undefined) return "nothing";
  if (value === null) return "null";
  if (value instanceof Uint8Array) return "a byte string";
  if (isArray(value)) return "an array";
  if (typeof value === "object") return "a map";
  return typeof value === "string" ? "text" : String(value);
}

function isArray(value: CborValue | undefined): value is readonly CborValue[] {
  return Array.isArray(value);
}
