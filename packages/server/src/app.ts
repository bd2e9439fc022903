/** The HTTP application: finds log and route, checks who asks, and turns whatever happens into an answer. */
import { randomUUID } from "node:crypto";
import type { HttpBindings } from "@hono/node-server";
import { type Log, LogError } from "@tallystick/log";
import { Hono } from "hono";
import { acceptedFormat } from "./accept.ts";
import { authorize, isLocal } from "./access.ts";
import { Bodies } from "./body.ts";
import { type HostedLog, openedLog } from "./hosted-log.ts";
import { ServerMetrics } from "./metrics.ts";
import { OWN_PATHS, ownResponse } from "./own-routes.ts";
import { PROBLEMS, codeOf, problemResponse } from "./problem.ts";
import { type RateLimit, RateLimiter } from "./rate-limit.ts";
import { type Match, findRoute, queryOf } from "./routing.ts";
import { BODY_BYTES_MAX } from "./submission.ts";
import type { TokenFinder } from "./tokens.ts";

export interface ServerLogger {
  warn(message: string, details?: Readonly<Record<string, unknown>>): void;
}

export interface ServerAppOptions {
  readonly logs: readonly HostedLog[];
  readonly tokens: TokenFinder;
  /** 2,000 requests a second and 4,000 at once by default. */
  readonly rateLimit?: RateLimit;
  /** For one body to arrive; 30,000 by default. */
  readonly bodyTimeoutMs?: number;
  /** Of all bodies under way; 256 MiB by default. */
  readonly bodiesBytesMax?: number;
  /** Fires when the server ends: from then on requests are refused, and bodies that are not whole too. */
  readonly closing?: AbortSignal;
  readonly logger?: ServerLogger;
  /** In ms; of a clock that only goes forward. */
  readonly monotonic?: () => number;
}

export interface ServerEnvironment {
  Bindings: Partial<HttpBindings>;
}

const CORS = {
  "access-control-allow-origin": "*",
  "access-control-expose-headers": "etag, retry-after, www-authenticate, content-range, accept-ranges",
};
const PREFLIGHT = {
  ...CORS,
  "access-control-allow-methods": "GET, HEAD, POST",
  "access-control-allow-headers": "authorization, content-type, accept, last-event-id, if-none-match, if-range, range",
  "access-control-max-age": "86400",
};
const SECURITY = {
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
};

/** Makes the application. It opens no log and closes none. */
export function createServerApp(options: ServerAppOptions): Hono<ServerEnvironment> {
  const app = new Hono<ServerEnvironment>();
  const server = new ServerApp(options);
  app.all("*", async (context) => server.respond(context.req.raw, isLocal(context.env)));
  return app;
}

/** What is seen of a request in the metrics. */
interface Seen {
  /** Of a fixed set, whatever is asked for. */
  route: string;
  code?: string;
}

class ServerApp {
  readonly #options: ServerAppOptions;
  readonly #metrics: ServerMetrics;
  readonly #limiter: RateLimiter;
  readonly #bodies: Bodies;
  readonly #closing: AbortSignal;
  readonly #monotonic: () => number;

  constructor(options: ServerAppOptions) {
    const { logs, rateLimit, closing, bodyTimeoutMs, bodiesBytesMax, monotonic } = options;
    this.#options = options;
    this.#metrics = new ServerMetrics(logs);
    this.#limiter = new RateLimiter(rateLimit ?? { requestsPerSecond: 2000, burst: 4000 });
    this.#closing = closing ?? new AbortController().signal;
    const limits = {
      bytesMax: BODY_BYTES_MAX,
      timeoutMs: bodyTimeoutMs ?? 30_000,
      totalBytesMax: bodiesBytesMax ?? 256 * 1024 * 1024,
    };
    this.#bodies = new Bodies(limits, this.#closing);
    this.#monotonic = monotonic ?? (() => performance.now());
  }

  async respond(request: Request, local: boolean): Promise<Response> {
    const began = this.#monotonic();
    const seen: Seen = { route: "none" };
    const response = await this.#answer(request, local, seen);
    this.#metrics.observe({ ...seen, status: response.status, seconds: (this.#monotonic() - began) / 1000 });
    for (const [name, value] of Object.entries(SECURITY)) response.headers.set(name, value);
    // Not for what is open to this machine alone: a page in a browser here is no program of the operator's.
    if (seen.route !== "/metrics") for (const [name, value] of Object.entries(CORS)) response.headers.set(name, value);
    if (this.#closing.aborted) response.headers.set("connection", "close");
    if (request.method !== "HEAD") return response;
    await response.body?.cancel();
    return new Response(null, response);
  }

  async #answer(request: Request, local: boolean, seen: Seen): Promise<Response> {
    try {
      return await this.#handle(request, local, seen);
    } catch (error) {
      const code = codeOf(error);
      const id = randomUUID();
      seen.code = code;
      if (PROBLEMS[code].status >= 500)
        this.#options.logger?.warn("a request failed", { id, code, route: seen.route, error: describe(error) });
      return problemResponse(error, id);
    }
  }

  async #handle(request: Request, local: boolean, seen: Seen): Promise<Response> {
    const path = new URL(request.url).pathname;
    if (request.method === "OPTIONS") {
      seen.route = "preflight";
      return new Response(null, { status: 204, headers: PREFLIGHT });
    }
    if (OWN_PATHS.includes(path)) {
      seen.route = path;
      const { logs, tokens } = this.#options;
      return ownResponse({ path, request, local, logs, tokens, metrics: this.#metrics });
    }
    const match = findRoute(path, request.method, this.#options.logs);
    seen.route = match.route.path;
    return this.#call(request, match);
  }

  async #call(request: Request, match: Match): Promise<Response> {
    const { hosted, route, parameter } = match;
    const credential = authorize({ hosted, route, request, tokens: this.#options.tokens });
    if (credential !== undefined) this.#limiter.take(credential.id, this.#monotonic());
    const query = queryOf(route, request);
    // Before anything is done: a client that cannot read the answer must not have caused something.
    const answersValue = Object.values(route.answers).some(({ schema }) => schema !== undefined);
    const format = answersValue ? acceptedFormat(request.headers.get("accept")) : "json";
    const log = this.#openedLog(hosted);
    const { signal } = request;
    return this.#bodies.with(request, async (readBody) =>
      route.handle({ hosted, log, credential, request, query, parameter, format, readBody, signal }),
    );
  }

  #openedLog(hosted: HostedLog): Log {
    if (this.#closing.aborted) throw new LogError("log-closed", "the server is closing");
    return openedLog(hosted);
  }
}

/** What is unforeseen is told with where it happened: nothing else says it. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const told = codeOf(error) === "internal" ? (error.stack ?? String(error)) : `${error.name}: ${error.message}`;
  return `${told}${error.cause === undefined ? "" : `; because of ${describe(error.cause)}`}`;
}
