/** The benchmarks are those that docs/concepts/performance tells of. */
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";

const ROOT = resolve(import.meta.dirname, "../..");

test("every scenario stands in docs/concepts/performance, and no other", async () => {
  const args = ["--conditions=ws-source", join(ROOT, "bench/main.ts"), "--list"];
  const { stdout } = await promisify(execFile)(process.execPath, args);
  const listed = stdout
    .trim()
    .split("\n")
    .map((line) => line.split(" ", 1)[0] ?? "");
  const page = await readFile(join(ROOT, "docs/concepts/performance.md"), "utf8");
  const told = [...page.matchAll(/^\| `([a-z]+)` \|/gm)].map(([, name]) => name);
  expect(listed).toEqual(expect.arrayContaining(told));
  // Beside the scenarios there may be files for single functions.
  expect(listed.slice(0, told.length)).toEqual(told);
  expect(
    stdout
      .trim()
      .split("\n")
      .slice(told.length)
      .every((line) => line.endsWith(".bench.ts")),
  ).toBe(true);
});

test("an unknown scenario is refused, with the names of those that there are", async () => {
  const args = ["--conditions=ws-source", join(ROOT, "bench/main.ts"), "singel"];
  await expect(promisify(execFile)(process.execPath, args)).rejects.toThrow(/expected single, steady, .*got singel/);
});
