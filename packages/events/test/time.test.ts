import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { formatTime, parseTime } from "../src/time.ts";

describe("parseTime", () => {
  test.each([
    ["1970-01-01T00:00:00Z", 0],
    ["1970-01-01t00:00:00z", 0],
    ["1970-01-01T00:00:00.9999Z", 999],
    ["1970-01-01T00:00:00.5Z", 500],
    ["1970-01-01T01:30:00+01:30", 0],
    ["1969-12-31T22:30:00-01:30", 0],
    ["1970-01-01T00:00:00-00:00", 0],
    ["2024-02-29T00:00:00Z", Date.UTC(2024, 1, 29)],
    ["0001-01-01T00:00:00Z", Date.parse("0001-01-01T00:00:00Z")],
  ])("reads %s", (text, timeMs) => {
    expect(parseTime(text)).toBe(timeMs);
  });

  test.each(["2023-02-29T00:00:00Z", "2023-13-01T00:00:00Z", "2023-00-01T00:00:00Z", "2023-01-00T00:00:00Z"])(
    "refuses %s, which no calendar has",
    (text) => {
      expect(parseTime(text)).toBeUndefined();
    },
  );

  test("reads what formatTime writes", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 253_402_300_799_999 }), (timeMs) => {
        expect(parseTime(formatTime(timeMs))).toBe(timeMs);
      }),
    );
  });
});
