/** Whose session is meant: by the token that a request brought, or by the id that the application itself knows. */
import { type ParsedToken, isSessionId, parseToken } from "./token.ts";

/** A session by its id, as {@link sessionById} makes it. Nothing that a request brings can be one, however it is parsed. */
class SessionById {
  readonly #id: string;

  constructor(id: string) {
    this.#id = id;
  }

  /** The id; `undefined` where `value` was not made here. */
  static idOf(value: unknown): string | undefined {
    return typeof value === "object" && value !== null && #id in value ? value.#id : undefined;
  }
}

export type { SessionById };

/** A token, or {@link sessionById} by a caller who has made sure himself whose session it is. */
export type Credential = string | SessionById;

/**
 * A credential without a token, which opens the session to whoever holds it: for a caller who has made sure himself whose
 * session it is, such as an operator's page that ends it.
 *
 * @param id - `SessionInfo.id`. One that no session can have is as unknown as one that none has.
 * @throws {TypeError} It is no text.
 * @example
 * await sessions.end(sessionById(id), { reason: "revoked", by: { type: "user", id: admin } });
 */
export function sessionById(id: string): SessionById {
  if (typeof id !== "string") throw new TypeError(`id: expected the id of a session, got ${typeName(id)}`);
  return new SessionById(id);
}

/**
 * Whose session a credential is of, with the token's hash if it is one; `undefined` where it cannot be of any.
 *
 * @throws {TypeError} It is neither. Whoever has no token asks for nothing: that there is none is for the caller to say.
 */
export function parseCredential(credential: Credential): (Partial<ParsedToken> & Pick<ParsedToken, "id">) | undefined {
  if (typeof credential === "string") return parseToken(credential);
  const id = SessionById.idOf(credential);
  if (id !== undefined) return isSessionId(id) ? { id } : undefined;
  throw new TypeError(`credential: expected a token or sessionById(id), got ${typeName(credential)}`);
}

/** Not the value: it may be of a stranger's request. */
function typeName(value: unknown): string {
  return value === null ? "null" : typeof value;
}
