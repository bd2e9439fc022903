/** What a server must have before it may serve in production: each point that is not met, and the way to meet it. */
import { lookup } from "node:dns/promises";
import { readFile } from "node:fs/promises";
import { BlockList, isIP, isIPv6 } from "node:net";
import { hostname, networkInterfaces } from "node:os";
import { dirname, resolve } from "node:path";
import { type Policy, evaluateQuorum, parsePolicy } from "@tallystick/core";
import { type ExposedPath, type GuardedPath, findExposed } from "@tallystick/storage";
import { withoutCheckLine } from "./check-line.ts";
import type { LogConfig, ServerConfig, WitnessConfig } from "./config.ts";
import { ServerError } from "./error.ts";
import { keyBackupFolders } from "./key-backup.ts";
import { layoutOf, logLayoutOf } from "./layout.ts";
import { type ListedToken, listTokens } from "./tokens.ts";

export type Profile = "production";

/** One thing that is missing. */
export interface UnmetPoint {
  readonly point:
    | "files-exposed"
    | "key-backup-missing"
    | "listener-plain"
    | "quorum-none"
    | "tokens-initial"
    | "witnesses-inside";
  readonly message: string;
  /** What to do. */
  readonly remedy: string;
}

/** What is known of a log when it is held against the profile. */
export interface LogFacts {
  readonly name: string;
  /** `undefined` where it cannot be read: such a log does not open, and says why. */
  readonly policy: Policy | undefined;
  readonly witnesses: readonly WitnessConfig[];
  /** Names of those that run on this machine. */
  readonly inside: readonly string[];
  readonly hasKeyBackup: boolean;
}

export interface ProfileFacts {
  readonly host: string;
  readonly hasTls: boolean;
  readonly logs: readonly LogFacts[];
  readonly tokens: readonly Pick<ListedToken, "id" | "initial">[];
  readonly exposed: readonly ExposedPath[];
}

/** The points that are not met, all of them. */
export function unmetPoints(facts: ProfileFacts): readonly UnmetPoint[] {
  return [
    ...plainListener(facts),
    ...facts.logs.flatMap((log) => [...witnessesInside(log), ...quorumNone(log), ...keyBackupMissing(log)]),
    ...initialTokens(facts),
    ...facts.exposed.map(exposedFile),
  ];
}

function plainListener({ host, hasTls }: ProfileFacts): readonly UnmetPoint[] {
  if (hasTls || isLoopback(host)) return [];
  return [
    {
      point: "listener-plain",
      message: `it would listen on ${host} without TLS`,
      remedy: 'give server.json "tls": {"certificate", "key"}, or listen on 127.0.0.1 behind a proxy that speaks TLS',
    },
  ];
}

/** Whether a head can be had without anybody outside. */
function witnessesInside({ name, policy, witnesses, inside }: LogFacts): readonly UnmetPoint[] {
  const outside = witnesses.filter((witness) => !inside.includes(witness.name));
  const isQuorumInside = policy !== undefined && policy.quorum !== "none" && canBeMetBy(policy, witnesses, inside);
  if (outside.length > 0 && !isQuorumInside) return [];
  const message =
    witnesses.length === 0
      ? `log ${name} has no witness`
      : `log ${name}: the witnesses on this machine (${inside.join(", ")}) are enough for its quorum`;
  const remedy = `have others run witnesses (docs/guides/run-a-witness.md), name them in the log's "witnesses" and let policies/${name}.txt ask for them`;
  return [{ point: "witnesses-inside", message, remedy }];
}

function canBeMetBy(policy: Policy, witnesses: readonly WitnessConfig[], names: readonly string[]): boolean {
  const vkeys = new Set(witnesses.filter(({ name }) => names.includes(name)).flatMap(({ vkeys: own }) => own));
  const theirs = policy.witnesses.filter(({ verifier }) => vkeys.has(verifier.vkey)).map(({ name }) => name);
  return evaluateQuorum(policy, new Set(theirs)).met;
}

function quorumNone({ name, policy }: LogFacts): readonly UnmetPoint[] {
  if (policy?.quorum !== "none") return [];
  return [
    {
      point: "quorum-none",
      message: `log ${name} publishes heads that no witness has cosigned: its policy says quorum none`,
      remedy: `give policies/${name}.txt a group of witnesses and a quorum (docs/guides/run-a-log.md)`,
    },
  ];
}

function keyBackupMissing({ name, hasKeyBackup }: LogFacts): readonly UnmetPoint[] {
  if (hasKeyBackup) return [];
  return [
    {
      point: "key-backup-missing",
      message: `log ${name} has no backup of its key store: with that disk all contents are lost`,
      remedy: 'give server.json "keyBackup": {"target", "keys"}, two folders on other disks',
    },
  ];
}

function initialTokens({ tokens }: ProfileFacts): readonly UnmetPoint[] {
  const ids = tokens.filter(({ initial }) => initial === true).map(({ id }) => id);
  if (ids.length === 0) return [];
  return [
    {
      point: "tokens-initial",
      message: `tokens that were made with the server are still good: ${ids.join(", ")}`,
      remedy:
        "make new ones for those who need them (tallystick keys create-token), then: tallystick keys revoke-token ID",
    },
  ];
}

function exposedFile({ path, mode, expected }: ExposedPath): UnmetPoint {
  const message = `others than its owner may use ${path} (mode ${mode})`;
  return { point: "files-exposed", message, remedy: `chmod ${expected} ${path}` };
}

