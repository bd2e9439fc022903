/** The durable answer at a steady rate, far below what the server can take, with the disk's own sync beside it. */
import { probeDisk, probeDiskDuring } from "../disk-probe.ts";
import { diskWords, measureRounds, singleEventsPlan } from "../measure.ts";
import type { Scenario } from "../scenario.ts";
import { TallystickServer } from "../servers/tallystick-server.ts";

export const STEADY = { ratePerSecond: 2000, connections: 64 } as const;
const IDLE_PROBE_MS = 2000;
/** Rare enough not to be a load of its own. */
const PROBE_INTERVAL_MS = 20;

export const steadyRate: Scenario = {
  name: "steady",
  about: "latency of the durable answer at a steady 2,000/s, and of the disk's own sync",
  async *run(settings) {
    const idle = await probeDisk({ intervalMs: 0, signal: AbortSignal.timeout(IDLE_PROBE_MS) });
    yield {
      name: "fdatasync of 4 KiB, nothing else running",
      value: idle.p50,
      unit: "ms p50",
      details: { "p99 ms": idle.p99, "max ms": idle.max, count: idle.count },
    };
    const server = await TallystickServer.start(settings);
    try {
      const plan = singleEventsPlan(server, settings, STEADY);
      const [measured, disk] = await probeDiskDuring(async () => measureRounds(plan, settings), PROBE_INTERVAL_MS);
      yield {
        name: `durable answer at ${STEADY.ratePerSecond}/s${diskWords(settings)}`,
        value: measured.p50,
        unit: "ms p50",
        details: {
          "p90 ms": measured.p90,
          "p99 ms": measured.p99,
          "max ms": measured.max,
          "fdatasync beside it p50 ms": disk.p50,
          "p99 ms of it": disk.p99,
          "generator late p99 ms": measured.lateP99,
          "server CPU us/event": measured.serverCpuMicrosPerEvent,
        },
      };
    } finally {
      await server.remove();
    }
  },
};
