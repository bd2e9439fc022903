/** The configuration of a witness: its name and the logs that it cosigns for, in the file `witness.json`. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { type Verifier, equalBytes, originHash, parseVkey, quote, utf8 } from "@tallystick/core";
import { type FileSystem, nodeFileSystem, withFolderLocked, writeFileDurably } from "@tallystick/storage";
import { WitnessError, type WitnessErrorCode, messageOf } from "./error.ts";
import { QPD_MAX } from "./log-list.ts";

/** A log as configured. */
export interface LogConfig {
  readonly origin: string;
  /** One key or more: any of them speaks for the log, so that a log can change its key. */
  readonly vkeys: readonly string[];
  /** The log's monitoring prefix, where it publishes `checkpoint`. */
  readonly url?: string;
  /** How many larger trees a day are cosigned. Default: any number. */
  readonly qpd?: number;
  /** How people reach the log's operator. */
  readonly contact?: string;
}

/** The content of `witness.json`. */
export interface WitnessConfig {
  readonly name: string;
  readonly logs: readonly LogConfig[];
  /** Files with lists of logs, relative to the witness' folder; what they name is added to `logs`. */
  readonly lists: readonly string[];
  /** Origins of logs that were removed, which no list brings back. */
  readonly removed: readonly string[];
  /** Without it the witness speaks HTTP without TLS. */
  readonly tls?: TlsConfig;
}

/** Files, relative to the witness' folder. */
export interface TlsConfig {
  readonly certificate: string;
  /** Nobody but its owner may read it. */
  readonly key: string;
}

/** A log with its keys parsed. */
export interface KnownLog {
  readonly origin: string;
  readonly originHash: string;
  readonly verifiers: readonly Verifier[];
  readonly url: string | undefined;
  readonly qpd: number | undefined;
}

const FORMAT = "tallystick/witness@1";
/** What an ML-DSA-44 cosignature has room for. */
const NAME_BYTES_MAX = 255;
const LOG_KEY_TYPES: readonly number[] = [1, 6];

export function configPath(dir: string): string {
  return join(dir, "witness.json");
}

/**
 * Reads `witness.json`.
 *
 * @throws {WitnessError} `config-missing`, `config-malformed`.
 */
export async function readConfig(dir: string): Promise<WitnessConfig> {
  const path = configPath(dir);
  const text = await readFile(path, "utf8").catch((cause: unknown) => {
    throw new WitnessError("config-missing", `${path} cannot be read; make a witness with: tallystick witness init`, {
      cause,
    });
  });
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new WitnessError("config-malformed", `${path} is not JSON: ${messageOf(cause)}`, { cause });
  }
  return parseConfig(value, path);
}

/** Writes `witness.json`. Durable when it resolves. */
export async function writeConfig(
  dir: string,
  config: WitnessConfig,
  fileSystem: FileSystem = nodeFileSystem,
): Promise<void> {
  const { name, logs, lists, removed, tls } = config;
  const rest = {
    ...(lists.length > 0 ? { lists } : {}),
    ...(removed.length > 0 ? { removed } : {}),
    ...(tls === undefined ? {} : { tls }),
  };
  const text = `${JSON.stringify({ format: FORMAT, name, logs, ...rest }, undefined, 2)}\n`;
  await writeFileDurably(configPath(dir), utf8(text), { fileSystem });
}

/** Changes `witness.json`, one process at a time, and gives what `change` gave. Durable when it resolves. */
export async function changeConfig(
  dir: string,
  change: (config: WitnessConfig) => WitnessConfig | Promise<WitnessConfig>,
): Promise<WitnessConfig> {
  await readConfig(dir);
  return withFolderLocked(dir, async () => {
    const config = await change(await readConfig(dir));
    await writeConfig(dir, config);
    return config;
  });
}

/**
 * Parses the keys of the configured logs.
 *
 * @param ownVerifiers - The keys of the witness itself, which must not be those of a log: an Ed25519 cosignature does not
 *   say who made it.
 * @throws {WitnessError} `log-unusable`, naming the log.
 */
export function openLogs(config: WitnessConfig, ownVerifiers: readonly Verifier[]): Map<string, KnownLog> {
  const logs = new Map<string, KnownLog>();
  for (const { origin, vkeys, url, qpd } of config.logs) {
    assertOrigin(origin);
    if (url !== undefined) assertUrl(url);
    if (logs.has(origin)) throw new WitnessError("log-unusable", `the origin ${quote(origin)} is configured twice`);
    const verifiers = vkeys.map((vkey) => openLogKey(vkey, ownVerifiers));
    logs.set(origin, { origin, originHash: originHash(origin), verifiers, url: url?.replace(/\/+$/, ""), qpd });
  }
  return logs;
}

/**
 * Parses a log's key: Ed25519 (type 01), or ML-DSA-44 (06) for logs that sign with it.
 *
 * @throws {WitnessError} `log-unusable`.
 */
export function openLogKey(vkey: string, ownVerifiers: readonly Verifier[]): Verifier {
  const verifier = parseLogKey(vkey);
  if (!LOG_KEY_TYPES.includes(verifier.type)) {
    const type = verifier.type.toString(16).padStart(2, "0");
    throw new WitnessError(
      "log-unusable",
      `the key of ${quote(verifier.name)} has type ${type}, expected 01 or 06, the types of logs`,
    );
  }
  if (ownVerifiers.some((own) => equalBytes(own.publicKey, verifier.publicKey))) {
    throw new WitnessError(
      "log-unusable",
      `the key of ${quote(verifier.name)} is the witness' own; a log needs a key of its own`,
    );
  }
  return verifier;
}

