/** The SDK against a real log with real witnesses: outages of either, receipts by its own proofs, the audit of it all. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import {
  type Recorded,
  type Tallystick,
  auditLog,
  createHttpLogReader,
  createTallystick,
  parsePolicy,
  verifyReceipt,
} from "@tallystick/client";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Dev, removeFolder, startDev, temporaryFolder } from "../support/processes.ts";

let folder: string;
let dev: Dev;
let policyText: string;

beforeAll(async () => {
  folder = await temporaryFolder();
  dev = await startDev(folder);
  policyText = await readFile(join(folder, dev.file.policy), "utf8").catch(async () =>
    readFile(dev.file.policy, "utf8"),
  );
}, 60_000);

afterAll(async () => {
  await (dev as Dev | undefined)?.stop();
  await removeFolder(folder);
});

function start(name: string): { client: Tallystick; errors: Error[] } {
  const errors: Error[] = [];
  const client = createTallystick({
    url: dev.file.log.url,
    token: dev.file.log.tokens.writer,
    policy: policyText,
    outbox: join(folder, name),
    // dev pins the first sender key that a writer's token presents.
    senderKey: join(folder, "sender.key"),
    onError: (error) => errors.push(error),
  });
  return { client, errors };
}

async function recordMany(client: Tallystick, count: number, from = 0): Promise<Recorded[]> {
  const events = Array.from({ length: count }, async (_, at) =>
    client.record({
      type: "access.read",
      outcome: "success",
      actor: { type: "user", id: `u_${(from + at) % 20}` },
      subject: { id: `u_${(from + at) % 7}` },
      targets: [{ type: "file", id: `f_${at}` }],
      session: { id: `session ${(from + at) % 10}` },
      tenant: `t_${at % 3}`,
    }),
  );
  return Promise.all(events);
}

async function assertReceipts(client: Tallystick, recorded: readonly Recorded[]): Promise<void> {
  for (const { id, opening } of recorded) {
    const { proof } = await client.receipts.get(id);
    expect(verifyReceipt({ proof, opening, policy: parsePolicy(policyText) })).toMatchObject({
      quorumMet: true,
      event: { id },
    });
  }
}

test(
  "two thousand events with every tag: each with its receipt, in the order of the calls",
  { timeout: 60_000 },
  async () => {
    const { client, errors } = start("many");
    const recorded = await recordMany(client, 2000);
    await client.flush();
    await assertReceipts(
      client,
      recorded.filter((_, at) => at % 50 === 0),
    );
    const indexes = await Promise.all(recorded.map(async ({ id }) => (await client.receipts.get(id)).index));
    expect(indexes).toEqual(indexes.toSorted((a, b) => a - b));
    expect(new Set(indexes).size).toBe(2000);
    expect(errors).toEqual([]);
    await client.close();
  },
);

test("a log that is down for a while: nothing is lost, nothing is there twice", { timeout: 60_000 }, async () => {
  const { client, errors } = start("outage");
  const before = await recordMany(client, 5);
  await client.flush();
  await dev.stop();
  const during = await recordMany(client, 50, 5);
  await expect(client.flush({ timeoutMs: 500 })).rejects.toMatchObject({ code: "wait-timeout" });
  expect(client.status()).toMatchObject({ state: "offline", queued: 50 });
  await client.close();
  dev = await startDev(folder);
  const again = start("outage");
  const after = await recordMany(again.client, 5, 55);
  await again.client.flush();
  await assertReceipts(again.client, [...before, ...during, ...after]);
  expect(errors.map((error) => "code" in error && error.code)).toContain("audit-unavailable");
  await again.client.close({ end: true });
});

test("the audit of it all finds nothing", { timeout: 60_000 }, async () => {
  const { url, tokens } = dev.file.log;
  const reader = createHttpLogReader({ url, token: tokens.auditor });
  const report = await auditLog({ reader, policy: parsePolicy(policyText) });
  expect(report.findings).toEqual([]);
  expect(report.verdict).toBe("VERIFIED");
  expect(report.size).toBeGreaterThan(2060);
});
