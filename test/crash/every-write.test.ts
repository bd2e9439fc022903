/** Writes of a scripted run that go wrong: all of those to the storage, a sample of those to files. */
import { expect, test } from "vitest";
import { failFileWrites, failStorageWrites } from "./every-write.ts";
import type { Fault } from "./faulty-writes.ts";

const STEP = 8;

test.each<Fault>(["before", "after", "torn"])(
  "C-255 C-258 writes to files that go wrong once (%s): nothing is lost, nothing is there twice",
  async (fault) => {
    const from = Math.floor(Math.random() * STEP);
    expect(await failFileWrites({ fault, from, step: STEP })).toBeGreaterThan(3);
  },
  120_000,
);

test.each<Fault>(["before", "after", "torn"])(
  "C-255 C-258 every write to the storage that goes wrong once (%s): nothing is lost, nothing is there twice",
  async (fault) => {
    expect(await failStorageWrites(fault)).toBeGreaterThan(5);
  },
  60_000,
);
