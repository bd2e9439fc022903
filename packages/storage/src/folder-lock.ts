/** Folders for one process at a time. */
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { Level } from "level";
import { StorageError } from "./error.ts";
import { errorCodeOf, storageFailure } from "./failure.ts";

/** A folder held by this process. */
export interface FolderLock {
  /** Whether the one that had it before let it go by dying. */
  readonly wasAbandoned: boolean;
  /** Lets the folder go. Releasing twice is allowed. */
  release(): Promise<void>;
}

/**
 * Takes a folder for this process alone, until it is released or the process dies, however it dies.
 *
 * The lock is the kernel's: LevelDB's LOCK file, since Node itself offers no file locks. So a dead process needs no
 * clean-up, a process id that was given out anew does not matter, and two containers on one volume see each other. It does
 * not reach across machines that share a network file system. The file `holder` only says in words whose lock it is.
 *
 * @throws {StorageError} `storage-locked`: another process, or another instance in this one, holds it.
 */
export async function lockFolder(path: string): Promise<FolderLock> {
  const folder = join(path, "lock");
  const holderPath = join(folder, "holder");
  const lock = new Level(folder, { writeBufferSize: 65_536, cacheSize: 0 });
  try {
    await lock.open();
  } catch (cause) {
    throw lockFailure({ path, folder, holderPath }, cause);
  }
  const wasAbandoned = existsSync(holderPath);
  let isReleased = false;
  writeFileSync(holderPath, `process ${process.pid}`);
  return {
    wasAbandoned,
    async release() {
      // Before the lock: after it the file may be the next holder's.
      if (!isReleased) rmSync(holderPath, { force: true });
      isReleased = true;
      await lock.close();
    },
  };
}

const PATIENT_RETRIES = 100;
const PATIENT_RETRY_MS = 100;

/**
 * Runs `work` while this process alone has the folder: for changes that take milliseconds, whose holder lets it go.
 *
 * @throws {StorageError} `storage-locked`: somebody held it for all of ten seconds. Then nothing was done.
 */
export async function withFolderLocked<T>(path: string, work: () => Promise<T>): Promise<T> {
  const lock = await lockPatiently(path);
  try {
    return await work();
  } finally {
    await lock.release();
  }
}

async function lockPatiently(path: string): Promise<FolderLock> {
  for (let retry = 0; ; retry += 1) {
    try {
      return await lockFolder(path);
    } catch (cause) {
      if (!(cause instanceof StorageError) || cause.code !== "storage-locked" || retry === PATIENT_RETRIES) throw cause;
      await setTimeout(PATIENT_RETRY_MS);
    }
  }
}

function lockFailure(place: { path: string; folder: string; holderPath: string }, failure: unknown): StorageError {
  const cause = failure instanceof Error ? failure.cause : undefined;
  if (errorCodeOf(cause) === "LEVEL_LOCKED") {
    const message = `${place.path} is in use by ${holderOf(place.holderPath)}; stop it, or wait until it has ended`;
    return new StorageError("storage-locked", message, { details: { path: place.path }, cause });
  }
  const advice = `if ${place.folder} is damaged, make sure that no other process uses ${place.path} and delete it: it holds no data`;
  return storageFailure(`could not lock ${place.path} (${advice})`, failure);
}

function holderOf(path: string): string {
  try {
    return readFileSync(path, "utf8").slice(0, 64);
  } catch {
    return "another process";
  }
}
