/** The server's configuration: one JSON file, checked whole before anything is opened. docs/reference/config.md */
import { readFile } from "node:fs/promises";
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
}

export interface ServerConfig {
  readonly listen: { readonly host: string; readonly port: number };
  readonly logs: readonly LogConfig[];
  readonly rateLimit: { readonly requestsPerSecond: number; readonly burst: number };
  /** How long requests under way may take at the end. */
  readonly graceMs: number;
}

const name = z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, { error: "expected a-z, 0-9 and dashes, at most 63" });
const url = z
  .url({ protocol: /^https?$/ })
  .refine((text) => !text.endsWith("/"), { error: "expected no slash at the end" });
const milliseconds = z.int().min(10).max(86_400_000);

const witnessSchema = z.strictObject({
  name: z.string().min(1).max(255),
  vkeys: z.array(z.string()).min(1).max(4),
  url,
  monitoringUrl: url.optional(),
});

const logSchema = z.strictObject({
  name,
  origin: z.string().min(1).max(255),
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
});

const configSchema: z.ZodType<ServerConfig, unknown> = z.strictObject({
  listen: z.strictObject({
    host: z.string().min(1).default("127.0.0.1"),
    port: z.int().min(0).max(65_535).default(7420),
  }),
  logs: z.array(logSchema).min(1).max(100),
  rateLimit: z
    .strictObject({ requestsPerSecond: z.number().positive(), burst: z.number().positive() })
    .default({ requestsPerSecond: 2000, burst: 4000 }),
  graceMs: milliseconds.default(5000),
});

/** @throws {ServerError} `config-malformed`: names the field. */
export function parseConfig(text: string, where: string): ServerConfig {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new ServerError("config-malformed", `${where}: not JSON: ${cause instanceof Error ? cause.message : ""}`, {
      cause,
    });
  }
  const parsed = configSchema.safeParse(value);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new ServerError(
      "config-malformed",
      `${where}: ${issue?.path.join(".") ?? ""}: ${issue?.message ?? "not valid"}`,
    );
  }
  const names = parsed.data.logs.map((log) => log.name);
  const origins = parsed.data.logs.map(({ origin }) => origin);
  if (new Set(names).size < names.length || new Set(origins).size < origins.length) {
    throw new ServerError("config-malformed", `${where}: logs: expected a name and an origin of its own for each`);
  }
  return parsed.data;
}

export async function readConfig(path: string): Promise<ServerConfig> {
  return parseConfig(await readFile(path, "utf8"), path);
}
