/** The master key of a server: where its configuration says, else in the environment, else in a file of its folder. */
import { resolve } from "node:path";
import { MASTER_KEY_VARIABLE, type MasterKey, loadMasterKey } from "@tallystick/storage";
import type { PinSource } from "@tallystick/storage/pkcs11";
import { type MasterKeyConfig, type Pkcs11Config, type ServerConfig, readConfig } from "./config.ts";
import { layoutOf } from "./layout.ts";

/**
 * The master key of the server in a folder.
 *
 * @param config - Read from the folder where it is left out.
 * @throws {StorageError} `master-key-malformed`, `secret-file-exposed`, `storage-unavailable`: it cannot be read. One that
 * lies in a token is looked for when it is used.
 */
export async function masterKeyOf(dir: string, config?: Pick<ServerConfig, "masterKey">): Promise<MasterKey> {
  const { masterKey } = config ?? (await readConfig(layoutOf(dir).config));
  return openMasterKey(masterKey ?? defaultMasterKey(dir), dir);
}

/** As {@link masterKeyOf}, from wherever `config` says; files are named from `dir`. */
export async function openMasterKey(config: MasterKeyConfig, dir: string): Promise<MasterKey> {
  const { file, env: variable, pkcs11 } = config;
  if (pkcs11 !== undefined) return openPkcs11(pkcs11, dir);
  if (variable !== undefined) return loadMasterKey({ env: process.env, variable });
  return loadMasterKey({ file: file === undefined ? layoutOf(dir).masterKey : resolve(dir, file) });
}

function defaultMasterKey(dir: string): MasterKeyConfig {
  return process.env[MASTER_KEY_VARIABLE] === undefined
    ? { file: layoutOf(dir).masterKey }
    : { env: MASTER_KEY_VARIABLE };
}

async function openPkcs11(
  { library, tokenLabel, slot, keyLabel, pinFile, pinEnv }: Pkcs11Config,
  dir: string,
): Promise<MasterKey> {
  // A native library comes with it: nobody else loads this.
  const { createPkcs11MasterKey } = await import("@tallystick/storage/pkcs11");
  const pin: PinSource =
    pinFile === undefined ? { variable: pinEnv ?? "", env: process.env } : { file: resolve(dir, pinFile) };
  const token = tokenLabel === undefined ? { slot: slot ?? 0 } : { label: tokenLabel };
  return createPkcs11MasterKey({ library, token, keyLabel, pin });
}
