/** The HTTP application: finds log and route, checks who asks, and turns whatever happens into an answer. */
import { randomBytes, randomUUID } from "node:crypto";
import { type Log, LogError, type Rules } from "@tallystick/log";
import type { Hono } from "hono";
import { acceptedFormat } from "./accept.ts";
import { type Asking, type Authentication, authorize } from "./access.ts";
import { Approvals } from "./approval.ts";
import { Bodies } from "./body.ts";
import { type HostedLog, openedLog } from "./hosted-log.ts";
import { Identities, isPersonId } from "./identity.ts";
import { ServerMetrics } from "./metrics.ts";
import { OWN_PATHS, ownReply } from "./own-routes.ts";
import { ParsedRules } from "./parsed-rules.ts";
import { PROBLEMS, codeOf, problemReply } from "./problem.ts";
import { QueuedReads } from "./queued-reads.ts";
import { type RateLimit, RateLimiter } from "./rate-limit.ts";
import type { Reply, Responder, ServerRequest } from "./http/request.ts";
import { type ServerEnvironment, webApp } from "./http/web-app.ts";
import { findRoute, queryOf } from "./routing.ts";
import { BODY_BYTES_MAX } from "./submission.ts";
import type { SubmissionReader } from "./submission-reader.ts";
import type { TokenFinder } from "./tokens.ts";
import { requireCertificate } from "./tls.ts";

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
  /** Reads large submissions in a thread of its own; by default they are read as all others. */
  readonly submissions?: SubmissionReader;
  /** Fires when the server ends: from then on requests are refused, and bodies that are not whole too. */
  readonly closing?: AbortSignal;
  readonly logger?: ServerLogger;
  /** Knows whom the identity providers in the rules vouch for; by default under a random key, so that ids end with the process. */
  readonly identities?: Identities;
  /** 32 bytes that tickets for a second person are sealed with; by default random, so that none outlives the process. */
  readonly approvalKey?: Uint8Array;
  /** In ms since 1970. */
  readonly now?: () => number;
  /** Of a server that speaks TLS itself: when its certificate ends, in ms since 1970. */
  readonly tls?: { readonly expiresAt: number };
  /** What a writer has to show: a token, or a client certificate besides. */
  readonly writers?: "token" | "certificate";
  /** In ms; of a clock that only goes forward. */
  readonly monotonic?: () => number;
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

/** A year, for this host alone: what else its domain has is not ours to say. RFC 6797 */
const TLS_ONLY = { "strict-transport-security": "max-age=31536000" };

/** Makes the application. It opens no log and closes none. */
export function createServerApp(options: ServerAppOptions): Hono<ServerEnvironment> {
  return webApp(new ServerApp(options));
}

/** Of answers that go on: so soon a revoked token is worth nothing there too. */
const REAUTHORIZE_MS = 15_000;

/** What is seen of a request in the metrics. */
interface Seen {
  readonly beganMs: number;
  /** Of a fixed set, whatever is asked for. */
  route: string;
  code?: string;
}

/** The application itself, whichever way requests come to it. */
export class ServerApp implements Responder {
  readonly #options: ServerAppOptions;
  readonly #metrics: ServerMetrics;
  readonly #limiter: RateLimiter;
  readonly #publicReads = new QueuedReads();
  readonly #largeReads = new QueuedReads();
  readonly #authentication: Authentication;
  readonly #approvals: Approvals;
  readonly #bodies: Bodies;
  readonly #closing: AbortSignal;
  readonly #monotonic: () => number;

