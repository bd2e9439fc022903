/** Refusals over HTTP: RFC 9457 problems with a stable code. */
import { ClientError } from "@tallystick/client";
import type { Verdict } from "./decide.ts";
import { SessionError } from "./error.ts";

/**
 * - `session-required`: no token came with the request.
 * - `session-expired`: the token's session is over; `reason` says how: idle, absolute, logout, revoked, superseded, or
 *   unknown, where nothing is known of it (any more).
 * - `reauth-required`: the user has to show `factors` (any, where the list is empty) within `maxAgeSeconds` before.
 * - `session-denied`: the user has as many sessions as are allowed.
 * - `session-state-unavailable`: nobody can tell whether the session is alive, so nothing is served.
 * - `audit-unavailable`: what was asked for must be in the log before it is done, and the log does not answer.
 */
export type HttpProblemCode =
  | "session-required"
  | "session-expired"
  | "reauth-required"
  | "session-denied"
  | "session-state-unavailable"
  | "audit-unavailable";

/** The body, `application/problem+json`. */
export interface HttpProblem {
  readonly type: string;
  readonly title: string;
  readonly status: 401 | 403 | 503;
  readonly code: HttpProblemCode;
  readonly reason?: string;
  readonly factors?: readonly string[];
  readonly maxAgeSeconds?: number;
}

export type HttpHeaders = readonly (readonly [name: string, value: string])[];

/** A whole answer that refuses. */
export interface Refusal {
  readonly status: HttpProblem["status"];
  readonly headers: HttpHeaders;
  readonly problem: HttpProblem;
}

export const KINDS: Readonly<Record<HttpProblemCode, Pick<HttpProblem, "status" | "title">>> = {
  "session-required": { status: 401, title: "Sign in first" },
  "session-expired": { status: 401, title: "The session is over" },
  "reauth-required": { status: 401, title: "Show again who you are" },
  "session-denied": { status: 403, title: "There are as many sessions as are allowed" },
  "session-state-unavailable": { status: 503, title: "Nobody can tell now whether the session is alive" },
  "audit-unavailable": { status: 503, title: "This is done only once the audit log has it" },
};

const RETRY_AFTER_SECONDS = "5";

export function refusal(
  code: HttpProblemCode,
  details: Pick<HttpProblem, "reason" | "factors" | "maxAgeSeconds"> = {},
): Refusal {
  const { status, title } = KINDS[code];
  return {
    status,
    headers: [
      ["content-type", "application/problem+json"],
      ["cache-control", "no-store"],
      ...(status === 401 ? [["www-authenticate", challenge(code, details.maxAgeSeconds)] as const] : []),
      ...(status === 503 ? [["retry-after", RETRY_AFTER_SECONDS] as const] : []),
    ],
    problem: { type: `/problems/${code}`, title, status, code, ...details },
  };
}

/** What a verdict other than ok says to the browser. */
export function refusalOfVerdict(verdict: Exclude<Verdict, { kind: "ok" }>): Refusal {
  if (verdict.kind === "unknown") return refusal("session-expired", { reason: "unknown" });
  if (verdict.kind !== "reauth-required") return refusal("session-expired", { reason: verdict.reason });
  return refusal("reauth-required", { factors: verdict.factors, maxAgeSeconds: verdict.maxAgeSeconds });
}

/** The answer to an error of sessions or of the log; `undefined` where it is another one. */
export function refusalOfError(error: unknown): Refusal | undefined {
  if (error instanceof SessionError) {
    return refusal(error.code === "session-denied" ? "session-denied" : "session-state-unavailable");
  }
  return error instanceof ClientError && error.code === "audit-unavailable" ? refusal("audit-unavailable") : undefined;
}

/** RFC 6750 §3 and, for the step-up, RFC 9470 §3. */
function challenge(code: HttpProblemCode, maxAgeSeconds: number | undefined): string {
  if (code === "reauth-required") {
    return `Bearer error="insufficient_user_authentication", max_age="${maxAgeSeconds ?? 0}"`;
  }
  return code === "session-expired" ? 'Bearer error="invalid_token"' : "Bearer";
}
