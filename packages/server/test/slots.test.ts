import * as fc from "fast-check";
import { expect, test } from "vitest";
import { Slots } from "../src/slots.ts";

/** What a slot should hold, by its number. */
type Model = Map<number, { readonly name: number }>;

/** Adds something, or deletes the so-manieth thing; gives whether all that was answered was right. */
function isRight(
  slots: Slots<{ readonly name: number }>,
  model: Model,
  { name, at }: { name: number; at: number },
): boolean {
  const doomed = [...model.keys()][at];
  if (doomed !== undefined) {
    model.delete(doomed);
    return slots.delete(doomed) && slots.get(doomed) === undefined && !slots.delete(doomed);
  }
  const value = { name };
  const given = slots.add(value);
  const isFree = !model.has(given);
  model.set(given, value);
  return isFree && [...model].every(([key, each]) => slots.get(key) === each);
}

test("each thing is under its own number until it is deleted, and numbers stay as small as what is under way is many", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(9)), (steps) => {
      const slots = new Slots<{ readonly name: number }>();
      const model: Model = new Map();
      let most = 0;
      for (const [name, step] of steps.entries()) {
        expect(isRight(slots, model, { name, at: step - 5 })).toBe(true);
        most = Math.max(most, model.size);
        expect(Math.max(-1, ...model.keys())).toBeLessThan(most);
        expect(new Set(slots.all())).toEqual(new Set(model.values()));
      }
    }),
  );
});
