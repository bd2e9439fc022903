import { expect, onTestFinished, test } from "vitest";
import { AuditUnavailableError, auditLog, createHttpLogReader, parsePolicy, verifyReceipt } from "@tallystick/client";
import { type TestTallystick, type TestTallystickOptions, createTestTallystick } from "../src/index.ts";

function start(options: TestTallystickOptions = {}): TestTallystick {
  const tally = createTestTallystick({ beatIntervalMs: 0, ...options });
  onTestFinished(async () => tally.close({ timeoutMs: 1000 }).catch(() => undefined));
  return tally;
}

const actor = { type: "user", id: "u_1" };

test("shows what was reported, in the order of the log, as soon as record resolves", async () => {
  const tally = start();
  expect(tally.events).toEqual([]);
  const { index } = await tally.auth.login({ outcome: "failure", actor, reason: "wrong password" });
  await tally.auth.login({ outcome: "success", actor });
  expect(tally.events.map(({ type, outcome }) => [type, outcome])).toEqual([
    ["auth.login", "failure"],
    ["auth.login", "success"],
  ]);
  expect(tally.log.entries[0]?.index).toBe(index);
});

test("expect waits, gives the event, and says what there is where there is none", async () => {
  const tally = start();
  const recording = tally.record({ type: "auth.login", outcome: "failure", actor, auth: { method: "password" } });
  await recording;
  const event = await tally.expect({ type: "auth.login", actor: { id: "u_1" }, auth: { method: "password" } });
  expect(event.outcome).toBe("failure");
  await tally.expectNone({ type: "auth.login", outcome: "success" });
  await expect(tally.expect({ type: "auth.logout" })).rejects.toThrow(/no event has .*auth\.logout.*\n.*"auth\.login"/);
  await expect(tally.expectNone({ outcome: "failure" })).rejects.toThrow("an event has");
  await expect(tally.expect({ actor: { id: "u_1", type: "user", name: "x" } })).rejects.toThrow("no event has");
});

test("is a real log: receipts verify, an audit replays it, contents open", async () => {
  const tally = start();
  const { id, opening, index } = await tally.record({
    type: "auth.login",
    outcome: "success",
    actor,
    session: { id: "raw" },
  });
  await tally.flush({ until: "published" });
  const policy = parsePolicy(tally.log.policy);
  const { proof } = await tally.receipts.get(id);
  const receipt = verifyReceipt({ proof, policy, opening, requireQuorum: false });
  expect(receipt.index).toBe(index);
  const reader = createHttpLogReader({ url: tally.log.url, fetch: tally.log.fetch });
  expect((await auditLog({ reader, policy })).findings).toEqual([]);
  const log = await tally.log.log();
  const read = await log.readEvent({ index: index ?? -1, reader: "auditor" });
  expect(read.event).toMatchObject({ id, actor: { id: "u_1" } });
});

test("can be cut off and come back, as a log that is away does", async () => {
  const tally = start({ until: "queued", onError: () => undefined });
  await tally.flush();
  tally.log.disconnect();
  const targets = [{ type: "report", id: "r_1" }];
  await tally.auth.login({ outcome: "success", actor });
  await expect(tally.access.export({ outcome: "success", actor, targets }, { timeoutMs: 300 })).rejects.toThrow(
    AuditUnavailableError,
  );
  expect(tally.events).toEqual([]);
  tally.log.reconnect();
  await tally.expect({ type: "auth.login" });
  expect((await tally.access.export({ outcome: "success", actor, targets })).state).toBe("durable");
});

test("goes by the clock that it is given", async () => {
  let now = Date.UTC(2030, 0, 1);
  const tally = start({ now: () => now });
  await tally.auth.logout({ actor });
  now += 3_600_000;
  await tally.auth.logout({ actor });
  await tally.flush({ until: "published" });
  expect(tally.events.map(({ time }) => time)).toEqual(["2030-01-01T00:00:00.000Z", "2030-01-01T01:00:00.000Z"]);
});

test("closes with its client, and takes nothing more", async () => {
  const tally = createTestTallystick();
  await tally.auth.logout({ actor });
  await tally[Symbol.asyncDispose]();
  await expect(tally.auth.logout({ actor })).rejects.toMatchObject({ code: "client-closed" });
  const reading = (await tally.log.log()).readEvent({ index: 0, reader: "auditor" });
  await expect(reading).rejects.toMatchObject({ code: "log-closed" });
});
