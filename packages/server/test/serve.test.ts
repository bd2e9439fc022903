import { once } from "node:events";
import { existsSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { rejectionCode } from "../../../test/support/errors.ts";
import {
  type InitializedServer,
  type ServeLogsOptions,
  type ServedLogs,
  createToken,
  initServer,
  layoutOf,
  logLayoutOf,
  revokeToken,
  serveLogs,
} from "../src/index.ts";
import { login } from "./test-server.ts";
import { temporaryFolder } from "../../../test/support/temporary-folder.ts";

interface Place {
  readonly dir: string;
  readonly made: InitializedServer;
}

async function place(config: Readonly<Record<string, unknown>> = {}): Promise<Place> {
  const dir = temporaryFolder();
  const made = await initServer({ dir, name: "app", origin: "log.example/app", port: 0 });
  const before = JSON.parse(readFileSync(made.configPath, "utf8")) as object;
  writeFileSync(made.configPath, JSON.stringify({ ...before, ...config }));
  return { dir, made };
}

async function serve(dir: string, options: Partial<ServeLogsOptions> = {}): Promise<ServedLogs> {
  const served = await serveLogs({ dir, ...options });
  onTestFinished(async () => served.close());
  return served;
}

async function post(served: ServedLogs, token: string, events: unknown, query = ""): Promise<Response> {
  return fetch(`${served.url}/app/v1/events${query}`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: JSON.stringify(events),
  });
}

/** Until the log has begun: without witnesses that is at once, but not before the first answer. */
async function ready(served: ServedLogs): Promise<ServedLogs> {
  await vi.waitFor(async () => expect((await fetch(`${served.url}/readyz`)).status).toBe(200), { timeout: 20_000 });
  return served;
}

