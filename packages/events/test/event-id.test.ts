import { encodeHex } from "@tallystick/core";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { importedEventId, newEventId } from "../src/index.ts";
import { formatUuid, parseUuid } from "../src/event-id.ts";

describe("newEventId", () => {
  test("is the UUID of RFC 9562, appendix A.6, for its time and random bits", () => {
    // unix_ts_ms 0x017F22E279B0, rand_a 0xCC3, rand_b 0x18C4DC0C0C07398F
    const random = Uint8Array.from([0, 0, 0, 0, 0, 0, 0x0c, 0xc3, 0x18, 0xc4, 0xdc, 0x0c, 0x0c, 0x07, 0x39, 0x8f]);
    expect(newEventId(1_645_557_742_000, random)).toBe("017f22e2-79b0-7cc3-98c4-dc0c0c07398f");
  });

  test("sorts by time", () => {
    const random = new Uint8Array(16).fill(255);
    fc.assert(
      fc.property(fc.maxSafeInteger(), fc.maxSafeInteger(), (a, b) => {
        const [first, second] = [Math.abs(a) % 2 ** 48, Math.abs(b) % 2 ** 48];
        expect(newEventId(first, random) < newEventId(second, random)).toBe(first < second);
      }),
    );
  });

  test("leaves the random bytes as they were", () => {
    const random = new Uint8Array(16).fill(255);
    newEventId(0, random);
    expect(random).toEqual(new Uint8Array(16).fill(255));
  });

  test.each([-1, 0.5, Number.NaN, 2 ** 48])("refuses %d as a time", (nowMs) => {
    expect(() => newEventId(nowMs, new Uint8Array(16))).toThrow(RangeError);
  });

  test("refuses another count of random bytes", () => {
    expect(() => newEventId(0, new Uint8Array(15))).toThrow(RangeError);
  });
});

describe("importedEventId", () => {
  const at = { source: "auth.log", lineNumber: 7, line: "text" };

  test("is of version 7 and bears the time", () => {
    expect(importedEventId(1_645_557_742_000, at)).toMatch(
      /^017f22e2-79b0-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
    );
  });

  test("is the same for the same line and differs for any other", () => {
    const id = importedEventId(1000, at);
    expect(importedEventId(1000, { ...at })).toBe(id);
    const others = [{ source: "auth.log.1" }, { lineNumber: 8 }, { line: "texts" }, { source: "auth.log\u00007" }];
    const ids = others.map((other) => importedEventId(1000, { ...at, ...other }));
    expect(new Set([id, ...ids, importedEventId(1001, at)]).size).toBe(6);
  });
});

describe("parseUuid", () => {
  test("undoes formatUuid", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), (bytes) => {
        expect(encodeHex(parseUuid(formatUuid(bytes)))).toBe(encodeHex(bytes));
      }),
    );
  });

  test.each(["", "0198C5D2-7c3a-7f4e-9d1b-2f6a8e0c4b7d", "0198c5d27c3a7f4e9d1b2f6a8e0c4b7d"])("refuses %j", (text) => {
    expect(() => parseUuid(text)).toThrow(RangeError);
  });

  test("formatUuid refuses another count of bytes", () => {
    expect(() => formatUuid(new Uint8Array(15))).toThrow(RangeError);
  });
});
