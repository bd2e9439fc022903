import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  compareBytes,
  concatBytes,
  decodeBase64,
  decodeHex,
  decodeUtf8,
  encodeBase64,
  encodeHex,
  equalBytes,
  readU32,
  readU64,
  u16,
  u32,
  u64,
  u8,
  utf8,
} from "../src/index.ts";
import { errorCode } from "../../../test/support/errors.ts";

const bytes = fc.uint8Array({ maxLength: 64 });

describe("concatBytes", () => {
  test("joins any number of parts into a new byte string", () => {
    const part = Uint8Array.of(1, 2);
    expect(concatBytes()).toEqual(new Uint8Array());
    expect(concatBytes(part)).not.toBe(part);
    expect(concatBytes(part, new Uint8Array(), Uint8Array.of(3))).toEqual(Uint8Array.of(1, 2, 3));
  });
});

describe("equalBytes and compareBytes", () => {
  test("a prefix comes first, and the first difference decides", () => {
    expect(compareBytes(Uint8Array.of(1), Uint8Array.of(1, 0))).toBeLessThan(0);
    expect(compareBytes(Uint8Array.of(2), Uint8Array.of(1, 0))).toBeGreaterThan(0);
    expect(compareBytes(Uint8Array.of(0x7f), Uint8Array.of(0x80))).toBeLessThan(0);
    expect(equalBytes(Uint8Array.of(1), Uint8Array.of(1, 0))).toBe(false);
  });

  test("agree with each other and with Buffer", () => {
    fc.assert(
      fc.property(bytes, bytes, (a, b) => {
        expect(Math.sign(compareBytes(a, b))).toBe(Buffer.compare(a, b));
        expect(equalBytes(a, b)).toBe(Buffer.compare(a, b) === 0);
        expect(equalBytes(a, a.slice())).toBe(true);
      }),
    );
  });
});

describe("UTF-8", () => {
  test("keeps a byte order mark and does not normalise", () => {
    for (const text of ["", "\u{FEFF}a", "e\u0301", "\u00E9", "— 🎋\n"]) expect(decodeUtf8(utf8(text))).toBe(text);
  });

  test.each([[0xff], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0xe2, 0x82]])(
    "refuses the bytes %j %j %j %j",
    (...invalid) => {
      expect(errorCode(() => decodeUtf8(Uint8Array.from(invalid)))).toBe("encoding-malformed");
      expect(errorCode(() => decodeUtf8(Uint8Array.from(invalid), "note-malformed"))).toBe("note-malformed");
    },
  );

  test("refuses a lone surrogate instead of replacing it", () => {
    expect(errorCode(() => utf8("a\ud800"))).toBe("encoding-malformed");
    expect(errorCode(() => utf8("\udc00", "note-malformed"))).toBe("note-malformed");
  });
});

describe("base64", () => {
  test("agrees with Buffer in both directions", () => {
    fc.assert(
      fc.property(bytes, (value) => {
        const text = Buffer.from(value).toString("base64");
        expect(encodeBase64(value)).toBe(text);
        expect(decodeBase64(text)).toEqual(value);
      }),
    );
  });

  test.each(["A", "AA", "AAA", "=", "==", "====", "A===", "AA=A", "A=AA", "AAAA=", "AAAAA", "AA==AAAA"])(
    "refuses %j: wrong padding",
    (text) => {
      expect(errorCode(() => decodeBase64(text))).toBe("encoding-malformed");
    },
  );

  test.each(["AB==", "AAB=", "////AB==", "//==", "///="])("refuses %j: unused bits are not zero", (text) => {
    expect(errorCode(() => decodeBase64(text))).toBe("encoding-malformed");
  });

  test.each(["AA-_", "AA A", "AAAA\n", " AAA", "AAé=", "\0AAA"])("refuses %j: not a digit", (text) => {
    expect(errorCode(() => decodeBase64(text))).toBe("encoding-malformed");
  });

  test("accepts no text but the one that it writes", () => {
    const text = fc.string({ unit: fc.constantFrom("A", "B", "g", "w", "/", "+", "9", "=", "-", " ") });
    fc.assert(
      fc.property(text, (text) => {
        const canonical = Buffer.from(text, "base64").toString("base64") === text;
        expect(errorCode(() => decodeBase64(text))).toBe(canonical ? undefined : "encoding-malformed");
      }),
      { numRuns: 2000 },
    );
  });

  test("an error bears the caller's code and name", () => {
    expect(() => decodeBase64("!", "checkpoint-malformed", "line 3")).toThrow(
      expect.objectContaining({ code: "checkpoint-malformed", message: 'line 3: expected canonical base64, got "!"' }),
    );
  });
});

describe("hex", () => {
  test("agrees with Buffer in both directions", () => {
    fc.assert(
      fc.property(bytes, (value) => {
        const text = Buffer.from(value).toString("hex");
        expect(encodeHex(value)).toBe(text);
        expect(decodeHex(text)).toEqual(value);
      }),
    );
  });

  test.each(["0", "000", "AB", "0g", " 00", "0x00", "00\n"])("refuses %j", (text) => {
    expect(errorCode(() => decodeHex(text))).toBe("encoding-malformed");
    expect(errorCode(() => decodeHex(text, "vkey-malformed", "key ID"))).toBe("vkey-malformed");
  });
});

describe("big-endian numbers", () => {
  test("have a fixed width", () => {
    expect(u8(255)).toEqual(Uint8Array.of(255));
    expect(u16(258)).toEqual(Uint8Array.of(1, 2));
    expect(u32(0xfffffffe)).toEqual(Uint8Array.of(255, 255, 255, 254));
    expect(u64(2 ** 53 - 1)).toEqual(Uint8Array.of(0, 31, 255, 255, 255, 255, 255, 255));
    expect(u64(2n ** 64n - 1n)).toEqual(new Uint8Array(8).fill(255));
  });

  test.each([
    () => u8(256),
    () => u8(-1),
    () => u8(0.5),
    () => u16(2 ** 16),
    () => u32(2 ** 32),
    () => u32(Number.NaN),
    () => u64(-1),
    () => u64(-1n),
    () => u64(2 ** 53),
    () => u64(1.5),
    () => u64(2n ** 64n),
  ])("refuse what does not fit: %s", (encode) => {
    expect(errorCode(encode)).toBe("RangeError");
  });

  test("readU32 reads what u32 wrote, from any offset of any view", () => {
    fc.assert(
      fc.property(fc.nat(2 ** 32 - 1), fc.nat(5), (value, offset) => {
        const buffer = concatBytes(new Uint8Array(3 + offset), u32(value));
        expect(readU32(buffer.subarray(3), offset)).toBe(value);
      }),
    );
    expect(readU32(u32(2 ** 32 - 1))).toBe(2 ** 32 - 1);
    for (const offset of [2, 5, -1]) expect(errorCode(() => readU32(new Uint8Array(5), offset))).toBe("RangeError");
  });

  test("readU64 reads what u64 wrote, from any offset of any view", () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), fc.nat(5), (value, offset) => {
        const buffer = concatBytes(new Uint8Array(3 + offset), u64(value));
        expect(readU64(buffer.subarray(3), offset)).toBe(value);
      }),
    );
    expect(readU64(u64(7))).toBe(7n);
    expect(errorCode(() => readU64(new Uint8Array(9), 2))).toBe("RangeError");
  });
});
