/** Sessions for Express 5, and whatever else takes `(request, response, next)`. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { type GuardAnswer, type GuardOptions, assertGuard, assertSessions, guardRequest } from "./http.ts";
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
import { type Refusal, refusalOfError } from "./http-problem.ts";
import {
  type NodeRequest,
  closeWithSession,
  nodeFacts,
  setNodeHeaders,
  setSessionHeaders,
  setUncached,
} from "./node-request.ts";
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

type Next = (error?: unknown) => void;

/** What Express takes as a handler. */
export type ExpressHandler = (request: IncomingMessage, response: ServerResponse, next: Next) => void;
export type ExpressErrorHandler = (
  error: unknown,
  request: IncomingMessage,
  response: ServerResponse,
  next: Next,
) => void;

/**
 * Gives every request its way to the log, {@link auditOf}, and says how its address and its cookie are read. Use it first.
 *
 * @throws {TypeError | RangeError} An option is not what it should be.
 */
export function audit(log: AuditLog, options: AuditOptions = {}): ExpressHandler {
  const settings = auditSettings(log, options);
  return (request, _response, next) => {
    beginAudit(request, nodeFacts(request), { log, settings });
    next();
  };
}

/**
 * Lets through only requests of a session that is alive, {@link sessionOf}; refuses all others itself.
 *
 * @throws {TypeError | RangeError} An option is not what it should be.
 */
export function guard(sessions: Sessions, options: GuardOptions = {}): ExpressHandler {
  assertGuard(sessions, options);
  return (request, response, next) => void guardOnce(sessions, options, { request, response, next });
}

/** Answers `GET /`, `POST /extend`, `POST /warned` and `POST /end` for the browser part, below the path it is used at. */
export function sessionRoutes(sessions: Sessions): ExpressHandler {
  assertSessions("sessionRoutes", sessions);
  return (request, response, next) => {
    const name = endpointOf(request);
    if (name === undefined) {
      next();
      return;
    }
    void answerOnce(sessions, name, { request, response, next });
  };
}

/** Begins a session for whoever just signed in: its token is set as a cookie. @throws {SessionError} */
export async function startSession(
  request: IncomingMessage,
  response: ServerResponse,
  options: StartSessionOptions,
): Promise<Started> {
  return startOn(exchangeOf(request, response), options);
}

/** Tells that the user showed again who he is, or tried in vain. Refuses itself, and gives `undefined`, where the session is over. */
export async function reauthSession(
  request: IncomingMessage,
  response: ServerResponse,
  options: ReauthSessionOptions,
): Promise<SessionInfo | undefined> {
  return reauthOn(exchangeOf(request, response), options);
}

/** Ends the request's session, if it has one, and removes its cookie. @throws {SessionError} */
export async function endSession(
  request: IncomingMessage,
  response: ServerResponse,
  options: EndSessionOptions,
): Promise<void> {
  await endOn(exchangeOf(request, response), options);
}

/** The way to the log for a request. @throws {TypeError} {@link audit} is not before it. */
export function auditOf(request: IncomingMessage): RequestAudit {
  return auditOfRequest(request);
}

/** The session of a request. @throws {TypeError} {@link guard} is not before it. */
export function sessionOf(request: IncomingMessage): SessionInfo {
  return sessionOfRequest(request);
}

/** Answers the errors of sessions and of the log, such as 503 `audit-unavailable`; passes others on. Use it last. */
export const problems: ExpressErrorHandler = (error, _request, response, next) => {
  const refused = response.headersSent ? undefined : refusalOfError(error);
  if (refused === undefined) next(error);
  else sendRefusal(response, refused);
};

interface Call {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly next: Next;
}

/** What fails goes to the error handlers. */
async function guardOnce(sessions: Sessions, options: GuardOptions, { request, response, next }: Call): Promise<void> {
  let answer: GuardAnswer;
  try {
    answer = await guardRequest(sessions, stateOf(request), options);
  } catch (error) {
    next(error);
    return;
  }
  const exchange = exchangeOf(request, response);
  if (!answer.served) {
    exchange.refuse(answer);
    return;
  }
  setUncached(response);
  exchange.setHeaders(answer.headers);
  closeWithSession(sessions, answer.session, response);
  next();
}

async function answerOnce(sessions: Sessions, name: EndpointName, { request, response, next }: Call): Promise<void> {
  let answer: EndpointAnswer;
  try {
    answer = await answerEndpoint(sessions, stateOf(request), name);
  } catch (error) {
    next(error);
    return;
  }
  setSessionHeaders(response, [["content-type", "application/json"], ...answer.headers]);
  response.statusCode = answer.status;
  response.end(answer.body === undefined ? undefined : JSON.stringify(answer.body));
}

function sendRefusal(response: ServerResponse, { status, headers, problem }: Refusal): void {
  setNodeHeaders(response, headers);
  response.statusCode = status;
  response.end(JSON.stringify(problem));
}

function exchangeOf(request: IncomingMessage, response: ServerResponse): Exchange<undefined> {
  return {
    state: stateOf(request),
    setHeaders: (headers) => setSessionHeaders(response, headers),
    refuse: (refusal) => {
      setSessionHeaders(response, []);
      sendRefusal(response, refusal);
      return undefined;
    },
  };
}

function stateOf(request: NodeRequest): RequestState {
  return requestState(request, () => nodeFacts(request));
}

/** By the path below where it is used, with or without a slash at its end. */
function endpointOf({ method = "GET", url = "/" }: IncomingMessage): EndpointName | undefined {
  const path = (url.split("?", 1)[0] ?? "/").replace(/(?<=.)\/$/, "");
  const names = Object.keys(ENDPOINTS) as EndpointName[];
  return names.find((name) => ENDPOINTS[name].method === method && ENDPOINTS[name].path === path);
}
