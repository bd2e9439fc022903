/** From a path to a log and one of its routes. */
import { API_ROUTES } from "./api-routes.ts";
import { DISPOSITION_ROUTES } from "./disposition-routes.ts";
import { ServerError } from "./error.ts";
import type { HostedLog } from "./hosted-log.ts";
import type { Route } from "./route.ts";
import { TILE_ROUTES } from "./tiles-routes.ts";

/** Every route of a log. */
export const LOG_ROUTES: readonly Route[] = [...TILE_ROUTES, ...API_ROUTES, ...DISPOSITION_ROUTES];

interface Match {
  readonly hosted: HostedLog;
  readonly route: Route;
  readonly parameter: string;
}

/** @throws {ServerError} `log-unknown`, `not-found`, `method-not-allowed` */
export function findRoute(path: string, method: string, logs: readonly HostedLog[]): Match {
  const { hosted, rest } = findLog(path, logs);
  if (hosted === undefined)
    throw new ServerError(rest === "" ? "not-found" : "log-unknown", "there is nothing at this address");
  const wanted = method === "HEAD" ? "GET" : method;
  // The first that fits: what has words behind its parameter stands before what has none.
  for (const route of LOG_ROUTES) {
    const parameter = route.method === wanted ? matchPath(route.path, rest) : undefined;
    if (parameter !== undefined) return { hosted, route, parameter };
  }
  const others = LOG_ROUTES.filter((route) => matchPath(route.path, rest) !== undefined);
  if (others.length === 0) throw new ServerError("not-found", "there is nothing at this address");
  throw notAllowed(
    [...new Set(others.map((route) => (route.method === "GET" ? "GET, HEAD" : route.method)))].join(", "),
  );
}

/** The log that a path names, and what stands below it. */
function findLog(
  path: string,
  logs: readonly HostedLog[],
): { readonly hosted: HostedLog | undefined; readonly rest: string } {
  const slash = path.indexOf("/", 1);
  if (slash < 2) return { hosted: undefined, rest: "" };
  const name = path.slice(1, slash);
  return { hosted: logs.find((log) => log.name === name), rest: path.slice(slash + 1) };
}

/** The parameter's text, empty where the route has none; `undefined` where the path is another. */
function matchPath(pattern: string, path: string): string | undefined {
  const brace = pattern.indexOf("{");
  if (brace === -1) return pattern === path ? "" : undefined;
  const [prefix, suffix] = [pattern.slice(0, brace), pattern.slice(pattern.indexOf("}") + 1)];
  if (!path.startsWith(prefix) || !path.endsWith(suffix)) return undefined;
  return path.length > prefix.length + suffix.length
    ? path.slice(prefix.length, path.length - suffix.length)
    : undefined;
}

export function notAllowed(allow: string): ServerError {
  return new ServerError("method-not-allowed", `expected ${allow}`, { details: { allow } });
}

/**
 * What the text after a path asks, checked by the route.
 *
 * @throws {ServerError} `request-malformed`: names the parameter.
 */
export function queryOf(route: Route, search: string): unknown {
  if (search === "" && route.noQuery !== undefined) return route.noQuery.data;
  const parameters = [...new URLSearchParams(search)];
  if (new Set(parameters.map(([name]) => name)).size < parameters.length)
    throw new ServerError("request-malformed", "a query parameter stands there twice");
  const parsed = route.query.safeParse(Object.fromEntries(parameters));
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const name = issue?.path.join(".") ?? "";
  throw new ServerError("request-malformed", `query${name === "" ? "" : ` ${name}`}: ${issue?.message ?? "not valid"}`);
}
