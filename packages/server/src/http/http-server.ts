/** Node's HTTP server around the application: its limits, the two ways to the application, and how it ends. */
import { type Server, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { getRequestListener } from "@hono/node-server";
import type { TlsFiles } from "@tallystick/storage";
import { boundConnections } from "./connections.ts";
import { directListener } from "./direct.ts";
import type { Responder } from "./request.ts";
import { createTlsServer } from "./tls-server.ts";
import { webApp } from "./web-app.ts";

export interface HttpLimits {
  /** For the whole body of a request. */
  readonly bodyTimeoutMs: number;
  readonly connectionsMax: number;
  /** Of all answers that clients have not taken yet. */
  readonly answersBytesMax: number;
  /** Without a byte either way. */
  readonly stallTimeoutMs: number;
}

export interface HttpServerOptions {
  readonly limits: HttpLimits;
  /** Stays its owner's, to be closed once the server was told to stop. */
  readonly tls: TlsFiles | undefined;
  /** Told when clients are turned away or cut off; rarely. */
  readonly onTrouble: (message: string, details: Readonly<Record<string, unknown>>) => void;
}

export interface ListenOptions {
  readonly host: string;
  /** 0 for any that is free. */
  readonly port: number;
  /** Whether other threads listen there too: the system gives each its share of the connections. */
  readonly isShared?: boolean;
}

export type ListeningAt = Pick<AddressInfo, "address" | "family" | "port">;

/** An HTTP server, in this thread or in others. */
export interface HttpListener {
  /** @throws {Error} the address cannot be listened on (`EADDRINUSE`, `EACCES`). */
  listen(options: ListenOptions): Promise<ListeningAt>;
  /** Takes no new connections, and closes those where nothing is under way. */
  stop(): void;
  /** Lets answers that are ready get out, and ends all connections. After `stop`. */
  end(): Promise<void>;
}

/** Slow senders of headers are cut; node looks for them this often. */
const HEADERS_TIMEOUT_MS = 10_000;
const LOOK_INTERVAL_MS = 1000;
/** Longer than the usual 60 seconds of proxies, so that it is they who close idle connections. */
const KEEP_ALIVE_TIMEOUT_MS = 75_000;
/** At the end, for answers that are ready to get out. */
const LAST_WORDS_MS = 250;

export class HttpServer implements HttpListener {
  readonly #server: Server;
  readonly #endBounds: () => void;
  #closed: Promise<void> | undefined;

  constructor(app: Responder, { limits, tls, onTrouble }: HttpServerOptions) {
    const { bodyTimeoutMs, connectionsMax, answersBytesMax, stallTimeoutMs } = limits;
    const headersTimeout = Math.min(HEADERS_TIMEOUT_MS, bodyTimeoutMs);
    const options = {
      headersTimeout,
      // The application's own timeout comes first, with an answer.
      requestTimeout: bodyTimeoutMs + HEADERS_TIMEOUT_MS,
      keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
      connectionsCheckingInterval: LOOK_INTERVAL_MS,
    };
    const listener = directListener(app, getRequestListener(webApp(app).fetch));
    this.#server =
      tls === undefined
        ? createServer(options, listener)
        : createTlsServer(tls, { ...options, handshakeTimeout: headersTimeout }, listener);
    this.#server.maxConnections = connectionsMax;
    this.#server.timeout = stallTimeoutMs;
    this.#endBounds = boundConnections(this.#server, { answersBytesMax, onTrouble });
  }

  async listen({ host, port, isShared = false }: ListenOptions): Promise<ListeningAt> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen({ host, port, reusePort: isShared }, () => {
        this.#server.off("error", reject);
        resolve();
      });
    });
    const { address, family, port: given } = this.#server.address() as AddressInfo;
    return { address, family, port: given };
  }

  stop(): void {
    this.#closed ??= new Promise((resolve) => this.#server.close(() => resolve()));
    this.#server.closeIdleConnections();
  }

  async end(): Promise<void> {
    this.stop();
    // Each connection can end once its answer is out.
    const sweep = setInterval(() => this.#server.closeIdleConnections(), LAST_WORDS_MS / 10);
    const force = setTimeout(() => this.#server.closeAllConnections(), LAST_WORDS_MS);
    await this.#closed;
    clearInterval(sweep);
    clearTimeout(force);
    this.#endBounds();
  }
}
