import { describe, expect, test } from "vitest";
import { LogError } from "@tallystick/log";
import { StorageError } from "@tallystick/storage";
import { PROBLEMS } from "../src/index.ts";
import { problemReply } from "../src/problem.ts";
import { LOG, TestServer, login } from "./test-server.ts";

const ID = "018f3c1e-0000-7000-8000-000000000000";
const SECRET = "/srv/keys/master.key: no space left";

function problemOf(error: unknown): Record<string, unknown> {
  const { body } = problemReply(error, ID);
  return JSON.parse(body as string) as Record<string, unknown>;
}

describe("problemReply", () => {
  test.each([
    ["a bug", new Error(SECRET), 500, "internal"],
    ["no error at all", SECRET, 500, "internal"],
    ["a wrong argument", new TypeError(SECRET), 500, "internal"],
    ["a failing disk", new StorageError("storage-full", SECRET, { details: { index: 7 } }), 503, "storage-full"],
    ["a damaged log", new LogError("log-corrupt", SECRET), 500, "log-corrupt"],
    ["a stopped log", new LogError("log-stopped", SECRET), 503, "log-stopped"],
    ["a log that stopped in between", new LogError("outcome-unknown", SECRET), 503, "outcome-unknown"],
  ])("tells nothing of %s but its code and title", (_, error, status, code) => {
    const problem = problemOf(error);
    expect(problem).toEqual({
      type: `/problems/${code}`,
      title: PROBLEMS[code as keyof typeof PROBLEMS].title,
      status,
      instance: `urn:uuid:${ID}`,
      code,
    });
  });

  test("shows public details only", () => {
    const problem = problemOf(
      new LogError("sequence-gap", "expected 3", { details: { expected: 3, path: SECRET, writer: "writer-1" } }),
    );
    expect(problem).toMatchObject({ code: "sequence-gap", expected: 3, detail: "expected 3" });
    expect(Object.keys(problem)).not.toContain("path");
    expect(Object.keys(problem)).not.toContain("writer");
  });

  test("every status of 429 and 503 says when to come back", () => {
    for (const [code, { status }] of Object.entries(PROBLEMS)) {
      const { headers } = problemReply(new LogError(code as "log-stopped", "x"), ID);
      expect(Number(headers["retry-after"] ?? 0) > 0).toBe(status === 429 || status === 503);
    }
  });
});

test("what a client is not told stands in the server's log, under the same id, with where it happened", async () => {
  const server = await TestServer.start({ witnesses: 0 });
  Object.defineProperty(server.log, "policyText", {
    get: () => {
      throw new Error(SECRET);
    },
  });
  const reply = await server.ask(`/${LOG}/v1/policy`);
  expect(reply.status).toBe(500);
  expect(reply.text).not.toContain("/srv");
  const [warning = ""] = server.warnings;
  expect(warning).toContain(SECRET);
  expect(warning).toContain("problem.test.ts");
  expect(warning).toContain(String(reply.json()["instance"]).replace("urn:uuid:", ""));
});

test("refusals that are the client's do not fill the server's log", async () => {
  const server = await TestServer.start({ witnesses: 0 });
  await server.post({ ...login(), id: "x" });
  await server.ask("/nothing");
  expect(server.warnings).toEqual([]);
});
