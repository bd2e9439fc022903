import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { CATALOGUE, parseEvent } from "../src/index.ts";
import { isIpAddress } from "../src/event-schema.ts";
import { readFitEvent } from "../src/fit-event.ts";
import { parseWithSchema } from "../src/parse-event.ts";
import { anyEvent, everyPath, oddValues, withValueAt } from "./any-event.ts";
import { outcomeOf } from "./outcome.ts";
import { login } from "./sample-event.ts";

const whole = { ...login, retention: "short", amends: "cd".repeat(32) };

function isFit(view: unknown): boolean {
  return readFitEvent(view, { refuseSecrets: true }) !== undefined;
}

/** That the quick way and the schema agree on `view`, to the order of the fields. */
function expectAgreement(view: unknown): void {
  const expected = outcomeOf(() => parseWithSchema(view));
  const actual = outcomeOf(() => parseEvent(view));
  expect(actual).toEqual(expected);
  expect(inJson(actual)).toBe(inJson(expected));
}

function inJson(value: unknown): string {
  return JSON.stringify(value, (_, part: unknown) => (typeof part === "bigint" ? String(part) : part));
}

describe("readFitEvent", () => {
  test("gives what the schema gives", () => {
    let fit = 0;
    fc.assert(
      fc.property(anyEvent, (view) => {
        expectAgreement(view);
        if (isFit(view)) fit += 1;
      }),
      { numRuns: 500 },
    );
    // Otherwise the schema would have been compared with itself.
    expect(fit).toBeGreaterThan(250);
  });

  test("leaves to the schema what it refuses", () => {
    const change = fc.tuple(fc.constantFrom(...everyPath), fc.oneof(fc.constantFrom(...oddValues), fc.anything()));
    fc.assert(
      fc.property(anyEvent, fc.array(change, { minLength: 1, maxLength: 2 }), (view, changes) => {
        expectAgreement(changes.reduce<unknown>((changed, [path, part]) => withValueAt(changed, path, part), view));
      }),
      { numRuns: 1_000 },
    );
  });

  test("takes the events that people send", () => {
    expect(isFit(login)).toBe(true);
    expect(isFit(whole)).toBe(true);
    expect(
      isFit({ ...login, source: { ip: "2001:db8::7" }, actor: { type: "user", id: "Zoë 😀", name: undefined } }),
    ).toBe(true);
  });

  test.each(everyPath.map((path) => [path.join("."), path] as const))(
    "agrees with the schema on odd values at %s",
    (_, path) => {
      for (const part of oddValues) {
        expectAgreement(withValueAt(whole, path, part));
        expectAgreement(withValueAt({ id: login.id, time: login.time, type: "app.thing" }, path, part));
      }
    },
  );

  test("agrees with the schema on odd values for an event", () => {
    for (const value of oddValues) expectAgreement(value);
  });

  test("agrees with the schema on text on both sides of every bound", () => {
    const bounds: [string, number][] = [
      ["actor.id", 256],
      ["actor.name", 256],
      ["subject.id", 256],
      ["targets.0.type", 64],
      ["targets.0.id", 1024],
      ["tenant", 256],
      ["source.userAgent", 1024],
      ["source.device", 256],
      ["auth.provider", 256],
      ["reason", 1024],
      ["operation", 256],
      ["session.id", 4096],
      ["context.attempt", 16_384],
    ];
    for (const [path, max] of bounds) {
      for (const unit of ["a", "é", "😀"]) {
        for (const count of [max / 2, max / 2 + 1, max - 1, max, max + 1]) {
          expectAgreement(withValueAt(whole, path.split("."), unit.repeat(count)));
        }
      }
    }
    for (const count of [1, 63, 64, 65]) {
      expectAgreement({ ...whole, targets: Array.from({ length: count }, () => ({ type: "a", id: "b" })) });
      expectAgreement({ ...whole, auth: { factors: Array.from({ length: count / 4 }, () => "totp") } });
    }
  });

  test("agrees with the schema on context of every depth, and of every number of members", () => {
    for (let depth = 1; depth <= 10; depth += 1) {
      expectAgreement({ ...whole, context: JSON.parse('{"a":'.repeat(depth) + "1" + "}".repeat(depth)) });
      expectAgreement({ ...whole, context: { a: JSON.parse("[".repeat(depth) + "]".repeat(depth)) } });
    }
    for (const count of [255, 256, 257, 1023, 1024, 1025]) {
      expectAgreement({ ...whole, context: Object.fromEntries(Array.from({ length: count }, (_, i) => [`k${i}`, i])) });
      expectAgreement({ ...whole, context: { list: Array.from({ length: count }, (_, i) => i) } });
    }
    for (const count of [127, 128, 129]) expectAgreement({ ...whole, context: { ["k".repeat(count)]: 1 } });
  });

  test("takes only addresses that the schema takes", () => {
    const groups = fc.array(fc.constantFrom("", "0", "ff", "ABC", "db8", "12345", "g", "1.2.3.4"), { maxLength: 9 });
    fc.assert(
      fc.property(
        fc.oneof(
          fc.ipV6(),
          fc.ipV4(),
          groups.map((parts) => parts.join(":")),
        ),
        (ip) => {
          expect(isFit({ ...login, source: { ip } }) && !isIpAddress(ip)).toBe(false);
        },
      ),
      { numRuns: 2_000 },
    );
  });

  test("misses what a type of the catalogue needs as the schema does", () => {
    for (const { type } of CATALOGUE) {
      for (const field of Object.keys(login)) expectAgreement({ ...login, type, [field]: undefined });
    }
  });

  test("shares nothing with what it read", () => {
    const view = structuredClone(whole);
    const event = parseEvent(view);
    for (const part of [view.actor, view.session, view.targets?.[0], view.source, view.context?.["nested"]]) {
      Object.assign(part as object, { id: "changed", ip: "changed", deep: "changed" });
    }
    for (const list of [view.auth?.factors, view.targets]) (list as unknown[]).push("changed");
    expect(JSON.stringify(event)).not.toContain("changed");
  });
});
