/**
 * Certificate and key of a listener: read as a pair, looked at every second, and put in the place of the old ones without
 * ending a connection. RFC 8446, RFC 5246.
 *
 * Log server and witness share it, which is why it is here: they have no other package for files in common.
 */
import { X509Certificate, createPrivateKey } from "node:crypto";
import { readFile } from "node:fs/promises";
import type { Socket } from "node:net";
import type { SecureContextOptions, Server, TLSSocket } from "node:tls";
import { StorageError } from "./error.ts";
import { storageFailure } from "./failure.ts";
import { fileVersion, readSecretFile } from "./files.ts";

export interface TlsPaths {
  /** PEM: the listener's own certificate first, then those that lead to a root. */
  readonly certificate: string;
  /** PEM, not encrypted; nobody but its owner may read it. */
  readonly key: string;
  /** PEM: whose client certificates are believed. */
  readonly clientCa?: string;
}

export interface TlsFilesOptions {
  /** Between two looks at the files. Default 1000. */
  readonly intervalMs?: number;
  /** Default: the machine's clock. */
  readonly now?: () => number;
  /** Told when new files cannot be used (the old ones go on), and daily when the certificate ends within 14 days. */
  readonly onTrouble: (message: string, details: Readonly<Record<string, unknown>>) => void;
}

const INTERVAL_MS = 1000;
const DAY_MS = 86_400_000;
/** Those who renew by hand have two weeks; those who let it be done notice that it was not. */
const WARN_DAYS = 14;

/** AEAD with forward secrecy only. What 1.3 has comes first, and the server's order counts. */
const CIPHERS = [
  "TLS_AES_128_GCM_SHA256",
  "TLS_AES_256_GCM_SHA384",
  "TLS_CHACHA20_POLY1305_SHA256",
  "ECDHE-ECDSA-AES128-GCM-SHA256",
  "ECDHE-RSA-AES128-GCM-SHA256",
  "ECDHE-ECDSA-AES256-GCM-SHA384",
  "ECDHE-RSA-AES256-GCM-SHA384",
  "ECDHE-ECDSA-CHACHA20-POLY1305",
  "ECDHE-RSA-CHACHA20-POLY1305",
].join(":");

interface Loaded {
  readonly context: SecureContextOptions;
  readonly expiresAt: number;
}

/** The files of one listener, as they were when they could last be used. */
export class TlsFiles {
  readonly #paths: TlsPaths;
  readonly #options: TlsFilesOptions;
  readonly #now: () => number;
  readonly #timer: NodeJS.Timeout;
  readonly #servers = new Set<Server>();
  readonly #handshakes = new Map<string, Socket>();
  #loaded: Loaded;
  /** What was read, or tried, last. */
  #seen: string;
  /** What was there at the last look. */
  #newest: string;
  #warnedAt = -Infinity;
  #looking = false;

  private constructor(paths: TlsPaths, { loaded, seen }: { loaded: Loaded; seen: string }, options: TlsFilesOptions) {
    this.#paths = paths;
    this.#options = options;
    this.#now = options.now ?? Date.now;
    this.#loaded = loaded;
    this.#seen = seen;
    this.#newest = seen;
    this.#warn();
    this.#timer = setInterval(() => void this.#look(), options.intervalMs ?? INTERVAL_MS).unref();
  }

  /**
   * Reads the files. An expired certificate is taken, with a warning: who starts with it sees more than who does not start.
   *
   * @throws {StorageError} `tls-unusable`: not PEM, or the key is not that of the certificate.
   * @throws {StorageError} `secret-file-exposed`: others than its owner can read the key.
   * @throws {StorageError} `storage-unavailable`: a file is not there or cannot be read.
   */
  static async open(paths: TlsPaths, options: TlsFilesOptions): Promise<TlsFiles> {
    const seen = await versionOf(paths);
    return new TlsFiles(paths, { loaded: await load(paths), seen }, options);
  }

  /** For `createServer`: TLS 1.3, or 1.2 where the client has no more. */
  get context(): SecureContextOptions {
    return this.#loaded.context;
  }

  /** When the listener's own certificate ends, in ms since 1970. */
  get expiresAt(): number {
    return this.#loaded.expiresAt;
  }

