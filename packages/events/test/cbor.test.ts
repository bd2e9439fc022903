import { decodeHex, encodeHex } from "@tallystick/core";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { describeWithVectors, readVectorJson } from "../../../test/support/vectors.ts";
import { type CborValue, EventError, decodeCbor, encodeCbor } from "../src/index.ts";

const MAX = Number.MAX_SAFE_INTEGER;

function hexOf(value: CborValue): string {
  return encodeHex(encodeCbor(value));
}

function decodeHexCbor(hex: string): CborValue {
  return decodeCbor(decodeHex(hex));
}

/** The error that `work` ends in, which has to be an EventError. */
function errorOf(work: () => unknown): EventError {
  try {
    work();
  } catch (error) {
    if (error instanceof EventError) return error;
    throw error;
  }
  throw new Error("expected an EventError");
}

const scalar = fc.oneof(
  fc.constant(null),
  fc.boolean(),
  fc.maxSafeInteger(),
  fc.constantFrom(0, 23, 24, 255, 256, 65_535, 65_536, 2 ** 32 - 1, 2 ** 32, MAX, -1, -24, -25, -256, -257, -MAX),
  fc.string({ unit: "binary", maxLength: 40 }),
  fc.uint8Array({ maxLength: 40 }),
);

/** Any value of at most 8 levels; maps without a prototype, as the decoder makes them. */
function valueOf(levels: number): fc.Arbitrary<CborValue> {
  if (levels === 0) return scalar;
  const inner = valueOf(levels - 1);
  return fc.oneof(
    { weight: 3, arbitrary: scalar },
    { weight: 1, arbitrary: fc.array(inner, { maxLength: 4 }) },
    {
      weight: 1,
      arbitrary: fc.dictionary(fc.string({ unit: "binary", maxLength: 30 }), inner, {
        maxKeys: 5,
        noNullPrototype: false,
      }),
    },
  );
}

function withoutPrototypes(value: CborValue): CborValue {
  if (Array.isArray(value)) return (value as CborValue[]).map(withoutPrototypes);
  if (value === null || typeof value !== "object" || value instanceof Uint8Array) return value;
  const map = Object.create(null) as Record<string, CborValue>;
  for (const [key, inner] of Object.entries(value)) map[key] = withoutPrototypes(inner);
  return map;
}

describe("encodeCbor", () => {
  test.each<[CborValue, string]>([
    [0, "00"],
    [-0, "00"],
    [23, "17"],
    [24, "1818"],
    [255, "18ff"],
    [256, "190100"],
    [65_535, "19ffff"],
    [65_536, "1a00010000"],
    [2 ** 32 - 1, "1affffffff"],
    [2 ** 32, "1b0000000100000000"],
    [1_763_712_000_000, "1b0000019aa56d6000"],
    [MAX, "1b001fffffffffffff"],
    [-1, "20"],
    [-24, "37"],
    [-25, "3818"],
    [-MAX, "3b001ffffffffffffe"],
    ["", "60"],
    ["é水𐅑", "69c3a9e6b0b4f0908591"],
    [new Uint8Array([1, 2]), "420102"],
    [[null, true, false], "83f6f5f4"],
    [{}, "a0"],
  ])("writes %j as %s", (value, hex) => {
    expect(hexOf(value)).toBe(hex);
  });

  test("sorts keys by the bytes of their encodings: shorter first, then by UTF-8", () => {
    const keys = ["", "z", "aa", "é", "ab", "\u{10000}", "\uffff\u0001", "10", "9"];
    const sorted = Object.keys(decodeCbor(encodeCbor(Object.fromEntries(keys.map((key) => [`k${key}`, 0])))) as object);
    expect(sorted).toEqual(["k", "k9", "kz", "k10", "kaa", "kab", "ké", "k\uffff\u0001", "k\u{10000}"]);
  });

  test("keeps a key named __proto__ an ordinary key", () => {
    const value = decodeHexCbor("a1695f5f70726f746f5f5f01");
    expect(Object.keys(value as object)).toEqual(["__proto__"]);
    expect(hexOf(value)).toBe("a1695f5f70726f746f5f5f01");
  });

  test.each<[string, unknown, string]>([
    ["a fraction", 1.5, ""],
    ["2^53", MAX + 1, ""],
    ["-2^53", -MAX - 1, ""],
    ["NaN", { a: [0, Number.NaN] }, "a[1]"],
    ["an infinity", Infinity, ""],
    ["undefined", { a: undefined }, "a"],
    ["a hole in an array", [0, , 1], "[1]"], // oxlint-disable-line no-sparse-arrays
    ["a bigint", 1n, ""],
    ["a function", () => 0, ""],
    ["a symbol", Symbol("s"), ""],
    ["a lone high surrogate", { a: { b: "\ud800" } }, "a.b"],
    ["a lone low surrogate", "\udc00x", ""],
    ["a lone surrogate in a key", { "\ud800": 1 }, ""],
  ])("refuses %s and names where", (_, value, path) => {
    const error = errorOf(() => encodeCbor(value as CborValue));
    expect(error.code).toBe("cbor-unencodable");
    expect(error.details).toEqual({ path });
  });

  test("refuses a ninth level, so that a cycle ends", () => {
    const cycle: CborValue[] = [];
    cycle.push(cycle);
    expect(errorOf(() => encodeCbor(cycle)).message).toContain("at most 8 levels");
    expect(hexOf([[[[[[[[]]]]]]]])).toBe("8181818181818180");
  });
});

