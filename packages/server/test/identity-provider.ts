/** A real OpenID provider on a port of its own: clients get JWT access tokens with the claims that a test gives them. */
import { type Server, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { type CryptoKey, type JWK, exportJWK, generateKeyPair } from "jose";
import { Provider } from "oidc-provider";
import { onTestFinished } from "vitest";

export const AUDIENCE = "urn:example:tallystick";
const SECRET = "a secret of the test's clients, long enough";

export interface SigningKey {
  readonly privateKey: CryptoKey;
  readonly publicKey: CryptoKey;
  readonly jwk: JWK;
}

export async function signingKey(kid: string): Promise<SigningKey> {
  const { privateKey, publicKey } = await generateKeyPair("RS256", { extractable: true });
  return { privateKey, publicKey, jwk: { ...(await exportJWK(privateKey)), kid, alg: "RS256", use: "sig" } };
}

/** Tokens that say everything themselves are kept nowhere. */
class NothingKept {
  async upsert(): Promise<void> {}
  async find(): Promise<undefined> {}
}

export class IdentityProvider {
  /** Claims of each client's tokens beyond those that every token has. */
  readonly claims: Map<string, Readonly<Record<string, unknown>>> = new Map();
  /** Paths that were asked for. */
  readonly asked: string[] = [];
  readonly #server: Server;
  readonly #clients: readonly string[];
  #provider: Provider | undefined;

  private constructor(server: Server, clients: readonly string[]) {
    this.#server = server;
    this.#clients = clients;
  }

  static async start(key: SigningKey, clients: readonly string[]): Promise<IdentityProvider> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const provider = new IdentityProvider(server, clients);
    provider.rotate(key);
    server.on("request", (request, response) => {
      provider.asked.push(request.url ?? "");
      if (provider.#provider === undefined) request.socket.destroy();
      else provider.#provider.callback()(request, response);
    });
    onTestFinished(async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    });
    return provider;
  }

  get issuer(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** From now on signs with this key, and publishes no other. */
  rotate({ jwk }: SigningKey): void {
    this.#provider = new Provider(this.issuer, {
      jwks: { keys: [jwk] },
      adapter: NothingKept,
      cookies: { keys: ["of no use here"] },
      clients: this.#clients.map((id) => ({
        client_id: id,
        client_secret: SECRET,
        grant_types: ["client_credentials"],
        redirect_uris: [],
        response_types: [],
      })),
      scopes: ["read"],
      ttl: { ClientCredentials: 600 },
      extraTokenClaims: async (_context: unknown, token: { readonly clientId: string }) =>
        this.claims.get(token.clientId),
      features: {
        clientCredentials: { enabled: true },
        devInteractions: { enabled: false },
        resourceIndicators: {
          enabled: true,
          getResourceServerInfo: async (_context: unknown, resource: string) => ({
            scope: "read",
            audience: resource,
            accessTokenFormat: "jwt",
            jwt: { sign: { alg: "RS256" } },
          }),
        },
      },
    });
  }

  /** Answers nothing any more. */
  stop(): void {
    this.#provider = undefined;
  }

  /** A token by the grant client_credentials. RFC 6749 §4.4, RFC 8707, RFC 9068 */
  async token(client: string, audience: string = AUDIENCE): Promise<string> {
    const response = await fetch(`${this.issuer}/token`, {
      method: "POST",
      headers: {
        authorization: `Basic ${Buffer.from(`${client}:${encodeURIComponent(SECRET)}`).toString("base64")}`,
        "content-type": "application/x-www-form-urlencoded",
      },
      body: new URLSearchParams({ grant_type: "client_credentials", scope: "read", resource: audience }),
    });
    const text = await response.text();
    if (response.status !== 200) throw new Error(`${response.status}: ${text}`);
    return (JSON.parse(text) as { access_token: string }).access_token;
  }
}
