/** Builds every package into its dist, a package after those that it depends on; stops at the first that fails. */
import { chmodSync, existsSync, globSync, readFileSync, readdirSync, rmSync, statSync } from "node:fs";
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

await step("the kernel", "node", [".config/kernel.mjs"]);
for (const { folder, manifest } of inBuildOrder(readPackages())) {
  const startMs = Date.now();
  await step(manifest.name, "tsc", ["-p", join(folder, "tsconfig.build.json")]);
  removeStale(join(folder, "dist"), startMs);
  for (const file of Object.values(manifest.bin ?? {})) chmodSync(join(folder, file), 0o755);
}

async function step(name: string, command: string, args: readonly string[]): Promise<void> {
  const { ok, output } = await run(command, args);
  if (ok) return;
  process.stderr.write(`${name} does not build:\n${output}`);
  process.exit(1);
}

/** What the compiler did not write has no source any more. To empty dist first would pull it from under a reader. */
function removeStale(folder: string, startMs: number): void {
  for (const name of globSync("**/*.{js,d.ts}", { cwd: folder })) {
    // File systems may cut times to the second.
    if (statSync(join(folder, name)).mtimeMs < startMs - 1000) rmSync(join(folder, name), { force: true });
  }
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
