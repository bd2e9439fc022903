/** The HTTP application: finds log and route, checks who asks, and turns whatever happens into an answer. */
import type { HttpBindings } from "@hono/node-server";
import { Hono } from "hono";
import { ServerError } from "./error.ts";
import { type HostedLog, openedLog, statusOf } from "./hosted-log.ts";
import { ServerMetrics } from "./metrics.ts";
import { LOG_ROUTES, openApiDocument } from "./openapi.ts";
import { PROBLEMS, codeOf, problemResponse } from "./problem.ts";
import { type RateLimit, RateLimiter } from "./rate-limit.ts";
import type { Route } from "./route.ts";
import type { Credential, Tokens } from "./tokens.ts";

export interface ServerLogger {
  warn(message: string, details?: Readonly<Record<string, unknown>>): void;
}

export interface ServerAppOptions {
  readonly logs: readonly HostedLog[];
  readonly tokens: Pick<Tokens, "find">;
  /** 2,000 requests a second and 4,000 at once by default. */
  readonly rateLimit?: RateLimit;
  readonly logger?: ServerLogger;
  /** In ms; of a clock that only goes forward. */
  readonly monotonic?: () => number;
}

type Environment = { Bindings: Partial<HttpBindings> };

const CORS = {
  "access-control-allow-origin": "*",
  "access-control-expose-headers": "etag, retry-after, www-authenticate",
};
const PREFLIGHT = {
  ...CORS,
  "access-control-allow-methods": "GET, HEAD, POST",
  "access-control-allow-headers": "authorization, content-type, accept, last-event-id, if-none-match",
  "access-control-max-age": "86400",
};
const SECURITY = { "x-content-type-options": "nosniff", "referrer-policy": "no-referrer" };

/** Makes the application. It holds no log open and closes none. */
export function createServerApp(options: ServerAppOptions): Hono<Environment> {
  const { logs, logger, monotonic = () => performance.now() } = options;
  const metrics = new ServerMetrics(logs);
  const limiter = new RateLimiter(options.rateLimit ?? { requestsPerSecond: 2000, burst: 4000 });
  const app = new Hono<Environment>();
  const respond = async (request: Request, loopback: boolean): Promise<{ response: Response; label: string }> => {
    const path = new URL(request.url).pathname;
    if (request.method === "OPTIONS")
      return { response: new Response(null, { status: 204, headers: PREFLIGHT }), label: "preflight" };
    const own = await ownRoute({ path, request, loopback, options, metrics });
    if (own !== undefined) return { response: own, label: path };
    const match = findRoute(path, request.method, logs);
    return {
      response: await callRoute({ ...match, request, options, limiter, nowMs: monotonic() }),
      label: match.route.path,
    };
  };
  app.all("*", async (context) => {
    const began = monotonic();
    let label = "none";
    let code: string | undefined;
    let response: Response;
    try {
      ({ response, label } = await respond(context.req.raw, isLoopback(context.env)));
    } catch (error) {
      code = codeOf(error);
      if (PROBLEMS[code as keyof typeof PROBLEMS].status >= 500)
        logger?.warn("a request failed", { code, error: describe(error) });
      response = problemResponse(error);
    }
    for (const [name, value] of Object.entries({ ...CORS, ...SECURITY })) response.headers.set(name, value);
    const observed = { route: label, status: response.status, seconds: (monotonic() - began) / 1000 };
    metrics.observe(code === undefined ? observed : { ...observed, code });
    // Node's adapter sends no body to HEAD; elsewhere it would be sent.
    return context.req.method === "HEAD" ? new Response(null, response) : response;
  });
  return app;
}

function describe(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}

function isLoopback(bindings: Partial<HttpBindings> | undefined): boolean {
  const request = bindings?.incoming;
  const address = request?.socket.remoteAddress ?? "";
  return /^(127\.|::1$|::ffff:127\.)/.test(address) && request?.headers["x-forwarded-for"] === undefined;
}

interface OwnCall {
  readonly path: string;
  readonly request: Request;
  readonly loopback: boolean;
  readonly options: ServerAppOptions;
  readonly metrics: ServerMetrics;
}

/** The routes of the server itself. */
async function ownRoute({ path, request, loopback, options, metrics }: OwnCall): Promise<Response | undefined> {
  if (!["/healthz", "/readyz", "/metrics", "/openapi.json"].includes(path)) return undefined;
  if (!isRead(request.method)) throw notAllowed("GET, HEAD");
  switch (path) {
    case "/healthz":
      return new Response("ok\n", {
        headers: { "content-type": "text/plain; charset=utf-8", "cache-control": "no-store" },
      });
    case "/readyz":
      return readiness(options.logs);
    case "/metrics":
      if (!loopback) requireRole(authenticate(request, options.tokens), ["operator"]);
      return new Response(await metrics.text(), {
        headers: { "content-type": metrics.contentType, "cache-control": "no-store" },
      });
    default:
      return Response.json(openApiDocument(), { headers: { "cache-control": "no-cache" } });
  }
}

