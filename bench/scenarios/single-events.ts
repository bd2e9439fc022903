/** Single JSON events, POSTed one a request: validated, sealed, durable when they are answered. */
import { diskWords, loadDetails, measureRounds } from "../measure.ts";
import type { Scenario } from "../scenario.ts";
import { TallystickServer } from "../servers/tallystick-server.ts";

export const singleEvents: Scenario = {
  name: "single",
  about: "single JSON events, 64 and 256 connections",
  async *run(settings) {
    for (const connections of [64, 256]) {
      const server = await TallystickServer.start(settings);
      try {
        const plan = {
          requests: { kind: "json", target: server.target(), eventsPerRequest: 1 },
          connections,
          seconds: settings.seconds,
          warmupSeconds: settings.warmupSeconds,
          expectedStatuses: [201],
          serverPid: server.pid,
        } as const;
        const measured = await measureRounds(plan, settings);
        yield {
          name: `single events, ${connections} connections${diskWords(settings)}`,
          value: measured.eventsPerSecond,
          unit: "events/s",
          details: loadDetails(measured),
        };
      } finally {
        await server.remove();
      }
    }
  },
};
