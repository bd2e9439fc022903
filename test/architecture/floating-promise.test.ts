/**
 * A canary for the linter: a promise from another package that nobody awaits has to be seen.
 *
 * Without the source condition the type of an unbuilt package is unknown to the linter, and it says nothing.
 */
import { execFile } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { root } from "./packages.ts";

let workspace: string;

beforeAll(() => {
  workspace = mkdtempSync(join(tmpdir(), "tallystick-lint-"));
  cpSync(join(root, ".oxlintrc.json"), join(workspace, ".oxlintrc.json"));
  cpSync(join(root, ".config/tsconfig.base.json"), join(workspace, ".config/tsconfig.base.json"));
  mkdirSync(join(workspace, "node_modules/@tallystick"), { recursive: true });
  symlinkSync(join(root, "node_modules/@types"), join(workspace, "node_modules/@types"), "dir");
  addPackage("below", "export async function append(): Promise<void> {}\n");
  addPackage("above", "");
});

afterAll(() => {
  rmSync(workspace, { recursive: true, force: true });
});

/** The shape of a real package: the same exports, a tsconfig that extends the same base, no dist. */
function addPackage(name: string, code: string): void {
  const folder = join(workspace, "packages", name);
  mkdirSync(join(folder, "src"), { recursive: true });
  const exports = {
    ".": { "ws-source": "./src/index.ts", types: "./dist/index.d.ts", default: "./dist/index.js" },
  };
  writeFileSync(join(folder, "package.json"), JSON.stringify({ name: `@tallystick/${name}`, type: "module", exports }));
  writeFileSync(
    join(folder, "tsconfig.json"),
    JSON.stringify({ extends: "../../.config/tsconfig.base.json", include: ["src"] }),
  );
  writeFileSync(join(folder, "src/index.ts"), code);
  symlinkSync(folder, join(workspace, "node_modules/@tallystick", name), "dir");
}

function lint(code: string): Promise<string> {
  writeFileSync(join(workspace, "packages/above/src/index.ts"), code);
  return new Promise((resolve) => {
    execFile(join(root, "node_modules/.bin/oxlint"), ["--format=unix"], { cwd: workspace }, (_error, stdout, stderr) =>
      resolve(stdout + stderr),
    );
  });
}

test("the linter sees a floating promise of another package", async () => {
  const report = await lint('import { append } from "@tallystick/below";\n\nappend();\n');
  expect(report).toContain("no-floating-promises");
});

test("the linter is content when the promise is awaited", async () => {
  const report = await lint('import { append } from "@tallystick/below";\n\nawait append();\n');
  expect(report).not.toContain("no-floating-promises");
});
