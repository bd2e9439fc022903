import { once } from "node:events";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { type AddressInfo, type Socket, connect as connectTcp, createServer } from "node:net";
import { basename, join } from "node:path";
import { type ConnectionOptions, connect as connectTls } from "node:tls";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { createHttpsFetch } from "../../client/src/index.ts";
import { TestAuthority, writeCertificate } from "../../../test/support/certificates.ts";
import { rejectionCode } from "../../../test/support/errors.ts";
import { temporaryFolder } from "../../../test/support/temporary-folder.ts";
import { type InitializedServer, type ServedLogs, initServer, parseConfig, serveLogs } from "../src/index.ts";
import { login } from "./test-server.ts";

/** TLS is spoken in the thread that HTTP is spoken in. */
const THREADS = [0, 1];

const HSTS = "max-age=31536000";
const authority = new TestAuthority();
const clients = new TestAuthority("Those who may write");
const strangers = new TestAuthority("Strangers");

interface Place {
  readonly dir: string;
  readonly made: InitializedServer;
}

/** A server's folder with TLS files in it; the configuration names them from there. */
async function place({ mutual = false, ...config }: Readonly<Record<string, unknown>> = {}): Promise<Place> {
  const dir = temporaryFolder();
  const made = await initServer({ dir, name: "app", origin: "log.example/app", port: 0 });
  const { certificate, key } = writeCertificate(authority.issue("first"), { dir });
  writeFileSync(join(dir, "clients.pem"), clients.certificate);
  const tls = {
    certificate: basename(certificate),
    key: basename(key),
    ...(mutual === true ? { clientCa: "clients.pem", writers: "certificate" } : {}),
  };
  const before = JSON.parse(readFileSync(made.configPath, "utf8")) as object;
  writeFileSync(made.configPath, JSON.stringify({ ...before, tls, ...config }));
  return { dir, made };
}

interface Served {
  readonly served: ServedLogs;
  readonly url: string;
  readonly port: number;
  readonly told: string[];
}

async function serve({ dir }: Place): Promise<Served> {
  const told: string[] = [];
  const served = await serveLogs({
    dir,
    logger: { info: () => undefined, warn: (message) => told.push(message) },
  });
  onTestFinished(async () => served.close());
  const { url } = served;
  await vi.waitFor(async () => expect((await plain(`${url}/readyz`)).status).toBe(200), { timeout: 20_000 });
  return { served, url, port: Number(new URL(url).port), told };
}

const plain = createHttpsFetch({ ca: authority.certificate });

/** As an application that shows a certificate of this authority. */
function certified(by: TestAuthority, days = 30): typeof fetch {
  return createHttpsFetch({ ca: authority.certificate, ...by.issue("app-1", { days }) });
}

async function post(url: string, { fetch, token }: { fetch: typeof plain; token: string }): Promise<Response> {
  return fetch(`${url}/app/v1/events`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: JSON.stringify(login()),
  });
}

async function codeOf(answer: Response): Promise<[number, unknown]> {
  const { code } = (await answer.json()) as { code?: unknown };
  return [answer.status, code];
}

/** Whose certificate a new connection gets. */
async function subjectAt(port: number): Promise<string | undefined> {
  const socket = connectTls({ port, host: "127.0.0.1", ca: authority.certificate });
  await once(socket, "secureConnect");
  const subject = socket.getPeerX509Certificate()?.subject;
  socket.destroy();
  return subject;
}

