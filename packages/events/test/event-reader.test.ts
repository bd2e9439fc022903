import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type CborMap,
  type CborValue,
  type TallyEvent,
  decodeCbor,
  decodeEvent,
  encodeCbor,
  encodeEvent,
  parseEvent,
} from "../src/index.ts";
import { decodeGenerally } from "../src/event-codec.ts";
import { readEventView } from "../src/event-reader.ts";
import { anyEvent, everyPath, oddValues, withValueAt } from "./any-event.ts";
import { flippedBits } from "./flipped-bits.ts";
import { outcomeOf } from "./outcome.ts";
import { login } from "./sample-event.ts";

const whole: Uint8Array = encodeEvent(parseEvent({ ...login, retention: "short", amends: "cd".repeat(32) }));

function expectAgreement(bytes: Uint8Array): void {
  const expected = outcomeOf(() => decodeGenerally(bytes));
  const actual = outcomeOf(() => decodeEvent(bytes));
  expect(JSON.stringify(actual)).toBe(JSON.stringify(expected));
}

/** The bytes of an event that was read; `undefined` where its session id would have to be hashed. */
function bytesOf(view: unknown): Uint8Array | undefined {
  return (outcomeOf(() => encodeEvent(parseEvent(view))) as { readonly value?: Uint8Array }).value;
}

describe("readEventView", () => {
  test("gives the event that the general way gives, and so it does with any byte changed, added or left out", () => {
    const place = fc.nat();
    const change = fc.oneof(
      fc.record({ kind: fc.constant("changed"), place, byte: fc.nat(255) }),
      fc.record({ kind: fc.constant("added"), place, byte: fc.nat(255) }),
      fc.record({ kind: fc.constant("left out"), place, byte: fc.nat(255) }),
    );
    let read = 0;
    fc.assert(
      fc.property(anyEvent, fc.array(change, { maxLength: 2 }), (view, changes) => {
        const bytes = [...(bytesOf(view) ?? whole)];
        for (const { kind, place, byte } of changes) {
          const at = place % bytes.length;
          bytes.splice(at, kind === "added" ? 0 : 1, ...(kind === "left out" ? [] : [byte]));
        }
        const changed = Uint8Array.from(bytes);
        expectAgreement(changed);
        if (readEventView(changed) !== undefined) read += 1;
      }),
      { numRuns: 1_000 },
    );
    // Otherwise the general way would have been compared with itself.
    expect(read).toBeGreaterThan(200);
  });

  test("agrees with the general way on each flipped bit of an event that has every field", () => {
    expect(readEventView(whole)).toBeDefined();
    for (const flipped of flippedBits(whole)) expectAgreement(flipped);
  });

  test("agrees with the general way on every prefix, and on every suffix", () => {
    for (let at = 0; at <= whole.length; at += 1) {
      expectAgreement(whole.subarray(0, at));
      expectAgreement(whole.subarray(at));
    }
  });

  test.each(everyPath.map((path) => [path.join("."), path] as const))(
    "agrees with the general way on odd values at %s",
    (_, path) => {
      const values: unknown[] = [...oddValues, new Uint8Array(16), new Uint8Array(32), -1, 2 ** 40];
      for (const part of values) {
        const changed = withValueAt(decodeCbor(whole), path, part) as CborValue;
        const bytes = (outcomeOf(() => encodeCbor(changed)) as { readonly value?: Uint8Array }).value;
        if (bytes !== undefined) expectAgreement(bytes);
      }
    },
  );

  test("agrees with the general way on events that lack a field, or have one twice or out of order", () => {
    const map = decodeCbor(whole) as CborMap;
    for (const field of Object.keys(map)) {
      const { [field]: _, ...rest } = map;
      expectAgreement(encodeCbor(rest));
      for (const other of Object.keys(map)) expectAgreement(withRenamedKey(whole, field, other));
    }
  });

  test("agrees with the general way on context with any keys in any order", () => {
    const key = fc.constantFrom("a", "b", "aa", "é", "z", "__proto__", "constructor", "10", "9", "a\u0000", "\ufeff");
    fc.assert(
      fc.property(
        fc.array(fc.tuple(key, fc.constantFrom("00", "60", "f6", "20", "80", "a0", "40", "f7", "fb3ff8000000000000")), {
          maxLength: 5,
        }),
        (members) => {
          const parts = members.map(([name, value]) => Buffer.concat([encodeCbor(name), Buffer.from(value, "hex")]));
          const context = Buffer.concat([Uint8Array.of(0xa0 + members.length), ...parts]);
          expectAgreement(withContext(context));
        },
      ),
      { numRuns: 1_000 },
    );
  });

  test("agrees with the general way on context of every depth, and on integers of every size", () => {
    for (let depth = 0; depth <= 12; depth += 1) {
      expectAgreement(withContext(Buffer.from(`${"a16161".repeat(depth)}a0`, "hex")));
      expectAgreement(withContext(Buffer.from(`a16161${"81".repeat(depth)}80`, "hex")));
    }
    const heads = [
      "17",
      "1817",
      "1818",
      "18ff",
      "1900ff",
      "190100",
      "19ffff",
      "1a0000ffff",
      "1a00010000",
      "1affffffff",
    ];
    const long = [
      "1b00000000ffffffff",
      "1b0000000100000000",
      "1b001fffffffffffff",
      "1b0020000000000000",
      "1bffffffffffffffff",
      "1c",
      "1f",
    ];
    for (const head of [...heads, ...long]) {
      for (const major of [0, 1, 2, 3, 4, 5, 6, 7]) {
        const first = (Number.parseInt(head.slice(0, 2), 16) + 32 * major).toString(16).padStart(2, "0");
        expectAgreement(withContext(Buffer.from(`a16161${first}${head.slice(2)}`, "hex")));
      }
    }
  });

  test("leaves an event above 32 KiB to the general way", () => {
    const event = decodeEvent(whole);
    const long = (count: number): TallyEvent => ({
      ...event,
      context: { a: "a".repeat(16_384), b: "b".repeat(count) },
    });
    const room = 32_768 - encodeEvent(long(256)).length + 256;
    const most = encodeEvent(long(room));
    expect(most).toHaveLength(32_768);
    expectAgreement(most);
    const { context: _, ...rest } = decodeCbor(most) as CborMap;
    expectAgreement(encodeCbor({ ...rest, context: { a: "a".repeat(16_384), b: "b".repeat(room + 1) } }));
  });
});

/** An event whose context is other bytes. */
function withContext(context: Uint8Array): Uint8Array {
  const marked = encodeCbor({ ...(decodeCbor(whole) as CborMap), context: "here" });
  const mark = Buffer.from(encodeCbor("here"));
  const at = Buffer.from(marked).indexOf(mark);
  return new Uint8Array(Buffer.concat([marked.subarray(0, at), context, marked.subarray(at + mark.length)]));
}

/** The same bytes with another name in place of one key, in its old place. */
function withRenamedKey(bytes: Uint8Array, from: string, to: string): Uint8Array {
  const key = Buffer.from(encodeCbor(from));
  const at = Buffer.from(bytes).indexOf(key);
  return new Uint8Array(Buffer.concat([bytes.subarray(0, at), encodeCbor(to), bytes.subarray(at + key.length)]));
}
