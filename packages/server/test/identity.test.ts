/** Bearers whom a real OpenID provider vouches for, and everything that can be wrong with their tokens. */
import { randomBytes } from "node:crypto";
import { mkdirSync, statSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { type JWTPayload, SignJWT, UnsecuredJWT, decodeJwt, exportSPKI } from "jose";
import { describe, expect, test, vi } from "vitest";
import { temporaryFolder } from "../../../test/support/temporary-folder.ts";
import type { Log } from "@tallystick/log";
import { Identities } from "../src/identity.ts";
import { initServer, layoutOf, logLayoutOf, serveLogs } from "../src/index.ts";
import { AUDIENCE, IdentityProvider, type SigningKey, signingKey } from "./identity-provider.ts";
import { LOG, ORIGIN, type Reply, TestServer, login } from "./test-server.ts";

/** Clients of the provider; by these names the log must not know them. */
const AUDITOR = "canary-auditor";
const PERSON = "u_81";
const ADMIN = "canary-admin";

interface Place {
  readonly key: SigningKey;
  readonly provider: IdentityProvider;
  readonly server: TestServer;
  /** Of the five entries that are there, from 0. */
  readonly first: number;
  /** In ms: the server's wall clock is ahead of ours by `aheadMs`. */
  readonly clock: { aheadMs: number; monotonicMs: number };
  readonly troubles: string[];
  /** For the entry of login(), by default. */
  ask(token: string, path?: string): Promise<Reply>;
}

const keys = Promise.all(["one", "two"].map(signingKey));

async function keyPair(): Promise<[SigningKey, SigningKey]> {
  return (await keys) as [SigningKey, SigningKey];
}

function rulesFor(issuer: string, more = ""): string {
  return `version: 1
identity:
  - issuer: ${issuer}
    audience: ${AUDIENCE}
    grants:
      - { claim: groups, has: auditors, role: auditor }
      - { claim: kind, has: customer, role: reader, subjectFrom: sub }
      - { claim: kind, has: admin, role: reader, tenantFrom: org }
      - { claim: kind, has: officer, role: officer }
      - { claim: kind, has: operator, role: operator }
${more}`;
}

async function place(more = ""): Promise<Place> {
  const [key] = await keyPair();
  const provider = await IdentityProvider.start(key, [AUDITOR, PERSON, ADMIN, "nobody"]);
  provider.claims.set(AUDITOR, { groups: ["staff", "auditors"] });
  provider.claims.set(PERSON, { kind: "customer" });
  provider.claims.set(ADMIN, { kind: "admin", org: "acme" });
  const clock = { aheadMs: 0, monotonicMs: 0 };
  const troubles: string[] = [];
  const identities = new Identities({
    key: randomBytes(32),
    now: () => Date.now() + clock.aheadMs,
    monotonic: () => clock.monotonicMs,
    onTrouble: ({ message }) => troubles.push(message),
  });
  const server = await TestServer.start({
    witnesses: 0,
    identities,
    log: { proposedRules: async () => rulesFor(provider.issuer, more) },
  });
  const events = [
    login(),
    { ...login(), actor: { type: "user", id: "u_82" } },
    { ...login(), tenant: "umbrella" },
    { ...login(), actor: { type: "unverified", id: PERSON } },
    { ...login(), actor: { type: "user", id: "u_7" }, subject: { id: PERSON } },
  ];
  const [entry] = (await server.post(events)).json<readonly { readonly index: number }[]>();
  const first = entry?.index ?? 0;
  const ask = async (token: string, path = `v1/events/${first}`): Promise<Reply> =>
    server.ask(`/${LOG}/${path}`, { headers: { authorization: `Bearer ${token}` } });
  return { key, provider, server, first, clock, troubles, ask };
}

const codeOf = ({ status, text }: Reply): unknown[] =>
  status === 200 ? [200] : [status, (JSON.parse(text) as { code: string }).code];

/** Who, by the log's word, read contents. */
async function readersOf(log: Log): Promise<(string | undefined)[]> {
  const readers = [];
  for (let index = 0, size = log.size(); index < size; index += 1) {
    const { event } = await log.readEvent({ index, reader: "who looks" });
    if (event.type === "log.read" && event.actor?.id !== "who looks") readers.push(event.actor?.id);
  }
  return readers;
}

/** A token as the provider would sign it, with other claims. */
async function forge(
  { key, provider }: Place,
  claims: JWTPayload = {},
  header: { readonly alg?: string; readonly kid?: string; readonly typ?: string } = {},
): Promise<string> {
  const seconds = Math.floor(Date.now() / 1000);
  const whole = { iss: provider.issuer, aud: AUDIENCE, sub: "s", iat: seconds, exp: seconds + 600, groups: "auditors" };
  return new SignJWT({ ...whole, ...claims })
    .setProtectedHeader({ alg: "RS256", kid: "one", ...header })
    .sign(key.privateKey);
}

describe("a token of the provider", () => {
  test("gives the role that the rules make of its claims, and the log an id without a name", async () => {
    const at = await place();
    const token = await at.provider.token(AUDITOR);
    expect(decodeJwt(token)).toMatchObject({ iss: at.provider.issuer, aud: AUDIENCE, sub: AUDITOR });
    expect(codeOf(await at.ask(token))).toEqual([200]);
    expect(codeOf(await at.ask(await at.provider.token(AUDITOR), "v1/events/0"))).toEqual([200]);
    const readers = await readersOf(at.server.log);
    expect(readers).toEqual([expect.stringMatching(/^oidc-[0-9a-f]{32}$/), readers[0]]);
    const metrics = await at.server.ask("/metrics", { from: "127.0.0.1" });
    expect([metrics.status, metrics.text.includes("canary")]).toEqual([200, false]);
    expect(at.server.warnings.join()).not.toContain("canary");
  });

  test("of a customer gives what is about its sub, and no more", async () => {
    const at = await place();
    const token = await at.provider.token(PERSON);
    const answers = [];
    for (let index = 0; index < 5; index += 1)
      answers.push(codeOf(await at.ask(token, `v1/events/${at.first + index}`)));
    const denied = [403, "forbidden"];
    expect(answers).toEqual([[200], denied, [200], denied, [200]]);
    expect(codeOf(await at.ask(token, "v1/status"))).toEqual(denied);
  });

  test("of a tenant's administrator gives what is the tenant's, and no more", async () => {
    const at = await place();
    const token = await at.provider.token(ADMIN);
    const answers = [];
    for (let index = 0; index < 3; index += 1)
      answers.push((await at.ask(token, `v1/events/${at.first + index}`)).status);
    expect(answers).toEqual([200, 200, 403]);
  });

  test("that no rule gives a role is forbidden, and so is a reader's without the claim that limits it", async () => {
    const at = await place();
    expect(codeOf(await at.ask(await at.provider.token("nobody")))).toEqual([403, "forbidden"]);
    for (const org of [undefined, "", 7, ["acme"], "x".repeat(257)]) {
      at.provider.claims.set(ADMIN, { kind: "admin", ...(org === undefined ? {} : { org }) });
      expect(codeOf(await at.ask(await at.provider.token(ADMIN)))).toEqual([403, "forbidden"]);
    }
  });

  test("gives a role no longer than the provider, or the rules, give it", async () => {
    const at = await place();
    const before = await at.provider.token(AUDITOR);
    at.provider.claims.set(AUDITOR, { groups: ["staff"] });
    expect(codeOf(await at.ask(await at.provider.token(AUDITOR)))).toEqual([403, "forbidden"]);
    // Nobody asks the provider about each request: a token that was given holds until it ends.
    expect(codeOf(await at.ask(before))).toEqual([200]);
    await at.server.log.disposition.applyRules({ text: "version: 1\n", by: "officer-1" });
    expect(codeOf(await at.ask(before))).toEqual([401, "unauthenticated"]);
  });

  test("of an operator opens the metrics, and one of an auditor does not", async () => {
    const at = await place();
    at.provider.claims.set(ADMIN, { kind: "operator" });
    const metrics = async (client: string): Promise<number> => {
      const headers = { authorization: `Bearer ${await at.provider.token(client)}` };
      return (await at.server.ask("/metrics", { headers })).status;
    };
    expect([await metrics(ADMIN), await metrics(AUDITOR)]).toEqual([200, 403]);
  });
});

test("a served log knows a person again after a restart, by a key that its first start made", async () => {
  const [key] = await keyPair();
  const provider = await IdentityProvider.start(key, [AUDITOR]);
  provider.claims.set(AUDITOR, { groups: "auditors" });
  const dir = temporaryFolder();
  await initServer({ dir, name: LOG, origin: ORIGIN, port: 0 });
  const { rules } = logLayoutOf(dir, LOG);
  mkdirSync(dirname(rules), { recursive: true });
  writeFileSync(rules, rulesFor(provider.issuer));
  const readers: unknown[] = [];
  for (let start = 0; start < 2; start += 1) {
    const served = await serveLogs({ dir });
    try {
      const headers = { authorization: `Bearer ${await provider.token(AUDITOR)}` };
      const read = async (): Promise<Response> => fetch(`${served.url}/${LOG}/v1/events/0`, { headers });
      await vi.waitFor(async () => expect((await read()).status).toBe(200), { timeout: 20_000, interval: 50 });
      const log = served.logs[0]?.log;
      if (log !== undefined) readers.push((await readersOf(log)).at(-1));
    } finally {
      await served.close();
    }
  }
  expect(readers).toEqual([expect.stringMatching(/^oidc-/), readers[0]]);
  for (const path of [layoutOf(dir).identityKey, layoutOf(dir).approvalKey])
    expect([path, statSync(path).mode & 0o777]).toEqual([path, 0o600]);
});

test("two tokens of one person are one person's, where the rules ask for two", async () => {
  const at = await place("twoPersons: [hold]\n");
  for (const client of [AUDITOR, ADMIN]) at.provider.claims.set(client, { kind: "officer" });
  const post = async (client: string, path: string, value: unknown): Promise<Reply> =>
    at.server.ask(`/${LOG}/v1/${path}`, {
      method: "POST",
      type: "application/json",
      body: JSON.stringify(value),
      headers: { authorization: `Bearer ${await at.provider.token(client)}` },
    });
  const asked = await post(AUDITOR, "holds", { case: "c-1", class: "auth" });
  const { approval } = asked.json<{ approval: string }>();
  expect(asked.status).toBe(202);
  expect(codeOf(await post(AUDITOR, "approvals", { approval }))).toEqual([403, "approval-by-same-person"]);
  expect((await post(ADMIN, "approvals", { approval })).json()["setBy"]).toMatch(/^oidc-/);
});

describe("a token is refused", () => {
  test("that is for another audience, or of another issuer", async () => {
    const at = await place();
    const refused = [401, "unauthenticated"];
    expect(codeOf(await at.ask(await at.provider.token(AUDITOR, "urn:example:other")))).toEqual(refused);
    for (const claims of [
      { aud: "other" },
      { aud: [] },
      { aud: undefined },
      { iss: "https://id.example.com" },
      { iss: `${at.provider.issuer}/` },
      { iss: undefined },
    ])
      expect([claims, codeOf(await at.ask(await forge(at, claims as JWTPayload)))]).toEqual([claims, refused]);
    expect(codeOf(await at.ask(await forge(at, { aud: ["other", AUDIENCE] })))).toEqual([200]);
  });

  test("that has expired, does not hold yet, never ends, or is nobody's", async () => {
    const at = await place();
    const token = await at.provider.token(AUDITOR);
    at.clock.aheadMs = 655_000;
    expect(codeOf(await at.ask(token))).toEqual([200]);
    at.clock.aheadMs = 665_000;
    const expired = await at.ask(token);
    expect([expired.status, expired.json()["detail"]]).toEqual([401, "this token does not hold here: it has expired"]);
    at.clock.aheadMs = 0;
    const seconds = Math.floor(Date.now() / 1000);
    for (const claims of [
      { nbf: seconds + 100 },
      { exp: undefined },
      { exp: "tomorrow" },
      { sub: undefined },
      { sub: "" },
      { sub: 7 },
      { sub: "x".repeat(256) },
    ])
      expect([claims, (await at.ask(await forge(at, claims as unknown as JWTPayload))).status]).toEqual([claims, 401]);
    expect((await at.ask(await forge(at, { nbf: seconds + 30 }))).status).toBe(200);
  });

  test("that its issuer signed for something else than access: of a logout, of another event, or of a proof", async () => {
    const at = await place();
    const refused = [401, "unauthenticated"];
    for (const typ of ["logout+jwt", "application/logout+jwt", "Logout+JWT", "secevent+jwt", "dpop+jwt"])
      expect([typ, codeOf(await at.ask(await forge(at, {}, { typ })))]).toEqual([typ, refused]);
    const events = { "http://schemas.openid.net/event/backchannel-logout": {} };
    expect(codeOf(await at.ask(await forge(at, { events })))).toEqual(refused);
    for (const typ of ["JWT", "jwt", "at+jwt", "application/at+jwt", "AT+JWT"])
      expect([typ, codeOf(await at.ask(await forge(at, {}, { typ })))]).toEqual([typ, [200]]);
  });

  test("whose algorithm is none, or HMAC with the provider's public key as the secret", async () => {
    const at = await place();
    const claims = decodeJwt(await forge(at));
    const unsigned = new UnsecuredJWT(claims).encode();
    const secret = new TextEncoder().encode(await exportSPKI(at.key.publicKey));
    const confused = await new SignJWT(claims).setProtectedHeader({ alg: "HS256", kid: "one" }).sign(secret);
    for (const token of [unsigned, `${unsigned}AAAA`, confused])
      expect(codeOf(await at.ask(token))).toEqual([401, "unauthenticated"]);
  });

  test("that another key signed, whatever it calls itself, or that was changed", async () => {
    const at = await place();
    const [, other] = await keyPair();
    for (const kid of ["one", "two"])
      expect((await at.ask(await forge({ ...at, key: other }, {}, { kid }))).status).toBe(401);
    const token = await forge(at);
    const [header, payload, signature] = token.split(".");
    const raised = Buffer.from(JSON.stringify({ ...decodeJwt(token), sub: "other" })).toString("base64url");
    expect((await at.ask(`${header}.${raised}.${signature}`)).status).toBe(401);
    expect((await at.ask(`${header}.${payload}.`)).status).toBe(401);
  });

  test("that is longer than 8 kB, or hardly a token at all", async () => {
    const at = await place();
    for (const token of [await forge(at, { more: "x".repeat(8192) }), "a.b.c", "e30.e30.", "..", "a.b"])
      expect([token.slice(0, 20), (await at.ask(token)).status]).toEqual([token.slice(0, 20), 401]);
  });

  test("in words that repeat nothing of what it says", async () => {
    const at = await place();
    for (const claims of [
      { iss: "canary" },
      { aud: "canary" },
      { sub: "canary", exp: 1 },
      { nbf: 1e12, sub: "canary" },
    ])
      expect((await at.ask(await forge(at, claims))).text).not.toContain("canary");
  });
});

describe("the provider's keys", () => {
  const fetched = ({ provider }: Place): number => provider.asked.filter((path) => path === "/jwks").length;

  test("are fetched once, found again by discovery, and anew when they rotate", async () => {
    const at = await place();
    const [, next] = await keyPair();
    const old = await at.provider.token(AUDITOR);
    for (let n = 0; n < 5; n += 1) expect((await at.ask(old)).status).toBe(200);
    expect([fetched(at), at.provider.asked[1]]).toEqual([1, "/.well-known/openid-configuration"]);
    at.provider.rotate(next);
    at.clock.monotonicMs += 60_000;
    expect((await at.ask(await at.provider.token(AUDITOR))).status).toBe(200);
    expect(fetched(at)).toBe(2);
    // The provider has withdrawn the old one.
    expect((await at.ask(old)).status).toBe(401);
  });

  test("that nobody knows make the log ask at most once a minute, however many come", async () => {
    const at = await place();
    const strange = await forge(at, {}, { kid: "unknown" });
    await Promise.all(Array.from({ length: 50 }, async () => at.ask(strange)));
    expect(fetched(at)).toBe(1);
    at.clock.monotonicMs += 59_999;
    expect((await at.ask(strange)).status).toBe(401);
    expect(fetched(at)).toBe(1);
    at.clock.monotonicMs += 1;
    for (let n = 0; n < 5; n += 1) expect((await at.ask(strange)).status).toBe(401);
    expect(fetched(at)).toBe(2);
  });

  test("go on being used for a day while the provider does not answer, and not for longer", async () => {
    const at = await place();
    const token = await forge(at);
    expect((await at.ask(token)).status).toBe(200);
    at.provider.stop();
    for (const minutes of [11, 60, 1368]) {
      at.clock.monotonicMs += minutes * 60_000;
      expect([minutes, (await at.ask(token)).status]).toEqual([minutes, 200]);
    }
    at.clock.monotonicMs += 120_000;
    expect(codeOf(await at.ask(token))).toEqual([503, "identity-unavailable"]);
    expect(at.troubles.length).toBeGreaterThan(2);
    expect(at.troubles[0]).toContain(at.provider.issuer);
  });

  test("that were never had are a 503 that says when to come back, and hurt no other token", async () => {
    const at = await place();
    const token = await forge(at);
    at.provider.stop();
    const reply = await at.ask(token);
    expect([codeOf(reply), Number(reply.headers.get("retry-after")) >= 60]).toEqual([
      [503, "identity-unavailable"],
      true,
    ]);
    expect((await at.server.ask(`/${LOG}/v1/status`, { role: "auditor" })).status).toBe(200);
    at.provider.rotate(at.key);
    expect((await at.ask(token)).status).toBe(503);
    at.clock.monotonicMs += 60_000;
    expect((await at.ask(token)).status).toBe(200);
  });
});

describe("the provider's documents", () => {
  /** A provider that answers whatever a test says. */
  async function identify(
    documents: Readonly<Record<string, unknown>>,
  ): Promise<[string | undefined, readonly string[]]> {
    const [key] = await keyPair();
    const troubles: string[] = [];
    const issuer = "https://id.example.com";
    const identities = new Identities({
      key: randomBytes(32),
      onTrouble: ({ message }) => troubles.push(message),
      fetch: async (input) => {
        const { pathname } = new URL(new Request(input).url);
        const document = documents[pathname];
        return document instanceof Response ? document : Response.json(document);
      },
    });
    const seconds = Math.floor(Date.now() / 1000);
    const token = await new SignJWT({ iss: issuer, aud: AUDIENCE, sub: "s", exp: seconds + 60, kind: "a" })
      .setProtectedHeader({ alg: "RS256", kid: "one" })
      .sign(key.privateKey);
    const grants = [{ claim: "kind", has: "a", role: "auditor" as const }];
    const rules = [{ issuer, audience: AUDIENCE, grants }];
    const identified = identities.identify(token, { name: LOG, rules });
    return [await identified.then(({ role }) => role).catch((error: { code: string }) => error.code), troubles];
  }

  const DISCOVERY = "/.well-known/openid-configuration";
  const JWKS = { issuer: "https://id.example.com", jwks_uri: "https://id.example.com/keys" };

  test("are taken when they are as they have to be", async () => {
    const [{ jwk }] = await keyPair();
    const { kty, n, e, kid } = jwk;
    expect((await identify({ [DISCOVERY]: JWKS, "/keys": { keys: [{ kty, n, e, kid }] } }))[0]).toBe("auditor");
  });

  test.each([
    ["of another issuer", { [DISCOVERY]: { ...JWKS, issuer: "https://id.example.com/other" } }],
    ["that name keys in plain", { [DISCOVERY]: { ...JWKS, jwks_uri: "http://id.example.com/keys" } }],
    ["that name no keys", { [DISCOVERY]: { issuer: JWKS.issuer } }],
    ["that are none", { [DISCOVERY]: "x" }],
    ["whose keys are none", { [DISCOVERY]: JWKS, "/keys": { keys: "x" } }],
    ["whose keys are too many", { [DISCOVERY]: JWKS, "/keys": { keys: Array.from({ length: 101 }, () => ({})) } }],
    ["that are too large", { [DISCOVERY]: JWKS, "/keys": { keys: [], more: "x".repeat(300_000) } }],
    ["that are not there", { [DISCOVERY]: new Response("", { status: 404 }) }],
  ])("%s are not", async (_what, documents) => {
    const [code, troubles] = await identify(documents);
    expect([code, troubles.length]).toEqual(["identity-unavailable", 1]);
  });

  test("that publish a private key, or a secret, publish no key", async () => {
    const [{ jwk }] = await keyPair();
    const secret = { kty: "oct", k: Buffer.from("secret").toString("base64url"), kid: "one", alg: "HS256" };
    for (const key of [jwk, secret])
      expect((await identify({ [DISCOVERY]: JWKS, "/keys": { keys: [key] } }))[0]).toBe("unauthenticated");
  });
});
