/** A `fetch` over TLS with an authority and a client certificate of one's own, which Node's built-in one does not take. */
import type { IncomingMessage } from "node:http";
import { Agent, request as httpsRequest } from "node:https";
import { Readable } from "node:stream";
import { createSecureContext } from "node:tls";
import type { Fetch } from "./http.ts";

/** All in PEM. */
export interface HttpsFetchOptions {
  /** Whose certificates are believed, in place of those that Node knows. */
  readonly ca?: string | Uint8Array;
  /** The client certificate, and then those that lead to its authority. */
  readonly certificate?: string | Uint8Array;
  /** The client certificate's key, not encrypted. */
  readonly key?: string | Uint8Array;
}

/**
 * Makes a `fetch` for https addresses. It keeps connections open between requests, streams answers, obeys the signal of a
 * request, and follows no redirect, whatever the request says.
 *
 * @throws {Error} OpenSSL's, where a certificate or key does not parse or they are no pair.
 * @example
 * const fetch = createHttpsFetch({ ca: await readFile("ca.pem"), certificate: await readFile("app.pem"), key: await readFile("app.key") });
 */
export function createHttpsFetch({ ca, certificate, key }: HttpsFetchOptions): Fetch {
  const secureContext = createSecureContext({
    ...(ca === undefined ? {} : { ca: pemOf(ca) }),
    ...(certificate === undefined ? {} : { cert: pemOf(certificate) }),
    ...(key === undefined ? {} : { key: pemOf(key) }),
    minVersion: "TLSv1.2",
  });
  const agent = new Agent({ keepAlive: true, secureContext });
  return async (input, init) => {
    const request = new Request(input, init);
    if (!request.url.startsWith("https:")) throw new TypeError("expected an https address");
    return send(request, agent);
  };
}

function pemOf(pem: string | Uint8Array): string | Buffer {
  return typeof pem === "string" ? pem : Buffer.from(pem);
}

async function send(request: Request, agent: Agent): Promise<Response> {
  const body = request.body === null ? undefined : new Uint8Array(await request.arrayBuffer());
  const { method, signal, url } = request;
  const headers = Object.fromEntries(request.headers);
  return new Promise((resolve, reject) => {
    const sent = httpsRequest(url, { agent, method, headers, signal }, (incoming) => {
      try {
        resolve(responseOf(incoming));
      } catch (error) {
        incoming.destroy();
        reject(error instanceof Error ? error : new TypeError(String(error)));
      }
    });
    sent.on("error", reject);
    sent.end(body);
  });
}

/** Statuses whose answers have no body. */
const BODILESS: readonly number[] = [204, 205, 304];

/** @throws {RangeError} a status that no response can have. */
function responseOf(incoming: IncomingMessage): Response {
  const { statusCode: status = 0, rawHeaders } = incoming;
  const headers = new Headers();
  for (let at = 0; at < rawHeaders.length; at += 2) headers.append(rawHeaders[at] ?? "", rawHeaders[at + 1] ?? "");
  if (!BODILESS.includes(status)) return new Response(Readable.toWeb(incoming) as ReadableStream, { status, headers });
  incoming.resume();
  return new Response(null, { status, headers });
}
