/** Runs one seed after the other and says what came of them. */
import { BUGS, type Bug, type SeedOutcome, runSeed } from "./run-seed.ts";

export interface SimulateOptions {
  readonly first: number;
  readonly count: number;
  readonly bug?: string | undefined;
  /** Runs no more seeds after one that failed. */
  readonly stopsAtFailure: boolean;
  /** Prints each step. */
  readonly isTraced: boolean;
  /** One line of JSON for each seed. */
  readonly isJson: boolean;
}

/** @returns the exit status: 0 where all that must hold has held. */
export async function simulate(options: SimulateOptions): Promise<number> {
  const { first, count, bug, stopsAtFailure, isTraced, isJson } = options;
  const known = bugOf(bug);
  const outcomes: SeedOutcome[] = [];
  const onTrace = isTraced ? (line: string): void => print(line) : undefined;
  for (let seed = first; seed < first + count; seed += 1) {
    const outcome = await runSeed({ seed, bug: known, onTrace });
    outcomes.push(outcome);
    if (isJson)
      print(
        JSON.stringify({ ...outcome, faults: Object.fromEntries(outcome.faults), failure: describe(outcome.failure) }),
      );
    else if (outcome.failure !== undefined) print(report(outcome, known));
    if (stopsAtFailure && outcome.failure !== undefined) break;
  }
  if (!isJson) print(summary(outcomes));
  return outcomes.some(({ failure }) => failure !== undefined) ? 1 : 0;
}

function bugOf(name: string | undefined): Bug | undefined {
  if (name === undefined) return undefined;
  const bug = BUGS.find((each) => each === name);
  if (bug === undefined) throw new RangeError(`--bug: expected one of ${BUGS.join(", ")}, got ${name}`);
  return bug;
}

function describe(failure: unknown): string | undefined {
  if (failure === undefined) return undefined;
  if (!(failure instanceof Error)) return JSON.stringify(failure);
  return `${failure.stack ?? failure.message}${failure.cause === undefined ? "" : `\nbecause of ${describe(failure.cause)}`}`;
}

function report({ seed, failure, hours }: SeedOutcome, bug: Bug | undefined): string {
  const again = `npm run simulate -- --seeds 1 --from ${seed}${bug === undefined ? "" : ` --bug ${bug}`}`;
  return `seed ${seed} failed after ${hours.toFixed(2)} simulated hours: ${describe(failure)}\nagain: ${again}`;
}

function summary(outcomes: readonly SeedOutcome[]): string {
  const sum = (of: (outcome: SeedOutcome) => number): number =>
    outcomes.reduce((total, outcome) => total + of(outcome), 0);
  const faults = new Map<string, number>();
  for (const outcome of outcomes) {
    for (const [fault, times] of outcome.faults) faults.set(fault, (faults.get(fault) ?? 0) + times);
  }
  const failed = outcomes.filter(({ failure }) => failure !== undefined).length;
  return [
    `${outcomes.length} seeds, ${failed} failed; ${sum(({ hours }) => hours).toFixed(1)} simulated hours, ${sum(({ steps }) => steps)} steps`,
    `${sum(({ entries }) => entries)} entries, ${sum(({ acknowledged }) => acknowledged)} acknowledged; ${sum(({ refusedForks }) => refusedForks)} forks refused; ${sum(({ audits }) => audits)} audits`,
    [...faults]
      .toSorted(([a], [b]) => a.localeCompare(b))
      .map(([fault, times]) => `${fault} ${times}`)
      .join(", "),
  ].join("\n");
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
