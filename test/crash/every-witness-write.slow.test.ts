import { expect, test } from "vitest";
import { failWitnessWrites } from "./every-witness-write.ts";
import { FAULTS } from "./faulty-writes.ts";

const CASES = FAULTS.flatMap((fault) => [{ fault, dies: false }, ...(fault === "late" ? [] : [{ fault, dies: true }])]);

test.each(CASES)(
  "C-143 every write of a witness that goes wrong once ($fault; the process ends there: $dies): what it cosigned it remembers",
  async ({ fault, dies }) => {
    expect(await failWitnessWrites({ fault, dies })).toBeGreaterThan(5);
  },
  60_000,
);
