/** Fills a log for benchmarks that need a large one, as fast as it takes events: in JSON arrays of a thousand. */
import { measureLoad } from "./measure.ts";
import type { LoadReport } from "./load/load.ts";
import type { TallystickServer } from "./servers/tallystick-server.ts";

export const FILL = { connections: 8, eventsPerRequest: 1000 } as const;
/** Not a limit that a run should meet. */
const A_DAY_SECONDS = 86_400;

/** Appends `events`, rounded up to thousands. */
export async function fillLog(server: TallystickServer, events: number): Promise<LoadReport> {
  return measureLoad({
    requests: { kind: "json", target: server.target(), eventsPerRequest: FILL.eventsPerRequest },
    connections: FILL.connections,
    seconds: A_DAY_SECONDS,
    warmupSeconds: 0,
    requestsMax: Math.ceil(events / FILL.eventsPerRequest),
    expectedStatuses: [201],
    serverPid: server.pid,
  });
}
