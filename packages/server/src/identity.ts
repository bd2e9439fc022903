/**
 * Whom identity providers vouch for: bearer tokens that an OpenID provider signed, and what the rules make of their claims.
 * RFC 7519 (JWT), RFC 8725 (how it goes wrong), docs/reference/roles.md
 */
import { createHmac } from "node:crypto";
import type { GrantRule, IdentityRule } from "@tallystick/log";
import { type JWTPayload, decodeJwt, errors, jwtVerify } from "jose";
import { ServerError } from "./error.ts";
import { ProviderKeys } from "./identity-keys.ts";
import { type Scope, createMatcher, scopeHash } from "./scope.ts";
import type { Credential } from "./tokens.ts";

/** Asymmetric only: a public key must never do as a secret. RFC 8725 §3.1 */
const ALGORITHMS = [
  "RS256",
  "RS384",
  "RS512",
  "PS256",
  "PS384",
  "PS512",
  "ES256",
  "ES384",
  "ES512",
  "EdDSA",
  "Ed25519",
];
/** Of tokens that say what they are (RFC 8725 §3.11): all others that end so are for something else than access. RFC 9068 §2.1 */
const ACCESS_TYPE = /^(?:application\/)?at\+jwt$/i;
const OTHER_TYPE = /\+jwt$/i;
/** By which clocks may differ. */
const CLOCK_TOLERANCE_SECONDS = 60;
/** Three parts of base64url; what signs nothing has an empty third. Its length is bounded where the header is read. */
const JWT_PATTERN = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*$/;
/** As ids in events. */
const CLAIM_CHARS_MAX = 256;
/** RFC 7519 says nothing of its length; OpenID Connect Core §2 says 255. */
const SUB_CHARS_MAX = 255;
const KEY_BYTES = 32;
const PERSON_PREFIX = "oidc-";

export interface IdentitiesOptions {
  /** 32 bytes that only this server has: persons and scopes are known by hashes under it. */
  readonly key: Uint8Array;
  readonly fetch?: typeof globalThis.fetch;
  /** In ms since 1970. */
  readonly now?: () => number;
  /** In ms; of a clock that only goes forward. */
  readonly monotonic?: () => number;
  /** Told when a provider's keys could not be fetched. */
  readonly onTrouble?: (error: Error) => void;
}

/** Whether a bearer token is to be looked at by {@link Identities} at all. */
export function isJwt(token: string): boolean {
  return JWT_PATTERN.test(token);
}

/** Whether a credential's id is that of a person whom a provider vouched for: ids of tokens begin with a role. */
export function isPersonId(id: string): boolean {
  return id.startsWith(PERSON_PREFIX);
}

export class Identities {
  readonly #options: IdentitiesOptions;
  /** By issuer and address of its keys: as many as there are rules. */
  readonly #providers = new Map<string, ProviderKeys>();

  constructor(options: IdentitiesOptions) {
    if (options.key.length !== KEY_BYTES)
      throw new RangeError(`key: expected ${KEY_BYTES} bytes, got ${options.key.length}`);
    this.#options = options;
  }

