/** The master key of a server: where its configuration says, else in the environment, else in a file of its folder. */
import { resolve } from "node:path";
import { MASTER_KEY_VARIABLE, type MasterKey, createMasterKeyFile, loadMasterKey } from "@tallystick/storage";
import type { Pkcs11Options } from "@tallystick/storage/pkcs11";
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

/**
 * Makes a new master key where `config` says, in a file or in a token. Never replaces one.
 *
 * @throws {StorageError} `storage-unavailable`: the file is there already, or cannot be written. `master-key-unavailable`:
 * the token cannot be used, or has a key of this label already.
 * @throws {TypeError} it says a variable, which nobody can set for whoever starts the server.
 */
export async function createMasterKey({ file, pkcs11 }: MasterKeyConfig, dir: string): Promise<void> {
  if (file !== undefined) {
    (await createMasterKeyFile(resolve(dir, file))).fill(0);
    return;
  }
  if (pkcs11 === undefined) throw new TypeError("masterKey: expected file or pkcs11, got a variable");
  const { generatePkcs11Key } = await import("@tallystick/storage/pkcs11");
  await generatePkcs11Key(pkcs11Options(pkcs11, dir));
}

function defaultMasterKey(dir: string): MasterKeyConfig {
  return process.env[MASTER_KEY_VARIABLE] === undefined
    ? { file: resolve(layoutOf(dir).masterKey) }
    : { env: MASTER_KEY_VARIABLE };
}

async function openPkcs11(config: Pkcs11Config, dir: string): Promise<MasterKey> {
  // A native library comes with it: nobody else loads this.
  const { createPkcs11MasterKey } = await import("@tallystick/storage/pkcs11");
  return createPkcs11MasterKey(pkcs11Options(config, dir));
}

function pkcs11Options(config: Pkcs11Config, dir: string): Pkcs11Options {
  const { library, tokenLabel, slot = 0, keyLabel, pinFile, pinEnv = "" } = config;
  return {
    library,
    token: tokenLabel === undefined ? { slot } : { label: tokenLabel },
    keyLabel,
    pin: pinFile === undefined ? { variable: pinEnv, env: process.env } : { file: resolve(dir, pinFile) },
  };
}
