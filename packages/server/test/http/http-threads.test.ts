import { createHash } from "node:crypto";
import { once } from "node:events";
import { type IncomingMessage, request as httpRequest } from "node:http";
import { type AddressInfo, createServer } from "node:net";
import { MessageChannel } from "node:worker_threads";
import * as fc from "fast-check";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import type { BodySink } from "../../src/http/body-source.ts";
import { Channel, bytesIn } from "../../src/http/channel.ts";
import { type HttpListener, HttpServer } from "../../src/http/http-server.ts";
import { HttpThreads } from "../../src/http/http-threads.ts";
import { RemoteApp } from "../../src/http/remote-app.ts";
import type { Reply, Responder, ServerRequest } from "../../src/http/request.ts";
import type { FromHttp, ToApp, ToHttp } from "../../src/http/thread-messages.ts";
import { runs } from "../runs.ts";
import { openSocket } from "./open-socket.ts";

const MIB = 1_048_576;
const LIMITS = { bodyTimeoutMs: 30_000, connectionsMax: 1000, answersBytesMax: 67_108_864, stallTimeoutMs: 60_000 };

interface Started {
  readonly port: number;
  readonly threads: HttpListener;
}

const OPTIONS = { limits: LIMITS, onTrouble: () => undefined };

/** With so many threads; with none beside the application. */
async function start(respond: Responder["respond"], count = 1): Promise<Started> {
  const threads =
    count === 0
      ? new HttpServer({ respond }, { ...OPTIONS, tls: undefined })
      : new HttpThreads({ respond }, { ...OPTIONS, count });
  const { port } = await threads.listen({ host: "127.0.0.1", port: 0 });
  onTestFinished(async () => threads.end());
  return { port, threads };
}

async function expectTaken(count: number, port: number): Promise<void> {
  const threads = new HttpThreads({ respond: async () => plain(200, "") }, { ...OPTIONS, count });
  await expect(threads.listen({ host: "127.0.0.1", port })).rejects.toMatchObject({ code: "EADDRINUSE" });
  await threads.end();
}

interface Ask {
  readonly path?: string;
  readonly body?: Uint8Array;
  /** In chunks of so many bytes; in one piece by default, with its length announced. */
  readonly chunk?: number;
}

/** The answer, with what of its body came before it ended or was cut. */
async function ask(port: number, { path = "/", body, chunk }: Ask = {}): Promise<{ status: number; body: Buffer }> {
  const request = httpRequest({ port, host: "127.0.0.1", path, method: body === undefined ? "GET" : "POST" });
  if (body !== undefined && chunk !== undefined)
    for (let at = 0; at < body.length; at += chunk) request.write(body.subarray(at, at + chunk));
  request.end(chunk === undefined ? body : undefined);
  const [response] = (await once(request, "response")) as [IncomingMessage];
  const parts: Buffer[] = [];
  for await (const part of response) parts.push(part as Buffer);
  return { status: response.statusCode ?? 0, body: Buffer.concat(parts) };
}

async function bodyOf(request: ServerRequest): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const parts: Uint8Array[] = [];
    request.body.sendTo({
      part: (bytes) => void parts.push(bytes),
      end: () => resolve(Buffer.concat(parts)),
      fail: reject,
    });
  });
}

const plain = (status: number, body: Reply["body"]): Reply => ({ status, headers: {}, body });

