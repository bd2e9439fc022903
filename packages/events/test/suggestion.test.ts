import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { editDistance, nearest } from "../src/suggestion.ts";

/** The definition, without bound or shortcut. */
function slowDistance(a: string, b: string): number {
  if (a === "" || b === "") return a.length + b.length;
  const same = a.at(-1) === b.at(-1) ? 0 : 1;
  const [shortA, shortB] = [a.slice(0, -1), b.slice(0, -1)];
  const choices = [slowDistance(shortA, b) + 1, slowDistance(a, shortB) + 1, slowDistance(shortA, shortB) + same];
  const swapped = a.length > 1 && b.length > 1 && a.at(-1) === b.at(-2) && a.at(-2) === b.at(-1);
  if (swapped) choices.push(slowDistance(a.slice(0, -2), b.slice(0, -2)) + 1);
  return Math.min(...choices);
}

describe("editDistance", () => {
  test.each([
    ["login", "login", 0],
    ["logn", "login", 1],
    ["loign", "login", 1],
    ["logiin", "login", 1],
    ["lohin", "login", 1],
    ["", "abc", 3],
  ])("of %j and %j is %i", (a, b, distance) => {
    expect(editDistance(a, b, 5)).toBe(distance);
  });

  test("agrees with its definition, and stops above the bound", () => {
    const word = fc.string({ unit: fc.constantFrom("a", "b", "c"), maxLength: 6 });
    fc.assert(
      fc.property(word, word, fc.integer({ min: 0, max: 6 }), (a, b, max) => {
        expect(editDistance(a, b, max)).toBe(Math.min(slowDistance(a, b), max + 1));
      }),
    );
  });
});

describe("nearest", () => {
  test("takes the nearest, and the first of several", () => {
    expect(nearest("cot", ["cat", "cut", "coat"], 2)).toBe("cat");
    expect(nearest("cut", ["cat", "cut"], 2)).toBe("cut");
    expect(nearest("dog", ["cat"], 2)).toBeUndefined();
  });
});
