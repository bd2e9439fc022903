/** Sessions for Hono 4, on Node or wherever it runs. */
import { type Context, Hono, type MiddlewareHandler } from "hono";
import { HTTPException } from "hono/http-exception";
import { type GuardOptions, STATUS_HEADERS, assertGuard, assertSessions, guardRequest, headersAfter } from "./http.ts";
import { ENDPOINTS, type EndpointName, answerEndpoint } from "./http-endpoints.ts";
import {
  type EndSessionOptions,
  type Exchange,
  type ReauthSessionOptions,
  type StartSessionOptions,
  endOn,
  reauthOn,
  startOn,
} from "./http-exchange.ts";
import { type HttpHeaders, type Refusal, refusalOfError } from "./http-problem.ts";
import { liveConnections } from "./live-connections.ts";
import type { RequestFacts } from "./request-facts.ts";
import {
  type AuditLog,
  type AuditOptions,
  type RequestAudit,
  type RequestState,
  auditOfRequest,
  auditSettings,
  beginAudit,
  passOn,
  requestState,
  sessionOfRequest,
} from "./request-state.ts";
import type { SessionInfo, Sessions, Started } from "./sessions.ts";

export type { GuardOptions } from "./http.ts";
export type { AuditLog, AuditOptions, RequestAudit } from "./request-state.ts";
export { guardUpgrade } from "./websocket.ts";

/**
 * Gives every request its way to the log, {@link auditOf}, and says how its address and its cookie are read. Use it first.
 *
 * @throws {TypeError | RangeError} An option is not what it should be.
 */
export function audit(log: AuditLog, options: AuditOptions = {}): MiddlewareHandler {
  const settings = auditSettings(log, options);
  return async (context, next) => {
    beginAudit(context, factsOf(context), { log, settings });
    // better-auth is handed no more than this, on which no address is.
    passOn(context, context.req.raw);
    await next();
  };
}

/**
 * Lets through only requests of a session that is alive, {@link sessionOf}; refuses all others itself.
 *
 * @throws {TypeError | RangeError} An option is not what it should be.
 */
export function guard(sessions: Sessions, options: GuardOptions = {}): MiddlewareHandler {
  assertGuard(sessions, options);
  return async (context, next) => {
    const state = stateOf(context);
    const answer = await guardRequest(sessions, state, options);
    if (!answer.served) return refuse(answer);
    await next();
    // Not before: what a handler answers as a Response of its own would lack them.
    // What a session opens gets into no cache, where it would be shown after the end, unless the application says otherwise.
    const uncached = context.res.headers.has("cache-control") ? [] : [["cache-control", "no-store"] as const];
    addHeaders(context, [...uncached, ...headersAfter(state, answer)]);
    closeWithSession(sessions, answer.session, context);
    return undefined;
  };
}

/** Answers `GET /`, `POST /extend`, `POST /warned` and `POST /end` for the browser part: `app.route("/session", …)`. */
export function sessionRoutes(sessions: Sessions): Hono {
  assertSessions("sessionRoutes", sessions);
  const routes = new Hono();
  for (const [name, { method, path }] of Object.entries(ENDPOINTS)) {
    routes.on(method, path, async (context) => {
      const { status, headers, body } = await answerEndpoint(sessions, stateOf(context), name as EndpointName);
      return new Response(body === undefined ? null : JSON.stringify(body), {
        status,
        headers: headersOf([["content-type", "application/json"], ...headers]),
      });
    });
  }
  return routes;
}

/** Begins a session for whoever just signed in: its token is set as a cookie. @throws {SessionError} */
export async function startSession(context: Context, options: StartSessionOptions): Promise<Started> {
  return startOn(exchangeOf(context), options);
}

/**
 * Tells that the user showed again who he is, or tried in vain.
 *
 * @throws {HTTPException} The session is over; it bears the answer.
 */
export async function reauthSession(context: Context, options: ReauthSessionOptions): Promise<SessionInfo> {
  return reauthOn(exchangeOf(context), options);
}

/** Ends the request's session, if it has one, and removes its cookie. @throws {SessionError} */
export async function endSession(context: Context, options: EndSessionOptions): Promise<void> {
  await endOn(exchangeOf(context), options);
}

/** The way to the log for a request. @throws {TypeError} {@link audit} is not before it. */
export function auditOf(context: Context): RequestAudit {
  return auditOfRequest(context);
}

