/** Setting up a server: folders, keys, tokens, configuration. Keys that are there are never overwritten. */
import { randomBytes } from "node:crypto";
import { access, mkdir, readFile } from "node:fs/promises";
import { dirname } from "node:path";
import {
  type Signer,
  TallystickError,
  createSigner,
  decodeHex,
  encodeHex,
  formatPolicy,
  formatSignerKey,
  parsePolicy,
  parseSignerKey,
  parseVkey,
  utf8,
} from "@tallystick/core";
import type { LogKeys } from "@tallystick/log";
import { createMasterKeyFile, readSecretFile, writeFileDurably } from "@tallystick/storage";
import { withCheckLine, withoutCheckLine } from "./check-line.ts";
import { type LogConfig, type ServerConfig, parseConfig, readConfig } from "./config.ts";
import { ServerError } from "./error.ts";
import { type LogLayout, layoutOf, logLayoutOf } from "./layout.ts";
import { UNSCOPED_ROLES, type UnscopedRole, createToken } from "./tokens.ts";

export interface InitServerOptions {
  readonly dir: string;
  readonly name: string;
  readonly origin: string;
  readonly host?: string;
  readonly port?: number;
  readonly witnesses?: LogConfig["witnesses"];
  /** How many witnesses a head needs; all but a third of them by default, "none" where there are none. */
  readonly quorum?: number | "none";
  readonly pinFirstSenderKey?: boolean;
}

export interface InitializedServer {
  readonly configPath: string;
  readonly policyPath: string;
  /** The Ed25519 key first. */
  readonly vkeys: readonly string[];
  /** Shown this once. A reader's is made for somebody, so there is none yet. */
  readonly tokens: Readonly<Record<UnscopedRole, string>>;
}

/**
 * Makes a server with one log; in the folder of a server, adds a log to it.
 *
 * @throws {ServerError} `server-exists`: there is a log of this name, or what is left of one; `config-malformed`:
 * name, origin or a witness.
 */
export async function initServer(options: InitServerOptions): Promise<InitializedServer> {
  const { dir, name, origin, witnesses = [] } = options;
  const paths = layoutOf(dir);
  const layout = logLayoutOf(dir, name);
  const text = await configWith(paths.config, options);
  for (const path of [layout.ed25519Key, layout.mldsa44Key, layout.senderKey, layout.policy, layout.data]) {
    if (await exists(path))
      throw new ServerError("server-exists", `${path} is there already: keys are never replaced; choose another name`);
  }
  const signers = [
    createSigner({ name: origin, type: "ed25519", seed: randomBytes(32) }),
    createSigner({ name: origin, type: "mldsa44", seed: randomBytes(32) }),
  ];
  // Before anything is written: what is half made could not be made again under this name.
  const policy = checkedPolicy({ signers, witnesses, quorum: options.quorum ?? defaultQuorum(witnesses.length) });
  for (const path of [layout.data, layout.keyStore, dirname(layout.policy), dirname(layout.senderKey)])
    await mkdir(path, { recursive: true, mode: 0o700 });
  await writeKeys(layout, signers);
  // Where the configuration says another place, the key there is not for us to make.
  if (parseConfig(text, paths.config).masterKey === undefined && !(await exists(paths.masterKey)))
    await createMasterKeyFile(paths.masterKey);
  await writeFileDurably(layout.policy, utf8(withCheckLine(policy)), { mode: 0o644 });
  const tokens: Partial<Record<UnscopedRole, string>> = {};
  for (const role of UNSCOPED_ROLES)
    tokens[role] = (await createToken(paths.tokens, { log: name, role, initial: true })).token;
  // Last: with the configuration the log is complete.
  await writeFileDurably(paths.config, utf8(text), { mode: 0o600 });
  return {
    configPath: paths.config,
    policyPath: layout.policy,
    vkeys: signers.map(({ vkey }) => vkey),
    tokens: tokens as Record<UnscopedRole, string>,
  };
}

/** The configuration with the new log in it. What stands in the file stays as it is. */
async function configWith(path: string, options: InitServerOptions): Promise<string> {
  const { name, origin, host = "127.0.0.1", port = 7420, witnesses = [], pinFirstSenderKey = false } = options;
  const log = { name, origin, witnesses, pinFirstSenderKey };
  const before = (await exists(path)) ? await readConfigValue(path) : { listen: { host, port }, logs: [] };
  if (before.logs.some((known) => known.name === name))
    throw new ServerError("server-exists", `${path}: there is a log ${name} already; start it, or choose another name`);
  const text = `${JSON.stringify({ ...before, logs: [...before.logs, log] }, undefined, 2)}\n`;
  parseConfig(text, path);
  return text;
}

async function readConfigValue(path: string): Promise<{ readonly logs: readonly { readonly name: string }[] }> {
  const text = await readFile(path, "utf8");
  parseConfig(text, path);
  return JSON.parse(text) as { logs: { name: string }[] };
}

/** More than half, and one more from four on: 1 of 1, 2 of 2, 2 of 3, 3 of 4, 4 of 5. */
function defaultQuorum(count: number): number | "none" {
  return count === 0 ? "none" : Math.ceil((2 * count) / 3);
}

async function writeKeys(layout: LogLayout, [ed25519, mldsa44]: readonly Signer[]): Promise<void> {
  if (ed25519 === undefined || mldsa44 === undefined) throw new TypeError("signers: expected two");
  await writeFileDurably(layout.ed25519Key, utf8(`${formatSignerKey(ed25519)}\n`));
  await writeFileDurably(layout.mldsa44Key, utf8(`${formatSignerKey(mldsa44)}\n`));
  await writeFileDurably(layout.senderKey, utf8(withCheckLine(`${encodeHex(randomBytes(32))}\n`)));
}

