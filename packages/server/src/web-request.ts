/** Requests and replies as the web has them: for whoever embeds the application, and for all that is not taken directly. */
import { type BodySink, type BodySource, SMALL_BYTES_MAX, parseContentLength } from "./body.ts";
import type { Reply, ServerRequest } from "./request.ts";

export class WebRequest implements ServerRequest {
  readonly method: string;
  readonly body: BodySource;
  /** A request over the web's types does not say where it comes from. */
  readonly connection = undefined;
  readonly isCertified: boolean;
  readonly #request: Request;
  #url: URL | undefined;

  /** @param isCertified - {@link ServerRequest.isCertified}, which the web's types do not say. */
  constructor(request: Request, isCertified: boolean) {
    this.#request = request;
    this.method = request.method;
    this.isCertified = isCertified;
    this.body = new WebBody(request);
  }

  get path(): string {
    return this.#parsedUrl().pathname;
  }

  get search(): string {
    return this.#parsedUrl().search;
  }

  get signal(): AbortSignal {
    return this.#request.signal;
  }

  header(name: string): string | undefined {
    return this.#request.headers.get(name) ?? undefined;
  }

  #parsedUrl(): URL {
    return (this.#url ??= new URL(this.#request.url));
  }
}

class WebBody implements BodySource {
  readonly announcedBytes: number | undefined;
  readonly #request: Request;

  constructor(request: Request) {
    this.#request = request;
    this.announcedBytes = parseContentLength(request.headers.get("content-length") ?? undefined);
  }

  sendTo(sink: BodySink): () => void {
    // To make a web stream of a request takes longer than to log its event.
    if (this.announcedBytes !== undefined && this.announcedBytes <= SMALL_BYTES_MAX) return this.#sendWhole(sink);
    const { body } = this.#request;
    if (body === null) {
      sink.end();
      return () => undefined;
    }
    const reader = body.getReader();
    sendAll(reader, sink).catch((error: unknown) => sink.fail(error));
    // Not awaited: the client may never let it end.
    return () => void reader.cancel().catch(() => undefined);
  }

  #sendWhole(sink: BodySink): () => void {
    this.#request.arrayBuffer().then(
      (bytes) => {
        sink.part(new Uint8Array(bytes));
        sink.end();
      },
      (error: unknown) => sink.fail(error),
    );
    return () => undefined;
  }
}

async function sendAll(reader: ReadableStreamDefaultReader<Uint8Array>, sink: BodySink): Promise<void> {
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return sink.end();
    sink.part(value);
  }
}

/** A reply as a web response. */
export function responseOf({ status, headers, body }: Reply): Response {
  return new Response(body instanceof Uint8Array ? new Uint8Array(body) : (body ?? null), { status, headers });
}
