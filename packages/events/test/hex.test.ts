import { encodeHex } from "@tallystick/core";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { formatHash, formatUuidBytes, hexBytes, isHex, isUuid, uuidBytes } from "../src/hex.ts";

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const uuid = "0198c5d2-7c3a-7f4e-9d1b-2f6a8e0c4b7d";

describe("isHex", () => {
  test("takes the sixteen digits of all code units", () => {
    const digits: string[] = [];
    for (let unit = 0; unit < 65_536; unit += 1) {
      const text = String.fromCharCode(unit);
      if (isHex(`a${text}`)) digits.push(text);
    }
    expect(digits.join("")).toBe("0123456789abcdef");
  });
});

describe("hexBytes", () => {
  test("reads what is hex of the size asked for, and nothing else", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        const text = encodeHex(bytes);
        expect(hexBytes(text, bytes.length)).toEqual(bytes);
        expect(hexBytes(text, bytes.length + 1)).toBeUndefined();
        expect(hexBytes(`${text}0`, bytes.length)).toBeUndefined();
      }),
    );
    for (let at = 0; at < 64; at += 1) expect(hexBytes(`${"a".repeat(at)}A${"a".repeat(63 - at)}`, 32)).toBeUndefined();
  });

  test("is written again by formatHash", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (bytes) => {
        expect(formatHash(bytes)).toBe(encodeHex(bytes));
      }),
    );
  });
});

describe("uuidBytes", () => {
  test("reads what formatUuidBytes writes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), (bytes) => {
        const text = formatUuidBytes(bytes);
        expect(text).toMatch(UUID);
        expect(text.replaceAll("-", "")).toBe(encodeHex(bytes));
        expect(uuidBytes(text)).toEqual(bytes);
      }),
    );
  });

  test("takes just what the pattern of a UUID takes, with any character at any place", () => {
    for (let at = 0; at < uuid.length; at += 1) {
      for (const character of ["0", "a", "f", "g", "A", "-", "_", " ", "\u0130", "\uff10", ""]) {
        const text = uuid.slice(0, at) + character + uuid.slice(at + 1);
        expect(isUuid(text)).toBe(UUID.test(text));
        expect(uuidBytes(text) !== undefined).toBe(UUID.test(text));
      }
    }
  });
});
