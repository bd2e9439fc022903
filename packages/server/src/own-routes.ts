/** The routes of the server itself: whether it lives, whether it is ready, what it measures, what it offers. */
import { type Authentication, requireOperator } from "./access.ts";
import { type HostedLog, statusOf } from "./hosted-log.ts";
import type { ServerMetrics } from "./metrics.ts";
import { openApiDocument } from "./openapi.ts";
import { toldReason } from "./problem.ts";
import type { Reply, ServerRequest } from "./http/request.ts";
import { notAllowed } from "./routing.ts";

export const OWN_PATHS: readonly string[] = ["/healthz", "/readyz", "/metrics", "/openapi.json"];

export interface OwnCall extends Authentication {
  /** One of {@link OWN_PATHS}. */
  readonly path: string;
  readonly request: ServerRequest;
  readonly logs: readonly HostedLog[];
  readonly metrics: ServerMetrics;
}

const NO_STORE = { "cache-control": "no-store" };

/** @throws {ServerError} `method-not-allowed`, `unauthenticated`, `forbidden` */
export async function ownReply(call: OwnCall): Promise<Reply> {
  const { path, request, metrics } = call;
  if (request.method !== "GET" && request.method !== "HEAD") throw notAllowed("GET, HEAD");
  switch (path) {
    case "/healthz":
      return { status: 200, headers: { ...NO_STORE, "content-type": "text/plain; charset=utf-8" }, body: "ok\n" };
    case "/readyz":
      return readiness(call);
    case "/metrics":
      if (!call.request.isLocal) await requireOperator(request, call);
      return { status: 200, headers: { ...NO_STORE, "content-type": metrics.contentType }, body: await metrics.text() };
    default:
      return documentReply(openApiDocument(), { "cache-control": "no-cache" });
  }
}

/** Ready is a server whose logs all take events. Words that may name files are for operators and this machine. */
async function readiness(call: OwnCall): Promise<Reply> {
  const all = call.request.isLocal || (await isOperator(call));
  const logs = call.logs.map((log) => {
    const { state, reasons } = statusOf(log);
    return { name: log.name, state, reasons: all ? reasons : reasons.map(toldReason) };
  });
  const ready = logs.every(({ state }) => state === "ok" || state === "degraded");
  return { ...documentReply({ ready, logs }, NO_STORE), status: ready ? 200 : 503 };
}

async function isOperator(call: OwnCall): Promise<boolean> {
  return requireOperator(call.request, call).then(
    () => true,
    () => false,
  );
}

function documentReply(value: unknown, headers: Readonly<Record<string, string>>): Reply {
  return { status: 200, headers: { ...headers, "content-type": "application/json" }, body: JSON.stringify(value) };
}
