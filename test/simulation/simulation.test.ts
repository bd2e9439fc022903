/** The simulation in a process of its own, since it replaces clocks, timers, files and the network for all that runs in it. */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { FAULTS } from "./faults.ts";

const MAIN = fileURLToPath(new URL("main.ts", import.meta.url));
const TIMEOUT_MS = 600_000;
const SEEDS = 200;
/** What faults do, where they hit. */
const HITS = [
  "lost message",
  "duplicated request",
  "message into a partition",
  "answer cut",
  "disk error",
  "storage error",
  "unsynced write lost",
  "unsynced name lost",
  "write torn",
  "power loss after a silence",
];

interface Outcome {
  readonly seed: number;
  readonly hours: number;
  readonly digest: string;
  readonly entries: number;
  readonly acknowledged: number;
  readonly refusedForks: number;
  readonly audits: number;
  readonly faults: Readonly<Record<string, number>>;
  readonly failure?: string;
}

interface Asked {
  readonly from: number;
  readonly seeds: number;
  readonly bug?: string;
}

async function simulate({ from, seeds, bug }: Asked): Promise<Outcome[]> {
  const args = ["--conditions=ws-source", MAIN, "--json", "--seeds", String(seeds), "--from", String(from)];
  if (bug !== undefined) args.push("--stop", "--bug", bug);
  const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: TIMEOUT_MS, maxBuffer: 2 ** 26 })
    // Status 1 says that a seed has failed: which one is in what it printed.
    .catch((error: { readonly stdout: string }) => error);
  return stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Outcome);
}

function failuresOf(outcomes: readonly Outcome[]): string[] {
  return outcomes.flatMap(({ seed, failure }) =>
    failure === undefined ? [] : [`npm run simulate -- --seeds 1 --from ${seed}: ${failure}`],
  );
}

describe("log, three witnesses, clients and a reader on simulated machines", () => {
  test(
    "lose nothing that was acknowledged, keep one history and stay within bounds, whatever fails, over 200 seeds",
    async () => {
      // Two processes: a seed uses one core.
      const halves = await Promise.all([
        simulate({ from: 1, seeds: SEEDS / 2 }),
        simulate({ from: 1 + SEEDS / 2, seeds: SEEDS / 2 }),
      ]);
      const outcomes = halves.flat();
      expect(failuresOf(outcomes)).toEqual([]);
      expect(outcomes).toHaveLength(SEEDS);
      // Each kind of fault has happened, and has hit somebody.
      const happened = new Set(outcomes.flatMap(({ faults }) => Object.keys(faults)));
      expect([...FAULTS, ...HITS].filter((fault) => !happened.has(fault))).toEqual([]);
      // And in spite of them the work was done, and forks were offered.
      const idle = outcomes.filter(({ acknowledged, audits }) => acknowledged === 0 || audits === 0);
      expect(idle.length).toBeLessThan(SEEDS / 4);
      expect(outcomes.filter(({ refusedForks }) => refusedForks > 0).length).toBeGreaterThan(SEEDS / 2);
      const hours = outcomes.reduce((sum, outcome) => sum + outcome.hours, 0);
      process.stdout.write(`simulation: ${SEEDS} seeds, ${hours.toFixed(1)} simulated hours\n`);
    },
    TIMEOUT_MS,
  );

  test(
    "take the same course for the same seed, event by event",
    async () => {
      const [once, again] = await Promise.all([simulate({ from: 7, seeds: 3 }), simulate({ from: 7, seeds: 3 })]);
      expect(again).toEqual(once);
      const alone = await simulate({ from: 9, seeds: 1 });
      expect(alone).toEqual(once.slice(2));
      expect(new Set(once.map(({ digest }) => digest)).size).toBe(3);
    },
    TIMEOUT_MS,
  );
});

describe("the invariants find", () => {
  test.each([
    ["hasty-storage", "a storage that has not landed what it says that it has", /which is not on disk|log-corrupt/],
    [
      "forgetful-witness",
      "a witness whose disk forgets what it cosigned",
      /witness w\d is at size \d+, and promised \d+/,
    ],
    [
      "lying-outbox",
      "an outbox whose disk forgets what was recorded",
      /older copy|had recorded, is 0 times|is not known here/,
    ],
    ["lying-key-store", "a key store whose disk forgets keys", /key store/],
  ])(
    "%s: %s",
    async (bug, _, found) => {
      const failures = failuresOf(await simulate({ from: 1, seeds: 100, bug }));
      expect(failures.join("\n")).toMatch(found);
    },
    TIMEOUT_MS,
  );
});
