import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { EventError, assertReportable, decodeEvent, encodeEvent, eventToJson, parseEvent } from "../src/index.ts";
import { defectsOf, login } from "./sample-event.ts";

function paths(json: unknown): string[] {
  return Object.keys(defectsOf(() => parseEvent(json)));
}

function first(json: unknown): string | undefined {
  return Object.values(defectsOf(() => parseEvent(json)))[0]?.message;
}

describe("parseEvent", () => {
  test("reads an event with every field", () => {
    expect(parseEvent(login)).toEqual({ ...login, time: Date.UTC(2026, 0, 31, 9, 14, 9, 131) });
  });

  test("takes a time in milliseconds as it is", () => {
    expect(parseEvent({ ...login, time: 1_769_850_849_131 }).time).toBe(1_769_850_849_131);
  });

  test("writes ids in lower case, as they are bytes", () => {
    const event = parseEvent({ ...login, id: login.id.toUpperCase(), session: { id: "AB".repeat(32) } });
    expect([event.id, event.session]).toEqual([login.id, login.session]);
  });

  test("leaves a session id that is not 64 hex digits as it is", () => {
    expect(parseEvent({ ...login, session: { id: "s-1" } }).session).toEqual({ id: "s-1" });
  });

  test("takes a tenant bare or as an object", () => {
    expect(parseEvent({ ...login, tenant: { id: "acme" } }).tenant).toBe("acme");
  });

  test("takes an outcome that was left out for unknown, where the type needs none", () => {
    expect(parseEvent({ ...login, type: "auth.logout", outcome: undefined }).outcome).toBe("unknown");
    expect(paths({ ...login, outcome: undefined })).toEqual(["outcome"]);
  });

  test("shares nothing with what it read", () => {
    const json = { ...login, context: { list: [1] } };
    const event = parseEvent(json);
    json.context.list.push(2);
    expect(event.context).toEqual({ list: [1] });
  });

  test("does not look at each of very many fields", () => {
    const many = Object.fromEntries(Array.from({ length: 50_000 }, (_, at) => [`field${at}`, 1]));
    expect(first({ ...login, ...many })).toBe(`expected at most 256 fields, got ${50_000 + Object.keys(login).length}`);
    expect(defectsOf(() => parseEvent({ ...login, actor: many }))).toMatchObject({ actor: { got: "50000" } });
  });

  test("tells all defects at once, each with its path", () => {
    const json = {
      ...login,
      id: "x",
      time: 1.5,
      outcome: "ok",
      actor: { type: "User", id: "" },
      targets: [{ type: "doc", id: "1" }, { type: "doc" }],
      colour: "blue",
      context: { ratio: 0.5, "a b": { deep: [1, 2 ** 60] } },
    };
    const expected = ["id", "time", "outcome", "actor.type", "actor.id", "targets[1].id", "colour", "context.ratio"];
    expect(paths(json).sort()).toEqual([...expected, 'context["a b"].deep[1]'].sort());
  });

  test("says what was expected and what was got", () => {
    const defects = defectsOf(() => parseEvent({ ...login, id: "0198c5d2-7c3a-4f4e-9d1b-2f6a8e0c4b7d", source: {} }));
    expect(defects["id"]?.got).toBe('"0198c5d2-7c3a-4f4e-9d1b-2f6a8e0c4b7d", of version 4');
    expect(defects["id"]?.expected).toContain("UUID of version 7");
    expect(defects["source"]?.message).toBe("expected an object with ip, userAgent or device, got an object");
  });

  test("asks for numbers with a fraction as decimal strings", () => {
    expect(first({ ...login, context: { ratio: 0.5 } })).toContain("send it as a decimal string");
    expect(first({ ...login, context: { big: 2 ** 53 } })).toContain("send it as a decimal string");
  });

  test("never repeats what a field says that may be secret or personal", () => {
    const secret = "hunter2\n".repeat(10);
    const json = {
      ...login,
      actor: { type: "user", id: secret },
      session: { id: `${secret}\ud800` },
      reason: secret,
      source: { ip: secret },
      context: { password: secret, [secret]: 1 },
    };
    const defects = Object.values(defectsOf(() => parseEvent(json)));
    expect(defects).toHaveLength(6);
    const told = defects.filter(({ path }) => !path.includes("\\n")).flatMap(({ message, got }) => [message, got]);
    expect(told.join()).not.toContain("hunter2");
  });

  test("cuts what it does repeat", () => {
    const [defect] = Object.values(defectsOf(() => parseEvent({ ...login, type: "x".repeat(1000) })));
    expect(defect?.got).toBe(`"${"x".repeat(64)}"…`);
  });

  test.each([
    ["acter", "actor"],
    ["Actor", "actor"],
    ["timestamp", "time"],
    ["user_agent", "source.userAgent"],
    ["metadata", "context"],
    ["outcom", "outcome"],
  ])("suggests for the unknown field %s the field %s", (field, suggestion) => {
    expect(defectsOf(() => parseEvent({ ...login, [field]: "x" }))[field]?.suggestion).toBe(suggestion);
  });

  test("suggests fields of inner objects", () => {
    const json = { ...login, source: { useragent: "x" }, targets: [{ type: "a", id: "b", nam: "c" }] };
    const defects = defectsOf(() => parseEvent(json));
    expect(defects["source.useragent"]?.suggestion).toBe("userAgent");
    expect(defects["targets[0].nam"]?.suggestion).toBe("name");
  });

  test("suggests milliseconds for seconds and an outcome for its misspelling", () => {
    const defects = defectsOf(() => parseEvent({ ...login, time: 1_769_850_849, outcome: "sucess" }));
    expect(defects["time"]?.suggestion).toBe("1769850849000 (milliseconds)");
    expect(defects["outcome"]?.suggestion).toBe("success");
  });

  test.each([
    ["", "empty"],
    ["2026-01-31", "no time of day"],
    ["2026-01-31T09:14:09", "no zone"],
    ["2026-01-31 09:14:09Z", "a space"],
    ["2026-02-30T00:00:00Z", "February 30"],
    ["2026-01-31T24:00:00Z", "hour 24"],
    ["2026-01-31T23:59:60Z", "a leap second"],
    ["2026-01-31T09:14:09+24:00", "an offset of a day"],
    ["1989-12-31T23:59:59.999Z", "before 1990"],
    ["9999-12-31T23:59:59-00:01", "after 9999"],
    ["2026-01-31T09:14:09.0000000001Z", "ten digits"],
  ])("refuses %j as a time: %s", (time) => {
    expect(paths({ ...login, time })).toEqual(["time"]);
  });

  test.each<[unknown, string]>([
    [631_151_999_999, "before 1990"],
    [253_402_300_800_000, "after 9999"],
    [1_769_850_849_131.5, "a fraction"],
    [Number.NaN, "no number"],
    [null, "null"],
    [true, "a boolean"],
  ])("refuses %j as a time: %s", (time) => {
    expect(paths({ ...login, time })).toEqual(["time"]);
  });

  test("refuses secrets by their names, wherever they are in context", () => {
    const json = { ...login, context: { PassWord: "x", inner: [{ access_token: "y" }], token: 7, tokenId: "z" } };
    expect(paths(json)).toEqual(["context.PassWord", "context.inner[0].access_token"]);
  });

  test("refuses what is no JSON in context", () => {
    const json = { ...login, context: { date: new Date(0), bytes: new Uint8Array(1), call: () => 0, big: 1n } };
    expect(paths(json)).toEqual(["context.date", "context.bytes", "context.call", "context.big"]);
  });

  test("refuses __proto__ as a name in context and as a field", () => {
    const json: unknown = JSON.parse('{"__proto__": {"a": 1}}');
    expect(paths({ ...login, context: json })).toEqual(["context.__proto__"]);
    expect(paths(JSON.parse(`${JSON.stringify(login).slice(0, -1)},"__proto__":{}}`))).toEqual(["__proto__"]);
  });

  test("takes 8 levels, the event being the first, and refuses 9", () => {
    const nested = (levels: number): unknown => (levels === 0 ? 1 : { a: nested(levels - 1) });
    expect(paths({ ...login, context: nested(7) })).toEqual([]);
    expect(paths({ ...login, context: nested(8) })).toEqual(["context.a.a.a.a.a.a.a"]);
  });

  test("ends on a cycle", () => {
    const cycle: Record<string, unknown> = {};
    cycle["self"] = cycle;
    expect(paths({ ...login, context: cycle })).toHaveLength(1);
  });

  test.each([
    ["actor.id", { actor: { type: "user", id: "x".repeat(257) } }],
    ["actor.type", { actor: { type: "x".repeat(65), id: "x" } }],
    ["session.id", { session: { id: "x".repeat(4097) } }],
    ["targets", { targets: [] }],
    ["targets", { targets: Array.from({ length: 65 }, () => ({ type: "a", id: "b" })) }],
    ["auth.factors", { auth: { factors: Array.from({ length: 17 }, () => "totp") } }],
    ["reason", { reason: "x".repeat(1025) }],
    ["reason", { reason: "two\nlines" }],
    ["reason", { reason: "half \ud83d" }],
    ["retention", { retention: "x".repeat(33) }],
    ["retention", { retention: "Class" }],
    ["amends", { amends: "AB".repeat(32) }],
    ["source.ip", { source: { ip: "300.1.1.1" } }],
    ["source.ip", { source: { ip: "192.0.2.7:22" } }],
    ["context", { context: Object.fromEntries(Array.from({ length: 257 }, (_, i) => [`k${i}`, i])) }],
    ["context.list", { context: { list: Array.from({ length: 1025 }, () => 0) } }],
    ["context.text", { context: { text: "x".repeat(16_385) } }],
    ["context.text", { context: { text: "\udc00" } }],
    ["context", { context: [] }],
    ["actor", { actor: null }],
  ])("holds %s to its bound", (path, fields) => {
    expect(paths({ ...login, ...fields })).toEqual([path]);
  });

  test("counts characters, not their halves", () => {
    expect(paths({ ...login, actor: { type: "user", id: "🪵".repeat(256) } })).toEqual([]);
    expect(paths({ ...login, actor: { type: "user", id: "🪵".repeat(257) } })).toEqual(["actor.id"]);
  });

  test("bounds the number of defects that it tells", () => {
    const fields = Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`field${i}`, 1]));
    expect(paths({ ...login, ...fields })).toHaveLength(100);
  });

  test.each([undefined, null, true, 1, "event", [], [login], new Map(), Symbol("s")])("refuses %s", (json) => {
    expect(() => parseEvent(json)).toThrow(EventError);
  });

  test("answers every JSON value with an event or a list of defects", () => {
    const near = fc.record(
      {
        id: fc.oneof(fc.constant(login.id), fc.jsonValue()),
        time: fc.oneof(
          fc.integer(),
          fc.date({ noInvalidDate: true }).map((date) => date.toISOString()),
          fc.jsonValue(),
        ),
        type: fc.oneof(fc.constantFrom("auth.login", "app.thing", "auth.logn"), fc.string()),
        outcome: fc.oneof(fc.constantFrom("success", "denied"), fc.jsonValue()),
        actor: fc.oneof(fc.record({ type: fc.constant("user"), id: fc.string() }), fc.jsonValue()),
        tenant: fc.jsonValue(),
        targets: fc.oneof(fc.array(fc.record({ type: fc.string(), id: fc.string() })), fc.jsonValue()),
        source: fc.oneof(fc.record({ ip: fc.ipV4() }), fc.jsonValue()),
        context: fc.oneof(fc.dictionary(fc.string(), fc.jsonValue()), fc.jsonValue()),
      },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(fc.oneof(near, fc.jsonValue()), (json) => {
        const defects = defectsOf(() => {
          const event = parseEvent(json);
          expect(parseEvent(eventToJson(event))).toEqual(event);
          expect(decodeEvent(encodeEvent(event))).toEqual(event);
        });
        for (const { message } of Object.values(defects)) expect(message).not.toBe("");
      }),
    );
  });
});

test.each<{ readonly time: unknown }>([
  { time: { toString: null } },
  { time: [{ toString: null }] },
  { time: { valueOf: "now" } },
  { time: true },
  { time: null },
  { time: [1] },
])("a time that is no time is a defect like any other, and is not made a number: %j", ({ time }) => {
  expect(Object.keys(defectsOf(() => parseEvent({ ...login, time })))).toEqual(["time"]);
});

describe("assertReportable", () => {
  test("holds a decoded event to the catalogue", () => {
    const event = parseEvent(login);
    expect(() => assertReportable(event)).not.toThrow();
    const { actor: _, ...without } = event;
    expect(Object.keys(defectsOf(() => assertReportable(without)))).toEqual(["actor"]);
    expect(defectsOf(() => assertReportable({ ...event, type: "auth.logn" }))["type"]?.suggestion).toBe("auth.login");
    expect(Object.keys(defectsOf(() => assertReportable({ ...event, context: { token: "x" } })))).toEqual([
      "context.token",
    ]);
  });
});
