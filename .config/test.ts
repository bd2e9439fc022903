/**
 * All that has to hold before a change goes in: types, lint, format, no unused code, the build, and every test.
 *
 * A check counts as a test: the last line says `N passed, N failed` over both, and the exit status agrees with it.
 * Arguments go to vitest.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Counts, formatCounts } from "./closing-line.ts";
import { environment, root, run } from "./run.ts";

interface Check {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
}

const checks: readonly Check[] = [
  { name: "types", command: "tsc", args: ["-p", ".config/tsconfig.check.json"] },
  { name: "lint", command: "oxlint", args: [] },
  { name: "format", command: "oxfmt", args: ["--check"] },
  { name: "unused code", command: "knip", args: ["--config", ".config/knip.jsonc", "--no-config-hints"] },
];

/** Runs after the others: the linter looks into dist, which this writes. */
const build: Check = { name: "build", command: "node", args: [".config/build.ts"] };

const checked = (await Promise.all(checks.map(runCheck))).reduce(add);
const built = await runCheck(build);
const tested = await runTests(process.argv.slice(2));
const total = [checked, built, tested].reduce(add);
process.exitCode = total.failed === 0 ? 0 : 1;
process.stdout.write(formatCounts(total));

async function runCheck({ name, command, args }: Check): Promise<Counts> {
  const { ok, output } = await run(command, args);
  process.stdout.write(ok ? `✓ ${name}\n` : `✗ ${name}\n${output}\n`);
  return ok ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 };
}

async function runTests(args: readonly string[]): Promise<Counts> {
  const folder = mkdtempSync(join(tmpdir(), "tallystick-test-"));
  const path = join(folder, "counts.json");
  try {
    const ok = await runVitest(args, path);
    const counts = readCounts(path);
    // A run that failed without a failed test has to show as one: a crash, no tests at all, a coverage limit.
    return ok || counts.failed > 0 ? counts : { ...counts, failed: 1 };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function runVitest(args: readonly string[], countsPath: string): Promise<boolean> {
  const env = { ...environment, TALLYSTICK_TEST_COUNTS: countsPath, TALLYSTICK_BUILT: "1" };
  const command = ["run", "--config", ".config/vitest.config.ts", ...args];
  return new Promise((resolve, reject) => {
    const child = spawn("vitest", command, { cwd: root, env, stdio: "inherit" });
    child.on("error", reject);
    child.on("close", (status) => resolve(status === 0));
  });
}

function readCounts(path: string): Counts {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as Counts;
  } catch {
    return { passed: 0, failed: 1 };
  }
}

function add(left: Counts, right: Counts): Counts {
  return { passed: left.passed + right.passed, failed: left.failed + right.failed };
}
