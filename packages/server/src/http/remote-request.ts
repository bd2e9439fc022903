/** A request that an HTTP server in another thread has received, as the application of this thread sees it. */
import { type BodySink, type BodySource, isSmall } from "./body-source.ts";
import { REQUEST_HEADERS, type RequestHeader, type ServerRequest } from "./request.ts";
import type { RequestMessage } from "./thread-messages.ts";

/** How to ask the other thread for what it does not tell by itself. */
interface Asking {
  readonly ask: (kind: "read" | "skip" | "watch") => void;
  readonly connection: object | undefined;
}

export class RemoteRequest implements ServerRequest, BodySource {
  readonly id: number;
  readonly method: string;
  readonly path: string;
  readonly search: string;
  readonly connection: object | undefined;
  readonly isLocal: boolean;
  readonly isCertified: boolean;
  readonly announcedBytes: number | undefined;
  readonly #headers: RequestMessage[8];
  readonly #ask: Asking["ask"];
  readonly #early: ((sink: BodySink) => void)[] = [];
  #sink: BodySink | undefined;
  #gone: AbortController | undefined;

  constructor(message: RequestMessage, { ask, connection }: Asking) {
    const [, id, , isLocal, isCertified, method, path, search, headers, announcedBytes] = message;
    this.id = id;
    this.method = method;
    this.path = path;
    this.search = search;
    this.connection = connection;
    this.isLocal = isLocal;
    this.isCertified = isCertified;
    this.announcedBytes = announcedBytes;
    this.#headers = headers;
    this.#ask = ask;
  }

  header(name: RequestHeader): string | undefined {
    return this.#headers[REQUEST_HEADERS.indexOf(name)];
  }

  get body(): BodySource {
    return this;
  }

  sendTo(sink: BodySink): () => void {
    this.#sink = sink;
    for (const told of this.#early.splice(0)) told(sink);
    if (!isSmall(this.announcedBytes)) this.#ask("read");
    return () => this.#ask("skip");
  }

  get signal(): AbortSignal {
    if (this.#gone === undefined) {
      this.#gone = new AbortController();
      this.#ask("watch");
    }
    return this.#gone.signal;
  }

  /** What came of the body: for its reader, or until there is one. */
  tell(what: (sink: BodySink) => void): void {
    if (this.#sink === undefined) this.#early.push(what);
    else what(this.#sink);
  }

  /** The client went away. */
  leave(): void {
    this.#gone?.abort();
  }
}
