/** Each write of a witness goes wrong once: what it cosigned it remembers, in the same process and in the next one. */
import { expect } from "vitest";
import { TestLog } from "../../packages/witness/test/test-log.ts";
import { TestWitness, witnessFolder } from "../../packages/witness/test/test-witness.ts";
import { type Fault, FaultPlan, faultyFileSystem } from "./faulty-writes.ts";

export interface WitnessPoints {
  readonly fault: Fault;
  /** Whether the process ends with the write that goes wrong. */
  readonly dies: boolean;
}

const SIZES = [1, 3, 4, 8];
const SIZE_MAX = 16;

/** Makes every write of a witness go wrong, one a run; gives how many runs there were. */
export async function failWitnessWrites({ fault, dies }: WitnessPoints): Promise<number> {
  for (let runs = 0; ; runs += 1) {
    const log = new TestLog({ size: SIZE_MAX });
    const dir = await witnessFolder([log]);
    const plan = new FaultPlan(fault, runs, { dies });
    const cosigned = await cosignAll(dir, log, plan);
    if (fault === "late") expect(cosigned).toBe(SIZES.at(-1));
    await expectRemembered(dir, log, cosigned);
    if (!plan.isOver) return runs;
  }
}

/** Asks for one cosignature after the other; gives the largest size that was cosigned. */
async function cosignAll(dir: string, log: TestLog, plan: FaultPlan): Promise<number> {
  let cosigned = 0;
  try {
    const witness = await TestWitness.open(dir, { fileSystem: faultyFileSystem(plan) });
    for (const size of SIZES) {
      const old = Number(witness.sizeOf(log) ?? 0);
      const { status } = await witness.add(log.request(old, size));
      if (status !== 200) continue;
      expect(size).toBeGreaterThan(cosigned);
      cosigned = size;
    }
    await witness.witness.close();
  } catch (error) {
    // It did not start, or did not stop in order.
    expect(String(error)).toContain("EIO");
  }
  return cosigned;
}

async function expectRemembered(dir: string, log: TestLog, cosigned: number): Promise<void> {
  const witness = await TestWitness.open(dir);
  const size = Number(witness.sizeOf(log) ?? 0);
  expect(size).toBeGreaterThanOrEqual(cosigned);
  const fork = new TestLog({ size: SIZE_MAX, salt: "fork" });
  if (size > 0) expect((await witness.add(fork.request(size, SIZE_MAX))).status).toBe(422);
  expect((await witness.add(log.request(size, SIZE_MAX))).status).toBe(200);
  await witness.witness.close();
}