describe.each(THREADS)("a server with TLS, with %i threads for HTTP", (httpThreads) => {
  test("is at an https address, takes events and gives them back", async () => {
    const { dir, made } = await place({ httpThreads });
    const { url } = await serve({ dir, made });
    expect(url).toMatch(/^https:\/\/127\.0\.0\.1:\d+$/);
    const reply = await post(url, { fetch: plain, token: made.tokens.writer });
    const { index } = (await reply.json()) as { index: number };
    const read = await plain(`${url}/app/v1/events/${index}`, {
      headers: { authorization: `Bearer ${made.tokens.auditor}` },
    });
    expect([reply.status, read.status]).toEqual([201, 200]);
  });

  test("says in every answer that it is only to be reached over TLS, whichever way the request went", async () => {
    const { url } = await serve(await place({ httpThreads }));
    const paths = ["app/checkpoint", "healthz", "metrics", "openapi.json", "no-such", "app/v1/events/0", "app/x%20y"];
    for (const path of paths) {
      const { headers } = await plain(`${url}/${path}`);
      expect([path, headers.get("strict-transport-security")]).toEqual([path, HSTS]);
    }
    for (const method of ["OPTIONS", "HEAD", "DELETE"]) {
      const { headers } = await plain(`${url}/app/checkpoint`, { method });
      expect([method, headers.get("strict-transport-security")]).toEqual([method, HSTS]);
    }
  });

  test("one without TLS says no such thing", async () => {
    const dir = temporaryFolder();
    await initServer({ dir, name: "app", origin: "log.example/app", port: 0 });
    const served = await serveLogs({ dir });
    onTestFinished(async () => served.close());
    const { headers } = await fetch(`${served.url}/healthz`);
    expect([served.url.slice(0, 7), headers.get("strict-transport-security")]).toEqual(["http://", null]);
  });

  test("its metrics tell when the certificate ends", async () => {
    const { url } = await serve(await place({ httpThreads }));
    const text = await (await plain(`${url}/metrics`)).text();
    const [, seconds = ""] = /^tallystick_tls_certificate_expiry_seconds (\S+)$/m.exec(text) ?? [];
    expect(Math.abs(Number(seconds) - Date.now() / 1000 - 30 * 86_400)).toBeLessThan(120);
  });

  test("whoever speaks without TLS, or does not trust its authority, gets nothing", async () => {
    const { url, port } = await serve(await place({ httpThreads }));
    await expect(fetch(`http://127.0.0.1:${port}/healthz`)).rejects.toThrow("fetch failed");
    await expect(createHttpsFetch({ ca: strangers.certificate })(`${url}/healthz`)).rejects.toThrow("certificate");
  });

  test.each([
    { change: { key: "tls.pem" }, code: "secret-file-exposed" },
    { change: { certificate: "tls.key" }, code: "tls-unusable" },
    { change: { certificate: "none.pem" }, code: "storage-unavailable" },
  ])("does not start with $change", async ({ change, code }) => {
    const tls = { certificate: "tls.pem", key: "tls.key", ...change };
    const { dir } = await place({ tls });
    expect(await rejectionCode(serveLogs({ dir }))).toBe(code);
    // Nothing was opened that would have to be closed.
    expect(readdirSync(join(dir, "data", "app"))).toEqual([]);
  });

  test.each([
    { tls: { certificate: "a", key: "b", clientCa: "c" }, words: "clientCa and writers" },
    { tls: { certificate: "a", key: "b", writers: "certificate" }, words: "clientCa and writers" },
    { tls: { certificate: "a", key: "b", clientCa: "c", writers: "token" }, words: "tls.writers" },
    { tls: { certificate: "a" }, words: "tls.key" },
    { tls: { certificate: "a", key: "b", minVersion: "TLSv1" }, words: "minVersion" },
  ])("refuses the configuration $tls", ({ tls, words }) => {
    const config = { logs: [{ name: "app", origin: "log.example/app" }], tls };
    expect(() => parseConfig(JSON.stringify(config), "server.json")).toThrow(words);
  });
});

