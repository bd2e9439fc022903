/** Clocks that are wrong: a witness's, this host's, the log's. One of them alone neither refutes entries nor halts a client. */
import { parsePolicy, parseTlogProof } from "@tallystick/core";
import { describe, expect, test } from "vitest";
import { rejectionCode } from "../../../test/support/errors.ts";
import { ClientError, auditLog, createHttpLogReader, verifyReceipt } from "../src/index.ts";
import { LogDouble } from "./support/log-double.ts";
import { createFolder, login, startClient, until } from "./support/setup.ts";

const HOUR = 3600;
const YEAR = 365 * 24 * HOUR;

function isDispute(error: Error): error is ClientError {
  return error instanceof ClientError && error.code === "log-time-disputed";
}

describe("one of three witnesses whose clock is wrong, where two are a quorum", () => {
  test.each([
    ["1970", -Infinity],
    ["an hour slow", -HOUR],
    ["six minutes slow", -360],
    ["six minutes fast", 360],
    ["a year fast", YEAR],
  ])("%s: receipts and the audit stand without it", async (_, offset) => {
    const log = new LogDouble();
    log.witnessOffsets = [offset, 0, 0];
    const { client, errors } = startClient(log);
    const { receipt = "" } = await client.record(login(), { until: "witnessed" });
    expect(errors).toEqual([]);
    const policy = parsePolicy(log.policyText);
    const verified = verifyReceipt({ proof: receipt, policy, now: Date.now() });
    expect(verified).toMatchObject({ quorumMet: true, untimely: [] });
    expect(verified.cosignatures.map(({ witness }) => witness).toSorted()).toEqual(["w2", "w3"]);
    const reader = createHttpLogReader({ url: log.url, fetch: log.fetch });
    const report = await auditLog({ reader, policy, now: Date.now() });
    expect(report).toMatchObject({ verdict: "VERIFIED", findings: [] });
    expect(report.cosignatures).toHaveLength(2);
    expect(report.untimely.map(({ witness }) => witness)).toEqual(offset < 0 ? ["w1"] : []);
  });

  test("a receipt that bears the early cosignature too is accepted, and says whose it is", async () => {
    const log = new LogDouble();
    const { client } = startClient(log);
    const { receipt = "" } = await client.record(login(), { until: "witnessed" });
    log.witnessOffsets = [-HOUR, 0, 0];
    const proof = { ...parseTlogProof(receipt), checkpoint: log.checkpoint() };
    const verified = verifyReceipt({ proof, policy: parsePolicy(log.policyText) });
    expect(verified.untimely.map(({ witness }) => witness)).toEqual(["w1"]);
    expect(verified.cosignatures.map(({ witness }) => witness)).toEqual(["w2", "w3"]);
  });

  test("two of them, a quorum's worth, refute the time of an entry", async () => {
    const log = new LogDouble();
    const { client } = startClient(log);
    const { receipt = "" } = await client.record(login(), { until: "witnessed" });
    log.witnessOffsets = [-HOUR, -HOUR, 0];
    const policy = parsePolicy(log.policyText);
    const proof = { ...parseTlogProof(receipt), checkpoint: log.checkpoint() };
    expect(() => verifyReceipt({ proof, policy })).toThrow(/^time: .* after the cosignatures of w1, w2, .* postdated$/);
    const reader = createHttpLogReader({ url: log.url, fetch: log.fetch });
    const { verdict, findings } = await auditLog({ reader, policy });
    expect(verdict).toBe("REFUTED");
    expect(findings).toMatchObject([{ code: "time-postdated", index: 1 }]);
  });

  test("an early cosignature does not turn a head without quorum into a refutation", async () => {
    const log = new LogDouble();
    const { client } = startClient(log);
    const { receipt = "" } = await client.record(login(), { until: "witnessed" });
    log.witnessOffsets = [-HOUR, 0, 0];
    log.cosigning = 1;
    const proof = { ...parseTlogProof(receipt), checkpoint: log.checkpoint() };
    const verified = verifyReceipt({ proof, policy: parsePolicy(log.policyText), requireQuorum: false });
    expect(verified).toMatchObject({ quorumMet: false, cosignatures: [] });
  });
});

