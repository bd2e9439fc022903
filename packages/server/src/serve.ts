/** Runs a server: opens its logs, listens, and ends in order. */
import { readFile, readdir } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { decodeHex, parseVkey } from "@tallystick/core";
import { type Log, LogError, type LogLogger, type LogOptions, openLog } from "@tallystick/log";
import {
  type KeyStore,
  type LogStorage,
  type MasterKey,
  StorageError,
  type TlsFiles,
  KeyBackups,
  createUnavailableKeyStore,
  finalDay,
  openKeyStore,
  openLevelStorage,
  readRestorationNote,
} from "@tallystick/storage";
import { ServerApp } from "./app.ts";
import { type LogConfig, type ServerConfig, readConfig } from "./config.ts";
import type { HostedLog } from "./hosted-log.ts";
import { type HttpLimits, type HttpListener, HttpServer, type ListeningAt } from "./http/http-server.ts";
import { HttpThreads } from "./http/http-threads.ts";
import { Identities } from "./identity.ts";
import { KeyBackupSchedule, keyBackupFolders } from "./key-backup.ts";
import { readLogKeys, readLogPolicy, reasonOf } from "./init.ts";
import { layoutOf, logLayoutOf } from "./layout.ts";
import { openSecretKey } from "./secret-key.ts";
import { masterKeyOf } from "./master-key.ts";
import { masterKeyName } from "./rewrap.ts";
import { type Profile, assertProduction } from "./profile.ts";
import { watchStatus } from "./status-watch.ts";
import { SubmissionReader } from "./submission-reader.ts";
import { openTlsFiles } from "./tls.ts";
import { TokenFile } from "./token-file.ts";
import { TokenReport } from "./token-report.ts";

export interface ServeLogsOptions {
  readonly dir: string;
  /** In place of the configuration's. */
  readonly host?: string;
  readonly port?: number;
  /** In place of the configured addresses of witnesses, by name; for `dev`, whose ports change. */
  readonly witnessUrls?: Readonly<Record<string, string>>;
  readonly startWithoutWitnesses?: boolean;
  readonly confirmClock?: boolean;
  /** Refuse to start where something is missing that production needs. */
  readonly profile?: Profile;
  readonly logger?: LogLogger;
  readonly fetch?: typeof globalThis.fetch;
}

export interface ServedLogs {
  /** Without a slash at the end; the logs are at `<url>/<name>`. */
  readonly url: string;
  readonly logs: readonly HostedLog[];
  /** Stops listening, answers what is under way, closes the logs. Closing twice is allowed. */
  close(): Promise<void>;
}

interface Opened {
  readonly hosted: HostedLog;
  close(graceMs: number): Promise<void>;
}

/**
 * Opens the server in a folder and serves it. A log that cannot be opened does not keep the others from running: it
 * answers 503, and /readyz says why.
 *
 * @throws {ServerError} `config-malformed`, `tokens-malformed`, `profile-unmet`
 * @throws {StorageError} `tls-unusable`, `secret-file-exposed`, `storage-unavailable`: a file of its TLS.
 * @throws {Error} the address cannot be listened on (`EADDRINUSE`, `EACCES`).
 */
