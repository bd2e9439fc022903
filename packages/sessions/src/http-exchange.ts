/** What handlers say about the session of their request: to begin it, to confirm it, to end it. The same in each framework. */
import { endForRequest, reauthForRequest, startForRequest } from "./http.ts";
import type { HttpHeaders, Refusal } from "./http-problem.ts";
import type { RequestState } from "./request-state.ts";
import type { ReauthOptions, SessionInfo, Sessions, StartOptions, Started } from "./sessions.ts";

export type StartSessionOptions = Omit<StartOptions, "source"> & { readonly sessions: Sessions };
export type ReauthSessionOptions = Omit<ReauthOptions, "source"> & { readonly sessions: Sessions };

/** A request, and the way to the headers of its answer. */
export interface Answering {
  readonly state: RequestState;
  readonly setHeaders: (headers: HttpHeaders) => void;
}

/** Where the framework lets it refuse by itself too. */
export interface RequestExchange extends Answering {
  readonly refuse: (refusal: Refusal) => unknown;
}

export async function startOn(exchange: Answering, { sessions, ...options }: StartSessionOptions): Promise<Started> {
  const { started, headers } = await startForRequest(sessions, exchange.state, options);
  exchange.setHeaders(headers);
  return started;
}

/** Refuses, and gives `undefined`, where the session is over. */
export async function reauthOn(
  exchange: RequestExchange,
  { sessions, ...options }: ReauthSessionOptions,
): Promise<SessionInfo | undefined> {
  const answer = await reauthForRequest(sessions, exchange.state, options);
  if (!answer.served) {
    exchange.refuse(answer);
    return undefined;
  }
  exchange.setHeaders(answer.headers);
  return answer.session;
}

export async function endOn({ state, setHeaders }: Answering, sessions: Sessions): Promise<void> {
  setHeaders(await endForRequest(sessions, state));
}
