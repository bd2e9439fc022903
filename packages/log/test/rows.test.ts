import * as fc from "fast-check";
import { expect, test } from "vitest";
import { decodeKnownId, encodeKnownId, encodeKnownIds, idKey, idKeys } from "../src/rows.ts";

const texts = fc.string({ maxLength: 100, unit: "grapheme" });

test("keys of ids are the same, made alone or with others: 16 characters each", () => {
  fc.assert(
    fc.property(texts, fc.array(texts, { maxLength: 20 }), (sender, ids) => {
      const keys = idKeys(sender, ids);
      expect(keys).toEqual(ids.map((id) => idKey(sender, id)));
      expect(keys.every((key) => /^[\w-]{16}$/.test(key))).toBe(true);
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
