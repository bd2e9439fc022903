import { expect, test } from "vitest";
import { type TallyEvent, decodeEvent } from "@tallystick/events";
import { AuditUnavailableError, type Operation, type OperationReport } from "../src/index.ts";
import { LogDouble } from "./support/log-double.ts";
import { type Started, login, startClient, until } from "./support/setup.ts";

const WRITE: OperationReport = {
  type: "access.write",
  actor: { type: "user", id: "u_1" },
  targets: [{ type: "file", id: "f_1" }],
  context: { why: "test" },
};

/** What the log has, but for the stream's own events. */
async function start(): Promise<Started & { log: LogDouble; events: () => Promise<TallyEvent[]> }> {
  const log = new LogDouble();
  const all: TallyEvent[] = [];
  log.hooks.batch = (batch) => {
    for (const { event } of batch.batch.entries) all.push(decodeEvent(event));
  };
  const started = startClient(log);
  const events = async (): Promise<TallyEvent[]> => {
    await started.client.flush();
    return all.filter(({ type }) => !type.startsWith("stream."));
  };
  return { ...started, log, events };
}

test("records the attempt before the work and its outcome after, under one operation id", async () => {
  const { client, events } = await start();
  let during = 0;
  const result = await client.audit(WRITE, (operation) => {
    during = client.status().counters.recorded;
    return operation.id;
  });
  const [attempt, outcome] = await events();
  expect(during).toBe(1);
  expect(attempt).toMatchObject({ outcome: "unknown", operation: result, context: { why: "test", step: "attempt" } });
  expect(outcome).toMatchObject({ outcome: "success", operation: result, context: { why: "test" } });
  expect(outcome?.context).not.toHaveProperty("step");
});

test.each([
  ["an error", Object.assign(new Error("secret words"), { code: "EDISK" }), "failure", "EDISK"],
  ["an error without a code", new TypeError("secret words"), "failure", "TypeError"],
  ["status 403", Object.assign(new Error("no"), { status: 403 }), "denied", "Error"],
  ["statusCode 401", Object.assign(new Error("no"), { statusCode: 401 }), "denied", "Error"],
  ["text", "secret words", "failure", undefined],
])("passes %s on that the work throws, and says how it came out", async (_, thrown, outcome, reason) => {
  const { client, events } = await start();
  const caught: unknown = await client
    .audit(WRITE, () => Promise.reject(thrown as Error))
    .catch((error: unknown) => error);
  expect(caught).toBe(thrown);
  const [, last] = await events();
  expect(last?.outcome).toBe(outcome);
  expect(last?.reason).toBe(reason);
});

test.each([
  [200, "success", undefined],
  [302, "success", undefined],
  [403, "denied", "HTTP 403"],
  [404, "failure", "HTTP 404"],
  [500, "failure", "HTTP 500"],
])("reads the outcome of a response of status %d", async (status, outcome, reason) => {
  const { client, events } = await start();
  const response = await client.audit(WRITE, () => new Response(null, { status }));
  expect(response.status).toBe(status);
  const [, last] = await events();
  expect([last?.outcome, last?.reason]).toEqual([outcome, reason]);
});

test("takes the work's word for what it alone knows", async () => {
  const { client, events } = await start();
  await client.audit(WRITE, (operation) => {
    operation.note({ targets: [{ type: "file", id: "f_2" }], context: { bytes: 7 } });
    operation.note({ context: { lines: 2 } });
    operation.deny("quota");
  });
  const [, last] = await events();
  expect(last).toMatchObject({
    outcome: "denied",
    reason: "quota",
    targets: [{ type: "file", id: "f_2" }],
    context: { why: "test", bytes: 7, lines: 2 },
  });
});

test("gives two events two ids, whatever a report brings", async () => {
  const { client, events } = await start();
  const brought = { ...WRITE, id: "0198c5d2-7c3a-7f4e-9d1b-2f6a8e0c4b7d", time: 1_760_000_000_000, outcome: "denied" };
  await client.audit(brought, () => undefined);
  const [attempt, outcome] = await events();
  expect([attempt?.outcome, outcome?.outcome]).toEqual(["unknown", "success"]);
  expect(attempt?.id).not.toBe(outcome?.id);
});

test("does not do the work where the report is no event", async () => {
  const { client, events } = await start();
  let done = false;
  const misspelt = client.audit({ ...WRITE, type: "acess.write" }, () => (done = true));
  await expect(misspelt).rejects.toThrow("did you mean access.write?");
  expect([done, await events()]).toEqual([false, []]);
});

test("does not do the work of a type that onOutage denies while the log is away, and says that it was denied", async () => {
  const { client, log, events } = await start();
  log.hooks.intercept = () => Promise.reject(new TypeError("fetch failed"));
  await client.record(login());
  await until(() => client.status().state === "offline", "offline");
  let done = false;
  await expect(client.audit({ ...WRITE, type: "access.export" }, () => (done = true))).rejects.toThrow(
    AuditUnavailableError,
  );
  expect(done).toBe(false);
  delete log.hooks.intercept;
  const [, denied, ...rest] = await events();
  expect(denied).toMatchObject({ type: "access.export", outcome: "denied", reason: "audit-unavailable" });
  expect(rest).toEqual([]);
});

test("does other work although nothing can be recorded, tells onError and counts it", async () => {
  const log = new LogDouble();
  log.hooks.intercept = () => Promise.reject(new TypeError("fetch failed"));
  const { client, errors } = startClient(log, { outboxBytesMax: 65_536 });
  const context = { text: "x".repeat(7000) };
  await Promise.allSettled(Array.from({ length: 20 }, async () => client.record({ type: "app.other", context })));
  expect(await client.audit({ ...WRITE, context }, () => "done")).toBe("done");
  expect(client.status().counters.unrecorded).toBe(2);
  expect(errors.filter((error) => "code" in error && error.code === "outbox-full")).toHaveLength(2);
});

test("records the outcome without what no event can bear, tells onError, and the work's result passes", async () => {
  const { client, errors, events } = await start();
  const noted = (operation: Operation): number => {
    operation.note({ reason: "two\nlines", context: { at: 1.5 } });
    operation.deny("quota");
    return 7;
  };
  expect(await client.audit(WRITE, noted)).toBe(7);
  expect(errors).toMatchObject([{ code: "event-invalid" }]);
  const [, last, ...rest] = await events();
  expect(last).toMatchObject({ outcome: "denied", reason: "quota", context: { why: "test" } });
  expect(rest).toEqual([]);
});

test("puts a reason on one line and cuts it, so that no outcome is lost for an error's message", async () => {
  const { client, errors, events } = await start();
  await client.audit(WRITE, (operation) => operation.fail(`disk full\n  at write\r\n${"x".repeat(5000)}`));
  await client.audit(WRITE, (operation) => operation.deny("\n"));
  const [, failed, , denied] = await events();
  expect(failed?.reason).toBe(`disk full   at write ${"x".repeat(979)}`);
  expect([denied?.outcome, denied?.reason, errors]).toEqual(["denied", undefined, []]);
});

test("passes on whatever the work gives, also what cannot be looked at", async () => {
  const { client, events } = await start();
  const given = {
    get status(): number {
      throw new Error("not yet");
    },
  };
  expect(await client.audit(WRITE, () => given)).toBe(given);
  expect((await events()).map(({ outcome }) => outcome)).toEqual(["unknown", "success"]);
});
