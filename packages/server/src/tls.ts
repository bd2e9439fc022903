/** The server's own TLS: its listener, and who has shown a client certificate. docs/reference/config.md */
import type { RequestListener } from "node:http";
import { type Server, type ServerOptions, createServer } from "node:https";
import type { Socket } from "node:net";
import { resolve } from "node:path";
import { TLSSocket } from "node:tls";
import { TlsFiles } from "@tallystick/storage";
import type { TlsConfig } from "./config.ts";
import { ServerError } from "./error.ts";
import type { ServerRequest } from "./request.ts";
import type { Credential } from "./tokens.ts";

export interface OpenTlsOptions {
  /** The folder of the configuration, from which its paths lead. */
  readonly dir: string;
  readonly onTrouble: (message: string, details: Readonly<Record<string, unknown>>) => void;
}

/** @throws {StorageError} `tls-unusable`, `secret-file-exposed`, `storage-unavailable` */
export async function openTlsFiles(config: TlsConfig, { dir, onTrouble }: OpenTlsOptions): Promise<TlsFiles> {
  const { certificate, key, clientCa } = config;
  const paths = { certificate: resolve(dir, certificate), key: resolve(dir, key) };
  return TlsFiles.open(clientCa === undefined ? paths : { ...paths, clientCa: resolve(dir, clientCa) }, { onTrouble });
}

/**
 * A server whose certificate changes with its files.
 *
 * Asks for client certificates where there is somebody to certify them.
 *
 * @param options - With a `handshakeTimeout`, which Node counts from the connection on, whatever comes meanwhile.
 */
export function createTlsServer(files: TlsFiles, options: ServerOptions, listener: RequestListener): Server {
  const asked = files.context.ca !== undefined;
  const server = createServer(
    {
      ...options,
      ...files.context,
      requestCert: asked,
      // Readers need none, so that it is the application that says who lacks one.
      rejectUnauthorized: false,
    },
    listener,
  );
  files.follow(server);
  return server;
}

/** Of each connection the end of the client certificate that was shown on it, in ms since 1970; 0 where none was. */
const certifiedUntil = new WeakMap<Socket, number>();

/** Whether whoever is at the other end has shown a certificate that the client CA vouches for, and that has not ended. */
export function isCertified(socket: Socket | undefined, now: number = Date.now()): boolean {
  if (!(socket instanceof TLSSocket)) return false;
  let until = certifiedUntil.get(socket);
  if (until === undefined) {
    // Both: a session that is resumed may count as authorized although no certificate was ever shown.
    const certificate = socket.authorized ? socket.getPeerX509Certificate() : undefined;
    until = certificate?.validToDate.getTime() ?? 0;
    certifiedUntil.set(socket, until);
  }
  return now < until;
}

/** @throws {ServerError} `client-certificate-required`: it adds to a writer's token, and takes the place of none. */
export function requireCertificate({ role }: Credential, { isCertified }: ServerRequest): void {
  if (role !== "writer" || isCertified) return;
  const message = "writers of this server show a client certificate that its clientCa vouches for, besides the token";
  throw new ServerError("client-certificate-required", message);
}