  /** From now on `server` gets what is new. Connections that are open keep what they were opened with. */
  follow(server: Server): void {
    this.#servers.add(server);
    server.on("connection", (socket: Socket) => {
      const peer = peerOf(socket);
      this.#handshakes.set(peer, socket);
      socket.once("close", () => {
        if (this.#handshakes.get(peer) === socket) this.#handshakes.delete(peer);
      });
    });
    server.on("secureConnection", (socket: TLSSocket) => this.#handshakes.delete(peerOf(socket)));
  }

  /**
   * Looks no more, and ends connections whose handshake is not over: an HTTP server does not know of them, and a closed one
   * would wait for them. Close the server first.
   */
  close(): void {
    clearInterval(this.#timer);
    this.#servers.clear();
    for (const socket of this.#handshakes.values()) socket.destroy();
  }

  async #look(): Promise<void> {
    if (this.#looking) return;
    this.#looking = true;
    try {
      this.#warn();
      const now = await versionOf(this.#paths);
      // Two files change one after the other: they are read once nothing has changed for a whole interval.
      const isSettled = now === this.#newest;
      this.#newest = now;
      if (now === this.#seen || !isSettled) return;
      // Remembered first: files that cannot be used are complained of once.
      this.#seen = now;
      await this.#reload();
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      this.#options.onTrouble("new TLS files cannot be used; those before go on", { error: why });
    } finally {
      this.#looking = false;
    }
  }

  async #reload(): Promise<void> {
    const loaded = await load(this.#paths);
    if (loaded.expiresAt <= this.#now())
      throw unusable(this.#paths.certificate, `ended at ${new Date(loaded.expiresAt).toISOString()}`);
    this.#loaded = loaded;
    this.#warnedAt = -Infinity;
    for (const server of this.#servers) server.setSecureContext(loaded.context);
    this.#warn();
  }

  #warn(): void {
    const now = this.#now();
    const { expiresAt } = this.#loaded;
    if (expiresAt - now > WARN_DAYS * DAY_MS || now - this.#warnedAt < DAY_MS) return;
    this.#warnedAt = now;
    const what = expiresAt <= now ? "the TLS certificate has ended" : "the TLS certificate ends soon";
    const { certificate } = this.#paths;
    this.#options.onTrouble(`${what}: put a new one in its place`, {
      certificate,
      ends: new Date(expiresAt).toISOString(),
    });
  }
}

/** A connection and the TLS socket that is made of it have no more in common than their ends. */
function peerOf({ localAddress, remoteAddress, remotePort }: Socket): string {
  return `${localAddress} ${remoteAddress} ${remotePort}`;
}

async function versionOf({ certificate, key, clientCa }: TlsPaths): Promise<string> {
  const paths = [certificate, key, ...(clientCa === undefined ? [] : [clientCa])];
  return (await Promise.all(paths.map(fileVersion))).join(", ");
}

async function load(paths: TlsPaths): Promise<Loaded> {
  const cert = await readPem(paths.certificate);
  const certificate = certificateIn(cert, paths.certificate);
  const key = Buffer.from(await readSecretFile(paths.key));
  assertKeyOf(certificate, { key, paths });
  const ca = paths.clientCa === undefined ? undefined : await readPem(paths.clientCa);
  if (ca !== undefined && paths.clientCa !== undefined) certificateIn(ca, paths.clientCa);
  return {
    expiresAt: certificate.validToDate.getTime(),
    context: {
      cert,
      key,
      ...(ca === undefined ? {} : { ca }),
      ciphers: CIPHERS,
      honorCipherOrder: true,
      // Said here: Node's own defaults can be lowered from outside.
      minVersion: "TLSv1.2",
      maxVersion: "TLSv1.3",
    },
  };
}

async function readPem(path: string): Promise<Buffer> {
  return readFile(path).catch((cause: unknown) => {
    throw storageFailure(`could not read ${path}`, cause);
  });
}

/** The first certificate; all that follow have to parse too. */
function certificateIn(pem: Buffer, path: string): X509Certificate {
  const blocks = pem.toString("latin1").match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g) ?? [];
  try {
    const [first] = blocks.map((block) => new X509Certificate(block));
    if (first !== undefined) return first;
  } catch (cause) {
    throw unusable(path, "holds a certificate that does not parse", cause);
  }
  throw unusable(path, "holds no certificate: expected PEM, -----BEGIN CERTIFICATE-----");
}

function assertKeyOf(certificate: X509Certificate, { key, paths }: { key: Buffer; paths: TlsPaths }): void {
  let isPair: boolean;
  try {
    isPair = certificate.checkPrivateKey(createPrivateKey(key));
  } catch {
    // Without its cause, which could hold what the file does.
    throw unusable(paths.key, "holds no private key: expected PEM, -----BEGIN PRIVATE KEY-----, without a passphrase");
  }
  if (!isPair) throw unusable(paths.key, `holds another key than that of ${paths.certificate}`);
}

function unusable(path: string, what: string, cause?: unknown): StorageError {
  return new StorageError("tls-unusable", `${path} ${what}`, {
    details: { path },
    ...(cause === undefined ? {} : { cause }),
  });
}
