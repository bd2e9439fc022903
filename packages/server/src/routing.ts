/** From a path to a log and one of its routes. */
import { API_ROUTES } from "./api-routes.ts";
import { ServerError } from "./error.ts";
import type { HostedLog } from "./hosted-log.ts";
import type { Route } from "./route.ts";
import { TILE_ROUTES } from "./tiles-routes.ts";

/** Every route of a log. */
export const LOG_ROUTES: readonly Route[] = [...TILE_ROUTES, ...API_ROUTES];

export interface Match {
  readonly hosted: HostedLog;
  readonly route: Route;
  readonly parameter: string;
}

/** @throws {ServerError} `log-unknown`, `not-found`, `method-not-allowed` */
export function findRoute(path: string, method: string, logs: readonly HostedLog[]): Match {
  const [, name = "", rest = ""] = /^\/([^/]+)\/(.*)$/s.exec(path) ?? [];
  const hosted = logs.find((log) => log.name === name);
  if (hosted === undefined)
    throw new ServerError(rest === "" ? "not-found" : "log-unknown", "there is nothing at this address");
  const matches = LOG_ROUTES.flatMap((route) => {
    const parameter = matchPath(route.path, rest);
    return parameter === undefined ? [] : [{ hosted, route, parameter }];
  });
  const wanted = method === "HEAD" ? "GET" : method;
  const match = matches.find(({ route }) => route.method === wanted);
  if (match !== undefined) return match;
  if (matches.length === 0) throw new ServerError("not-found", "there is nothing at this address");
  throw notAllowed(
    [...new Set(matches.map(({ route }) => (route.method === "GET" ? "GET, HEAD" : route.method)))].join(", "),
  );
}

/** The parameter's text, empty where the route has none; `undefined` where the path is another. */
function matchPath(pattern: string, path: string): string | undefined {
  const brace = pattern.indexOf("{");
  if (brace === -1) return pattern === path ? "" : undefined;
  const prefix = pattern.slice(0, brace);
  return path.startsWith(prefix) && path.length > prefix.length ? path.slice(prefix.length) : undefined;
}

export function notAllowed(allow: string): ServerError {
  return new ServerError("method-not-allowed", `expected ${allow}`, { details: { allow } });
}

/** @throws {ServerError} `request-malformed`: names the parameter. */
export function queryOf(route: Route, request: Request): unknown {
  const parameters = [...new URL(request.url).searchParams];
  if (new Set(parameters.map(([name]) => name)).size < parameters.length)
    throw new ServerError("request-malformed", "a query parameter stands there twice");
  const parsed = route.query.safeParse(Object.fromEntries(parameters));
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const name = issue?.path.join(".") ?? "";
  throw new ServerError("request-malformed", `query${name === "" ? "" : ` ${name}`}: ${issue?.message ?? "not valid"}`);
}
