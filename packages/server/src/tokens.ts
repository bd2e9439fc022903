/**
 * Bearer tokens: random, shown once, stored as digests. A token's id is the credential by which the log knows a writer.
 */
import { hash, randomBytes, timingSafeEqual } from "node:crypto";
import { readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { parseJson } from "@tallystick/events";
import { withFolderLocked, writeFileDurably } from "@tallystick/storage";
import * as z from "zod";
import { ServerError } from "./error.ts";
import { type Scope, type ScopeKind, createMatcher, scopeHash } from "./scope.ts";

/** docs/reference/roles.md */
export const ROLES = ["writer", "reader", "auditor", "operator", "officer"] as const;
export type Role = (typeof ROLES)[number];

/** Those whose tokens say all about them: a reader's says whose contents, too. */
export type UnscopedRole = Exclude<Role, "reader">;
export const UNSCOPED_ROLES: readonly UnscopedRole[] = ["writer", "auditor", "operator", "officer"];

/** Who sent a request. */
export interface Credential {
  /** Stable; stands in the log as the writer's or reader's name. */
  readonly id: string;
  readonly role: Role;
  /** The log that it is for. */
  readonly log: string;
  /** Of a reader: whose contents it may have. */
  readonly scope?: Scope;
}

const TOKEN_PATTERN = new RegExp(`^tsk_(${ROLES.join("|")})_[A-Za-z0-9_-]{43}$`);
const digest = z.string().regex(/^[0-9a-f]{64}$/);
const tokensSchema = z.strictObject({
  tokens: z.array(
    z.strictObject({
      id: z.string().regex(/^[a-z0-9-]{1,64}$/),
      role: z.enum(ROLES),
      log: z.string(),
      digest,
      createdAt: z.string(),
      /** Made by `init` or `dev`, and shown with everything else that they make. */
      initial: z.literal(true).optional(),
      /** From then on it is worth nothing. */
      expiresAt: z.iso.datetime().optional(),
      /** Of readers, {@link scopeHash} of an id under `scopeKey`. */
      subject: digest.optional(),
      tenant: digest.optional(),
    }),
  ),
  /** 32 random bytes in hex, made with the first reader's token. */
  scopeKey: digest.optional(),
  /** Of the tokens, {@link checkOf}. Files of earlier versions have none. */
  sha256: z.string().optional(),
});

type StoredTokens = z.infer<typeof tokensSchema>;
type StoredToken = StoredTokens["tokens"][number];

export interface ValidToken {
  readonly id: string;
  readonly role: Role;
  /** In ms since 1970; Infinity without an end. */
  readonly expiresAt: number;
}

/** What a request's token is looked up in. */
export interface TokenFinder {
  /** `connection` is one object for all that comes over one connection: its token is mostly the same. */
  find(token: string, connection?: object): Credential | undefined;
  /** Those of a log that are worth something now. */
  valid(log: string): readonly ValidToken[];
}

interface KnownToken {
  readonly credential: Credential;
  readonly digest: Buffer;
  /** In ms since 1970; Infinity without an end. */
  readonly expiresAt: number;
}

/** The tokens of a server, as they were when the file was read. */
export class Tokens implements TokenFinder {
  readonly #stored: readonly KnownToken[];
  readonly #now: () => number;
  /** Of each connection the token that came last, so that it is not hashed for each request. */
  readonly #last = new WeakMap<object, { readonly token: Buffer; readonly digest: Buffer }>();

  private constructor({ tokens, scopeKey = "" }: StoredTokens, now: () => number) {
    this.#now = now;
    const key = Buffer.from(scopeKey, "hex");
    this.#stored = tokens.map((token) => ({
      credential: credentialOf(token, key),
      digest: Buffer.from(token.digest, "hex"),
      expiresAt: token.expiresAt === undefined ? Infinity : Date.parse(token.expiresAt),
    }));
  }

  /** @throws {ServerError} `tokens-malformed` */
  static async read(path: string, now: () => number = Date.now): Promise<Tokens> {
    return new Tokens(await readStored(path), now);
  }

  /** Those of a log that are worth something now, with what may be known of them. */
  valid(log: string): readonly ValidToken[] {
    const now = this.#now();
    return this.#stored
      .filter(({ credential, expiresAt }) => credential.log === log && now < expiresAt)
      .map(({ credential: { id, role }, expiresAt }) => ({ id, role, expiresAt }));
  }

  /** Whose token this is. Takes as long for a wrong one as for a right one. */
  find(token: string, connection?: object): Credential | undefined {
    const digest = connection === undefined ? digestOf(token) : this.#digestOf(token, connection);
    let found: KnownToken | undefined;
    for (const known of this.#stored) if (timingSafeEqual(known.digest, digest)) found = known;
    return found !== undefined && this.#now() < found.expiresAt ? found.credential : undefined;
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

function credentialOf({ id, role, log, subject, tenant }: StoredToken, key: Uint8Array): Credential {
  if (subject === undefined && tenant === undefined) return { id, role, log };
  const scope = {
    ...(subject === undefined ? {} : { subject: createMatcher(key, "subject", subject) }),
    ...(tenant === undefined ? {} : { tenant: createMatcher(key, "tenant", tenant) }),
  };
  return { id, role, log, scope };
}

/** By way of a string of one character per byte, which Node hashes to three times as fast as to a Buffer. */
function digestOf(token: string): Buffer {
  return Buffer.from(hash("sha256", TOKEN_PATTERN.test(token) ? token : "", "binary"), "binary");
}

async function readStored(path: string): Promise<StoredTokens> {
  const stored = parseStored(await readFile(path, "utf8"), path);
  if (stored.sha256 === undefined || stored.sha256 === checkOf(stored)) return stored;
  throw new ServerError(
    "tokens-malformed",
    `${path} does not fit its digest sha256: restore it from its newest backup`,
  );
}

function parseStored(text: string, path: string): StoredTokens {
  try {
    const stored = tokensSchema.parse(parseJson(text));
    for (const token of stored.tokens) assertScope(token);
    if (stored.scopeKey === undefined && stored.tokens.some(({ role }) => role === "reader"))
      throw new TypeError("scopeKey: expected one where there are readers");
    return stored;
  } catch (cause) {
    const message = `${path}: expected {tokens: [{id, role, log, digest, createdAt}]}, of readers with subject or tenant, and scopeKey`;
    throw new ServerError("tokens-malformed", message, { cause });
  }
}

/** Every reader has a scope, and nobody else: none is no limit by mistake. @throws {TypeError} */
function assertScope({ role, subject, tenant }: Pick<StoredToken, "role" | "subject" | "tenant">): void {
  const isScoped = subject !== undefined || tenant !== undefined;
  if (isScoped === (role === "reader")) return;
  throw new TypeError(
    role === "reader"
      ? "reader: expected a subject or a tenant whose contents it may read"
      : `${role}: expected neither subject nor tenant; they belong to readers`,
  );
}

/** By which damage shows that would still parse: the SHA-256, in hex, of tokens and scope key as JSON without spaces. */
function checkOf({ tokens, scopeKey }: StoredTokens): string {
  return hash("sha256", JSON.stringify(scopeKey === undefined ? tokens : { tokens, scopeKey }), "hex");
}

export interface CreateTokenInput {
  readonly log: string;
  readonly role: Role;
  /** Of a reader: the person whose contents it may read, by id. Kept as a keyed hash only. */
  readonly subject?: string;
  /** Of a reader: the tenant whose contents it may read. Where both are given, both have to fit. */
  readonly tenant?: string;
  /** Of those that come with a new server: for production they are replaced. */
  readonly initial?: boolean;
  readonly now?: number;
}

export interface CreatedToken {
  readonly id: string;
  /** Shown this once; only its digest is kept. */
  readonly token: string;
}

/**
 * Makes a token and adds it to the file, which is made where there is none.
 *
 * @throws {TypeError} a reader without subject or tenant, or another role with one.
 */
export async function createToken(path: string, input: CreateTokenInput): Promise<CreatedToken> {
  const { log, role, initial = false, now = Date.now() } = input;
  assertScope(input);
  const { id, token, digest } = newToken(role);
  const createdAt = new Date(now).toISOString();
  await changeTokens(path, async () => {
    const before = await readStored(path).catch((error: unknown): StoredTokens => {
      if (error instanceof Error && "code" in error && error.code === "ENOENT") return { tokens: [] };
      throw error;
    });
    const { scope, scopeKey } = storedScope(input, before.scopeKey);
    const stored = { id, role, log, digest, createdAt, ...(initial ? { initial } : {}), ...scope };
    return { tokens: [...before.tokens, stored], ...(scopeKey === undefined ? {} : { scopeKey }) };
  });
  return { id, token };
}

/** One process at a time: who read the file before another wrote it would write that one's change away. */
async function changeTokens(path: string, change: () => Promise<StoredTokens>): Promise<void> {
  await withFolderLocked(dirname(path), async () => writeTokens(path, await change()));
}

/** The scope as the file keeps it, and the file's key, which is made where a first scope needs one. */
function storedScope(
  { subject, tenant }: CreateTokenInput,
  known: string | undefined,
): { readonly scope: Pick<StoredToken, "subject" | "tenant">; readonly scopeKey: string | undefined } {
  if (subject === undefined && tenant === undefined) return { scope: {}, scopeKey: known };
  const scopeKey = known ?? randomBytes(32).toString("hex");
  const key = Buffer.from(scopeKey, "hex");
  const scope = {
    ...(subject === undefined ? {} : { subject: scopeHash(key, "subject", subject) }),
    ...(tenant === undefined ? {} : { tenant: scopeHash(key, "tenant", tenant) }),
  };
  return { scope, scopeKey };
}

/** Takes a token's rights away; a running server notices within seconds. @throws {ServerError} `token-unknown` */
export async function revokeToken(path: string, id: string): Promise<void> {
  findStored(await readStored(path), id, path);
  await changeTokens(path, async () => {
    const stored = await readStored(path);
    const revoked = findStored(stored, id, path);
    return { ...stored, tokens: stored.tokens.filter((token) => token !== revoked) };
  });
}

export interface RotateTokenInput {
  /** Of the token that is to be replaced. */
  readonly id: string;
  /** For how long the old one goes on beside the new one. */
  readonly overlapMs: number;
  readonly now?: number;
}

/**
 * Makes a token of the same log, role and scope as another, and lets the other one end when the overlap is over. An end
 * that it has already is not put off.
 *
 * @throws {ServerError} `token-unknown` @throws {RangeError} `overlapMs`
 */
export async function rotateToken(
  path: string,
  { id: oldId, overlapMs, now = Date.now() }: RotateTokenInput,
): Promise<CreatedToken & { readonly replaces: string; readonly expiresAt: string }> {
  if (!Number.isSafeInteger(overlapMs) || overlapMs < 0 || overlapMs > OVERLAP_MAX_MS)
    throw new RangeError(`overlapMs: expected 0 to ${OVERLAP_MAX_MS}, got ${overlapMs}`);
  const found = findStored(await readStored(path), oldId, path);
  const { id, token, digest } = newToken(found.role);
  let expiresAt = "";
  await changeTokens(path, async () => {
    const stored = await readStored(path);
    const old = findStored(stored, oldId, path);
    const end = Math.min(now + overlapMs, old.expiresAt === undefined ? Infinity : Date.parse(old.expiresAt));
    expiresAt = new Date(end).toISOString();
    const made = { ...old, id, digest, createdAt: new Date(now).toISOString() };
    delete made.expiresAt;
    delete made.initial;
    const others = stored.tokens.map((one) => (one === old ? { ...old, expiresAt } : one));
    return { ...stored, tokens: [...others, made] };
  });
  return { id, token, replaces: oldId, expiresAt };
}

function findStored({ tokens }: StoredTokens, id: string, path: string): StoredToken {
  const found = tokens.find((token) => token.id === id);
  if (found === undefined) throw new ServerError("token-unknown", `${path}: no token has the id ${id}`);
  return found;
}

/** Whoever needs more forgot to end it. */
const OVERLAP_MAX_MS = 90 * 86_400_000;

function newToken(role: Role): CreatedToken & { readonly digest: string } {
  const token = `tsk_${role}_${randomBytes(32).toString("base64url")}`;
  const id = `${role}-${randomBytes(4).toString("hex")}`;
  return { id, token, digest: digestOf(token).toString("hex") };
}

export interface ListedToken {
  readonly id: string;
  readonly role: Role;
  readonly log: string;
  readonly createdAt: string;
  /** Made with the server. */
  readonly initial?: boolean;
  readonly expiresAt?: string;
  /** Of readers: what it is limited to. To whom or which, the file does not say in plain. */
  readonly scope?: readonly ScopeKind[];
}

/** What is known of the tokens: everything but the tokens. */
export async function listTokens(path: string): Promise<readonly ListedToken[]> {
  return (await readStored(path)).tokens.map(({ id, role, log, createdAt, initial, expiresAt, subject, tenant }) => {
    const scope: ScopeKind[] = [];
    if (subject !== undefined) scope.push("subject");
    if (tenant !== undefined) scope.push("tenant");
    const more = { ...(initial === undefined ? {} : { initial }), ...(expiresAt === undefined ? {} : { expiresAt }) };
    return { id, role, log, createdAt, ...more, ...(scope.length === 0 ? {} : { scope }) };
  });
}

async function writeTokens(path: string, { tokens, scopeKey }: Omit<StoredTokens, "sha256">): Promise<void> {
  // Fields in the order of the schema, as reading gives them: the digest is of this text.
  const stored = tokensSchema.parse({ tokens, ...(scopeKey === undefined ? {} : { scopeKey }) });
  const text = `${JSON.stringify({ ...stored, sha256: checkOf(stored) }, undefined, 2)}\n`;
  await writeFileDurably(path, Buffer.from(text), { mode: 0o600 });
}
