/** The server's configuration: one JSON file, checked whole before anything is opened. docs/reference/config.md */
import { readFile } from "node:fs/promises";
import { isAbsolute, relative, sep } from "node:path";
import { isKeyName, parseVkey } from "@tallystick/core";
import { parseJson } from "@tallystick/events";
import * as z from "zod";
import { ServerError } from "./error.ts";

/** A witness that a log asks. */
export interface WitnessConfig {
  readonly name: string;
  readonly vkeys: readonly string[];
  /** Submission prefix, without a slash at the end. */
  readonly url: string;
  /** Monitoring prefix; the submission prefix by default. */
  readonly monitoringUrl?: string | undefined;
}

/** Paths are from the server's folder. In each folder every log has one of its own, with its name. */
export interface KeyBackupConfig {
  /** For the backups, which may be copied to anywhere. */
  readonly target: string;
  /** For the keys of the backups: elsewhere, and copied to nowhere. */
  readonly keys: string;
  /** Between two backups. */
  readonly intervalHours: number;
}

export interface LogConfig {
  /** In the log's address. */
  readonly name: string;
  readonly origin: string;
  readonly witnesses: readonly WitnessConfig[];
  /** Sender keys that are taken, in hex, and from which index to which. */
  readonly senderKeys: readonly {
    readonly publicKey: string;
    readonly from?: number | undefined;
    readonly to?: number | undefined;
  }[];
  readonly pinFirstSenderKey: boolean;
  /** Whether entry bundles are public; contents never are. */
  readonly publicEntries: boolean;
  readonly publishIntervalMs: number;
  readonly headIntervalMs: number;
  readonly witnessTimeoutMs: number;
  readonly queueEntriesMax: number;
  /** In place of the server's. */
  readonly keyBackup?: KeyBackupConfig | undefined;
}

/** Exactly one of them. Files are named from the server's folder. */
export interface MasterKeyConfig {
  readonly file?: string | undefined;
  /** The name of a variable. */
  readonly env?: string | undefined;
  readonly pkcs11?: Pkcs11Config | undefined;
}

/** A token by its label or its slot, its PIN in a file or in a variable. */
export interface Pkcs11Config {
  readonly library: string;
  readonly tokenLabel?: string | undefined;
  readonly slot?: number | undefined;
  readonly keyLabel: string;
  readonly pinFile?: string | undefined;
  readonly pinEnv?: string | undefined;
}

/** Files are named from the folder of the configuration. */
export interface TlsConfig {
  readonly certificate: string;
  /** Nobody but its owner may read it. */
  readonly key: string;
  /** Whose client certificates are believed. */
  readonly clientCa?: string | undefined;
  /** Whether a writer needs a client certificate, besides its token. */
  readonly writers?: "certificate" | undefined;
}

export interface ServerConfig {
  readonly listen: { readonly host: string; readonly port: number };
  /** Without it the server speaks HTTP without TLS. */
  readonly tls?: TlsConfig | undefined;
  readonly logs: readonly LogConfig[];
  /** Default: the variable TALLYSTICK_MASTER_KEY where it is set, else the file master.key. */
  readonly masterKey?: MasterKeyConfig | undefined;
  /** Of the key stores of all logs. */
  readonly keyBackup?: KeyBackupConfig | undefined;
  /** For each token. */
  readonly rateLimit: { readonly requestsPerSecond: number; readonly burst: number };
  /** For one request's body to arrive. */
  readonly bodyTimeoutMs: number;
  /** Of all bodies under way: bounds what clients can take of the memory. */
  readonly bodiesBytesMax: number;
  /** Of all answers that clients have not taken yet: beyond, those with most of it are cut off. */
  readonly answersBytesMax: number;
  /** For a client to take anything at all of its answer. */
  readonly stallTimeoutMs: number;
  readonly connectionsMax: number;
  /** Threads that read requests and write answers; with 0 the one that has the logs does it too. */
  readonly httpThreads: number;
  /** How long requests under way may take at the end. */
  readonly graceMs: number;
}

/** Paths of the server itself. */
const RESERVED_NAMES = ["console", "healthz", "metrics", "readyz"];

const name = z
  .string()
  .regex(/^[a-z0-9][a-z0-9-]{0,62}$/, { error: "expected a-z, 0-9 and dashes, at most 63" })
  .refine((text) => !RESERVED_NAMES.includes(text), { error: `expected none of ${RESERVED_NAMES.join(", ")}` });
/** Stands in signed notes and policies, as one word. */
const keyName = z.string().max(255).refine(isWord, { error: "expected 1 to 255 bytes without spaces and +" });
const vkey = z.string().refine(isVkey, { error: "expected a verifier key, such as name+hash+key" });
const url = z
  .url({ protocol: /^https?$/ })
  .refine((text) => !text.endsWith("/"), { error: "expected no slash at the end" });
const milliseconds = z.int().min(10).max(86_400_000);

const witnessSchema = z.strictObject({
  name: keyName,
  vkeys: z.array(vkey).min(1).max(4),
  url,
  monitoringUrl: url.optional(),
});

const keyBackupSchema = z
  .strictObject({
    target: z.string().min(1).max(4096),
    keys: z.string().min(1).max(4096),
    // At most a week: so old a backup key may get.
    intervalHours: z.int().min(1).max(168).default(24),
  })
  .refine(({ target, keys }) => !isWithin(target, keys) && !isWithin(keys, target), {
    error: "expected two folders for target and keys, neither within the other",
  });