function parseLogKey(vkey: string): Verifier {
  try {
    return parseVkey(vkey);
  } catch (cause) {
    throw new WitnessError("log-unusable", `${quote(vkey)} is no verifier key: ${messageOf(cause)}`, { cause });
  }
}

/**
 * Checks the origin of a log. Anything that a checkpoint's first line can hold, but not longer than a cosignature can say.
 *
 * @throws {WitnessError} `log-unusable`.
 */
export function assertOrigin(origin: string): void {
  if (origin === "" || !origin.isWellFormed() || /\p{Cc}/u.test(origin) || Buffer.byteLength(origin) > NAME_BYTES_MAX) {
    throw new WitnessError(
      "log-unusable",
      `expected an origin of 1 to ${NAME_BYTES_MAX} bytes on one line, got ${quote(origin)}`,
    );
  }
}

/** @throws {WitnessError} `log-unusable`: not an http or https URL. */
export function assertUrl(url: string): void {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (
    parsed === undefined ||
    !["http:", "https:"].includes(parsed.protocol) ||
    parsed.search !== "" ||
    parsed.hash !== ""
  ) {
    throw new WitnessError("log-unusable", `expected an http or https URL without query, got ${quote(url)}`);
  }
}

/**
 * Checks the name of a witness: what a key name may be and a cosignature has room for.
 *
 * @param code - The error's code.
 * @throws {WitnessError} `code`.
 */
export function assertName(name: string, code: WitnessErrorCode): void {
  // U+FEFF is no space, but \s takes it for one; refusing it in a name costs nothing.
  const printable = name !== "" && name.isWellFormed() && !/[\s\u0085+\p{Cc}]/u.test(name);
  if (printable && Buffer.byteLength(name) <= NAME_BYTES_MAX) return;
  throw new WitnessError(
    code,
    `expected a name of 1 to ${NAME_BYTES_MAX} bytes without spaces and plus signs, got ${quote(name)}`,
  );
}

function parseConfig(value: unknown, path: string): WitnessConfig {
  const fields = ["format", "name", "logs", "lists", "removed", "tls"];
  const { format, name, logs, lists = [], removed = [], tls } = readFields(value, { path, what: "the file", fields });
  if (format !== FORMAT) throw malformed(path, `format: expected ${quote(FORMAT)}`);
  if (typeof name !== "string") throw malformed(path, "name: expected text");
  assertName(name, "config-malformed");
  if (!Array.isArray(logs)) throw malformed(path, "logs: expected a list");
  if (!isTextList(lists)) throw malformed(path, "lists: expected a list of paths");
  if (!isTextList(removed)) throw malformed(path, "removed: expected a list of origins");
  return {
    name,
    logs: logs.map((log, index) => parseLog(log, { path, what: `logs[${index}]` })),
    lists,
    removed,
    ...(tls === undefined ? {} : { tls: parseTls(tls, path) }),
  };
}

function parseTls(value: unknown, path: string): TlsConfig {
  const { certificate, key } = readFields(value, { path, what: "tls", fields: ["certificate", "key"] });
  if (typeof certificate !== "string" || certificate === "") throw malformed(path, "tls.certificate: expected a path");
  if (typeof key !== "string" || key === "") throw malformed(path, "tls.key: expected a path");
  return { certificate, key };
}

function parseLog(value: unknown, { path, what }: { readonly path: string; readonly what: string }): LogConfig {
  const fields = ["origin", "vkeys", "url", "qpd", "contact"];
  const { origin, vkeys, url, qpd, contact } = readFields(value, { path, what, fields });
  if (typeof origin !== "string") throw malformed(path, `${what}.origin: expected text`);
  if (!isTextList(vkeys) || vkeys.length === 0)
    throw malformed(path, `${what}.vkeys: expected a list of one verifier key or more`);
  if (url !== undefined && typeof url !== "string") throw malformed(path, `${what}.url: expected text`);
  if (contact !== undefined && typeof contact !== "string") throw malformed(path, `${what}.contact: expected text`);
  if (qpd !== undefined && !isQpd(qpd)) throw malformed(path, `${what}.qpd: expected 1 to ${QPD_MAX}, requests a day`);
  return {
    origin,
    vkeys,
    ...(url === undefined ? {} : { url }),
    ...(qpd === undefined ? {} : { qpd }),
    ...(contact === undefined ? {} : { contact }),
  };
}

function isQpd(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 1 && value <= QPD_MAX;
}

interface Expected {
  readonly path: string;
  readonly what: string;
  readonly fields: readonly string[];
}

function readFields(value: unknown, { path, what, fields }: Expected): Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw malformed(path, `${what}: expected an object`);
  const unknown = Object.keys(value).find((field) => !fields.includes(field));
  if (unknown !== undefined)
    throw malformed(path, `${what}: unknown field ${quote(unknown)}, expected ${fields.join(", ")}`);
  return { ...value };
}

function isTextList(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((each) => typeof each === "string");
}

function malformed(path: string, what: string): WitnessError {
  return new WitnessError("config-malformed", `${path}: ${what}`);
}
