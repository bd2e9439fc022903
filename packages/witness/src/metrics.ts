/** Counts of what a witness did, and how its logs stand, in the text format of Prometheus. */
import type { WitnessStatus } from "./witness.ts";

/** Counts answers. */
export class RequestCounter {
  readonly #counts = new Map<string, number>();

  count(endpoint: string, status: number): void {
    const labels = `endpoint="${endpoint}",status="${status}"`;
    this.#counts.set(labels, (this.#counts.get(labels) ?? 0) + 1);
  }

  get entries(): Iterable<readonly [labels: string, count: number]> {
    return this.#counts;
  }
}

/** Formats all metrics. */
export function formatMetrics(
  counter: RequestCounter,
  status: WitnessStatus,
  tls?: { readonly expiresAt: number },
): string {
  const logs = status.logs.flatMap(({ origin, size, time }) =>
    size === undefined || time === undefined ? [] : [{ labels: `origin="${escapeLabel(origin)}"`, size, time }],
  );
  const reasons = status.reasons.map(
    ({ origin, code }) => [`origin="${escapeLabel(origin)}",code="${code}"`, 1] as const,
  );
  return [
    family("tallystick_witness_requests_total", "counter", "Answers, by endpoint and status.", counter.entries),
    family("tallystick_witness_ready", "gauge", "1 when checkpoints are being cosigned.", [["", isUp(status) ? 1 : 0]]),
    family("tallystick_witness_evidence_files", "gauge", "Files of evidence against logs.", [["", status.evidence]]),
    family(
      "tallystick_witness_log_size",
      "gauge",
      "Tree size cosigned last.",
      logs.map(({ labels, size }) => [labels, size]),
    ),
    family(
      "tallystick_witness_log_time_seconds",
      "gauge",
      "Time of the last cosignature.",
      logs.map(({ labels, time }) => [labels, time]),
    ),
    family(
      "tallystick_witness_list_logs",
      "gauge",
      "Logs that a list names; 0 for a list that cannot be used.",
      status.lists.map(({ path, logs: count }) => [`path="${escapeLabel(path)}"`, count ?? 0]),
    ),
    family("tallystick_witness_log_trouble", "gauge", "1 for a log that is not cosigned for.", reasons),
    ...(tls === undefined ? [] : [tlsFamily(tls)]),
  ].join("");
}

function tlsFamily({ expiresAt }: { readonly expiresAt: number }): string {
  const help = "When the TLS certificate in use ends, in seconds since 1970.";
  return family("tallystick_witness_tls_certificate_expiry_seconds", "gauge", help, [["", expiresAt / 1000]]);
}

/** Whether checkpoints are being cosigned, of some logs at least. */
export function isUp({ state }: WitnessStatus): boolean {
  return state === "ready" || state === "degraded";
}

function family(
  name: string,
  type: "counter" | "gauge",
  help: string,
  samples: Iterable<readonly [labels: string, value: number | bigint]>,
): string {
  const lines = [...samples].map(([labels, value]) => `${name}${labels === "" ? "" : `{${labels}}`} ${value}\n`);
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join("")}`;
}

function escapeLabel(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");
}