function digestOf(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

function bytesOf(size: number, seed: number): Uint8Array {
  return Uint8Array.from({ length: size }, (_, at) => (at * 31 + seed) % 251);
}

describe("HttpThreads", () => {
  test("brings bodies of every size whole, many at a time, and takes answers back to whoever asked", async () => {
    const { port } = await start(async (request) => {
      const body = await bodyOf(request);
      return plain(200, request.path === "/echo" ? body : digestOf(body));
    });
    const size = fc.oneof(fc.nat(64), fc.integer({ min: 16_380, max: 16_390 }), fc.nat(300_000));
    const asks = fc.array(
      fc.record({
        size,
        chunk: fc.option(fc.integer({ min: 1000, max: 70_000 }), { nil: undefined }),
        path: fc.constantFrom("/echo", "/digest", "/%65cho"),
      }),
      { minLength: 1, maxLength: 12 },
    );
    await fc.assert(
      fc.asyncProperty(asks, async (each) => {
        await Promise.all(
          each.map(async ({ size: length, chunk, path }, seed) => {
            const body = bytesOf(length, seed);
            const reply = await ask(port, { path, body, ...(chunk === undefined || length === 0 ? {} : { chunk }) });
            const expected = path === "/echo" ? Buffer.from(body) : Buffer.from(digestOf(body));
            expect(reply.body.equals(expected)).toBe(true);
          }),
        );
      }),
      { ...runs, numRuns: 30 },
    );
  });

  test("a body that nobody asks for stays where it is, and the connection ends", async () => {
    const { port } = await start(async () => plain(401, "no"));
    const reply = await ask(port, { body: bytesOf(MIB, 1) }).catch((error: unknown) => error);
    // Cut while the body is still being sent, the client may see no answer.
    expect(reply instanceof Error || (reply as { status: number }).status === 401).toBe(true);
    expect((await ask(port)).status).toBe(401);
  });

  test("an application that fails ends the connection, and no other", async () => {
    const { port } = await start(async ({ path }) => {
      if (path === "/bad") throw new Error("the test wants it");
      return plain(200, "good");
    });
    const [bad, good] = await Promise.allSettled([ask(port, { path: "/bad" }), ask(port)]);
    expect([bad.status, good.status]).toEqual(["rejected", "fulfilled"]);
    expect((await ask(port)).body.toString()).toBe("good");
  });

  test("a stream is pulled as it is taken, and ends as it does", async () => {
    const { port } = await start(async ({ path }) => {
      let at = 0;
      const stream = new ReadableStream<Uint8Array>({
        pull: (controller) => {
          at += 1;
          if (at <= 3) controller.enqueue(Buffer.from(`${at}`));
          else if (path === "/cut") controller.error(new Error("the test wants it"));
          else controller.close();
        },
      });
      return plain(200, stream);
    });
    expect((await ask(port)).body.toString()).toBe("123");
    expect((await ask(port, { path: "/%61" })).body.toString()).toBe("123");
    await expect(ask(port, { path: "/cut" })).rejects.toMatchObject({ code: "ECONNRESET" });
  });

  test.each(["/plain", "/%6cong-way"])("a client that leaves a stream is noticed: %s", async (path) => {
    const seen = { cancelled: false, aborted: false };
    const { port } = await start(async (request) => {
      request.signal.addEventListener("abort", () => (seen.aborted = true));
      const stream = new ReadableStream<Uint8Array>({
        start: (controller) => controller.enqueue(Buffer.from("first")),
        cancel: () => void (seen.cancelled = true),
      });
      return plain(200, stream);
    });
    const socket = await openSocket(port);
    socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`);
    await once(socket, "data");
    socket.destroy();
    await vi.waitFor(() => expect(seen).toEqual({ cancelled: true, aborted: true }));
  });

  test.each([0, 1])("%i threads: a client that left before its stream began ends the stream", async (count) => {
    const cancelled = Promise.withResolvers<void>();
    const asked = Promise.withResolvers<void>();
    const { port } = await start(async ({ signal }) => {
      asked.resolve();
      await once(signal, "abort");
      return plain(200, new ReadableStream({ cancel: () => cancelled.resolve() }));
    }, count);
    const socket = await openSocket(port);
    socket.write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    await asked.promise;
    socket.destroy();
    await cancelled.promise;
  });

  test.each([0, 1])("%i threads: of a client that left before its body was asked for none comes", async (count) => {
    const failed = Promise.withResolvers<string>();
    const asked = Promise.withResolvers<void>();
    const { port } = await start(async (request) => {
      asked.resolve();
      await once(request.signal, "abort");
      await bodyOf(request).catch(({ message }: Error) => failed.resolve(message));
      return plain(400, "too late");
    }, count);
    const socket = await openSocket(port);
    socket.write("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 20000\r\n\r\n{");
    await asked.promise;
    socket.destroy();
    expect(await failed.promise).toBe("the client went away");
  });

  test("a client that leaves before its answer is noticed, and its number is soon another's", async () => {
    const left: string[] = [];
    const waiting = Promise.withResolvers<void>();
    const { port } = await start(async (request) => {
      if (request.path !== "/wait") return plain(200, "other");
      await new Promise<void>((resolve) => {
        request.signal.addEventListener("abort", () => resolve());
        waiting.resolve();
      });
      left.push(request.path);
      return plain(200, "late");
    });
    const socket = await openSocket(port);
    socket.write("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
    await waiting.promise;
    socket.destroy();
    await vi.waitFor(() => expect(left).toEqual(["/wait"]));
    const replies = await Promise.all(Array.from({ length: 20 }, async () => ask(port)));
    expect(new Set(replies.map(({ body }) => body.toString()))).toEqual(new Set(["other"]));
  });

  test("knows the requests of one connection by one object", async () => {
    const connections: (object | undefined)[] = [];
    const { port } = await start(async ({ connection }) => {
      connections.push(connection);
      return plain(200, "ok");
    });
    for (const texts of [["a", "b"], ["c"]]) {
      const socket = await openSocket(port);
      for (const text of texts) {
        socket.write(`GET /${text} HTTP/1.1\r\nHost: x\r\n\r\n`);
        await once(socket, "data");
      }
    }
    expect(connections.every((each) => each !== undefined)).toBe(true);
    expect([connections[0] === connections[1], connections[1] === connections[2]]).toEqual([true, false]);
  });

  test("several threads share one address, and each ends", async () => {
    const { port, threads } = await start(async ({ path }) => plain(200, path), 3);
    const paths = Array.from({ length: 60 }, (_, at) => `/${at}`);
    const replies = await Promise.all(paths.map(async (path) => ask(port, { path })));
    expect(replies.map(({ body }) => body.toString())).toEqual(paths);
    threads.stop();
    await threads.end();
    await expect(ask(port)).rejects.toMatchObject({ code: "ECONNREFUSED" });
  });

  test.each([1, 3])("an address that is taken is an error with its code, for %i threads", async (count) => {
    const other = createServer().listen(0, "127.0.0.1");
    onTestFinished(() => void other.close());
    await once(other, "listening");
    await expectTaken(count, (other.address() as AddressInfo).port);
  });

  test("an address that threads of another server share is taken too, and free when they have ended", async () => {
    const { port, threads } = await start(async ({ path }) => plain(200, path), 2);
    await expectTaken(1, port);
    await expectTaken(2, port);
    await threads.end();
    const again = new HttpThreads({ respond: async () => plain(200, "again") }, { ...OPTIONS, count: 2 });
    onTestFinished(async () => again.end());
    expect(await again.listen({ host: "127.0.0.1", port })).toMatchObject({ port });
    expect((await ask(port)).body.toString()).toBe("again");
  });

  test("at the end an answer that is ready gets out, and what goes on for ever is cut", async () => {
    const answer = Promise.withResolvers<void>();
    const { port, threads } = await start(async ({ path }) => {
      if (path === "/stream") return plain(200, new ReadableStream({ pull: async () => new Promise(() => undefined) }));
      await answer.promise;
      return plain(200, "at last");
    });
    const late = ask(port);
    const socket = await openSocket(port);
    socket.write("GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
    await once(socket, "data");
    const closed = once(socket, "close");
    threads.stop();
    answer.resolve();
    // Sent before the end is.
    await new Promise((resolve) => setImmediate(resolve));
    await threads.end();
    expect((await late).body.toString()).toBe("at last");
    await closed;
  });
});

/** The two ends of a channel in this thread: the HTTP server's, and one whose messages the test sees and sends itself. */
function remoteApp(): {
  readonly app: RemoteApp;
  readonly seen: FromHttp[];
  readonly tell: (message: ToApp) => void;
} {
  const { port1, port2 } = new MessageChannel();
  onTestFinished(() => port1.close());
  const seen: FromHttp[] = [];
  const application = new Channel<ToHttp, FromHttp>(port2, (messages) => seen.push(...messages));
  const server: Channel<FromHttp, ToHttp> = new Channel(port1, (messages, bytes) => {
    // The test tells what is for requests, and nothing else.
    for (const message of messages) app.receive(message as ToApp, bytes);
  });
  const app = new RemoteApp(server);
  return { app, seen, tell: (message) => application.send(message) };
}

function requestWith(body: (sink: BodySink) => void, announcedBytes: number | undefined): ServerRequest {
  return {
    method: "POST",
    path: "/",
    search: "",
    connection: undefined,
    isLocal: false,
    isCertified: false,
    signal: new AbortController().signal,
    header: () => undefined,
    body: {
      announcedBytes,
      sendTo: (sink) => {
        body(sink);
        return () => undefined;
      },
    },
  };
}

test("bytes that are little of their batch keep nothing else of it in memory", () => {
  const batch = Uint8Array.from({ length: 500 }, (_, at) => at % 256);
  for (const [start, end] of [
    [0, 0],
    [0, 1],
    [499, 500],
    [100, 349],
    [100, 350],
    [0, 500],
  ] as const) {
    const bytes = bytesIn([start, end], batch);
    expect(bytes).toEqual(batch.slice(start, end));
    expect(bytes.buffer.byteLength).toBeLessThanOrEqual(2 * bytes.length);
  }
});

describe("RemoteApp", () => {
  test("holds up bodies of which too much is on the way, until it was taken", async () => {
    const { app, seen, tell } = remoteApp();
    const sent = { parts: 0 };
    const send = async (sink: BodySink): Promise<void> => {
      for (; sent.parts < 64; sent.parts += 1) await sink.part(new Uint8Array(MIB));
      sink.end();
    };
    void app.respond(requestWith((sink) => void send(sink), 64 * MIB));
    await vi.waitFor(() => expect(seen.map(([kind]) => kind)).toEqual(["request"]));
    expect(sent.parts).toBe(0);
    tell(["read", 0]);
    await vi.waitFor(() => expect(seen.length).toBeGreaterThan(8));
    const held = sent.parts;
    expect(held).toBeLessThan(10);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(sent.parts).toBe(held);
    for (let taken = 0; taken < 64; taken += 1) tell(["taken", MIB]);
    await vi.waitFor(() => expect(seen.at(-1)).toEqual(["end", 0]));
    expect(seen.filter(([kind]) => kind === "part").length).toBe(64);
  });

  test("sends a small body unasked, and nothing of it once there is an answer", async () => {
    const { app, seen, tell } = remoteApp();
    let sink: BodySink | undefined;
    const reply = app.respond(requestWith((to) => (sink = to), 10));
    await sink?.part(new Uint8Array(5));
    await vi.waitFor(() => expect(seen.map(([kind]) => kind)).toEqual(["request", "part"]));
    tell(["reply", 0, 200, {}, "done"]);
    expect(await reply).toEqual({ status: 200, headers: {}, body: "done" });
    await sink?.part(new Uint8Array(5));
    sink?.end();
    // The next request has the number of the one that is over.
    void app.respond(requestWith(() => undefined, undefined));
    await vi.waitFor(() => expect(seen.length).toBe(3));
    expect(seen[2]?.slice(0, 2)).toEqual(["request", 0]);
  });

  test("gives the number of a stream that was left to nobody before the application is done with it", async () => {
    const { app, seen, tell } = remoteApp();
    const ask = async (): Promise<Reply> => app.respond(requestWith(() => undefined, undefined));
    const reply = ask();
    tell(["stream", 0, 200, {}]);
    const { body } = await reply;
    await (body as ReadableStream).cancel();
    void ask();
    await vi.waitFor(() => expect(seen.at(-1)?.slice(0, 2)).toEqual(["request", 1]));
    tell(["done", 0]);
    await vi.waitFor(async () => {
      void ask();
      await new Promise((resolve) => setTimeout(resolve, 5));
      expect(seen.filter(([kind, number]) => kind === "request" && number === 0).length).toBe(2);
    });
  });
});
