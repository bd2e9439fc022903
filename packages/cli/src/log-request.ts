/** One request of a command to a log, with the log's own words where it refuses. */
import { ClientError, type Exchange, type Fetch, exchange } from "@tallystick/client";
import { decodeUtf8 } from "@tallystick/core";
import { parseJson } from "@tallystick/events";
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
export async function requestLog({ url, token, fetch }: Target, request: LogRequest): Promise<Exchange> {
  const answer = await exchange({
    fetch,
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
  const { code, title, detail, defects, entry, index, certificate } = problemOf(body);
  // Of trouble of its own a log tells what it is in general: the rest is in its own log.
  const words = [detail, title].find((text) => typeof text === "string") ?? "without saying why";
  const details = { status, problem: code, retryAfter: headers.get("retry-after"), defects, entry, index, certificate };
  const kind = status === 429 || status >= 500 ? "audit-unavailable" : "log-refused";
  return new ClientError(kind, `the log answered ${status}${typeof code === "string" ? ` ${code}` : ""}: ${words}`, {
    details,
  });
}

const STREAMS = { "text/event-stream": "an event stream", "application/x-ndjson": "lines of JSON" } as const;

export interface StreamRequest {
  readonly path: string;
  readonly method?: "GET" | "POST";
  readonly body?: Uint8Array;
  readonly headers: Readonly<Record<string, string>>;
  /** What is expected: an event stream has no end of its own, lines of JSON have one. */
  readonly mediaType: keyof typeof STREAMS;
  /** Until the answer begins; 30,000 by default. */
  readonly timeoutMs?: number;
  readonly signal: AbortSignal;
}

/**
 * Opens an answer that comes bit by bit, for as long as it takes: `signal` ends it.
 *
 * @throws {ClientError} as `requestLog`; `log-answer-malformed` where another kind of answer comes.
 */
export async function openStream(target: Target, request: StreamRequest): Promise<ReadableStream<Uint8Array>> {
  const { url, token } = target;
  let opened: ReadableStream<Uint8Array> | undefined;
  // exchange() has the refusals, bounded as they are everywhere; of a stream it gets no body.
  const fetchStream: Fetch = async (address, init) => {
    const response = await target.fetch(address, { ...init, signal: request.signal });
    if (response.status !== 200 || !isOfType(response, request.mediaType)) return response;
    opened = response.body ?? undefined;
    return new Response(null, { status: 200 });
  };
  const answer = await exchange({
    fetch: fetchStream,
    url: `${url}/${request.path}`,
    method: request.method ?? "GET",
    ...(request.body === undefined ? {} : { body: request.body }),
    timeoutMs: request.timeoutMs ?? 30_000,
    bytesMax: ANSWER_BYTES_MAX,
    headers: {
      accept: request.mediaType,
      ...request.headers,
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    },
    signal: request.signal,
  });
  if (opened !== undefined) return opened;
  if (answer.status >= 300) throw refusalOf(answer);
  throw new ClientError(
    "log-answer-malformed",
    `the log's answer: expected ${STREAMS[request.mediaType]}, got status ${answer.status}`,
  );
}

function isOfType({ headers }: Response, mediaType: string): boolean {
  return headers.get("content-type")?.split(";", 1)[0] === mediaType;
}

function problemOf(body: Uint8Array): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = parseJson(decodeUtf8(body));
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
