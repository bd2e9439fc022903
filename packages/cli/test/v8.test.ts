/** What is said to V8, each time in a process of its own: it holds for all that comes after. */
import { execFileSync, spawnSync } from "node:child_process";
import { getPriority } from "node:os";
import { expect, test } from "vitest";

const TUNED = `import { tuneV8 } from ${JSON.stringify(new URL("../src/v8.ts", import.meta.url).href)}; tuneV8();`;

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

/** Prints the name and the niceness of each thread. proc(5): the name stands in parentheses, the niceness 17 fields behind. */
const THREADS = `
  import { readFileSync, readdirSync } from "node:fs";
  for (const thread of readdirSync("/proc/self/task")) {
    const [, name, rest] = /^\\d+ \\((.*)\\) (.*)$/s.exec(readFileSync("/proc/self/task/" + thread + "/stat", "utf8"));
    console.log(name, rest.split(" ")[16]);
  }
`;

test.runIf(process.platform === "linux")("V8's helping threads give way, and no other", () => {
  const lines = execFileSync(process.execPath, argumentsOf(TUNED + THREADS), { encoding: "utf8" })
    .trim()
    .split("\n");
  const own = getPriority();
  const helpers = lines.filter((line) => line.startsWith("V8Worker"));
  expect(helpers.length).toBeGreaterThan(0);
  expect(new Set(helpers)).toEqual(new Set([`V8Worker ${Math.min(19, own + 4)}`]));
  const others = lines.filter((line) => !line.startsWith("V8Worker"));
  expect(new Set(others.map((line) => line.split(" ").at(-1)))).toEqual(new Set([String(own)]));
});
