/** Sessions for Fastify 5: hooks for `onRequest`, a plugin for the browser part, an error handler. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { type GuardOptions, STATUS_HEADERS, assertGuard, assertSessions, guardRequest } from "./http.ts";
import { ENDPOINTS, type EndpointAnswer, type EndpointName, answerEndpoint } from "./http-endpoints.ts";
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
import { closeWithSession, nodeFacts, setSessionHeaders, setUncached } from "./node-request.ts";
import {
  type AuditLog,
  type AuditOptions,
  type RequestAudit,
  type RequestState,
  auditOfRequest,
  auditSettings,
  beginAudit,
  requestState,
  sessionOfRequest,
} from "./request-state.ts";
import type { SessionInfo, Sessions, Started } from "./sessions.ts";

export type { GuardOptions } from "./http.ts";
export type { AuditLog, AuditOptions, RequestAudit } from "./request-state.ts";
export { guardUpgrade } from "./websocket.ts";

/** What of Fastify's requests is needed. */
export interface FastifyRequestLike {
  readonly raw: IncomingMessage;
}

/** What of Fastify's replies is needed. */
export interface FastifyReplyLike {
  readonly raw: ServerResponse;
  code(status: number): unknown;
  header(name: string, value: string): unknown;
  removeHeader(name: string): unknown;
  hasHeader(name: string): boolean;
  send(payload?: unknown): unknown;
}

/** What of a Fastify instance is needed. */
export interface FastifyLike {
  route(options: {
    method: string;
    url: string;
    handler: (request: FastifyRequestLike, reply: FastifyReplyLike) => Promise<unknown>;
  }): unknown;
}

export type FastifyHook = (request: FastifyRequestLike, reply: FastifyReplyLike) => Promise<unknown>;

/**
 * Gives every request its way to the log, {@link auditOf}, and says how its address and its cookie are read. A hook for
 * `onRequest`, before all others.
 *
 * @throws {TypeError | RangeError} An option is not what it should be.
 */
export function audit(log: AuditLog, options: AuditOptions = {}): FastifyHook {
  const settings = auditSettings(log, options);
  return async ({ raw }) => {
    beginAudit(raw, nodeFacts(raw), { log, settings });
  };
}

/**
 * Lets through only requests of a session that is alive, {@link sessionOf}; refuses all others itself. A hook for
 * `onRequest`, of an instance or of a route.
 *
 * @throws {TypeError | RangeError} An option is not what it should be.
 */
export function guard(sessions: Sessions, options: GuardOptions = {}): FastifyHook {
  assertGuard(sessions, options);
  return async (request, reply) => {
    const exchange = exchangeOf(request, reply);
    const answer = await guardRequest(sessions, exchange.state, options);
    if (!answer.served) {
      exchange.refuse(answer);
      return reply;
    }
    if (!reply.hasHeader("cache-control")) reply.header("cache-control", "no-store");
    setUncached(reply.raw);
    exchange.setHeaders(answer.headers);
    closeWithSession(sessions, answer.session, reply.raw);
    return undefined;
  };
}

/** A plugin that answers `GET /`, `POST /extend`, `POST /warned` and `POST /end` for the browser part, below its prefix. */
export function sessionRoutes(sessions: Sessions): (app: FastifyLike) => Promise<void> {
  assertSessions("sessionRoutes", sessions);
  return async (app) => {
    for (const [name, { method, path }] of Object.entries(ENDPOINTS)) {
      app.route({
        method,
        url: path,
        handler: async (request, reply) => {
          const answer = await answerEndpoint(sessions, stateOf(request), name as EndpointName);
          setHeaders(reply, []);
          return sendJson(reply, { ...answer, headers: [["content-type", "application/json"], ...answer.headers] });
        },
      });
    }
  };
}

/** Begins a session for whoever just signed in: its token is set as a cookie. @throws {SessionError} */
export async function startSession(
  request: FastifyRequestLike,
  reply: FastifyReplyLike,
  options: StartSessionOptions,
): Promise<Started> {
  return startOn(exchangeOf(request, reply), options);
}

/** Tells that the user showed again who he is, or tried in vain. Refuses itself, and gives `undefined`, where the session is over. */
export async function reauthSession(
  request: FastifyRequestLike,
  reply: FastifyReplyLike,
  options: ReauthSessionOptions,
): Promise<SessionInfo | undefined> {
  return reauthOn(exchangeOf(request, reply), options);
}

/** Ends the request's session, if it has one, and removes its cookie. @throws {SessionError} */
export async function endSession(
  request: FastifyRequestLike,
  reply: FastifyReplyLike,
  options: EndSessionOptions,
): Promise<void> {
  await endOn(exchangeOf(request, reply), options);
}

/** The way to the log for a request. @throws {TypeError} {@link audit} is not before it. */
export function auditOf({ raw }: FastifyRequestLike): RequestAudit {
  return auditOfRequest(raw);
}

/** The session of a request. @throws {TypeError} {@link guard} is not before it. */
export function sessionOf({ raw }: FastifyRequestLike): SessionInfo {
  return sessionOfRequest(raw);
}

/** Answers the errors of sessions and of the log, such as 503 `audit-unavailable`; for `setErrorHandler`. */
export function problems(error: unknown, _request: FastifyRequestLike, reply: FastifyReplyLike): unknown {
  const refused = refusalOfError(error);
  // What is thrown here goes to the handler around this one, and in the end to Fastify's own.
  if (refused === undefined) throw error;
  return sendRefusal(reply, refused);
}

/** In the place of what an answer before said. Also on the raw answer, for streams that are written past Fastify. */
function setHeaders(reply: FastifyReplyLike, headers: HttpHeaders): void {
  for (const name of STATUS_HEADERS) reply.removeHeader(name);
  for (const [name, value] of headers) reply.header(name, value);
  setSessionHeaders(reply.raw, headers);
}

function sendRefusal(reply: FastifyReplyLike, { status, headers, problem }: Refusal): FastifyReplyLike {
  return sendJson(reply, { status, headers, body: problem });
}

/** As bytes, so that no serializer of the route's changes them. */
function sendJson(reply: FastifyReplyLike, { status, headers, body }: EndpointAnswer): FastifyReplyLike {
  reply.code(status);
  for (const [name, value] of headers) reply.header(name, value);
  reply.send(body === undefined ? undefined : Buffer.from(JSON.stringify(body)));
  return reply;
}

function exchangeOf(request: FastifyRequestLike, reply: FastifyReplyLike): Exchange<undefined> {
  return {
    state: stateOf(request),
    setHeaders: (headers) => setHeaders(reply, headers),
    refuse: (refusal) => {
      setHeaders(reply, []);
      sendRefusal(reply, refusal);
      return undefined;
    },
  };
}

function stateOf({ raw }: FastifyRequestLike): RequestState {
  return requestState(raw, () => nodeFacts(raw));
}
