/**
 * What the thread of an HTTP server and the thread of the application tell each other. Each message is an array that begins
 * with its kind; requests and connections have numbers that their HTTP thread gives.
 */
import type { TlsConfig } from "../config.ts";
import type { Span } from "./channel.ts";
import type { HttpLimits, ListenOptions, ListeningAt } from "./http-server.ts";
import type { Reply } from "./request.ts";

/** What an HTTP thread begins with. */
export interface HttpThreadData {
  readonly limits: HttpLimits;
  /** Its files are read by each thread. */
  readonly tls?: { readonly config: TlsConfig; readonly dir: string };
}

export type FromHttp =
  | readonly ["listening", ListeningAt]
  | readonly ["unable", { readonly message: string; readonly code: string | undefined }]
  | readonly ["trouble", message: string, details: Readonly<Record<string, unknown>>]
  | readonly ["ended"]
  /** No more requests come over a connection. */
  | readonly ["closed", connection: number]
  | RequestMessage
  | OfRequest;

/** What comes of a request that was told. */
export type OfRequest =
  /** Of a request's body. Unasked for where it was announced to be small. */
  | readonly ["part", request: number, Span]
  | readonly ["end", request: number]
  | readonly ["fail", request: number, reason: string]
  /** The client went away; told where that was asked for. */
  | readonly ["gone", request: number]
  /** The next of an answer that comes bit by bit. */
  | readonly ["pull", request: number]
  | readonly ["cancel", request: number];

export type RequestMessage = readonly [
  "request",
  request: number,
  connection: number,
  isLocal: boolean,
  isCertified: boolean,
  method: string,
  path: string,
  search: string,
  /** As REQUEST_HEADERS has them. */
  headers: readonly (string | undefined)[],
  announcedBytes: number | undefined,
];

export type ToHttp = readonly ["listen", Required<ListenOptions>] | readonly ["stop"] | readonly ["end"] | ToApp;

/** What is for the requests. */
export type ToApp =
  /** So many bytes of bodies have been taken. */
  | readonly ["taken", bytes: number]
  | readonly ["reply", request: number, status: number, headers: Reply["headers"], body: string | Span | undefined]
  /** A reply whose body comes bit by bit, each when it is pulled. */
  | readonly ["stream", request: number, status: number, headers: Reply["headers"]]
  | readonly ["chunk", request: number, Span]
  | readonly ["done", request: number]
  /** The application failed: there is no answer, or no rest of it. */
  | readonly ["failed", request: number]
  /** Send the body, whose size was not announced or is large. */
  | readonly ["read", request: number]
  /** No more of the body. */
  | readonly ["skip", request: number]
  /** Tell when the client goes away. */
  | readonly ["watch", request: number];
