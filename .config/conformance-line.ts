/** Says at the end of `npm test` how many lines of the conformance list this run covered. */
import type { Reporter, TestCase, TestModule } from "vitest/node";
import { type ConformanceLine, linesNamedBy, readLines } from "../test/conformance/lines.ts";

const SHOWN_MAX = 20;

/** Prints the count of `npm test`, which runs everything; of a part of the tests it would say nothing. */
export class ConformanceCount implements Reporter {
  onTestRunEnd(modules: ReadonlyArray<TestModule>): void {
    if (process.env["TALLYSTICK_TEST_COUNTS"] === undefined) return;
    const tests = modules.flatMap((module) => [...module.children.allTests()]);
    process.once("exit", () => process.stdout.write(formatConformance(readLines(), linesByState(tests))));
  }
}

export interface LinesByState {
  readonly passed: ReadonlySet<number>;
  readonly failed: ReadonlySet<number>;
}

/** Formats what a run came to: a line is covered by a test that passed, where none that names it failed. */
export function formatConformance(lines: readonly ConformanceLine[], { passed, failed }: LinesByState): string {
  const covered = lines.filter(({ id }) => passed.has(id) && !failed.has(id));
  const argued = lines.filter(({ argued }) => argued !== undefined);
  const later = lines.filter((line) => line.later && !covered.includes(line));
  const rest = lines.filter((line) => ![covered, argued, later].some((part) => part.includes(line)));
  const shown = rest.slice(0, SHOWN_MAX).map(({ id }) => `C-${id}`);
  if (rest.length > SHOWN_MAX) shown.push(`and ${rest.length - SHOWN_MAX} more`);
  const open = rest.length === 0 ? "" : `; not covered by this run: ${shown.join(" ")}`;
  return (
    `conformance: ${lines.length} lines, ${covered.length} tested, ${argued.length} argued, ` +
    `${later.length} to come with the mirror${open}\n`
  );
}

function linesByState(tests: readonly TestCase[]): LinesByState {
  const linesOf = (state: string): Set<number> =>
    new Set(
      tests.filter((test) => test.result().state === state).flatMap((test) => namesOf(test).flatMap(linesNamedBy)),
    );
  return { passed: linesOf("passed"), failed: linesOf("failed") };
}

/** The name of a test, and those of the suites around it. */
function namesOf(test: TestCase): readonly string[] {
  const names = [test.name];
  for (let parent = test.parent; parent.type === "suite"; parent = parent.parent) names.push(parent.name);
  return names;
}
