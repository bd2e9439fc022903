import { encodeHex } from "@tallystick/core";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { formatHash, formatUuidBytes, hashBytes, isHex, isUuid, uuidBytes } from "../src/hex.ts";

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

describe("hashBytes", () => {
  test("reads what formatHash writes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (bytes) => {
        expect(formatHash(bytes)).toBe(encodeHex(bytes));
        expect(hashBytes(formatHash(bytes))).toEqual(bytes);
      }),
    );
  });

  test("takes 64 digits and nothing else at any place", () => {
    const digits = "0123456789abcdef".repeat(4);
    for (let at = 0; at < 64; at += 1) {
      for (const character of ["A", "g", "-", "\uff10", "", "00"]) {
        expect(hashBytes(digits.slice(0, at) + character + digits.slice(at + 1))).toBeUndefined();
      }
    }
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