  constructor(options: ServerAppOptions) {
    const { logs, rateLimit, closing, bodyTimeoutMs, bodiesBytesMax, monotonic } = options;
    this.#options = options;
    this.#metrics = new ServerMetrics(logs, options.tls);
    this.#limiter = new RateLimiter(rateLimit ?? { requestsPerSecond: 2000, burst: 4000 });
    this.#closing = closing ?? new AbortController().signal;
    const limits = {
      bytesMax: BODY_BYTES_MAX,
      timeoutMs: bodyTimeoutMs ?? 30_000,
      totalBytesMax: bodiesBytesMax ?? 256 * 1024 * 1024,
    };
    this.#bodies = new Bodies(limits, this.#closing);
    this.#authentication = {
      tokens: options.tokens,
      identities: options.identities ?? new Identities({ key: randomBytes(32) }),
      rules: new ParsedRules(),
    };
    this.#approvals = new Approvals({
      key: options.approvalKey ?? randomBytes(32),
      // Of a person whom a provider vouches for nobody here can tell whether it still does.
      mayOrder: (by, log) =>
        isPersonId(by) || options.tokens.valid(log).some(({ id, role }) => id === by && role === "officer"),
      now: options.now ?? Date.now,
    });
    this.#monotonic = monotonic ?? (() => performance.now());
  }

  async respond(request: ServerRequest): Promise<Reply> {
    const seen: Seen = { beganMs: this.#monotonic(), route: "none" };
    const { status, headers, body } = await this.#answer(request, seen);
    const seconds = (this.#monotonic() - seen.beganMs) / 1000;
    this.#metrics.observe({ route: seen.route, code: seen.code, status, seconds });
    const all = {
      ...headers,
      ...SECURITY,
      ...(this.#options.tls === undefined ? {} : TLS_ONLY),
      // Not for what is open to this machine alone: a page in a browser here is no program of the operator's.
      ...(seen.route === "/metrics" ? {} : CORS),
      ...(this.#closing.aborted ? { connection: "close" } : {}),
    };
    if (request.method !== "HEAD") return { status, headers: all, body };
    if (body instanceof ReadableStream) await body.cancel();
    return { status, headers: all, body: undefined };
  }

  async #answer(request: ServerRequest, seen: Seen): Promise<Reply> {
    try {
      return await this.#find(request, seen);
    } catch (error) {
      const code = codeOf(error);
      const id = randomUUID();
      seen.code = code;
      if (PROBLEMS[code].status >= 500)
        this.#options.logger?.warn("a request failed", { id, code, route: seen.route, error: describe(error) });
      return problemReply(error, id);
    }
  }

  async #find(request: ServerRequest, seen: Seen): Promise<Reply> {
    const { path, method } = request;
    if (method === "OPTIONS") {
      seen.route = "preflight";
      return { status: 204, headers: PREFLIGHT, body: undefined };
    }
    if (OWN_PATHS.includes(path)) {
      seen.route = path;
      const { logs } = this.#options;
      return ownReply({ ...this.#authentication, path, request, logs, metrics: this.#metrics });
    }
    return this.#call(request, seen);
  }

  async #call(request: ServerRequest, seen: Seen): Promise<Reply> {
    const { hosted, route, parameter } = findRoute(request.path, request.method, this.#options.logs);
    seen.route = route.path;
    const asking = { ...this.#authentication, hosted, route, parameter, request };
    const credential = await authorize(asking);
    if (credential !== undefined && this.#options.writers === "certificate") requireCertificate(credential, request);
    if (credential !== undefined) this.#limiter.take(credential.id, seen.beganMs);
    const query = queryOf(route, request.search);
    // Before anything is done: a client that cannot read the answer must not have caused something.
    const format = route.answersValue ? acceptedFormat(request.header("accept")) : "json";
    const log = this.#openedLog(hosted);
    const body = this.#bodies.open(request.body);
    try {
      const rules = (): Rules => this.#authentication.rules.of(log);
      const { submissions } = this.#options;
      const approvals = this.#approvals;
      const mayGoOn = this.#repeated(asking);
      const asked = { hosted, log, credential, request, query, parameter, format };
      const call = { ...asked, body, submissions, rules, approvals, mayGoOn };
      if (route.isLarge === true) return await this.#largeReads.with(async () => route.handle(call));
      if (credential !== undefined) return await route.handle(call);
      return await this.#publicReads.with(async () => route.handle(call));
    } finally {
      body.release();
    }
  }

  /** Asks again what was asked at first, now and then. */
  #repeated(asking: Asking): () => Promise<boolean> {
    let askedMs = this.#monotonic();
    return async () => {
      const now = this.#monotonic();
      if (now - askedMs < REAUTHORIZE_MS) return true;
      askedMs = now;
      return authorize(asking).then(
        () => true,
        () => false,
      );
    };
  }

  #openedLog(hosted: HostedLog): Log {
    if (this.#closing.aborted) throw new LogError("log-closed", "the server is closing");
    return openedLog(hosted);
  }
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const told = codeOf(error) === "internal" ? (error.stack ?? String(error)) : `${error.name}: ${error.message}`;
  return `${told}${error.cause === undefined ? "" : `; because of ${describe(error.cause)}`}`;
}
