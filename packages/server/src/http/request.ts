/** Requests and answers as the application sees them, whichever way they come and go. */
import type { BodySource } from "./body-source.ts";

/** The headers that the application looks at. A request that comes from another thread brings these and no others. */
export const REQUEST_HEADERS = [
  "accept",
  "authorization",
  "content-encoding",
  "content-type",
  "if-none-match",
  "if-range",
  "last-event-id",
  "range",
] as const;

export type RequestHeader = (typeof REQUEST_HEADERS)[number];

export interface ServerRequest {
  readonly method: string;
  /** As URLs have it: dot segments resolved, whatever needs it percent-encoded. */
  readonly path: string;
  /** The query with its question mark, or empty. */
  readonly search: string;
  readonly body: BodySource;
  /** The same object for all requests over one connection, where that is known. */
  readonly connection: object | undefined;
  /** Whether a program on this machine asks. */
  readonly isLocal: boolean;
  /** Whether the client has shown a certificate that the server's client CA vouches for. */
  readonly isCertified: boolean;
  /** Fires when the client goes away before it has its answer. */
  readonly signal: AbortSignal;
  /** Headers that stand there twice are joined by `, `. */
  header(name: RequestHeader): string | undefined;
}

/** What the application answers. Names of headers are in lower case. */
export interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array | string | ReadableStream<Uint8Array> | undefined;
}

/** Answers requests, of all logs and of the server itself. */
export interface Responder {
  /** A rejection ends the connection: all that is worth an answer has one. */
  respond(request: ServerRequest): Promise<Reply>;
}
