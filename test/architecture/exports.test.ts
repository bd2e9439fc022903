/** Keeps what the workspace sees of a package in step with what gets published. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { packageNames, root } from "./packages.ts";

type Target = Readonly<Record<string, string>>;

interface Manifest {
  readonly exports: Readonly<Record<string, Target>>;
  readonly publishConfig: { readonly exports: Readonly<Record<string, Target>> };
}

function readManifest(packageName: string): Manifest {
  return JSON.parse(readFileSync(join(root, "packages", packageName, "package.json"), "utf8")) as Manifest;
}

/** What a subpath with this source has to look like, and what is left of it when published. */
function targetsOf(source: string): { inWorkspace: Target; published: Target } {
  const built = source.replace("./src/", "./dist/").replace(/\.ts$/, "");
  const published = { types: `${built}.d.ts`, default: `${built}.js` };
  return { inWorkspace: { "ws-source": source, ...published }, published };
}

test.each(packageNames)("%s publishes what it exports here, without the sources", (packageName) => {
  const { exports, publishConfig } = readManifest(packageName);
  expect(Object.keys(publishConfig.exports)).toEqual(Object.keys(exports));
  for (const [path, target] of Object.entries(exports)) {
    const { inWorkspace, published } = targetsOf(target["ws-source"] ?? "");
    expect(target).toEqual(inWorkspace);
    expect(Object.keys(target)[0], "the first condition that holds wins").toBe("ws-source");
    expect(publishConfig.exports[path]).toEqual(published);
  }
});

test.each(packageNames)("%s has a source file behind every export", (packageName) => {
  const missing = Object.values(readManifest(packageName).exports)
    .map((target) => join(root, "packages", packageName, target["ws-source"] ?? ""))
    .filter((path) => !existsSync(path));
  expect(missing).toEqual([]);
});
