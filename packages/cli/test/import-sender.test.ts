import { createJsonLinesImport } from "@tallystick/events";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { rejectionCode } from "../../../test/support/errors.ts";
import { ImportSender } from "../src/import-sender.ts";
import { type ScriptedLog, startScriptedLog } from "./support/scripted-log.ts";

let log: ScriptedLog;
const trouble: string[] = [];
beforeAll(async () => {
  log = await startScriptedLog();
});
afterAll(async () => {
  await log.close();
});
beforeEach(() => {
  trouble.length = 0;
});

function senderOf(lines: number, signal: AbortSignal = new AbortController().signal): ImportSender {
  const sender = new ImportSender({
    target: { url: log.url, token: undefined, fetch },
    signal,
    onTrouble: (text) => trouble.push(text),
  });
  const map = createJsonLinesImport({ source: "x.jsonl", fallbackTimeMs: Date.UTC(2026, 0) });
  for (let line = 1; line <= lines; line += 1) {
    const imported = map(
      `{"time":1790000000000,"type":"auth.login","outcome":"success","actor":{"type":"user","id":"u_${line}"}}`,
    );
    if (imported === undefined) throw new Error("a line without an event");
    sender.add(imported, line);
  }
  return sender;
}

interface Answer {
  readonly status: number;
  readonly body: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Answers in this order; the last one ever again. */
function answer(...answers: readonly Answer[]): void {
  let next = 0;
  log.answer = (_request, response) => {
    const { status, body, headers = {} } = answers[Math.min(next, answers.length - 1)] ?? { status: 500, body: null };
    next += 1;
    response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(body));
  };
}

function logged(count: number, more: object = {}): Answer {
  const entry = { id: "x", loggedAt: "2026-01-01T00:00:00.000Z", state: "witnessed", ...more };
  return { status: 201, body: Array.from({ length: count }, (_, index) => ({ ...entry, index })) };
}

describe("send", () => {
  test("counts what is new, what was there already, and of which type", async () => {
    answer({ status: 200, body: [...(logged(1).body as []), ...(logged(1, { duplicate: true }).body as [])] });
    const sender = senderOf(2);
    await sender.send("witnessed");
    const { added, there, lastState, types } = sender.counts;
    expect({ added, there, lastState, types: [...types] }).toEqual({
      added: 1,
      there: 1,
      lastState: "witnessed",
      types: [["auth.login success", 2]],
    });
  });

  test("leaves out what the log refuses for good, and sends the rest", async () => {
    const defects = [
      { entry: 1, path: "actor", message: "is wrong" },
      { entry: 1.5, path: "x", message: "x" },
    ];
    answer(
      { status: 422, body: { code: "event-invalid", detail: "x", defects } },
      { status: 409, body: { code: "id-conflict", detail: "x", entry: 0, index: 7 } },
      logged(1),
    );
    const sender = senderOf(3);
    await sender.send("durable");
    expect(sender.counts.refused).toEqual([
      { line: 2, message: "actor: is wrong" },
      { line: 1, message: "its id is that of another event, at index 7" },
    ]);
    expect(sender.counts.added).toBe(1);
  });

  test.each([
    ["an entry that was not sent", { code: "event-invalid", defects: [{ entry: 2, path: "x", message: "x" }] }],
    ["an entry below zero", { code: "id-conflict", entry: -1 }],
    ["half an entry", { code: "id-conflict", entry: 0.5 }],
    ["no entry", { code: "event-invalid", defects: [null, 1, {}, { entry: "0" }] }],
    ["a thing of every array", { code: "id-conflict", entry: "length" }],
    ["no defects", { code: "event-invalid", defects: {} }],
  ])("ends at a refusal that names %s, and does not send the same for ever", async (_what, body) => {
    const asked = log.requests.length;
    answer({ status: 422, body });
    expect(await rejectionCode(senderOf(2).send("durable"))).toBe("log-refused");
    expect(log.requests.length - asked).toBe(1);
  });

  test.each([
    ["fewer entries than were sent", logged(1)],
    ["more entries than were sent", logged(3)],
    ["no entries", { status: 200, body: null }],
    ["entries without a state", logged(2, { state: "done" })],
  ])("counts nothing as logged where the log answers %s", async (_what, malformed) => {
    answer(malformed);
    const sender = senderOf(2);
    expect(await rejectionCode(sender.send("durable"))).toBe("log-answer-malformed");
    expect(sender.counts).toMatchObject({ added: 0, there: 0 });
  });

  test("tries again while the log is away, and says so once", async () => {
    answer({ status: 503, body: { code: "log-starting" }, headers: { "retry-after": "1" } }, logged(1));
    const sender = senderOf(1);
    await sender.send("durable");
    expect(sender.counts.added).toBe(1);
    expect(trouble).toEqual([expect.stringMatching(/^the log answered 503 log-starting: [^\n]*; trying again$/)]);
  });

  test("stops between two tries", async () => {
    answer({ status: 503, body: {}, headers: { "retry-after": "30" } });
    const stop = new AbortController();
    const sender = senderOf(1, stop.signal);
    const untilTrouble = async (): Promise<void> => {
      while (trouble.length === 0) await new Promise((resolve) => setImmediate(resolve));
      stop.abort();
    };
    const [sent] = await Promise.allSettled([sender.send("durable"), untilTrouble()]);
    expect(sent).toMatchObject({ status: "rejected", reason: { name: "AbortError" } });
  });
});
