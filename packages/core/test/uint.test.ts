import { describe, expect, test } from "vitest";
import { UINT_MAX, assertSafeUint, formatUint, parseUint, toBigInt, toUint } from "../src/index.ts";
import { errorCode } from "../../../test/support/errors.ts";

describe("parseUint", () => {
  test.each(["0", "1", "42", "9007199254740993", "9223372036854775807"])("reads %s exactly", (text) => {
    expect(parseUint(text)).toBe(BigInt(text));
    expect(formatUint(parseUint(text))).toBe(text);
  });

  test.each(["", "00", "01", "-0", "-1", "+1", "1e3", "0x10", " 1", "1 ", "1\n", "1.0", "٣", "NaN", "0b1", "1_0"])(
    "refuses %j",
    (text) => {
      expect(errorCode(() => parseUint(text))).toBe("encoding-malformed");
    },
  );

  test.each(["9223372036854775808", "18446744073709551615", "1".repeat(100_000)])(
    "refuses a number above 2^63 - 1",
    (text) => {
      expect(errorCode(() => parseUint(text, "checkpoint-malformed", "line 2"))).toBe("checkpoint-malformed");
    },
  );

  test("shows the start of a long text only", () => {
    expect(() => parseUint("1".repeat(100), "note-malformed", "line 2")).toThrow(
      /^line 2: .{0,200}… \(100 characters\)$/,
    );
  });
});

describe("toBigInt", () => {
  test("takes safe numbers and bigints to 2^63 - 1", () => {
    for (const value of [0, 1, 2 ** 53 - 1, 0n, UINT_MAX]) expect(toBigInt(value, "size")).toBe(BigInt(value));
  });

  test.each([-1, 0.5, 2 ** 53, Number.NaN, Infinity, -1n, UINT_MAX + 1n])(
    "refuses %s and names the argument",
    (value) => {
      expect(() => toBigInt(value, "size")).toThrow(
        new RangeError(`size: expected a whole number from 0 to 2^63 - 1, exactly held, got ${value}`),
      );
      expect(errorCode(() => formatUint(value))).toBe("RangeError");
    },
  );
});

test("toUint gives a number where that is exact, else a bigint", () => {
  expect(toUint(2n ** 53n - 1n)).toBe(2 ** 53 - 1);
  expect(toUint(2n ** 53n)).toBe(2n ** 53n);
});

test.each([-1, 0.5, 2 ** 53, Number.NaN, Infinity])("assertSafeUint refuses %s", (value) => {
  expect(errorCode(() => assertSafeUint(value, "size"))).toBe("RangeError");
  expect(errorCode(() => assertSafeUint(2 ** 53 - 1, "size"))).toBeUndefined();
});