describe.each(THREADS)("a certificate that is renewed, with %i threads for HTTP", (httpThreads) => {
  test("is taken up under load, and no request is lost", async () => {
    const { dir, made } = await place({ httpThreads });
    const { url, port, told } = await serve({ dir, made });
    const statuses: number[] = [];
    const renewed = new AbortController();
    const client = async (): Promise<void> => {
      do statuses.push((await post(url, { fetch: plain, token: made.tokens.writer })).status);
      while (!renewed.signal.aborted);
    };
    const load = Array.from({ length: 4 }, client);
    await vi.waitFor(() => expect(statuses.length).toBeGreaterThan(20), { timeout: 20_000 });
    expect(await subjectAt(port)).toBe("CN=first");
    writeCertificate(authority.issue("second"), { dir });
    await vi.waitFor(async () => expect(await subjectAt(port)).toBe("CN=second"), { timeout: 20_000, interval: 100 });
    renewed.abort();
    await Promise.all(load);
    expect(new Set(statuses)).toEqual(new Set([201]));
    expect(told).toEqual([]);
  });

  test("is complained of in the server's log where it cannot be used", async () => {
    const { dir, made } = await place({ httpThreads });
    const { port, told } = await serve({ dir, made });
    writeFileSync(join(dir, "tls.pem"), "no certificate");
    await vi.waitFor(() => expect(told.join()).toContain("those before go on"), { timeout: 20_000 });
    expect(await subjectAt(port)).toBe("CN=first");
  });
});

describe.each(THREADS)("writers with a certificate, with %i threads for HTTP", (httpThreads) => {
  test("need both: certificate and token", async () => {
    const { dir, made } = await place({ httpThreads, mutual: true });
    const { url } = await serve({ dir, made });
    const { writer, auditor } = made.tokens;
    const own = certified(clients);
    expect((await post(url, { fetch: own, token: writer })).status).toBe(201);
    const refused = [403, "client-certificate-required"];
    expect(await codeOf(await post(url, { fetch: plain, token: writer }))).toEqual(refused);
    expect(await codeOf(await post(url, { fetch: certified(strangers), token: writer }))).toEqual(refused);
    expect(await codeOf(await post(url, { fetch: certified(authority), token: writer }))).toEqual(refused);
    expect(await codeOf(await post(url, { fetch: certified(clients, -1), token: writer }))).toEqual(refused);
    const wrong = writer.slice(0, -3) + "aaa";
    expect(await codeOf(await post(url, { fetch: own, token: wrong }))).toEqual([401, "unauthenticated"]);
    expect(await codeOf(await post(url, { fetch: own, token: auditor }))).toEqual([403, "forbidden"]);
  });

  test("need it for receipts too, and by way of web requests; readers and the public need none", async () => {
    const { dir, made } = await place({ httpThreads, mutual: true });
    const { url } = await serve({ dir, made });
    const { writer, auditor } = made.tokens;
    const own = certified(clients);
    expect((await post(url, { fetch: own, token: writer })).status).toBe(201);
    const status = async (fetch: typeof plain, path: string, token?: string): Promise<number> => {
      const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
      return (await fetch(`${url}/${path}`, { headers })).status;
    };
    await vi.waitFor(async () => expect(await status(own, "app/v1/receipts/0", writer)).toBe(200), { timeout: 10_000 });
    // What is not plain in an address goes the long way.
    for (const path of ["app/v1/receipts/0", "app/v1/receipts/0?signatures=%6dinimal"]) {
      expect(await status(own, path, writer)).toBe(200);
      expect(await status(plain, path, writer)).toBe(403);
      expect(await status(plain, path, auditor)).toBe(200);
    }
    expect(await status(plain, "app/v1/events/0", auditor)).toBe(200);
    expect(await status(plain, "app/checkpoint")).toBe(200);
    expect(await status(certified(strangers), "app/checkpoint")).toBe(200);
  });

  test.each(["TLSv1.2", "TLSv1.3"] as const)(
    "a resumed %s session without a certificate is none with one",
    async (maxVersion) => {
      const { dir, made } = await place({ httpThreads, mutual: true });
      const { port } = await serve({ dir, made });
      const ask = async (options: ConnectionOptions = {}): Promise<Asked> =>
        rawPost({ port, maxVersion, ...options }, made.tokens.writer);
      const first = await ask();
      expect(first).toMatchObject({ status: "403", isReused: false });
      expect(await ask({ session: first.session })).toMatchObject({ status: "403", isReused: true });
      const { key, certificate: cert } = clients.issue("app-1");
      const own = await ask({ key, cert });
      expect(own).toMatchObject({ status: "201", isReused: false });
      expect(await ask({ session: own.session })).toMatchObject({ status: "201", isReused: true });
    },
  );
});

