import { describe, expect, test } from "vitest";
import { ROLES } from "../src/index.ts";
import { LOG_ROUTES } from "../src/routing.ts";
import { LOG, TestServer, login } from "./test-server.ts";

const EVERYBODY = ["none", ...ROLES];

/** Of every route the roles that may; written out a second time on purpose. */
const MAY: Readonly<Record<string, readonly string[]>> = {
  "GET checkpoint": EVERYBODY,
  "GET tile/{tile}": EVERYBODY,
  "GET tile/entries/{bundle}": ["auditor"],
  "POST v1/events": ["writer"],
  "GET v1/events/{index}": ["auditor"],
  "GET v1/receipts/{index}": ["writer", "auditor"],
  "GET v1/proofs/inclusion": EVERYBODY,
  "GET v1/proofs/consistency": EVERYBODY,
  "GET v1/checkpoints": EVERYBODY,
  "GET v1/tail": ["auditor"],
  "GET v1/status": ["operator", "auditor"],
  "GET v1/policy": EVERYBODY,
};

/** A request to each that a log with one entry can answer. */
const PATHS: Readonly<Record<string, string>> = {
  "tile/{tile}": "tile/0/000.p/1",
  "tile/entries/{bundle}": "tile/entries/000.p/1",
  "v1/events/{index}": "v1/events/0",
  "v1/receipts/{index}": "v1/receipts/0",
  "v1/proofs/inclusion": "v1/proofs/inclusion?index=0&size=1",
  "v1/proofs/consistency": "v1/proofs/consistency?from=0&to=1",
};

test("every route is in the table", () => {
  expect(LOG_ROUTES.map(({ method, path }) => `${method} ${path}`).toSorted()).toEqual(Object.keys(MAY).toSorted());
});

describe.each(LOG_ROUTES.map(({ method, path }) => ({ method, path })))("$method $path", ({ method, path }) => {
  test.each(["none", ...ROLES, "stranger"] as const)("as %s", async (role) => {
    const server = await TestServer.start({ witnesses: 0 });
    await server.fill(1);
    const may = MAY[`${method} ${path}`] ?? [];
    const response = await server.open(`/${LOG}/${PATHS[path] ?? path}`, {
      method,
      role,
      ...(method === "POST" ? { body: JSON.stringify(login()), type: "application/json" } : {}),
    });
    const allowed = may.includes(role === "stranger" ? "none" : role);
    const [status, code] = allowed
      ? [method === "POST" ? 201 : 200, undefined]
      : role === "none"
        ? [401, "unauthenticated"]
        : [403, "forbidden"];
    const problem = allowed ? undefined : ((await response.clone().json()) as { readonly code: string });
    await response.body?.cancel();
    expect([response.status, problem?.code]).toEqual([status, code]);
    expect(response.headers.get("www-authenticate")).toBe(status === 401 ? 'Bearer realm="tallystick"' : null);
  });

  test("refuses every other method, and says which it takes", async () => {
    const server = await TestServer.start({ witnesses: 0 });
    for (const other of ["GET", "POST", "PUT", "DELETE", "PATCH"].filter((each) => each !== method)) {
      const reply = await server.ask(`/${LOG}/${path.replace(/\{\w+\}/, "0")}`, { method: other, role: "writer" });
      expect([reply.status, reply.json()["code"]]).toEqual([405, "method-not-allowed"]);
      expect(reply.headers.get("allow")).toBe(method === "GET" ? "GET, HEAD" : method);
    }
  });
});

test.each([
  "Bearer",
  "Bearer ",
  "Bearer x",
  "Basic dXNlcjpwYXNz",
  `Bearer tsk_writer_${"A".repeat(43)}`,
  `Bearer ${"x".repeat(10_000)}`,
  "bearer tsk_auditor_",
])("%s is nobody", async (authorization) => {
  const server = await TestServer.start({ witnesses: 0 });
  const reply = await server.ask(`/${LOG}/v1/status`, { headers: { authorization } });
  expect([reply.status, reply.json()["code"]]).toEqual([401, "unauthenticated"]);
  expect(reply.text).not.toContain(authorization.slice(7) || "no token");
});

test("a token of another role's name is no token", async () => {
  const server = await TestServer.start({ witnesses: 0 });
  const forged = server.tokens.writer.replace("writer", "auditor");
  const reply = await server.ask(`/${LOG}/v1/status`, { headers: { authorization: `Bearer ${forged}` } });
  expect(reply.status).toBe(401);
});

test("who is not allowed learns nothing about entries", async () => {
  const server = await TestServer.start({ witnesses: 0 });
  await server.fill(1);
  const [there, absent] = [
    await server.ask(`/${LOG}/v1/events/0`, { role: "writer" }),
    await server.ask(`/${LOG}/v1/events/999`, { role: "writer" }),
  ];
  expect([there.status, there.json()["detail"]]).toEqual([absent.status, absent.json()["detail"]]);
});

describe("rate limit", () => {
  test("429 with Retry-After for the one token, and for no other", async () => {
    let nowMs = 0;
    const server = await TestServer.start({
      witnesses: 0,
      rateLimit: { requestsPerSecond: 1, burst: 2 },
      monotonic: () => nowMs,
    });
    const ask = async (role: "auditor" | "operator"): Promise<number> =>
      (await server.ask(`/${LOG}/v1/status`, { role })).status;
    expect([await ask("auditor"), await ask("auditor"), await ask("auditor")]).toEqual([200, 200, 429]);
    expect(await ask("operator")).toBe(200);
    const refused = await server.ask(`/${LOG}/v1/status`, { role: "auditor" });
    expect(Number(refused.headers.get("retry-after"))).toBeGreaterThanOrEqual(1);
    expect(refused.json()["code"]).toBe("rate-limited");
    nowMs = 1000;
    expect([await ask("auditor"), await ask("auditor")]).toEqual([200, 429]);
  });

  test("trying all the time does not keep a client out", async () => {
    let nowMs = 0;
    const server = await TestServer.start({
      witnesses: 0,
      rateLimit: { requestsPerSecond: 1, burst: 1 },
      monotonic: () => nowMs,
    });
    const statuses: number[] = [];
    for (; nowMs < 5000; nowMs += 100)
      statuses.push((await server.ask(`/${LOG}/v1/status`, { role: "auditor" })).status);
    expect(statuses.filter((status) => status === 200)).toHaveLength(5);
  });

  test("public reads are not counted", async () => {
    const server = await TestServer.start({ witnesses: 0, rateLimit: { requestsPerSecond: 1, burst: 1 } });
    await server.fill(1);
    for (let at = 0; at < 10; at += 1)
      expect((await server.ask(`/${LOG}/checkpoint`, { role: "writer" })).status).toBe(200);
  });
});
