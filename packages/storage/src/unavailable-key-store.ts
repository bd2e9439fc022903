/** A key store that could not be opened, for a log that serves its heads and proofs all the same. */
import type { StorageError } from "./error.ts";
import type { KeyStore } from "./key-store.ts";

/** Every call fails with `error`, which says why there are no keys. Only closing does not: nothing is open. */
export function createUnavailableKeyStore(error: StorageError): KeyStore {
  const refuse = (): never => {
    throw error;
  };
  const reject = async (): Promise<never> => refuse();
  return {
    get epoch(): number {
      return refuse();
    },
    get: refuse,
    getOrCreate: refuse,
    state: refuse,
    sync: reject,
    retire: reject,
    destroy: reject,
    rotateMasterKey: reject,
    close: async () => undefined,
  };
}
