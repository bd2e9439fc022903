/** What a browser holds: the session's id and a secret, of which the store has the hash only. */
import { hash, randomBytes } from "node:crypto";

/** What an id may look like: it stands in cookies and keys. */
const ID = /^[A-Za-z0-9_-]{8,128}$/;
const TOKEN = /^([A-Za-z0-9_-]{8,128})\.([A-Za-z0-9_-]{43})$/;

export interface ParsedToken {
  readonly id: string;
  readonly hash: string;
}

export interface NewToken {
  readonly token: string;
  readonly hash: string;
}

/** A stable id for a new session: 128 random bits. */
export function createSessionId(): string {
  return randomBytes(16).toString("base64url");
}

/** A text only: what a request brought may be a list, which a pattern takes for its one element. */
export function isSessionId(id: unknown): boolean {
  return typeof id === "string" && ID.test(id);
}

/** A token with 256 random bits. */
export function createToken(id: string): NewToken {
  const token = `${id}.${randomBytes(32).toString("base64url")}`;
  return { token, hash: hashToken(token) };
}

/** Reads what a stranger sent as a token; `undefined` where it cannot be one. */
export function parseToken(token: string): ParsedToken | undefined {
  const [, id] = TOKEN.exec(token) ?? [];
  return id === undefined ? undefined : { id, hash: hashToken(token) };
}

/** The token has 256 random bits, so that a plain hash cannot be guessed from. */
function hashToken(token: string): string {
  return hash("sha256", token, "base64url");
}
