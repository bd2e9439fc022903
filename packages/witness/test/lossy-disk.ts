/**
 * A disk that forgets what was not synced.
 *
 * Calls go to the machine's file system, and beside it the disk keeps what a loss of power would leave: the content of
 * each file as it was synced last, under the names that its folder had when the folder was synced last.
 */
import { constants, cpSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { type FileSystem, nodeFileSystem } from "@tallystick/storage";

interface Inode {
  visible: Uint8Array;
  durable: Uint8Array;
}

interface OpenFile {
  readonly path: string;
  readonly inode: Inode | undefined;
  readonly syncs: boolean;
}

export class LossyDisk implements FileSystem {
  readonly #dir: string;
  readonly #visible = new Map<string, Inode>();
  readonly #durable = new Map<string, Inode>();
  readonly #open = new Map<number, OpenFile>();
  /** How many more writing calls happen; then the machine is dead. */
  callsLeft: number = Number.POSITIVE_INFINITY;

  /** Takes up `dir` as it is, all of it durable. */
  constructor(dir: string) {
    this.#dir = dir;
    for (const path of filesBelow(dir)) {
      const bytes = new Uint8Array(readFileSync(path));
      this.#visible.set(path, { visible: bytes, durable: bytes });
    }
    for (const [path, inode] of this.#visible) this.#durable.set(path, inode);
  }

  async open(path: string, flags: string | number, mode?: number): Promise<number> {
    this.#call();
    const file = await nodeFileSystem.open(path, flags, mode);
    if (flags === "w") {
      const inode = this.#visible.get(path) ?? { visible: new Uint8Array(), durable: new Uint8Array() };
      inode.visible = new Uint8Array();
      this.#visible.set(path, inode);
    }
    const syncs = typeof flags === "number" && (flags & constants.O_DSYNC) !== 0;
    this.#open.set(file, { path, inode: this.#visible.get(path), syncs });
    return file;
  }

  async write(file: number, bytes: Uint8Array, position: number): Promise<void> {
    this.#call();
    await nodeFileSystem.write(file, bytes, position);
    const { inode, syncs } = this.#opened(file);
    if (inode === undefined) return;
    const size = Math.max(inode.visible.length, position + bytes.length);
    const visible = new Uint8Array(size);
    visible.set(inode.visible);
    visible.set(bytes, position);
    inode.visible = visible;
    if (syncs) inode.durable = visible;
  }

  async truncate(file: number, size: number): Promise<void> {
    this.#call();
    await nodeFileSystem.truncate(file, size);
    const { inode } = this.#opened(file);
    if (inode !== undefined) inode.visible = inode.visible.slice(0, size);
  }

  async sync(file: number): Promise<void> {
    this.#call();
    await nodeFileSystem.sync(file);
    const { path, inode } = this.#opened(file);
    if (inode === undefined) this.#syncFolder(path);
    else inode.durable = inode.visible;
  }

  async close(file: number): Promise<void> {
    this.#open.delete(file);
    await nodeFileSystem.close(file);
  }

  async link(existing: string, path: string): Promise<void> {
    this.#call();
    await nodeFileSystem.link(existing, path);
    const inode = this.#visible.get(existing);
    if (inode !== undefined) this.#visible.set(path, inode);
  }

  async rename(from: string, to: string): Promise<void> {
    this.#call();
    await nodeFileSystem.rename(from, to);
    const inode = this.#visible.get(from);
    if (inode !== undefined) this.#visible.set(to, inode);
    this.#visible.delete(from);
  }

  async unlink(path: string): Promise<void> {
    this.#call();
    await nodeFileSystem.unlink(path);
    this.#visible.delete(path);
  }

  async makeFolder(path: string, mode: number): Promise<void> {
    await nodeFileSystem.makeFolder(path, mode);
  }

  /** Writes into `target` what the folder would be after a loss of power now. */
  losePower(target: string): void {
    cpSync(this.#dir, target, { recursive: true, filter: (path) => !path.endsWith("/lock") });
    for (const path of filesBelow(target)) rmSync(path);
    for (const [path, { durable }] of this.#durable) {
      const copy = join(target, relative(this.#dir, path));
      mkdirSync(dirname(copy), { recursive: true });
      writeFileSync(copy, durable, { mode: 0o600 });
    }
  }

  #call(): void {
    if (this.callsLeft <= 0) throw Object.assign(new Error("EIO: the machine is dead"), { code: "EIO" });
    this.callsLeft -= 1;
  }

  #opened(file: number): OpenFile {
    const opened = this.#open.get(file);
    if (opened === undefined) throw new Error(`not open: ${file}`);
    return opened;
  }

  #syncFolder(folder: string): void {
    for (const path of this.#durable.keys()) {
      if (dirname(path) === folder && !this.#visible.has(path)) this.#durable.delete(path);
    }
    for (const [path, inode] of this.#visible) {
      if (dirname(path) === folder) this.#durable.set(path, inode);
    }
  }
}

/** Without the lock, which LevelDB writes itself. */
function filesBelow(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return entry.name === "lock" ? [] : filesBelow(path);
    return [path];
  });
}
