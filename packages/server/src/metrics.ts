/** Metrics in Prometheus' text form. Labels are names of logs, routes, codes and states: never of persons. */
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { Log } from "@tallystick/log";
import { type HostedLog, statusOf } from "./hosted-log.ts";

const STATES = ["starting", "ok", "degraded", "stopped"] as const;

export class ServerMetrics {
  readonly #registry = new Registry();
  readonly #requests: Counter<"route" | "status">;
  readonly #problems: Counter<"code">;
  readonly #duration: Histogram<"route">;

  constructor(logs: readonly HostedLog[], tls?: { readonly expiresAt: number }) {
    const registers = [this.#registry];
    this.#requests = new Counter({
      name: "tallystick_http_requests_total",
      help: "Requests answered",
      labelNames: ["route", "status"],
      registers,
    });
    this.#problems = new Counter({
      name: "tallystick_problems_total",
      help: "Requests refused, by code",
      labelNames: ["code"],
      registers,
    });
    this.#duration = new Histogram({
      name: "tallystick_http_request_seconds",
      help: "Time to answer",
      labelNames: ["route"],
      buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
      registers,
    });
    addLogMetrics(registers, logs);
    addKeyBackupMetric(registers, logs);
    if (tls !== undefined) addTlsMetric(registers, tls);
    const state = new Gauge({
      name: "tallystick_log_state",
      help: "1 for the state that a log is in",
      labelNames: ["log", "state"],
      registers,
      collect: () => {
        for (const hosted of logs)
          for (const name of STATES)
            state.set({ log: hosted.name, state: name }, statusOf(hosted).state === name ? 1 : 0);
      },
    });
  }

  observe({
    route,
    status,
    seconds,
    code,
  }: {
    readonly route: string;
    readonly status: number;
    readonly seconds: number;
    readonly code: string | undefined;
  }): void {
    this.#requests.inc({ route, status: String(status) });
    this.#duration.observe({ route }, seconds);
    if (code !== undefined) this.#problems.inc({ code });
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  async text(): Promise<string> {
    return this.#registry.metrics();
  }
}

function addTlsMetric(registers: Registry[], tls: { readonly expiresAt: number }): void {
  const gauge: Gauge = new Gauge({
    name: "tallystick_tls_certificate_expiry_seconds",
    help: "When the TLS certificate in use ends, in seconds since 1970",
    registers,
    collect: () => gauge.set(tls.expiresAt / 1000),
  });
}

function addKeyBackupMetric(registers: Registry[], logs: readonly HostedLog[]): void {
  const gauge: Gauge<"log"> = new Gauge({
    name: "tallystick_log_key_backup_time_seconds",
    help: "When the newest backup of the key store was made, in seconds since 1970",
    labelNames: ["log"],
    registers,
    collect: () => {
      for (const { name, keyBackup } of logs)
        if (keyBackup?.lastAt !== undefined) gauge.set({ log: name }, keyBackup.lastAt / 1000);
    },
  });
}

/** What each log is and counts, read when it is asked for. */
function addLogMetrics(registers: Registry[], hosted: readonly HostedLog[]): void {
  const labelNames = ["log"] as const;
  const read = (set: (log: string, value: number) => void, value: (log: Log) => number): void => {
    for (const { name, log } of hosted) if (log !== undefined) set(name, value(log));
  };
  for (const { name, help, value } of GAUGES) {
    const gauge: Gauge<"log"> = new Gauge({
      name: `tallystick_log_${name}`,
      help,
      labelNames,
      registers,
      collect: () => read((log, number) => gauge.set({ log }, number), value),
    });
  }
  for (const { name, help, value } of COUNTERS) {
    const counter: Counter<"log"> = new Counter({
      name: `tallystick_log_${name}_total`,
      help,
      labelNames,
      registers,
      collect: () => {
        counter.reset();
        read((log, number) => counter.inc({ log }, number), value);
      },
    });
  }
}

interface LogMetric {
  readonly name: string;
  readonly help: string;
  readonly value: (log: Log) => number;
}

const GAUGES: readonly LogMetric[] = [
  { name: "size", help: "Entries that are durable", value: (log) => log.size() },
  { name: "published_size", help: "Entries under the published head", value: (log) => log.publishedSize() },
  { name: "queued_entries", help: "Entries that wait to be sequenced", value: (log) => log.status().queuedEntries },
  { name: "witnesses", help: "Witnesses that are asked", value: (log) => log.status().witnesses.length },
  {
    name: "witnesses_ok",
    help: "Witnesses that cosigned the last head they were asked for",
    value: (log) => log.status().witnesses.filter(({ state }) => state === "ok").length,
  },
];

/** Since the start. */
const COUNTERS: readonly LogMetric[] = [
  { name: "entries", help: "Entries logged", value: (log) => log.counters().entries },
  { name: "commits", help: "Commits", value: (log) => log.counters().commits },
  { name: "duplicates", help: "Events that were there already", value: (log) => log.counters().duplicates },
  { name: "refused", help: "Submissions refused", value: (log) => log.counters().refused },
  { name: "overloaded", help: "Submissions refused for load", value: (log) => log.counters().overloaded },
  { name: "heads", help: "Heads signed", value: (log) => log.counters().heads },
  { name: "cosignatures", help: "Cosignatures received", value: (log) => log.counters().cosignatures },
  { name: "witness_errors", help: "Failed requests to witnesses", value: (log) => log.counters().witnessErrors },
  { name: "reads", help: "Contents read", value: (log) => log.counters().reads },
];
