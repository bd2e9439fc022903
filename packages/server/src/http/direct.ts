/**
 * The short way for requests of the usual shape: from node's server straight to the application and back. All others go the
 * long way, through web requests; both ways end at the same routes.
 */
import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { type BodySink, type BodySource, parseContentLength } from "./body-source.ts";
import { isLocal } from "./local.ts";
import type { Reply, RequestHeader, Responder, ServerRequest } from "./request.ts";
import { isCertified } from "./tls-server.ts";

/** For the rest of a body that nobody reads: as long as the long way gives it. */
const REST_TIMEOUT_MS = 500;

/** With nothing in it to decode or to resolve: what such an address says is what it means. */
const PLAIN_URL = /^(\/[\w.~/-]*)(\?[\w.~=&-]*)?$/;
const DOT_SEGMENT = /\/\.\.?(?:\/|$)/;

/** Answers a request, however long that takes. */
type Answerer = (incoming: IncomingMessage, outgoing: ServerResponse) => Promise<unknown>;

/** Answers what is plain, and leaves the rest to `otherwise`. */
export function directListener(app: Responder, otherwise: Answerer): RequestListener {
  const isPlainHost = plainHosts();
  return (incoming, outgoing) => {
    const request = isPlainHost(incoming.headers.host) ? plainRequest(incoming, outgoing) : undefined;
    const answered =
      request === undefined
        ? otherwise(incoming, outgoing)
        : app.respond(request).then(async (reply) => send(reply, incoming, outgoing));
    // Whatever went wrong ends this connection, and no other.
    answered.catch((error: Error) => outgoing.destroy(error));
  };
}

/** Tells hosts that are written as URLs write them. The last is remembered: there are few, and to look takes long. */
function plainHosts(): (host: string | undefined) => boolean {
  let known: string | undefined;
  return (host) => {
    if (host === undefined) return false;
    if (host === known) return true;
    const url = `http://${host}/`;
    if (!URL.canParse(url) || new URL(url).host !== host) return false;
    known = host;
    return true;
  };
}

function plainRequest(incoming: IncomingMessage, outgoing: ServerResponse): ServerRequest | undefined {
  const { method = "", url = "", httpVersionMinor } = incoming;
  if (httpVersionMinor !== 1 || (method !== "GET" && method !== "POST")) return undefined;
  const [, path, search = ""] = PLAIN_URL.exec(url) ?? [];
  if (path === undefined || DOT_SEGMENT.test(path)) return undefined;
  return new NodeRequest({ incoming, outgoing }, { method, path, search });
}

class NodeRequest implements ServerRequest, BodySource {
  readonly method: string;
  readonly path: string;
  readonly search: string;
  readonly #incoming: IncomingMessage;
  readonly #outgoing: ServerResponse;
  #signal: AbortSignal | undefined;

  constructor(
    { incoming, outgoing }: { readonly incoming: IncomingMessage; readonly outgoing: ServerResponse },
    { method, path, search }: Pick<ServerRequest, "method" | "path" | "search">,
  ) {
    this.method = method;
    this.path = path;
    this.search = search;
    this.#incoming = incoming;
    this.#outgoing = outgoing;
  }

  header(name: RequestHeader): string | undefined {
    return this.#header(name);
  }

  /** As web requests have it: nothing is dropped that stands there twice. */
  #header(name: string): string | undefined {
    const { rawHeaders } = this.#incoming;
    let value: string | undefined;
    for (let at = 0; at < rawHeaders.length; at += 2) {
      const other = rawHeaders[at] ?? "";
      if (other.length !== name.length || (other !== name && other.toLowerCase() !== name)) continue;
      value = value === undefined ? rawHeaders[at + 1] : `${value}, ${rawHeaders[at + 1]}`;
    }
    return value;
  }

  get body(): BodySource {
    return this;
  }

  get announcedBytes(): number | undefined {
    return parseContentLength(this.#header("content-length"));
  }

  sendTo(sink: BodySink): () => void {
    // Who has left says so no more.
    if (this.#incoming.destroyed) sink.fail(new Error("the client went away"));
    this.#incoming
      .on("data", (part: Buffer) => {
        const held = sink.part(part);
        if (held === undefined) return;
        this.#incoming.pause();
        void held.then(() => this.#incoming.resume());
      })
      .on("end", () => sink.end())
      .on("close", () => {
        // Asked first: it comes after the end too, and an error is expensive to make.
        if (!this.#incoming.readableEnded) sink.fail(new Error("the client went away"));
      });
    // What still comes goes on being read, to nowhere: the connection ends after the answer, or takes the next request.
    return () => undefined;
  }

  get connection(): object {
    return this.#incoming.socket;
  }

  get isLocal(): boolean {
    return isLocal(this.#incoming);
  }

  get isCertified(): boolean {
    return isCertified(this.#incoming.socket);
  }

  get signal(): AbortSignal {
    return (this.#signal ??= goneSignal(this.#outgoing));
  }
}

/** Fires when the connection ends before the whole answer is out. */
function goneSignal(outgoing: ServerResponse): AbortSignal {
  const gone = new AbortController();
  const look = (): void => {
    if (!outgoing.writableFinished) gone.abort();
  };
  if (outgoing.destroyed) look();
  else outgoing.once("close", look);
  return gone.signal;
}

async function send(
  { status, headers, body }: Reply,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
): Promise<void> {
  if (body instanceof ReadableStream) return sendStream({ status, headers }, body, outgoing);
  if (body === undefined) outgoing.writeHead(status, headers).end();
  else {
    const length = Buffer.byteLength(body);
    outgoing.writeHead(status, { ...headers, "content-length": length });
    // ASCII, as nearly all is, goes out without being encoded.
    outgoing.end(body, length === body.length ? "latin1" : "utf8");
  }
  if (!incoming.complete) cutRest(incoming);
}

async function sendStream(
  { status, headers }: Pick<Reply, "status" | "headers">,
  body: ReadableStream<Uint8Array>,
  outgoing: ServerResponse,
): Promise<void> {
  // A pipeline into what is closed leaves its source as it is.
  if (outgoing.destroyed) return body.cancel();
  outgoing.writeHead(status, headers).flushHeaders();
  await pipeline(Readable.fromWeb(body), outgoing);
}

function cutRest(incoming: IncomingMessage): void {
  setTimeout(() => {
    if (!incoming.complete) incoming.socket.destroySoon();
  }, REST_TIMEOUT_MS).unref();
}
