/**
 * The key store port: the keys that make events readable, apart from all data, so that destroying one erases.
 *
 * Leaves, tree and receipts need none of them. Whoever copies the data folder copies no key.
 */
import type { MasterKey } from "./master-key-provider.ts";

/**
 * - `class-day`: named by class and day, seals what was logged on that day.
 * - `person`: named by the id of the person.
 * - `tenant`: named by the id of the tenant.
 * - `secret`: the log's own, named by its use.
 */
export type KeyKind = "class-day" | "person" | "tenant" | "secret";

/** `pending`: created, but not yet durable. `destroyed`: there was a key, and it is gone for good. */
export type KeyState = "absent" | "pending" | "live" | "destroyed";

/** Names one key. */
export interface KeyName {
  readonly kind: KeyKind;
  readonly name: string;
}

/**
 * Named keys of 32 random bytes each.
 *
 * **Durability.** A created key is durable once a `sync` that began after its creation has resolved. Nothing that was
 * made with a key may be acknowledged before. A key that was not durable when the process died is gone, and the name free.
 *
 * **Concurrency.** One process at a time. `get`, `getOrCreate` and `state` are synchronous and may be called while a
 * `sync` or a `destroy` is under way.
 *
 * **Failures.** After a failed write every later call throws `storage-unavailable` (or `storage-full`) until the key store
 * is opened again. No error holds a key or a name of a person.
 */
export interface KeyStore {
  /** Counts from 1, and grows with every destruction of a key and every change of the master key. */
  readonly epoch: number;

  /**
   * The key, 32 bytes that the caller neither changes nor keeps longer than needed; `undefined` where there is none.
   *
   * @throws {StorageError} `key-store-corrupt`: the stored key does not unwrap.
   */
  get(kind: KeyKind, name: string): Uint8Array | undefined;

  /** The key, or where there is none, or it was destroyed, a new one, pending until {@link KeyStore.sync}. */
  getOrCreate(kind: KeyKind, name: string): Uint8Array;

  /** Makes all pending keys durable. Calls under way together share one write. */
  sync(): Promise<void>;

  /** Whether there is a key. After a destruction `destroyed` until a new key is created under the name. */
  state(kind: KeyKind, name: string): KeyState;

  /**
   * Moves a live key to another name of its kind, durable when it resolves: from then on `from` is `destroyed`, and
   * `getOrCreate` gives a fresh key under it, while `to` keeps the old one until it is destroyed. Where `from` has no live
   * key, nothing is done. So after a failure, or a crash that moved the key or not, or left it under both names, to call
   * again is right.
   *
   * While it is under way, `getOrCreate` may still give the old key under `from`.
   *
   * @throws {RangeError} the kinds differ, or the names are one, or `to` has another live key, which would be lost.
   */
  retire(from: KeyName, to: KeyName): Promise<void>;

  /**
   * Destroys keys for good: writes the store whole, without them, under a fresh epoch key, and destroys the old one, so
   * that copies of the old store are unreadable too. Durable when it resolves; after a crash the store is the old or the
   * new one, and to call again is right. Names without a key are passed over.
   *
   * A master key that cannot be used fails with `master-key-unavailable`: nothing was changed, and the store is usable.
   *
   * What keeps the old epoch key alive is a backup of the `epoch` file together with the master key: see the guide on
   * backups for the day from which an erasure is final.
   *
   * @returns for every name the fingerprint of its key (SHA-256("tallystick/key/v1" 0x00 key)), also where it had been
   * destroyed before and no new key was created since; `undefined` where there never was one.
   */
  destroy(names: readonly KeyName[]): Promise<(Uint8Array | undefined)[]>;

  /**
   * Wraps the store by another master key: writes it whole under a fresh epoch key, so that the old master key opens no
   * copy of what is written from now on. No event is touched. Durable when it resolves; after a crash the store is wrapped
   * by the old master key or by the new one: see `rewrapKeyStore`. The old one still opens older copies of the store.
   *
   * @throws {StorageError} `master-key-unavailable`: the next master key cannot be used; nothing was changed.
   */
  rotateMasterKey(next: MasterKey): Promise<void>;

  /** Syncs what is pending and closes. Later calls throw `storage-unavailable`. Closing twice is allowed. */
  close(): Promise<void>;
}
