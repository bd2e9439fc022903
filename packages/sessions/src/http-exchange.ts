/** What handlers say about the session of their request: to begin it, to confirm it, to end it. The same in each framework. */
import { assertSessions, endForRequest, reauthForRequest, startForRequest } from "./http.ts";
import type { HttpHeaders, Refusal } from "./http-problem.ts";
import type { RequestState } from "./request-state.ts";
import type { ReauthOptions, SessionInfo, Sessions, StartOptions, Started } from "./sessions.ts";

interface WithSessions {
  /** Whose the session is, or will be: what `createSessions` gives. */
  readonly sessions: Sessions;
}

export type StartSessionOptions = Omit<StartOptions, "source"> & WithSessions;
export type ReauthSessionOptions = Omit<ReauthOptions, "source"> & WithSessions;
export type EndSessionOptions = WithSessions;

/** A request, the way to the headers of its answer, and to a whole answer that refuses. */
export interface Exchange<Refused> {
  readonly state: RequestState;
  /** In the place of what an answer before said of the session. */
  readonly setHeaders: (headers: HttpHeaders) => void;
  readonly refuse: (refusal: Refusal) => Refused;
}

/** @throws {TypeError} There are no `sessions` among the options. */
export async function startOn(exchange: Exchange<unknown>, options: StartSessionOptions): Promise<Started> {
  assertSessions("startSession: sessions", (options as Partial<WithSessions> | undefined)?.sessions);
  const { sessions, ...start } = options;
  const { started, headers } = await startForRequest(sessions, exchange.state, start);
  exchange.setHeaders(headers);
  return started;
}

/**
 * Refuses where the session is over.
 *
 * @throws {TypeError} There are no `sessions` among the options.
 */
export async function reauthOn<Refused>(
  exchange: Exchange<Refused>,
  options: ReauthSessionOptions,
): Promise<SessionInfo | Refused> {
  assertSessions("reauthSession: sessions", (options as Partial<WithSessions> | undefined)?.sessions);
  const { sessions, ...reauth } = options;
  const answer = await reauthForRequest(sessions, exchange.state, reauth);
  if (!answer.served) return exchange.refuse(answer);
  exchange.setHeaders(answer.headers);
  return answer.session;
}

/** @throws {TypeError} There are no `sessions` among the options. */
export async function endOn({ state, setHeaders }: Exchange<unknown>, options: EndSessionOptions): Promise<void> {
  assertSessions("endSession: sessions", (options as Partial<WithSessions> | undefined)?.sessions);
  setHeaders(await endForRequest(options.sessions, state));
}
