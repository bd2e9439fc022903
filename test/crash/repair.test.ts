/** `fsck --repair` on the folder of a server whose database lost what follows from the entries. */
import { mkdir, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { logLayoutOf } from "@tallystick/server";
import { openLevelStorage } from "@tallystick/storage";
import { afterAll, beforeAll, expect, test } from "vitest";
import { runCommand } from "../support/processes.ts";
import { type SmallLog, createSmallLog } from "../support/small-log.ts";

const RULES = "version: 1\nother: { keep: 40d }\n";

let log: SmallLog;

beforeAll(async () => {
  log = await createSmallLog(1);
  await log.stop();
  // The log approves the first rules that it finds.
  const { rules } = logLayoutOf(log.logDir, "app");
  await mkdir(dirname(rules), { recursive: true });
  await writeFile(rules, RULES);
  await log.start();
  await log.report(300);
  await log.stop();
}, 60_000);
afterAll(async () => log.remove(), 60_000);

test("fsck names what is missing, --repair rebuilds it, and the log goes on", async () => {
  const storage = await openLevelStorage({ path: logLayoutOf(log.logDir, "app").data });
  const tiles = await collect(storage.listBlobs("tile/0/"));
  await storage.deleteBlobs(tiles);
  const chains = await collect(storage.scanRows("chain", { limit: 3 }));
  await storage.deleteRows(
    "chain",
    chains.map(({ key }) => key),
  );
  const rules = await collect(storage.scanRows("rules"));
  expect(rules).toHaveLength(1);
  await storage.deleteRows(
    "rules",
    rules.map(({ key }) => key),
  );
  const days = await collect(storage.scanRows("class-day"));
  await storage.deleteRows(
    "class-day",
    days.map(({ key }) => key),
  );
  await storage.close();
  const command = ["fsck", "--dir", log.logDir];
  const damaged = await runCommand(log.folder, command);
  expect([damaged.code, damaged.out]).toEqual([1, expect.stringContaining("fsck --repair rebuilds it")]);
  const repaired = await runCommand(log.folder, [...command, "--repair"]);
  expect([repaired.code, repaired.out]).toEqual([
    0,
    expect.stringMatching(/^rebuilt: 1 tile, 3 chain, 1 rules, \d class-day\nWHOLE/),
  ]);
  expect((await runCommand(log.folder, command)).code).toBe(0);
  await log.start();
  expect(log.served.logs[0]?.log?.disposition.rules().text).toBe(RULES);
  expect((await log.report(1))[0]).toMatchObject({ state: "witnessed" });
}, 60_000);

async function collect<T>(values: AsyncIterable<T>): Promise<readonly T[]> {
  const all: T[] = [];
  for await (const value of values) all.push(value);
  return all;
}
