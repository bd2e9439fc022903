/** Setting up a witness, and changing which logs it cosigns for. All of it is durable when it resolves. */
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { dirname, isAbsolute, join, relative, resolve } from "node:path";
import { quote } from "@tallystick/core";
import { type FileSystem, nodeFileSystem, syncFolder } from "@tallystick/storage";
import {
  type LogConfig,
  assertName,
  assertOrigin,
  assertUrl,
  changeConfig,
  configPath,
  openLogKey,
  openLogs,
  readConfig,
  writeConfig,
} from "./config.ts";
import { WitnessError } from "./error.ts";
import { EVIDENCE_FOLDER } from "./evidence.ts";
import { formatFingerprint } from "./fingerprint.ts";
import { createKeys, readKeys } from "./keys.ts";
import { type ListedLogOffer, readLogList } from "./log-list.ts";
import { createStateStore } from "./state.ts";
import { STOPS_FOLDER } from "./stop-store.ts";

export interface InitWitnessOptions {
  /** The folder for all that the witness keeps; made if it is not there. */
  readonly dir: string;
  /** The name on its cosignatures: a URL without scheme under a domain of its own, such as `witness.example.org/w1`. */
  readonly name: string;
  /** Default: that of `node:crypto`. */
  readonly random?: (size: number) => Uint8Array;
  /** Default: the machine's. */
  readonly fileSystem?: FileSystem;
}

export interface InitializedWitness {
  readonly name: string;
  /** Ed25519 first, then ML-DSA-44: what goes into the policies of those who trust this witness. */
  readonly vkeys: readonly string[];
}

/**
 * Makes the keys, the empty state and the configuration of a new witness.
 *
 * If it dies half-way, running it again completes it.
 *
 * @throws {WitnessError} `name-unusable`; `witness-exists`: the folder holds a witness.
 */
export async function initWitness(options: InitWitnessOptions): Promise<InitializedWitness> {
  const { dir, name, random = randomBytes, fileSystem = nodeFileSystem } = options;
  assertName(name, "name-unusable");
  if (existsSync(configPath(dir))) {
    throw new WitnessError("witness-exists", `${dir} holds a witness already; start it, or choose another folder`);
  }
  await fileSystem.makeFolder(dir, 0o700);
  await createKeys({ dir, name, random, fileSystem });
  await createStateStore(dir, fileSystem);
  for (const folder of [EVIDENCE_FOLDER, STOPS_FOLDER]) await fileSystem.makeFolder(join(dir, folder), 0o700);
  // Last: with the configuration the witness is complete. Writing it syncs the folder, and so the names of those in it.
  await writeConfig(dir, { name, logs: [], lists: [], removed: [] }, fileSystem);
  await syncFolder(dirname(resolve(dir)), fileSystem);
  return { name, vkeys: await readVkeys(dir, name) };
}

async function readVkeys(dir: string, name: string): Promise<string[]> {
  return (await readKeys(dir, name)).map(({ vkey }) => vkey);
}

export interface AddLogOptions {
  readonly dir: string;
  /** The log's verifier key. */
  readonly vkey: string;
  /** Default: the name of the key, which is the origin of nearly all logs. */
  readonly origin?: string;
  /** The log's monitoring prefix; with it a start notices a state older than what the log has published. */
  readonly url?: string;
}

export interface AddedLog {
  readonly origin: string;
  readonly vkey: string;
  /** To be compared with the operator of the log, by telephone: {@link formatFingerprint}. */
  readonly fingerprint: string;
  /** All keys that now speak for the log; more than one while it changes its key. */
  readonly vkeys: readonly string[];
}

/**
 * Lets the witness cosign for a log, or adds a key to one that is configured. A witness that is running takes it up by itself.
 *
 * A log that had been removed goes on from where it was.
 *
 * @throws {WitnessError} `log-unusable`, `config-missing`, `config-malformed`.
 */
export async function addLog({ dir, vkey, origin: asked, url }: AddLogOptions): Promise<AddedLog> {
  const { name } = openLogKey(vkey, []);
  const origin = asked ?? name;
  assertOrigin(origin);
  if (url !== undefined) assertUrl(url);
  const config = await changeConfig(dir, async (config) => {
    const logs = withLog(config.logs, { origin, vkeys: [vkey], ...(url === undefined ? {} : { url }) });
    const changed = { ...config, logs, removed: config.removed.filter((each) => each !== origin) };
    openLogs(
      changed,
      (await readKeys(dir, config.name)).map(({ verifier }) => verifier),
    );
    return changed;
  });
  const vkeys = config.logs.find((log) => log.origin === origin)?.vkeys ?? [];
  return { origin, vkey, fingerprint: formatFingerprint(vkey), vkeys };
}

