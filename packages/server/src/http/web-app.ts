/** Requests and replies as the web has them: for whoever embeds the application, and for all that is not taken directly. */
import type { HttpBindings } from "@hono/node-server";
import { Hono } from "hono";
import { type BodySink, type BodySource, isSmall, parseContentLength } from "./body-source.ts";
import { isLocal } from "./local.ts";
import type { Reply, RequestHeader, Responder, ServerRequest } from "./request.ts";
import { isCertified } from "./tls-server.ts";

export interface ServerEnvironment {
  Bindings: Partial<HttpBindings>;
}

/** The application for web requests. */
export function webApp(responder: Responder): Hono<ServerEnvironment> {
  const app = new Hono<ServerEnvironment>();
  app.all("*", async ({ req, env }) => responseOf(await responder.respond(new WebRequest(req.raw, env?.incoming))));
  return app;
}

class WebRequest implements ServerRequest {
  readonly method: string;
  readonly body: BodySource;
  /** A request over the web's types does not say where it comes from. */
  readonly connection = undefined;
  readonly isLocal: boolean;
  readonly isCertified: boolean;
  readonly #request: Request;
  #url: URL | null | undefined;

  /** @param incoming - Where it came as node has it, which says what the web's types do not. */
  constructor(request: Request, incoming: HttpBindings["incoming"] | undefined) {
    this.#request = request;
    this.method = request.method;
    this.isLocal = isLocal(incoming);
    this.isCertified = isCertified(incoming?.socket);
    this.body = new WebBody(request);
  }

  get path(): string {
    return this.#parsedUrl()?.pathname ?? "";
  }

  get search(): string {
    return this.#parsedUrl()?.search ?? "";
  }

  get signal(): AbortSignal {
    return this.#request.signal;
  }

  header(name: RequestHeader): string | undefined {
    return this.#request.headers.get(name) ?? undefined;
  }

  /** `null` where the host is none, as 1.2.3.999: there is nothing at such an address. */
  #parsedUrl(): URL | null {
    if (this.#url === undefined) this.#url = URL.parse(this.#request.url);
    return this.#url;
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
    if (isSmall(this.announcedBytes)) return this.#sendWhole(sink);
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
        void sink.part(new Uint8Array(bytes));
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
    await sink.part(value);
  }
}

/** A reply as a web response. */
function responseOf({ status, headers, body }: Reply): Response {
  return new Response(body instanceof Uint8Array ? new Uint8Array(body) : (body ?? null), { status, headers });
}
