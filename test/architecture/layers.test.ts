/** Holds the packages to their layers: who may import whom, and what each may need from outside. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { importsOf, packageNames, root, sourceFiles } from "./packages.ts";

/** What a package may import. A trailing `*` stands for any rest. */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  core: ["@noble/*", "#*"],
  events: ["@tallystick/core", "zod", "@noble/*"],
  storage: ["@tallystick/core", "level", "@noble/*", "node:*"],
  log: ["@tallystick/core", "@tallystick/events", "@tallystick/storage", "yaml", "node:*"],
  server: [
    "@tallystick/core",
    "@tallystick/events",
    "@tallystick/log",
    "@tallystick/storage",
    "cbor-x",
    "hono",
    "hono/*",
    "@hono/node-server",
    "@hono/node-server/*",
    "jose",
    "zod",
    "prom-client",
    "node:*",
  ],
  witness: [
    "@tallystick/core",
    "@tallystick/storage",
    "hono",
    "hono/*",
    "@hono/node-server",
    "@hono/node-server/*",
    "node:*",
  ],
  client: ["@tallystick/core", "@tallystick/events", "node:*", "#*"],
  sessions: ["@tallystick/client", "@tallystick/core", "@tallystick/events", "hono", "hono/*", "node:*"],
  testing: [
    "@tallystick/client",
    "@tallystick/core",
    "@tallystick/events",
    "@tallystick/log",
    "@tallystick/server",
    "@tallystick/storage",
    "node:*",
  ],
  cli: ["@tallystick/*", "node:*"],
};

/** Single files that may import more than their package. */
const fileMayImport: Readonly<Record<string, readonly string[]>> = {
  "packages/core/src/crypto-node.ts": ["node:buffer", "node:crypto"],
  // Of those who use it: an optional peer.
  "packages/sessions/src/better-auth.ts": ["better-auth", "better-auth/*"],
  "packages/sessions/src/better-auth-lockout.ts": ["better-auth"],
  "packages/sessions/src/better-auth-store.ts": ["better-auth"],
  // A native module, for those whose master key lies in a token.
  "packages/storage/src/pkcs11-library.ts": ["koffi"],
};

function matches(name: string, patterns: readonly string[]): boolean {
  return patterns.some(
    (pattern) =>
      (pattern.endsWith("*") ? name.startsWith(pattern.slice(0, -1)) : name === pattern) ||
      // A subpath of one of our packages is the package.
      (pattern.startsWith("@tallystick/") && name.startsWith(`${pattern}/`)),
  );
}

function strayImports(packageName: string): string[] {
  return sourceFiles(packageName).flatMap(({ path, code }) => {
    const allowed = [...(mayImport[packageName] ?? []), ...(fileMayImport[path] ?? [])];
    return importsOf(code)
      .filter((name) => !name.startsWith(".") && !matches(name, allowed))
      .map((name) => `${path} imports ${name}`);
  });
}

function escapingImports(packageName: string): string[] {
  const base = `packages/${packageName}/src/`;
  return sourceFiles(packageName).flatMap(({ path, code }) =>
    importsOf(code)
      .filter((name) => name.startsWith("."))
      .filter((name) => !new URL(name, `file:///${path}`).pathname.startsWith(`/${base}`))
      .map((name) => `${path} imports ${name}`),
  );
}

describe("layers", () => {
  test("every package has a layer", () => {
    expect(Object.keys(mayImport)).toEqual(expect.arrayContaining([...packageNames]));
  });

  test.each(packageNames)("%s imports only what its layer allows", (packageName) => {
    expect(strayImports(packageName)).toEqual([]);
  });

  test.each(packageNames)("%s does not reach into another package by a relative path", (packageName) => {
    expect(escapingImports(packageName)).toEqual([]);
  });

  test.each(packageNames)("%s depends on nothing that its layer may not import", (packageName) => {
    const text = readFileSync(join(root, "packages", packageName, "package.json"), "utf8");
    const { dependencies = {} } = JSON.parse(text) as { dependencies?: Record<string, string> };
    // "@noble/*" allows "@noble/hashes", whose modules are imported as "@noble/hashes/sha2.js".
    const stray = Object.keys(dependencies).filter((name) => !matches(name, mayImport[packageName] ?? []));
    expect(stray).toEqual([]);
  });
});

describe("importsOf", () => {
  test.each([
    ['import { a } from "x";', ["x"]],
    ['import type { a,\n  b } from "x";', ["x"]],
    ['import "x";', ["x"]],
    ['export * from "x";', ["x"]],
    ['export { a } from "./x.ts";', ["./x.ts"]],
    ['const a = await import("x");', ["x"]],
    ['import a from "x";\nimport b from "y";', ["x", "y"]],
    ['export const from = "x";', []],
  ])("sees the imports of %j", (code, names) => {
    expect(importsOf(code)).toEqual(names);
  });
});