describe("decodeCbor", () => {
  // Hex, the offset of the defect, and words of its message.
  const defects: [string, string, number, string][] = [
    ["nothing", "", 0, "the end of the data"],
    ["a byte too many", "0000", 1, "1 more bytes"],
    ["an array's missing item", "8201", 0, "claims 2 entries, but only 1 bytes"],
    ["a missing item at the end", "828101", 3, "the end of the data"],
    ["a map's missing value", "a16161", 3, "the end of the data"],
    ["23 in two bytes", "1817", 0, "the head of an unsigned integer is not in its shortest form"],
    ["255 in three bytes", "1900ff", 0, "shortest form"],
    ["65535 in five bytes", "1a0000ffff", 0, "shortest form"],
    ["2^32-1 in nine bytes", "1b00000000ffffffff", 0, "shortest form"],
    ["-1 in two bytes", "3800", 0, "a negative integer is not in its shortest form"],
    ["a byte string's long length", "580100", 0, "a byte string is not"],
    ["a text's long length", "780161", 0, "text is not"],
    ["an array's long length", "980100", 0, "an array is not"],
    ["a map's long length", "b80000", 0, "a map is not"],
    ["a long length within", "826161780161", 3, "shortest form"],
    ["2^53", "1b0020000000000000", 0, "above 2^53 - 1"],
    ["2^53+1", "1b0020000000000001", 0, "above 2^53 - 1"],
    ["2^64-1", "1bffffffffffffffff", 0, "above 2^53 - 1"],
    ["-2^53", "3b001fffffffffffff", 0, "below -(2^53 - 1)"],
    ["-2^53-1", "3b0020000000000000", 0, "below -(2^53 - 1)"],
    ["a half float", "f90000", 0, "floating-point"],
    ["a float", "fa47c35000", 0, "floating-point"],
    ["a double", "fb3ff199999999999a", 0, "floating-point"],
    ["a tag", "c101", 0, "a tag"],
    ["a long tag", "d81800", 0, "a tag"],
    ["undefined", "f7", 0, "undefined"],
    ["a simple value", "f0", 0, "simple value"],
    ["a simple value in two bytes", "f8ff", 0, "simple value"],
    ["false in two bytes", "f814", 0, "simple value"],
    ["a break", "ff", 0, "a break"],
    ["a reserved simple value", "fc", 0, "information 28 is reserved"],
    ["a reserved integer", "1c", 0, "information 28 is reserved"],
    ["a reserved length", "5e", 0, "information 30 is reserved"],
    ["an integer of indefinite length", "1f", 0, "indefinite length"],
    ["bytes of indefinite length", "5f4100ff", 0, "byte string of indefinite length"],
    ["text of indefinite length", "7f6161ff", 0, "text of indefinite length"],
    ["an array of indefinite length", "9fff", 0, "array of indefinite length"],
    ["a map of indefinite length", "bfff", 0, "map of indefinite length"],
    ["a key twice", "a2616100616101", 4, "same key twice"],
    ["keys out of order", "a2616200616101", 4, "order of their encodings"],
    ["a longer key first", "a262616100616201", 5, "order of their encodings"],
    ["an integer as key", "a10102", 1, "expected text as a map's key, got an unsigned integer"],
    ["bytes as key", "a1416102", 1, "expected text as a map's key, got a byte string"],
    ["an overlong UTF-8 form", "62c080", 0, "not valid UTF-8"],
    ["a surrogate in UTF-8", "63eda080", 0, "not valid UTF-8"],
    ["a code point above U+10FFFF", "64f4908080", 0, "not valid UTF-8"],
    ["half a character", "61c3", 0, "not valid UTF-8"],
    ["a key that is not UTF-8", "a161ff00", 1, "not valid UTF-8"],
    ["a head cut short", "19ff", 0, "ends within the head"],
    ["bytes cut short", "4301ff", 0, "claims 3 bytes, of which 2 are there"],
    ["text cut short", "6361", 0, "claims 3 bytes, of which 1 are there"],
    ["a key cut short", "a16361", 1, "text claims 3 bytes, of which 1 are there"],
    ["2^53-1 bytes claimed", "5b001fffffffffffff", 0, "of which 0 are there"],
    ["2^64-1 bytes claimed", "5bffffffffffffffff", 0, "of which 0 are there"],
    ["2^53-1 items claimed", "9b001fffffffffffff", 0, "but only 0 bytes follow"],
    ["2^53-1 keys claimed", "bb001fffffffffffff", 0, "but only 0 bytes follow"],
    ["a ninth level of arrays", "818181818181818180", 8, "deeper than 8 levels"],
    ["a ninth level, a map", "8181818181818181a0", 8, "deeper than 8 levels"],
  ];

  test.each(defects)("refuses %s (%s) at its byte", (_, hex, offset, words) => {
    const error = errorOf(() => decodeHexCbor(hex));
    expect(error.code).toBe("cbor-malformed");
    expect(error.message).toContain(`byte ${offset}: `);
    expect(error.message).toContain(words);
    expect(error.details).toEqual({ offset });
  });

  test("takes text with a byte order mark, controls and unnormalised letters as it is", () => {
    for (const text of ["\ufeffa", "\u0000\n", "e\u0301", "é", "\u{10ffff}", "\ufeff".repeat(40)]) {
      expect(decodeCbor(encodeCbor(text))).toBe(text);
    }
  });

  test("returns byte strings of its own, also from a Buffer", () => {
    const bytes = Buffer.from("420102", "hex");
    const value = decodeCbor(bytes) as Uint8Array;
    bytes.fill(0);
    expect(value).toEqual(new Uint8Array([1, 2]));
    expect(value.buffer.byteLength).toBe(2);
  });

  test("keeps to the bounds that it is given", () => {
    const three = encodeCbor([1, 2]);
    expect(decodeCbor(three, { bytesMax: 3, itemsMax: 3, depthMax: 1 })).toEqual([1, 2]);
    expect(errorOf(() => decodeCbor(three, { bytesMax: 2 })).message).toBe("byte 2: expected at most 2 bytes, got 3");
    expect(errorOf(() => decodeCbor(three, { itemsMax: 2 })).message).toBe("byte 2: expected at most 2 items");
    expect(errorOf(() => decodeCbor(three, { depthMax: 0 })).message).toContain("deeper than 0 levels");
  });

  test("refuses a hundred thousand nested arrays without deep recursion", () => {
    expect(errorOf(() => decodeCbor(new Uint8Array(100_000).fill(0x81))).details).toEqual({ offset: 8 });
  });

  test("finds no other bytes for any item of up to two bytes", () => {
    const accepted: string[] = [];
    const tryBytes = (bytes: Uint8Array): void => {
      try {
        const value = decodeCbor(bytes);
        expect(encodeCbor(value)).toEqual(bytes);
        accepted.push(encodeHex(bytes));
      } catch (error) {
        if (!(error instanceof EventError)) throw error;
      }
    };
    tryBytes(new Uint8Array());
    for (let a = 0; a < 256; a += 1) {
      tryBytes(new Uint8Array([a]));
      for (let b = 0; b < 256; b += 1) tryBytes(new Uint8Array([a, b]));
    }
    // One byte: 24 + 24 integers, h'', "", [], {}, false, true, null. Two: 232 + 232 integers, 256 byte strings, 128
    // characters, 55 arrays of one.
    expect(accepted.filter((hex) => hex.length === 2)).toHaveLength(55);
    expect(accepted.filter((hex) => hex.length === 4)).toHaveLength(232 + 232 + 256 + 128 + 55);
  });
});

