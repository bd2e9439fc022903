/** Who may do what: deny by default, and what a route allows stands at the route. */
import { ServerError } from "./error.ts";
import { type HostedLog, openedLog } from "./hosted-log.ts";
import { type Identities, isJwt } from "./identity.ts";
import type { ParsedRules } from "./parsed-rules.ts";
import type { ServerRequest } from "./http/request.ts";
import type { Route } from "./route.ts";
import type { Credential, Role, TokenFinder } from "./tokens.ts";

/** How bearers are known. */
export interface Authentication {
  readonly tokens: TokenFinder;
  readonly identities: Identities;
  readonly rules: ParsedRules;
}

export interface Asking extends Authentication {
  readonly hosted: HostedLog;
  readonly route: Route;
  /** Of the route's path. */
  readonly parameter: string;
  readonly request: ServerRequest;
}

/**
 * Who asks; `undefined` where nobody needs to say. Public routes do not look at a token at all. That contents were asked
 * for by somebody who may not have them is in the log before the refusal.
 *
 * @throws {ServerError} `unauthenticated`, `forbidden`, `identity-unavailable`
 */
export async function authorize(asking: Asking): Promise<Credential | undefined> {
  const { hosted, route, parameter, request } = asking;
  if (route.access === "public") return undefined;
  if (hosted.publicEntries && route.path.startsWith("tile/entries/")) return undefined;
  const credential = await authenticate(request, hosted, asking);
  try {
    if (credential.log !== hosted.name) throw new ServerError("forbidden", "this token is for another log");
    return requireRole(credential, route.access);
  } catch (refusal) {
    if (route.contents !== undefined) {
      const named = /^\d{1,15}$/.test(parameter) ? { indexes: [Number(parameter)] } : {};
      await hosted.log?.recordDenied({ reader: credential.id, kind: route.contents, ...named });
    }
    throw refusal;
  }
}

/** @throws {ServerError} `forbidden` */
function requireRole(credential: Credential, roles: readonly Role[]): Credential {
  if (roles.includes(credential.role)) return credential;
  throw new ServerError("forbidden", `this asks for the role ${roles.join(" or ")}; the token's is ${credential.role}`);
}

/** @throws {ServerError} `unauthenticated`; of a person without a role `forbidden`; `identity-unavailable` */
async function authenticate(
  request: ServerRequest,
  hosted: HostedLog,
  { tokens, identities, rules }: Authentication,
): Promise<Credential> {
  const token = tokenOf(request);
  if (token === undefined) throw new ServerError("unauthenticated", "expected Authorization: Bearer TOKEN");
  if (isJwt(token)) {
    const { identity } = rules.of(openedLog(hosted));
    return identities.identify(token, { name: hosted.name, rules: identity });
  }
  const credential = tokens.find(token, request.connection);
  if (credential !== undefined) return credential;
  throw new ServerError("unauthenticated", "this token is not known");
}

/** Whoever runs the server: an operator of any of its logs. @throws {ServerError} as {@link authorize} */
export async function requireOperator(
  request: ServerRequest,
  { logs, ...authentication }: Authentication & { readonly logs: readonly HostedLog[] },
): Promise<void> {
  let refusal: unknown = new ServerError("unauthenticated", "this server has no log");
  for (const hosted of logs) {
    try {
      requireRole(await authenticate(request, hosted, authentication), ["operator"]);
      return;
    } catch (error) {
      refusal = error;
    }
  }
  throw refusal;
}

/** Longer than our own by far: tokens of identity providers have some kilobytes. */
const BEARER = /^Bearer +(\S{1,8192})$/i;

function tokenOf(request: ServerRequest): string | undefined {
  return BEARER.exec(request.header("authorization") ?? "")?.[1];
}
