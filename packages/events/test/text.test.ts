import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isTextOf, textPattern } from "../src/text.ts";

function matches(text: string, charsMax: number): boolean {
  return new RegExp(textPattern(charsMax), "u").test(text);
}

describe("isTextOf", () => {
  test("says of every code unit what the pattern says", () => {
    for (let unit = 0; unit < 65_536; unit += 1) {
      const text = `a${String.fromCharCode(unit)}b`;
      if (isTextOf(text, 3) !== matches(text, 3)) throw new Error(`differs for U+${unit.toString(16)}`);
    }
  });

  test("says of any text what the pattern says, and counts characters as it does", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 12 }), fc.integer({ min: 1, max: 12 }), (text, charsMax) => {
        expect(isTextOf(text, charsMax)).toBe(matches(text, charsMax));
      }),
      { numRuns: 5_000 },
    );
    expect(isTextOf("😀".repeat(4), 4)).toBe(true);
    expect(isTextOf("😀".repeat(5), 4)).toBe(false);
    expect(isTextOf("", 4)).toBe(false);
  });
});
