/** What is said to V8, each time in a process of its own: it holds for all that comes after. */
import { execFileSync, spawnSync } from "node:child_process";
import { expect, test } from "vitest";

const TUNED = `import { tuneHeap } from ${JSON.stringify(new URL("../src/heap.ts", import.meta.url).href)}; tuneHeap();`;

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

function argumentsOf(code: string): string[] {
  return ["--no-warnings", "--input-type=module", "-e", code];
}

function mostBytes(before: string): number {
  return Number(execFileSync(process.execPath, argumentsOf(before + LOAD), { encoding: "utf8" }));
}

test("under the same load the old part of the heap takes less", () => {
  const bounded = mostBytes(TUNED);
  expect(bounded).toBeGreaterThan(0);
  expect(bounded).toBeLessThan(mostBytes("") * 0.75);
});

test("V8 knows every flag that it is told", () => {
  // It complains of others, and goes on.
  const { status, stderr } = spawnSync(process.execPath, argumentsOf(TUNED), { encoding: "utf8" });
  expect([status, stderr]).toEqual([0, ""]);
});
