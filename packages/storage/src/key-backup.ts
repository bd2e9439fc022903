/**
 * Backups of a key store, under keys that are replaced weekly.
 *
 * A backup brings back what was erased since. So each is encrypted under a backup key, which the master key wraps and which
 * lives apart from the backups: once a newer backup is there under a newer key, the older key is destroyed, and all backups
 * under it are unreadable, wherever they were copied to.
 */
import { createHash, randomBytes } from "node:crypto";
import { type FileHandle, open } from "node:fs/promises";
import { join } from "node:path";
import { StorageError } from "./error.ts";
import { errorCodeOf, storageFailure } from "./failure.ts";
import { type FileSystem, nodeFileSystem } from "./file-system.ts";
import { readFileIfThere, syncFolder } from "./files.ts";
import { KeyBackupFile, type KeyBackupHeader, writeKeyBackup } from "./key-backup-file.ts";
import {
  type BackupKeyFile,
  type BackupKeys,
  listBackupKeys,
  makeBackupKey,
  namesIn,
  removeUnfinishedKeys,
  shredBackupKey,
  unwrapBackupKey,
} from "./key-backup-key.ts";
import { decodeEpoch, type KeyEpoch } from "./key-epoch.ts";
import { KEY_FILE_HEADER_BYTES, keyFileName, markFileName, markSlot } from "./key-file.ts";
import type { RandomSource } from "./key-wrap.ts";
import { type MasterKey, type MasterKeyProvider, masterKeyProvider } from "./master-key-provider.ts";
import { KeyedHash } from "./keyed-hash.ts";
import { SerialQueue } from "./serial-queue.ts";
import { readSlot, type Slot } from "./slot-file.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** No backup key is older than this while backups are written in time. */
export const BACKUP_KEY_LIFETIME_MS: number = 7 * DAY_MS;
/** By which a backup may seem to be made in the future; one that is more so was made while the clock was ahead. */
const CLOCK_TOLERANCE_MS = 600_000;
/** Backups under the present key that are kept. */
const KEPT_BACKUPS = 8;
/** Between the first backup and the next, where the first has no keys. */
const BEGINNING_MS = 60_000;
/** An epoch ends with each destruction of keys; one that ends while it is read is read again. */
const ATTEMPTS = 10;
const BACKUP_NAME = /^keys-\d{4}-[\dTZ.-]{1,32}\.backup$/;

export interface KeyBackupOptions {
  /** The folder of the key store. */
  readonly path: string;
  /** Whose keys these are; stands in every backup. */
  readonly origin: string;
  /** 32 bytes, or what wraps without giving its key away. */
  readonly masterKey: MasterKey;
  /** The folder for backups. May be copied to anywhere. */
  readonly target: string;
  /** The folder of the backup keys: apart from the backups, and copied to nowhere. */
  readonly keys: string;
  /** Between two backups, at most a week; 24 hours by default. */
  readonly intervalMs?: number;
  /** In ms since 1970. */
  readonly now?: () => number;
  /** Default: node:crypto's. */
  readonly random?: RandomSource;
  /** Default: the machine's. */
  readonly fileSystem?: FileSystem;
}

/** A backup as it lies in its folder. */
export interface KeyBackup extends Omit<KeyBackupHeader, "keyId"> {
  readonly path: string;
  /** Whether its key is still there. */
  readonly isReadable: boolean;
}

/**
 * The day, as YYYY-MM-DD, on which keys that are destroyed now or within the next day are in no readable backup any more.
 *
 * What holds them is under a backup key that exists by then, and that is destroyed a week after it was made.
 */
export function finalDay(now: number): string {
  return dayText(Math.floor((now + BACKUP_KEY_LIFETIME_MS) / DAY_MS) + 2);
}

function dayText(day: number): string {
  return new Date(day * DAY_MS).toISOString().slice(0, 10);
}

/** Writes backups of one key store, which may be open meanwhile. One instance for a folder. */
export class KeyBackups {
  readonly #options: Required<KeyBackupOptions> & { readonly masterKey: MasterKeyProvider };
  readonly #runs = new SerialQueue();

  constructor(options: KeyBackupOptions) {
    const filled = { intervalMs: DAY_MS, now: Date.now, random: randomBytes, fileSystem: nodeFileSystem, ...options };
    const { intervalMs } = filled;
    if (!Number.isSafeInteger(intervalMs) || intervalMs < 1 || intervalMs > BACKUP_KEY_LIFETIME_MS)
      throw new RangeError(`intervalMs: expected 1 to ${BACKUP_KEY_LIFETIME_MS}, got ${intervalMs}`);
    // Copied: whoever gave it may overwrite theirs.
    const masterKey = filled.masterKey instanceof Uint8Array ? filled.masterKey.slice() : filled.masterKey;
    this.#options = { ...filled, masterKey: masterKeyProvider(masterKey, filled.random) };
  }

