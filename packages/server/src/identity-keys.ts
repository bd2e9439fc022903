/** The public keys of an identity provider: fetched when they are first needed, and again when a token names an unknown one. */
import { type CryptoKey, type JSONWebKeySet, type JWSHeaderParameters, createLocalJWKSet, errors } from "jose";
import { ServerError } from "./error.ts";

/** Between two tries to fetch: tokens of strangers must not make this server knock at the provider all the time. */
const FETCH_INTERVAL_MS = 60_000;
/** After this long a key that the provider has withdrawn is none any more. */
const FRESH_MS = 600_000;
/** While the provider does not answer, its known keys hold no longer. */
const STALE_MS = 86_400_000;
const FETCH_TIMEOUT_MS = 5000;
/** Of a document. Sets of keys with certificates have some 10 kB. */
const BYTES_MAX = 262_144;
const KEYS_MAX = 100;

export interface ProviderAddress {
  readonly issuer: string;
  /** By discovery from the issuer where it is absent. */
  readonly jwksUri?: string;
}

export interface ProviderKeysOptions extends ProviderAddress {
  readonly fetch: typeof globalThis.fetch;
  /** In ms; of a clock that only goes forward. */
  readonly monotonic: () => number;
  /** Told of each fetch that failed. */
  readonly onTrouble: (error: Error) => void;
}

interface Known {
  readonly find: ReturnType<typeof createLocalJWKSet>;
  readonly fetchedMs: number;
}

export class ProviderKeys {
  readonly #options: ProviderKeysOptions;
  #known: Known | undefined;
  #triedMs = -Infinity;
  #fetching: Promise<void> | undefined;

  constructor(options: ProviderKeysOptions) {
    this.#options = options;
  }

  /**
   * The key that a token was signed with, as its header says.
   *
   * @throws {JWKSNoMatchingKey} The provider has no such key.
   * @throws {ServerError} `identity-unavailable`: the provider's keys cannot be had.
   */
  async find(header: JWSHeaderParameters | undefined): Promise<CryptoKey> {
    if (this.#ageMs() > FRESH_MS) await this.#refresh();
    try {
      return await this.#current().find(header);
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey) || !(await this.#refresh())) throw error;
      return this.#current().find(header);
    }
  }

  #ageMs(): number {
    return this.#options.monotonic() - (this.#known?.fetchedMs ?? -Infinity);
  }

  #current(): Known {
    if (this.#known !== undefined && this.#ageMs() <= STALE_MS) return this.#known;
    const message = `the keys of ${this.#options.issuer} cannot be had now`;
    throw new ServerError("identity-unavailable", message, {
      details: { retryAfterSeconds: FETCH_INTERVAL_MS / 1000 },
    });
  }

  /** Fetches the keys, unless that was tried a moment ago. Whether it was tried. What is known stays where it fails. */
  async #refresh(): Promise<boolean> {
    if (this.#fetching === undefined) {
      const now = this.#options.monotonic();
      if (now - this.#triedMs < FETCH_INTERVAL_MS) return false;
      this.#triedMs = now;
      this.#fetching = this.#fetch().finally(() => (this.#fetching = undefined));
    }
    await this.#fetching;
    return true;
  }

  async #fetch(): Promise<void> {
    const { issuer, jwksUri, monotonic, onTrouble } = this.#options;
    try {
      const keys = await this.#document(jwksUri ?? (await this.#discover()));
      this.#known = { find: createLocalJWKSet(parseKeys(keys)), fetchedMs: monotonic() };
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      onTrouble(new Error(`${issuer}: ${why}`, { cause }));
    }
  }

  /** OpenID Connect Discovery 1.0 §4. The document has to be the issuer's own. */
  async #discover(): Promise<string> {
    const { issuer } = this.#options;
    const found = await this.#document(`${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`);
    const { issuer: said, jwks_uri: uri } = membersOf(found);
    if (said !== issuer) throw new Error("its discovery document is another issuer's");
    if (typeof uri !== "string" || !isConfidential(uri)) throw new Error("jwks_uri: expected an https address");
    return uri;
  }

  async #document(address: string): Promise<unknown> {
    const signal = AbortSignal.timeout(FETCH_TIMEOUT_MS);
    const response = await this.#options.fetch(address, {
      headers: { accept: "application/json" },
      redirect: "error",
      signal,
    });
    if (response.status !== 200) {
      await response.body?.cancel();
      throw new Error(`${address}: expected 200, got ${response.status}`);
    }
    return JSON.parse(await boundedText(response, address));
  }
}

async function boundedText({ body }: Response, address: string): Promise<string> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of body ?? []) {
    bytes += part.length;
    if (bytes > BYTES_MAX) throw new Error(`${address}: more than ${BYTES_MAX} bytes`);
    parts.push(part);
  }
  return Buffer.concat(parts).toString("utf8");
}

/** Private and secret keys have no place there, and no use here: whoever publishes one has lost it. */
function parseKeys(value: unknown): JSONWebKeySet {
  const { keys } = membersOf(value);
  if (!Array.isArray(keys) || keys.length > KEYS_MAX) throw new Error(`keys: expected an array of at most ${KEYS_MAX}`);
  return { keys: keys.filter((key) => !("d" in membersOf(key)) && !("k" in membersOf(key))) };
}

/** On this machine nobody else can put another answer in its place. */
function isConfidential(address: string): boolean {
  const { protocol, hostname } = URL.parse(address) ?? {};
  return protocol === "https:" || (protocol === "http:" && /^(?:localhost|127\.0\.0\.1|\[::1\])$/.test(hostname ?? ""));
}

function membersOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}
