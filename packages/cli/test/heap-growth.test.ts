/** The bound of the heap's growth, in a process of its own: what is said to V8 holds for all that comes after. */
import { execFileSync } from "node:child_process";
import { expect, test } from "vitest";

const HEAP_GROWTH = new URL("../src/heap-growth.ts", import.meta.url).href;

/** Makes garbage that lives for a while, as requests under way do; gives the most bytes that the old part took. */
const LOAD = `
  import { getHeapSpaceStatistics } from "node:v8";
  const kept = [];
  let most = 0;
  for (let at = 0; at < 3_000_000; at += 1) {
    kept[at % 200_000] = [at, (at + " of many").padEnd(40)];
    if (at % 1000 === 0) {
      const old = getHeapSpaceStatistics().find((space) => space.space_name === "old_space");
      most = Math.max(most, old.space_size);
    }
  }
  console.log(most);
`;

function mostBytes(before: string): number {
  const args = ["--no-warnings", "--input-type=module", "-e", before + LOAD];
  return Number(execFileSync(process.execPath, args, { encoding: "utf8" }));
}

test("under the same load the old part of the heap takes less", () => {
  const bounded = mostBytes(`import { boundHeapGrowth } from ${JSON.stringify(HEAP_GROWTH)}; boundHeapGrowth();`);
  expect(bounded).toBeGreaterThan(0);
  expect(bounded).toBeLessThan(mostBytes("") * 0.75);
});