  /** When the next backup is due, in ms since 1970: an interval after the newest that can be read, else at once. */
  async dueAt(): Promise<number> {
    const { keys, intervalMs } = this.#options;
    const found = await listBackupKeys(keys);
    // What an interrupted run left is not put off for a day.
    if (found.whole.length + found.damaged.length !== 1) return 0;
    const newest = await this.newest();
    // One of the future would put off all others until then, and be taken for the newest.
    if (newest === undefined || this.#isOfFuture(newest.time)) return 0;
    // One without any key is of a log that just began: without its secrets nothing of it could be read.
    return newest.time + (newest.count === 0 ? Math.min(intervalMs, BEGINNING_MS) : intervalMs);
  }

  /** The newest backup that can be read. */
  async newest(): Promise<KeyBackup | undefined> {
    return (await listKeyBackups(this.#options)).find(({ isReadable }) => isReadable);
  }

  /**
   * Writes a backup, under a new key where it is time for one, reads it back, and only then destroys older backup keys
   * and removes the backups that were under them. Dying at any step, and failing at any, leaves a readable backup if there
   * was one; the next run completes what was left.
   *
   * @throws {StorageError} `key-store-corrupt`: the key store is not what was written, no backup is replaced by it.
   * `master-key-wrong`, `storage-unavailable`, `storage-full`
   */
  async run(): Promise<KeyBackup> {
    return this.#runs.run(async () => {
      try {
        return await this.#run();
      } catch (cause) {
        throw storageFailure("could not write a backup of the key store", cause);
      }
    });
  }

  async #run(): Promise<KeyBackup> {
    const { target, keys, fileSystem } = this.#options;
    for (const folder of [target, keys]) await fileSystem.makeFolder(folder, 0o700);
    const found = await listBackupKeys(keys);
    // First: with a wrong master key nothing is made.
    const store = await openRows(this.#options);
    try {
      const { file, key } = await this.#currentKey(found);
      const backup = await this.#write(store, file, key).finally(() => key.fill(0));
      // From here on the new backup can be read, so the others need not be.
      const others = found.whole.filter(({ path }) => path !== file.path);
      for (const old of [...others, ...found.damaged]) await shredBackupKey(old, fileSystem);
      await removeUnfinishedKeys(keys, fileSystem);
      await this.#removeBackups();
      return backup;
    } finally {
      wipeEpoch(store.epoch);
      await store.rows.close();
    }
  }

  /** The newest backup key; or a new one where there is none, or it would be too old before the next backup. */
  async #currentKey({ whole, damaged }: BackupKeys): Promise<UsableKey> {
    const { keys: folder, intervalMs, now: clock, masterKey, random, fileSystem } = this.#options;
    const now = clock();
    const newest = whole.at(-1);
    // One made in the future would live too long: the clock was put back. So would the backups from then.
    const age = newest === undefined ? Infinity : Math.abs(now - newest.madeAt);
    const isOfFuture = this.#isOfFuture((await this.newest())?.time ?? 0);
    if (newest !== undefined && !isOfFuture && age + intervalMs <= BACKUP_KEY_LIFETIME_MS) {
      const key = await unwrapIfOurs(newest, masterKey);
      if (key !== undefined) return { file: newest, key };
    }
    const number = Math.max(0, ...[...whole, ...damaged].map((key) => key.number)) + 1;
    const file = await makeBackupKey({ folder, number, now, masterKey, random, fileSystem });
    return { file, key: await unwrapBackupKey(file, masterKey) };
  }

  #isOfFuture(time: number): boolean {
    return time > this.#options.now() + CLOCK_TOLERANCE_MS;
  }

  async #write({ epoch, rows, mark }: OpenRows, file: BackupKeyFile, key: Uint8Array): Promise<KeyBackup> {
    const { target, origin, now, random, fileSystem } = this.#options;
    const time = now();
    const { number: keyNumber, id: keyId } = file;
    const header = { origin, time, keyNumber, keyId, epoch: epoch.number, count: mark.number };
    const path = join(target, `keys-${new Date(time).toISOString().replaceAll(":", "-")}.backup`);
    await writeKeyBackup({ path, header, key, epoch, rows, random, fileSystem });
    await checkBackup(path, key, mark).catch(async (cause: unknown) => {
      await fileSystem.unlink(path);
      throw cause;
    });
    return { path, ...publicPart(header), isReadable: true };
  }

  /** Removes backups of this key store that nobody can read, and the oldest of those that one can. */
  async #removeBackups(): Promise<void> {
    const { target, keys, origin, fileSystem } = this.#options;
    const ours = (await listKeyBackups({ target, keys })).filter((backup) => backup.origin === origin);
    const kept = ours.filter(({ isReadable }) => isReadable).slice(0, KEPT_BACKUPS);
    const unfinished = (await namesIn(target)).filter(
      (name) => name.endsWith(".next") && BACKUP_NAME.test(name.slice(0, -".next".length)),
    );
    const paths = ours.filter((backup) => !kept.includes(backup)).map(({ path }) => path);
    for (const path of [...paths, ...unfinished.map((name) => join(target, name))]) await fileSystem.unlink(path);
    if (paths.length + unfinished.length > 0) await syncFolder(target, fileSystem);
  }
}