export async function serveLogs(options: ServeLogsOptions): Promise<ServedLogs> {
  const paths = layoutOf(options.dir);
  const config = await readConfig(paths.config);
  if (options.profile === "production")
    await assertProduction({ dir: options.dir, config, host: options.host ?? config.listen.host });
  const approvalKey = await openSecretKey(paths.approvalKey);
  const identities = await openIdentities(paths.identityKey, options);
  const tokens = await TokenFile.open(paths.tokens, {
    onTrouble: (error) =>
      options.logger?.warn("the tokens file cannot be used; those known before go on", reasonOf(error)),
  });
  const tls = await openTls(config, options).catch((cause: unknown) => {
    tokens.close();
    throw cause;
  });
  const opened: Opened[] = [];
  for (const log of config.logs) opened.push(await openHosted(log, { ...options, config }));
  const logs = opened.map(({ hosted }) => hosted);
  const closing = new AbortController();
  const { rateLimit, bodyTimeoutMs, bodiesBytesMax } = config;
  // With one processor threads only take it from one another.
  const onTrouble = (error: unknown): void =>
    options.logger?.warn("no thread reads large submissions: they are read as all others", reasonOf(error));
  const submissions = availableParallelism() > 1 ? new SubmissionReader({ onTrouble }) : undefined;
  const app = new ServerApp({
    logs,
    tokens,
    identities,
    approvalKey,
    rateLimit,
    bodyTimeoutMs,
    bodiesBytesMax,
    closing: closing.signal,
    ...(tls === undefined ? {} : { tls, writers: config.tls?.writers ?? "token" }),
    ...(submissions === undefined ? {} : { submissions }),
    ...(options.logger === undefined ? {} : { logger: options.logger }),
  });
  const http = createListener(app, { config, tls, options });
  const { logger } = options;
  const endWatch = logger === undefined ? undefined : watchStatus(logs, logger);
  const report = new TokenReport({
    tokens,
    logs,
    onTrouble: (error) => logger?.warn("a change of tokens could not be noted in the log", reasonOf(error)),
  });
  const end = async (graceMs: number): Promise<void> => {
    endWatch?.();
    tokens.close();
    const reported = report.close();
    http.stop();
    tls?.close();
    // Refuses what comes now over open connections, and bodies that are still coming.
    closing.abort();
    try {
      // What is whole is logged: it has only to be read.
      await submissions?.idle(graceMs);
      // Each answer that waits for a log gets its outcome, and then its connection can end.
      await Promise.all(opened.map(async (log) => log.close(graceMs)));
      await http.end();
    } finally {
      await submissions?.close();
    }
    await reported;
  };
  let at: ListeningAt;
  try {
    const { host, port } = config.listen;
    at = await http.listen({ host: options.host ?? host, port: options.port ?? port });
  } catch (cause) {
    await end(0);
    throw cause;
  }
  let closed: Promise<void> | undefined;
  return {
    url: urlOf(at, tls === undefined ? "http" : "https"),
    logs,
    close: () => (closed ??= end(config.graceMs)),
  };
}

async function openTls(config: ServerConfig, { dir, logger }: ServeLogsOptions): Promise<TlsFiles | undefined> {
  if (config.tls === undefined) return undefined;
  return openTlsFiles(config.tls, { dir, onTrouble: (message, details) => logger?.warn(message, details) });
}

async function openIdentities(path: string, { fetch, logger }: ServeLogsOptions): Promise<Identities> {
  return new Identities({
    key: await openSecretKey(path),
    ...(fetch === undefined ? {} : { fetch }),
    onTrouble: ({ message }) => logger?.warn("the keys of an identity provider could not be fetched", { message }),
  });
}

interface ListenerInput {
  readonly config: ServerConfig;
  readonly tls: TlsFiles | undefined;
  readonly options: ServeLogsOptions;
}

function createListener(app: ServerApp, { config, tls, options: { dir, logger } }: ListenerInput): HttpListener {
  const { bodyTimeoutMs, connectionsMax, answersBytesMax, stallTimeoutMs, httpThreads } = config;
  const limits: HttpLimits = { bodyTimeoutMs, connectionsMax, answersBytesMax, stallTimeoutMs };
  const onTrouble = (message: string, details: Readonly<Record<string, unknown>>): void =>
    logger?.warn(message, details);
  if (httpThreads === 0) return new HttpServer(app, { limits, tls, onTrouble });
  const files = config.tls === undefined ? {} : { tls: { config: config.tls, dir } };
  return new HttpThreads(app, { count: httpThreads, limits, onTrouble, ...files });
}

interface HostOptions extends ServeLogsOptions {
  readonly config: ServerConfig;
}

async function openHosted(config: LogConfig, options: HostOptions): Promise<Opened> {
  const { name, publicEntries } = config;
  const resources: { close(): Promise<void> }[] = [];
  try {
    const log = await openOne(config, options, resources);
    // Once the log has found its key store to be the newest: an older one must replace no backup.
    const hasKeys = !log.status().reasons.some(({ code }) => code === "keys-unavailable");
    const keyBackup = hasKeys ? await startKeyBackups(config, options) : undefined;
    const masterKey = hasKeys ? masterKeyName(await masterKeyOf(options.dir, options.config)) : undefined;
    return {
      hosted: { name, publicEntries, log, failure: undefined, keyBackup, masterKey },
      close: async (graceMs) => {
        await keyBackup?.close();
        await log.close({ graceMs });
        for (const resource of resources.toReversed()) await resource.close();
      },
    };
  } catch (error) {
    for (const resource of resources.toReversed()) await resource.close().catch(() => undefined);
    const failure = reasonOf(error);
    options.logger?.warn("a log could not be opened", { log: name, ...failure });
    return { hosted: { name, publicEntries, log: undefined, failure }, close: async () => undefined };
  }
}

