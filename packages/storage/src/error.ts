/** What can go wrong below a log: one class, one code per kind of failure. */
import { TallystickError } from "@tallystick/core";

/**
 * - `storage-unavailable`: a write or sync failed, or the store is closed. What was asked may or may not have happened.
 *   Every later operation fails alike until the store is opened again; opening finds out what is there.
 * - `storage-full`: the same, because the disk is full. Make room, then open again.
 * - `storage-corrupt`: what was read is not what was written. Retrying does not help.
 * - `storage-rolled-back`: the parts of the store are of different ages, so that acknowledged data may be missing.
 * - `storage-locked`: another process has the folder open.
 * - `head-conflict`: the head was not at the expected version; nothing of the commit was applied.
 * - `key-store-corrupt`, `key-store-rolled-back`: as above, for the key store.
 * - `key-store-exists`: a key store stands where one was to be restored; nothing is ever overwritten.
 * - `key-backup-malformed`: the file is not a whole backup of a key store.
 * - `key-backup-unreadable`: the key of this backup was destroyed, or is not in the folder of backup keys.
 * - `master-key-wrong`: the key store is not wrapped by this master key.
 * - `master-key-unavailable`: the token or service that holds the master key cannot be used now; nothing was changed.
 * - `master-key-malformed`: the file or the variable does not hold a key.
 * - `secret-file-exposed`: a file that holds a secret can be read by others than its owner.
 * - `tls-unusable`: a certificate, its key or a client CA is not what a listener needs.
 */
export type StorageErrorCode =
  | "storage-unavailable"
  | "storage-full"
  | "storage-corrupt"
  | "storage-rolled-back"
  | "storage-locked"
  | "head-conflict"
  | "key-store-corrupt"
  | "key-store-rolled-back"
  | "key-store-exists"
  | "key-backup-malformed"
  | "key-backup-unreadable"
  | "master-key-wrong"
  | "master-key-unavailable"
  | "master-key-malformed"
  | "secret-file-exposed"
  | "tls-unusable";

/**
 * A failed storage operation. The message says what to do next; no message, detail or cause holds a key.
 *
 * Only `storage-locked` can be retried as it is. After `storage-unavailable` and `storage-full` open the store again.
 */
export class StorageError extends TallystickError<StorageErrorCode> {
  override readonly name = "StorageError";
}
