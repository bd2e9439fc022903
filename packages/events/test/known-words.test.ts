import { describe, expect, test } from "vitest";
import { KnownWords } from "../src/known-words.ts";

describe("KnownWords", () => {
  test("asks once for a word that passes, and each time for one that does not", () => {
    const asked: string[] = [];
    const words = new KnownWords((word) => {
      asked.push(word);
      return word !== "bad";
    });
    expect([words.has("good"), words.has("good"), words.has("bad"), words.has("bad")]).toEqual([
      true,
      true,
      false,
      false,
    ]);
    expect(asked).toEqual(["good", "bad", "bad"]);
  });

  test("keeps a thousand words at most, and answers alike when it has forgotten them", () => {
    let asked = 0;
    const words = new KnownWords((word) => {
      asked += 1;
      return !word.endsWith("7");
    });
    for (let round = 0; round < 2; round += 1) {
      for (let i = 0; i < 5_000; i += 1) expect(words.has(`w${i}`)).toBe(i % 10 !== 7);
    }
    expect(asked).toBe(10_000);
  });

  test("does not keep long words", () => {
    let asked = 0;
    const words = new KnownWords(() => {
      asked += 1;
      return true;
    });
    for (const length of [128, 128, 129, 129]) words.has("a".repeat(length));
    expect(asked).toBe(3);
  });
});
