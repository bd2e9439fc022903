/** Files that survive a crash, and secrets that only their owner can read. */
import { open, readFile, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { StorageError } from "./error.ts";
import { errorCodeOf, storageFailure } from "./failure.ts";
import { type FileSystem, nodeFileSystem } from "./file-system.ts";

export interface WriteOptions {
  /** Default 0o600. The process' umask applies. */
  readonly mode?: number;
  /** Default: the machine's. */
  readonly fileSystem?: FileSystem;
}

/** A file that was open for as long as it took. */
async function withFile<T>(
  fileSystem: FileSystem,
  [path, flags, mode]: readonly [path: string, flags: string | number, mode?: number],
  use: (file: number) => Promise<T>,
): Promise<T> {
  const file = await fileSystem.open(path, flags, mode);
  try {
    return await use(file);
  } finally {
    await fileSystem.close(file);
  }
}

/**
 * Replaces the content of `path` so that after a crash at any moment the file holds all of the old or all of the new.
 *
 * When it resolves, the new content is on disk. Writes `<path>.next` first: one writer per path.
 *
 * @throws {StorageError} `storage-unavailable`, `storage-full`: the old or the new content is there.
 */
export async function writeFileDurably(path: string, bytes: Uint8Array, options: WriteOptions = {}): Promise<void> {
  const { mode = 0o600, fileSystem = nodeFileSystem } = options;
  const next = `${path}.next`;
  try {
    await writeNewFile(fileSystem, { path: next, bytes, mode });
    await fileSystem.rename(next, path);
    await syncFolder(dirname(path), fileSystem);
  } catch (cause) {
    throw storageFailure(`could not write ${path}`, cause);
  }
}

/** Writes and syncs a file, but not the folder that names it. */
export async function writeNewFile(
  fileSystem: FileSystem,
  { path, bytes, mode }: { readonly path: string; readonly bytes: Uint8Array; readonly mode: number },
): Promise<void> {
  await withFile(fileSystem, [path, "w", mode], async (file) => {
    await fileSystem.write(file, bytes, 0);
    await fileSystem.sync(file);
  });
}

/**
 * Makes durable which files a folder holds: a file that was made, renamed or removed may otherwise come back after a
 * loss of power.
 */
export async function syncFolder(path: string, fileSystem: FileSystem = nodeFileSystem): Promise<void> {
  await withFile(fileSystem, [path, "r"], (file) => fileSystem.sync(file));
}

/**
 * Overwrites a file in place, syncs it and removes it.
 *
 * File systems and disks that write elsewhere instead (copy-on-write, snapshots, flash) may keep the old content.
 */
export async function shredFile(path: string, size: number, fileSystem: FileSystem = nodeFileSystem): Promise<void> {
  await withFile(fileSystem, [path, "r+"], async (file) => {
    await fileSystem.write(file, new Uint8Array(size), 0);
    await fileSystem.sync(file);
  });
  await fileSystem.unlink(path);
  await syncFolder(dirname(path), fileSystem);
}

/** The content of a file, or `undefined` where there is none. */
export async function readFileIfThere(path: string): Promise<Uint8Array | undefined> {
  try {
    return new Uint8Array(await readFile(path));
  } catch (cause) {
    if (errorCodeOf(cause) === "ENOENT") return undefined;
    throw storageFailure(`could not read ${path}`, cause);
  }
}

/** Changes whenever the file is replaced, written or removed. */
export async function fileVersion(path: string): Promise<string> {
  try {
    const { ino, size, mtimeNs } = await stat(path, { bigint: true });
    return `${ino} ${size} ${mtimeNs}`;
  } catch {
    return "absent";
  }
}

/** Files with secrets are keys and tokens; what is longer was named by mistake. */
const SECRET_FILE_BYTES_MAX = 65_536;

/**
 * Reads a file that holds a secret, provided that nobody but its owner may read or write it.
 *
 * @throws {StorageError} `secret-file-exposed`: its mode gives group or others rights; the message says what to run.
 * @throws {StorageError} `storage-unavailable`: it is not there or cannot be read.
 * @throws {RangeError} it is longer than 64 KiB.
 */
export async function readSecretFile(path: string): Promise<Uint8Array> {
  const file = await open(path, "r").catch((cause: unknown) => {
    throw storageFailure(`could not read ${path}`, cause);
  });
  try {
    // Of the open file, not of the path: what is checked is what is read.
    const { mode, size } = await file.stat();
    if (process.platform !== "win32" && (mode & 0o077) !== 0) throw exposed(path, mode);
    if (size > SECRET_FILE_BYTES_MAX)
      throw new RangeError(`${path}: expected at most ${SECRET_FILE_BYTES_MAX} bytes, got ${size}`);
    return new Uint8Array(await file.readFile());
  } finally {
    await file.close();
  }
}

function exposed(path: string, mode: number): StorageError {
  const octal = (mode & 0o777).toString(8).padStart(3, "0");
  const message = `${path} holds a secret and has mode ${octal}, so that others than its owner may use it; run: chmod 600 ${path}`;
  return new StorageError("secret-file-exposed", message, { details: { path, mode: octal } });
}
