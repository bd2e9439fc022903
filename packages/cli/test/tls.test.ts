/** Commands against a log that speaks TLS, under an authority that nobody else knows, and that asks writers for certificates. */
import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from "vitest";
import { createHttpsFetch } from "@tallystick/client";
import { type InitializedServer, type ServedLogs, initServer, serveLogs } from "@tallystick/server";
import { TestAuthority, writeCertificate } from "../../../test/support/certificates.ts";
import { removeFolder, runCommand, temporaryFolder } from "../../../test/support/processes.ts";
import { expectClean } from "./support/clean.ts";
import { type Ran, runHere } from "./support/run-here.ts";

const authority = new TestAuthority();
const strangers = new TestAuthority("Strangers");
const EVENT = ["--type", "auth.login", "--outcome", "success", "--actor", "user:u_81", "--wait", "published"];

let folder: string;
let made: InitializedServer;
let served: ServedLogs;
let log: readonly string[];
const files: Record<"ca" | "other" | "certificate" | "key", string> = { ca: "", other: "", certificate: "", key: "" };

beforeAll(async () => {
  folder = await temporaryFolder();
  const dir = join(folder, "log");
  made = await initServer({ dir, name: "app", origin: "log.example/app", port: 0 });
  writeCertificate(authority.issue("log.example"), { dir });
  files.ca = join(folder, "ca.pem");
  files.other = join(folder, "other.pem");
  writeFileSync(files.ca, authority.certificate);
  writeFileSync(files.other, strangers.certificate);
  Object.assign(files, writeCertificate(authority.issue("app-1"), { dir: folder, name: "client" }));
  const tls = { certificate: "tls.pem", key: "tls.key", clientCa: files.ca, writers: "certificate" };
  const config = JSON.parse(readFileSync(made.configPath, "utf8")) as object;
  writeFileSync(made.configPath, JSON.stringify({ ...config, tls }));
  served = await serveLogs({ dir });
  log = ["--log", `${served.url}/app`];
  const fetch = createHttpsFetch({ ca: authority.certificate });
  await vi.waitFor(async () => expect((await fetch(`${served.url}/readyz`)).status).toBe(200), { timeout: 20_000 });
});
afterAll(async () => {
  await served.close();
  await removeFolder(folder);
});

const home = process.cwd();
beforeEach(() => process.chdir(folder));
afterEach(() => process.chdir(home));

async function run(...args: readonly string[]): Promise<Ran> {
  const ran = await runHere(args);
  expectClean(ran, Object.values(made.tokens));
  return ran;
}

const own = (): string[] => ["--client-cert", files.certificate, "--client-key", files.key];

test("a writer submits with --ca and a client certificate; a reader needs no certificate of its own", async () => {
  const [writer, auditor] = [made.tokens.writer, made.tokens.auditor];
  const submitted = await run("submit", ...EVENT, ...log, "--token", writer, "--ca", files.ca, ...own());
  expect(submitted).toMatchObject({ code: 0 });
  const reading = [...log, "--token", auditor, "--ca", files.ca, "--policy", made.policyPath];
  // Nobody witnesses this log: its word alone is all that there is.
  expect(await run("receipt", "0", ...reading)).toMatchObject({ out: expect.stringContaining("the log's word") });
  expect(await run("audit", ...reading)).toMatchObject({ out: expect.stringContaining("LOG-ONLY") });
  expect(await run("prove", "inclusion", "0", ...reading)).toMatchObject({
    out: expect.stringContaining("index 0 of"),
  });
});

test("a stream is followed over TLS too", async () => {
  const abort = new AbortController();
  const args = ["tail", "--from", "0", ...log, "--token", made.tokens.auditor, "--ca", files.ca];
  const ran = await runHere(args, { signal: abort.signal, onOut: () => abort.abort() });
  expect(ran.out).not.toBe("");
});

test("each refusal says what to do", async () => {
  const asWriter = [...log, "--token", made.tokens.writer];
  const submit = async (...more: string[]): Promise<Ran> => run("submit", ...EVENT, ...asWriter, ...more);
  expect(await submit("--ca", files.ca)).toMatchObject({ code: 2, err: expect.stringContaining("--client-cert and") });
  expect(await submit()).toMatchObject({ code: 2, err: expect.stringContaining("--ca names the authority") });
  expect(await submit("--ca", files.other)).toMatchObject({ code: 2, err: expect.stringContaining("--ca names the") });
  expect(await submit("--ca", files.key)).toMatchObject({ code: 3, err: expect.stringContaining("--ca: expected") });
  expect(await submit("--ca", files.ca, "--client-cert", files.certificate)).toMatchObject({ code: 3 });
  const unfit = ["--client-cert", files.ca, "--client-key", files.key];
  expect(await submit("--ca", files.ca, ...unfit)).toMatchObject({
    code: 3,
    err: expect.stringContaining("--client-key: expected the key of"),
  });
  const plain = ["--log", "http://127.0.0.1:1/app", "--token", "x", "--ca", files.ca];
  expect(await run("submit", ...EVENT, ...plain)).toMatchObject({ code: 3, err: expect.stringContaining("https://") });
});

test("a key that others can read is not used", async () => {
  const { certificate, key } = writeCertificate(authority.issue("app-2"), { dir: folder, name: "open" });
  chmodSync(key, 0o644);
  const args = ["--token", made.tokens.writer, "--ca", files.ca, "--client-cert", certificate, "--client-key", key];
  const ran = await run("submit", ...EVENT, ...log, ...args);
  expect(ran).toMatchObject({ code: 2, err: expect.stringContaining(`chmod 600 ${key}`) });
});

test("NODE_EXTRA_CA_CERTS adds an authority to those that a process of its own believes", async () => {
  const reading = ["audit", ...log, "--token", made.tokens.auditor, "--policy", made.policyPath];
  const without = await runCommand(folder, reading);
  expect(without).toMatchObject({ code: 2, err: expect.stringContaining("--ca names the authority") });
  vi.stubEnv("NODE_EXTRA_CA_CERTS", files.ca);
  try {
    expect((await runCommand(folder, reading)).out).toMatch(/^LOG-ONLY/);
  } finally {
    vi.unstubAllEnvs();
  }
});
