import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { formatTime, midnightOf, parseTime } from "../src/time.ts";

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

  test("reads and refuses what a pattern and the platform's calendar do, with any character at any place", () => {
    for (const text of ["2026-01-31T09:14:09.131Z", "2024-02-29t23:59:59+01:30", "0000-12-31T00:00:00.123456789z"]) {
      for (let at = 0; at <= text.length; at += 1) {
        for (const character of [
          "",
          "0",
          "1",
          "2",
          "3",
          "5",
          "6",
          "9",
          "-",
          "+",
          ":",
          ".",
          "T",
          "Z",
          "z",
          " ",
          "\n",
          "٣",
        ]) {
          expectReference(text.slice(0, at) + character + text.slice(at + 1));
          expectReference(text.slice(0, at) + character + text.slice(at));
        }
      }
    }
  });

  test("knows every day from the year 0 to 9999 as the platform does", () => {
    const date = new Date(0);
    for (let year = 0; year <= 9999; year += 1) {
      for (let month = 1; month <= 12; month += 1) {
        for (const day of [0, 1, 28, 29, 30, 31, 32]) {
          date.setUTCFullYear(year, month - 1, day);
          const isDay = date.getUTCMonth() === month - 1 && date.getUTCDate() === day;
          if (midnightOf(year, month, day) !== (isDay ? date.getTime() : undefined))
            throw new Error(`differs for ${year}-${month}-${day}`);
        }
      }
    }
    for (const month of [0, 13, Number.NaN, 1.5]) expect(midnightOf(2026, month, 1)).toBeUndefined();
    expect(midnightOf(Number.NaN, 1, 1)).toBeUndefined();
  });
});

const SHAPE = /^(\d{4}-\d{2}-\d{2})[Tt](\d{2}:\d{2}:\d{2})(?:\.(\d{1,9}))?(?:[Zz]|([+-])(\d{2}):(\d{2}))$/;

/** Slowly: RFC 3339 by its pattern, and the platform for the rest. */
function referenceTime(text: string): number | undefined {
  const match = SHAPE.exec(text);
  if (match === null) return undefined;
  const [, date = "", time = "", fraction = "", sign = "+", hours = "00", minutes = "00"] = match;
  const local = Date.parse(`${date}T${time}.${fraction.padEnd(3, "0").slice(0, 3)}Z`);
  const isDate = !Number.isNaN(local) && new Date(local).toISOString().startsWith(`${date}T${time}`);
  if (!isDate || Number(hours) > 23 || Number(minutes) > 59) return undefined;
  const offset = (Number(hours) * 60 + Number(minutes)) * 60_000;
  return sign === "-" ? local + offset : local - offset;
}

function expectReference(text: string): void {
  const time = parseTime(text);
  if (time !== referenceTime(text)) throw new Error(`differs for ${JSON.stringify(text)}: ${time}`);
}
