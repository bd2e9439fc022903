import { encodeHex } from "@tallystick/core";
import { describe, expect, test } from "vitest";
import {
  actorTag,
  dayOf,
  personDayKey,
  sessionTag,
  streamId,
  subjectTag,
  tenantTag,
  writerStreamId,
} from "../src/index.ts";

const personKey = new Uint8Array(32).fill(1);
const publicKey = new Uint8Array(32).fill(2);
const instance = new Uint8Array(16).fill(3);

describe("dayOf", () => {
  test.each([
    [0, 0],
    [86_399_999, 0],
    [86_400_000, 1],
    [Number.MAX_SAFE_INTEGER, 104_249_991],
  ])("puts %d ms into day %d", (timeMs, day) => {
    expect(dayOf(timeMs)).toBe(day);
  });

  test.each([-1, 0.5, Number.NaN, 2 ** 53])("refuses %d ms", (timeMs) => {
    expect(() => dayOf(timeMs)).toThrow(RangeError);
  });
});

describe("tags", () => {
  test("differ by what they are for, by day, by key and by id", () => {
    const today = personDayKey({ personKey, day: 1 });
    const tags = [
      actorTag({ personDayKey: today, id: "a" }),
      subjectTag({ personDayKey: today, id: "a" }),
      tenantTag({ tenantKey: today, id: "a" }),
      actorTag({ personDayKey: today, id: "b" }),
      actorTag({ personDayKey: personDayKey({ personKey, day: 2 }), id: "a" }),
      actorTag({ personDayKey: personDayKey({ personKey: publicKey, day: 1 }), id: "a" }),
      sessionTag(today),
      writerStreamId("a"),
    ].map(encodeHex);
    expect(new Set(tags).size).toBe(tags.length);
    expect(tags.every((tag) => tag.length === 32)).toBe(true);
  });

  test("are not made from keys of another size", () => {
    const short = new Uint8Array(31);
    expect(() => sessionTag(short)).toThrow("sessionId: expected 32 bytes, got 31");
    expect(() => actorTag({ personDayKey: short, id: "a" })).toThrow(TypeError);
    expect(() => subjectTag({ personDayKey: short, id: "a" })).toThrow(TypeError);
    expect(() => tenantTag({ tenantKey: short, id: "a" })).toThrow(TypeError);
    expect(() => personDayKey({ personKey: short, day: 0 })).toThrow(TypeError);
    expect(() => personDayKey({ personKey, day: 2 ** 32 })).toThrow(RangeError);
  });
});

describe("streamId", () => {
  test("differs by log, key and instance, and by where the origin ends", () => {
    const ids = [
      streamId({ origin: "a", publicKey, instance }),
      streamId({ origin: "b", publicKey, instance }),
      streamId({ origin: "a\u0002", publicKey, instance }),
      streamId({ origin: "a", publicKey: personKey, instance }),
      streamId({ origin: "a", publicKey, instance: new Uint8Array(16) }),
    ].map(encodeHex);
    expect(new Set(ids).size).toBe(ids.length);
  });

  test("takes an origin of 1 to 255 bytes", () => {
    expect(streamId({ origin: "é".repeat(127), publicKey, instance })).toHaveLength(16);
    expect(() => streamId({ origin: "é".repeat(128), publicKey, instance })).toThrow(RangeError);
    expect(() => streamId({ origin: "", publicKey, instance })).toThrow(RangeError);
    expect(() => streamId({ origin: "a", publicKey: instance, instance })).toThrow(TypeError);
  });
});