interface Asked {
  readonly status: string;
  readonly isReused: boolean;
  readonly session: Buffer;
}

/** Reports an event over a connection of its own, and gives what could resume its session. */
async function rawPost(options: ConnectionOptions, token: string): Promise<Asked> {
  const socket = connectTls({ host: "127.0.0.1", ca: authority.certificate, ...options });
  let session: Buffer = Buffer.alloc(0);
  let text = "";
  socket.on("session", (bytes: Buffer) => (session = bytes));
  socket.on("data", (part: Buffer) => (text += part.toString()));
  await once(socket, "secureConnect");
  const isReused = socket.isSessionReused();
  const body = JSON.stringify(login());
  const head = [
    "POST /app/v1/events HTTP/1.1",
    "Host: localhost",
    "Connection: close",
    `Authorization: Bearer ${token}`,
    "Content-Type: application/json",
    `Content-Length: ${body.length}`,
  ];
  socket.write(`${head.join("\r\n")}\r\n\r\n${body}`);
  await once(socket, "close");
  return { status: text.slice(9, 12), isReused, session };
}

/** However it ended: one that is cut off has an error first. */
async function closed(socket: Socket): Promise<void> {
  await new Promise<void>((resolve) => socket.once("close", () => resolve()));
}

describe.each(THREADS)("bounds of TLS connections, with %i threads for HTTP", (httpThreads) => {
  test("a handshake that does not end is ended, however it drips", async () => {
    const { port } = await serve(await place({ httpThreads, bodyTimeoutMs: 700 }));
    const hello = await clientHello();
    const socket = connectTcp(port, "127.0.0.1");
    socket.on("error", () => undefined);
    let at = 0;
    const drip = setInterval(() => socket.write(hello.subarray(at, (at += 1))), 50);
    await closed(socket);
    clearInterval(drip);
    expect(at).toBeLessThan(hello.length);
  });

  test("the end does not wait for handshakes that are not over, and answers what is under way", async () => {
    const { dir, made } = await place({ httpThreads, graceMs: 2000 });
    const { served, url, port } = await serve({ dir, made });
    const half = connectTcp(port, "127.0.0.1");
    half.on("error", () => undefined);
    await once(half, "connect");
    half.write((await clientHello()).subarray(0, 20));
    const waiting = plain(`${url}/app/v1/events?wait=witnessed&timeout=60000`, {
      method: "POST",
      headers: { authorization: `Bearer ${made.tokens.writer}`, "content-type": "application/json" },
      body: JSON.stringify(login()),
    });
    await vi.waitFor(() => expect(served.logs[0]?.log?.size()).toBeGreaterThan(0), { timeout: 10_000 });
    const ended = closed(half);
    const began = performance.now();
    await served.close();
    // The handshake alone has 10 seconds.
    expect(performance.now() - began).toBeLessThan(9000);
    expect((await waiting).status).toBe(202);
    await ended;
  });

  test("requests sent ahead beyond the bound end the connection", async () => {
    const { port } = await serve(await place({ httpThreads }));
    const socket = connectTls({ port, host: "127.0.0.1", ca: authority.certificate });
    socket.on("error", () => undefined);
    await once(socket, "secureConnect");
    let text = "";
    socket.on("data", (part: Buffer) => (text += part.toString()));
    socket.write("GET /app/checkpoint HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(200));
    await closed(socket);
    expect(text.split("HTTP/1.1 200").length - 1).toBeLessThan(200);
  });
});

/** The first bytes of a handshake, as a client sends them. */
async function clientHello(): Promise<Buffer> {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const client = connectTls({ port, host: "127.0.0.1" });
  client.on("error", () => undefined);
  const [socket] = (await once(server, "connection")) as [Socket];
  const [bytes] = (await once(socket, "data")) as [Buffer];
  client.destroy();
  socket.destroy();
  server.close();
  return bytes;
}
