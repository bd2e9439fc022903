/** Who may do what: deny by default, and what a route allows stands at the route. */
import type { HttpBindings } from "@hono/node-server";
import { ServerError } from "./error.ts";
import type { HostedLog } from "./hosted-log.ts";
import type { ServerRequest } from "./request.ts";
import type { Route } from "./route.ts";
import type { Credential, Role, TokenFinder } from "./tokens.ts";

export interface Asking {
  readonly hosted: HostedLog;
  readonly route: Route;
  readonly request: ServerRequest;
  readonly tokens: TokenFinder;
}

/**
 * Who asks; `undefined` where nobody needs to say. Public routes do not look at a token at all.
 *
 * @throws {ServerError} `unauthenticated`, `forbidden`
 */
export function authorize({ hosted, route, request, tokens }: Asking): Credential | undefined {
  if (route.access === "public") return undefined;
  if (hosted.publicEntries && route.path.startsWith("tile/entries/")) return undefined;
  const credential = authenticate(request, tokens);
  if (credential.log !== hosted.name) throw new ServerError("forbidden", "this token is for another log");
  return requireRole(credential, route.access);
}

/** @throws {ServerError} `forbidden` */
export function requireRole(credential: Credential, roles: readonly Role[]): Credential {
  if (roles.includes(credential.role)) return credential;
  throw new ServerError("forbidden", `this asks for the role ${roles.join(" or ")}; the token's is ${credential.role}`);
}

/** @throws {ServerError} `unauthenticated` */
export function authenticate(request: ServerRequest, tokens: TokenFinder): Credential {
  const token = tokenOf(request);
  const credential = token === undefined ? undefined : tokens.find(token, request.connection);
  if (credential !== undefined) return credential;
  throw new ServerError(
    "unauthenticated",
    token === undefined ? "expected Authorization: Bearer TOKEN" : "this token is not known",
  );
}

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
export function isLocal(bindings: Partial<HttpBindings> | undefined): boolean {
  const incoming = bindings?.incoming;
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

/** Whether an operator asks, or somebody on this machine. */
export function isOperator(
  request: ServerRequest,
  { local, tokens }: { local: boolean; tokens: TokenFinder },
): boolean {
  if (local) return true;
  const token = tokenOf(request);
  return token !== undefined && tokens.find(token)?.role === "operator";
}

function tokenOf(request: ServerRequest): string | undefined {
  return /^Bearer +(\S{1,200})$/i.exec(request.header("authorization") ?? "")?.[1];
}
