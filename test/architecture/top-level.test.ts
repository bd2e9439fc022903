/** Keeps the top level a table of contents: whatever configures a tool lives in a dot folder. */
import { execFileSync } from "node:child_process";
import { expect, test } from "vitest";
import { root } from "./packages.ts";

const allowed: readonly string[] = [
  "package.json",
  "pnpm-workspace.yaml",
  "pnpm-lock.yaml",
  "packages",
  "docs",
  "test",
  "bench",
  "README.md",
  "LICENSE",
];

test("the top level holds the allowed names and dotfiles only", () => {
  // What is committed, or would be by `git add .`: whoever tries the commands of README leaves receipts behind.
  const args = ["ls-files", "--cached", "--others", "--exclude-standard"];
  const paths = execFileSync("git", args, { cwd: root, encoding: "utf8" }).trim().split("\n");
  const names = new Set(paths.map((path) => path.split("/")[0] ?? ""));
  const stray = [...names].filter((name) => !name.startsWith(".") && !allowed.includes(name));
  expect(stray).toEqual([]);
});
