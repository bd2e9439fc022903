import * as fc from "fast-check";
import { encodeCbor } from "@tallystick/events";
import { expect, test } from "vitest";
import { decodeKnownId, encodeKnownId, idKey, idKeys } from "../src/rows.ts";

const ids = fc.uuid({ version: 7 });

test("keys of ids are the same, made alone or with others: the time, and 16 characters", () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 100, unit: "grapheme" }), fc.array(ids, { maxLength: 20 }), (sender, all) => {
      const keys = idKeys(sender, all);
      expect(keys).toEqual(all.map((id) => idKey(sender, id)));
      expect(keys.map((key) => key.slice(0, 12))).toEqual(all.map((id) => id.replace("-", "").slice(0, 12)));
      expect(keys.every((key) => /^[\da-f]{12}[\w-]{16}$/.test(key))).toBe(true);
    }),
  );
});

const known = fc.record({ check: fc.nat(2 ** 32 - 1), index: fc.maxSafeNat() });

test("rows of ids are read back, in the form of today and in that of before", () => {
  fc.assert(
    fc.property(known, ({ check, index }) => {
      const row = encodeKnownId({ check, index });
      expect(row.length).toBe(5 + Math.max(1, Math.ceil(index.toString(16).length / 2)));
      expect(decodeKnownId(row)).toEqual({ check, index });
      expect(decodeKnownId(encodeCbor([check, index]))).toEqual({ check, index });
    }),
  );
});

test("of a row of an id nothing may be missing, or be too much", () => {
  const refusal = expect.objectContaining({
    code: expect.stringMatching(/^(log-corrupt|cbor-.*)$/) as string,
  }) as Error;
  fc.assert(
    fc.property(known, fc.boolean(), (one, before) => {
      const row = before ? encodeCbor([one.check, one.index]) : encodeKnownId(one);
      for (let size = 0; size < row.length; size += 1) expect(() => decodeKnownId(row.slice(0, size))).toThrow(refusal);
      expect(() => decodeKnownId(new Uint8Array([...row, 0]))).toThrow(refusal);
    }),
  );
  expect(() => decodeKnownId(new Uint8Array([7, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 0]))).toThrow(refusal);
});
