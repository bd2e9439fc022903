/** Keeps the top level a table of contents: whatever configures a tool lives in a dot folder. */
import { readdirSync } from "node:fs";
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
  "node_modules", // made by the installation, never committed
];

test("the top level holds the allowed names and dotfiles only", () => {
  const stray = readdirSync(root).filter((name) => !name.startsWith(".") && !allowed.includes(name));
  expect(stray).toEqual([]);
});
