/** Event streams and WebSockets end with their session, with Hono, Express and Fastify. */
import { once } from "node:events";
import { describe, expect, test } from "vitest";
import { Hono } from "hono";
import { WebSocket } from "ws";
import { createMemorySessionStore } from "@tallystick/sessions";
import { guard } from "@tallystick/sessions/hono";
import type { Browser } from "./support/browser.ts";
import { MINUTE } from "./support/policies.ts";
import { scene as storeScene } from "./support/setup.ts";
import { FRAMEWORKS } from "./support/web-app.ts";
import { refusalOf, remainingOf, webScene } from "./support/web-scene.ts";

const CLOSED_WITHIN = { timeout: 5000, interval: 20 };
const BACKGROUND = { "tallystick-activity": "background" };

/** An event stream that was opened, and whether it has ended. */
class EventStream {
  text = "";
  ended = false;

  static async open(browser: Browser): Promise<EventStream> {
    const response = await browser.get("/app/stream", { accept: "text/event-stream" });
    expect([response.status, response.headers.get("content-type")]).toEqual([200, "text/event-stream"]);
    const stream = new EventStream();
    void stream.#read(response);
    return stream;
  }

  async #read({ body }: Response): Promise<void> {
    try {
      for await (const bytes of body ?? []) this.text += Buffer.from(bytes).toString();
    } catch {
      // Cut off, as a server may that ends: over all the same.
    }
    this.ended = true;
  }
}

function openSocket(browser: Browser, headers: Readonly<Record<string, string>> = {}): WebSocket {
  const url = browser.url.replace("http:", "ws:");
  return new WebSocket(`${url}/app/socket`, { headers: { cookie: browser.cookie, ...headers } });
}

async function openedSocket(browser: Browser): Promise<WebSocket> {
  const socket = openSocket(browser);
  await once(socket, "open");
  return socket;
}

async function said(socket: WebSocket, text: string): Promise<string> {
  socket.send(text);
  const [data] = (await once(socket, "message")) as [Buffer];
  return data.toString();
}

describe.concurrent.each(Object.keys(FRAMEWORKS))("%s", (framework) => {
  test(
    "S16 an event stream and a WebSocket are closed within 5 s of the deadline",
    { timeout: 30_000 },
    async ({ expect }) => {
      await using scene = await webScene(framework);
      const browser = await scene.signedIn();
      const other = await scene.signedIn({ user: "u2" });
      const streams = [await EventStream.open(browser), await EventStream.open(other)];
      const socket = await openedSocket(browser);
      const closed = once(socket, "close") as Promise<[code: number, reason: Buffer]>;
      await expect.poll(() => streams.map(({ text }) => text)).toEqual(["data: hello\n\n", "data: hello\n\n"]);
      scene.at(10 * MINUTE - 1);
      await other.get("/app/hello");
      expect(await said(socket, "hello")).toBe("echo hello");
      scene.at(10 * MINUTE);
      await expect.poll(() => streams.map(({ ended }) => ended), CLOSED_WITHIN).toEqual([true, false]);
      const [code, reason] = await closed;
      expect([code, reason.toString()]).toEqual([4401, "session-expired"]);
      await expect.poll(() => scene.app.ran.toSorted()).toEqual(["hello", "socket closed", "stream closed"]);
      await scene.sessions.sweep();
      await scene.expectEvent({ type: "session.timeout", reason: "idle" });
      // To look after them is no use of a session that has ended.
      expect(await scene.reported("session.use_after_expiry")).toEqual([]);
    },
  );

  test("S16 both are closed after a logout or a revocation elsewhere", { timeout: 30_000 }, async ({ expect }) => {
    await using scene = await webScene(framework);
    const browser = await scene.signedIn();
    const stream = await EventStream.open(browser);
    const socket = await openedSocket(browser);
    await scene.sessions.endAll("u1");
    await expect.poll(() => [stream.ended, socket.readyState], CLOSED_WITHIN).toEqual([true, WebSocket.CLOSED]);
    expect(await scene.reported("session.use_after_expiry")).toEqual([]);
  });

  test("S16 neither frames nor handshakes nor streams are activity", async ({ expect }) => {
    await using scene = await webScene(framework);
    const browser = await scene.signedIn();
    scene.at(4 * MINUTE);
    const socket = await openedSocket(browser);
    await EventStream.open(browser);
    for (let times = 0; times < 20; times += 1) await said(socket, "still here");
    expect(remainingOf(await browser.get("/app/hello", BACKGROUND))).toBe(360);
    socket.terminate();
  });

  test("S16 a handshake without a session that is alive is refused as a request is", async ({ expect }) => {
    await using scene = await webScene(framework);
    const stranger = openSocket(scene.browser());
    const [, refused] = (await once(stranger, "unexpected-response")) as [unknown, { statusCode: number }];
    expect(refused.statusCode).toBe(401);
    const browser = await scene.signedIn();
    scene.at(10 * MINUTE);
    const late = openSocket(browser);
    const [, expired] = (await once(late, "unexpected-response")) as [
      unknown,
      AsyncIterable<Buffer> & { headers: Record<string, string> },
    ];
    let body = "";
    for await (const bytes of expired) body += bytes.toString();
    const response = new Response(body, { status: 401, headers: expired.headers });
    expect(await refusalOf(response)).toEqual({ status: 401, code: "session-expired", reason: "idle" });
    for (const socket of [stranger, late]) {
      socket.on("error", () => undefined);
      socket.terminate();
    }
  });

  test("S20 without the store streams and WebSockets are closed too", { timeout: 30_000 }, async ({ expect }) => {
    const store = createMemorySessionStore();
    await using scene = await webScene(framework, { store });
    const browser = await scene.signedIn();
    const stream = await EventStream.open(browser);
    const socket = await openedSocket(browser);
    const closed = once(socket, "close") as Promise<[code: number, reason: Buffer]>;
    await store.close();
    await expect.poll(() => stream.ended, CLOSED_WITHIN).toBe(true);
    const [code, reason] = await closed;
    expect([code, reason.toString()]).toEqual([1013, "session-state-unavailable"]);
  });
});

test(
  "S16 an event stream that broke off neither stops the process nor keeps others open",
  { timeout: 30_000 },
  async () => {
    const { sessions } = storeScene();
    const app = new Hono();
    app.get("/broken", guard(sessions), () =>
      streamOf((controller) => controller.error(new Error("its source broke"))),
    );
    app.get("/whole", guard(sessions), () => streamOf(() => undefined));
    const open = async (path: string, user: string): Promise<{ ended: Promise<string>; token: string }> => {
      const { token } = await sessions.start({ user });
      const response = await app.request(path, { headers: { authorization: `Bearer ${token}` } });
      return { token, ended: response.text().catch((error: Error) => error.message) };
    };
    const [broken, early, late] = [await open("/broken", "u1"), await open("/whole", "u2"), await open("/whole", "u3")];
    expect(await broken.ended).toBe("its source broke");
    await Promise.all([sessions.end(broken.token), sessions.end(early.token)]);
    expect(await early.ended).toBe("data: hello\n\n");
    await sessions.end(late.token);
    expect(await late.ended).toBe("data: hello\n\n");
  },
);

function streamOf(then: (controller: ReadableStreamDefaultController<Uint8Array>) => void): Response {
  let isFirst = true;
  const body = new ReadableStream<Uint8Array>({
    pull(controller) {
      if (isFirst) controller.enqueue(Buffer.from("data: hello\n\n"));
      else then(controller);
      isFirst = false;
    },
  });
  return new Response(body, { headers: { "content-type": "text/event-stream" } });
}
