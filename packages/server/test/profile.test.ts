import { randomBytes } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { networkInterfaces } from "node:os";
import { dirname, join } from "node:path";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { createSigner, formatPolicy, parsePolicy } from "@tallystick/core";
import { createHttpsFetch } from "../../client/src/index.ts";
import { addLog, createWitnessApp, initWitness, openWitness } from "../../witness/src/index.ts";
import { TestAuthority, writeCertificate } from "../../../test/support/certificates.ts";
import { temporaryFolder } from "../../../test/support/temporary-folder.ts";
import {
  type InitializedServer,
  ServerError,
  type UnmetPoint,
  type WitnessConfig,
  createToken,
  initServer,
  layoutOf,
  listTokens,
  logLayoutOf,
  revokeToken,
  serveLogs,
} from "../src/index.ts";
import { type LogFacts, type ProfileFacts, unmetPoints } from "../src/profile.ts";
import { login } from "./test-server.ts";

const authority = new TestAuthority();

/** Documentation addresses: nobody's, and so not this machine's. RFC 5737, RFC 3849 */
const OUTSIDE = ["https://203.0.113.1", "https://203.0.113.2:8443", "https://[2001:db8::3]"];

/** A server that has all that production asks for; these are its witnesses. */
async function productionReady(witnesses: readonly WitnessConfig[]): Promise<Place> {
  const dir = join(temporaryFolder(), "server");
  const made = await initServer({ dir, name: "app", origin: "log.example/app", port: 0, witnesses });
  writeCertificate(authority.issue("log.example"), { dir });
  const keyBackup = { target: join(temporaryFolder(), "target"), keys: join(temporaryFolder(), "keys") };
  change(dir, { tls: { certificate: "tls.pem", key: "tls.key" }, keyBackup });
  for (const { id } of await listTokens(layoutOf(dir).tokens)) await revokeToken(layoutOf(dir).tokens, id);
  return { dir, made };
}

interface Place {
  readonly dir: string;
  readonly made: InitializedServer;
}

function witnessesAt(urls: readonly string[]): WitnessConfig[] {
  return urls.map((url, at) => {
    const { vkey } = createSigner({ name: `w${at}.example`, type: "ed25519-cosigner", seed: randomBytes(32) });
    return { name: `w${at}`, vkeys: [vkey], url };
  });
}

interface Running {
  readonly witnesses: readonly WitnessConfig[];
  /** In place of the network: leads to these witnesses. */
  readonly fetch: typeof globalThis.fetch;
  /** Lets them know the log. */
  readonly add: (vkeys: readonly string[]) => Promise<void>;
}

/** Real witnesses, as if they were {@link OUTSIDE}. */
async function runningWitnesses(): Promise<Running> {
  const running = await Promise.all(
    OUTSIDE.map(async (url, at) => {
      const dir = temporaryFolder();
      const { vkeys } = await initWitness({ dir, name: `w${at}.example` });
      const witness = await openWitness({ dir });
      onTestFinished(async () => witness.close());
      return { dir, witness, app: createWitnessApp(witness), config: { name: `w${at}`, vkeys, url } };
    }),
  );
  return {
    witnesses: running.map(({ config }) => config),
    add: async (vkeys) => {
      for (const { dir, witness } of running) {
        for (const vkey of vkeys) await addLog({ dir, vkey });
        await witness.reload();
      }
    },
    fetch: async (url, init) => {
      const request = new Request(url, init);
      const asked = running.find(({ config }) => new URL(config.url).host === new URL(request.url).host);
      if (asked === undefined) throw new TypeError("fetch failed");
      return asked.app.fetch(request);
    },
  };
}

function change(dir: string, fields: Readonly<Record<string, unknown>>): void {
  const { config } = layoutOf(dir);
  writeFileSync(config, JSON.stringify({ ...(JSON.parse(readFileSync(config, "utf8")) as object), ...fields }));
}

/** Changes the log of the configuration. */
function changeLog(dir: string, fields: Readonly<Record<string, unknown>>): void {
  const { logs } = JSON.parse(readFileSync(layoutOf(dir).config, "utf8")) as { logs: object[] };
  change(dir, { logs: logs.map((log) => ({ ...log, ...fields })) });
}

/** The points that keep a server from starting, all of them in the words of the error; it is ended at once where there are none. */
async function unmet(dir: string, host = "0.0.0.0"): Promise<readonly UnmetPoint[]> {
  const starting = serveLogs({ dir, host, profile: "production" }).then(async (served) => served.close());
  const error: unknown = await starting.catch((cause: unknown) => cause);
  if (!(error instanceof ServerError)) throw new Error("it started, or failed otherwise", { cause: error });
  const points = error.details["points"] as readonly UnmetPoint[];
  const words = points.map(({ point, message }) => `${point}: ${message}`).join("; ");
  expect([error.code, error.message]).toEqual(["profile-unmet", `not ready for production: ${words}`]);
  return points;
}

