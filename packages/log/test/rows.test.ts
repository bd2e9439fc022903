import * as fc from "fast-check";
import { expect, test } from "vitest";
import { decodeKnownId, encodeKnownId, encodeKnownIds, idKey, idKeys } from "../src/rows.ts";

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

test("rows of ids are the same, made alone or with others", () => {
  const known = fc.record({ check: fc.nat(2 ** 31 - 1), index: fc.nat() });
  fc.assert(
    fc.property(fc.array(known, { maxLength: 20 }), (all) => {
      expect(encodeKnownIds(all)).toEqual(all.map(encodeKnownId));
      expect(encodeKnownIds(all).map(decodeKnownId)).toEqual(all);
    }),
  );
});
