/** The application of docs/start: type-checked as strictly as can be, and run against a real log and real witnesses. */
import { spawnSync } from "node:child_process";
import { readFile, symlink, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Dev, removeFolder, runCommand, startDev, temporaryFolder } from "../support/processes.ts";

const ROOT = resolve(import.meta.dirname, "../..");

let folder: string;
let dev: Dev;
let code: string;

beforeAll(async () => {
  folder = await temporaryFolder();
  dev = await startDev(folder);
  const page = await readFile(join(ROOT, "docs/start.md"), "utf8");
  code = /```ts\n([\s\S]*?)```/.exec(page)?.[1] ?? "";
  await symlink(join(ROOT, "node_modules"), join(folder, "node_modules"));
  await writeFile(join(folder, "package.json"), `{"type":"module"}`);
  await writeFile(join(folder, "example.ts"), code);
}, 60_000);

afterAll(async () => {
  await (dev as Dev | undefined)?.stop();
  await removeFolder(folder);
});

test("is shorter than 25 lines", () => {
  expect(code.trim().split("\n").length).toBeGreaterThan(10);
  expect(code.trim().split("\n").length).toBeLessThan(25);
});

test("has no type error, strictly", { timeout: 60_000 }, async () => {
  const compilerOptions = {
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    target: "ES2024",
    lib: ["ES2024"],
    module: "NodeNext",
    types: ["node"],
    customConditions: ["ws-source"],
    allowImportingTsExtensions: true,
    skipLibCheck: true,
    noEmit: true,
  };
  await writeFile(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, files: ["example.ts"] }));
  const { stdout, status } = spawnSync(join(ROOT, "node_modules/.bin/tsc"), ["-p", folder], { encoding: "utf8" });
  expect({ status, stdout }).toEqual({ status: 0, stdout: "" });
});

test("holds three verified receipts; run again it goes on with its stream", { timeout: 60_000 }, async () => {
  for (const run of [1, 2]) {
    const { stdout, stderr, status } = spawnSync(process.execPath, ["--conditions=ws-source", "example.ts"], {
      cwd: folder,
      encoding: "utf8",
    });
    expect({ run, status, stderr }).toEqual({ run, status: 0, stderr: "" });
    expect(stdout.match(/is entry \d+, proved in \d+ bytes/g)).toHaveLength(3);
  }
  const { out } = await runCommand(folder, ["audit"]);
  expect(out).toMatch(/^VERIFIED {2}/);
});
