/** Storage ports of a Tallystick log, their contract suite, the key store and the LevelDB driver. */
export { StorageError, type StorageErrorCode } from "./error.ts";
export { type ExposedPath, findExposed, type GuardedPath } from "./exposed-files.ts";
export { type FileSystem, nodeFileSystem } from "./file-system.ts";
export { fileVersion, readSecretFile, shredFile, syncFolder, writeFileDurably, type WriteOptions } from "./files.ts";
export { type FolderLock, lockFolder, withFolderLocked } from "./folder-lock.ts";
export { type KeyStoreOptions, openKeyStore } from "./file-key-store.ts";
export { indexKey, parseIndexKey } from "./index-key.ts";
export {
  BACKUP_KEY_LIFETIME_MS,
  finalDay,
  type KeyBackup,
  type KeyBackupOptions,
  KeyBackups,
  listKeyBackups,
} from "./key-backup.ts";
export {
  readRestorationNote,
  type RestorationNote,
  type RestoreKeyStoreOptions,
  restoreKeyStore,
} from "./key-restore.ts";
export { type RewrapOptions, rewrapKeyStore } from "./key-rewrap.ts";
export type { KeyKind, KeyName, KeyState, KeyStore } from "./key-store.ts";
export type { RandomSource } from "./key-wrap.ts";
export { type ScrubOptions, scrubTables, type TableDefect } from "./level-scrub.ts";
export { type LevelStorageOptions, openLevelStorage, type StorageLogger } from "./level-storage.ts";
export {
  type CreateMasterKeyOptions,
  createMasterKeyFile,
  loadMasterKey,
  MASTER_KEY_VARIABLE,
  type MasterKeySource,
} from "./master-key.ts";
export { type MasterKey, type MasterKeyProvider, masterKeyProvider } from "./master-key-provider.ts";
export { createMemoryKeyStore, type MemoryKeyStoreOptions } from "./memory-key-store.ts";
export { createMemoryStorage } from "./memory-storage.ts";
export type {
  Blob,
  Commit,
  DamageOptions,
  HeadName,
  LogStorage,
  Row,
  Run,
  ScanRange,
  StorageDamage,
  StoredRow,
  VersionedHead,
} from "./storage.ts";
export { createUnavailableKeyStore } from "./unavailable-key-store.ts";
export { TlsFiles, type TlsFilesOptions, type TlsPaths } from "./tls-files.ts";
