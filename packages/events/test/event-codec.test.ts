import { encodeHex } from "@tallystick/core";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { errorCode } from "../../../test/support/errors.ts";
import {
  type CborMap,
  type CborValue,
  EVENT_BYTES_MAX,
  type TallyEvent,
  decodeCbor,
  decodeEvent,
  encodeCbor,
  encodeEvent,
  encodeEvents,
  eventToJson,
  parseEvent,
} from "../src/index.ts";
import { anyEvent } from "./any-event.ts";
import { defectsOf, login } from "./sample-event.ts";

const event: TallyEvent = parseEvent({ ...login, amends: "cd".repeat(32), retention: "short" });
const bytes: Uint8Array = encodeEvent(event);
const map: CborMap = decodeCbor(bytes) as CborMap;

function defectPaths(value: CborValue): string[] {
  return Object.keys(defectsOf(() => decodeEvent(encodeCbor(value))));
}

describe("encodeEvent", () => {
  test("writes ids as bytes, the time as an integer and nothing that is not there", () => {
    const small = encodeEvent(parseEvent({ id: login.id, time: 1_769_850_849_131, type: "app.thing" }));
    expect(decodeCbor(small)).toEqual({
      id: Uint8Array.from([1, 152, 197, 210, 124, 58, 127, 78, 157, 27, 47, 106, 142, 12, 75, 125]),
      time: 1_769_850_849_131,
      type: "app.thing",
      outcome: "unknown",
    });
    expect(map["session"]).toEqual({ id: new Uint8Array(32).fill(0xab) });
    expect(map["amends"]).toEqual(new Uint8Array(32).fill(0xcd));
  });

  test("leaves out fields that are undefined, inner ones too", () => {
    const actor = { type: "user", id: "u", name: undefined };
    const targets = [{ type: "a", id: "b", name: undefined }];
    expect(encodeEvent({ ...event, actor, targets, reason: undefined })).toEqual(
      encodeEvent(
        parseEvent({
          ...eventToJson(event),
          actor: { type: "user", id: "u" },
          targets: [{ type: "a", id: "b" }],
          reason: undefined,
        }),
      ),
    );
  });

  test("refuses a session id that was not hashed", () => {
    expect(Object.keys(defectsOf(() => encodeEvent({ ...event, session: { id: "raw" } })))).toEqual(["session.id"]);
  });

  test("refuses an event of more than 32 KiB", () => {
    const fill = (count: number): TallyEvent => ({
      ...event,
      context: { a: "x".repeat(16_000), b: "x".repeat(count) },
    });
    const rest = EVENT_BYTES_MAX - encodeEvent(fill(16_000)).length;
    expect(encodeEvent(fill(16_000 + rest))).toHaveLength(EVENT_BYTES_MAX);
    expect(defectsOf(() => encodeEvent(fill(16_001 + rest)))[""]?.got).toBe(`${EVENT_BYTES_MAX + 1}`);
  });
});

describe("encodeEvents", () => {
  const raw: TallyEvent = { ...event, session: { id: "raw" } };

  test("gives of each what encodeEvent() gives", () => {
    // Some are refused before they could be encoded: a secret among them, a name that JavaScript means otherwise.
    const read = anyEvent.map((json) => {
      try {
        const { session: _, ...rest } = parseEvent({ ...json, type: "app.thing" });
        return [rest];
      } catch {
        return [];
      }
    });
    const events = fc.array(read, { maxLength: 20 }).map((all) => all.flat());
    fc.assert(
      fc.property(events, (all) => {
        expect(encodeEvents(all)).toEqual(all.map(encodeEvent));
      }),
    );
  });

  test("says which event cannot be encoded, or is too long, and goes on with the next as if nothing had been", () => {
    const long = { ...event, context: { a: "x".repeat(16_000), b: "x".repeat(16_384) } };
    for (const bad of [raw, long]) {
      let thrown: unknown;
      try {
        encodeEvents([event, event, bad, event]);
      } catch (error) {
        thrown = error;
      }
      expect(thrown).toMatchObject({ code: "event-invalid", details: { entry: 2 } });
      expect(encodeEvents([event, event])).toEqual([bytes, bytes]);
    }
  });
});

describe("decodeEvent", () => {
  test("gives the event that was encoded", () => {
    expect(decodeEvent(bytes)).toEqual(event);
    expect(encodeEvent(decodeEvent(bytes))).toEqual(bytes);
  });

  test("reads a type that today's catalogue would refuse, as what is logged stays readable", () => {
    expect(decodeEvent(encodeCbor({ ...map, type: "auth.logn", actor: { type: "user", id: "u" } })).type).toBe(
      "auth.logn",
    );
    const { actor: _, ...without } = map;
    expect(decodeEvent(encodeCbor(without)).actor).toBeUndefined();
    expect(decodeEvent(encodeCbor({ ...map, context: { token: "x" } })).context).toEqual({ token: "x" });
  });

  test.each<[string, CborMap]>([
    ["id", { id: login.id }],
    ["id", { id: new Uint8Array(15) }],
    ["id", { id: new Uint8Array(16) }],
    ["time", { time: "2026-01-31T09:14:09.131Z" }],
    ["time", { time: 0 }],
    ["session.id", { session: { id: "ab".repeat(32) } }],
    ["session.id", { session: { id: new Uint8Array(31) } }],
    ["session", { session: "s" }],
    ["amends", { amends: "cd".repeat(32) }],
    ["tenant", { tenant: { id: "acme" } }],
    ["actor.id", { actor: { type: "user", id: new Uint8Array(3) } }],
    ["context.bytes", { context: { bytes: new Uint8Array(3) } }],
    ["outcome", { outcome: null }],
    ["extra", { extra: 1 }],
  ])("refuses %s in another form than the one it is encoded in", (path, fields) => {
    expect(defectPaths({ ...map, ...fields })).toEqual([path]);
  });

  test("refuses an event without outcome, as each event has one encoding", () => {
    const { outcome: _, ...without } = map;
    expect(defectPaths(without)).toEqual(["outcome"]);
  });

  test.each<[string, CborValue]>([
    ["a list", []],
    ["text", "event"],
    ["bytes", new Uint8Array(3)],
    ["null", null],
  ])("refuses %s", (_, value) => {
    expect(defectPaths(value)).toEqual([""]);
  });

  test("refuses bytes that are not canonical, cut off or too many", () => {
    expect(errorCode(() => decodeEvent(bytes.subarray(0, -1)))).toBe("cbor-malformed");
    expect(errorCode(() => decodeEvent(new Uint8Array(0)))).toBe("cbor-malformed");
    expect(errorCode(() => decodeEvent(new Uint8Array(EVENT_BYTES_MAX + 1)))).toBe("cbor-malformed");
  });

  test("answers a flipped bit with another event or an error, never with the same event", () => {
    for (let bit = 0; bit < bytes.length * 8; bit += 1) {
      const flipped = Uint8Array.from(bytes);
      const at = Math.floor(bit / 8);
      flipped[at] = (flipped[at] ?? 0) ^ (2 ** (bit % 8));
      const code = errorCode(() => expect(encodeHex(encodeEvent(decodeEvent(flipped)))).toBe(encodeHex(flipped)));
      expect(["event-invalid", "cbor-malformed", undefined]).toContain(code);
    }
  });

  test("answers arbitrary bytes with an event or an error of this package", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (data) => {
        expect(["event-invalid", "cbor-malformed", undefined]).toContain(errorCode(() => decodeEvent(data)));
      }),
    );
  });
});
