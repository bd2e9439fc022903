/** A log that acknowledges and does not prove: nothing leaves the outbox, and somebody is told. */
import { expect, test } from "vitest";
import { ClientError } from "../src/index.ts";
import { LogDouble } from "./support/log-double.ts";
import { type Started, createFolder, login, startClient, until } from "./support/setup.ts";

function remindersOf({ errors }: Started): ClientError[] {
  return errors.filter(
    (error): error is ClientError => error instanceof ClientError && error.code === "unproved-too-long",
  );
}

test("an acknowledged event that no head covers is named after the deadline, again and again, until one does", async () => {
  const log = new LogDouble();
  log.autoPublish = false;
  const started = startClient(log, { proofDeadlineMs: 100 });
  const { client } = started;
  const { id } = await client.record(login(), { until: "durable" });
  await until(() => remindersOf(started).length >= 3, "three reminders");
  expect(remindersOf(started)[0]).toMatchObject({
    details: { index: 0, unproved: 2, waitingFor: "the published head does not cover the oldest event yet" },
  });
  expect(client.status()).toMatchObject({
    state: "ok",
    unproved: 2,
    overdue: { index: 0 },
    lastError: { code: "unproved-too-long" },
  });
  // A head that covers the first alone: the next one has waited as long.
  log.publish(1);
  await until(() => client.status().unproved === 1, "one proved");
  expect(client.status()).toMatchObject({ overdue: { id, index: 1 } });
  log.publish();
  await client.flush();
  expect(client.status().overdue).toBeUndefined();
});

test("so is one whose head is not to be had at all, and one of before a restart", async () => {
  const log = new LogDouble();
  const outbox = await createFolder();
  log.hooks.intercept = ({ path }) => (path === "checkpoint" ? new Response(null, { status: 404 }) : undefined);
  const first = startClient(log, { outbox, proofDeadlineMs: 1 });
  const { index } = await first.client.record(login(), { until: "durable" });
  expect(index).toBe(1);
  await until(() => remindersOf(first).length > 0, "a reminder");
  await first.client.close();
  const second = startClient(log, { outbox, proofDeadlineMs: 1 });
  await until(() => remindersOf(second).length > 0, "a reminder after the restart");
  log.hooks = {};
  await second.client.flush();
});

test.each([0, 60_000])("nobody is told with a deadline of %i that is not over", async (proofDeadlineMs) => {
  const log = new LogDouble();
  log.autoPublish = false;
  const started = startClient(log, { proofDeadlineMs });
  await started.client.record(login(), { until: "durable" });
  await until(() => started.client.status().waitingFor !== undefined, "waiting");
  expect(started.client.status().overdue).toBeUndefined();
  log.publish();
  await started.client.flush();
  expect(remindersOf(started)).toEqual([]);
});
