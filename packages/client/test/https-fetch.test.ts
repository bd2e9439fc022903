import { execFile } from "node:child_process";
import { once } from "node:events";
import { readFileSync, symlinkSync, writeFileSync } from "node:fs";
import type { IncomingMessage, RequestListener } from "node:http";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { TestAuthority, writeCertificate } from "../../../test/support/certificates.ts";
import { temporaryFolder } from "../../../test/support/temporary-folder.ts";
import { initServer, serveLogs } from "../../server/src/index.ts";
import { createHttpsFetch, createTallystick, exchange } from "../src/index.ts";

const authority = new TestAuthority();
const ca = authority.certificate;

/** A server over TLS; its address. */
async function listen(listener: RequestListener): Promise<string> {
  const { certificate: cert, key } = authority.issue("server");
  const server = createServer({ cert, key, ca, requestCert: true, rejectUnauthorized: false }, listener);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function textOf(request: IncomingMessage): Promise<string> {
  let text = "";
  for await (const part of request) text += String(part);
  return text;
}

describe("createHttpsFetch", () => {
  test("sends method, headers and body, and gives status, headers and body", async () => {
    const url = await listen((request, response) => {
      void textOf(request).then((text) => {
        response.writeHead(201, { "x-method": request.method, "x-got": request.headers["x-sent"] });
        response.end(`got ${text}`);
      });
    });
    const fetch = createHttpsFetch({ ca });
    const body = new TextEncoder().encode("bytes");
    const answer = await fetch(`${url}/a?b=c`, { method: "POST", headers: { "X-Sent": "here" }, body });
    expect([answer.status, answer.headers.get("x-method"), answer.headers.get("x-got")]).toEqual([201, "POST", "here"]);
    expect(await answer.text()).toBe("got bytes");
  });

  test("shows its certificate, and keeps the connection for the next request", async () => {
    const ports = new Set<number | undefined>();
    const url = await listen(({ socket }, response) => {
      ports.add(socket.remotePort);
      response.end(String("authorized" in socket && socket.authorized));
    });
    const fetch = createHttpsFetch({ ca, ...authority.issue("app-1") });
    for (let count = 0; count < 3; count += 1) expect(await (await fetch(url)).text()).toBe("true");
    expect(ports.size).toBe(1);
    expect(await (await createHttpsFetch({ ca })(url)).text()).toBe("false");
  });

  test("believes nobody but its authority", async () => {
    const url = await listen((_, response) => response.end("ok"));
    const other = new TestAuthority("Strangers");
    await expect(createHttpsFetch({ ca: other.certificate })(url)).rejects.toThrow("certificate");
    await expect(createHttpsFetch({})(url)).rejects.toThrow("certificate");
    await expect(createHttpsFetch({ ca })(url.replace("https", "http"))).rejects.toThrow("https");
    expect(() => createHttpsFetch({ ...authority.issue("a"), key: authority.issue("b").key })).toThrow("mismatch");
  });

  test("follows no redirect, and takes an answer without a body", async () => {
    const url = await listen((request, response) => {
      const status = Number(request.url?.slice(1));
      response.writeHead(status, { location: "/200" }).end();
    });
    const fetch = createHttpsFetch({ ca });
    for (const status of [204, 301, 304, 307]) {
      const answer = await fetch(`${url}/${status}`);
      expect([answer.status, answer.headers.get("location"), await answer.text()]).toEqual([status, "/200", ""]);
    }
    await expect(exchange({ fetch, url: `${url}/301`, timeoutMs: 5000, bytesMax: 10 })).rejects.toThrow("redirect");
  });

  test("streams an answer, until the signal ends it", async () => {
    const { promise: gone, resolve } = Promise.withResolvers<string>();
    const url = await listen((_, response) => {
      response.on("close", () => resolve("gone"));
      response.write("first");
    });
    const abort = new AbortController();
    const answer = await createHttpsFetch({ ca })(url, { signal: abort.signal });
    const reader = answer.body?.getReader();
    const part = await reader?.read();
    expect(Buffer.from(part?.value ?? []).toString()).toBe("first");
    const next = reader?.read();
    abort.abort();
    await expect(next).rejects.toThrow("abort");
    expect(await gone).toBe("gone");
  });

  test("the signal ends a request that nobody answers", async () => {
    const url = await listen(() => undefined);
    const fetch = createHttpsFetch({ ca });
    await expect(fetch(url, { signal: AbortSignal.timeout(50) })).rejects.toThrow(/abort|timeout/);
    await expect(exchange({ fetch, url, timeoutMs: 50, bytesMax: 10 })).rejects.toThrow("none within 50 ms");
    await expect(fetch("https://127.0.0.1:1/")).rejects.toThrow("ECONNREFUSED");
  });
});

/** A served log that asks writers for certificates; the folder has `ca.pem`, `app.pem` and `app.key` too. */
async function mutualLog(): Promise<{ dir: string; url: string; token: string; policy: string }> {
  const dir = temporaryFolder();
  const made = await initServer({ dir, name: "app", origin: "log.example/app", port: 0, pinFirstSenderKey: true });
  writeCertificate(authority.issue("log.example"), { dir });
  writeCertificate(authority.issue("app-1"), { dir, name: "app" });
  writeFileSync(join(dir, "ca.pem"), ca);
  const config = JSON.parse(readFileSync(made.configPath, "utf8")) as object;
  const tls = { certificate: "tls.pem", key: "tls.key", clientCa: "ca.pem", writers: "certificate" };
  writeFileSync(made.configPath, JSON.stringify({ ...config, tls }));
  const served = await serveLogs({ dir });
  onTestFinished(async () => served.close());
  return { dir, url: `${served.url}/app`, token: made.tokens.writer, policy: made.policyPath };
}

test("the SDK reports to a log that asks its writers for certificates; without one, what it recorded waits", async () => {
  const { dir, ...target } = await mutualLog();
  const options = { ...target, outbox: join(dir, "outbox") };
  const event = { type: "auth.login", outcome: "success", actor: { type: "user", id: "u_81" } } as const;

  const told: unknown[] = [];
  const fetch = createHttpsFetch({ ca });
  const without = createTallystick({ ...options, fetch, onError: (error) => told.push(error) });
  await without.record(event);
  await vi.waitFor(() => expect(JSON.stringify(told)).toContain("client-certificate-required"), { timeout: 20_000 });
  await without.close();

  const shown = createHttpsFetch({ ca, ...authority.issue("app-1") });
  const log = createTallystick({ ...options, fetch: shown });
  onTestFinished(async () => log.close());
  const { index, state } = await log.record(event, { until: "published", timeoutMs: 20_000 });
  expect([state, typeof index]).toEqual(["published", "number"]);
  await log.flush({ until: "published" });
});

test("docs/reference/client.md: its client with a certificate does report", async () => {
  const root = resolve(import.meta.dirname, "../../..");
  const page = readFileSync(join(root, "docs/reference/client.md"), "utf8");
  const [, code = ""] = /^## TLS$[\s\S]*?```ts\n([\s\S]*?)```/m.exec(page) ?? [];
  const { dir, url, token, policy } = await mutualLog();
  symlinkSync(join(root, "node_modules"), join(dir, "node_modules"));
  writeFileSync(join(dir, "package.json"), '{"type":"module"}');
  const event = '{ type: "auth.login", outcome: "success", actor: { type: "user", id: "u_81" } }';
  const use = `console.log((await log.record(${event}, { until: "published" })).state);\nawait log.close();\n`;
  writeFileSync(join(dir, "example.ts"), `${code}\n${use}`);
  const env = { ...process.env, TALLYSTICK_URL: url, TALLYSTICK_TOKEN: token, TALLYSTICK_POLICY: policy };
  const flags = ["--conditions=ws-source", "example.ts"];
  const { stdout, stderr } = await promisify(execFile)(process.execPath, flags, { cwd: dir, env });
  expect([stdout, stderr]).toEqual(["published\n", ""]);
});