describe("serveLogs", () => {
  test.each([0, 1, 2])(
    "%i threads for HTTP: serves, and what was taken is there after the next start",
    async (count) => {
      const { dir, made } = await place({ httpThreads: count });
      const first = await ready(await serve(dir));
      expect(first.url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
      const sent = login();
      const reply = await post(first, made.tokens.writer, sent, "?wait=published");
      expect(reply.status).toBe(201);
      const { index, receipt } = (await reply.json()) as { index: number; receipt: string };
      const checkpoint = await (await fetch(`${first.url}/app/checkpoint`)).text();
      await first.close();
      await first.close();
      const second = await ready(await serve(dir));
      const again = await post(second, made.tokens.writer, sent);
      expect([again.status, ((await again.json()) as { index: number }).index]).toEqual([200, index]);
      const size = Number(checkpoint.split("\n")[1]);
      const tile = await fetch(`${second.url}/app/tile/0/000.p/${size}`);
      expect([tile.status, (await tile.arrayBuffer()).byteLength]).toEqual([200, 32 * size]);
      expect(receipt).toContain("log.example/app");
    },
  );

  test("without its master key a log serves heads and receipts, takes nothing in, and says so", async () => {
    const { dir, made } = await place();
    const first = await ready(await serve(dir));
    await post(first, made.tokens.writer, login(), "?wait=published");
    await first.close();
    const { masterKey } = layoutOf(dir);
    const kept = readFileSync(masterKey);
    rmSync(masterKey);
    const second = await serve(dir);
    const readiness = await fetch(`${second.url}/readyz`);
    expect([readiness.status, await readiness.text()]).toEqual([503, expect.stringContaining("keys-unavailable")]);
    expect((await fetch(`${second.url}/app/checkpoint`)).status).toBe(200);
    const authorization = `Bearer ${made.tokens.writer}`;
    expect((await fetch(`${second.url}/app/v1/receipts/0`, { headers: { authorization } })).status).toBe(200);
    const refused = await post(second, made.tokens.writer, login());
    expect([refused.status, await refused.json()]).toEqual([
      503,
      expect.objectContaining({ code: "keys-unavailable" }),
    ]);
    await second.close();
    writeFileSync(masterKey, kept, { mode: 0o600 });
    const third = await ready(await serve(dir));
    expect((await post(third, made.tokens.writer, login())).status).toBe(201);
  });

  test("without its key store a log with entries is not opened, and no other one is made in its place", async () => {
    const { dir, made } = await place();
    const first = await ready(await serve(dir));
    await post(first, made.tokens.writer, login(), "?wait=published");
    await first.close();
    const { keyStore } = logLayoutOf(dir, "app");
    renameSync(keyStore, `${keyStore}.away`);
    const second = await serve(dir);
    expect(await (await fetch(`${second.url}/readyz`)).text()).toContain("keys restore");
    await second.close();
    expect(existsSync(join(keyStore, "epoch"))).toBe(false);
    rmSync(keyStore, { recursive: true, force: true });
    renameSync(`${keyStore}.away`, keyStore);
    await ready(await serve(dir));
  });

  test("C-114 HEAD over a connection tells the length and sends nothing", async () => {
    const { dir, made } = await place();
    const served = await ready(await serve(dir));
    await post(served, made.tokens.writer, login(), "?wait=published");
    const head = await fetch(`${served.url}/app/checkpoint`, { method: "HEAD" });
    const get = await fetch(`${served.url}/app/checkpoint`);
    expect(head.headers.get("content-length")).toBe(String((await get.arrayBuffer()).byteLength));
    expect(await head.text()).toBe("");
    const part = await fetch(`${served.url}/app/checkpoint`, { headers: { range: "bytes=0-14" } });
    expect([part.status, await part.text()]).toEqual([206, "log.example/app"]);
  });

  test.each([
    ["announced", "Content-Length: 1000", " "],
    ["in chunks", "Transfer-Encoding: chunked", "1\r\n \r\n"],
  ])("a body %s that comes a byte at a time is cut off with 408, and holds up nobody", async (_kind, header, part) => {
    const { dir, made } = await place({ bodyTimeoutMs: 300 });
    const served = await ready(await serve(dir));
    const { hostname, port } = new URL(served.url);
    const slow = connect(Number(port), hostname);
    let reply = "";
    slow.on("data", (bytes: Buffer) => (reply += bytes.toString()));
    slow.on("error", () => undefined);
    slow.write(
      `POST /app/v1/events HTTP/1.1\r\nHost: ${hostname}\r\nAuthorization: Bearer ${made.tokens.writer}\r\nContent-Type: application/json\r\n${header}\r\n\r\n`,
    );
    const drip = setInterval(() => slow.write(part), 20);
    // What is written after the cut fails, which once() would take for the event.
    const closed = new Promise((resolve) => slow.on("close", resolve));
    expect((await post(served, made.tokens.writer, login())).status).toBe(201);
    await closed;
    clearInterval(drip);
    expect(reply).toMatch(/^HTTP\/1\.1 408 /);
    expect(reply).toContain('"code":"body-too-slow"');
  });

  test("headers that never end are cut off", async () => {
    const { dir } = await place({ bodyTimeoutMs: 300 });
    const served = await ready(await serve(dir));
    const { hostname, port } = new URL(served.url);
    const slow = connect(Number(port), hostname);
    slow.on("error", () => undefined);
    slow.resume();
    slow.write("GET /healthz HTTP/1.1\r\nX-Slow: ");
    const drip = setInterval(() => slow.write("x"), 50);
    const began = performance.now();
    // Whichever way it is cut, with an answer or a reset.
    await new Promise((resolve) => slow.once("close", resolve));
    clearInterval(drip);
    expect(performance.now() - began).toBeLessThan(20_000);
  });

  test("a body above the cap is refused before it is sent, and the connection is closed", async () => {
    const { dir, made } = await place();
    const served = await ready(await serve(dir));
    const { hostname, port } = new URL(served.url);
    const client = connect(Number(port), hostname);
    let reply = "";
    client.on("data", (bytes: Buffer) => (reply += bytes.toString()));
    client.on("error", () => undefined);
    client.write(
      `POST /app/v1/events HTTP/1.1\r\nHost: ${hostname}\r\nAuthorization: Bearer ${made.tokens.writer}\r\nContent-Type: application/json\r\nContent-Length: 100000000\r\n\r\n`,
    );
    await once(client, "close");
    expect(reply).toMatch(/^HTTP\/1\.1 413 /);
  });

  test("a revoked token is soon worth nothing, without a restart", async () => {
    const { dir } = await place();
    const served = await ready(await serve(dir));
    const made = await createToken(layoutOf(dir).tokens, { log: "app", role: "auditor" });
    const status = async (): Promise<number> =>
      (await fetch(`${served.url}/app/v1/status`, { headers: { authorization: `Bearer ${made.token}` } })).status;
    await vi.waitFor(async () => expect(await status()).toBe(200), { timeout: 20_000, interval: 100 });
    await revokeToken(layoutOf(dir).tokens, made.id);
    await vi.waitFor(async () => expect(await status()).toBe(401), { timeout: 20_000, interval: 100 });
  });

  test("one log that cannot be opened leaves the others running, and says why", async () => {
    const { dir, made } = await place();
    await initServer({ dir, name: "shop", origin: "log.example/shop" });
    rmSync(join(dir, "keys/shop.sender.key"));
    const warnings: string[] = [];
    const served = await serve(dir, {
      logger: {
        info: () => undefined,
        warn: (message, details) => warnings.push(`${message} ${JSON.stringify(details)}`),
      },
    });
    const reply = await fetch(`${served.url}/readyz`);
    const { logs } = (await reply.json()) as {
      logs: { name: string; state: string; reasons: { message: string }[] }[];
    };
    expect([reply.status, logs[1]?.name, logs[1]?.state]).toEqual([503, "shop", "stopped"]);
    // This test runs on the server's machine, so it is told everything.
    expect(logs[1]?.reasons[0]?.message).toContain("shop.sender.key");
    expect(warnings.join("\n")).toContain("shop.sender.key");
    await vi.waitFor(async () => expect((await post(served, made.tokens.writer, login())).status).toBe(201));
    const refused = await fetch(`${served.url}/shop/checkpoint`);
    expect([refused.status, ((await refused.json()) as { code: string }).code]).toEqual([503, "log-unavailable"]);
  });

  test("a data folder that was put back is not opened, and nothing is signed", async () => {
    const { dir, made } = await place();
    const first = await ready(await serve(dir));
    await post(first, made.tokens.writer, [login(), login()], "?wait=published");
    await first.close();
    const data = join(dir, "data/app");
    for (const name of readdirSync(data)) if (!/high|mark/.test(name)) rmSync(join(data, name), { recursive: true });
    const second = await serve(dir);
    const reply = await fetch(`${second.url}/readyz`);
    expect(reply.status).toBe(503);
    expect((await post(second, made.tokens.writer, login())).status).toBe(503);
  });

  test("a second server in the same folder leaves the first one's log alone", async () => {
    const { dir, made } = await place();
    const first = await ready(await serve(dir));
    const second = await serve(dir, { port: 0 });
    expect(second.logs[0]?.failure?.code).toBe("storage-locked");
    expect((await post(first, made.tokens.writer, login())).status).toBe(201);
    expect((await post(second, made.tokens.writer, login())).status).toBe(503);
  });

  test("an address that is taken is an error, and the logs are let go", async () => {
    const { dir } = await place();
    const { dir: other } = await place();
    const { url } = await serve(other);
    await expect(serveLogs({ dir, port: Number(new URL(url).port) })).rejects.toThrow("EADDRINUSE");
    const again = await serve(dir);
    expect(again.logs[0]?.failure).toBeUndefined();
  });

  test("a folder without a server, or with a damaged one, is an error", async () => {
    expect(await rejectionCode(serveLogs({ dir: temporaryFolder() }))).toBe("config-malformed");
    const { dir } = await place();
    writeFileSync(layoutOf(dir).tokens, "{");
    expect(await rejectionCode(serveLogs({ dir }))).toBe("tokens-malformed");
  });
});

describe("C-260 the end under load", () => {
  test("each request gets exactly one outcome within the grace time, and what was acknowledged is there", async () => {
    const { dir, made } = await place({ graceMs: 2000 });
    const served = await ready(await serve(dir));
    const acknowledged: string[] = [];
    const refused: string[] = [];
    const statuses = new Set<number | undefined>();
    const client = async (): Promise<void> => {
      let status: number | undefined = 201;
      while (status === 201) {
        const event = login();
        // undefined: nobody listens any more.
        status = await post(served, made.tokens.writer, event).then(
          (reply) => reply.status,
          () => undefined,
        );
        statuses.add(status);
        if (status === 201) acknowledged.push(String(event["id"]));
        if (status === 503) refused.push(String(event["id"]));
      }
    };
    const clients = Array.from({ length: 20 }, client);
    await vi.waitFor(() => expect(acknowledged.length).toBeGreaterThan(100), { timeout: 20_000 });
    const began = performance.now();
    await served.close();
    expect(performance.now() - began).toBeLessThan(10_000);
    await Promise.all(clients);
    expect([201, 503, undefined]).toEqual(expect.arrayContaining([...statuses]));
    const again = await ready(await serve(dir));
    const reader = async (index: number): Promise<string> => {
      const reply = await fetch(`${again.url}/app/v1/events/${index}`, {
        headers: { authorization: `Bearer ${made.tokens.auditor}` },
      });
      return ((await reply.json()) as { event: { id: string } }).event.id;
    };
    const size = again.logs[0]?.log?.size() ?? 0;
    const logged = new Set(await Promise.all(Array.from({ length: size }, async (_, index) => reader(index))));
    expect(acknowledged.filter((id) => !logged.has(id))).toEqual([]);
    expect(refused.filter((id) => logged.has(id))).toEqual([]);
  });

  test("large lists, which another thread reads, have one outcome too, and small ones meanwhile", async () => {
    const { dir, made } = await place({ graceMs: 2000 });
    const served = await ready(await serve(dir));
    const sent: { readonly events: readonly unknown[]; readonly status: number | undefined }[] = [];
    const client = async (count: number): Promise<void> => {
      for (let status: number | undefined = 201; status === 201;) {
        const events = Array.from({ length: count }, login);
        // undefined: nobody listens any more.
        status = await post(served, made.tokens.writer, events).then(
          (reply) => reply.status,
          () => undefined,
        );
        sent.push({ events, status });
      }
    };
    const clients = [400, 400, 400, 1].map(client);
    // Some after the thread has begun to read.
    await vi.waitFor(() => expect(sent.filter(({ events }) => events.length > 1).length).toBeGreaterThan(20), {
      timeout: 20_000,
    });
    await served.close();
    await Promise.all(clients);
    expect([201, 503, undefined]).toEqual(expect.arrayContaining([...new Set(sent.map(({ status }) => status))]));
    const again = await ready(await serve(dir));
    for (const { events, status } of sent) {
      const reply = await post(again, made.tokens.writer, events);
      expect(status === 201 ? [200] : [200, 201]).toContain(reply.status);
      const answers = (await reply.json()) as { readonly id: string }[];
      expect(answers.map(({ id }) => id)).toEqual(events.map((event) => (event as { readonly id: string }).id));
    }
    expect(again.logs[0]?.log?.counters().duplicates).toBeGreaterThan(20 * 400);
  });

  test.each([0, 1, 3, 10])(
    "an event that is alone in the queue of an empty log has one outcome too, %i ms later",
    async (ms) => {
      const { dir, made } = await place();
      const served = await ready(await serve(dir));
      const event = login();
      // undefined: nobody listened any more.
      const status = post(served, made.tokens.writer, event).then(
        (reply) => reply.status,
        () => undefined,
      );
      await new Promise((resolve) => setTimeout(resolve, ms));
      await served.close();
      expect([201, 503, undefined]).toContain(await status);
      const again = await ready(await serve(dir));
      const reply = await post(again, made.tokens.writer, event);
      expect(reply.status, "logged once, whether before or now").toBe((await status) === 201 ? 200 : 201);
    },
  );

  test("waits and tails end, and a body that is still coming is refused", async () => {
    const { dir, made } = await place({ graceMs: 2000 });
    const served = await ready(await serve(dir));
    const waiting = post(served, made.tokens.writer, login(), "?wait=witnessed&timeout=60000");
    const tail = await fetch(`${served.url}/app/v1/tail?from=0`, {
      headers: { authorization: `Bearer ${made.tokens.auditor}` },
    });
    const { hostname, port } = new URL(served.url);
    const slow = connect(Number(port), hostname);
    let reply = "";
    slow.on("data", (bytes: Buffer) => (reply += bytes.toString()));
    slow.on("error", () => undefined);
    slow.write(
      `POST /app/v1/events HTTP/1.1\r\nHost: ${hostname}\r\nAuthorization: Bearer ${made.tokens.writer}\r\nContent-Type: application/json\r\nContent-Length: 1000\r\nExpect: 100-continue\r\n\r\n`,
    );
    await vi.waitFor(() => expect(reply).toContain("100 Continue"));
    slow.write("{");
    const slowClosed = once(slow, "close");
    await vi.waitFor(async () => expect((served.logs[0]?.log?.size() ?? 0) > 1).toBe(true), { timeout: 20_000 });
    const began = performance.now();
    await served.close();
    expect(performance.now() - began).toBeLessThan(10_000);
    expect((await waiting).status).toBe(202);
    expect(await tail.text()).toContain("event: entry");
    await slowClosed;
    expect(reply).toContain("HTTP/1.1 503 ");
    expect(reply).toContain('"code":"log-closed"');
  });
});
