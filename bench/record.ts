/** The recorded history of figures: bench/results/<date>-<machine>.jsonl, one object a line. */
import { execFileSync } from "node:child_process";
import { appendFile, mkdir } from "node:fs/promises";
import { loadavg } from "node:os";
import { join } from "node:path";
import { describeMachine, machineSlug } from "./machine.ts";
import type { Figure, Settings } from "./scenario.ts";

const RESULTS = join(import.meta.dirname, "results");

export async function record(scenario: string, figure: Figure, settings: Partial<Settings>): Promise<void> {
  const machine = describeMachine();
  const at = new Date().toISOString();
  // Processes that wanted to run in the last minute: where they are more than the cores, the figure says little.
  const load = Math.round((loadavg()[0] ?? 0) * 10) / 10;
  const line = { at, commit: commitOf(), scenario, ...figure, settings, machine, load };
  await mkdir(RESULTS, { recursive: true });
  await appendFile(join(RESULTS, `${at.slice(0, 10)}-${machineSlug(machine)}.jsonl`), `${JSON.stringify(line)}\n`);
}

/** With "+" where something in the packages is not committed; empty where there is no repository. */
function commitOf(): string {
  const git = (...args: string[]): string =>
    execFileSync("git", args, {
      cwd: import.meta.dirname,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    }).trim();
  try {
    const commit = git("rev-parse", "--short=12", "HEAD");
    const changes = git("status", "--porcelain", "--", "../packages");
    return changes === "" ? commit : `${commit}+`;
  } catch {
    return "";
  }
}
