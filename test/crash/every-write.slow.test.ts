/** Every write of a scripted run to a file goes wrong once, in each way. */
import { expect, test } from "vitest";
import { failClientWrites } from "./every-client-write.ts";
import { failFileWrites } from "./every-write.ts";
import { FAULTS } from "./faulty-writes.ts";

test.each(FAULTS)(
  "C-255 C-258 every write to a file that goes wrong once (%s): nothing is lost, nothing is there twice",
  async (fault) => {
    expect(await failFileWrites({ fault, from: 0, step: 1 })).toBeGreaterThan(30);
  },
);

test.each(FAULTS.flatMap((fault) => [false, true].map((dies) => ({ fault, dies }))))(
  "C-258 every write of an outbox that goes wrong once ($fault; the process ends there: $dies): what was promised is in the log, once",
  async ({ fault, dies }) => {
    expect(await failClientWrites({ fault, dies, from: 0, step: 1 })).toBeGreaterThan(30);
  },
);
