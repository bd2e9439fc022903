/** The routes of the server itself: whether it lives, whether it is ready, what it measures, what it offers. */
import { authenticate, isOperator, requireRole } from "./access.ts";
import { type HostedLog, statusOf } from "./hosted-log.ts";
import type { ServerMetrics } from "./metrics.ts";
import { openApiDocument } from "./openapi.ts";
import { toldReason } from "./problem.ts";
import { notAllowed } from "./routing.ts";
import type { TokenFinder } from "./tokens.ts";

export const OWN_PATHS: readonly string[] = ["/healthz", "/readyz", "/metrics", "/openapi.json"];

export interface OwnCall {
  /** One of {@link OWN_PATHS}. */
  readonly path: string;
  readonly request: Request;
  /** Whether a program on this machine asks. */
  readonly local: boolean;
  readonly logs: readonly HostedLog[];
  readonly tokens: TokenFinder;
  readonly metrics: ServerMetrics;
}

const NO_STORE = { "cache-control": "no-store" };

/** @throws {ServerError} `method-not-allowed`, `unauthenticated`, `forbidden` */
export async function ownResponse(call: OwnCall): Promise<Response> {
  const { path, request, metrics } = call;
  if (request.method !== "GET" && request.method !== "HEAD") throw notAllowed("GET, HEAD");
  switch (path) {
    case "/healthz":
      return new Response("ok\n", { headers: { ...NO_STORE, "content-type": "text/plain; charset=utf-8" } });
    case "/readyz":
      return readiness(call);
    case "/metrics":
      if (!call.local) requireRole(authenticate(request, call.tokens), ["operator"]);
      return new Response(await metrics.text(), { headers: { ...NO_STORE, "content-type": metrics.contentType } });
    default:
      return Response.json(openApiDocument(), { headers: { "cache-control": "no-cache" } });
  }
}

/** Ready is a server whose logs all take events. Words that may name files are for operators and this machine. */
function readiness(call: OwnCall): Response {
  const all = isOperator(call.request, call);
  const logs = call.logs.map((log) => {
    const { state, reasons } = statusOf(log);
    return { name: log.name, state, reasons: all ? reasons : reasons.map(toldReason) };
  });
  const ready = logs.every(({ state }) => state === "ok" || state === "degraded");
  return Response.json({ ready, logs }, { status: ready ? 200 : 503, headers: NO_STORE });
}
