import { utf8 } from "@tallystick/core";
import { expect, test } from "vitest";
import { type ServerSentEvent, serverSentEvents } from "../src/server-sent-events.ts";

async function* parts(...texts: readonly string[]): AsyncGenerator<Uint8Array> {
  for (const text of texts) yield utf8(text);
}

async function collect(events: AsyncIterable<ServerSentEvent>): Promise<ServerSentEvent[]> {
  const all: ServerSentEvent[] = [];
  for await (const event of events) all.push(event);
  return all;
}

const STREAM = ': hello\n\nevent: entry\nid: 7\ndata: {"a":"ö"}\n\n: still here\n\nevent: checkpoint\ndata: {}\n\n';

test("gives each event once, wherever the stream is cut", async () => {
  const bytes = utf8(STREAM);
  for (let cut = 0; cut <= bytes.length; cut += 1) {
    const halves = (async function* () {
      yield bytes.subarray(0, cut);
      yield bytes.subarray(cut);
    })();
    expect(await collect(serverSentEvents(halves))).toEqual([
      { event: "entry", data: '{"a":"ö"}' },
      { event: "checkpoint", data: "{}" },
    ]);
  }
});

test("leaves out an event that was cut off", async () => {
  expect(await collect(serverSentEvents(parts("event: entry\ndata: {}\n")))).toEqual([]);
});

test("tells of every sign, comments too", async () => {
  let signs = 0;
  await collect(serverSentEvents(parts(": one\n\n", ": two\n\n"), () => (signs += 1)));
  expect(signs).toBe(2);
});

test("refuses an event without an end", async () => {
  const endless = (async function* () {
    for (;;) yield utf8("x".repeat(100_000));
  })();
  await expect(collect(serverSentEvents(endless))).rejects.toThrow("an event without an end");
});