async function startKeyBackups(
  { name, origin, keyBackup }: LogConfig,
  { dir, config, logger }: HostOptions,
): Promise<KeyBackupSchedule | undefined> {
  const folders = keyBackupFolders(dir, config, { name, keyBackup });
  if (folders === undefined) return undefined;
  const path = logLayoutOf(dir, name).keyStore;
  const backups = new KeyBackups({ ...folders, path, origin, masterKey: await masterKeyOf(dir, config) });
  return new KeyBackupSchedule({ backups, intervalMs: folders.intervalMs, logger, log: name });
}

async function openOne(config: LogConfig, options: HostOptions, resources: { close(): Promise<void> }[]): Promise<Log> {
  const { dir, witnessUrls = {}, startWithoutWitnesses = false, confirmClock = false, logger, fetch } = options;
  const layout = logLayoutOf(dir, config.name);
  const keys = await readLogKeys(layout);
  const policyText = await readLogPolicy(layout, keys);
  const storage: LogStorage = await openLevelStorage({ path: layout.data });
  resources.push(storage);
  await assertKeysThere(storage, layout.keyStore);
  const keyStore = await openKeys(layout.keyStore, options);
  resources.push(keyStore);
  const logOptions: LogOptions = {
    origin: config.origin,
    storage,
    keyStore,
    keys,
    policyText,
    witnesses: config.witnesses.map(({ name, vkeys, url, monitoringUrl }) => ({
      name,
      verifiers: vkeys.map(parseVkey),
      url: witnessUrls[name] ?? url,
      ...(monitoringUrl === undefined || name in witnessUrls ? {} : { monitoringUrl }),
    })),
    senderKeys: config.senderKeys.map(({ publicKey, from, to }) => ({
      publicKey: decodeHex(publicKey),
      ...(from === undefined ? {} : { from }),
      ...(to === undefined ? {} : { to }),
    })),
    pinFirstSenderKey: config.pinFirstSenderKey,
    publishIntervalMs: config.publishIntervalMs,
    headIntervalMs: config.headIntervalMs,
    witnessTimeoutMs: config.witnessTimeoutMs,
    queueEntriesMax: config.queueEntriesMax,
    startWithoutWitnesses,
    confirmClock,
    proposedRules: async () => readIfThere(layout.rules),
    restored: (await readRestorationNote(layout.keyStore)) ?? null,
    ...(keyBackupFolders(dir, options.config, config) === undefined ? {} : { finalOn: finalDay }),
    ...(logger === undefined ? {} : { logger }),
    ...(fetch === undefined ? {} : { fetch }),
  };
  return openLog(logOptions);
}

/** The key store; without a master key that fits, one that says so: heads and proofs need no keys. */
async function openKeys(path: string, { dir, config }: HostOptions): Promise<KeyStore> {
  let masterKey: MasterKey;
  try {
    masterKey = await masterKeyOf(dir, config);
  } catch (error) {
    if (error instanceof StorageError) return createUnavailableKeyStore(error);
    throw error;
  }
  try {
    return await openKeyStore({ path, masterKey });
  } catch (error) {
    if (error instanceof StorageError && isOfMasterKey(error)) return createUnavailableKeyStore(error);
    throw error;
  }
}

/** Of a token the PIN's file may be exposed, which shows only when a store is opened. */
function isOfMasterKey({ code }: StorageError): boolean {
  return code.startsWith("master-key-") || code === "secret-file-exposed";
}

/**
 * To open a key store makes one where there is none: beside a log that has entries that would be another one, in the place
 * where a backup has to be restored.
 */
async function assertKeysThere(storage: LogStorage, path: string): Promise<void> {
  if ((await storage.readHead("integrated")) === undefined) return;
  const files = await readdir(path).catch((error: unknown) => {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return [];
    throw error;
  });
  if (files.length > 0) return;
  const text = `the key store ${path} is gone, and the log has entries: put it back, or restore its newest backup (keys restore); none was made in its place`;
  throw new LogError("log-corrupt", text);
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
}

function urlOf({ address, port, family }: ListeningAt, scheme: "http" | "https"): string {
  return `${scheme}://${family === "IPv6" ? `[${address}]` : address}:${port}`;
}
