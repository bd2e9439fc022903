/** The map that forgets. */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { Lru } from "../src/lru.ts";

test("the half of the bound that was used last is kept, and what is kept has its newest value", () => {
  const step = fc.record({ key: fc.integer({ min: 0, max: 30 }), set: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), fc.integer({ min: 2, max: 20 }), (steps, max) => {
      const lru = new Lru<number>(max);
      const newest = new Map<string, number>();
      let used: string[] = [];
      for (const [at, { key, set }] of steps.entries()) {
        const name = String(key);
        if (set) {
          lru.set(name, at);
          newest.set(name, at);
        }
        const found = lru.get(name);
        expect([undefined, newest.get(name)]).toContain(found);
        if (set || found !== undefined) used = [...used.filter((each) => each !== name), name];
      }
      // Read from the oldest on: reading itself makes young what it reads.
      const kept = used.slice(-Math.floor(max / 2));
      for (const name of kept) expect(lru.get(name)).toBe(newest.get(name));
    }),
  );
});

test("never more than the bound is kept", () => {
  const lru = new Lru<number>(10);
  for (let at = 0; at < 1000; at += 1) lru.set(String(at), at);
  const kept = Array.from({ length: 1000 }, (_, at) => String(at)).filter((key) => lru.get(key) !== undefined);
  expect(kept.length).toBeLessThanOrEqual(10);
});