describe("canonical CBOR", () => {
  test("decodes what it encoded to the same value", () => {
    fc.assert(
      fc.property(valueOf(4), (value) => {
        expect(decodeCbor(encodeCbor(value))).toEqual(withoutPrototypes(value));
      }),
      { numRuns: 2_000 },
    );
  });

  test("encodes what it decoded to the same bytes, whatever the bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 24 }), (bytes) => {
        const value = attempt(bytes);
        expect(value === undefined ? bytes : encodeCbor(value)).toEqual(bytes);
      }),
      { numRuns: 20_000 },
    );
  });

  test("has one encoding for a value: a changed byte is refused or is another value", () => {
    fc.assert(
      fc.property(valueOf(3), fc.nat(), fc.integer({ min: 1, max: 255 }), (value, place, change) => {
        const bytes = encodeCbor(value);
        const at = place % bytes.length;
        bytes[at] = (bytes[at] ?? 0) ^ change;
        const other = attempt(bytes);
        if (other === undefined) return;
        expect(encodeCbor(other)).toEqual(bytes);
        expect(other).not.toEqual(withoutPrototypes(value));
      }),
      { numRuns: 5_000 },
    );
  });

  test("refuses every proper prefix of an item", () => {
    fc.assert(
      fc.property(valueOf(3), (value) => {
        const bytes = encodeCbor(value);
        for (let size = 0; size < bytes.length; size += 1) expect(attempt(bytes.subarray(0, size))).toBeUndefined();
      }),
      { numRuns: 500 },
    );
  });

  test("does not depend on the order in which keys were set", () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string({ unit: "binary" }), fc.nat()), (map) => {
        const reversed = Object.fromEntries(Object.entries(map).reverse());
        expect(encodeCbor(reversed)).toEqual(encodeCbor(map));
      }),
    );
  });
});