export interface AssertProfileOptions {
  /** The server's folder. */
  readonly dir: string;
  readonly config: ServerConfig;
  /** Where it will listen. */
  readonly host: string;
}

/**
 * Holds a server's folder against the profile for production. Opens nothing.
 *
 * @throws {ServerError} `profile-unmet`: `details.points` names every point that is not met, with its remedy.
 * @throws {ServerError} `tokens-malformed`
 */
export async function assertProduction(options: AssertProfileOptions): Promise<void> {
  const points = unmetPoints(await readFacts(options));
  if (points.length === 0) return;
  const all = points.map(({ point, message }) => `${point}: ${message}`).join("; ");
  throw new ServerError("profile-unmet", `not ready for production: ${all}`, {
    details: { profile: "production", points },
  });
}

async function readFacts({ dir, config, host }: AssertProfileOptions): Promise<ProfileFacts> {
  const own = ownAddresses(host);
  const logs = await Promise.all(config.logs.map(async (log) => readLogFacts({ dir, config, log, own })));
  const now = Date.now();
  const tokens = (await listTokens(layoutOf(dir).tokens)).filter(
    ({ expiresAt }) => expiresAt === undefined || now < Date.parse(expiresAt),
  );
  const exposed = await findExposed(guardedPaths(dir, config));
  return { host, hasTls: config.tls !== undefined, logs, tokens, exposed };
}

interface LogPlace {
  readonly dir: string;
  readonly config: ServerConfig;
  readonly log: LogConfig;
  readonly own: BlockList;
}

async function readLogFacts({ dir, config, log, own }: LogPlace): Promise<LogFacts> {
  const { name, witnesses } = log;
  const isInside = await Promise.all(witnesses.map(async ({ url }) => leadsHere(new URL(url).hostname, own)));
  return {
    name,
    witnesses,
    inside: witnesses.filter((_, at) => isInside[at]).map((witness) => witness.name),
    policy: await readPolicy(logLayoutOf(dir, name).policy),
    hasKeyBackup: keyBackupFolders(dir, config, log) !== undefined,
  };
}

async function readPolicy(path: string): Promise<Policy | undefined> {
  try {
    return parsePolicy(withoutCheckLine(await readFile(path, "utf8"), path));
  } catch {
    return undefined;
  }
}

/** Keys, tokens and data, and what tells the server whom to trust. */
function guardedPaths(dir: string, config: ServerConfig): readonly GuardedPath[] {
  const { tls, logs, masterKey } = config;
  const paths = layoutOf(dir);
  const secrets = [paths.tokens, paths.masterKey, paths.approvalKey, paths.identityKey];
  for (const path of [masterKey?.file, masterKey?.pkcs11?.pinFile])
    if (path !== undefined) secrets.push(resolve(dir, path));
  const open = [dir, paths.config];
  if (tls !== undefined) {
    secrets.push(resolve(dir, tls.key));
    open.push(resolve(dir, tls.certificate));
    if (tls.clientCa !== undefined) open.push(resolve(dir, tls.clientCa));
  }
  for (const log of logs) {
    // Whatever the layout has besides these counts as secret.
    const { policy, retiredKeys, rules, ...secret } = logLayoutOf(dir, log.name);
    const backup = keyBackupFolders(dir, config, log);
    secrets.push(...Object.values(secret), ...(backup === undefined ? [] : [backup.target, backup.keys]));
    open.push(policy, dirname(policy), retiredKeys, rules, dirname(rules));
  }
  return [...secrets.map((path) => ({ path })), ...open.map((path) => ({ path, isPublic: true }))];
}

const LOOPBACK_NAME = /^(?:.*\.)?localhost\.?$/i;
/** Names are asked for while the server starts; one that nobody resolves leads nowhere. */
const LOOKUP_TIMEOUT_MS = 3000;

function loopback(): BlockList {
  const addresses = new BlockList();
  addresses.addSubnet("127.0.0.0", 8, "ipv4");
  addresses.addAddress("::1", "ipv6");
  return addresses;
}

function isLoopback(host: string): boolean {
  return LOOPBACK_NAME.test(host) || holds(loopback(), host);
}

/** Of this machine: loopback, its interfaces, and where the server listens. */
function ownAddresses(host: string): BlockList {
  const own = loopback();
  const addresses = Object.values(networkInterfaces()).flatMap((entries) => entries ?? []);
  for (const address of [...addresses.map((entry) => entry.address), host, "0.0.0.0", "::"])
    if (isIP(address) !== 0) own.addAddress(address, isIPv6(address) ? "ipv6" : "ipv4");
  return own;
}

function holds(addresses: BlockList, address: string): boolean {
  return isIP(address) !== 0 && addresses.check(address, isIPv6(address) ? "ipv6" : "ipv4");
}

/** Whether an address is this machine's, or a name leads to nothing but it. */
async function leadsHere(urlHost: string, own: BlockList): Promise<boolean> {
  const host = urlHost.replace(/^\[|\]$/g, "");
  if (isIP(host) !== 0) return holds(own, host);
  if (LOOPBACK_NAME.test(host) || host.toLowerCase() === hostname().toLowerCase()) return true;
  const { promise: late, resolve: giveUp } = Promise.withResolvers<readonly { address: string }[]>();
  const timer = setTimeout(() => giveUp([]), LOOKUP_TIMEOUT_MS);
  const found = await Promise.race([lookup(host, { all: true }).catch(() => []), late]);
  clearTimeout(timer);
  return found.length > 0 && found.every(({ address }) => holds(own, address));
}
