/** Another master key for the key stores of a server's logs. */
import { hash } from "node:crypto";
import { access } from "node:fs/promises";
import { KeyBackups, type MasterKey, rewrapKeyStore } from "@tallystick/storage";
import { type ServerConfig, readConfig } from "./config.ts";
import { keyBackupFolders } from "./key-backup.ts";
import { layoutOf, logLayoutOf } from "./layout.ts";
import { masterKeyOf } from "./master-key.ts";

export interface RewrapInput {
  readonly dir: string;
  /** As it was, with the master key that the key stores are wrapped by; the folder's configuration has the new one. */
  readonly before: Pick<ServerConfig, "masterKey">;
}

export interface RewrappedKeyStore {
  /** The log's. */
  readonly name: string;
  /** False where it was wrapped by the new master key already. */
  readonly changed: boolean;
  readonly epoch: number;
}

/**
 * Wraps every key store of a server that does not run by the master key of its present configuration, and makes a backup
 * of each, under a backup key that the new master key wraps. Interrupted, it is to be called again.
 *
 * @throws {StorageError} `storage-locked`: the server runs. `master-key-wrong`: neither of the two wraps a store.
 */
export async function rewrapKeyStores({ dir, before }: RewrapInput): Promise<readonly RewrappedKeyStore[]> {
  const config = await readConfig(layoutOf(dir).config);
  const [masterKey, next] = [await masterKeyOf(dir, before), await masterKeyOf(dir, config)];
  const rewrapped: RewrappedKeyStore[] = [];
  for (const log of config.logs) {
    const { keyStore: path } = logLayoutOf(dir, log.name);
    // One that is not there would be made anew.
    await access(path);
    rewrapped.push({ name: log.name, ...(await rewrapKeyStore({ path, masterKey, next })) });
    const folders = keyBackupFolders(dir, config, log);
    if (folders !== undefined) await new KeyBackups({ ...folders, path, origin: log.origin, masterKey: next }).run();
  }
  return rewrapped;
}

/** A name for a master key that may be public: of one in a file or a variable eight digits of a digest, else where it lies. */
export function masterKeyName(masterKey: MasterKey): string {
  if (!(masterKey instanceof Uint8Array)) return masterKey.describe();
  const bytes = Buffer.concat([Buffer.from("tallystick/master-key-name/v1\0"), masterKey]);
  return `key ${hash("sha256", bytes, "hex").slice(0, 8)}`;
}
