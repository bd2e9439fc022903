/** How a command reaches a log over TLS: whose certificates it believes, and the certificate that it shows itself. */
import { X509Certificate } from "node:crypto";
import { type Fetch, createHttpsFetch } from "@tallystick/client";
import { readSecretFile } from "@tallystick/storage/files";
import { readBounded } from "./bounded-file.ts";
import { type Invocation, type OptionSpec, UsageError } from "./command.ts";

export const TLS_OPTIONS: Readonly<Record<"ca" | "client-cert" | "client-key", OptionSpec>> = {
  ca: {
    type: "string",
    value: "FILE",
    help: "PEM: whose certificates are believed, in place of the usual authorities",
  },
  "client-cert": { type: "string", value: "FILE", help: "PEM: a client certificate to show; with --client-key" },
  "client-key": { type: "string", value: "FILE", help: "PEM: its key, mode 0600" },
};

/** A bundle of all public authorities is a quarter of it. */
const PEM_BYTES_MAX = 1024 * 1024;

/**
 * What sends requests to `url`: Node's own fetch where no option says more.
 *
 * @throws {UsageError} @throws {StorageError} `secret-file-exposed`: others can read the key.
 */
export async function fetchOf(invocation: Invocation, url: string): Promise<Fetch> {
  const given = Object.keys(TLS_OPTIONS).filter((option) => invocation.text(option) !== undefined);
  if (given.length === 0) return globalThis.fetch;
  if (!url.startsWith("https:")) throw new UsageError(`--${given[0] ?? ""}: expected https:// in the log's address`);
  return createHttpsFetch({ ...(await authorityOf(invocation)), ...(await certificateOf(invocation)) });
}

async function authorityOf(invocation: Invocation): Promise<{ ca?: Uint8Array }> {
  const path = invocation.text("ca");
  return path === undefined ? {} : { ca: await readCertificates(path, "--ca") };
}

async function certificateOf(invocation: Invocation): Promise<{ certificate?: Uint8Array; key?: Uint8Array }> {
  const [path, keyPath] = [invocation.text("client-cert"), invocation.text("client-key")];
  if (path === undefined && keyPath === undefined) return {};
  if (path === undefined || keyPath === undefined)
    throw new UsageError("--client-cert, --client-key: expected both, or neither");
  const own = { certificate: await readCertificates(path, "--client-cert"), key: await readSecretFile(keyPath) };
  try {
    createHttpsFetch(own);
  } catch (cause) {
    throw new UsageError(`--client-key: expected the key of ${path}, in PEM and without a passphrase: ${keyPath}`, {
      cause,
    });
  }
  return own;
}

/** @throws {UsageError} There is no certificate at the beginning. */
async function readCertificates(path: string, option: string): Promise<Uint8Array> {
  const pem = await readBounded(path, PEM_BYTES_MAX);
  try {
    // oxlint-disable-next-line no-new -- it throws where there is none
    new X509Certificate(pem);
  } catch (cause) {
    throw new UsageError(`${option}: expected certificates in PEM in ${path}`, { cause });
  }
  return pem;
}
