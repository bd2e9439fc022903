/** The session's token on its way: in a cookie, or as a bearer token for those that are no browser. */
import { assertOptionNames } from "@tallystick/events";
import type { HttpHeaders } from "./http-problem.ts";
import type { RequestFacts } from "./request-facts.ts";

export interface CookieOptions {
  /**
   * By default "__Host-session" where the connection is encrypted, which no other host and no plain connection can set,
   * and "session" where it is not.
   */
  readonly name?: string | undefined;
  /** Whether the cookie is for encrypted connections only; by default it is where this one is encrypted. */
  readonly secure?: boolean | undefined;
}

/** How a token came, which is how a new one goes. */
export type TokenCarrier = "cookie" | "bearer";

export interface ShownToken {
  readonly token: string;
  readonly carrier: TokenCarrier;
}

/** Takes a new token to those who showed the old one as a bearer token. */
export const TOKEN_HEADER = "tallystick-session-token";

/** A name that RFC 6265 allows. */
const COOKIE_NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64}$/;
/** No cookie header is longer: servers refuse it before. */
const COOKIES_CHARS_MAX = 16_384;

/** @throws {TypeError} */
export function assertCookieOptions(cookie: CookieOptions): void {
  assertOptionNames("cookie", cookie, { name: true, secure: true });
  const { name, secure } = cookie;
  if (name !== undefined && !COOKIE_NAME.test(name)) {
    throw new TypeError(`cookie.name: expected letters, digits and -, _, got ${JSON.stringify(name)}`);
  }
  if (name !== undefined && /^__(?:host|secure)-/i.test(name) && secure === false) {
    throw new TypeError(`cookie: ${name} is for encrypted connections, and secure is false`);
  }
}

/** The token that came with a request. A bearer token comes before a cookie, as somebody put it there on purpose. */
export function shownToken(facts: RequestFacts, cookie: CookieOptions, encrypted: boolean): ShownToken | undefined {
  const bearer = /^bearer +([^\s,]{1,512})$/i.exec(facts.header("authorization") ?? "")?.[1];
  if (bearer !== undefined) return { token: bearer, carrier: "bearer" };
  const token = cookieOf(facts.header("cookie"), nameOf(cookie, encrypted));
  return token === undefined ? undefined : { token, carrier: "cookie" };
}

/** The headers that take a new token to the client. */
export function tokenHeaders(
  token: string,
  carrier: TokenCarrier,
  cookie: CookieOptions,
  encrypted: boolean,
): HttpHeaders {
  const header =
    carrier === "bearer"
      ? ([TOKEN_HEADER, token] as const)
      : (["set-cookie", `${nameOf(cookie, encrypted)}=${token}${attributes(cookie, encrypted)}`] as const);
  return [header, ["cache-control", "no-store"]];
}

/** The header that removes the cookie. */
export function removalHeaders(cookie: CookieOptions, encrypted: boolean): HttpHeaders {
  return [["set-cookie", `${nameOf(cookie, encrypted)}=; Max-Age=0${attributes(cookie, encrypted)}`]];
}

/** Without an age: the store's clock ends sessions, not the browser's. */
function attributes({ secure }: CookieOptions, encrypted: boolean): string {
  return `; Path=/; HttpOnly; SameSite=Lax${(secure ?? encrypted) ? "; Secure" : ""}`;
}

function nameOf({ name, secure }: CookieOptions, encrypted: boolean): string {
  return name ?? ((secure ?? encrypted) ? "__Host-session" : "session");
}

/** The first of that name; two differ only where somebody meddles. */
function cookieOf(header: string | undefined, name: string): string | undefined {
  if (header === undefined || header.length > COOKIES_CHARS_MAX) return undefined;
  for (const pair of header.split(";")) {
    const at = pair.indexOf("=");
    if (at > 0 && pair.slice(0, at).trim() === name) return pair.slice(at + 1).trim();
  }
  return undefined;
}
