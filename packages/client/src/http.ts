/** One bounded HTTP exchange: a deadline, a cap on the body, no redirects followed. */
import { ClientError } from "./error.ts";

export type Fetch = typeof globalThis.fetch;

export interface ExchangeOptions {
  readonly fetch: Fetch;
  readonly url: string;
  readonly method?: "GET" | "POST";
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
  /** The whole exchange, body included. */
  readonly timeoutMs: number;
  readonly bytesMax: number;
  readonly signal?: AbortSignal;
}

export interface Exchange {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Uint8Array;
}

/**
 * Sends one request and reads its whole answer.
 *
 * @throws {ClientError} `audit-unavailable` when nothing answered in time (trying again can help);
 *   `log-answer-malformed` when the answer is larger than `bytesMax` or is a redirect.
 */
export async function exchange(options: ExchangeOptions): Promise<Exchange> {
  const deadline = AbortSignal.timeout(options.timeoutMs);
  const signal = options.signal === undefined ? deadline : AbortSignal.any([options.signal, deadline]);
  let response: Response;
  try {
    response = await options.fetch(options.url, {
      method: options.method ?? "GET",
      redirect: "manual",
      signal,
      headers: { ...options.headers },
      // The copy is typed as owning a plain ArrayBuffer, which is what fetch takes.
      ...(options.body === undefined ? {} : { body: new Uint8Array(options.body) }),
    });
    return { status: response.status, headers: response.headers, body: await readBounded(response, options) };
  } catch (cause) {
    if (cause instanceof ClientError) throw cause;
    throw new ClientError("audit-unavailable", `no answer from ${withoutQuery(options.url)}: ${reasonOf(cause)}`, {
      cause,
    });
  }
}

async function readBounded(response: Response, { url, bytesMax }: ExchangeOptions): Promise<Uint8Array> {
  if (response.status >= 300 && response.status < 400 && response.status !== 304) {
    await response.body?.cancel();
    const text = `${withoutQuery(url)} answered with a redirect, which is never followed: use the address it names`;
    throw new ClientError("log-answer-malformed", text);
  }
  const parts: Uint8Array[] = [];
  let total = 0;
  if (response.body === null) return new Uint8Array();
  for await (const part of response.body) {
    total += part.byteLength;
    if (total > bytesMax) {
      throw new ClientError("log-answer-malformed", `${withoutQuery(url)} answered more than ${bytesMax} bytes`);
    }
    parts.push(part);
  }
  const body = new Uint8Array(total);
  let offset = 0;
  for (const part of parts) {
    body.set(part, offset);
    offset += part.byteLength;
  }
  return body;
}

function withoutQuery(url: string): string {
  return url.split("?", 1)[0] ?? url;
}

function reasonOf(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  return cause.cause instanceof Error ? `${cause.message} (${cause.cause.message})` : cause.message;
}
