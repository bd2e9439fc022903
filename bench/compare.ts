/**
 * Ours beside Tessera's, in one run, one after the other, round by round, under one generator with the same bodies:
 * `npm run bench:compare -- [single] [steady] [tree] [--rounds N] [--seconds N] [--warmup N] [--sync-delay MS] [--record]`.
 * Ratios are those of the two servers of one round; what is printed is the middle of the rounds.
 */
import { parseBenchArguments } from "./arguments.ts";
import { median } from "./load/latencies.ts";
import type { LoadPlan, LoadReport } from "./load/load.ts";
import { cpuJiffies, describeMachine, stolenPercent } from "./machine.ts";
import { diskWords, measureLoad } from "./measure.ts";
import { record } from "./record.ts";
import { type Figure, formatFigure, formatValue } from "./scenario.ts";
import { STEADY } from "./scenarios/steady-rate.ts";
import { LEAF_BYTES, LEAVES, leavesPerCpuSecond } from "./scenarios/tree.ts";
import { TallystickServer } from "./servers/tallystick-server.ts";
import { TesseraServer, goLeavesPerCpuSecond, whyNoTessera } from "./servers/tessera-server.ts";

const { names, settings, record: isRecorded } = parseBenchArguments(process.argv.slice(2), { rounds: 3 });

/** A server that is started for one measurement. */
interface Contender {
  readonly name: string;
  start(): Promise<{
    readonly pid: number;
    target(): LoadPlan["requests"]["target"];
    remove(): Promise<void>;
  }>;
  readonly expectedStatus: number;
}

const OURS: Contender = {
  name: "Tallystick",
  start: async () => TallystickServer.start(settings),
  expectedStatus: 201,
};
const TESSERA_5: Contender = {
  name: "Tessera, batch age 5 ms",
  start: async () => TesseraServer.start({ ...settings, batchAgeMs: 5 }),
  expectedStatus: 200,
};
const TESSERA_SHIPPED: Contender = {
  name: "Tessera as shipped (batch age 1 s)",
  start: async () => TesseraServer.start(settings),
  expectedStatus: 200,
};

type Load = Pick<LoadPlan, "connections" | "ratePerSecond">;

async function measure(contender: Contender, load: Load): Promise<LoadReport> {
  const server = await contender.start();
  try {
    return await measureLoad({
      requests: { kind: "json", target: server.target(), eventsPerRequest: 1 },
      ...load,
      seconds: settings.seconds,
      warmupSeconds: settings.warmupSeconds,
      expectedStatuses: [contender.expectedStatus],
      serverPid: server.pid,
    });
  } finally {
    await server.remove();
  }
}

/** The reports of each contender, round by round. */
async function measureAll(contenders: readonly Contender[], load: Load): Promise<LoadReport[][]> {
  const rounds: LoadReport[][] = [];
  for (let round = 0; round < settings.rounds; round += 1) {
    const reports: LoadReport[] = [];
    for (const contender of contenders) reports.push(await measure(contender, load));
    rounds.push(reports);
  }
  return rounds;
}

/** One figure for each contender; the ratio is ours to theirs. */
function* figures(
  contenders: readonly Contender[],
  rounds: readonly LoadReport[][],
  words: { readonly what: string; readonly unit: string; readonly of: (report: LoadReport) => number },
): Generator<Figure> {
  const middle = (of: (reports: readonly LoadReport[]) => number): number => median(rounds.map(of));
  for (const [at, { name }] of contenders.entries()) {
    const here = (of: (report: LoadReport) => number): number => middle((reports) => valueAt(reports, at, of));
    const ratio = (of: (report: LoadReport) => number): number =>
      middle((reports) => valueAt(reports, 0, of) / valueAt(reports, at, of));
    yield {
      name: `${words.what}: ${name}`,
      value: here(words.of),
      unit: words.unit,
      details: {
        ...(at === 0 ? {} : { "ours/theirs": Math.round(ratio(words.of) * 100) / 100 }),
        "p50 ms": here(({ latencyMs }) => latencyMs.p50),
        "p99 ms": here(({ latencyMs }) => latencyMs.p99),
        ...(at === 0 ? {} : { "p99 ours/theirs": Math.round(ratio(({ latencyMs }) => latencyMs.p99) * 100) / 100 }),
        "server CPU us/event": here(cpuOf),
        ...(at === 0 ? {} : { "CPU ours/theirs": Math.round(ratio(cpuOf) * 100) / 100 }),
        "generator CPU us/request": here(({ generatorCpuMicrosPerRequest }) => generatorCpuMicrosPerRequest),
        rounds: rounds.map((reports) => formatValue(valueAt(reports, at, words.of))).join(" / "),
      },
    };
  }
}

