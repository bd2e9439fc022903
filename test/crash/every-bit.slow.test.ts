/**
 * Every bit of every small file of a stopped log, and a sample of the bits of the larger ones. Prints who noticed what;
 * where TALLYSTICK_TABLE=write, writes it into docs/concepts/durability.md.
 *
 * TALLYSTICK_FLIPS: how many bits of a larger file, 2000 by default; TALLYSTICK_SMALL_FLIPS: of a smaller one, all by default.
 * TALLYSTICK_FILES: an expression that the paths of the files match which are tried, in pieces of the whole; all by default.
 */
import { writeFile } from "node:fs/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { expectNoticed, sampleBits, tryWhole } from "./damage-rules.ts";
import { PAGE, formatTable, pageWith } from "./damage-table.ts";
import { DamagedLog, type LogFile, type Outcome } from "./damaged-log.ts";

const EVENTS = 3000;
const SMALL_BYTES = 4096;
const FLIPS = Number(process.env["TALLYSTICK_FLIPS"] ?? 2000);
/** Nobody reads these files. */
const UNREAD_FLIPS = Math.ceil(FLIPS / 400);
const SMALL_FLIPS = Number(process.env["TALLYSTICK_SMALL_FLIPS"] ?? 8 * SMALL_BYTES);
const FILES = process.env["TALLYSTICK_FILES"];
const HOUR_MS = 3_600_000;

let log: DamagedLog;
const outcomes: Outcome[] = [];

beforeAll(async () => {
  log = await DamagedLog.create(EVENTS);
});
afterAll(async () => {
  await log.close();
  process.stdout.write(`${formatTable(outcomes)}\n`);
});

test(
  "C-256 each flipped bit of each file is noticed, or is in what nobody reads",
  async () => {
    for (const file of await log.files()) {
      if (FILES !== undefined && !new RegExp(FILES).test(file.path)) continue;
      const startedMs = Date.now();
      const tried: Outcome[] = [...(await tryWhole(log, file))];
      for (const bit of sampleBits(file.bytes, flipsOf(file))) tried.push(await log.try(file, { kind: "bit", bit }));
      for (const outcome of tried) expectNoticed(outcome);
      outcomes.push(...tried);
      process.stdout.write(`${file.path}: ${tried.length} in ${Math.round((Date.now() - startedMs) / 1000)} s\n`);
    }
    expect(outcomes.length).toBeGreaterThan(FILES === undefined ? FLIPS : 0);
    // The table is of all files.
    if (process.env["TALLYSTICK_TABLE"] === "write" && FILES === undefined)
      await writeFile(PAGE, await pageWith(formatTable(outcomes)));
  },
  6 * HOUR_MS,
);

function flipsOf({ isRead, bytes }: LogFile): number {
  if (!isRead) return UNREAD_FLIPS;
  return bytes < SMALL_BYTES ? SMALL_FLIPS : FLIPS;
}
