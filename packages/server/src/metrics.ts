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

  constructor(logs: readonly HostedLog[]) {
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
    addLogGauges(this.#registry, logs);
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
    readonly code?: string;
  }): void {
    this.#requests.inc({ route, status: String(status) });
    this.#duration.observe({ route }, seconds);
    if (code !== undefined) this.#problems.inc({ code });
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  async text(): Promise<string> {
    return await this.#registry.metrics();
  }
}

/** What each log counts and is, read when it is asked for. */
function addLogGauges(registry: Registry, logs: readonly HostedLog[]): void {
  const gauge = (name: string, help: string, read: (log: Log) => number): void => {
    const made: Gauge<"log"> = new Gauge({
      name: `tallystick_log_${name}`,
      help,
      labelNames: ["log"],
      registers: [registry],
      collect: () => {
        for (const hosted of logs) if (hosted.log !== undefined) made.set({ log: hosted.name }, read(hosted.log));
      },
    });
  };
  gauge("size", "Entries that are durable", (log) => log.size());
  gauge("published_size", "Entries under the published head", (log) => log.publishedSize());
  gauge("queued_entries", "Entries that wait to be sequenced", (log) => log.status().queuedEntries);
  gauge("entries_total", "Entries logged since the start", (log) => log.counters().entries);
  gauge("commits_total", "Commits since the start", (log) => log.counters().commits);
  gauge("duplicates_total", "Events that were there already", (log) => log.counters().duplicates);
  gauge("refused_total", "Submissions refused", (log) => log.counters().refused);
  gauge("overloaded_total", "Submissions refused for load", (log) => log.counters().overloaded);
  gauge("heads_total", "Heads signed", (log) => log.counters().heads);
  gauge("cosignatures_total", "Cosignatures received", (log) => log.counters().cosignatures);
  gauge("witness_errors_total", "Failed requests to witnesses", (log) => log.counters().witnessErrors);
  gauge("reads_total", "Contents read", (log) => log.counters().reads);
  gauge(
    "witnesses_ok",
    "Witnesses that cosigned the last head they were asked for",
    (log) => log.status().witnesses.filter(({ state }) => state === "ok").length,
  );
}
