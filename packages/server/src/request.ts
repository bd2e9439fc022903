/** A request as the application sees it, whichever way it came. */
import type { BodySource } from "./body.ts";

export interface ServerRequest {
  readonly method: string;
  /** As URLs have it: dot segments resolved, whatever needs it percent-encoded. */
  readonly path: string;
  /** The query with its question mark, or empty. */
  readonly search: string;
  readonly body: BodySource;
  /** The same object for all requests over one connection, where that is known. */
  readonly connection: object | undefined;
  /** Whether the client has shown a certificate that the server's client CA vouches for. */
  readonly isCertified: boolean;
  /** Fires when the client goes away before it has its answer. */
  readonly signal: AbortSignal;
  /** By its name in lower case; headers that stand there twice are joined by `, `. */
  header(name: string): string | undefined;
}

/** What the application answers. Names of headers are in lower case. */
export interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array | string | ReadableStream<Uint8Array> | undefined;
}
