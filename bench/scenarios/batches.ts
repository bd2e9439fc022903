/** Many events a request: JSON arrays, and signed batches in CBOR, each connection with a stream of its own. */
import { randomBytes } from "node:crypto";
import { BATCH_MEDIA_TYPE } from "@tallystick/events";
import type { RequestPlan } from "../load/requests.ts";
import { senderKeyOf } from "../load/signed-batches.ts";
import { diskWords, loadDetails, measureLoad, medianOf } from "../measure.ts";
import type { LoadReport } from "../load/load.ts";
import type { Scenario, Settings } from "../scenario.ts";
import { ORIGIN, TallystickServer } from "../servers/tallystick-server.ts";

const CONNECTIONS = 8;
const SIZES = [100, 1000] as const;
/** Batches are signed before the clock starts: for so many events a second. Where they run out, the clock stops. */
const SIGNED_PER_SECOND = 200_000;

export const batches: Scenario = {
  name: "batches",
  about: "events in batches of 100 and 1,000: JSON arrays and signed CBOR",
  async *run(settings) {
    for (const kind of ["json", "signed"] as const) {
      for (const eventsPerRequest of SIZES) {
        const reports: LoadReport[] = [];
        for (let round = 0; round < settings.rounds; round += 1) {
          reports.push(await measureBatches(kind, eventsPerRequest, settings));
        }
        const measured = medianOf(reports);
        const what = kind === "json" ? "JSON arrays" : "signed CBOR batches";
        yield {
          name: `${what} of ${eventsPerRequest}, ${CONNECTIONS} connections${diskWords(settings)}`,
          value: measured.eventsPerSecond,
          unit: "events/s",
          details: loadDetails(measured),
        };
      }
    }
  },
};

async function measureBatches(
  kind: "json" | "signed",
  eventsPerRequest: number,
  settings: Settings,
): Promise<LoadReport> {
  const seed = randomBytes(32);
  const server = await TallystickServer.start({ ...settings, senderKey: senderKeyOf(new Uint8Array(seed)) });
  try {
    const seconds = settings.seconds + settings.warmupSeconds;
    const requests: RequestPlan =
      kind === "json"
        ? { kind, target: server.target(), eventsPerRequest }
        : {
            kind,
            target: server.target(BATCH_MEDIA_TYPE),
            eventsPerRequest,
            origin: ORIGIN,
            seed: seed.toString("hex"),
            requests: Math.ceil((SIGNED_PER_SECOND * seconds) / eventsPerRequest / CONNECTIONS),
          };
    return await measureLoad({
      requests,
      connections: CONNECTIONS,
      seconds: settings.seconds,
      warmupSeconds: settings.warmupSeconds,
      expectedStatuses: [201],
      serverPid: server.pid,
    });
  } finally {
    await server.remove();
  }
}
