import { describe, expect, test } from "vitest";
import { type ImportedLine, UNREADABLE_TYPE, createJsonLinesImport } from "../../src/index.ts";
import { login } from "../sample-event.ts";

const options = { source: "events.jsonl", fallbackTimeMs: Date.UTC(2026, 0, 1) };

function importAll(lines: readonly string[]): (ImportedLine | undefined)[] {
  return lines.map(createJsonLinesImport(options));
}

function importLine(line: string): ImportedLine {
  const [imported] = importAll([line]);
  if (imported === undefined) throw new Error("expected an event");
  return imported;
}

const { id: _, ...withoutId } = login;

describe("createJsonLinesImport", () => {
  test("reads events as they are", () => {
    const { event, unreadable } = importLine(JSON.stringify(login));
    expect([event.id, event.type, unreadable]).toEqual([login.id, "auth.login", undefined]);
  });

  test("gives an event without id one that stays the same", () => {
    const line = JSON.stringify(withoutId);
    const [first, second] = importAll([line, `${line}\r`]);
    expect(first?.unreadable).toBeUndefined();
    expect(first?.event.id).not.toBe(second?.event.id);
    expect(importLine(line).event.id).toBe(first?.event.id);
    const time = Date.parse("2026-01-31T09:14:09.131Z").toString(16).padStart(12, "0");
    expect(first?.event.id.replaceAll("-", "").slice(0, 13)).toBe(`${time}7`);
  });

  test.each([
    ["{", "line 1, column 2"],
    ['{"a":1,"a":2}', "a name stands twice"],
    ["[]", "expected a JSON object"],
    ["{}", "time: is missing"],
    [JSON.stringify({ ...login, type: "auth.logn" }), "did you mean auth.login?"],
    [JSON.stringify({ ...withoutId, time: "yesterday" }), "time: expected"],
    [JSON.stringify({ ...withoutId, time: -1 }), "time: expected"],
  ])("keeps %j as an event of its own that says why", (line, reason) => {
    const { event, unreadable } = importLine(line);
    expect(unreadable).toContain(reason);
    expect(event).toMatchObject({ type: UNREADABLE_TYPE, time: options.fallbackTimeMs });
    expect(event.context).toMatchObject({ file: "events.jsonl", line: 1, raw: line });
  });

  test("keeps neither secrets nor raw session ids of what it cannot read", () => {
    const json = {
      ...login,
      type: "x",
      session: { id: "raw-id" },
      context: { password: "hunter2", list: [{ token: ["t0ken"] }] },
    };
    const raw = JSON.stringify(importLine(JSON.stringify(json)).event.context?.["raw"]);
    expect(raw).not.toMatch(/raw-id|hunter2|t0ken/);
    expect(raw).toContain("u_81");
  });

  test("keeps nothing of text that is not JSON where it names a secret", () => {
    expect(importLine('{"password": "hunter2"').event.context).toEqual({ file: "events.jsonl", line: 1 });
    expect(importLine('{"session": {"id": "raw').event.context).toEqual({ file: "events.jsonl", line: 1 });
  });

  test("leaves a session id that has yet to be hashed", () => {
    expect(importLine(JSON.stringify({ ...login, session: { id: "raw" } })).event.session).toEqual({ id: "raw" });
  });

  test("gives what cannot be read the time of the event before", () => {
    const [first, second] = importAll([JSON.stringify(login), "?"]);
    expect(second?.event.time).toBe(first?.event.time);
  });

  test("skips blank lines but counts them", () => {
    expect(importAll([" ", "?"]).map((line) => line?.event.context?.["line"])).toEqual([undefined, 2]);
  });

  test("refuses a time that no event can have", () => {
    expect(() => createJsonLinesImport({ source: "x", fallbackTimeMs: 0 })).toThrow(RangeError);
  });
});
