import { describe, expect, test } from "vitest";
import { LOG_ROUTES } from "../src/routing.ts";
import { LOG, TestServer } from "./test-server.ts";

test.each([...new Set(LOG_ROUTES.map(({ path }) => path))])(
  "%s refuses every other method, and says which it takes",
  async (path) => {
    const server = await TestServer.start({ witnesses: 0 });
    const taken = LOG_ROUTES.filter((route) => route.path === path).map(({ method }) => method);
    for (const other of ["GET", "POST", "PUT", "DELETE", "PATCH"].filter(
      (each) => !taken.some((known) => known === each),
    )) {
      const reply = await server.ask(`/${LOG}/${path.replace(/\{\w+\}/, "0")}`, { method: other, role: "writer" });
      expect([other, reply.status, reply.json()["code"]]).toEqual([other, 405, "method-not-allowed"]);
      const allow = taken.map((method) => (method === "GET" ? "GET, HEAD" : method)).toSorted();
      expect(reply.headers.get("allow")?.split(", ").toSorted()).toEqual(allow.join(", ").split(", ").toSorted());
    }
  },
);

test("who has no token is told how to show one, and who has one that is not enough is not", async () => {
  const server = await TestServer.start({ witnesses: 0 });
  const challenge = async (role: "none" | "writer"): Promise<string | null> =>
    (await server.ask(`/${LOG}/v1/status`, { role })).headers.get("www-authenticate");
  expect([await challenge("none"), await challenge("writer")]).toEqual(['Bearer realm="tallystick"', null]);
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
