/** A tree over leaves of 180 bytes, on one core: leaf hashes, node hashes, and the root. RFC 6962 §2.1 */
import { randomBytes } from "node:crypto";
import { CompactRange, hashLeaves } from "@tallystick/core";
import { perCpuSecond } from "../repeat.ts";
import type { Scenario } from "../scenario.ts";

export const LEAF_BYTES = 180;
export const LEAVES = 65_536;
/** At once: fewer than a commit may take. */
const LEAVES_PER_CALL = 1024;

export const treeBuilding: Scenario = {
  name: "tree",
  about: "leaves of 180 bytes hashed and put into a tree, one core",
  async *run({ seconds }) {
    yield {
      name: `tree over ${LEAVES} leaves of ${LEAF_BYTES} bytes`,
      value: await leavesPerCpuSecond(seconds),
      unit: "leaves/CPU s",
    };
  },
};

export async function leavesPerCpuSecond(seconds: number): Promise<number> {
  const bytes = new Uint8Array(randomBytes(LEAF_BYTES * LEAVES));
  const leaves = Array.from({ length: LEAVES }, (_, at) => bytes.subarray(LEAF_BYTES * at, LEAF_BYTES * (at + 1)));
  const calls = Array.from({ length: LEAVES / LEAVES_PER_CALL }, (_, at) =>
    leaves.slice(LEAVES_PER_CALL * at, LEAVES_PER_CALL * (at + 1)),
  );
  return perCpuSecond(seconds, () => {
    const tree = CompactRange.empty();
    for (const entries of calls) tree.appendAll(hashLeaves(entries));
    tree.rootHash();
    return LEAVES;
  });
}
