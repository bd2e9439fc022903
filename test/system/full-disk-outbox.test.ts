/** An application whose outbox is on a disk that runs full: what was refused it is told, what was promised is delivered. */
import { fileURLToPath } from "node:url";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CAN_MOUNT, SmallDisk, nodeLine } from "../support/small-disk.ts";
import { type SmallLog, createSmallLog } from "../support/small-log.ts";

const PROGRAM = fileURLToPath(new URL("full-disk-outbox-process.ts", import.meta.url));

describe.skipIf(!CAN_MOUNT)("an outbox whose disk is full (mounts of one's own are needed)", () => {
  let log: SmallLog;
  let disk: SmallDisk;

  beforeAll(async () => {
    log = await createSmallLog(1);
    disk = await SmallDisk.create(join(log.folder, "disk"), { mebibytes: 1 });
  }, 60_000);

  afterAll(async () => {
    await disk?.end();
    await log.remove();
  }, 60_000);

  test("C-258 record() says audit-unavailable while there is no room, goes on by itself, and all that it promised is proved", async () => {
    const args = [log.url(), log.made.tokens.writer, log.made.policyPath, join(disk.path, "outbox")];
    await disk.run(`${nodeLine(PROGRAM, ...args)} &`, /^recorded/m);
    await disk.fill();
    await disk.run("true", /^refused audit-unavailable .*(ENOSPC|no space)/m);
    await disk.makeRoom();
    await disk.run("true", /^recorded/m);
    const [, proved, promised] = await disk.run("kill -TERM $!", /^proved (\d+) of (\d+)$/m);
    expect(Number(promised)).toBeGreaterThan(1);
    expect(proved).toBe(promised);
  }, 120_000);
});
