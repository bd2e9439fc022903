/** A copy of a folder that is brought back to its first state again and again, at the cost of what has changed. */
import { copyFileSync, mkdirSync, readdirSync, rmSync, statSync, utimesSync } from "node:fs";
import { dirname, join, relative } from "node:path";

/** What the copies are dated: whatever is written later bears another time. */
const COPIED = new Date(0);

export class WorkingCopy {
  readonly dir: string;
  readonly #from: string;
  /** Its files, and what the copy of each is in the file system: one that was renamed to another is no copy of that. */
  readonly #inodes: Map<string, number | undefined>;

  constructor(from: string, dir: string) {
    this.dir = dir;
    this.#from = from;
    this.#inodes = new Map(filesIn(from).map((path) => [path, undefined]));
  }

  /** Copies what is missing or was written since, and removes what was not there. */
  restore(): void {
    mkdirSync(this.dir, { recursive: true });
    const missing = new Set(this.#inodes.keys());
    for (const path of filesIn(this.dir)) {
      const { mtimeMs, ino } = statSync(join(this.dir, path));
      if (mtimeMs === COPIED.getTime() && ino === this.#inodes.get(path)) missing.delete(path);
      else rmSync(join(this.dir, path));
    }
    for (const path of missing) this.#copy(path);
  }

  #copy(path: string): void {
    const file = join(this.dir, path);
    mkdirSync(dirname(file), { recursive: true });
    copyFileSync(join(this.#from, path), file);
    utimesSync(file, COPIED, COPIED);
    this.#inodes.set(path, statSync(file).ino);
  }
}

/** The files of a folder and of those in it, by their paths from there. */
export function filesIn(folder: string): readonly string[] {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
    .toSorted();
}
