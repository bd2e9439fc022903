/** Submissions that a thread of its own reads: the same answers as without it. */
import { afterAll, describe, expect, onTestFinished, test } from "vitest";
import { BATCH_MEDIA_TYPE, type CborValue, encodeCbor } from "@tallystick/events";
import type { Log } from "@tallystick/log";
import { type ReadSubmission, SubmissionReader } from "../src/submission-reader.ts";
import { TestSender, TestServer, login, signedLogin } from "./test-server.ts";

/** One that reads everything. */
async function readyReader(atEnd: (end: () => Promise<void>) => void = onTestFinished): Promise<SubmissionReader> {
  const reader = new SubmissionReader({ bodyBytesMin: 0, waitingMax: Infinity });
  atEnd(() => reader.close());
  while (!reader.takes(new Uint8Array(1), "app")) await new Promise((resolve) => setTimeout(resolve, 5));
  return reader;
}

interface Case {
  readonly name: string;
  readonly body: () => string | Uint8Array;
  readonly type?: string;
}

const json = (value: unknown): string => JSON.stringify(value);
const many = (count: number): Record<string, unknown>[] => Array.from({ length: count }, login);
const signed = (count: number): Record<string, unknown>[] => Array.from({ length: count }, () => signedLogin());

const cases: readonly Case[] = [
  { name: "one event", body: () => json(login()) },
  { name: "a list of one", body: () => json([login()]) },
  { name: "a thousand", body: () => json(many(1000)) },
  { name: "lines", body: () => many(3).map(json).join("\n"), type: "application/x-ndjson" },
  { name: "CBOR", body: () => encodeCbor(many(3) as CborValue), type: "application/cbor" },
  { name: "a signed batch", body: () => new TestSender().next(signed(3)), type: BATCH_MEDIA_TYPE },
  {
    name: "a batch whose signature was changed",
    body: () => changed(new TestSender().next(signed(3))),
    type: BATCH_MEDIA_TYPE,
  },
  {
    name: "a batch that begins in the middle",
    body: () => new TestSender().batch(5, signed(2)),
    type: BATCH_MEDIA_TYPE,
  },
  { name: "a batch that is none", body: () => new Uint8Array([1, 2, 3]), type: BATCH_MEDIA_TYPE },
  { name: "no events", body: () => "[]" },
  { name: "too many events", body: () => json(many(1001)) },
  { name: "text that is no JSON", body: () => `[${json(login())},` },
  { name: "bytes that are no text", body: () => new Uint8Array([0x22, 0xff, 0x22]) },
  { name: "a line that is no JSON", body: () => `${json(login())}\n{`, type: "application/x-ndjson" },
  { name: "events that are none", body: () => json([login(), { ...login(), type: 7 }, { ...login(), id: "x" }]) },
  { name: "a type of the log's own", body: () => json([login(), { ...login(), type: "log.head" }]) },
  { name: "the class of a hold", body: () => json([{ ...login(), retention: "hold-0123abcd" }]) },
  { name: "the same id twice", body: () => json(((event) => [event, { ...event, outcome: "failure" }])(login())) },
];

function changed(bytes: Uint8Array): Uint8Array {
  return Uint8Array.from(bytes, (byte, at) => (at === bytes.length - 1 ? byte ^ 1 : byte));
}

/** What differs from one request to the next for reasons of its own. */
function comparable(text: string): string {
  return text
    .replace(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/gu, "<id>")
    .replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/gu, "<time>")
    .replace(/"(leaf|leafHash|key)":"[^"]*"/gu, '"$1":"…"');
}

