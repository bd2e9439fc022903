/** Refusals over HTTP: RFC 9457 problems, but for the one whose body the witness protocol fixes. */
import type { WitnessErrorCode } from "./error.ts";

/** Codes that a client can meet. */
export type ProblemCode =
  | Extract<
      WitnessErrorCode,
      | "request-malformed"
      | "origin-unknown"
      | "signature-refused"
      | "size-regressed"
      | "checkpoint-conflict"
      | "checkpoint-inconsistent"
      | "body-too-large"
      | "body-too-slow"
      | "not-found"
      | "method-not-allowed"
      | "witness-overloaded"
      | "log-overloaded"
      | "state-rolled-back"
      | "state-corrupt"
      | "clock-behind"
      | "persist-failed"
      | "witness-closed"
    >
  | "internal";

interface Kind {
  readonly status: 400 | 403 | 404 | 405 | 408 | 409 | 413 | 422 | 429 | 500 | 503;
  readonly title: string;
}

/** Of every code its status and title. */
export const KINDS: Readonly<Record<ProblemCode, Kind>> = {
  "request-malformed": { status: 400, title: "The request does not parse" },
  "origin-unknown": { status: 404, title: "This witness does not know the log" },
  "signature-refused": { status: 403, title: "No valid signature of a trusted key" },
  "size-regressed": { status: 400, title: "The old size is above the checkpoint's size" },
  "checkpoint-conflict": { status: 409, title: "The old size is not the one cosigned last" },
  "checkpoint-inconsistent": { status: 422, title: "The checkpoint is not shown to be consistent" },
  "body-too-large": { status: 413, title: "The body is too large" },
  "body-too-slow": { status: 408, title: "The body came too slowly" },
  "not-found": { status: 404, title: "There is nothing here" },
  "method-not-allowed": { status: 405, title: "The method is not allowed here" },
  "witness-overloaded": { status: 503, title: "The witness has too much to do" },
  "log-overloaded": { status: 429, title: "Too many requests for this log" },
  "state-rolled-back": { status: 503, title: "The witness does not sign for this log" },
  "state-corrupt": { status: 503, title: "The witness does not sign for this log" },
  "clock-behind": { status: 503, title: "The witness' clock is wrong" },
  "persist-failed": { status: 503, title: "The witness cannot write its state" },
  "witness-closed": { status: 503, title: "The witness is shutting down" },
  internal: { status: 500, title: "Internal error" },
};

export interface Problem {
  readonly code: ProblemCode;
  /** For this occurrence. Left out where the cause is ours (5xx): that is for the operator's log. */
  readonly detail: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Formats a problem as a response. `id` is 16 random bytes. */
export function problemResponse({ code, detail, headers = {} }: Problem, id: Uint8Array): Response {
  const { status, title } = KINDS[code];
  const body = {
    type: `/problems/${code}`,
    title,
    status,
    ...(status < 500 ? { detail } : {}),
    instance: `urn:uuid:${formatUuid(id)}`,
    code,
  };
  const retry = status === 429 || status === 503 ? { "Retry-After": retryAfter(id) } : {};
  const type = { "Content-Type": "application/problem+json", "Cache-Control": "no-store" };
  return new Response(`${JSON.stringify(body)}\n`, { status, headers: { ...type, ...retry, ...headers } });
}

/** One to four seconds, so that those who were turned away together do not come back together. */
function retryAfter(id: Uint8Array): string {
  return String(1 + (Number(id[0]) % 4));
}

/** A random UUID, version 4. RFC 9562. */
function formatUuid(random: Uint8Array): string {
  const hex = Buffer.from(random).toString("hex");
  const variant = ["8", "9", "a", "b"][Number(random[8]) % 4] ?? "8";
  return [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `4${hex.slice(13, 16)}`,
    `${variant}${hex.slice(17, 20)}`,
    hex.slice(20, 32),
  ].join("-");
}
