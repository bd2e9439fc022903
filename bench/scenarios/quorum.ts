/** Answers with the quorum of three witnesses, each in a process of its own on this machine. */
import { diskWords, measureRounds, singleEventsPlan } from "../measure.ts";
import type { Scenario } from "../scenario.ts";
import { TallystickServer } from "../servers/tallystick-server.ts";

const LOAD = { ratePerSecond: 500, connections: 256 } as const;

export const quorum: Scenario = {
  name: "quorum",
  about: "latency of the answer with the quorum of 3 witnesses, at a steady 500/s",
  async *run(settings) {
    const server = await TallystickServer.start({ ...settings, witnesses: 3 });
    try {
      const plan = singleEventsPlan(server, settings, { ...LOAD, query: "?wait=witnessed" });
      const measured = await measureRounds(plan, settings);
      yield {
        name: `answer with quorum at ${LOAD.ratePerSecond}/s${diskWords(settings)}`,
        value: measured.p50,
        unit: "ms p50",
        details: {
          "p90 ms": measured.p90,
          "p99 ms": measured.p99,
          "max ms": measured.max,
          "server CPU us/event": measured.serverCpuMicrosPerEvent,
        },
      };
    } finally {
      await server.remove();
    }
  },
};
