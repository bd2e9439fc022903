import { describe, expect, test } from "vitest";
import {
  type TallyEvent,
  eventToJson,
  isHashedSessionId,
  normaliseSession,
  parseEvent,
  personOf,
  personalId,
  retentionClass,
} from "../src/index.ts";
import { login } from "./sample-event.ts";

const event: TallyEvent = parseEvent(login);

describe("retentionClass", () => {
  test("is the first segment of the type, or what the event says", () => {
    expect(retentionClass(event)).toBe("auth");
    expect(retentionClass({ type: "auth.login", retention: "short-7d" })).toBe("short-7d");
  });
});

describe("personOf", () => {
  const user = { type: "user", id: "u_1" };
  const other = { type: "user", id: "u_2" };

  test("is the subject, else the actor", () => {
    expect(personOf({ actor: user, subject: other })).toBe(other);
    expect(personOf({ actor: user })).toBe(user);
    expect(personOf({ actor: user, subject: { id: "u_3" } })).toEqual({ id: "u_3" });
    expect(personOf({})).toBeUndefined();
  });

  test.each(["anonymous", "unverified"])("is nobody where that one is %s", (type) => {
    expect(personOf({ actor: { type, id: "x" } })).toBeUndefined();
    expect(personOf({ actor: user, subject: { type, id: "x" } })).toBeUndefined();
    expect(personalId({ type, id: "x" })).toBeUndefined();
  });
});

describe("normaliseSession", () => {
  const hash = (id: string): Uint8Array => new Uint8Array(32).fill(id.length);

  test("replaces a session id that is not hashed", () => {
    const raw = { ...event, session: { id: "abc" } };
    expect(normaliseSession(raw, hash)).toEqual({ ...event, session: { id: "03".repeat(32) } });
    expect(raw.session.id).toBe("abc");
  });

  test("leaves a hashed one, and an event without session, alone", () => {
    expect(normaliseSession(event, hash)).toBe(event);
    const { session: _, ...without } = event;
    expect(normaliseSession(without, hash)).toBe(without);
    expect(isHashedSessionId("ab".repeat(31))).toBe(false);
  });

  test("refuses a hash of another length", () => {
    expect(() => normaliseSession({ ...event, session: { id: "abc" } }, () => new Uint8Array(16))).toThrow(RangeError);
  });
});

describe("eventToJson", () => {
  test("gives what parseEvent reads, with the time in RFC 3339", () => {
    const json = eventToJson(event);
    expect(json).toEqual(login);
    expect(Object.keys(json).slice(0, 4)).toEqual(["id", "time", "type", "outcome"]);
    expect(parseEvent(JSON.parse(JSON.stringify(json)))).toEqual(event);
  });
});