  /**
   * Whose token this is, in one log, as the log's rules have it.
   *
   * @throws {ServerError} `unauthenticated`: it does not hold here; `forbidden`: it does, and no rule gives its bearer a
   *   role; `identity-unavailable`
   */
  async identify(
    token: string,
    log: { readonly name: string; readonly rules: readonly IdentityRule[] },
  ): Promise<Credential> {
    const rule = ruleFor(token, log.rules);
    if (rule === undefined) throw refused("its issuer and audience are none of this log's");
    const claims = await this.#verify(token, rule);
    const grant = rule.grants.find((each) => isGranted(each, claims));
    const scope = grant === undefined ? undefined : this.#scopeOf(grant, claims);
    if (grant === undefined || scope === undefined)
      throw new ServerError("forbidden", "no rule of this log gives the bearer of this token a role");
    const credential = { id: this.#idOf(rule.issuer, claims.sub), role: grant.role, log: log.name };
    return grant.role === "reader" ? { ...credential, scope } : credential;
  }

  async #verify(token: string, rule: IdentityRule): Promise<JWTPayload & { readonly sub: string }> {
    const { now = Date.now } = this.#options;
    try {
      const { payload, protectedHeader } = await jwtVerify(token, async (header) => this.#keysOf(rule).find(header), {
        algorithms: ALGORITHMS,
        issuer: rule.issuer,
        audience: rule.audience,
        requiredClaims: ["exp", "sub"],
        clockTolerance: CLOCK_TOLERANCE_SECONDS,
        currentDate: new Date(now()),
      });
      const { typ = "" } = protectedHeader;
      // Tokens of a logout need not have a type, and always have events. OpenID Connect Back-Channel Logout 1.0 §2.4
      if ((OTHER_TYPE.test(typ) && !ACCESS_TYPE.test(typ)) || payload["events"] !== undefined)
        throw refused("it is for something else than access");
      const { sub } = payload;
      if (typeof sub !== "string" || sub === "" || sub.length > SUB_CHARS_MAX) throw refused("its sub is none");
      return { ...payload, sub };
    } catch (cause) {
      if (cause instanceof ServerError) throw cause;
      throw refused(reasonOf(cause), cause);
    }
  }

  #keysOf({ issuer, jwksUri }: IdentityRule): ProviderKeys {
    const name = JSON.stringify([issuer, jwksUri]);
    const known = this.#providers.get(name);
    if (known !== undefined) return known;
    const { fetch, monotonic, onTrouble } = this.#options;
    const made = new ProviderKeys({
      issuer,
      ...(jwksUri === undefined ? {} : { jwksUri }),
      fetch: fetch ?? globalThis.fetch,
      monotonic: monotonic ?? (() => performance.now()),
      onTrouble: onTrouble ?? (() => undefined),
    });
    this.#providers.set(name, made);
    return made;
  }

  /** Stable for a person, whatever their tokens; nothing of them to whoever lacks the key. */
  #idOf(issuer: string, sub: string): string {
    const hash = createHmac("sha256", this.#options.key).update(`tallystick/identity/v1\0${issuer}\0${sub}`, "utf8");
    return `${PERSON_PREFIX}${hash.digest("hex").slice(0, 32)}`;
  }

  /** `undefined` where a claim that limits a reader is missing: what limits nothing must not be taken for a limit. */
  #scopeOf({ role, subjectFrom, tenantFrom }: GrantRule, claims: JWTPayload): Scope | undefined {
    if (role !== "reader") return {};
    const [subject, tenant] = [textClaim(claims, subjectFrom), textClaim(claims, tenantFrom)];
    const isWhole = (subjectFrom === undefined) === (subject === undefined);
    if (!isWhole || (tenantFrom === undefined) !== (tenant === undefined)) return undefined;
    if (subject === undefined && tenant === undefined) return undefined;
    const { key } = this.#options;
    return {
      ...(subject === undefined ? {} : { subject: createMatcher(key, "subject", scopeHash(key, "subject", subject)) }),
      ...(tenant === undefined ? {} : { tenant: createMatcher(key, "tenant", scopeHash(key, "tenant", tenant)) }),
    };
  }
}

/** The rule that a token says it is for. It is held to that afterwards; here it only chooses among what the rules name. */
function ruleFor(token: string, rules: readonly IdentityRule[]): IdentityRule | undefined {
  try {
    const { iss, aud } = decodeJwt(token);
    const audiences = typeof aud === "string" ? [aud] : (aud ?? []);
    return rules.find(({ issuer, audience }) => issuer === iss && audiences.includes(audience));
  } catch {
    return undefined;
  }
}

function isGranted({ claim, has }: GrantRule, claims: JWTPayload): boolean {
  const value = Object.hasOwn(claims, claim) ? claims[claim] : undefined;
  return Array.isArray(value) ? value.includes(has) : value === has;
}

function textClaim(claims: JWTPayload, name: string | undefined): string | undefined {
  const value: unknown = name !== undefined && Object.hasOwn(claims, name) ? claims[name] : undefined;
  return typeof value === "string" && value !== "" && value.length <= CLAIM_CHARS_MAX ? value : undefined;
}

function refused(why: string, cause?: unknown): ServerError {
  return new ServerError("unauthenticated", `this token does not hold here: ${why}`, { cause });
}

/** In words of ours: what a stranger's token says is not repeated. */
function reasonOf(error: unknown): string {
  if (error instanceof errors.JWTExpired) return "it has expired";
  if (error instanceof errors.JWTClaimValidationFailed) return `its claim ${error.claim} is not as it has to be`;
  if (error instanceof errors.JOSEAlgNotAllowed) return "its algorithm is not taken";
  if (error instanceof errors.JWKSNoMatchingKey) return "its key is none of its issuer's";
  return "its signature does not hold";
}
