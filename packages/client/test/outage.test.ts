import { performance } from "node:perf_hooks";
import { decodeLeaf } from "@tallystick/events";
import { expect, test, vi } from "vitest";
import { backoffMs } from "../src/signal.ts";
import { LogDouble } from "./support/log-double.ts";
import { createFolder, login, startClient } from "./support/setup.ts";

test("tries again after at most half a minute, never in step with others", () => {
  for (let attempt = 0; attempt < 2000; attempt += 1) {
    expect(backoffMs(attempt, () => 0)).toBeGreaterThanOrEqual(100);
    expect(backoffMs(attempt, () => 0.999_999)).toBeLessThanOrEqual(30_000);
  }
  expect(backoffMs(50, () => 0)).toBe(15_000);
});

test("an outage of six hours: few requests, bounded outbox, then everything once and in order", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "Date"] });
  try {
    const log = new LogDouble();
    let down = true;
    log.hooks.intercept = () => (down ? new Response(null, { status: 503 }) : undefined);
    const { client } = startClient(log, { outbox: await createFolder(), outboxBytesMax: 500_000, beatIntervalMs: 0 });
    let refused = 0;
    for (let minute = 0; minute < 360; minute += 1) {
      const recorded = [0, 1, 2].map((at) => client.record(login(`u_${minute}_${at}`)).catch(() => (refused += 1)));
      await Promise.all(recorded);
      await advance(60_000);
    }
    expect(log.requests).toBeLessThan(360 * 6);
    expect(client.status().bytes).toBeLessThanOrEqual(500_000);
    expect(refused).toBeGreaterThan(0);
    const taken = 360 * 3 - refused + 1;
    expect(client.status()).toMatchObject({ state: "offline", queued: taken });
    down = false;
    for (const deadline = performance.now() + 20_000; client.status().unproved + client.status().queued > 0;) {
      expect(performance.now()).toBeLessThan(deadline);
      await advance(1000);
    }
    expect(log.leaves.map((leaf) => decodeLeaf(leaf).sequence)).toEqual(
      Array.from({ length: taken }, (_, at) => at + 1),
    );
  } finally {
    vi.useRealTimers();
  }
});

/** Lets the clock go on, in steps, and what is not timed happen between them. */
async function advance(ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 15_000) {
    await vi.advanceTimersByTimeAsync(15_000);
    await new Promise((resolve) => setImmediate(resolve));
  }
}
