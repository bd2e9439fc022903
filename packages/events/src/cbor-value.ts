/** What canonical CBOR can hold, and the numbers that stand for it in an item's first byte. RFC 8949 §3. */

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

/** Major types: the upper three bits of an item's first byte. */
export const MAJOR = { unsigned: 0, negative: 1, bytes: 2, text: 3, array: 4, map: 5, tag: 6, simple: 7 } as const;

/** The simple values that are allowed: the lower five bits after major type 7. */
export const SIMPLE = { false: 20, true: 21, null: 22 } as const;
