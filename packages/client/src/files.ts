/** Files that survive a crash: whole under their name, or not there. */
import { randomBytes } from "node:crypto";
import { type FileHandle, link, open, readFile, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";

/** Makes a rename or a new file in this folder durable. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** Makes a file with this text, for its owner alone. False, and nothing changed, where the name is taken. Where it throws, too. */
export async function createFile(path: string, text: string): Promise<boolean> {
  const beside = `${path}.${randomBytes(6).toString("hex")}`;
  const file = await open(beside, "wx", 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
    // A crash before this line leaves a file that nobody reads; after it, the whole one.
    await link(beside, path);
    await syncFolder(dirname(path));
    return true;
  } catch (error) {
    if (codeOf(error) === "EEXIST") return false;
    // The link may have landed all the same: nothing is left of what is said to have failed.
    if (await isAt(path, file).catch(() => false)) await rm(path, { force: true });
    throw error;
  } finally {
    await file.close();
    await rm(beside, { force: true });
  }
}

/** Whether this very file is under the name. */
export async function isAt(path: string, file: FileHandle): Promise<boolean> {
  const [{ dev, ino }, named] = await Promise.all([file.stat(), stat(path)]);
  return dev === named.dev && ino === named.ino;
}

/** The text of a file; `undefined` where there is none. */
export async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (codeOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

/** The system's code of an error, such as `ENOENT`. */
export function codeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}
