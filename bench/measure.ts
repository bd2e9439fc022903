/** A load against a server, so many rounds of it, and what they say together. */
import { median } from "./load/latencies.ts";
import type { LoadPlan, LoadReport } from "./load/load.ts";
import type { Details, Settings } from "./scenario.ts";
import { startGenerator } from "./servers/child.ts";
import type { TallystickServer } from "./servers/tallystick-server.ts";

export async function measureLoad(plan: LoadPlan): Promise<LoadReport> {
  const generator = await startGenerator<LoadReport>(plan);
  return generator.run();
}

/** The middle of the rounds, figure by figure. */
export interface LoadMedian {
  readonly eventsPerSecond: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly max: number;
  readonly serverCpuMicrosPerEvent: number;
  readonly generatorCpuMicrosPerRequest: number;
  /** Of an open load: by how much the generator itself was late, at its 99th percentile. */
  readonly lateP99: number;
}

export function medianOf(reports: readonly LoadReport[]): LoadMedian {
  const middle = (of: (report: LoadReport) => number): number => median(reports.map(of));
  return {
    eventsPerSecond: middle(({ eventsPerSecond }) => eventsPerSecond),
    p50: middle(({ latencyMs }) => latencyMs.p50),
    p90: middle(({ latencyMs }) => latencyMs.p90),
    p99: middle(({ latencyMs }) => latencyMs.p99),
    max: middle(({ latencyMs }) => latencyMs.max),
    serverCpuMicrosPerEvent: middle(({ serverCpuMicrosPerEvent }) => serverCpuMicrosPerEvent ?? 0),
    generatorCpuMicrosPerRequest: middle(({ generatorCpuMicrosPerRequest }) => generatorCpuMicrosPerRequest),
    lateP99: middle(({ lateMs }) => lateMs?.p99 ?? 0),
  };
}

export async function measureRounds(plan: LoadPlan, { rounds }: Pick<Settings, "rounds">): Promise<LoadMedian> {
  const reports: LoadReport[] = [];
  for (let round = 0; round < rounds; round += 1) reports.push(await measureLoad(plan));
  return medianOf(reports);
}

/** Single JSON events, each of which is answered 201: that at `load`, for as long as the settings say. */
export function singleEventsPlan(
  server: TallystickServer,
  settings: Pick<Settings, "seconds" | "warmupSeconds">,
  load: Pick<LoadPlan, "connections" | "ratePerSecond"> & { readonly query?: string },
): LoadPlan {
  const { query, ...rest } = load;
  return {
    requests: { kind: "json", target: server.target("application/json", query), eventsPerRequest: 1 },
    ...rest,
    seconds: settings.seconds,
    warmupSeconds: settings.warmupSeconds,
    expectedStatuses: [201],
    serverPid: server.pid,
  };
}

export function loadDetails(measured: LoadMedian): Details {
  return {
    "p50 ms": measured.p50,
    "p90 ms": measured.p90,
    "p99 ms": measured.p99,
    "max ms": measured.max,
    "server CPU us/event": measured.serverCpuMicrosPerEvent,
    "generator CPU us/request": measured.generatorCpuMicrosPerRequest,
  };
}

/** What an option that makes the disk slower adds to a figure's name. */
export function diskWords({ syncDelayMs }: Pick<Settings, "syncDelayMs">): string {
  return syncDelayMs === 0 ? "" : `, each sync ${syncDelayMs} ms slower`;
}