function cpuOf({ serverCpuMicrosPerEvent }: LoadReport): number {
  return serverCpuMicrosPerEvent ?? 0;
}

function valueAt(reports: readonly LoadReport[], at: number, of: (report: LoadReport) => number): number {
  const report = reports[at];
  if (report === undefined) throw new RangeError(`there is no report ${at}`);
  return of(report);
}

async function* single(): AsyncGenerator<Figure> {
  for (const connections of [64, 256]) {
    const contenders = [OURS, TESSERA_5, TESSERA_SHIPPED];
    const rounds = await measureAll(contenders, { connections });
    yield* figures(contenders, rounds, {
      what: `${connections} connections${diskWords(settings)}`,
      unit: "events/s",
      of: ({ eventsPerSecond }) => eventsPerSecond,
    });
  }
}

async function* steady(): AsyncGenerator<Figure> {
  const contenders = [OURS, TESSERA_5];
  const rounds = await measureAll(contenders, STEADY);
  yield* figures(contenders, rounds, {
    what: `${STEADY.ratePerSecond}/s${diskWords(settings)}`,
    unit: "ms p50",
    of: ({ latencyMs }) => latencyMs.p50,
  });
}

async function* tree(): AsyncGenerator<Figure> {
  const [ours, theirs]: [number[], number[]] = [[], []];
  const { seconds } = settings;
  for (let round = 0; round < settings.rounds; round += 1) {
    ours.push(await leavesPerCpuSecond(seconds));
    theirs.push(await goLeavesPerCpuSecond({ leafBytes: LEAF_BYTES, leaves: LEAVES, seconds }));
  }
  const ratio = median(ours.map((value, round) => value / (theirs[round] ?? Number.NaN)));
  const name = `tree over leaves of ${LEAF_BYTES} bytes, one core`;
  yield { name: `${name}: Tallystick`, value: median(ours), unit: "leaves/CPU s" };
  yield {
    name: `${name}: Go merkle/compact`,
    value: median(theirs),
    unit: "leaves/CPU s",
    details: { "ours/theirs": Math.round(ratio * 100) / 100 },
  };
}

const COMPARISONS = { single, steady, tree } as const;

const reason = whyNoTessera();
if (reason === undefined) {
  const { cpu, cores, memoryGiB, kernel, node } = describeMachine();
  process.stdout.write(`${cpu}, ${cores} cores, ${memoryGiB} GiB, ${kernel}, Node ${node}\n`);
  for (const [name, compare] of Object.entries(COMPARISONS)) {
    if (names.length > 0 && !names.includes(name)) continue;
    const before = cpuJiffies();
    for await (const figure of compare()) {
      // Of the whole comparison: its figures come together at its end.
      const stolen = stolenPercent(before, cpuJiffies());
      const taken = { ...figure, details: { ...figure.details, "stolen %": stolen } };
      process.stdout.write(`${formatFigure(taken)}\n`);
      if (isRecorded) await record(`compare ${name}`, taken, settings);
    }
  }
} else {
  process.stdout.write(`nothing to compare with: ${reason}\n`);
}
