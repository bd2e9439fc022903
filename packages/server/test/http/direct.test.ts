import { once } from "node:events";
import { type Server, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { getRequestListener } from "@hono/node-server";
import { type CborValue, encodeCbor } from "@tallystick/events";
import * as fc from "fast-check";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { directListener } from "../../src/http/direct.ts";
import { HttpThreads } from "../../src/http/http-threads.ts";
import { webApp } from "../../src/http/web-app.ts";
import type { HostedLog } from "../../src/index.ts";
import { runs } from "../runs.ts";
import { openSocket } from "./open-socket.ts";
import { LOG, TestServer, type TestServerOptions, login } from "../test-server.ts";

/** One application behind two servers: one that has the short way, and one that has the long way alone. */
interface TwoWays {
  readonly server: TestServer;
  readonly short: number;
  readonly long: number;
  /** Requests to the first server that went the long way all the same; not counted in a thread of its own. */
  readonly detours: () => number;
}

/** Where the server is that has the short way: beside the application, or in a thread of its own. */
const PLACES = ["beside", "thread"] as const;
type Place = (typeof PLACES)[number];

const LIMITS = { bodyTimeoutMs: 30_000, connectionsMax: 1000, answersBytesMax: 67_108_864, stallTimeoutMs: 60_000 };

async function twoWays(options: TestServerOptions = {}, place: Place = "beside"): Promise<TwoWays> {
  const rateLimit = { requestsPerSecond: 1_000_000, burst: 1_000_000 };
  const server = await TestServer.start({ witnesses: 0, rateLimit, ...options });
  const web = getRequestListener(webApp(server.app).fetch);
  const long = await portOf(createServer((incoming, outgoing) => void web(incoming, outgoing)));
  if (place === "thread") {
    const threads = new HttpThreads(server.app, { count: 1, limits: LIMITS, onTrouble: () => undefined });
    const { port } = await threads.listen({ host: "127.0.0.1", port: 0 });
    onTestFinished(async () => threads.end());
    return { server, short: port, long, detours: () => 0 };
  }
  let detours = 0;
  const direct = directListener(server.app, async (incoming, outgoing) => {
    detours += 1;
    return web(incoming, outgoing);
  });
  return {
    server,
    short: await portOf(createServer(direct)),
    long,
    detours: () => detours,
  };
}

async function portOf(server: Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

interface Sent {
  readonly method?: string;
  readonly target?: string;
  readonly version?: string;
  readonly headers?: readonly Header[];
  readonly body?: string;
}

/** A request that asks for the connection to be closed after it. */
function textOf({ method = "GET", target = "/", version = "HTTP/1.1", headers = [], body = "" }: Sent): string {
  const hasHost = headers.some(([name]) => name.toLowerCase() === "host");
  const all = [...(hasHost ? [] : [["Host", "log.example:7420"]]), ...headers, ["Connection", "close"]];
  return `${method} ${target} ${version}\r\n${all.map(([name, value]) => `${name}: ${value}\r\n`).join("")}\r\n${body}`;
}

/** All that comes back until the connection ends. */
async function exchange(port: number, text: string): Promise<string> {
  const socket = await openSocket(port);
  let reply = "";
  socket.on("data", (part: Buffer) => (reply += part.toString("latin1")));
  // What is written after the other side closed fails, which once() would take for the event.
  const closed = new Promise((resolve) => socket.on("close", resolve));
  socket.write(text, "latin1");
  await closed;
  return reply;
}

/** An answer without what differs from one time to the next: its date, its id, the spread of Retry-After. */
function comparable(reply: string): unknown {
  const [interim = ""] = /^HTTP\/1\.1 100 Continue\r\n\r\n/.exec(reply) ?? [];
  const [head = "", ...rest] = reply.slice(interim.length).split("\r\n\r\n");
  const [status, ...lines] = head.split("\r\n");
  const headers = lines
    .filter((line) => !/^date:/i.test(line))
    .map((line) => line.replace(/^(retry-after): \d+$/, "$1: …").replace(/^[^:]+/, (name) => name.toLowerCase()));
  const body = rest.join("\r\n\r\n").replace(/urn:uuid:[0-9a-f-]{36}/, "urn:uuid:…");
  return { interim, status, headers: headers.toSorted(), body };
}

async function expectAlike({ short, long }: TwoWays, sent: Sent): Promise<string> {
  const text = textOf(sent);
  const [first, second] = [await exchange(short, text), await exchange(long, text)];
  expect(comparable(first)).toEqual(comparable(second));
  return first;
}

/** A log that could not be opened. */
const failed: HostedLog = {
  name: "old",
  publicEntries: false,
  log: undefined,
  failure: { code: "storage-rolled-back", message: "the database is older than its mark" },
};

type Header = readonly [string, string];

const EVENTS = `/${LOG}/v1/events`;
const JSON_TYPE: Header = ["Content-Type", "application/json"];

function bearer(token: string): Header {
  return ["Authorization", `Bearer ${token}`];
}

function lengthOf(body: string): Header {
  return ["Content-Length", String(Buffer.byteLength(body, "latin1"))];
}

function inChunks(body: string): { readonly headers: readonly Header[]; readonly body: string } {
  const chunks = `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`;
  return { headers: [["Transfer-Encoding", "chunked"]], body: chunks };
}

const PATHS = [
  "checkpoint tile/0/000 tile/0/000.p/3 tile/entries/000.p/1 tile/0/x001/000 tile/ tile v1/policy v1/status v1/none v1",
  "v1/events v1/events/ v1/events/x v1//events v1/receipts/0 v1/receipts/99 v1/receipts/00 v1/checkpoints",
  "v1/proofs/inclusion v1/proofs/consistency",
].flatMap((line) => line.split(" "));
const QUERIES = [
  "? ?index=0 ?index=0&size=1 ?index=0&size=2&size=2 ?from=0&to=1 ?from=1&to=0 ?from=%30&to=1 ?wait=published ?wait=never",
  "?timeout=1 ?limit=1 ?x=1 ?index=+0 ?index=0#a ?a?b ?= ?&",
].flatMap((line) => line.split(" "));
const ELSEWHERE = [
  "/",
  "*",
  `/${LOG}`,
  "/healthz",
  "/readyz",
  "/openapi.json",
  `/${LOG}/checkpoint#top`,
  "/é/checkpoint",
];

/** Paths as they are meant to be written, and as they are not. */
const path = fc.oneof(
  { weight: 20, arbitrary: fc.constantFrom(...PATHS).map((rest) => `/${LOG}/${rest}`) },
  fc.constantFrom(...ELSEWHERE),
  ...[
    `//${LOG}/`,
    `/${LOG}//`,
    `/${LOG}/./`,
    `/none/../${LOG}/`,
    `/${LOG}/%2e/`,
    `/${LOG}\\`,
    "/APP/",
    "/none/",
    "/%61pp/",
  ].map((prefix) => fc.constantFrom(...PATHS).map((rest) => `${prefix}${rest}`)),
  fc.constantFrom(...PATHS).map((rest) => `/${LOG}/${rest}/..`),
  fc.constantFrom(...PATHS).map((rest) => `http://other.example/${LOG}/${rest}`),
);

const HEADERS: Readonly<Record<string, readonly string[]>> = {
  Accept: ["*/*", "application/cbor", "application/json;q=0", "text/html", "", "application/cbor, */*;q=0.1"],
  "Content-Type": ["application/json", "Application/JSON ; charset=utf-8", "application/cbor", "text/plain", ""],
  "Content-Encoding": ["identity", "gzip"],
  Range: ["bytes=0-3", "bytes=-3", "bytes=9-1", "bytes=0-1,3-4", "lines=1-2"],
  Host: [
    "log.example",
    "LOG.example",
    "[::1]:7420",
    "a b",
    "a/b",
    "x@y",
    "1.2.3.999",
    "xn--a",
    "é",
    "",
    "log.example:80",
  ],
  Origin: ["https://app.example"],
  Expect: ["100-continue"],
};

function headerFor({ writer, operator, stranger }: TestServer["tokens"], etag: string): fc.Arbitrary<Header> {
  const each = (name: string, values: readonly string[]): fc.Arbitrary<Header> =>
    fc.constantFrom(...values).map((value) => [name, value] as const);
  return fc.oneof(
    each(
      "Authorization",
      [writer, operator, stranger, ""].map((token) => `Bearer ${token}`),
    ),
    each("AUTHORIZATION", [`bearer   ${writer}`, `Bearer ${writer}  `, "Basic eA=="]),
    each("If-None-Match", [etag, `W/${etag}`, "*", '"x", "y"']),
    each("If-Range", [etag, '"x"']),
    ...Object.entries(HEADERS).map(([name, values]) => each(name, values)),
  );
}

/** Good and bad bodies in all the ways to send one, and lengths that are not true. */
function bodyAround(event: string): fc.Arbitrary<{ readonly headers: readonly Header[]; readonly body: string }> {
  const cbor = Buffer.from(encodeCbor(JSON.parse(event) as CborValue)).toString("latin1");
  const bad = ["", "{}", "[]", "null", event.slice(1), `${event}\n${event}`, "é", '{"id":"é"}', " ".repeat(20_000)];
  const text = fc.constantFrom(event, event, `[${event}]`, cbor, ...bad);
  return fc.oneof(
    { weight: 2, arbitrary: fc.constant({ headers: [], body: "" }) },
    { weight: 4, arbitrary: text.map((body) => ({ headers: [lengthOf(body)], body })) },
    { weight: 2, arbitrary: text.filter((body) => body !== "").map(inChunks) },
    fc.constantFrom("4194305", "x", "-1", "5, 5", "1e3").map((length) => ({
      headers: [["Content-Length", length] as const],
      body: "",
    })),
  );
}

describe.each(PLACES)("the short way and the long way: %s", (place) => {
  test("answer every request alike", async () => {
    const ways = await twoWays({}, place);
    const event = JSON.stringify(login());
    await ways.server.post(event, "?wait=published");
    await ways.server.fill(2);
    const { headers: known } = await ways.server.ask(`/${LOG}/v1/policy`);
    const request = fc.record({
      method: fc.oneof(
        { weight: 8, arbitrary: fc.constantFrom("GET", "POST") },
        fc.constantFrom("HEAD", "OPTIONS", "PUT", "DELETE", "PATCH"),
      ),
      target: fc.tuple(path, fc.constantFrom("", "", ...QUERIES)).map((parts) => parts.join("")),
      version: fc.oneof({ weight: 8, arbitrary: fc.constant("HTTP/1.1") }, fc.constant("HTTP/1.0")),
      headers: fc.array(headerFor(ways.server.tokens, known.get("etag") ?? ""), { maxLength: 5 }),
      sent: bodyAround(event),
    });
    const submission = request.map((each) => ({
      ...each,
      method: "POST",
      target: EVENTS,
      version: "HTTP/1.1",
      headers: [bearer(ways.server.tokens.writer), JSON_TYPE, ...each.headers],
    }));
    await fc.assert(
      fc.asyncProperty(fc.oneof(request, submission), async ({ sent, headers, ...rest }) => {
        await expectAlike(ways, { ...rest, headers: [...headers, ...sent.headers], body: sent.body });
      }),
      runs,
    );
  });

  test.each([
    ["Authorization", "Bearer x", "POST", "v1/events"],
    ["Content-Type", "application/json", "POST", "v1/events"],
    ["Content-Encoding", "identity", "POST", "v1/events"],
    ["Accept", "application/cbor", "GET", "v1/checkpoints"],
    ["If-None-Match", '"x"', "GET", "v1/policy"],
    ["If-None-Match", "*", "GET", "v1/policy"],
    ["Range", "bytes=0-3", "GET", "v1/policy"],
    ["If-Range", '"x"', "GET", "v1/policy"],
  ])("take %s: %s for one header where it stands there twice", async (name, value, method, path) => {
    const ways = await twoWays({}, place);
    const body = JSON.stringify(login());
    const authorization = bearer(ways.server.tokens.writer);
    const headers = [authorization, JSON_TYPE, [name, value] as const, [name.toUpperCase(), value] as const];
    await ways.server.post(body, "?wait=published");
    await expectAlike(ways, { method, target: `/${LOG}/${path}`, headers: [...headers, lengthOf(body)], body });
    expect(ways.detours()).toBe(0);
  });

  const cases: readonly (readonly [string, TestServerOptions, Sent])[] = [
    ["too many requests", { rateLimit: { requestsPerSecond: 1, burst: 0 } }, {}],
    ["a log that could not be opened", { logs: [failed] }, { method: "GET", target: "/old/checkpoint" }],
    ["a server that is closing", { closing: AbortSignal.abort() }, {}],
    ["too many bodies under way", { bodiesBytesMax: 5 }, {}],
    ["a body that never comes", { bodyTimeoutMs: 20 }, { body: "" }],
    ["witnesses that cannot be reached", { witnesses: 1, isNetworkUp: false }, {}],
  ];
  test.each(cases)("refuse alike: %s", async (_, options, sent) => {
    const ways = await twoWays(options, place);
    const body = JSON.stringify(login());
    const headers = [bearer(ways.server.tokens.writer), JSON_TYPE, lengthOf(body)];
    const reply = await expectAlike(ways, { method: "POST", target: EVENTS, headers, body, ...sent });
    expect(reply).toMatch(/^HTTP\/1\.1 (?:4|5)/);
    expect(ways.detours()).toBe(0);
  });

  test("take an event alike, and give the same answer to it later", async () => {
    const ways = await twoWays({}, place);
    const headers = [bearer(ways.server.tokens.writer), JSON_TYPE];
    const bodies = [JSON.stringify(login()), JSON.stringify([login(), login()])];
    for (const body of bodies) {
      const sent = { method: "POST", target: EVENTS, headers: [...headers, lengthOf(body)], body };
      const first = await exchange(ways.short, textOf(sent));
      expect(first).toMatch(/^HTTP\/1\.1 201 /);
      await vi.waitFor(() => expect(ways.server.log.status().publishedSize).toBe(ways.server.log.size()));
      expect(await expectAlike(ways, sent)).toMatch(/^HTTP\/1\.1 200 /);
    }
    expect(ways.detours()).toBe(0);
  });
});

describe("the short way", () => {
  test.each([
    ["GET", "/app/checkpoint", 0],
    ["GET", "/app/tile/0/000.p/2?v=1", 0],
    ["GET", "/app/v1/proofs/inclusion?index=0&size=2", 0],
    ["POST", "/app/v1/events?wait=published&timeout=100", 0],
    ["HEAD", "/app/checkpoint", 1],
    ["OPTIONS", "/app/v1/events", 1],
    ["PUT", "/app/v1/events", 1],
    ["GET", "/app/v1/events", 0],
    ["GET", "/app/none", 0],
    ["GET", "/none/checkpoint", 0],
    ["GET", "/app/./checkpoint", 1],
    ["GET", "/app/%63heckpoint", 1],
    ["GET", "/app/v1/tail", 0],
    ["GET", "/healthz", 0],
  ])("%s %s: %i detours", async (method, target, detours) => {
    const ways = await twoWays();
    await ways.server.fill(2);
    await exchange(ways.short, textOf({ method, target }));
    expect(ways.detours()).toBe(detours);
  });
});

describe.each(PLACES)("the short way: %s", (place) => {
  test("answers requests that were sent ahead in their order, over one connection", async () => {
    const { server, short, detours } = await twoWays({}, place);
    const events = Array.from({ length: 5 }, () => JSON.stringify(login()));
    const headers = [bearer(server.tokens.writer), JSON_TYPE];
    const texts = events.map((body, at) =>
      textOf({
        method: "POST",
        target: EVENTS,
        headers: [...headers, ...(at % 2 === 0 ? [lengthOf(body)] : inChunks(body).headers)],
        body: at % 2 === 0 ? body : inChunks(body).body,
      }),
    );
    const last = texts.length - 1;
    const ahead = texts.map((text, at) => (at === last ? text : text.replace("Connection: close\r\n", ""))).join("");
    const reply = await exchange(short, ahead);
    const ids = [...reply.matchAll(/HTTP\/1\.1 201 [^]*?\{"id":"([^"]+)"/g)].map(([, id]) => id);
    expect(ids).toEqual(events.map((event) => (JSON.parse(event) as { id: string }).id));
    expect(detours()).toBe(0);
  });

  test("an address that the web's types refuse is answered, and nothing of it is waited for", async () => {
    const closing = new AbortController();
    const ways = await twoWays({ closing: closing.signal }, place);
    const body = " ".repeat(20_000);
    for (const sent of [{ headers: [lengthOf(body)], body }, inChunks(body)]) {
      const headers = [bearer(ways.server.tokens.writer), JSON_TYPE, ["Host", "ab@0x7f.1"] as const, ...sent.headers];
      const reply = await expectAlike(ways, { method: "POST", target: EVENTS, headers, body: sent.body });
      expect(reply).toMatch(/^HTTP\/1\.1 400 /);
    }
    // Refuses each body that is waited for: what nobody hears of would end the process.
    closing.abort();
    expect(await exchange(ways.short, textOf({ target: "/healthz" }))).toMatch(/^HTTP\/1\.1 200 /);
  });

  test("takes nothing of a body that is cut off", async () => {
    const { server, short } = await twoWays({}, place);
    const body = JSON.stringify(login());
    const headers = [bearer(server.tokens.writer), JSON_TYPE, lengthOf(`${body} `)];
    const socket = await openSocket(short);
    socket.end(textOf({ method: "POST", target: EVENTS, headers, body }));
    await vi.waitFor(async () => expect(await requestsOf(server)).toContain('{route="v1/events",status="400"} 1'));
    expect(server.log.size()).toBe(0);
  });

  test("waits no longer for a client that went away, and what it had sent is logged", async () => {
    const { server, short } = await twoWays({ witnesses: 1 }, place);
    server.network.up = false;
    const body = JSON.stringify(login());
    const headers = [bearer(server.tokens.writer), JSON_TYPE, lengthOf(body)];
    const target = `${EVENTS}?wait=witnessed&timeout=60000`;
    const socket = await openSocket(short);
    socket.write(textOf({ method: "POST", target, headers, body }));
    await vi.waitFor(() => expect(server.log.size()).toBe(1));
    socket.destroy();
    await vi.waitFor(async () => expect(await requestsOf(server)).toContain('{route="v1/events",status="202"} 1'));
    expect((await server.post(body)).status).toBe(200);
  });

  test.each(["short", "long"] as const)(
    "a body that nobody reads ends the connection soon: the %s way",
    async (way) => {
      const ways = await twoWays({}, place);
      const socket = await openSocket(ways[way]);
      let reply = "";
      socket.on("data", (part: Buffer) => (reply += part.toString()));
      const closed = new Promise((resolve) => socket.on("close", resolve));
      const text = textOf({ method: "POST", target: EVENTS, headers: [["Content-Length", "1000"]] });
      socket.write(text.replace("Connection: close\r\n", ""));
      const drip = setInterval(() => socket.write(" "), 20);
      await closed;
      clearInterval(drip);
      expect(reply).toMatch(/^HTTP\/1\.1 401 /);
    },
  );
});

async function requestsOf(server: TestServer): Promise<string> {
  return (await server.ask("/metrics", { role: "operator" })).text;
}
