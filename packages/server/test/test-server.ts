/** A real log with real witnesses behind the application, all in one process and without sockets. */
import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterAll, onTestFinished } from "vitest";
import { createSigner, formatPolicy, parseVkey, sha256, utf8 } from "@tallystick/core";
import { BATCH_MEDIA_TYPE, encodeEvent, newEventId, parseEvent, signBatch } from "@tallystick/events";
import { type Log, type LogOptions, type WitnessTarget, openLog } from "@tallystick/log";
import { createMemoryKeyStore, createMemoryStorage, openLevelStorage } from "@tallystick/storage";
import { ed25519PublicKey } from "../../core/src/index.ts";
import { addLog, createWitnessApp, initWitness, openWitness } from "../../witness/src/index.ts";
import { type HostedLog, ROLES, type Role, type ServerAppOptions, Tokens, createToken } from "../src/index.ts";
import { ServerApp } from "../src/app.ts";
import { webApp } from "../src/http/web-app.ts";
import type { TokenFinder } from "../src/tokens.ts";
import { temporaryFolder } from "../../../test/support/temporary-folder.ts";

export const ORIGIN = "log.example/app";
export const LOG = "app";

export interface TestServerOptions extends Partial<Omit<ServerAppOptions, "logs" | "tokens">> {
  /** Two by default, of which one is enough. */
  readonly witnesses?: number;
  /** Memory by default. */
  readonly storage?: "memory" | "level";
  readonly log?: Partial<LogOptions>;
  /** Whether the witnesses answer from the start; true by default. */
  readonly isNetworkUp?: boolean;
  readonly publicEntries?: boolean;
  /** Beside one for each role. */
  readonly moreTokens?: TokenFinder;
  /** Others beside it. */
  readonly logs?: readonly HostedLog[];
  /** Takes what ends it; at the end of the test by default. */
  readonly atEnd?: (end: () => void | Promise<void>) => void;
}

/** One server for many tests that change nothing: it has so many entries, and ends when all tests around the call have. */
export function sharedServer(entries: number): () => Promise<TestServer> {
  const ends: (() => void | Promise<void>)[] = [];
  afterAll(async () => {
    for (const end of ends) await end();
  });
  const start = async (): Promise<TestServer> => {
    const server = await TestServer.start({ witnesses: 0, atEnd: (end) => ends.push(end) });
    if (entries > 0) await server.fill(entries);
    return server;
  };
  let started: Promise<TestServer> | undefined;
  return async () => (started ??= start());
}

export interface Reply {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  readonly bytes: Uint8Array;
  /** The body as JSON, whose shape the caller knows. */
  // oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- shorter to call than a cast
  json<T = Record<string, unknown>>(): T;
}

interface Ask {
  readonly method?: string;
  readonly role?: Role | "none" | "stranger";
  readonly body?: Uint8Array | string | undefined;
  readonly type?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** What the socket would say. */
  readonly from?: string;
  /** 1 by default: HTTP/1.1. */
  readonly httpVersionMinor?: number;
}

export class TestServer {
  readonly log: Log;
  readonly tokens: Readonly<Record<Role | "stranger", string>>;
  readonly warnings: string[];
  /** Whether the witnesses answer. */
  readonly network: { up: boolean };
  readonly app: ServerApp;
  readonly #webApp: ReturnType<typeof webApp>;

  private constructor(parts: {
    log: Log;
    tokens: Record<Role | "stranger", string>;
    warnings: string[];
    network: { up: boolean };
    app: ServerApp;
  }) {
    this.log = parts.log;
    this.tokens = parts.tokens;
    this.warnings = parts.warnings;
    this.network = parts.network;
    this.app = parts.app;
    this.#webApp = webApp(parts.app);
  }

