/** Single JSON events, POSTed one a request: validated, sealed, durable when they are answered. */
import { diskWords, loadDetails, measureRounds, singleEventsPlan } from "../measure.ts";
import type { Scenario } from "../scenario.ts";
import { TallystickServer } from "../servers/tallystick-server.ts";

export const singleEvents: Scenario = {
  name: "single",
  about: "single JSON events, 64 and 256 connections",
  async *run(settings) {
    for (const connections of [64, 256]) {
      const server = await TallystickServer.start(settings);
      try {
        const plan = singleEventsPlan(server, settings, { connections });
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
