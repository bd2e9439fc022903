/**
 * A stopped log, damaged on its disk: flipped bits, files removed, cut short, put back to the day before. A sample:
 * every-bit.slow.test.ts tries many more, and makes the table of the page that this holds to.
 */
import { afterAll, beforeAll, expect, test } from "vitest";
import { expectNoticed, sampleBits, tryWhole } from "./damage-rules.ts";
import { isInPage } from "./damage-table.ts";
import { DamagedLog, type LogFile, type Outcome } from "./damaged-log.ts";

const EVENTS = 800;
const BITS = 2;

let log: DamagedLog;
let files: readonly LogFile[];

beforeAll(async () => {
  log = await DamagedLog.create(EVENTS);
  files = (await log.files()).filter(({ isRead }) => isRead);
}, 60_000);
afterAll(async () => log.close());

test("C-256 a file that is removed, cut short or of the day before is noticed, as the page says, or was never read", async () => {
  expect(files.length).toBeGreaterThan(15);
  for (const file of files) {
    for (const outcome of await tryWhole(log, file)) await expectAsPageSays(outcome);
  }
}, 120_000);

test("C-256 a flipped bit in any file is noticed, or is in what nobody reads", async () => {
  for (const file of files) {
    for (const bit of sampleBits(file.bytes, BITS)) expectNoticed(await log.try(file, { kind: "bit", bit }));
  }
}, 120_000);

async function expectAsPageSays(outcome: Outcome): Promise<void> {
  expectNoticed(outcome);
  const { file, damage, by, code } = outcome;
  expect.soft(await isInPage(outcome), `${file.path}, ${JSON.stringify(damage)}: ${by} ${code}`).toBe(true);
}
