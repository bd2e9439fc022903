/** Each kind of overload for TALLYSTICK_OVERLOAD_SECONDS, two minutes by default; with TALLYSTICK_HTTP_THREADS, none by default. */
import { describe, expect, test } from "vitest";
import { canOpenMany } from "./crowd.ts";
import * as scenarios from "./scenarios.ts";

const seconds = Number(process.env["TALLYSTICK_OVERLOAD_SECONDS"] ?? 120);
const TIMEOUT_MS = (seconds + 300) * 1000;

const SCENARIOS: readonly (readonly [name: string, run: () => Promise<scenarios.Result>])[] = [
  ["connections beyond what is allowed", async () => scenarios.tooManyConnections({ seconds })],
  ["answers that nobody reads", async () => scenarios.slowReaders({ seconds })],
  ["bodies that come a byte a second", async () => scenarios.slowWriters({ seconds })],
  ["a queue that stays full", async () => scenarios.fullQueue({ seconds })],
  ["SIGTERM again and again", async () => scenarios.stopUnderLoad({ seconds })],
  ["witnesses that are of no use", async () => scenarios.badWitnesses({ seconds })],
  ["a clock that jumps again and again", async () => scenarios.jumpingClock({ seconds })],
];

describe(`for ${seconds} s good clients get through, what was acknowledged is there, memory stays in bounds`, () => {
  test.skipIf(!canOpenMany)(
    "ten thousand connections that ask once and stay, say nothing, or begin a request (where a process may open so many files)",
    async () => expectWork(await scenarios.manyConnections({ seconds, count: 10_000 })),
    TIMEOUT_MS,
  );

  test.each(SCENARIOS)("%s", async (_, run) => expectWork(await run()), TIMEOUT_MS);
});

function expectWork(result: scenarios.Result): void {
  process.stdout.write(`${JSON.stringify(result)}\n`);
  expect(result.acknowledged).toBeGreaterThan(50);
  expect(result.size).toBeGreaterThanOrEqual(result.acknowledged);
}
