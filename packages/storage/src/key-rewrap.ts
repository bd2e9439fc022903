/** Changes the master key of a key store that no process has open. */
import { StorageError } from "./error.ts";
import { type KeyStoreOptions, openKeyStore } from "./file-key-store.ts";
import type { KeyStore } from "./key-store.ts";
import type { MasterKey } from "./master-key-provider.ts";

export interface RewrapOptions extends KeyStoreOptions {
  /** The master key from now on. */
  readonly next: MasterKey;
}

/**
 * Wraps a key store by another master key: from a file to a token, back, or from one file to another. Where a run before
 * was interrupted, and the store is wrapped by `next` already, nothing is left to do; so to call again is always right.
 *
 * Keep the old master key until this has resolved. Forget it then: it opens what older copies of the store hold.
 *
 * @returns whether it was changed now, and the number of the epoch.
 * @throws {StorageError} as {@link openKeyStore}; `master-key-wrong`: neither of the two wraps this store.
 */
export async function rewrapKeyStore({
  next,
  ...options
}: RewrapOptions): Promise<{ changed: boolean; epoch: number }> {
  const before = await openBefore(options);
  const keys = before ?? (await openKeyStore({ ...options, masterKey: next }));
  try {
    if (before !== undefined) await before.rotateMasterKey(next);
    return { changed: before !== undefined, epoch: keys.epoch };
  } finally {
    await keys.close();
  }
}

async function openBefore(options: KeyStoreOptions): Promise<KeyStore | undefined> {
  try {
    return await openKeyStore(options);
  } catch (cause) {
    if (cause instanceof StorageError && cause.code === "master-key-wrong") return undefined;
    throw cause;
  }
}