describe("a thread that reads submissions", () => {
  const ends: (() => unknown)[] = [];
  afterAll(async () => {
    for (const end of ends) await end();
  });
  /** A server without the thread, and one with it. */
  const start = async (): Promise<readonly [TestServer, TestServer]> => {
    const atEnd = (end: () => unknown): unknown => ends.unshift(end);
    const submissions = await readyReader(atEnd);
    return [
      await TestServer.start({ witnesses: 0, atEnd }),
      await TestServer.start({ witnesses: 0, atEnd, submissions }),
    ];
  };
  let started: ReturnType<typeof start> | undefined;

  test.each(cases)("answers $name as it is answered without", async ({ body, type = "application/json" }) => {
    const [without, withThread] = await (started ??= start());
    const bytes = body();
    const expected = await without.post(bytes, "", { type });
    const reply = await withThread.post(bytes, "", { type });
    expect([reply.status, comparable(reply.text)]).toEqual([expected.status, comparable(expected.text)]);
    expect(withThread.log.counters().refused).toBe(without.log.counters().refused);
    expect(withThread.log.size()).toBe(without.log.size());
  });

  test("takes large bodies only, once it runs, and no more than it can read soon", async () => {
    const reader = new SubmissionReader({ waitingMax: 1 });
    onTestFinished(() => reader.close());
    const large = new Uint8Array(65_536).fill(0x20);
    expect([reader.takes(large.subarray(1), "app"), reader.takes(large, "app")]).toEqual([false, false]);
    while (!reader.takes(large, "app")) await new Promise((resolve) => setTimeout(resolve, 5));
    expect(reader.takes(large.subarray(1), "app")).toBe(false);
    const { log } = await TestServer.start({ witnesses: 0 });
    const reading = read(reader, log, new Uint8Array(large));
    expect([
      reader.takes(large, "another"),
      reader.takes(large, "app"),
      reader.takes(new Uint8Array(1), "app"),
    ]).toEqual([false, true, true]);
    await expect(reading).rejects.toMatchObject({ code: "json-malformed" });
    expect([reader.takes(large, "another"), reader.takes(new Uint8Array(1), "app")]).toEqual([true, false]);
  });

  test("keeps the order of what one writer sends, be it large or small", async () => {
    const submissions = new SubmissionReader();
    onTestFinished(() => submissions.close());
    while (!submissions.takes(new Uint8Array(65_536), "nobody")) await new Promise((resolve) => setTimeout(resolve, 5));
    const server = await TestServer.start({ witnesses: 0, submissions });
    const sender = new TestSender();
    const batches = [900, 1, 900, 1].map((count) => sender.next(signed(count)));
    const replies = await Promise.all(batches.map(async (batch) => server.postBatch(batch)));
    expect(replies.map(({ status }) => status)).toEqual([201, 201, 201, 201]);
  });

  test("what it reads is refused by a log without room as it is refused without it", async () => {
    const log = { unpublishedEntriesMax: 1, publishIntervalMs: 60_000 };
    const servers = [
      await TestServer.start({ witnesses: 0, log }),
      await TestServer.start({ witnesses: 0, log, submissions: await readyReader() }),
    ];
    const bodies = [
      json([login()]),
      "[",
      "[]",
      json([{ ...login(), type: 7 }]),
      json([{ ...login(), type: "log.head" }]),
    ];
    const [without, withThread] = await Promise.all(
      servers.map(async (server) => {
        await server.post(login());
        const replies: unknown[] = [];
        for (const body of bodies) {
          const reply = await server.post(body);
          // When to come again differs by chance.
          replies.push([reply.status, comparable(reply.text), reply.headers.has("retry-after")]);
        }
        return [replies, server.log.counters().overloaded, server.log.counters().refused];
      }),
    );
    expect(withThread).toEqual(without);
  });

  test("where there can be no thread, says so once, and takes nothing", async () => {
    const troubles: unknown[] = [];
    const thread = new URL("nothing-there.ts", import.meta.url);
    const reader = new SubmissionReader({ bodyBytesMin: 0, thread, onTrouble: (error) => troubles.push(error) });
    onTestFinished(() => reader.close());
    while (troubles.length === 0) {
      expect(reader.takes(new Uint8Array(1), "app")).toBe(false);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    expect([reader.takes(new Uint8Array(1), "app"), troubles.length]).toEqual([false, 1]);
  });

  test("is idle once all that waited is read", async () => {
    const reader = await readyReader();
    const { log } = await TestServer.start({ witnesses: 0 });
    await reader.idle(0);
    let isRead = false;
    const reading = read(reader, log, Buffer.from(json(many(1000)))).then(() => {
      isRead = true;
    });
    await reader.idle(60_000);
    expect(isRead).toBe(true);
    await reading;
  });

  test("leaves bytes alone that lie beside a body's", async () => {
    const reader = await readyReader();
    const { log } = await TestServer.start({ witnesses: 0 });
    const around = Buffer.from(`before${json([login()])}behind`);
    const body = around.subarray(6, -6);
    const { prepared, single } = await read(reader, log, body);
    expect([prepared.kind, single]).toEqual(["events", false]);
    expect(around.toString()).toMatch(/^before.*behind$/u);
  });

  test("answers what waits for it when it ends, and takes no more", async () => {
    const reader = await readyReader();
    const { log } = await TestServer.start({ witnesses: 0 });
    const reading = read(reader, log, Buffer.from(json(many(1000)))).catch((error: unknown) => error);
    await reader.close();
    expect(String(await reading)).toContain("ended");
    expect(reader.takes(new Uint8Array(1), "app")).toBe(false);
  });
});

async function read(reader: SubmissionReader, log: Log, body: Uint8Array): Promise<ReadSubmission> {
  const preparation = log.preparation("app");
  if (preparation === undefined) throw new Error("the log stopped");
  return reader.read({ writer: "app", body, mediaType: "application/json", preparation });
}
