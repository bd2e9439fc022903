import { expect, expectTypeOf, test } from "vitest";
import * as z from "zod";
import { defineEvents } from "../src/index.ts";
import { LogDouble } from "./support/log-double.ts";
import { startClient } from "./support/setup.ts";

const actor = { type: "user", id: "u_1" } as const;
const events = defineEvents({
  "invoice.refund": {
    target: "invoice",
    fields: z.strictObject({
      cents: z.int().min(1),
      note: z.string().optional(),
      tags: z.array(z.string()).default([]),
    }),
    retention: "accounting",
  },
  "invoice.viewed": {},
});

test("makes typed reports: target, fields as context, retention", () => {
  const report = events["invoice.refund"]({ outcome: "success", actor, target: "i_7", fields: { cents: 1200 } });
  expect(report).toEqual({
    type: "invoice.refund",
    outcome: "success",
    actor,
    targets: [{ type: "invoice", id: "i_7" }],
    context: { cents: 1200, tags: [] },
    retention: "accounting",
  });
  expect(events["invoice.refund"].type).toBe("invoice.refund");
  expect(events["invoice.viewed"]({ actor, targets: [{ type: "invoice", id: "i_7" }] })).toEqual({
    type: "invoice.viewed",
    actor,
    targets: [{ type: "invoice", id: "i_7" }],
  });
});

test("the types ask for what the definition asks for", () => {
  type Refund = Parameters<(typeof events)["invoice.refund"]>[0];
  expectTypeOf<Refund["fields"]>().toEqualTypeOf<{
    cents: number;
    note?: string | undefined;
    tags?: string[] | undefined;
  }>();
  expectTypeOf<Refund["target"]>().toEqualTypeOf<string>();
  expectTypeOf<Refund>().not.toHaveProperty("targets");
  // @ts-expect-error -- no fields are defined
  expect(() => events["invoice.viewed"]({ actor, fields: { cents: 1 } })).toThrow("invoice.viewed defines no fields");
});

test("refuses fields that are not as defined, with their paths, before anything is recorded", async () => {
  const bad = (): unknown =>
    events["invoice.refund"]({ outcome: "success", actor, target: "i_7", fields: { cents: 0, tags: [7 as never] } });
  expect(bad).toThrow(expect.objectContaining({ code: "event-invalid" }) as Error);
  expect(bad).toThrow(/fields\.cents: .*fields\.tags\.0: /);
  expect(() => events["invoice.refund"]({ actor, fields: { cents: 1 } } as never)).toThrow(
    "target: the id of the invoice that invoice.refund needs",
  );
});

test("needs no registration: the log takes the event as it takes any", async () => {
  const { client } = startClient(new LogDouble());
  const report = events["invoice.refund"]({ outcome: "success", actor, target: "i_7", fields: { cents: 1 } });
  expect((await client.record(report, { until: "witnessed" })).state).toBe("witnessed");
});

test.each([
  ["acess.read", "did you mean access.read?"],
  ["auth.logn", "did you mean auth.login?"],
  ["auth.login", "one of the core: use its helper"],
  ["log.anything", "outside of the core's namespaces"],
  ["Invoice", "expected a dotted type in lower case"],
  ["invoice", "expected a dotted type in lower case"],
])("refuses %s as a type: %s", (type, words) => {
  expect(() => defineEvents({ [type]: {} })).toThrow(words);
  expect(() => defineEvents({ [type]: {} })).toThrow(TypeError);
});

test("says where a schema is not of an object, or takes its time", () => {
  const odd = defineEvents({
    "a.text": { fields: z.string() },
    "a.later": { fields: z.object({}).refine(async () => Promise.resolve(true)) },
  });
  expect(() => odd["a.text"]({ fields: "x" })).toThrow("expected the schema of an object");
  expect(() => odd["a.later"]({ fields: {} })).toThrow("expected a schema that validates at once");
});

test.each([
  [{ tagret: "invoice" }, "a.thing.tagret: no option has this name: did you mean target?"],
  [{ fields: { cents: 1 } }, "a.thing.fields: expected a schema, of zod or any other Standard Schema, got object"],
  ["invoice", "a.thing: expected an object with target, fields, retention, got string"],
])("refuses the definition %j", (definition, words) => {
  const define = (): unknown => defineEvents({ "a.thing": definition as object });
  expect(define).toThrow(TypeError);
  expect(define).toThrow(words);
});

test("refuses what a definition has no place for, as it would be lost", () => {
  const plain = defineEvents({ "a.thing": {} });
  expect(() => plain["a.thing"]({ fields: { cents: 1 } } as object)).toThrow(
    "fields: expected nothing, as a.thing defines no fields",
  );
  expect(() => plain["a.thing"]({ target: "i_7" } as object)).toThrow(
    "target: expected nothing, as a.thing defines none",
  );
  const refund = { target: "i_7", fields: { cents: 1 } };
  const create = events["invoice.refund"];
  expect(() => create({ ...refund, context: { why: "x" } } as never)).toThrow("context: expected nothing");
  expect(() => create({ ...refund, targets: [] } as never)).toThrow("targets: expected nothing");
});
