import { describe, expect, test, vi } from "vitest";
import { decodeBase64 } from "@tallystick/core";
import { decodeLeaf } from "@tallystick/events";
import { LOG, TestServer, login } from "./test-server.ts";

interface ServerEvent {
  readonly event: string;
  readonly id: string | undefined;
  readonly data: Record<string, unknown>;
}

/** Reads server-sent events one by one. */
class Reader {
  readonly response: Response;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  #text = "";

  constructor(response: Response) {
    this.response = response;
    if (response.body === null) throw new Error("no body");
    this.#reader = response.body.getReader();
  }

  /** The next block, a comment or an event; undefined at the end. */
  async block(): Promise<string | undefined> {
    for (;;) {
      const end = this.#text.indexOf("\n\n");
      if (end !== -1) {
        const block = this.#text.slice(0, end);
        this.#text = this.#text.slice(end + 2);
        return block;
      }
      const { done, value } = await this.#reader.read();
      if (done) return undefined;
      this.#text += Buffer.from(value).toString();
    }
  }

  async next(kind: string): Promise<ServerEvent> {
    for (;;) {
      const block = await this.block();
      if (block === undefined) throw new Error("the stream ended");
      const fields = new Map(
        block.split("\n").map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(": ") + 2)]),
      );
      const data = JSON.parse(fields.get("data") ?? "{}") as Record<string, unknown>;
      if (fields.get("event") === kind) return { event: kind, id: fields.get("id"), data };
    }
  }

  async close(): Promise<void> {
    await this.#reader.cancel();
  }
}

async function tail(server: TestServer, query = "", headers: Record<string, string> = {}): Promise<Reader> {
  return new Reader(await server.open(`/${LOG}/v1/tail${query}`, { role: "auditor", headers }));
}

describe("GET v1/tail", () => {
  test("ends soon after its token was taken back, and gives nothing that came since", async () => {
    let nowMs = 0;
    const valid = new Map([["tsk", { id: "auditor-1", role: "auditor" as const, log: LOG }]]);
    const moreTokens = { find: (token: string) => valid.get(token), valid: () => [] };
    const server = await TestServer.start({ witnesses: 0, moreTokens, monotonic: () => nowMs });
    await server.post(login());
    const headers = { authorization: "Bearer tsk" };
    const reader = new Reader(await server.open(`/${LOG}/v1/tail?from=0`, { headers }));
    const { data } = await reader.next("entry");
    nowMs += 15_000;
    await server.post(login());
    expect((await reader.next("entry")).data["index"]).toBeGreaterThan(Number(data["index"]));
    valid.clear();
    nowMs += 15_000;
    const [late] = [(await server.post([login()])).json<readonly { readonly index: number }[]>()].flat();
    let rest = "";
    for (let block = await reader.block(); block !== undefined; block = await reader.block()) rest += block;
    expect(rest).not.toContain(`"index":${late?.index},`);
    expect((await server.ask(`/${LOG}/v1/tail`, { headers })).status).toBe(401);
  });

  test("gives entries in order, with their contents, and heads as they are published", async () => {
    const server = await TestServer.start({ witnesses: 0 });
    const sent = [login(), login()];
    await server.post(sent);
    const reader = await tail(server, "?from=0");
    expect(reader.response.headers.get("content-type")).toBe("text/event-stream");
    expect(reader.response.headers.get("cache-control")).toBe("no-store");
    for (const [at, event] of sent.entries()) {
      const { id, data } = await reader.next("entry");
      expect([id, data["index"], (data["event"] as { id: string }).id]).toEqual([String(at), at, event["id"]]);
      const { loggedAt } = decodeLeaf(decodeBase64(String(data["leaf"])));
      expect(data["loggedAt"]).toBe(new Date(loggedAt).toISOString());
    }
    await server.post(login());
    const { data } = await reader.next("checkpoint");
    expect(String(data["note"])).toMatch(/^log\.example\/app\n/);
    await reader.close();
  });

  test("that it is read is in the log before the first entry is", async () => {
    const server = await TestServer.start({ witnesses: 0 });
    await server.post(login());
    const before = server.log.size();
    const reader = await tail(server, "?from=0");
    await reader.next("entry");
    expect(server.log.size()).toBeGreaterThan(before);
    await reader.close();
  });

  test("goes on after the last event that a client has seen", async () => {
    const server = await TestServer.start({ witnesses: 0 });
    await server.post([login(), login(), login()]);
    const reader = await tail(server, "?from=0", { "last-event-id": "1" });
    expect((await reader.next("entry")).id).toBe("2");
    await reader.close();
  });

  test("says that it is still there when nothing comes", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    try {
      const started = TestServer.start({ witnesses: 0 });
      while (vi.getTimerCount() === 0) await new Promise((resolve) => setImmediate(resolve));
      await vi.advanceTimersByTimeAsync(100);
      const server = await started;
      const opened = tail(server);
      await vi.advanceTimersByTimeAsync(200);
      const reader = await opened;
      expect(await reader.block()).toMatch(/^: /);
      // The record of the read itself, which the log writes to its own stream, may come first.
      let block: string | undefined = "";
      for (let tries = 0; tries < 50 && block !== ": still here"; tries += 1) {
        const next = reader.block();
        await vi.advanceTimersByTimeAsync(15_000);
        block = await next;
      }
      expect(block).toBe(": still here");
      await reader.close();
    } finally {
      vi.useRealTimers();
    }
  });

  test("ends when the log closes", async () => {
    const server = await TestServer.start({ witnesses: 0 });
    const reader = await tail(server);
    await server.log.close();
    while ((await reader.block()) !== undefined);
  });

  test("a client that goes away, at whatever moment, leaves nothing behind", async () => {
    const server = await TestServer.start({ witnesses: 0 });
    await server.post(Array.from({ length: 50 }, login));
    // More than may follow at a time.
    for (let at = 0; at < 1100; at += 1) {
      const reader = await tail(server, "?from=0");
      expect(reader.response.status).toBe(200);
      if (at % 2 === 0) await reader.block();
      await reader.close();
    }
    const head = await server.ask(`/${LOG}/v1/tail`, { role: "auditor", method: "HEAD" });
    expect(head.status).toBe(200);
  });

  test("a slow reader holds little: no more is read from the log than it takes", async () => {
    const server = await TestServer.start({ witnesses: 0 });
    await server.post(Array.from({ length: 500 }, login));
    const read = vi.spyOn(server.log, "tail");
    let pulled = 0;
    read.mockImplementation(async function* () {
      for (; pulled < 500; pulled += 1) {
        yield { kind: "entry", index: pulled, state: "durable", leaf: await server.log.readLeaf(pulled) } as const;
      }
    });
    const reader = await tail(server, "?from=0");
    await reader.next("entry");
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(pulled).toBeLessThan(10);
    await reader.close();
  });

  test.each(["from=-1", "from=x", "since=0"])("refuses %s", async (query) => {
    const server = await TestServer.start({ witnesses: 0 });
    expect((await server.ask(`/${LOG}/v1/tail?${query}`, { role: "auditor" })).status).toBe(400);
  });
});
