/** Arbitrary events in JSON, and the ways in which they go wrong. */
import * as fc from "fast-check";
import { textPattern } from "../src/text.ts";
import { login } from "./sample-event.ts";

const ONE_LINE = new RegExp(textPattern(64), "u");

const hex = (digits: number): fc.Arbitrary<string> =>
  fc.uint8Array({ minLength: digits / 2, maxLength: digits / 2 }).map((bytes) => Buffer.from(bytes).toString("hex"));

/** Text of every script, of lengths on both sides of those at which its head or its way of being written changes. */
const text: fc.Arbitrary<string> = fc
  .oneof(
    { weight: 4, arbitrary: fc.string({ minLength: 1, maxLength: 30, unit: "grapheme-ascii" }) },
    { weight: 2, arbitrary: fc.string({ minLength: 1, maxLength: 20, unit: "grapheme" }) },
    {
      weight: 1,
      arbitrary: fc
        .tuple(
          fc.constantFrom("a", "é", "水", "😀"),
          fc.constantFrom(5, 6, 7, 8, 11, 12, 23, 24, 31, 32, 33, 47, 48, 49, 63, 64),
        )
        .map(([unit, count]) => unit.repeat(count)),
    },
  )
  .filter((text) => ONE_LINE.test(text));
const token = fc.constantFrom("user", "service", "totp", "a.b-c/d1", "x1", "a".repeat(64));
const uuid = hex(32).map((digits) =>
  [
    digits.slice(0, 8),
    digits.slice(8, 12),
    `7${digits.slice(13, 16)}`,
    `8${digits.slice(17, 20)}`,
    digits.slice(20),
  ].join("-"),
);
const timeMs = fc.integer({ min: 631_152_000_000, max: 253_402_300_799_999 });
const named = (type: fc.Arbitrary<string>): fc.Arbitrary<object> =>
  fc.record({ type, id: text, name: text }, { requiredKeys: ["type", "id"] });

const contextValue = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.constantFrom(null, true, false, 0, 23, 24, -24, -25, 2 ** 32, -(2 ** 32), Number.MAX_SAFE_INTEGER),
    fc.maxSafeInteger(),
    text,
    fc.array(tie("value"), { maxLength: 3 }),
    fc.dictionary(text, tie("value"), { maxKeys: 3 }),
  ),
})).value;

/** Events that are taken as they are, if their context has no names that are refused. */
export const anyEvent: fc.Arbitrary<Record<string, unknown>> = fc.record(
  {
    id: uuid,
    time: fc.oneof(
      timeMs,
      timeMs.map((ms) => new Date(ms).toISOString()),
    ),
    type: fc.constantFrom("auth.login", "auth.logout", "session.activity", "access.read", "billing.invoice.paid"),
    outcome: fc.constantFrom("success", "failure", "denied", "unknown"),
    actor: named(token),
    session: fc.record({ id: fc.oneof(hex(64), text) }),
    targets: fc.array(named(text), { minLength: 1, maxLength: 4 }),
    subject: fc.record({ type: token, id: text, name: text }, { requiredKeys: ["id"] }),
    tenant: text,
    source: fc.record(
      { userAgent: text, ip: fc.oneof(fc.ipV4(), fc.ipV6()), device: text },
      { requiredKeys: ["userAgent"] },
    ),
    auth: fc.record(
      { factors: fc.array(token, { minLength: 1, maxLength: 3 }), method: token, provider: text },
      { requiredKeys: ["method"] },
    ),
    reason: text,
    operation: text,
    retention: fc.constantFrom("short", "a-1"),
    amends: hex(64),
    context: fc.dictionary(text, contextValue, { maxKeys: 4 }),
  },
  { requiredKeys: ["id", "time", "type", "outcome", "actor"], noNullPrototype: true },
);

/** Values that have no place in most fields. */
export const oddValues: readonly unknown[] = [
  undefined,
  null,
  true,
  0,
  -0,
  1.5,
  2 ** 53,
  631_151_999_999,
  Number.NaN,
  1n,
  "",
  "a",
  "A b",
  "\ud800",
  "a\u0000",
  "a\u2028b",
  "2026-02-30T00:00:00Z",
  "auth.logn",
  "AB".repeat(32),
  "0198C5D2-7c3a-7f4e-9d1b-2f6a8e0c4b7d",
  "0198c5d2-7c3a-4f4e-9d1b-2f6a8e0c4b7d",
  "0198c5d2-7c3a-7f4e-cd1b-2f6a8e0c4b7d",
  "1.2.3.256",
  "fe80::1%eth0",
  [],
  [null],
  [, "a"], // oxlint-disable-line no-sparse-arrays
  ["a"],
  {},
  { id: "a" },
  { type: "user", id: "a", extra: 1 },
  { id: undefined },
  new Uint8Array(2),
  new Date(0),
  new Map(),
  () => 0,
  Object.create({ id: "a", type: "user" }),
  Object.create(null),
  JSON.parse('{"__proto__":{"id":"a"},"id":"a","type":"user"}'),
];

/** The places in an event that has every field, some of them for fields that there are not. */
export const everyPath: readonly (readonly string[])[] = [
  ...Object.keys(login).map((field) => [field]),
  ["retention"],
  ["amends"],
  ["unknown"],
  ...["type", "id", "name", "extra"].flatMap((field) => [
    ["actor", field],
    ["subject", field],
    ["targets", "0", field],
  ]),
  ...["ip", "userAgent", "device", "extra"].map((field) => ["source", field]),
  ...["method", "factors", "provider", "extra"].map((field) => ["auth", field]),
  ["session", "id"],
  ["session", "extra"],
  ["targets", "0"],
  ["auth", "factors", "0"],
  ["context", "attempt"],
  ["context", "nested", "deep"],
  ["context", "__proto__"],
  ["context", "password"],
  ["context", "tags", "1"],
];

/** A copy of `value` in which another value stands at `path`. */
export function withValueAt(value: unknown, path: readonly string[], part: unknown): unknown {
  const [step, ...rest] = path;
  if (step === undefined) return part;
  const copy: unknown = Array.isArray(value) ? [...(value as unknown[])] : Object.assign({}, value);
  const inner = withValueAt((value as Readonly<Record<string, unknown>> | undefined)?.[step], rest, part);
  Object.defineProperty(copy, step, { value: inner, enumerable: true, configurable: true, writable: true });
  return copy;
}