  static async start(options: TestServerOptions = {}): Promise<TestServer> {
    const {
      witnesses = 2,
      storage = "memory",
      publicEntries = false,
      logs = [],
      atEnd = onTestFinished,
      ...more
    } = options;
    const { log: logOptions, moreTokens, ...rest } = more;
    const network = { up: options.isNetworkUp ?? true };
    const opened = await openTestLog({ witnesses, storage, network, options: logOptions ?? {}, atEnd });
    const path = join(temporaryFolder(atEnd), "tokens.json");
    const { tokens, bytes } = await (madeTokens ??= makeTokens());
    writeFileSync(path, bytes, { mode: 0o600 });
    const warnings: string[] = [];
    const own = await Tokens.read(path);
    const app = new ServerApp({
      logs: [{ name: LOG, publicEntries, log: opened, failure: undefined }, ...logs],
      tokens: {
        find: (token, connection) => own.find(token, connection) ?? moreTokens?.find(token, connection),
        valid: (log) => [...own.valid(log), ...(moreTokens?.valid(log) ?? [])],
      },
      logger: { warn: (message, details) => warnings.push(`${message} ${JSON.stringify(details)}`) },
      ...rest,
    });
    return new TestServer({
      log: opened,
      tokens,
      warnings,
      network,
      app,
    });
  }

  /** Sends a request to a path of the server. */
  async ask(path: string, ask: Ask = {}): Promise<Reply> {
    const response = await this.open(path, ask);
    const bytes = new Uint8Array(await response.arrayBuffer());
    const text = Buffer.from(bytes).toString();
    return { status: response.status, headers: response.headers, text, bytes, json: () => JSON.parse(text) };
  }

  /** As {@link ask}, the answer still open. */
  async open(
    path: string,
    { method = "GET", role = "none", body, type, headers = {}, from, httpVersionMinor = 1 }: Ask = {},
  ): Promise<Response> {
    const init: RequestInit = {
      method,
      headers: {
        ...(role === "none" ? {} : { authorization: `Bearer ${this.tokens[role]}` }),
        ...(type === undefined ? {} : { "content-type": type }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: typeof body === "string" ? body : new Uint8Array(body) }),
    };
    const local = { host: "127.0.0.1:7420", ...headers };
    const incoming = { socket: { remoteAddress: from }, headers: local, httpVersionMinor };
    return this.#webApp.request(path, init, from === undefined ? {} : { incoming });
  }

  /** Reports events as a writer. */
  async post(body: unknown, query = "", ask: Ask = {}): Promise<Reply> {
    const bytes = typeof body === "string" || body instanceof Uint8Array ? body : JSON.stringify(body);
    return this.ask(`/${LOG}/v1/events${query}`, {
      method: "POST",
      role: "writer",
      type: "application/json",
      body: bytes,
      ...ask,
    });
  }

  async postBatch(batch: Uint8Array, query = ""): Promise<Reply> {
    return this.post(batch, query, { type: BATCH_MEDIA_TYPE });
  }

  /** Reports so many events and waits until they are witnessed. */
  async fill(count: number): Promise<void> {
    for (let left = count; left > 0; left -= 1000) {
      const events = Array.from({ length: Math.min(left, 1000) }, login);
      const reply = await this.post(
        events,
        `?wait=${this.log.policyText.includes("quorum none") ? "published" : "witnessed"}`,
      );
      if (reply.status !== 201) throw new Error(`${reply.status}: ${reply.text}`);
    }
  }
}

/** To make tokens and keys takes longer than all else that a server needs: each test gets copies of the same. */
let madeTokens: Promise<MadeTokens> | undefined;
const madeWitnesses = new Map<string, Promise<MadeWitness>>();

interface MadeTokens {
  readonly tokens: Readonly<Record<Role | "stranger", string>>;
  readonly bytes: Uint8Array;
}

async function makeTokens(): Promise<MadeTokens> {
  const path = join(temporaryFolder(), "tokens.json");
  const tokens: Partial<Record<Role | "stranger", string>> = {};
  for (const role of ROLES) tokens[role] = (await createToken(path, { log: LOG, role, ...scopeOf(role) })).token;
  tokens.stranger = (await createToken(path, { log: "other", role: "auditor" })).token;
  return { tokens: tokens as MadeTokens["tokens"], bytes: readFileSync(path) };
}

interface MadeWitness {
  readonly vkeys: readonly string[];
  readonly files: readonly { readonly name: string; readonly bytes: Uint8Array }[];
}

/** A witness that knows the log, before its first start. */
async function makeWitness(name: string, vkey: string): Promise<MadeWitness> {
  const dir = temporaryFolder();
  const { vkeys } = await initWitness({ dir, name: `${name}.example` });
  await addLog({ dir, vkey });
  const names = readdirSync(dir, { recursive: true, encoding: "utf8" }).filter((each) =>
    statSync(join(dir, each)).isFile(),
  );
  return { vkeys, files: names.map((each) => ({ name: each, bytes: readFileSync(join(dir, each)) })) };
}

