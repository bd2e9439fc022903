/** Puts a key store back from a backup: into a place where none is. */
import { createHash, randomBytes } from "node:crypto";
import { rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { StorageError } from "./error.ts";
import { storageFailure } from "./failure.ts";
import { type FileSystem, nodeFileSystem } from "./file-system.ts";
import { readFileIfThere, syncFolder, writeFileDurably } from "./files.ts";
import { openKeyStore } from "./file-key-store.ts";
import { publicPart, wipeEpoch } from "./key-backup.ts";
import { KeyBackupFile, type KeyBackupHeader } from "./key-backup-file.ts";
import { listBackupKeys, namesIn, unwrapBackupKey } from "./key-backup-key.ts";
import { encodeEpoch, type KeyEpoch } from "./key-epoch.ts";
import { KEY_FILE_HEADER_BYTES, keyFileName, markFileName, markSlot } from "./key-file.ts";
import type { RandomSource } from "./key-wrap.ts";
import { type MasterKey, masterKeyProvider } from "./master-key-provider.ts";
import { KeyedHash } from "./keyed-hash.ts";
import { SlotFile } from "./slot-file.ts";

/** Beside the files of a key store: that it was restored, until its log has noted so. */
const NOTE = "restored";

/** That a key store was restored, and its log does not know yet. */
export interface RestorationNote {
  /** When the backup was made, in ms since 1970. */
  readonly takenAt: number;
  /** The epoch that it had. */
  readonly epoch: number;
  /** Takes the note away: it is in the log, durably. */
  readonly noted: () => Promise<void>;
}

/** @throws {StorageError} `key-store-corrupt`: the note is not what was written. */
export async function readRestorationNote(path: string): Promise<RestorationNote | undefined> {
  const file = join(path, NOTE);
  const bytes = await readFileIfThere(file);
  if (bytes === undefined) return undefined;
  const found = /^\{"takenAt":(\d{1,15}),"epoch":(\d{1,15})\}\n$/.exec(Buffer.from(bytes).toString("latin1"));
  if (found === null) {
    const message = `${file} is damaged; restore the key store once more from its newest backup`;
    throw new StorageError("key-store-corrupt", message, { details: { path: file } });
  }
  return {
    takenAt: Number(found[1]),
    epoch: Number(found[2]),
    noted: async () => {
      await rm(file, { force: true });
      await syncFolder(path);
    },
  };
}

export interface RestoreKeyStoreOptions {
  /** The backup. */
  readonly from: string;
  /** The folder of the backup keys. */
  readonly keys: string;
  /** The folder of the key store: absent, or empty. */
  readonly path: string;
  readonly masterKey: MasterKey;
  /** Refuse the backup of another log's key store. */
  readonly origin?: string;
  /** Default: node:crypto's. */
  readonly random?: RandomSource;
  /** Default: the machine's. */
  readonly fileSystem?: FileSystem;
}

/**
 * Restores a key store as it was at the time of the backup, wrapped by the master key as it is now. The folder appears
 * whole, or not at all. Keys that were made since are not in it; keys that were destroyed since are.
 *
 * @throws {StorageError} `key-store-exists`: there is a key store; nothing is overwritten.
 * @throws {StorageError} `key-backup-unreadable`: the backup's key is gone, as it is after a week.
 * @throws {StorageError} `key-backup-malformed`: the file is damaged, or of another log.
 */
export async function restoreKeyStore(options: RestoreKeyStoreOptions): Promise<Omit<KeyBackupHeader, "keyId">> {
  const { path, masterKey, origin, random = randomBytes, fileSystem = nodeFileSystem } = options;
  await assertAbsent(path);
  const backup = await KeyBackupFile.open(options.from);
  try {
    const header = publicPart(backup.header);
    if (origin !== undefined && header.origin !== origin) {
      const message = `${backup.path} is of the log ${header.origin}, not of ${origin}; take one of this log`;
      throw new StorageError("key-backup-malformed", message, { details: { path: backup.path } });
    }
    const key = await keyOf(backup, options);
    const made = `${path}.restoring`;
    await rm(made, { recursive: true, force: true });
    await fileSystem.makeFolder(made, 0o700);
    await write({ backup, key, header, folder: made, masterKey, random, fileSystem });
    key.fill(0);
    // Checks every row against the mark, as a start does.
    await (await openKeyStore({ path: made, masterKey, fileSystem })).close();
    await fileSystem.rename(made, path);
    await syncFolder(dirname(path), fileSystem);
    return header;
  } catch (cause) {
    throw storageFailure(`could not restore the key store ${path}`, cause);
  } finally {
    await backup.close();
  }
}

async function assertAbsent(path: string): Promise<void> {
  if ((await namesIn(path)).length === 0) return;
  const message = `${path} holds something already, and nothing is overwritten; move it aside first`;
  throw new StorageError("key-store-exists", message, { details: { path } });
}

async function keyOf(
  { path, header }: KeyBackupFile,
  { keys, masterKey }: Pick<RestoreKeyStoreOptions, "keys" | "masterKey">,
): Promise<Uint8Array> {
  const found = (await listBackupKeys(keys)).whole.find(({ id }) => Buffer.compare(id, header.keyId) === 0);
  if (found !== undefined) return unwrapBackupKey(found, masterKeyProvider(masterKey));
  const message = `${path} is under backup key ${header.keyNumber}, which is not in ${keys}: such keys are destroyed within a week; take a newer backup`;
  throw new StorageError("key-backup-unreadable", message, { details: { path } });
}

interface WriteInput {
  readonly backup: KeyBackupFile;
  readonly header: Omit<KeyBackupHeader, "keyId">;
  readonly key: Uint8Array;
  readonly folder: string;
  readonly masterKey: MasterKey;
  readonly random: RandomSource;
  readonly fileSystem: FileSystem;
}

async function write({ backup, header, key, folder, masterKey, random, fileSystem }: WriteInput): Promise<void> {
  const { epoch, rows } = await backup.read(key);
  const digest = await writeRows(join(folder, keyFileName(epoch)), { rows, fileSystem });
  await writeMark({ folder, epoch, count: backup.header.count, digest, fileSystem });
  await writeFileDurably(join(folder, "epoch"), await encodeEpoch(epoch, masterKey, random), { fileSystem });
  const { time: takenAt, epoch: number } = header;
  const note = `${JSON.stringify({ takenAt, epoch: number })}\n`;
  await writeFileDurably(join(folder, NOTE), Buffer.from(note), { fileSystem });
  wipeEpoch(epoch);
}

/** Writes the file of rows; gives the digest over the rows. */
async function writeRows(
  path: string,
  { rows, fileSystem }: { readonly rows: AsyncIterable<Uint8Array>; readonly fileSystem: FileSystem },
): Promise<ReturnType<typeof createHash>> {
  const digest = createHash("sha256");
  const file = await fileSystem.open(path, "w", 0o600);
  try {
    let position = 0;
    for await (const bytes of rows) {
      digest.update(bytes.subarray(Math.min(bytes.length, Math.max(0, KEY_FILE_HEADER_BYTES - position))));
      await fileSystem.write(file, bytes, position);
      position += bytes.length;
    }
    await fileSystem.sync(file);
  } finally {
    await fileSystem.close(file);
  }
  return digest;
}

async function writeMark(input: {
  readonly folder: string;
  readonly epoch: KeyEpoch;
  readonly count: number;
  readonly digest: ReturnType<typeof createHash>;
  readonly fileSystem: FileSystem;
}): Promise<void> {
  const { folder, epoch, count, digest, fileSystem } = input;
  const markKey = new KeyedHash(epoch.lookupKey);
  await SlotFile.create(join(folder, markFileName(epoch)), markSlot(markKey, epoch, count, digest), fileSystem);
  markKey.wipe();
}