/** The session of a request. @throws {TypeError} {@link guard} is not before it. */
export function sessionOf(context: Context): SessionInfo {
  return sessionOfRequest(context);
}

/** Answers the errors of sessions and of the log, such as 503 `audit-unavailable`: `app.onError(problems)`. */
export function problems(error: Error, context: Context): Response {
  const refused = refusalOfError(error);
  if (refused !== undefined) return refuse(refused);
  if (error instanceof HTTPException) return error.getResponse();
  // oxlint-disable-next-line no-console -- as Hono's own handler does, whose place this takes
  console.error(error);
  return context.text("Internal Server Error", 500);
}

function exchangeOf(context: Context): Exchange<never> {
  return {
    state: stateOf(context),
    setHeaders: (headers) => {
      for (const name of STATUS_HEADERS) context.header(name, undefined);
      setHeaders(context, headers);
    },
    refuse: (refusal) => {
      throw new HTTPException(refusal.status, { res: refuse(refusal) });
    },
  };
}

function stateOf(context: Context): RequestState {
  return requestState(context, () => factsOf(context));
}

/** What @hono/node-server gives; elsewhere it is not there, and nobody knows the address. */
interface NodeBindings {
  readonly incoming?: { readonly socket?: { readonly remoteAddress?: string; readonly encrypted?: boolean } };
}

function factsOf({ req, env }: Context): RequestFacts {
  const socket = (env as NodeBindings | undefined)?.incoming?.socket;
  return {
    method: req.method,
    path: req.path,
    header: (name) => req.header(name),
    peer: socket?.remoteAddress,
    encrypted: socket?.encrypted === true || (socket === undefined && req.url.startsWith("https:")),
  };
}

function headersOf(headers: HttpHeaders): Headers {
  const all = new Headers();
  for (const [name, value] of headers) {
    if (name === "set-cookie") all.append(name, value);
    else all.set(name, value);
  }
  return all;
}

function setHeaders(context: Context, headers: HttpHeaders): void {
  for (const [name, value] of headers) context.header(name, value, { append: name === "set-cookie" });
}

/**
 * To the answer that is there: `context.header` would make it anew, which costs a request ten times what the guard does. But
 * one with a token is made anew: an answer that the application has for all requests must not keep it.
 */
function addHeaders(context: Context, added: HttpHeaders): void {
  const { headers } = context.res;
  try {
    if (added.every(([name]) => name === "cache-control" || STATUS_HEADERS.includes(name))) {
      if (added.some(([name]) => STATUS_HEADERS.includes(name)))
        for (const name of STATUS_HEADERS) headers.delete(name);
      for (const [name, value] of added) headers.set(name, value);
      return;
    }
  } catch {
    // Of what fetch() gave nothing can be changed: it is made anew too.
  }
  setHeaders(context, added);
}

function refuse({ status, headers, problem }: Refusal): Response {
  return new Response(JSON.stringify(problem), { status, headers: headersOf(headers) });
}

/** Ends an answer that is an event stream when its session is over. Any other may be finished. */
function closeWithSession(sessions: Sessions, session: SessionInfo, context: Context): void {
  const { res } = context;
  // In this order: to ask for the body takes Node's adapter its short cut.
  if (!/^text\/event-stream\b/i.test(res.headers.get("content-type") ?? "") || res.body === null) return;
  const body = endable(res.body, (close) => liveConnections(sessions).add({ session, isLive: () => true, close }));
  context.res = new Response(body, res);
}

/** The same stream, which `watch` may end at any time. */
function endable(body: ReadableStream<Uint8Array>, watch: (end: () => void) => () => void): ReadableStream<Uint8Array> {
  const reader = body.getReader();
  let stop: (() => void) | undefined;
  let isOver = false;
  /** However it ends, it is not looked after any more: what has ended cannot be ended again. */
  const over = (): void => {
    isOver = true;
    stop?.();
  };
  return new ReadableStream<Uint8Array>({
    start(controller) {
      stop = watch(() => {
        if (isOver) return;
        over();
        controller.close();
        // Whoever writes to it gets to know.
        void reader.cancel().catch(() => undefined);
      });
    },
    async pull(controller) {
      const { done, value } = await reader.read().catch((error: unknown) => {
        over();
        throw error;
      });
      if (isOver) return;
      if (!done) {
        controller.enqueue(value);
        return;
      }
      over();
      controller.close();
    },
    async cancel(reason) {
      over();
      await reader.cancel(reason);
    },
  });
}
