/** A large log: how fast it is filled, what it takes of memory and disk, how it starts, and what reads cost then. */
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { encodeEvent, parseEvent } from "@tallystick/events";
import { FILL, fillLog } from "../fill.ts";
import { memoryOf } from "../load/cpu-time.ts";
import { sampleEvent } from "../load/json-events.ts";
import { median } from "../load/latencies.ts";
import { diskWords, loadDetails, measureRounds } from "../measure.ts";
import { type Figure, type Scenario, type Settings, formatValue } from "../scenario.ts";
import { TallystickServer } from "../servers/tallystick-server.ts";

const MIB = 2 ** 20;
const STARTS = 3;
const PROOFS = { connections: 16 } as const;
const RECEIPTS = { connections: 16, ratePerSecond: 200 } as const;

export const largeLog: Scenario = {
  name: "large",
  about: "a log of --events: filling, memory, start, bytes on disk, proofs and receipts",
  async *run(settings) {
    const server = await TallystickServer.start(settings);
    try {
      const emptyStartMs = await restart(server);
      yield* fill(server, settings);
      const size = await server.untilPublished();
      await server.stop();
      yield await diskFigure(server, size);
      await server.start();
      const startMs = await restart(server);
      yield {
        name: `start at ${formatValue(size)} entries`,
        value: startMs,
        unit: "ms",
        details: { "with an empty log ms": emptyStartMs, "resident MiB after": residentMiB(server) },
      };
      yield* reads(server, size, settings);
    } finally {
      await server.remove();
    }
  },
};

/** From the start of the process until it takes events: the middle of a few. */
async function restart(server: TallystickServer): Promise<number> {
  const times: number[] = [];
  for (let start = 0; start < STARTS; start += 1) {
    await server.stop();
    times.push(await server.start());
  }
  return median(times);
}

function residentMiB(server: TallystickServer): number {
  return (memoryOf(server.pid)?.resident ?? 0) / MIB;
}

async function* fill(server: TallystickServer, settings: Settings): AsyncGenerator<Figure> {
  const report = await fillLog(server, settings.events);
  const memory = memoryOf(server.pid);
  const { connections, eventsPerRequest } = FILL;
  yield {
    name: `filling to ${formatValue(settings.events)}${diskWords(settings)}`,
    value: report.eventsPerSecond,
    unit: "events/s",
    details: {
      "JSON arrays of": eventsPerRequest,
      connections,
      "p99 ms": report.latencyMs.p99,
      "server CPU us/event": report.serverCpuMicrosPerEvent ?? 0,
    },
  };
  yield {
    name: `memory under full load at ${formatValue(settings.events)}`,
    value: (memory?.peak ?? 0) / MIB,
    unit: "MiB resident at its peak",
    details: {
      "MiB at the end": (memory?.resident ?? 0) / MIB,
      "MiB of it without mapped files": (memory?.anonymous ?? 0) / MIB,
    },
  };
}

async function diskFigure(server: TallystickServer, size: number): Promise<Figure> {
  const event = encodeEvent(parseEvent(JSON.parse(sampleEvent().text)));
  const total = await bytesBelow(server.dataFolder);
  return {
    name: "bytes on disk an event, beyond the event itself",
    value: total / size - event.length,
    unit: "bytes",
    details: { "the event in CBOR": event.length, "the log's folder MiB": total / MIB },
  };
}

async function bytesBelow(folder: string): Promise<number> {
  let bytes = 0;
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) bytes += (await stat(join(entry.parentPath, entry.name))).size;
  }
  return bytes;
}

async function* reads(server: TallystickServer, size: number, settings: Settings): AsyncGenerator<Figure> {
  const timed = { seconds: settings.seconds, warmupSeconds: settings.warmupSeconds, expectedStatuses: [200] };
  const read = (path: string) => ({ kind: "read", target: server.readTarget(path), size }) as const;
  const proofs = await measureRounds(
    { requests: read("v1/proofs/inclusion?index=*"), ...PROOFS, ...timed, serverPid: server.pid },
    settings,
  );
  yield {
    name: `inclusion proofs of a log of ${formatValue(size)}`,
    value: proofs.eventsPerSecond,
    unit: "proofs/s",
    details: { connections: PROOFS.connections, ...loadDetails(proofs) },
  };
  const receipts = await measureRounds(
    { requests: read("v1/receipts/*"), ...RECEIPTS, ...timed, serverPid: server.pid },
    settings,
  );
  yield {
    name: `random receipts at ${RECEIPTS.ratePerSecond}/s`,
    value: receipts.p99,
    unit: "ms p99",
    details: { "p50 ms": receipts.p50, "max ms": receipts.max, "generator late p99 ms": receipts.lateP99 },
  };
}