/** The backups in a folder, the newest first; files that are no backups are passed over. */
export async function listKeyBackups({
  target,
  keys,
}: Pick<KeyBackupOptions, "target" | "keys">): Promise<readonly KeyBackup[]> {
  const { whole } = await listBackupKeys(keys);
  const backups: KeyBackup[] = [];
  for (const name of await namesIn(target)) {
    if (!BACKUP_NAME.test(name)) continue;
    const path = join(target, name);
    const header = await headerIn(path);
    if (header === undefined) continue;
    const isReadable = whole.some(({ id }) => Buffer.compare(id, header.keyId) === 0);
    backups.push({ path, ...publicPart(header), isReadable });
  }
  return backups.toSorted((a, b) => b.time - a.time);
}

/** `undefined` for what is not a whole backup. */
async function headerIn(path: string): Promise<KeyBackupHeader | undefined> {
  try {
    const file = await KeyBackupFile.open(path);
    await file.close();
    return file.header;
  } catch (cause) {
    if (cause instanceof StorageError && cause.code === "key-backup-malformed") return undefined;
    throw cause;
  }
}

export function publicPart({ origin, time, keyNumber, epoch, count }: KeyBackupHeader): Omit<KeyBackupHeader, "keyId"> {
  return { origin, time, keyNumber, epoch, count };
}

interface UsableKey {
  readonly file: BackupKeyFile;
  readonly key: Uint8Array;
}

/** `undefined` where the master key was replaced since, so that the backup key has to be too. */
async function unwrapIfOurs(file: BackupKeyFile, masterKey: MasterKeyProvider): Promise<Uint8Array | undefined> {
  try {
    return await unwrapBackupKey(file, masterKey);
  } catch (cause) {
    if (cause instanceof StorageError && cause.code === "master-key-wrong") return undefined;
    throw cause;
  }
}

interface OpenRows {
  readonly epoch: KeyEpoch;
  readonly rows: FileHandle;
  /** How many rows are durable, and their digest. */
  readonly mark: Slot;
}

/** The rows of the present epoch as far as they are durable. What is appended later does not disturb. */
async function openRows({
  path,
  masterKey,
}: {
  readonly path: string;
  readonly masterKey: MasterKeyProvider;
}): Promise<OpenRows> {
  const epochPath = join(path, "epoch");
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const bytes = await readFileIfThere(epochPath);
    if (bytes === undefined) break;
    const epoch = await decodeEpoch(bytes, masterKey, epochPath);
    const rows = await open(join(path, keyFileName(epoch)), "r").catch((cause: unknown) => {
      if (errorCodeOf(cause) !== "ENOENT") throw cause;
      return undefined;
    });
    const marks = await readFileIfThere(join(path, markFileName(epoch)));
    const mark = marks && readSlot(marks);
    if (rows !== undefined && mark !== undefined) return { epoch, rows, mark };
    await rows?.close();
    wipeEpoch(epoch);
  }
  throw new StorageError("key-store-corrupt", `${path} has no whole epoch: it is no key store, or damaged`, {
    details: { path },
  });
}

/**
 * Reads a backup whole and compares its rows with the mark of the key store.
 *
 * @throws {StorageError} `key-store-corrupt`: the backup is as the key store is, and that is not what was written.
 */
async function checkBackup(path: string, key: Uint8Array, mark: Slot): Promise<void> {
  const file = await KeyBackupFile.open(path);
  try {
    const { epoch, rows } = await file.read(key);
    const digest = createHash("sha256");
    let skipped = 0;
    for await (const bytes of rows) {
      const header = Math.min(bytes.length, KEY_FILE_HEADER_BYTES - skipped);
      skipped += header;
      digest.update(bytes.subarray(header));
      bytes.fill(0);
    }
    const markKey = new KeyedHash(epoch.lookupKey);
    const expected = markSlot(markKey, epoch, file.header.count, digest);
    markKey.wipe();
    wipeEpoch(epoch);
    if (Buffer.compare(expected.digest, mark.digest) === 0) return;
    const message = `${path}: the keys in it are not those that the key store's mark speaks of: the key store is damaged. This backup is removed, older ones stay`;
    throw new StorageError("key-store-corrupt", message, { details: { path } });
  } finally {
    await file.close();
  }
}

export function wipeEpoch(epoch: KeyEpoch): void {
  epoch.key.fill(0);
  epoch.lookupKey.fill(0);
}
