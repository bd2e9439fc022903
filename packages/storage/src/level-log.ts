/**
 * LevelDB's own log of what it did, read for what it does not report otherwise.
 *
 * A damaged record in its write-ahead log makes LevelDB drop what it cannot read and open all the same. It then writes the
 * rest to a table and forgets the log: the next opening would show no trace. What it leaves is a line in its file LOG.
 */
import { createReadStream, existsSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { StorageError } from "./error.ts";

/** "(ignoring error) dropping 1234 bytes; Corruption: checksum mismatch" and its kin. */
const DAMAGE = /\bdropping \d+ bytes\b|\bignoring error\b|\bcorruption\b/i;

/**
 * Refuses a database whose last opening dropped something. Called before opening, for the process that died in between,
 * and after it.
 *
 * @throws {StorageError} `storage-corrupt`: quotes the line and says what to do.
 */
export async function assertNothingDropped(folder: string): Promise<void> {
  const path = join(folder, "LOG");
  const line = await findDamage(path);
  if (line === undefined) return;
  const message =
    `LevelDB dropped damaged data when it opened ${folder} (${line}), so acknowledged data may be missing; ` +
    `restore the folder from a backup, or copy it, delete ${path} in the copy, and run fsck on the copy: use it only if fsck finds nothing`;
  throw new StorageError("storage-corrupt", message, { details: { path, line } });
}

async function findDamage(path: string): Promise<string | undefined> {
  if (!existsSync(path)) return undefined;
  const lines = createInterface({ input: createReadStream(path, "latin1"), crlfDelay: Number.POSITIVE_INFINITY });
  try {
    for await (const line of lines) {
      if (DAMAGE.test(line)) return line.slice(0, 200);
    }
    return undefined;
  } finally {
    lines.close();
  }
}