function readiness(hosted: readonly HostedLog[]): Response {
  const logs = hosted.map((log) => {
    const { state, reasons } = statusOf(log);
    return { name: log.name, state, reasons };
  });
  const ready = logs.every(({ state }) => state === "ok" || state === "degraded");
  return Response.json({ ready, logs }, { status: ready ? 200 : 503, headers: { "cache-control": "no-store" } });
}

interface Match {
  readonly hosted: HostedLog;
  readonly route: Route;
  readonly parameter: string;
}

/** @throws {ServerError} `log-unknown`, `not-found`, `method-not-allowed` */
function findRoute(path: string, method: string, logs: readonly HostedLog[]): Match {
  const [, name = "", rest = ""] = /^\/([^/]+)\/(.*)$/s.exec(path) ?? [];
  const hosted = logs.find((log) => log.name === name);
  if (hosted === undefined)
    throw new ServerError(rest === "" ? "not-found" : "log-unknown", "there is nothing at this address");
  const matches = LOG_ROUTES.flatMap((route) => {
    const parameter = matchPath(route.path, rest);
    return parameter === undefined ? [] : [{ hosted, route, parameter }];
  });
  const wanted = method === "HEAD" ? "GET" : method;
  const match = matches.find(({ route }) => route.method === wanted);
  if (match !== undefined) return match;
  if (matches.length === 0) throw new ServerError("not-found", "there is nothing at this address");
  throw notAllowed(
    [...new Set(matches.map(({ route }) => (route.method === "GET" ? "GET, HEAD" : route.method)))].join(", "),
  );
}

/** The parameter's text, empty where the route has none; `undefined` where the path is another. */
function matchPath(pattern: string, path: string): string | undefined {
  const brace = pattern.indexOf("{");
  if (brace === -1) return pattern === path ? "" : undefined;
  const prefix = pattern.slice(0, brace);
  return path.startsWith(prefix) && path.length > prefix.length ? path.slice(prefix.length) : undefined;
}

function isRead(method: string): boolean {
  return method === "GET" || method === "HEAD";
}

function notAllowed(allow: string): ServerError {
  return new ServerError("method-not-allowed", `expected ${allow}`, { details: { allow } });
}

interface Call extends Match {
  readonly request: Request;
  readonly options: ServerAppOptions;
  readonly limiter: RateLimiter;
  readonly nowMs: number;
}

async function callRoute({ hosted, route, parameter, request, options, limiter, nowMs }: Call): Promise<Response> {
  const credential = authorize({ hosted, route, request, tokens: options.tokens });
  if (credential !== undefined) limiter.take(credential.id, nowMs);
  const query = queryOf(route, request);
  return await route.handle({
    hosted,
    log: openedLog(hosted),
    credential,
    request,
    query,
    parameter,
    signal: request.signal,
  });
}

/** Deny by default: whoever may is named by the route. Public routes do not look at a token at all. */
function authorize({
  hosted,
  route,
  request,
  tokens,
}: {
  readonly hosted: HostedLog;
  readonly route: Route;
  readonly request: Request;
  readonly tokens: Pick<Tokens, "find">;
}): Credential | undefined {
  if (route.access === "public") return undefined;
  if (hosted.publicEntries && route.path.startsWith("tile/entries/")) return undefined;
  const credential = authenticate(request, tokens);
  if (credential.log !== hosted.name) throw new ServerError("forbidden", "this token is for another log");
  return requireRole(credential, route.access);
}

function requireRole(credential: Credential, roles: readonly string[]): Credential {
  if (roles.includes(credential.role)) return credential;
  throw new ServerError("forbidden", `this asks for the role ${roles.join(" or ")}; the token's is ${credential.role}`);
}

/** @throws {ServerError} `authentication-required` */
function authenticate(request: Request, tokens: Pick<Tokens, "find">): Credential {
  const [, token] = /^Bearer +(\S{1,200})$/i.exec(request.headers.get("authorization") ?? "") ?? [];
  const credential = token === undefined ? undefined : tokens.find(token);
  if (credential !== undefined) return credential;
  throw new ServerError(
    "authentication-required",
    token === undefined ? "expected Authorization: Bearer TOKEN" : "this token is not known",
  );
}

/** @throws {ServerError} `request-malformed`: names the parameter. */
function queryOf(route: Route, request: Request): unknown {
  const parameters = [...new URL(request.url).searchParams];
  const names = parameters.map(([name]) => name);
  if (new Set(names).size < names.length)
    throw new ServerError("request-malformed", "a query parameter stands there twice");
  const parsed = route.query.safeParse(Object.fromEntries(parameters));
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new ServerError("request-malformed", `query ${issue?.path.join(".") ?? ""}: ${issue?.message ?? "not valid"}`);
}
