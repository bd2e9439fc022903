/** One request of a command to a log, with the log's own words where it refuses. */
import { ClientError, type Exchange, exchange } from "@tallystick/client";
import { decodeUtf8 } from "@tallystick/core";
import type { Target } from "./target.ts";

const ANSWER_BYTES_MAX = 16 * 1024 * 1024;

export interface LogRequest {
  readonly path: string;
  readonly method?: "GET" | "POST";
  readonly body?: Uint8Array;
  readonly contentType?: string;
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/**
 * Sends a request and gives its answer where the log did what was asked.
 *
 * @throws {ClientError} `log-refused` with the problem's code and words; `audit-unavailable` when nothing answered.
 */
export async function requestLog({ url, token }: Target, request: LogRequest): Promise<Exchange> {
  const answer = await exchange({
    fetch: globalThis.fetch,
    url: `${url}/${request.path}`,
    method: request.method ?? "GET",
    timeoutMs: request.timeoutMs ?? 30_000,
    bytesMax: ANSWER_BYTES_MAX,
    headers: {
      accept: "application/json, text/plain",
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(request.contentType === undefined ? {} : { "content-type": request.contentType }),
    },
    ...(request.body === undefined ? {} : { body: request.body }),
    ...(request.signal === undefined ? {} : { signal: request.signal }),
  });
  if (answer.status < 300) return answer;
  throw refusalOf(answer);
}

/** What a log said in place of doing what was asked: in words, and in `details` the problem for programs. */
export function refusalOf({ status, headers, body }: Exchange): ClientError {
  const { code, detail, defects, entry, index } = problemOf(body);
  // Of one defect the detail tells everything; of several, each has its line.
  const lines = Array.isArray(defects) && defects.length > 1 ? defects.slice(0, 20).map(describeDefect) : [];
  const words = [typeof detail === "string" ? detail : `status ${status}`, ...lines].join("\n  ");
  const details = { status, problem: code, retryAfter: headers.get("retry-after"), defects, entry, index };
  const kind = status === 429 || status >= 500 ? "audit-unavailable" : "log-refused";
  return new ClientError(kind, `the log answered ${status}${typeof code === "string" ? ` ${code}` : ""}: ${words}`, {
    details,
  });
}

function problemOf(body: Uint8Array): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(decodeUtf8(body));
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

function describeDefect(defect: unknown): string {
  const { entry, path, message } = (defect ?? {}) as Record<string, unknown>;
  return `entry ${String(entry)}: ${String(path)}: ${String(message)}`;
}

/** The JSON value of an answer. */
export function jsonOf(answer: Exchange): unknown {
  return JSON.parse(decodeUtf8(answer.body));
}