function attempt(bytes: Uint8Array): CborValue | undefined {
  try {
    return decodeCbor(bytes);
  } catch (error) {
    if (error instanceof EventError) return undefined;
    throw error;
  }
}

interface Row {
  readonly hex: string;
  /** False for indefinite lengths and floats that are longer than need be. */
  readonly roundtrip: boolean;
  readonly decoded?: CborValue;
  readonly diagnostic?: string;
}

/** What stands in RFC 8949, Appendix A, and is in our form too, though its value is not written as JSON. */
const byteStrings: Readonly<Record<string, Uint8Array>> = {
  "h''": new Uint8Array(),
  "h'01020304'": new Uint8Array([1, 2, 3, 4]),
};

/** Floats, tags, simple values but three, integers beyond 2^53 and as keys; all of them in their preferred form. */
function isOutside(hex: string): boolean {
  if (["1bffffffffffffffff", "3bffffffffffffffff", "a201020304"].includes(hex)) return true;
  return hex >= "c0" && !["f4", "f5", "f6"].includes(hex);
}

describeWithVectors("the examples of RFC 8949, Appendix A", () => {
  const rows = readVectorJson<readonly Row[]>("encoding/cbor-rfc8949-appendix-a.json");
  const outside = rows.filter(({ hex, roundtrip }) => !roundtrip || isOutside(hex));
  const inside = rows.filter((row) => !outside.includes(row));

  test.each(outside)("$hex is refused", ({ hex }) => {
    expect(errorOf(() => decodeHexCbor(hex)).code).toBe("cbor-malformed");
  });

  test.each(inside)("$hex is read and written back", ({ hex, decoded, diagnostic }) => {
    const value = decoded ?? byteStrings[diagnostic ?? ""] ?? null;
    expect(decodeHexCbor(hex)).toEqual(withoutPrototypes(value));
    expect(hexOf(value)).toBe(hex);
  });

  test("48 of the 82 are outside of the canonical form", () => {
    expect([rows.length, outside.length]).toEqual([82, 48]);
  });
});
