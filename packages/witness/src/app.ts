/**
 * A witness over HTTP. c2sp.org/tlog-witness fixes paths, statuses, and the bodies of 200 and 409.
 *
 * One app serves both the submission prefix and the monitoring prefix, at its root.
 */
import { randomBytes } from "node:crypto";
import { type Context, Hono } from "hono";
import { type BodyLimits, readBody } from "./body.ts";
import { WitnessError, messageOf } from "./error.ts";
import { type WitnessLogger, silentLogger } from "./logger.ts";
import { RequestCounter, formatMetrics, isUp } from "./metrics.ts";
import { type ProblemCode, problemResponse } from "./problem.ts";
import type { Answer, Witness } from "./witness.ts";

export interface WitnessAppOptions {
  /** Default 131072: a checkpoint with 16 post-quantum signature lines, and a proof. */
  readonly bodyBytesMax?: number;
  /** For one body. Default 10000. */
  readonly bodyTimeoutMs?: number;
  /** Requests with a body that are under way. Default 512. */
  readonly requestsMax?: number;
  /** Default: that of `node:crypto`. */
  readonly random?: (size: number) => Uint8Array;
  /** Default: nobody is told. */
  readonly logger?: WitnessLogger;
  /** Where the app is served over TLS: when the certificate ends, in ms since 1970. */
  readonly tls?: { readonly expiresAt: number };
}

const TEXT = "text/plain; charset=utf-8";
const REQUEST_ID_BYTES = 16;
/** A year, for this host alone. RFC 6797 */
const HSTS = "max-age=31536000";

/** Makes the app. It owns nothing: close the witness yourself. */
export function createWitnessApp(witness: Witness, options: WitnessAppOptions = {}): Hono {
  const { logger = silentLogger, random = randomBytes, tls } = options;
  const counter = new RequestCounter();
  const problem = (code: ProblemCode, detail: string, headers: Readonly<Record<string, string>> = {}): Response =>
    problemResponse({ code, detail, headers }, random(REQUEST_ID_BYTES));
  const post = submissions({ options, problem });
  const app = new Hono();

  app.use(async (context, next) => {
    await next();
    if (tls !== undefined) context.res.headers.set("Strict-Transport-Security", HSTS);
    counter.count(endpointOf(context), context.res.status);
  });
  app.post("/add-checkpoint", (context) => post(context, (body) => witness.addCheckpoint(body)));
  app.post("/sign-subtree", (context) => post(context, (body) => witness.signSubtree(body)));
  app.get("/:hash/checkpoint", (context) =>
    latestCheckpoint(witness.latestCheckpoint(context.req.param("hash")), problem),
  );
  app.get("/healthz", () => textResponse("ok\n"));
  app.get("/readyz", () => readiness(witness));
  app.get("/metrics", () =>
    textResponse(formatMetrics(counter, witness.status(), tls), "text/plain; version=0.0.4; charset=utf-8"),
  );

  for (const path of ["/add-checkpoint", "/sign-subtree"]) app.all(path, () => wrongMethod("POST", problem));
  for (const path of ["/:hash/checkpoint", "/healthz", "/readyz", "/metrics"]) {
    app.all(path, () => wrongMethod("GET, HEAD", problem));
  }
  app.notFound(() => problem("not-found", "this witness has nothing at this path"));
  app.onError((error) => {
    logger.error("failed to answer a request", { error: messageOf(error) });
    return problem("internal", "");
  });
  return app;
}

type MakeProblem = (code: ProblemCode, detail: string, headers?: Readonly<Record<string, string>>) => Response;
type Submit = (body: Uint8Array) => Promise<Answer>;

/** Takes requests with a body, so many at a time. */
function submissions({ options, problem }: { readonly options: WitnessAppOptions; readonly problem: MakeProblem }) {
  const { requestsMax = 512, bodyBytesMax: bytesMax = 131_072, bodyTimeoutMs: timeoutMs = 10_000 } = options;
  const limits: BodyLimits = { bytesMax, timeoutMs };
  let underWay = 0;
  return async (context: Context, submit: Submit): Promise<Response> => {
    if (underWay >= requestsMax) return problem("witness-overloaded", "", { Connection: "close" });
    underWay += 1;
    try {
      return answerResponse(await submit(await readBody(context.req.raw, limits)), problem);
    } catch (cause) {
      if (!(cause instanceof WitnessError)) throw cause;
      // What is left of the body will not be read, so the connection is of no more use.
      return problem(cause.code as ProblemCode, cause.message, { Connection: "close" });
    } finally {
      underWay -= 1;
    }
  };
}

function answerResponse(answer: Answer, problem: MakeProblem): Response {
  if (answer.kind === "signed") return textResponse(answer.lines);
  const { code, message, size, retryAfterSeconds } = answer;
  if (code !== "checkpoint-conflict") {
    return problem(code, message, retryAfterSeconds === undefined ? {} : { "Retry-After": String(retryAfterSeconds) });
  }
  // The protocol's own: nothing but the size.
  return new Response(`${size ?? 0n}\n`, {
    status: 409,
    headers: { "Content-Type": "text/x.tlog.size", "Cache-Control": "no-store" },
  });
}

function latestCheckpoint(note: string | undefined, problem: MakeProblem): Response {
  if (note === undefined)
    return problem("not-found", "this witness has cosigned no checkpoint with such an origin hash");
  const response = textResponse(note);
  response.headers.set("Cache-Control", "no-cache");
  response.headers.set("Access-Control-Allow-Origin", "*");
  return response;
}

function readiness(witness: Witness): Response {
  const status = witness.status();
  const { name, state, reasons, evidence } = status;
  const logs = status.logs.filter(({ configured }) => configured).length;
  const body = `${JSON.stringify({ name, state, reasons, logs, evidence })}\n`;
  const headers = { "Content-Type": "application/json", "Cache-Control": "no-store" };
  return new Response(body, { status: isUp(status) ? 200 : 503, headers });
}

function wrongMethod(allow: string, problem: MakeProblem): Response {
  return problem("method-not-allowed", `expected ${allow}`, { Allow: allow });
}

function textResponse(body: string, type: string = TEXT): Response {
  return new Response(body, { headers: { "Content-Type": type, "Cache-Control": "no-store" } });
}

/** A bounded set of names, whatever paths are asked for. */
function endpointOf({ req }: Context): string {
  const { path } = req;
  if (path.endsWith("/checkpoint")) return "checkpoint";
  return ["/add-checkpoint", "/sign-subtree", "/healthz", "/readyz", "/metrics"].includes(path)
    ? path.slice(1)
    : "other";
}
