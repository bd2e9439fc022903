import { describe, expect, test } from "vitest";
import type { HostedLog } from "../src/index.ts";
import { LOG, TestServer, login } from "./test-server.ts";

interface Readiness {
  readonly ready: boolean;
  readonly logs: readonly { name: string; state: string; reasons: { code: string; message: string }[] }[];
}

const LOCAL = "127.0.0.1";

/** A log that could not be opened. */
const failed: HostedLog = {
  name: "old",
  publicEntries: false,
  log: undefined,
  failure: { code: "storage-rolled-back", message: "/srv/data/old: the database is older than its mark" },
};

describe("/healthz", () => {
  test("says that the process answers, whatever its logs do", async () => {
    const server = await TestServer.start({ logs: [failed], isNetworkUp: false });
    const reply = await server.ask("/healthz");
    expect([reply.status, reply.text, reply.headers.get("cache-control")]).toEqual([200, "ok\n", "no-store"]);
  });
});

describe("/readyz", () => {
  test("is 200 while every log takes events", async () => {
    const server = await TestServer.start();
    const reply = await server.ask("/readyz");
    expect([reply.status, reply.json()]).toEqual([
      200,
      { ready: true, logs: [{ name: LOG, state: "ok", reasons: [] }] },
    ]);
  });

  test("stays 200 without a quorum, and names who is missing", async () => {
    const server = await TestServer.start();
    await server.fill(1);
    server.network.up = false;
    await server.post(login(), "?wait=witnessed&timeout=1500");
    const reply = await server.ask("/readyz");
    const [log] = reply.json<Readiness>().logs;
    expect([reply.status, log?.state, log?.reasons[0]?.code]).toEqual([200, "degraded", "quorum-not-met"]);
    expect(log?.reasons[0]?.message).toContain("w1");
  });

  test("is 503 while a log asks its witnesses, and says which", async () => {
    const server = await TestServer.start({ isNetworkUp: false });
    await new Promise((resolve) => setTimeout(resolve, 50));
    const reply = await server.ask("/readyz");
    const { ready, logs } = reply.json<Readiness>();
    expect([reply.status, ready, logs[0]?.state, logs[0]?.reasons[0]?.code]).toEqual([
      503,
      false,
      "starting",
      "log-starting",
    ]);
  });

  test("a log that cannot be opened leaves the others running; its reason names files only to operators and this machine", async () => {
    const server = await TestServer.start({ witnesses: 0, logs: [failed] });
    const reasonFor = async (ask: Parameters<TestServer["ask"]>[1]): Promise<string> => {
      const reply = await server.ask("/readyz", ask);
      expect(reply.status).toBe(503);
      const log = reply.json<Readiness>().logs.find(({ name }) => name === "old");
      expect([log?.state, log?.reasons[0]?.code]).toEqual(["stopped", "storage-rolled-back"]);
      return log?.reasons[0]?.message ?? "";
    };
    expect(await reasonFor({})).not.toContain("/srv");
    expect(await reasonFor({ role: "writer" })).not.toContain("/srv");
    expect(await reasonFor({ from: LOCAL, headers: { "x-forwarded-for": "203.0.113.7" } })).not.toContain("/srv");
    expect(await reasonFor({ role: "operator" })).toContain("/srv/data/old");
    expect(await reasonFor({ from: LOCAL })).toContain("/srv/data/old");
    expect((await server.post(login())).status).toBe(201);
    for (const path of ["checkpoint", "v1/policy", "v1/checkpoints"]) {
      const reply = await server.ask(`/old/${path}`);
      expect([reply.status, reply.json()["code"]]).toEqual([503, "log-unavailable"]);
      expect(reply.text).not.toContain("/srv");
      expect(Number(reply.headers.get("retry-after"))).toBeGreaterThan(0);
    }
  });
});

