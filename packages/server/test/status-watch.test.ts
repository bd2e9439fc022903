import { setTimeout as sleep } from "node:timers/promises";
import type { LogStatus } from "@tallystick/log";
import { expect, test, vi } from "vitest";
import type { HostedLog } from "../src/hosted-log.ts";
import { watchStatus } from "../src/status-watch.ts";
import { TestServer, login } from "./test-server.ts";

test("a log whose quorum fails is told once, with whom it misses, and again when it is back", async () => {
  const server = await TestServer.start();
  await server.fill(1);
  const told: [level: string, message: string, reasons: LogStatus["reasons"]][] = [];
  const tellerOf = (level: string) => (message: string, details?: Readonly<Record<string, unknown>>) => {
    told.push([level, message, details?.["reasons"] as LogStatus["reasons"]]);
  };
  const hosted: HostedLog = { name: "app", publicEntries: false, log: server.log, failure: undefined };
  const end = watchStatus([hosted], { info: tellerOf("info"), warn: tellerOf("warn") }, 5);
  await sleep(50);
  expect(told).toEqual([]);
  server.network.up = false;
  await server.post(login());
  await vi.waitUntil(() => told.length === 1, { timeout: 20_000 });
  expect(told[0]?.slice(0, 2)).toEqual(["warn", "the log is degraded"]);
  expect(told[0]?.[2]).toMatchObject([{ code: "quorum-not-met", message: expect.stringContaining("w1") }]);
  await sleep(50);
  expect(told).toHaveLength(1);
  server.network.up = true;
  await vi.waitUntil(() => told.length === 2, { timeout: 20_000 });
  expect(told[1]).toEqual(["info", "the log is ok", []]);
  end();
});
