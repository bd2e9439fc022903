/** Storage and key store of a log, on disk or in memory, that are opened again and again. */
import { join } from "node:path";
import { type FileSystem, type KeyStore, type LogStorage, openKeyStore, openLevelStorage } from "@tallystick/storage";
import { seed } from "../../packages/log/test/site.ts";

export interface Stores {
  readonly storage: LogStorage;
  readonly keyStore: KeyStore;
}

export async function openStores(folder: string, fileSystem: FileSystem): Promise<Stores> {
  const storage = await openLevelStorage({ path: join(folder, "data"), fileSystem });
  try {
    const path = join(folder, "keys");
    return { storage, keyStore: await openKeyStore({ path, masterKey: seed("master key"), fileSystem }) };
  } catch (error) {
    await storage.close();
    throw error;
  }
}

/** Stores in memory outlive what fails above them: closed and opened again, they are the same. */
export function lasting<T extends object>(store: T): T {
  return new Proxy(store, {
    get(target, name) {
      if (name === "close") return async () => undefined;
      const value: unknown = Reflect.get(target, name);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}
