/**
 * Every bit of every small file of a stopped log, and a sample of the bits of the larger ones. Prints who noticed what:
 * the table of docs/concepts/durability.md.
 *
 * TALLYSTICK_FLIPS: how many bits of a larger file, 2000 by default; TALLYSTICK_SMALL_FLIPS: of a smaller one, all by default.
 */
import { afterAll, beforeAll, expect, test } from "vitest";
import { expectNoticed, sampleBits, tryWhole } from "./damage-rules.ts";
import { DamagedLog, type Outcome } from "./damaged-log.ts";

const EVENTS = 3000;
const SMALL_BYTES = 4096;
const UNREAD_FLIPS = 50;
const FLIPS = Number(process.env["TALLYSTICK_FLIPS"] ?? 2000);
const SMALL_FLIPS = Number(process.env["TALLYSTICK_SMALL_FLIPS"] ?? 8 * SMALL_BYTES);
const HOUR_MS = 3_600_000;

let log: DamagedLog;
const outcomes: Outcome[] = [];

beforeAll(async () => {
  log = await DamagedLog.create(EVENTS);
});
afterAll(async () => {
  await log.close();
  process.stdout.write(`${tally(outcomes).join("\n")}\n`);
});

test(
  "C-256 each flipped bit of each file is noticed, or is in what nobody reads",
  async () => {
    for (const file of await log.files()) {
      const count = !file.isRead ? UNREAD_FLIPS : file.bytes < SMALL_BYTES ? SMALL_FLIPS : FLIPS;
      const tried: Outcome[] = [...(await tryWhole(log, file))];
      for (const bit of sampleBits(file.bytes, count)) tried.push(await log.try(file, { kind: "bit", bit }));
      for (const outcome of tried) expectNoticed(outcome);
      outcomes.push(...tried);
    }
    expect(outcomes.length).toBeGreaterThan(FLIPS);
  },
  6 * HOUR_MS,
);

/** `path  kind  by code  how often`, the most frequent first within a file and kind. */
function tally(all: readonly Outcome[]): readonly string[] {
  const counts = new Map<string, number>();
  for (const { file, damage, by, code } of all) {
    const line = [file.path, damage.kind, by, code].join("\t");
    counts.set(line, (counts.get(line) ?? 0) + 1);
  }
  return [...counts].map(([line, count]) => `${line}\t${count}`);
}
