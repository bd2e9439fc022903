/** Runs a witness: opens it, listens, takes up changes of its configuration, and ends in order. */
import { unwatchFile, watchFile } from "node:fs";
import { type Server, type ServerOptions, createServer } from "node:http";
import { type Server as HttpsServer, createServer as createHttpsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { resolve } from "node:path";
import { createAdaptorServer } from "@hono/node-server";
import { TlsFiles } from "@tallystick/storage";
import type { Hono } from "hono";
import { type WitnessAppOptions, createWitnessApp } from "./app.ts";
import { type WitnessConfig, configPath, readConfig } from "./config.ts";
import { messageOf } from "./error.ts";
import { silentLogger } from "./logger.ts";
import { assertProduction } from "./profile.ts";
import { type OpenWitnessOptions, type Witness, openWitness } from "./witness.ts";

export interface ServeWitnessOptions extends OpenWitnessOptions, Omit<WitnessAppOptions, "tls"> {
  /** Default 127.0.0.1. */
  readonly host?: string;
  /** Default 0: any that is free. */
  readonly port?: number;
  /** Refuse to start where something is missing that production needs. */
  readonly profile?: "production";
  /** How often to look whether the configuration has changed. Default 1000. */
  readonly configIntervalMs?: number;
  /** How long to wait at the end for requests under way. Default 5000. */
  readonly graceMs?: number;
}

export interface ServedWitness {
  /** Submission and monitoring prefix, without a slash at its end. */
  readonly url: string;
  readonly witness: Witness;

  /** Reads the configuration again, at once. @throws {WitnessError} it cannot be used; the old one stays. */
  reload(): Promise<void>;

  /** Stops listening, lets requests under way end, and closes the witness. Closing twice is allowed. */
  close(): Promise<void>;
}

/** More would be open for nothing: what is under way is bounded too. */
const CONNECTIONS_MAX = 2048;
/** For the head of a request, and for a TLS handshake. */
const HEADERS_TIMEOUT_MS = 10_000;
const REQUEST_TIMEOUT_MS = 30_000;
const KEEP_ALIVE_TIMEOUT_MS = 75_000;

/**
 * Opens the witness in `dir` and serves it.
 *
 * @throws {WitnessError} as `openWitness`; `profile-unmet`.
 * @throws {StorageError} as `openWitness`; `tls-unusable`, `secret-file-exposed`, `storage-unavailable`: a file of its TLS.
 * @throws {Error} the address cannot be listened on (`EADDRINUSE`, `EACCES`).
 */
export async function serveWitness(options: ServeWitnessOptions): Promise<ServedWitness> {
  const { host = "127.0.0.1", port = 0, graceMs = 5000 } = options;
  const config = await readConfig(options.dir);
  if (options.profile === "production") await assertProduction({ dir: options.dir, config, host });
  const tls = await openTls(options, config);
  const witness = await openWitness(options).catch((cause: unknown) => {
    tls?.close();
    throw cause;
  });
  const server = createHttpServer(witness, { ...options, ...(tls === undefined ? {} : { tls }) });
  try {
    await listen(server, { host, port });
  } catch (cause) {
    tls?.close();
    await witness.close();
    throw cause;
  }
  const unwatch = watchConfig(witness, options);
  let closed: Promise<void> | undefined;
  return {
    url: urlOf(server, tls === undefined ? "http" : "https"),
    witness,
    reload: () => witness.reload(),
    close() {
      unwatch();
      closed ??= closeServer(server, graceMs).then(() => witness.close());
      tls?.close();
      return closed;
    },
  };
}

async function openTls(
  { dir, logger = silentLogger }: ServeWitnessOptions,
  { tls }: WitnessConfig,
): Promise<TlsFiles | undefined> {
  if (tls === undefined) return undefined;
  const paths = { certificate: resolve(dir, tls.certificate), key: resolve(dir, tls.key) };
  return TlsFiles.open(paths, { onTrouble: (message, details) => logger.warn(message, details) });
}

function createHttpServer(witness: Witness, options: ServeWitnessOptions & { readonly tls?: TlsFiles }): Server {
  const { tls } = options;
  const app = createWitnessApp(witness, options);
  const serverOptions = {
    headersTimeout: HEADERS_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
  };
  const server =
    tls === undefined
      ? (createAdaptorServer({ fetch: app.fetch, createServer, serverOptions }) as Server)
      : createTlsServer(app.fetch, serverOptions, tls);
  server.maxConnections = CONNECTIONS_MAX;
  return server;
}

/** Its certificate changes with its files. */
function createTlsServer(fetch: Hono["fetch"], options: ServerOptions, tls: TlsFiles): Server {
  const serverOptions = { ...options, ...tls.context, handshakeTimeout: HEADERS_TIMEOUT_MS };
  const server = createAdaptorServer({ fetch, createServer: createHttpsServer, serverOptions }) as HttpsServer;
  tls.follow(server);
  return server;
}

function listen(server: Server, { host, port }: { readonly host: string; readonly port: number }): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

function urlOf(server: Server, scheme: "http" | "https"): string {
  const { address, port, family } = server.address() as AddressInfo;
  return `${scheme}://${family === "IPv6" ? `[${address}]` : address}:${port}`;
}

function watchConfig(
  witness: Witness,
  { dir, configIntervalMs = 1000, logger = silentLogger }: ServeWitnessOptions,
): () => void {
  const path = configPath(dir);
  const reload = (): void => {
    witness.reload().then(
      () => logger.info("took up a changed configuration", { path }),
      (cause: unknown) => logger.error("a changed configuration cannot be used", { path, error: messageOf(cause) }),
    );
  };
  watchFile(path, { interval: configIntervalMs, persistent: false }, reload);
  return () => unwatchFile(path, reload);
}

const IDLE_INTERVAL_MS = 20;

/** Closes connections as soon as they are idle, and by force when the time is over. */
function closeServer(server: Server, graceMs: number): Promise<void> {
  return new Promise((resolve) => {
    const force = setTimeout(() => server.closeAllConnections(), graceMs);
    // A connection whose last request has just ended would otherwise be kept alive.
    const sweep = setInterval(() => server.closeIdleConnections(), IDLE_INTERVAL_MS);
    server.close(() => {
      clearTimeout(force);
      clearInterval(sweep);
      resolve();
    });
  });
}
