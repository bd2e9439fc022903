/**
 * Runs benchmarks: `npm run bench -- [NAME …] [--record] [--seconds N] [--warmup N] [--rounds N] [--events N]
 * [--audit-events N] [--sync-delay MS] [--list]`. Without a name, all of them. docs/concepts/performance.md
 */
import { globSync } from "node:fs";
import { parseBenchArguments } from "./arguments.ts";
import { cpuJiffies, describeMachine, stolenPercent } from "./machine.ts";
import { record } from "./record.ts";
import { type Scenario, formatFigure } from "./scenario.ts";
import { auditWholeLog } from "./scenarios/audit.ts";
import { batches } from "./scenarios/batches.ts";
import { largeLog } from "./scenarios/large-log.ts";
import { quorum } from "./scenarios/quorum.ts";
import { receipts } from "./scenarios/receipts.ts";
import { singleEvents } from "./scenarios/single-events.ts";
import { steadyRate } from "./scenarios/steady-rate.ts";
import { treeBuilding } from "./scenarios/tree.ts";

const SCENARIOS: readonly Scenario[] = [
  singleEvents,
  steadyRate,
  batches,
  quorum,
  treeBuilding,
  receipts,
  auditWholeLog,
  largeLog,
];

/** Beside the scenarios: files that print for themselves. */
const FILES = new Map(globSync("*.bench.ts", { cwd: import.meta.dirname }).map((file) => [file.split(".")[0], file]));

const { names, settings, list, record: isRecorded } = parseBenchArguments(process.argv.slice(2));
const known = [...SCENARIOS.map(({ name }) => name), ...FILES.keys()];
const unknown = names.find((name) => !known.includes(name));
if (unknown !== undefined) throw new TypeError(`expected ${known.join(", ")}, got ${unknown}`);

if (list) {
  for (const { name, about } of SCENARIOS) process.stdout.write(`${name.padEnd(10)} ${about}\n`);
  for (const [name = "", file] of FILES) process.stdout.write(`${name.padEnd(10)} ${file}\n`);
} else {
  const { cpu, cores, memoryGiB, kernel, node } = describeMachine();
  process.stdout.write(`${cpu}, ${cores} cores, ${memoryGiB} GiB, ${kernel}, Node ${node}\n`);
  const isWanted = (name: string): boolean => names.length === 0 || names.includes(name);
  for (const scenario of SCENARIOS.filter(({ name }) => isWanted(name))) await runScenario(scenario);
  for (const [name = "", file] of FILES) {
    if (isWanted(name)) await import(new URL(file, import.meta.url).href);
  }
}

async function runScenario(scenario: Scenario): Promise<void> {
  let before = cpuJiffies();
  for await (const figure of scenario.run(settings)) {
    const after = cpuJiffies();
    // What other machines on the same hardware took: where it is much, the figure is too low.
    const taken = { ...figure, details: { ...figure.details, "stolen %": stolenPercent(before, after) } };
    before = after;
    process.stdout.write(`${formatFigure(taken)}\n`);
    if (isRecorded) await record(scenario.name, taken, settings);
  }
}
