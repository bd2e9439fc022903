/** Says at the end of a vitest run how many tests passed and failed, in one line that scripts can read. */
import { writeFileSync } from "node:fs";
import type { Reporter, TestModule } from "vitest/node";

/** What a run came to. A test file that does not load is one failure, and so is an error outside of any test. */
export interface Counts {
  readonly passed: number;
  readonly failed: number;
}

/** Formats `counts` as the line that ends every run. */
export function formatCounts({ passed, failed }: Counts): string {
  return `${passed} passed, ${failed} failed\n`;
}

/** Prints the counts, or leaves them in the file that TALLYSTICK_TEST_COUNTS names, to be added up there. */
export class ClosingLine implements Reporter {
  onTestRunEnd(modules: ReadonlyArray<TestModule>, unhandledErrors: ReadonlyArray<unknown>): void {
    const counts = countTests(modules, unhandledErrors.length);
    const path = process.env["TALLYSTICK_TEST_COUNTS"];
    if (path !== undefined) writeFileSync(path, JSON.stringify(counts));
    else process.once("exit", () => process.stdout.write(formatCounts(counts)));
  }
}

function countTests(modules: ReadonlyArray<TestModule>, errors: number): Counts {
  let passed = 0;
  let failed = errors;
  for (const module of modules) {
    for (const test of module.children.allTests()) {
      const { state } = test.result();
      if (state === "passed") passed += 1;
      if (state === "failed") failed += 1;
    }
    failed += module.errors().length;
    for (const suite of module.children.allSuites()) failed += suite.errors().length;
  }
  return { passed, failed };
}
