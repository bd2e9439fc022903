/** Runs of rows as one value. */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { decodeRowOfRun, decodeRun, encodeRun } from "../src/run-codec.ts";
import { StorageError } from "../src/index.ts";

const row = fc.option(fc.uint8Array({ maxLength: 300 }), { nil: undefined });
/** Rows that begin as one of a few do. */
const alike = fc
  .tuple(fc.array(fc.uint8Array({ maxLength: 60 }), { minLength: 1, maxLength: 3 }), fc.array(row))
  .map(([starts, rows]) =>
    rows.map((each, at) => each && Uint8Array.from([...(starts[at % starts.length] ?? []), ...each])),
  );

test("what was encoded is decoded, deleted rows and common beginnings included", () => {
  fc.assert(
    fc.property(fc.oneof(fc.array(row, { maxLength: 300 }), alike), (rows) => {
      const bytes = encodeRun(rows);
      expect(decodeRun(bytes)).toEqual(rows);
      expect(rows.map((_, at) => decodeRowOfRun(bytes, at))).toEqual(rows);
      expect([-1, rows.length].map((at) => decodeRowOfRun(bytes, at))).toEqual([undefined, undefined]);
    }),
  );
});

test("what rows begin alike with is stored once", () => {
  const start = new Uint8Array(100).fill(7);
  const rows = Array.from({ length: 50 }, (_, at) => Uint8Array.from([...start, at]));
  expect(encodeRun(rows)).toHaveLength(1 + 50 * 2 + 100 + 50);
});

test("any other bytes are refused, or decode to rows of their length", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
      expect(rowsOrRefusal(bytes)).toSatisfy(
        (outcome) => outcome instanceof StorageError || (Array.isArray(outcome) && outcome.length <= bytes.length),
      );
      // One row alone is refused, or given, just as all of them are.
      const rows = rowsOrRefusal(bytes);
      for (let at = 0; at < 3; at += 1)
        expect(outcomeOf(() => decodeRowOfRun(bytes, at))).toEqual(Array.isArray(rows) ? rows[at] : rows);
    }),
    { numRuns: 2000 },
  );
});

function rowsOrRefusal(bytes: Uint8Array): unknown {
  return outcomeOf(() => decodeRun(bytes));
}

function outcomeOf(decode: () => unknown): unknown {
  try {
    return decode();
  } catch (error) {
    return error;
  }
}

test("a run that was cut is refused", () => {
  const bytes = encodeRun([Uint8Array.of(1, 2, 3), undefined, Uint8Array.of(1, 2, 4)]);
  for (let length = 0; length < bytes.length; length += 1)
    for (const decode of [decodeRun, (cut: Uint8Array) => decodeRowOfRun(cut, 0)])
      expect(() => decode(bytes.subarray(0, length))).toThrow(StorageError);
  expect(() => decodeRun(Uint8Array.from([...bytes, 0]))).toThrow(StorageError);
});