describe("/metrics", () => {
  test.each([
    ["a stranger", {}, 401],
    ["a writer", { role: "writer" }, 403],
    ["an operator", { role: "operator" }, 200],
    ["a program on this machine", { from: LOCAL }, 200],
    ["a program on this machine, by IPv6", { from: "::1" }, 200],
    ["a program elsewhere", { from: "203.0.113.7" }, 401],
    ["a proxy on this machine", { from: LOCAL, headers: { "x-forwarded-for": "203.0.113.7" } }, 401],
    ["another proxy on this machine", { from: LOCAL, headers: { forwarded: "for=203.0.113.7" } }, 401],
    ["a proxy that names a host only", { from: LOCAL, headers: { "x-forwarded-host": "log.example" } }, 401],
    ["a proxy that says nothing, in HTTP/1.0", { from: LOCAL, httpVersionMinor: 0 }, 401],
    ["a name that was made to lead here", { from: LOCAL, headers: { host: "rebound.example:7420" } }, 401],
    ["a page in a browser on this machine", { from: LOCAL, headers: { origin: "https://evil.example" } }, 401],
  ] as const)("asked by %s", async (_, ask, status) => {
    const server = await TestServer.start({ witnesses: 0 });
    const reply = await server.ask("/metrics", ask);
    expect(reply.status).toBe(status);
    expect(reply.headers.get("access-control-allow-origin")).toBeNull();
  });

  test("count requests by route and status, refusals by code, and what each log does", async () => {
    const server = await TestServer.start({ logs: [failed] });
    await server.fill(2);
    await server.ask(`/${LOG}/tile/0/000.p/2`);
    await server.ask(`/${LOG}/tile/0/no-such`);
    await server.ask("/nothing");
    const { text } = await server.ask("/metrics", { role: "operator" });
    for (const line of [
      'tallystick_http_requests_total{route="v1/events",status="201"} 1',
      'tallystick_http_requests_total{route="tile/{tile}",status="200"} 1',
      'tallystick_http_requests_total{route="tile/{tile}",status="404"} 1',
      'tallystick_http_requests_total{route="none",status="404"} 1',
      'tallystick_problems_total{code="not-found"} 2',
      'tallystick_log_entries_total{log="app"} 2',
      'tallystick_log_witnesses{log="app"} 2',
      'tallystick_log_state{log="app",state="ok"} 1',
      'tallystick_log_state{log="old",state="stopped"} 1',
    ])
      expect(`${text}\n`).toContain(`${line}\n`);
    expect(text).toContain("# TYPE tallystick_log_entries_total counter");
    // Read again, a counter has not counted double.
    expect((await server.ask("/metrics", { role: "operator" })).text).toContain(
      'tallystick_log_entries_total{log="app"} 2\n',
    );
  });

  test("have a label for every route, and none for what clients make up", async () => {
    const server = await TestServer.start({ witnesses: 0 });
    for (let at = 0; at < 20; at += 1) {
      await server.ask(`/${LOG}/made-up-${at}`);
      await server.ask(`/made-up-${at}/checkpoint`);
      await server.ask(`/${LOG}/v1/events/${at}`, { method: "OPTIONS" });
    }
    expect((await server.ask("/metrics", { role: "operator" })).text).not.toContain("made-up");
  });
});

test.each(["/healthz", "/readyz", "/metrics", "/openapi.json"])("%s takes GET and HEAD alone", async (path) => {
  const server = await TestServer.start({ witnesses: 0 });
  const reply = await server.ask(path, { method: "POST", role: "operator" });
  expect([reply.status, reply.headers.get("allow")]).toEqual([405, "GET, HEAD"]);
  const head = await server.ask(path, { method: "HEAD", role: "operator" });
  expect([head.status, head.bytes.length]).toEqual([200, 0]);
});

test("every answer carries the headers that keep browsers from guessing", async () => {
  const server = await TestServer.start({ witnesses: 0 });
  for (const path of ["/healthz", "/nothing", `/${LOG}/v1/policy`, `/${LOG}/v1/status`]) {
    const { headers } = await server.ask(path);
    expect(headers.get("x-content-type-options")).toBe("nosniff");
    expect(headers.get("content-security-policy")).toContain("default-src 'none'");
  }
});
