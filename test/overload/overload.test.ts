/** Most kinds of overload for a moment; `npm run test:slow -- test/overload` goes on with each for minutes. */
import { describe, expect, test } from "vitest";
import { canOpenMany } from "./crowd.ts";
import * as scenarios from "./scenarios.ts";

const MANY = 10_000;
const NOW = { seconds: 0 };
/** Some seconds are enough where nobody else is at work. */
const TIMEOUT_MS = 300_000;

describe("under load good clients get through, what was acknowledged is there, memory stays in bounds", () => {
  test.skipIf(!canOpenMany)(
    "ten thousand connections that ask once and stay, say nothing, or begin a request (where a process may open so many files)",
    async () => expectWork(await scenarios.manyConnections({ ...NOW, count: MANY })),
    TIMEOUT_MS,
  );

  test(
    "C-153 bodies that come a byte a second",
    async () => {
      expectWork(await scenarios.slowWriters(NOW));
    },
    TIMEOUT_MS,
  );

  test(
    "C-259 C-148 a slow disk and a queue that stays full: 503 with Retry-After, and what is refused is not there",
    async () => {
      const result = await scenarios.fullQueue(NOW);
      expectWork(result);
      expect(result.refused["log-overloaded"]).toBeGreaterThan(20);
    },
    TIMEOUT_MS,
  );

  test(
    "C-260 SIGTERM while all of it goes on: the end comes in time, and each answer was true",
    async () => {
      expectWork(await scenarios.stopUnderLoad(NOW));
    },
    TIMEOUT_MS,
  );

  test(
    "C-176 witnesses that never answer, drip, never end, talk nonsense or hang up",
    async () => {
      expectWork(await scenarios.badWitnesses(NOW));
    },
    TIMEOUT_MS,
  );

  test(
    "C-262 a clock that jumps ahead and back: the log takes nothing and says so, and no entry's time goes back",
    async () => {
      const result = await scenarios.jumpingClock(NOW);
      expectWork(result);
      expect(result.refused["clock-jumped"]).toBeGreaterThan(0);
    },
    TIMEOUT_MS,
  );
});

function expectWork({ acknowledged, size }: scenarios.Result): void {
  expect(acknowledged).toBeGreaterThan(50);
  expect(size).toBeGreaterThanOrEqual(acknowledged);
}
