/** Requests and answers of node:http, which Express and Fastify stand on. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { STATUS_HEADERS } from "./http.ts";
import type { HttpHeaders } from "./http-problem.ts";
import { liveConnections } from "./live-connections.ts";
import type { RequestFacts } from "./request-facts.ts";
import type { SessionInfo, Sessions } from "./sessions.ts";

/** What Express adds: the path as it was before routers cut it. */
export type NodeRequest = IncomingMessage & { readonly originalUrl?: string | undefined };

/** A client that does not take the end of a stream is cut off. */
const END_MS = 1000;

export function nodeFacts(request: NodeRequest): RequestFacts {
  const { method = "GET", url = "/", originalUrl = url, headers, socket } = request;
  return {
    method,
    path: originalUrl.split("?", 1)[0] ?? originalUrl,
    header: (name) => {
      const value = headers[name];
      return Array.isArray(value) ? value.join(", ") : value;
    },
    peer: socket.remoteAddress,
    encrypted: "encrypted" in socket,
  };
}

/** Sets headers beside those that are there: a cookie of ours replaces none of the application's. */
export function setNodeHeaders(response: ServerResponse, headers: HttpHeaders): void {
  for (const [name, value] of headers) {
    if (name === "set-cookie") response.appendHeader(name, value);
    else response.setHeader(name, value);
  }
}

/** Sets what an answer says about the session, in the place of what one before it said. */
export function setSessionHeaders(response: ServerResponse, headers: HttpHeaders): void {
  for (const name of STATUS_HEADERS) response.removeHeader(name);
  setNodeHeaders(response, headers);
}

/** What a session opens gets into no cache, where it would be shown after the end, unless the application says otherwise. */
export function setUncached(response: ServerResponse): void {
  if (!response.hasHeader("cache-control")) response.setHeader("cache-control", "no-store");
}

/** Ends an answer that is an event stream when its session is over. Any other may be finished. */
export function closeWithSession(sessions: Sessions, session: SessionInfo, response: ServerResponse): void {
  // Who went away meanwhile is not looked after: nobody would say so again.
  if (response.destroyed) return;
  const remove = liveConnections(sessions).add({
    session,
    isLive: () => response.headersSent && /^text\/event-stream\b/i.test(String(response.getHeader("content-type"))),
    close: () => endStream(response),
  });
  response.once("close", remove);
}

function endStream(response: ServerResponse): void {
  // Whoever writes to it still must not bring the process down; they see its `close`.
  response.on("error", () => undefined);
  response.end();
  const timer = setTimeout(() => response.destroy(), END_MS).unref();
  response.once("close", () => clearTimeout(timer));
}