async function openTestLog(input: {
  readonly witnesses: number;
  readonly storage: "memory" | "level";
  readonly network: { up: boolean };
  readonly options: Partial<LogOptions>;
  readonly atEnd: NonNullable<TestServerOptions["atEnd"]>;
}): Promise<Log> {
  const { atEnd } = input;
  const signer = createSigner({ name: ORIGIN, type: "ed25519", seed: sha256(utf8("log")) });
  const hosts = new Map<string, ReturnType<typeof createWitnessApp>>();
  const targets: WitnessTarget[] = [];
  const configured = [];
  for (let at = 1; at <= input.witnesses; at += 1) {
    const name = `w${at}`;
    const dir = temporaryFolder(atEnd);
    const made = madeWitnesses.get(name) ?? makeWitness(name, signer.vkey);
    madeWitnesses.set(name, made);
    const { vkeys, files } = await made;
    for (const { name: file, bytes } of files) {
      mkdirSync(dirname(join(dir, file)), { recursive: true, mode: 0o700 });
      writeFileSync(join(dir, file), bytes, { mode: 0o600 });
    }
    const witness = await openWitness({ dir });
    atEnd(async () => witness.close());
    hosts.set(`${name}.example`, createWitnessApp(witness));
    targets.push({ name, verifiers: vkeys.map(parseVkey), url: `http://${name}.example` });
    configured.push({ name, vkeys });
  }
  const policyText = formatPolicy({
    logs: [{ vkey: signer.vkey }],
    witnesses: configured,
    quorum: input.witnesses === 0 ? "none" : 1,
  });
  const storage =
    input.storage === "level" ? await openLevelStorage({ path: temporaryFolder(atEnd) }) : createMemoryStorage();
  const log = await openLog({
    origin: ORIGIN,
    storage,
    keyStore: createMemoryKeyStore(),
    keys: { signers: [signer], senderSeed: sha256(utf8("sender")) },
    policyText,
    witnesses: targets,
    pinFirstSenderKey: true,
    publishIntervalMs: 5,
    witnessTimeoutMs: 300,
    fetch: async (url, init) => {
      const request = new Request(url, init);
      const host = hosts.get(new URL(request.url).host);
      if (host === undefined || !input.network.up) throw new TypeError("fetch failed");
      return host.fetch(request);
    },
    ...input.options,
  });
  atEnd(async () => {
    await log.close({ graceMs: 0 });
    await storage.close();
  });
  // A log that asks its witnesses first takes nothing yet.
  while (input.network.up && log.status().state === "starting") await new Promise((resolve) => setTimeout(resolve, 2));
  return log;
}

/** The reader may have what is about the person of {@link login}. */
function scopeOf(role: Role): { readonly subject?: string } {
  return role === "reader" ? { subject: "u_81" } : {};
}

/** A new event each time, as it is sent. */
export function login(): Record<string, unknown> {
  return {
    id: newEventId(Date.now(), new Uint8Array(randomBytes(16))),
    time: new Date().toISOString(),
    type: "auth.login",
    outcome: "success",
    actor: { type: "user", id: "u_81" },
    session: { id: "s-1" },
    tenant: "acme",
  };
}

/** A sender of signed batches. */
export class TestSender {
  readonly #seed = new Uint8Array(randomBytes(32));
  readonly #instance = new Uint8Array(randomBytes(16));
  #next = 1;

  /** The next batch, with a stream.start before the first event of all. */
  next(events: readonly Record<string, unknown>[]): Uint8Array {
    const all = this.#next === 1 ? [streamStart(), ...events] : events;
    const batch = this.batch(this.#next, all);
    this.#next += all.length;
    return batch;
  }

  batch(first: number, events: readonly Record<string, unknown>[]): Uint8Array {
    const entries = events.map((event) => ({
      salt: new Uint8Array(randomBytes(32)),
      event: encodeEvent(parseEvent(event)),
    }));
    const publicKey = ed25519PublicKey(this.#seed);
    return signBatch({ origin: ORIGIN, seed: this.#seed, publicKey, instance: this.#instance, first, entries });
  }
}

function streamStart(): Record<string, unknown> {
  const { id, time } = login();
  return { id, time, type: "stream.start", outcome: "success" };
}

export function signedLogin(): Record<string, unknown> {
  return { ...login(), session: { id: "ab".repeat(32) } };
}