describe("clocks that no quorum stands behind", () => {
  test("where most witnesses are slow, the client waits and says for whom, and goes on when they are mended", async () => {
    const log = new LogDouble();
    log.witnessOffsets = [-HOUR, -HOUR, 0];
    const { client, errors } = startClient(log);
    await client.record(login(), { until: "durable" });
    await until(() => client.status().waitingFor !== undefined, "waiting");
    expect(client.status()).toMatchObject({ state: "ok", unproved: 2 });
    expect(client.status().waitingFor).toContain("w1, w2");
    expect(errors).toEqual([]);
    log.witnessOffsets = [0, 0, 0];
    await client.flush();
  });

  test("a log that postdates, by the witnesses' clocks and this host's, halts the client", async () => {
    const log = new LogDouble();
    log.hooks.leaf = (leaf) => ({ ...leaf, loggedAt: leaf.loggedAt + 400_000 });
    const { client, errors } = startClient(log);
    expect(await rejectionCode(client.record(login(), { until: "witnessed" }))).toBe("log-misbehaved");
    expect(errors.filter(isDispute).length).toBeGreaterThan(0);
    expect(client.status().state).toBe("halted");
  });
});

describe("a clock of this host that is six minutes off", () => {
  test.each([
    ["fast", 360_000],
    ["a day fast", 86_400_000],
  ])("%s: each event is recorded and proved, and onError says that the clocks differ", async (_, offset) => {
    const log = new LogDouble();
    const { client, errors } = startClient(log, { now: () => Date.now() + offset });
    const { receipt } = await client.record(login(), { until: "witnessed" });
    expect(receipt).toBeDefined();
    expect(errors.length).toBeGreaterThan(0);
    expect(errors.every(isDispute)).toBe(true);
    const events = errors.flatMap((error) => (isDispute(error) ? error.details["events"] : []));
    expect(events).toMatchObject([{ sequence: 1, index: 0, backdated: true }, { sequence: 2 }]);
    expect(client.status()).toMatchObject({ state: "ok", queued: 0, lastError: { code: "log-time-disputed" } });
  });

  test("slow: says that its own clock is to be looked at, and goes on when it is set right", async () => {
    const log = new LogDouble();
    let offset = -360_000;
    const { client, errors } = startClient(log, { now: () => Date.now() + offset });
    await client.record(login(), { until: "durable" });
    await until(() => client.status().waitingFor !== undefined, "waiting");
    expect(client.status().waitingFor).toContain("in the future by this host's clock");
    expect(errors.every(isDispute)).toBe(true);
    offset = 0;
    await client.flush();
    expect(client.status()).toMatchObject({ state: "ok", unproved: 0 });
  });

  test("set back while a proof is made, it refutes nothing that was verified before", async () => {
    const log = new LogDouble();
    let offset = 0;
    log.hooks.intercept = ({ path }) => {
      offset = path.startsWith("tile/") ? -3_600_000 : 0;
      return undefined;
    };
    const { client, errors } = startClient(log, { now: () => Date.now() + offset });
    const { receipt } = await client.record(login(), { until: "witnessed" });
    expect(receipt).toBeDefined();
    expect(errors).toEqual([]);
    expect(client.status().state).toBe("ok");
  });

  test("what was sent with it is proved after a restart with the right one", async () => {
    const log = new LogDouble();
    const outbox = await createFolder();
    log.autoPublish = false;
    const wrong = startClient(log, { outbox, now: () => Date.now() + 360_000 });
    await wrong.client.record(login(), { until: "durable" });
    await wrong.client.close();
    log.publish();
    const { client, errors } = startClient(log, { outbox });
    await client.flush();
    expect(client.status()).toMatchObject({ state: "ok", queued: 0, unproved: 0 });
    expect(errors).toEqual([]);
  });
});

test("a log that backdates is named at once, by event, and nothing is lost or held back", async () => {
  const log = new LogDouble();
  const { client, errors } = startClient(log);
  await client.flush();
  log.hooks.leaf = (leaf) => ({ ...leaf, loggedAt: leaf.loggedAt - 400_000 });
  const recorded = await Promise.all(["a", "b"].map((id) => client.record(login(id), { until: "witnessed" })));
  expect(recorded.every(({ receipt }) => receipt !== undefined)).toBe(true);
  const events = errors.flatMap((error) => (isDispute(error) ? error.details["events"] : []));
  expect(events).toMatchObject(recorded.map(({ id, index }) => ({ id, index, backdated: true })));
  expect(client.status()).toMatchObject({ state: "ok", lastError: { code: "log-time-disputed" } });
});
