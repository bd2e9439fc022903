import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { SHORT_TEXT_BYTES, shortText } from "../src/short-text.ts";

describe("shortText", () => {
  test("gives the text of any ASCII, however often other text came to its place", () => {
    const text = fc.string({
      unit: fc.integer({ min: 0, max: 127 }).map((unit) => String.fromCharCode(unit)),
      maxLength: SHORT_TEXT_BYTES,
    });
    fc.assert(
      fc.property(fc.array(text, { maxLength: 20 }), fc.nat(8), (texts, before) => {
        for (const text of [...texts, ...texts]) {
          const bytes = new TextEncoder().encode(`${"-".repeat(before)}${text}-`);
          expect(shortText(bytes, before, text.length)).toBe(text);
        }
      }),
      { numRuns: 2_000 },
    );
  });

  test("tells words apart that have the same place", () => {
    // The place depends on the length, the first byte and the last two.
    for (const word of ["a-1-zz", "a-2-zz", "a-1-zz", "a\u00003-zz", "ab---zz"]) {
      expect(shortText(new TextEncoder().encode(word), 0, word.length)).toBe(word);
    }
  });

  test("gives nothing where a byte is not ASCII, at any place", () => {
    for (let size = 1; size <= SHORT_TEXT_BYTES; size += 1) {
      for (let at = 0; at < size; at += 1) {
        const bytes = new Uint8Array(size).fill(0x61);
        bytes[at] = 0x80;
        expect(shortText(bytes, 0, size)).toBeUndefined();
      }
    }
  });
});