function withLog(logs: readonly LogConfig[], added: LogConfig): LogConfig[] {
  const known = logs.find(({ origin }) => origin === added.origin);
  if (known === undefined) return [...logs, added];
  const merged = { ...known, ...added, vkeys: [...new Set([...known.vkeys, ...added.vkeys])] };
  return logs.map((log) => (log === known ? merged : log));
}

export interface RemoveLogOptions {
  readonly dir: string;
  readonly origin: string;
  /** Default: all keys, and so the log. */
  readonly vkey?: string;
}

/**
 * Stops cosigning for a log, or trusting one of its keys. What was cosigned is remembered, should the log come back.
 *
 * @throws {WitnessError} `log-unknown`, `config-missing`, `config-malformed`.
 */
export async function removeLog({ dir, origin, vkey }: RemoveLogOptions): Promise<void> {
  await changeConfig(dir, (config) => {
    const known = config.logs.find((log) => log.origin === origin);
    if (known === undefined) throw new WitnessError("log-unknown", `no log ${quote(origin)} is configured`);
    if (vkey !== undefined && !known.vkeys.includes(vkey)) {
      throw new WitnessError("log-unknown", `the log ${quote(origin)} has no key ${quote(vkey)}`);
    }
    const vkeys = vkey === undefined ? [] : known.vkeys.filter((each) => each !== vkey);
    const rest = config.logs.flatMap((log) => (log !== known ? log : vkeys.length > 0 ? { ...log, vkeys } : []));
    const removed = vkeys.length > 0 ? config.removed : [...new Set([...config.removed, origin])];
    return { ...config, logs: rest, removed };
  });
}

export interface AddListOptions {
  readonly dir: string;
  /** A file in the format `logs/v0`; a relative path is taken from the current folder. */
  readonly path: string;
}

export interface AddedList {
  /** As it is configured: relative to the witness' folder where it lies in it. */
  readonly path: string;
  /** The logs that it names now. */
  readonly logs: readonly ListedLogOffer[];
}

/**
 * Lets the witness take up the logs of a list. A witness that is running does so by itself; later changes of the list it
 * takes up on reload.
 *
 * @throws {WitnessError} `log-list-missing`, `log-list-malformed`, `config-missing`, `config-malformed`.
 */
export async function addList({ dir, path }: AddListOptions): Promise<AddedList> {
  const logs = await readLogList(path);
  const configured = configuredPath(dir, path);
  await changeConfig(dir, (config) => ({ ...config, lists: [...new Set([...config.lists, configured])] }));
  return { path: configured, logs };
}

/**
 * Stops reading a list. The logs that were taken up from it stay.
 *
 * @throws {WitnessError} `log-list-missing`: it is not configured. `config-missing`, `config-malformed`.
 */
export async function removeList({ dir, path }: AddListOptions): Promise<void> {
  const configured = configuredPath(dir, path);
  await changeConfig(dir, (config) => {
    if (!config.lists.includes(configured)) {
      throw new WitnessError("log-list-missing", `no list ${quote(configured)} is configured`);
    }
    return { ...config, lists: config.lists.filter((each) => each !== configured) };
  });
}

function configuredPath(dir: string, path: string): string {
  const inside = relative(resolve(dir), resolve(path));
  return inside.startsWith("..") || isAbsolute(inside) ? resolve(path) : inside;
}

export interface ListedLog extends LogConfig {
  /** One for each key, in their order. */
  readonly fingerprints: readonly string[];
}

/**
 * The logs that the witness is configured for.
 *
 * @throws {WitnessError} `config-missing`, `config-malformed`.
 */
export async function listLogs({ dir }: { readonly dir: string }): Promise<ListedLog[]> {
  const { logs } = await readConfig(dir);
  return logs.map((log) => ({ ...log, fingerprints: log.vkeys.map(formatFingerprint) }));
}

/**
 * The witness' own keys, Ed25519 first: what goes into the policies of those who trust it.
 *
 * @throws {WitnessError} `config-missing`, `config-malformed`, `key-unusable`.
 */
export async function readWitnessKeys({ dir }: { readonly dir: string }): Promise<InitializedWitness> {
  const { name } = await readConfig(dir);
  return { name, vkeys: await readVkeys(dir, name) };
}
