/** A log and its witnesses in one process: real keys, real witnesses, a network without sockets, a clock that the test sets. */
import { expect, onTestFinished } from "vitest";
import { type Signer, createSigner, formatPolicy, parseVkey, sha256, utf8 } from "@tallystick/core";
import { type TallyEvent, LeafAudit, decodeLeaf, newEventId, parseEvent } from "@tallystick/events";
import { type KeyStore, type LogStorage, createMemoryKeyStore, createMemoryStorage } from "@tallystick/storage";
import { addLog, createWitnessApp, initWitness, openWitness } from "../../witness/src/index.ts";
import { type Log, type LogKeys, type LogOptions, type WitnessTarget, fsckLog, openLog } from "../src/index.ts";
import { temporaryFolder } from "../../../test/support/temporary-folder.ts";

export const ORIGIN = "log.example/test";
export const START_MS = 1_760_000_000_000;

type Handler = (request: Request) => Promise<Response>;

/** Hosts by name; one that is not there refuses the connection. */
export class Network {
  readonly hosts: Map<string, Handler> = new Map();
  readonly requests: string[] = [];

  readonly fetch: typeof globalThis.fetch = async (input, init) => {
    const request = new Request(input, init);
    const { host, pathname } = new URL(request.url);
    this.requests.push(`${request.method} ${host}${pathname}`);
    const handler = this.hosts.get(host);
    if (handler === undefined)
      throw new TypeError("fetch failed", { cause: new Error(`connect ECONNREFUSED ${host}`) });
    const aborted = new Promise<never>((_, reject) => {
      request.signal.addEventListener("abort", () => reject(new Error("aborted")), { once: true });
    });
    return Promise.race([handler(request), aborted]);
  };
}

/** A host that never answers. */
export const hanging: Handler = async () => new Promise(() => undefined);

export interface Site {
  readonly network: Network;
  readonly clock: { nowMs: number };
  readonly keys: LogKeys;
  readonly witnesses: readonly WitnessTarget[];
  /** What each witness does when nothing is in its way. */
  readonly handlers: readonly Handler[];
  readonly policyText: string;
  readonly storage: LogStorage;
  readonly keyStore: KeyStore;
  options(overrides?: Partial<LogOptions>): LogOptions;
  /** Opens a log, which is closed when the test is over. */
  open(overrides?: Partial<LogOptions>): Promise<Log>;
}

export interface SiteOptions {
  readonly witnesses?: number;
  readonly quorum?: number | "none";
  readonly storage?: LogStorage;
  readonly keyStore?: KeyStore;
  /** How far the clock of each witness is ahead; 0 by default. */
  readonly witnessesAheadMs?: readonly number[];
  /** Default: one Ed25519 key. */
  readonly signers?: readonly Signer[];
}

export function logKeys(signers: readonly Signer[] = [ed25519Signer("log")]): LogKeys {
  return { signers, senderSeed: seed("sender") };
}

export function ed25519Signer(name: string): Signer {
  return createSigner({ name: ORIGIN, type: "ed25519", seed: seed(name) });
}

export function seed(name: string): Uint8Array {
  return sha256(utf8(name));
}

export async function createSite(options: SiteOptions = {}): Promise<Site> {
  const { witnesses: count = 0, quorum = count === 0 ? "none" : Math.floor(count / 2) + 1 } = options;
  const { storage = createMemoryStorage(), keyStore = createMemoryKeyStore() } = options;
  const network = new Network();
  const clock = { nowMs: START_MS };
  const keys = logKeys(options.signers);
  const vkey = keys.signers[0]?.vkey ?? "";
  const made = await Promise.all(
    Array.from({ length: count }, async (_, at) => {
      const aheadMs = options.witnessesAheadMs?.[at] ?? 0;
      return makeWitness(`w${at + 1}`, vkey, () => clock.nowMs + aheadMs);
    }),
  );
  for (const { name, handler } of made) network.hosts.set(`${name}.example`, handler);
  const policyText = formatPolicy({
    logs: keys.signers.map(({ vkey }) => ({ vkey })),
    witnesses: made.map(({ name, vkeys }) => ({ name, vkeys })),
    quorum,
  });
  const site: Omit<Site, "options" | "open"> = {
    network,
    clock,
    keys,
    witnesses: made.map(({ name, vkeys }) => ({
      name,
      verifiers: vkeys.map(parseVkey),
      url: `http://${name}.example`,
    })),
    handlers: made.map(({ handler }) => handler),
    policyText,
    storage,
    keyStore,
  };
  const optionsOf = (overrides: Partial<LogOptions> = {}): LogOptions => ({
    origin: ORIGIN,
    storage,
    keyStore,
    keys,
    policyText,
    witnesses: site.witnesses,
    publishIntervalMs: 5,
    witnessTimeoutMs: 300,
    // A test that damages an entry says itself who notices.
    scrubEntriesPerSecond: 0,
    now: () => clock.nowMs,
    fetch: network.fetch,
    ...overrides,
  });
  return {
    ...site,
    options: optionsOf,
    open: async (overrides) => {
      const log = await openLog(optionsOf(overrides));
      onTestFinished(async () => log.close({ graceMs: 0 }));
      return log;
    },
  };
}

async function makeWitness(
  name: string,
  vkey: string,
  now: () => number,
): Promise<{ name: string; vkeys: readonly string[]; handler: Handler }> {
  const dir = temporaryFolder();
  const { vkeys } = await initWitness({ dir, name: `${name}.example/w` });
  await addLog({ dir, vkey, origin: ORIGIN });
  const witness = await openWitness({ dir, now });
  onTestFinished(async () => witness.close());
  const app = createWitnessApp(witness);
  return { name, vkeys, handler: async (request) => app.fetch(request) };
}

/** Event number `n` of a few users. */
export function login(n: number, fields: Readonly<Record<string, unknown>> = {}): TallyEvent {
  return event(n, { type: "auth.login", outcome: "success", actor: { type: "user", id: `u${n % 3}` }, ...fields });
}

export function event(n: number, fields: Readonly<Record<string, unknown>>): TallyEvent {
  return parseEvent({ id: uuid(n), time: START_MS, ...fields });
}

export function uuid(n: number): string {
  return newEventId(START_MS, sha256(utf8(`event ${n}`)).subarray(0, 16));
}

/** Waits until something holds. */
export async function until(holds: () => boolean, timeoutMs = 20_000): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!holds()) {
    if (performance.now() > deadline) throw new Error(`not within ${timeoutMs} ms: ${holds.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** Waits until everything that is durable is published. */
export async function published(log: Log): Promise<void> {
  await until(() => log.publishedSize() === log.size() && log.checkpoint() !== undefined);
}

/** Replays all leaves of a log by the rules that an outsider's audit has. */
export async function replay(log: Log): Promise<LeafAudit> {
  const audit = new LeafAudit(ORIGIN);
  const size = log.size();
  const findings: unknown[] = [];
  for (let index = 0; index < size; index += 1) {
    findings.push(...audit.check(index, decodeLeaf(await log.readLeaf(index))));
  }
  expect([...findings, ...audit.finish(size)]).toEqual([]);
  return audit;
}

/** The operator's own check finds nothing. */
export async function expectWhole(site: Site, storage: LogStorage = site.storage): Promise<void> {
  const { keyStore, keys } = site;
  const verifiers = keys.signers.map(({ verifier }) => verifier);
  const report = await fsckLog({ storage, keyStore, origin: ORIGIN, verifiers });
  expect(report.findings).toEqual([]);
}