interface PolicyInput {
  readonly signers: readonly Pick<Signer, "vkey">[];
  readonly witnesses: LogConfig["witnesses"];
  readonly quorum: number | "none";
  readonly url?: string;
}

export interface WritePolicyInput extends PolicyInput {
  readonly layout: LogLayout;
}

/** Writes the log's own policy: who signs, who witnesses, how many are enough. */
export async function writePolicy({ layout, ...input }: WritePolicyInput): Promise<void> {
  await writeFileDurably(layout.policy, utf8(withCheckLine(policyOf(input))), { mode: 0o644 });
}

/** @throws {ServerError} `config-malformed`: a quorum or a name that no policy can have. */
function checkedPolicy(input: PolicyInput): string {
  const { quorum, witnesses } = input;
  const isPossible = quorum === "none" || (Number.isInteger(quorum) && quorum >= 1 && quorum <= witnesses.length);
  if (!isPossible) {
    const expected = witnesses.length === 0 ? "none, as there are no witnesses" : `1 to ${witnesses.length}, or none`;
    throw new ServerError("config-malformed", `quorum: expected ${expected}, got ${quorum}`);
  }
  try {
    return policyOf(input);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new ServerError("config-malformed", `witnesses: no policy can be made of them: ${why}`, { cause });
  }
}

function policyOf({ signers, witnesses, quorum, url }: PolicyInput): string {
  return formatPolicy({
    logs: signers.map(({ vkey }) => ({ vkey, ...(url === undefined ? {} : { url }) })),
    witnesses: witnesses.map((witness) => ({ name: witness.name, vkeys: witness.vkeys, url: witness.url })),
    quorum,
  });
}

/**
 * The keys of a log.
 *
 * @throws {StorageError} `secret-file-exposed`, `storage-unavailable` @throws {TlogError} `signer-malformed`
 * @throws {ServerError} `config-malformed`: the sender key is not what was written.
 */
export async function readLogKeys(layout: LogLayout): Promise<LogKeys> {
  const signers = [parseSignerKey((await readSecretText(layout.ed25519Key)).trim())];
  for (const path of [layout.mldsa44Key, layout.nextEd25519Key, layout.nextMldsa44Key])
    if (await exists(path)) signers.push(parseSignerKey((await readSecretText(path)).trim()));
  const hex = withoutCheckLine(await readSecretText(layout.senderKey), layout.senderKey).trim();
  if (!/^[0-9a-f]{64}$/.test(hex))
    throw new ServerError("config-malformed", `${layout.senderKey}: expected 64 hex digits`);
  const retired = (await readRetiredVkeys(layout)).map(parseVkey);
  return { signers, retired, senderSeed: decodeHex(hex) };
}

/** The public keys that signed heads before. @throws {ServerError} `config-malformed` */
export async function readRetiredVkeys({ retiredKeys: path }: LogLayout): Promise<readonly string[]> {
  if (!(await exists(path))) return [];
  const text = withoutCheckLine(await readFile(path, "utf8"), path);
  return text.split("\n").filter((line) => line !== "");
}

async function readSecretText(path: string): Promise<string> {
  return Buffer.from(await readSecretFile(path)).toString("utf8");
}

/**
 * The log's own policy, which has to name no key of the log that is missing: heads would be signed without it.
 *
 * @throws {ServerError} `config-malformed`: it is not there, or not what was written; it names a missing key.
 * @throws {TlogError} `policy-malformed`
 */
export async function readLogPolicy(layout: LogLayout, { signers, retired = [] }: LogKeys): Promise<string> {
  const stored = await readFile(layout.policy, "utf8").catch((cause: unknown) => {
    throw new ServerError("config-malformed", `${layout.policy} cannot be read: ${reasonOf(cause).message}`, { cause });
  });
  const text = withoutCheckLine(stored, layout.policy);
  const origin = signers[0]?.name;
  const known = new Set([...signers, ...retired].map(({ vkey }) => vkey));
  const missing = parsePolicy(text).logs.find((log) => log.origin === origin && !known.has(log.verifier.vkey));
  if (missing === undefined) return text;
  const message = `${layout.policy} names the key ${missing.verifier.vkey}, of which there is no file beside ${layout.ed25519Key}: put it back, or take the key out of the policy`;
  throw new ServerError("config-malformed", message);
}

/** What is public about a server's log: for its witnesses and its readers. */
export async function readServer(dir: string): Promise<{
  readonly config: ServerConfig;
  readonly logs: readonly {
    readonly name: string;
    readonly origin: string;
    readonly vkeys: readonly string[];
    readonly policy: string;
  }[];
}> {
  const config = await readConfig(layoutOf(dir).config);
  const logs = await Promise.all(
    config.logs.map(async ({ name, origin }) => {
      const layout = logLayoutOf(dir, name);
      const keys = await readLogKeys(layout);
      const vkeys = keys.signers.map(({ vkey }) => vkey);
      return { name, origin, vkeys, policy: await readLogPolicy(layout, keys) };
    }),
  );
  return { config, logs };
}

async function exists(path: string): Promise<boolean> {
  try {
    await access(path);
    return true;
  } catch {
    return false;
  }
}

/** The words of an error that somebody has to read. A wrong argument comes from the configuration. */
export function reasonOf(error: unknown): { readonly code: string; readonly message: string } {
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof TallystickError) return { code: error.code, message };
  const isArgument = error instanceof TypeError || error instanceof RangeError;
  return { code: isArgument ? "config-malformed" : "internal", message };
}
