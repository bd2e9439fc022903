/** A server that speaks TLS itself, and who has shown a client certificate. */
import type { RequestListener } from "node:http";
import { type Server, type ServerOptions, createServer } from "node:https";
import type { Socket } from "node:net";
import { TLSSocket } from "node:tls";
import type { TlsFiles } from "@tallystick/storage";

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
