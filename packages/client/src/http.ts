/** One bounded HTTP exchange: a deadline, a cap on the body, no redirects followed. */
import { AuditUnavailableError, ClientError } from "./error.ts";

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
  readonly signal?: AbortSignal | undefined;
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
  const controller = new AbortController();
  const { promise: given, reject: giveUp } = Promise.withResolvers<never>();
  const abort = (reason: string): void => {
    giveUp(new AuditUnavailableError(`no answer from ${withoutQuery(options.url)}: ${reason}`));
    controller.abort();
  };
  const onAbort = (): void => abort("given up by the caller");
  const timer = setTimeout(() => abort(`none within ${options.timeoutMs} ms`), options.timeoutMs);
  if (options.signal?.aborted === true) onAbort();
  options.signal?.addEventListener("abort", onAbort, { once: true });
  try {
    // The race ends the wait even where a fetch of the caller's own takes no notice of its signal.
    return await Promise.race([given, send(options, controller.signal)]);
  } finally {
    clearTimeout(timer);
    options.signal?.removeEventListener("abort", onAbort);
  }
}

async function send(options: ExchangeOptions, signal: AbortSignal): Promise<Exchange> {
  try {
    const response = await options.fetch(options.url, {
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
    const text = `no answer from ${withoutQuery(options.url)}: ${reasonOf(cause)}`;
    throw new AuditUnavailableError(text, { cause });
  }
}

async function readBounded(response: Response, { url, bytesMax }: ExchangeOptions): Promise<Uint8Array> {
  // A browser hides a redirect that it did not follow behind status 0.
  if (response.type === "opaqueredirect" || (response.status >= 300 && response.status < 400)) {
    await response.body?.cancel();
    const text = `${withoutQuery(url)} answered with a redirect, which is never followed: use the address it names`;
    throw new ClientError("log-answer-malformed", text);
  }
  if (response.body === null) return new Uint8Array();
  const reader = response.body.getReader();
  const parts: Uint8Array[] = [];
  let total = 0;
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    total += part.value.byteLength;
    if (total > bytesMax) {
      await reader.cancel();
      throw new ClientError("log-answer-malformed", `${withoutQuery(url)} answered more than ${bytesMax} bytes`);
    }
    parts.push(part.value);
  }
  return concat(parts, total);
}

function concat(parts: readonly Uint8Array[], total: number): Uint8Array {
  const whole = new Uint8Array(total);
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.byteLength;
  }
  return whole;
}

function withoutQuery(url: string): string {
  return url.split("?", 1)[0] ?? url;
}

function reasonOf(cause: unknown): string {
  if (!(cause instanceof Error)) return String(cause);
  return cause.cause instanceof Error ? `${cause.message} (${cause.cause.message})` : cause.message;
}
