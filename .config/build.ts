/** Builds every package into its dist, a package after those that it depends on; stops at the first that fails. */
import { chmodSync, existsSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { root, run } from "./run.ts";

interface Manifest {
  readonly name: string;
  readonly bin?: Readonly<Record<string, string>>;
  readonly dependencies?: Readonly<Record<string, string>>;
}

interface Package {
  readonly folder: string;
  readonly manifest: Manifest;
}

for (const { folder, manifest } of inBuildOrder(readPackages())) {
  rmSync(join(folder, "dist"), { recursive: true, force: true });
  const { ok, output } = await run("tsc", ["-p", join(folder, "tsconfig.build.json")]);
  if (!ok) {
    process.stderr.write(`${manifest.name} does not build:\n${output}`);
    process.exit(1);
  }
  for (const file of Object.values(manifest.bin ?? {})) chmodSync(join(folder, file), 0o755);
}

function readPackages(): Package[] {
  return readdirSync(join(root, "packages"))
    .map((name) => join(root, "packages", name))
    .filter((folder) => existsSync(join(folder, "package.json")))
    .map((folder) => ({
      folder,
      manifest: JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as Manifest,
    }));
}

function inBuildOrder(packages: readonly Package[]): Package[] {
  const byName = new Map(packages.map((each) => [each.manifest.name, each]));
  const ordered = new Set<Package>();
  const visit = (each: Package, path: readonly string[]): void => {
    const { name, dependencies } = each.manifest;
    if (path.includes(name)) throw new Error(`packages depend on each other: ${[...path, name].join(" -> ")}`);
    for (const dependency of Object.keys(dependencies ?? {})) {
      const below = byName.get(dependency);
      if (below !== undefined) visit(below, [...path, name]);
    }
    ordered.add(each);
  };
  for (const each of packages) visit(each, []);
  return [...ordered];
}
