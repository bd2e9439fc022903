/** Erasure, retention and holds of which a write goes wrong: each of them, in each way. */
import { expect, test } from "vitest";
import { failDispositionFileWrites, failDispositionStorageWrites } from "./every-disposition-write.ts";
import { FAULTS } from "./faulty-writes.ts";

test.each(FAULTS)(
  "every write to the storage that goes wrong once (%s): no key outlives its `done`, and all that was begun is completed",
  async (fault) => {
    expect(await failDispositionStorageWrites({ fault, from: 0, step: 1 })).toBeGreaterThan(20);
  },
);

test.each(FAULTS)(
  "every write to a file after which the process ends (%s): no key outlives its `done`, and all that was begun is completed",
  async (fault) => {
    expect(await failDispositionFileWrites({ fault, from: 0, step: 1 })).toBeGreaterThan(60);
  },
);
