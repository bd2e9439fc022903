/** Erasure, retention and holds of which a write goes wrong: a sample. */
import { expect, test } from "vitest";
import { failDispositionFileWrites, failDispositionStorageWrites } from "./every-disposition-write.ts";
import type { Fault } from "./faulty-writes.ts";

const [STORAGE_STEP, FILE_STEP] = [6, 90];

function anyBelow(step: number): number {
  return Math.floor(Math.random() * step);
}

test.each<Fault>(["before", "after", "torn"])(
  "a write to the storage that goes wrong once (%s): no key outlives its `done`, and all that was begun is completed",
  async (fault) => {
    const points = { fault, from: anyBelow(STORAGE_STEP), step: STORAGE_STEP };
    expect(await failDispositionStorageWrites(points)).toBeGreaterThan(2);
  },
  120_000,
);

test("a write to a file, half of which lands, and the process ends: what was begun is completed", async () => {
  const points = { fault: "torn" as const, from: anyBelow(FILE_STEP), step: FILE_STEP };
  expect(await failDispositionFileWrites(points)).toBeGreaterThan(0);
}, 120_000);
