import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type TallyEvent, encodeEvent, normaliseSession, parseEvent } from "../src/index.ts";
import { encodeWith } from "../src/cbor-writer.ts";
import { encodeGenerally } from "../src/event-codec.ts";
import { writeEvent } from "../src/event-writer.ts";
import { anyEvent, everyPath, oddValues, withValueAt } from "./any-event.ts";
import { outcomeOf } from "./outcome.ts";
import { login } from "./sample-event.ts";

const whole: TallyEvent = parseEvent({ ...login, retention: "short", amends: "cd".repeat(32) });

/** Events as they are encoded: read, and their session ids hashed. */
const readEvent: fc.Arbitrary<TallyEvent> = anyEvent.map(({ context, ...view }) => {
  // Of a type that needs no fields; without context that has a name that is refused.
  const read = (extra: object): TallyEvent => parseEvent({ ...view, type: "billing.invoice.paid", ...extra });
  const { value = read({}) } = outcomeOf(() => read({ context })) as { readonly value?: TallyEvent };
  return normaliseSession(value, () => new Uint8Array(32).fill(7));
});

function expectAgreement(event: TallyEvent): void {
  expect(outcomeOf(() => encodeEvent(event))).toEqual(outcomeOf(() => encodeGenerally(event)));
}

describe("writeEvent", () => {
  test("writes the bytes that the general way gives", () => {
    fc.assert(
      fc.property(readEvent, (event) => {
        expect(encodeWith(writeEvent, event)).toEqual(encodeGenerally(event));
      }),
      { numRuns: 500 },
    );
  });

  test("leaves to the general way whatever is no event's, and what cannot be encoded", () => {
    const change = fc.tuple(fc.constantFrom(...everyPath), fc.oneof(fc.constantFrom(...oddValues), fc.anything()));
    fc.assert(
      fc.property(readEvent, fc.array(change, { minLength: 1, maxLength: 2 }), (event, changes) => {
        const changed = changes.reduce<unknown>((event, [path, part]) => withValueAt(event, path, part), event);
        expectAgreement(changed as TallyEvent);
      }),
      { numRuns: 1_000 },
    );
  });

  test.each(everyPath.map((path) => [path.join("."), path] as const))("agrees on odd values at %s", (_, path) => {
    for (const part of oddValues) expectAgreement(withValueAt(whole, path, part) as TallyEvent);
  });

  test("writes text of every length at which its head grows, in scripts of one to four bytes", () => {
    for (const unit of ["a", "é", "水", "😀"]) {
      for (let count = 0; count <= 300; count += 1) {
        const event = { ...whole, reason: unit.repeat(count), context: { [`k${unit}`]: `${unit.repeat(count)}b` } };
        expect(encodeWith(writeEvent, event)).toEqual(encodeGenerally(event));
      }
    }
  });

  test("keeps two events apart of which one is encoded while the other is", () => {
    const inner = encodeGenerally({ ...whole, reason: "inner" });
    const outer = Object.defineProperty({ ...whole }, "tenant", {
      get: () => {
        expect(encodeEvent({ ...whole, reason: "inner" })).toEqual(inner);
        return "acme";
      },
      enumerable: true,
    });
    expect(encodeEvent(outer)).toEqual(encodeGenerally(whole));
  });
});