const logSchema = z.strictObject({
  name,
  origin: keyName,
  witnesses: z.array(witnessSchema).max(64).default([]),
  senderKeys: z
    .array(
      z.strictObject({
        publicKey: z.string().regex(/^[0-9a-f]{64}$/),
        from: z.int().min(0).optional(),
        to: z.int().min(0).optional(),
      }),
    )
    .max(10_000)
    .default([]),
  pinFirstSenderKey: z.boolean().default(false),
  publicEntries: z.boolean().default(false),
  publishIntervalMs: milliseconds.default(200),
  headIntervalMs: milliseconds.default(60_000),
  witnessTimeoutMs: milliseconds.default(5000),
  queueEntriesMax: z.int().min(1).max(1_000_000).default(20_000),
  keyBackup: keyBackupSchema.optional(),
});

const listenSchema = z.strictObject({
  host: z.string().min(1).default("127.0.0.1"),
  port: z.int().min(0).max(65_535).default(7420),
});

const path = z.string().min(1).max(4096);
const tlsSchema = z
  .strictObject({
    certificate: path,
    key: path,
    clientCa: path.optional(),
    writers: z.literal("certificate").optional(),
  })
  .refine(({ clientCa, writers }) => (clientCa === undefined) === (writers === undefined), {
    error: 'expected clientCa and writers: "certificate" together, or neither',
  });

const variable = z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,127}$/, { error: "expected the name of a variable" });
const label = z
  .string()
  .min(1)
  .refine((text) => Buffer.byteLength(text) <= 128, { error: "expected at most 128 bytes" });
const pkcs11Schema = z
  .strictObject({
    library: path.refine(isAbsolute, { error: "expected an absolute path" }),
    tokenLabel: label.optional(),
    slot: z.int().min(0).optional(),
    keyLabel: label,
    pinFile: path.optional(),
    pinEnv: variable.optional(),
  })
  .refine(({ tokenLabel, slot }) => isOne(tokenLabel, slot), { error: "expected one of tokenLabel and slot" })
  .refine(({ pinFile, pinEnv }) => isOne(pinFile, pinEnv), { error: "expected one of pinFile and pinEnv" });
const masterKeySchema = z
  .strictObject({ file: path.optional(), env: variable.optional(), pkcs11: pkcs11Schema.optional() })
  .refine(({ file, env, pkcs11 }) => isOne(file, env, pkcs11), { error: "expected one of file, env and pkcs11" });

const rateLimitSchema = z.strictObject({
  requestsPerSecond: z.number().positive().default(2000),
  burst: z.number().min(1).default(4000),
});

export const configSchema: z.ZodType<ServerConfig> = z.strictObject({
  listen: listenSchema.prefault({}),
  tls: tlsSchema.optional(),
  logs: z.array(logSchema).min(1).max(100),
  masterKey: masterKeySchema.optional(),
  keyBackup: keyBackupSchema.optional(),
  rateLimit: rateLimitSchema.prefault({}),
  bodyTimeoutMs: milliseconds.default(30_000),
  bodiesBytesMax: z.int().min(4_194_304).default(268_435_456),
  answersBytesMax: z.int().min(4_194_304).default(268_435_456),
  // Above the longest wait, and above the heartbeats of tails.
  stallTimeoutMs: milliseconds.default(120_000),
  connectionsMax: z.int().min(1).max(1_000_000).default(20_000),
  httpThreads: z.int().min(0).max(16).default(0),
  graceMs: milliseconds.default(5000),
});

function isOne(...values: readonly unknown[]): boolean {
  return values.filter((value) => value !== undefined).length === 1;
}

/** Whether a path, from wherever both are, is a folder or something in it. */
function isWithin(folder: string, path: string): boolean {
  const way = relative(folder, path);
  return way === "" || (way !== ".." && !way.startsWith(`..${sep}`) && !isAbsolute(way));
}

function isWord(text: string): boolean {
  // Control characters would pass unseen from one terminal to the next.
  return isKeyName(text) && Buffer.byteLength(text) <= 255 && !/\p{Cc}/u.test(text);
}

function isVkey(text: string): boolean {
  try {
    parseVkey(text);
    return true;
  } catch {
    return false;
  }
}

/** @throws {ServerError} `config-malformed`: names every field that is wrong. */
export function parseConfig(text: string, where: string): ServerConfig {
  const parsed = configSchema.safeParse(parseText(text, where));
  if (!parsed.success) {
    const defects = parsed.error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`.replace(/^: /, ""));
    throw new ServerError("config-malformed", `${where}: ${defects.join("; ")}`);
  }
  const names = parsed.data.logs.map((log) => log.name);
  const origins = parsed.data.logs.map(({ origin }) => origin);
  if (new Set(names).size < names.length || new Set(origins).size < origins.length)
    throw new ServerError("config-malformed", `${where}: logs: expected a name and an origin of its own for each`);
  return parsed.data;
}

function parseText(text: string, where: string): unknown {
  try {
    return parseJson(text);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new ServerError("config-malformed", `${where}: ${why}`, { cause });
  }
}

/** @throws {ServerError} `config-malformed`: also where there is no file. */
export async function readConfig(path: string): Promise<ServerConfig> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new ServerError("config-malformed", `${path} cannot be read (${why}); --init sets up a server`, { cause });
  }
  return parseConfig(text, path);
}
