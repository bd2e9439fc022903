import { assert, dictionary, integer, jsonValue, property, string } from "fast-check";
import { expect, test } from "vitest";
import { parseEvent } from "@tallystick/events";
import { CUT_MARK, cutContext } from "../src/cut-context.ts";

function bytesOf(value: unknown): number {
  return Buffer.byteLength(JSON.stringify(value));
}

test("leaves what fits as it is, to the last byte", () => {
  const context = { a: "x".repeat(100), b: [1, 2, { c: null }] };
  expect(cutContext(context, bytesOf(context))).toBe(context);
  expect(cutContext(undefined, 256)).toBeUndefined();
});

test("keeps the beginning and says how long the whole was", () => {
  const context = { first: 1, text: "é".repeat(5000), last: true };
  const cut = cutContext(context, 1000);
  expect(cut).toEqual({
    first: 1,
    text: expect.stringMatching(/^é{400,480}…$/),
    [CUT_MARK]: { bytes: bytesOf(context) },
  });
});

test("cuts lists and objects inside, and no surrogate pair in half", () => {
  const context = { list: Array.from({ length: 500 }, (_, at) => `entry ${at}`), face: "😀".repeat(900) };
  const cut = cutContext(context, 2000) ?? {};
  expect((cut["list"] as string[]).slice(0, -1)).toEqual(context.list.slice(0, (cut["list"] as string[]).length - 1));
  expect((cut["list"] as string[]).length).toBeGreaterThan(100);
  const faces = cutContext({ face: context.face }, 700)?.["face"] as string;
  expect(faces.isWellFormed()).toBe(true);
  expect(faces).toMatch(/^(😀)+…$/u);
});

test("keeps no more entries than an event takes, wherever they are", () => {
  const members = (count: number): Record<string, number> =>
    Object.fromEntries(Array.from({ length: count }, (_, at) => [`k${at}`, at]));
  const ids = Array.from({ length: 5000 }, (_, at) => at % 10);
  for (const context of [
    { ids },
    members(3000),
    { inner: members(300), few: ids.slice(0, 1500), text: "x".repeat(9000) },
  ]) {
    const cut = cutContext(context, 8192);
    expect(cut).toHaveProperty(CUT_MARK, { bytes: bytesOf(context) });
    const event = {
      id: "0198c5d2-7c3a-7f4e-9d1b-2f6a8e0c4b7d",
      time: 1_760_000_000_000,
      type: "app.other",
      context: cut,
    };
    expect(parseEvent(event).context).toEqual(cut);
  }
});

test("leaves alone what is no JSON: reading it strictly says what is wrong", () => {
  const cycle: Record<string, unknown> = { text: "x".repeat(9000) };
  cycle["self"] = cycle;
  expect(cutContext(cycle as never, 256)).toBe(cycle);
});

test("is never longer than asked for, whatever it cuts", () => {
  const context = dictionary(string({ unit: "grapheme" }), jsonValue({ maxDepth: 3, stringUnit: "grapheme" }), {
    maxKeys: 30,
  });
  assert(
    property(context, integer({ min: 256, max: 2000 }), (map, bytesMax) => {
      const cut = cutContext(map as never, bytesMax);
      expect(bytesOf(cut)).toBeLessThanOrEqual(bytesMax);
      expect(CUT_MARK in (cut ?? {})).toBe(bytesOf(map) > bytesMax);
    }),
    { numRuns: 300 },
  );
});
