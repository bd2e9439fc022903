/** Tells programs on this machine from all others. */
import type { IncomingMessage } from "node:http";

/** What proxies and browsers add: such a request comes from elsewhere, whatever its last hop. */
const SIGNS_OF_ELSEWHERE = [
  "cf-connecting-ip",
  "forwarded",
  "origin",
  "sec-fetch-site",
  "true-client-ip",
  "via",
  "x-client-ip",
  "x-forwarded-for",
  "x-forwarded-host",
  "x-forwarded-proto",
  "x-real-ip",
];
/** A name in Host that is not of this machine alone may be anybody's, who made it lead here. */
const LOOPBACK_HOST = /^(?:127(?:\.\d{1,3}){3}|localhost|\[::1\])(?::\d{1,5})?$/i;

/** Whether a request was made on this machine, by a program that meant this machine. */
export function isLocal(incoming: IncomingMessage | undefined): boolean {
  if (incoming === undefined) return false;
  const { headers, httpVersionMinor, socket } = incoming;
  const isLoopback = /^(?:127\.|::1$|::ffff:127\.)/.test(socket.remoteAddress ?? "");
  return (
    isLoopback &&
    // Proxies speak HTTP/1.0 to what is behind them unless they are told otherwise.
    httpVersionMinor === 1 &&
    LOOPBACK_HOST.test(headers.host ?? "") &&
    SIGNS_OF_ELSEWHERE.every((name) => headers[name] === undefined)
  );
}