describe("serveLogs with the profile for production", () => {
  test("starts where every point is met, and does all that a server does", async () => {
    const { witnesses, fetch, add } = await runningWitnesses();
    const { dir, made } = await productionReady(witnesses);
    await add(made.vkeys);
    // What everybody may read.
    const { rules, policy } = logLayoutOf(dir, "app");
    mkdirSync(dirname(rules), { mode: 0o755 });
    writeFileSync(rules, "version: 1\n", { mode: 0o644 });
    chmodSync(policy, 0o644);
    const { token } = await createToken(layoutOf(dir).tokens, { log: "app", role: "writer" });
    const served = await serveLogs({ dir, host: "0.0.0.0", profile: "production", fetch });
    onTestFinished(async () => served.close());
    const ask = createHttpsFetch({ ca: authority.certificate });
    const url = served.url.replace("0.0.0.0", "127.0.0.1");
    await vi.waitFor(async () => expect((await ask(`${url}/readyz`)).status).toBe(200), { timeout: 20_000 });
    const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
    const body = JSON.stringify(login());
    const reply = await ask(`${url}/app/v1/events?wait=witnessed`, { method: "POST", headers, body });
    expect([reply.status, ((await reply.json()) as { state: string }).state]).toEqual([201, "witnessed"]);
  });

  const own = Object.values(networkInterfaces())
    .flatMap((entries) => entries ?? [])
    .find(({ family, internal }) => family === "IPv4" && !internal)?.address;
  const insideUrls = ["http://127.0.0.1:1", "http://localhost:1", "http://[::1]:1", "http://w.localhost:1"];
  if (own !== undefined) insideUrls.push(`http://${own}:1`);

  test.each<{ what: string; break: (dir: string) => unknown; points: readonly string[]; words: readonly string[] }>([
    {
      what: "no TLS off loopback",
      break: (dir) => change(dir, { tls: undefined }),
      points: ["listener-plain"],
      words: ["0.0.0.0", '"tls"', "127.0.0.1"],
    },
    {
      what: "no witness",
      break: (dir) => changeLog(dir, { witnesses: [] }),
      points: ["witnesses-inside"],
      words: ["log app has no witness", "run-a-witness.md"],
    },
    {
      what: "a policy of quorum none",
      break: (dir) => {
        const { policy } = logLayoutOf(dir, "app");
        writeFileSync(
          policy,
          readFileSync(policy, "utf8")
            .replace(/^quorum .*$/m, "quorum none")
            .replace(/# sha256.*\n/, ""),
        );
      },
      points: ["quorum-none"],
      words: ["quorum none", "policies/app.txt"],
    },
    {
      what: "no backup of the key store",
      break: (dir) => change(dir, { keyBackup: undefined }),
      points: ["key-backup-missing"],
      words: ["log app", '"keyBackup"'],
    },
    {
      what: "a token that came with the server",
      break: async (dir) => createToken(layoutOf(dir).tokens, { log: "app", role: "auditor", initial: true }),
      points: ["tokens-initial"],
      words: ["auditor-", "revoke-token"],
    },
    {
      what: "files that others can read or change",
      break: (dir) => {
        chmodSync(join(dir, "tls.key"), 0o644);
        chmodSync(layoutOf(dir).config, 0o660);
        chmodSync(logLayoutOf(dir, "app").keyStore, 0o750);
      },
      points: ["files-exposed", "files-exposed", "files-exposed"],
      words: ["chmod 600", "chmod 644", "chmod 700"],
    },
  ])("with $what does not start, and says what to do", async ({ break: breakIt, points, words }) => {
    const { dir } = await productionReady(witnessesAt(OUTSIDE));
    await breakIt(dir);
    const found = await unmet(dir);
    expect(found.map(({ point }) => point)).toEqual(points);
    const text = JSON.stringify(found.map(({ message, remedy }) => `${message} ${remedy}`));
    for (const word of words) expect(text.replaceAll("\\", "")).toContain(word);
    expect(readdirSync(logLayoutOf(dir, "app").data)).toEqual([]);
  });

  test(`witnesses at ${insideUrls.join(", ")} are all on this machine`, async () => {
    const { dir } = await productionReady(witnessesAt(insideUrls));
    const names = insideUrls.map((_, at) => `w${at}`).join(", ");
    expect(await unmet(dir)).toMatchObject([{ point: "witnesses-inside", message: expect.stringContaining(names) }]);
  });

  test("all that a server lacks as it was set up is named at once, and none of it is a secret", async () => {
    const dir = temporaryFolder();
    const made = await initServer({ dir, name: "app", origin: "log.example/app", port: 0 });
    chmodSync(layoutOf(dir).masterKey, 0o640);
    const found = await unmet(dir);
    expect(found.map(({ point }) => point)).toEqual([
      "listener-plain",
      "witnesses-inside",
      "quorum-none",
      "key-backup-missing",
      "tokens-initial",
      "files-exposed",
    ]);
    const text = JSON.stringify(found);
    const secrets = [...Object.values(made.tokens), readFileSync(layoutOf(dir).masterKey, "utf8").trim()];
    for (const secret of secrets) expect(text).not.toContain(secret);
    expect(existsSync(layoutOf(dir).approvalKey)).toBe(false);
    // Without the profile the same folder is served.
    chmodSync(layoutOf(dir).masterKey, 0o600);
    await (await serveLogs({ dir })).close();
  });

  test("each log is held against it", async () => {
    const { dir } = await productionReady(witnessesAt(OUTSIDE));
    await initServer({ dir, name: "other", origin: "log.example/other" });
    const found = await unmet(dir);
    expect(found.map(({ point, message }) => [point, /log \w+/.exec(message)?.[0]])).toEqual([
      ["witnesses-inside", "log other"],
      ["quorum-none", "log other"],
      ["tokens-initial", undefined],
    ]);
  });
});

describe("unmetPoints", () => {
  const vkeys = ["w1", "w2", "w3"].map(
    (name) => createSigner({ name, type: "ed25519-cosigner", seed: randomBytes(32) }).vkey,
  );
  const witnesses = vkeys.map((vkey, at) => ({ name: `w${at + 1}`, vkeys: [vkey], url: "https://w.example" }));
  const log = (quorum: number | "none", inside: readonly string[]): LogFacts => ({
    name: "app",
    witnesses,
    inside,
    policy: parsePolicy(formatPolicy({ logs: [{ vkey: vkeyOf("log.example") }], witnesses, quorum })),
    hasKeyBackup: true,
  });
  const facts = (one: LogFacts): ProfileFacts => ({
    host: "127.0.0.1",
    hasTls: false,
    logs: [one],
    tokens: [],
    exposed: [],
  });

  test.each([
    ...["127.0.0.1", "127.9.9.9", "::1", "localhost", "log.localhost"].map((host) => ({ host, points: [] })),
    ...["0.0.0.0", "::", "192.0.2.9", "128.0.0.1", "localhost.example"].map((host) => ({
      host,
      points: ["listener-plain"],
    })),
  ])("without TLS on $host: $points", ({ host, points }) => {
    expect(unmetPoints({ ...facts(log(2, [])), host }).map(({ point }) => point)).toEqual(points);
    expect(unmetPoints({ ...facts(log(2, [])), host, hasTls: true })).toEqual([]);
  });

  test.each([
    { quorum: 2, inside: [], points: [] },
    { quorum: 2, inside: ["w1"], points: [] },
    { quorum: 3, inside: ["w1", "w2"], points: [] },
    { quorum: 2, inside: ["w1", "w3"], points: ["witnesses-inside"] },
    { quorum: 1, inside: ["w2"], points: ["witnesses-inside"] },
    { quorum: 3, inside: ["w1", "w2", "w3"], points: ["witnesses-inside"] },
    { quorum: "none" as const, inside: [], points: ["quorum-none"] },
    { quorum: "none" as const, inside: ["w1", "w2", "w3"], points: ["witnesses-inside", "quorum-none"] },
  ])("quorum $quorum of three, inside $inside: $points", ({ quorum, inside, points }) => {
    expect(unmetPoints(facts(log(quorum, inside))).map(({ point }) => point)).toEqual(points);
  });
});

function vkeyOf(name: string): string {
  return createSigner({ name, type: "ed25519", seed: randomBytes(32) }).vkey;
}

test("docs/guides/run-a-log.md has every point", () => {
  const page = readFileSync(new URL("../../../docs/guides/run-a-log.md", import.meta.url), "utf8");
  const [, table = ""] = /^## For production$([\s\S]*?)^## /m.exec(page) ?? [];
  const documented = [...table.matchAll(/^\| `([a-z-]+)` \|/gm)].map(([, point]) => point);
  const facts: ProfileFacts = {
    host: "0.0.0.0",
    hasTls: false,
    logs: [{ name: "app", policy: parsePolicy("quorum none\n"), witnesses: [], inside: [], hasKeyBackup: false }],
    tokens: [{ id: "writer-00000000", initial: true }],
    exposed: [{ path: "tokens.json", mode: "644", expected: "600" }],
  };
  expect(documented).toEqual(unmetPoints(facts).map(({ point }) => point));
});
