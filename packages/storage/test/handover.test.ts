import { expect, test } from "vitest";
import { Handover } from "../src/handover.ts";

/** How many are handed over after each of these, one after the other, each of so many ms. */
function handedOverAfter(tooksMs: readonly number[], quickMs?: number): number[] {
  let now = 0;
  const handover = new Handover(quickMs, () => now);
  return tooksMs.map((tookMs) => {
    const done = handover.time(() => {
      now += tookMs;
      return tookMs;
    });
    expect(done).toBe(tookMs);
    let handedOver = 0;
    while (handover.isDue()) handedOver += 1;
    return handedOver;
  });
}

test("what is quick is not handed over", () => {
  expect(handedOverAfter([0, 0.1, 0.5, 0.4])).toEqual([0, 0, 0, 0]);
});

test("after something slow others are, as many as it was times too slow, and twice as many each time", () => {
  expect(handedOverAfter([2, 2, 1, 0.51])).toEqual([4, 8, 8, 9]);
});

test("never more than 512 in a row", () => {
  expect(handedOverAfter([10_000, 0.6, 10_000])).toEqual([512, 3, 512]);
  expect(handedOverAfter(Array<number>(20).fill(0.5000001)).at(-1)).toBe(512);
});

test("those that are quick again make up for those that were slow", () => {
  expect(handedOverAfter([1, 1, 1, 0, 0, 0, 1])).toEqual([2, 4, 8, 0, 0, 0, 2]);
});

test("with a limit of 0 all but one in 513 are", () => {
  expect(handedOverAfter([0.01, 0.01], 0)).toEqual([512, 512]);
});

test("what fails on this thread fails for its caller, and counts for nothing", () => {
  const handover = new Handover();
  const failure = new Error("the disk is gone");
  const fail = (): never => {
    throw failure;
  };
  expect(() => handover.time(fail)).toThrow(failure);
  expect(handover.isDue()).toBe(false);
});
