/**
 * What the browser part asks for, below a path of the application's choice ("/session" by custom):
 *
 * - `GET /`: how long the session goes on. It is an activity only with `Tallystick-Activity: user`, which no other site can
 *   make a browser send.
 * - `POST /extend`: the user wishes to stay. `extended` says whether that moved the deadline.
 * - `POST /warned`: the browser showed the warning.
 * - `POST /end`: the user leaves. 204, also where the session was over.
 *
 * All but the last answer 200 with a {@link SessionStatus}, or as the guard refuses.
 */
import type { Warning } from "./decide.ts";
import { type GuardAnswer, activityOf, answered, endForRequest } from "./http.ts";
import { type HttpHeaders, type HttpProblem, refusal, refusalOfError } from "./http-problem.ts";
import type { RequestState } from "./request-state.ts";
import type { Checked, Sessions } from "./sessions.ts";

/** Seconds that remain, no timestamps: the browser's clock may be a day off. */
export interface SessionStatus {
  /** Its id in events. Another one than before: somebody signed in anew, and what a page shows may be another user's. */
  readonly session: string;
  readonly remainingSeconds: number;
  /** Whether one action moves the deadline; if not, only signing in again helps. */
  readonly extendable: boolean;
  /** Where it is time to warn the user. */
  readonly warning: Warning | null;
  /** For `extend`: whether the deadline moved. */
  readonly extended: boolean;
  readonly class: string;
}

export interface EndpointAnswer {
  readonly status: number;
  readonly headers: HttpHeaders;
  readonly body?: SessionStatus | HttpProblem;
}

/** What may be asked for: method and path below the application's. */
export const ENDPOINTS = {
  status: { method: "GET", path: "/" },
  extend: { method: "POST", path: "/extend" },
  warned: { method: "POST", path: "/warned" },
  end: { method: "POST", path: "/end" },
} as const;

export type EndpointName = keyof typeof ENDPOINTS;

const NO_STORE = ["cache-control", "no-store"] as const;

export async function answerEndpoint(
  sessions: Sessions,
  state: RequestState,
  name: EndpointName,
): Promise<EndpointAnswer> {
  if (name === "end") return answerEnd(sessions, state);
  const { shown } = state;
  if (shown === undefined) return refused({ served: false, ...refusal("session-required") });
  let status: SessionStatus | undefined;
  const answer = await answered(state, async () => {
    const checked = await ask(sessions, state, { name, token: shown.token });
    status = statusOf(checked);
    return checked;
  });
  if (!answer.served) return refused(answer);
  if (status === undefined) throw new Error("internal error: a session that is served without a status");
  return { status: 200, headers: [...answer.headers, NO_STORE], body: status };
}

async function ask(
  sessions: Sessions,
  { facts, source }: RequestState,
  { name, token }: { readonly name: Exclude<EndpointName, "end">; readonly token: string },
): Promise<Checked> {
  if (name === "extend") return sessions.extend(token, { source });
  if (name === "warned") return sessions.confirmWarning(token, { source });
  return sessions.check(token, { activity: activityOf(facts, undefined) ?? false, source });
}

async function answerEnd(sessions: Sessions, state: RequestState): Promise<EndpointAnswer> {
  try {
    return { status: 204, headers: [...(await endForRequest(sessions, state)), NO_STORE] };
  } catch (error) {
    const refused = refusalOfError(error);
    if (refused === undefined) throw error;
    return { status: refused.status, headers: refused.headers, body: refused.problem };
  }
}

function statusOf(checked: Checked): SessionStatus | undefined {
  if (checked.kind !== "ok" || checked.session === undefined) return undefined;
  const { remainingSeconds, extendable, warning, extended, session } = checked;
  return { session: session.auditId, remainingSeconds, extendable, warning, extended, class: session.class };
}

function refused(answer: Extract<GuardAnswer, { served: false }>): EndpointAnswer {
  return { status: answer.status, headers: answer.headers, body: answer.problem };
}
