/** What the guard knows of a request, whatever the framework; and what of it may get into a permanent record. */
import { isIP } from "node:net";
import type { Source } from "./kept-session.ts";

/** A request as the core sees it. */
export interface RequestFacts {
  readonly method: string;
  /** Without the query, which may hold secrets. */
  readonly path: string;
  /** A header by its name in lower case; several of one name joined by commas. */
  readonly header: (name: string) => string | undefined;
  /** The address of whoever connected. */
  readonly peer?: string | undefined;
  /** Whether the connection itself is encrypted. */
  readonly encrypted: boolean;
}

const USER_AGENT_CHARS_MAX = 512;
const TARGET_CHARS_MAX = 200;
/** The most proxies that anybody has in a row, and then some. */
const HOPS_MAX = 32;

/** @throws {RangeError} */
export function parseTrustProxy(hops: number): number {
  if (Number.isSafeInteger(hops) && hops >= 0 && hops <= HOPS_MAX) return hops;
  throw new RangeError(`trustProxy: expected the number of proxies in front, from 0 to ${HOPS_MAX}, got ${hops}`);
}

/** From where a request came, for events. */
export function sourceOf(facts: RequestFacts, trustProxy: number): Source {
  const ip = clientAddress(facts, trustProxy);
  const userAgent = line(facts.header("user-agent") ?? "", USER_AGENT_CHARS_MAX);
  return { ...(ip === undefined ? {} : { ip }), ...(userAgent === "" ? {} : { userAgent }) };
}

/**
 * The client's address: that of whoever connected, or with `trustProxy` proxies in front the one that the outermost of
 * them saw. What stands left of that in X-Forwarded-For anybody may have written, and is not looked at.
 */
export function clientAddress(facts: RequestFacts, trustProxy: number): string | undefined {
  const forwarded = forwardedBy(facts.header("x-forwarded-for"), trustProxy);
  // What a trusted proxy wrote and is no address is not replaced by the proxy's own: then nobody knows.
  return plainAddress(forwarded ?? facts.peer);
}

/** Whether the browser's connection is encrypted, as far as trusted proxies say. */
export function isEncrypted(facts: RequestFacts, trustProxy: number): boolean {
  return facts.encrypted || forwardedBy(facts.header("x-forwarded-proto"), trustProxy)?.toLowerCase() === "https";
}

/** What is asked for, in an event: the method and the path, nothing of the query. */
export function targetOf({ method, path }: RequestFacts): { readonly type: string; readonly id: string } {
  return { type: "route", id: line(`${method} ${path}`, TARGET_CHARS_MAX) };
}

/** The entry of a list, to which each proxy appends one, that the outermost trusted proxy wrote. */
function forwardedBy(list: string | undefined, trustProxy: number): string | undefined {
  if (trustProxy === 0 || list === undefined) return undefined;
  const entries = list.split(",");
  // Fewer entries than proxies: all are of proxies of ours, so the first is of the outermost that was passed.
  return entries[Math.max(0, entries.length - trustProxy)]?.trim();
}

/** Without port, brackets and zone, IPv4 as such; `undefined` where it is no address. */
function plainAddress(text: string | undefined): string | undefined {
  if (text === undefined || text.length > 64) return undefined;
  const bracketed = /^\[([^\]]+)\](?::\d{1,5})?$/.exec(text)?.[1];
  const withPort = /^([\d.]+):\d{1,5}$/.exec(text)?.[1];
  const address = (bracketed ?? withPort ?? text).replace(/%.*$/, "").toLowerCase();
  const mapped = /^::ffff:([\d.]+)$/.exec(address)?.[1] ?? address;
  return isIP(mapped) === 0 ? undefined : mapped;
}

/** What no event bears: control characters, and what ends a line. */
const UNFIT = /[\p{Cc}\p{Zl}\p{Zp}]+/u;

/** One line of text, as events want it. */
function line(text: string, charsMax: number): string {
  const cut = (text.length > charsMax ? text.slice(0, charsMax) : text).toWellFormed();
  return (UNFIT.test(cut) ? cut.replaceAll(new RegExp(UNFIT, "gu"), " ") : cut).trim();
}
