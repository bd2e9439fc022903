/**
 * Bearer tokens: random, shown once, stored as digests. A token's id is the credential by which the log knows a writer.
 */
import { hash, randomBytes, timingSafeEqual } from "node:crypto";
import { readFile } from "node:fs/promises";
import { parseJson } from "@tallystick/events";
import { writeFileDurably } from "@tallystick/storage";
import * as z from "zod";
import { ServerError } from "./error.ts";

export const ROLES = ["writer", "auditor", "operator"] as const;
export type Role = (typeof ROLES)[number];

/** Who sent a request. */
export interface Credential {
  /** Stable; stands in the log as the writer's or reader's name. */
  readonly id: string;
  readonly role: Role;
  /** The log that it is for. */
  readonly log: string;
}

const TOKEN_PATTERN = /^tsk_(writer|auditor|operator)_[A-Za-z0-9_-]{43}$/;
const tokensSchema = z.strictObject({
  tokens: z.array(
    z.strictObject({
      id: z.string().regex(/^[a-z0-9-]{1,64}$/),
      role: z.enum(ROLES),
      log: z.string(),
      digest: z.string().regex(/^[0-9a-f]{64}$/),
      createdAt: z.string(),
    }),
  ),
  /** Of the tokens, {@link checkOf}. Files of earlier versions have none. */
  sha256: z.string().optional(),
});

type StoredToken = z.infer<typeof tokensSchema>["tokens"][number];

/** What a request's token is looked up in. */
export interface TokenFinder {
  /** `connection` is one object for all that comes over one connection: its token is mostly the same. */
  find(token: string, connection?: object): Credential | undefined;
}

/** The tokens of a server, as they were when the file was read. */
export class Tokens implements TokenFinder {
  readonly #stored: readonly { readonly credential: Credential; readonly digest: Buffer }[];
  /** Of each connection the token that came last, so that it is not hashed for each request. */
  readonly #last = new WeakMap<object, { readonly token: Buffer; readonly digest: Buffer }>();

  private constructor(stored: readonly StoredToken[]) {
    this.#stored = stored.map(({ id, role, log, digest }) => ({
      credential: { id, role, log },
      digest: Buffer.from(digest, "hex"),
    }));
  }

  /** @throws {ServerError} `tokens-malformed` */
  static async read(path: string): Promise<Tokens> {
    return new Tokens((await readStored(path)).tokens);
  }

  /** Whose token this is. Takes as long for a wrong one as for a right one. */
  find(token: string, connection?: object): Credential | undefined {
    const digest = connection === undefined ? digestOf(token) : this.#digestOf(token, connection);
    let found: Credential | undefined;
    for (const { credential, digest: known } of this.#stored) if (timingSafeEqual(known, digest)) found = credential;
    return found;
  }

  #digestOf(token: string, connection: object): Buffer {
    const bytes = Buffer.from(token);
    const last = this.#last.get(connection);
    if (last?.token.length === bytes.length && timingSafeEqual(last.token, bytes)) return last.digest;
    const digest = digestOf(token);
    this.#last.set(connection, { token: bytes, digest });
    return digest;
  }
}

/** By way of a string of one character per byte, which Node hashes to three times as fast as to a Buffer. */
function digestOf(token: string): Buffer {
  return Buffer.from(hash("sha256", TOKEN_PATTERN.test(token) ? token : "", "binary"), "binary");
}

async function readStored(path: string): Promise<z.infer<typeof tokensSchema>> {
  const stored = parseStored(await readFile(path, "utf8"), path);
  if (stored.sha256 === undefined || stored.sha256 === checkOf(stored.tokens)) return stored;
  throw new ServerError(
    "tokens-malformed",
    `${path} does not fit its digest sha256: restore it from its newest backup`,
  );
}

function parseStored(text: string, path: string): z.infer<typeof tokensSchema> {
  try {
    return tokensSchema.parse(parseJson(text));
  } catch (cause) {
    throw new ServerError("tokens-malformed", `${path}: expected {tokens: [{id, role, log, digest, createdAt}]}`, {
      cause,
    });
  }
}

/** By which damage shows that would still parse: the SHA-256, in hex, of the tokens as JSON without spaces. */
function checkOf(tokens: readonly StoredToken[]): string {
  return hash("sha256", JSON.stringify(tokens), "hex");
}

export interface CreatedToken {
  readonly id: string;
  /** Shown this once; only its digest is kept. */
  readonly token: string;
}

/** Makes a token and adds it to the file, which is made where there is none. */
export async function createToken(
  path: string,
  { log, role, now = Date.now() }: { readonly log: string; readonly role: Role; readonly now?: number },
): Promise<CreatedToken> {
  const { tokens } = await readStored(path).catch((error: unknown) => {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return { tokens: [] };
    throw error;
  });
  const token = `tsk_${role}_${randomBytes(32).toString("base64url")}`;
  const id = `${role}-${randomBytes(4).toString("hex")}`;
  const stored = { id, role, log, digest: digestOf(token).toString("hex"), createdAt: new Date(now).toISOString() };
  await writeTokens(path, [...tokens, stored]);
  return { id, token };
}

/** Takes a token's rights away; a running server notices within seconds. @throws {ServerError} `token-unknown` */
export async function revokeToken(path: string, id: string): Promise<void> {
  const { tokens } = await readStored(path);
  const left = tokens.filter((token) => token.id !== id);
  if (left.length === tokens.length) throw new ServerError("token-unknown", `${path}: no token has the id ${id}`);
  await writeTokens(path, left);
}

/** What is known of the tokens: everything but the tokens. */
export async function listTokens(path: string): Promise<readonly (Credential & { readonly createdAt: string })[]> {
  return (await readStored(path)).tokens.map(({ id, role, log, createdAt }) => ({ id, role, log, createdAt }));
}

async function writeTokens(path: string, tokens: readonly StoredToken[]): Promise<void> {
  await writeFileDurably(path, Buffer.from(`${JSON.stringify({ tokens, sha256: checkOf(tokens) }, undefined, 2)}\n`), {
    mode: 0o600,
  });
}
