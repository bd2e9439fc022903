/** The server's own TLS: its files, and who has to show a client certificate. docs/reference/config.md */
import { resolve } from "node:path";
import { TlsFiles } from "@tallystick/storage";
import type { TlsConfig } from "./config.ts";
import { ServerError } from "./error.ts";
import type { ServerRequest } from "./http/request.ts";
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

/** @throws {ServerError} `client-certificate-required`: it adds to a writer's token, and takes the place of none. */
export function requireCertificate({ role }: Credential, { isCertified }: ServerRequest): void {
  if (role !== "writer" || isCertified) return;
  const message = "writers of this server show a client certificate that its clientCa vouches for, besides the token";
  throw new ServerError("client-certificate-required", message);
}
