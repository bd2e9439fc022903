/** Runs the benchmarks of this folder whose names contain the first argument, one after the other. */
import { globSync } from "node:fs";

const wanted = process.argv[2] ?? "";
for (const path of globSync("*.bench.ts", { cwd: import.meta.dirname }).toSorted()) {
  if (path.includes(wanted)) await import(new URL(path, import.meta.url).href);
}
