/**
 * A disk and its file system. What is written can be seen at once and lasts when it is synced: the data of a file by its
 * own sync, a name by the sync of its folder.
 *
 * When the power goes, of each file's unsynced writes any may have landed, whole or torn; of each folder's unsynced
 * changes of names the first few have. A sector of 512 bytes lands whole or not at all. Folders themselves last from the moment they are made.
 */
import { dirname } from "node:path";
import type { Random } from "./random.ts";
import { type World, currentLife } from "./world.ts";
import type { Life } from "./host.ts";

/** The data of a file, under however many names. */
export interface Inode {
  data: Uint8Array;
  durable: Uint8Array;
  unsynced: Change[];
  mode: number;
  modifiedMs: number;
}

type Change =
  | { readonly kind: "write"; readonly position: number; readonly bytes: Uint8Array }
  | { readonly kind: "truncate"; readonly size: number };

/** What one call does to names: all of it or nothing lands. */
interface NameChange {
  readonly path: string;
  /** `undefined`: the name goes. */
  readonly inode: Inode | undefined;
  /** The name that it had before. */
  readonly from?: string;
}

export interface OpenFile {
  readonly path: string;
  /** `undefined` for a folder. */
  readonly inode: Inode | undefined;
  /** Whether each write is synced (O_DSYNC). */
  readonly syncs: boolean;
}

export interface OpenMode {
  readonly creates: boolean;
  readonly exclusive: boolean;
  readonly truncates: boolean;
  readonly syncs: boolean;
}

interface Operation {
  readonly life: Life;
  /** What it does; for a write in part, should the machine end in the midst of it. */
  readonly land: (part: number) => unknown;
  readonly isWrite: boolean;
}

const SECTOR_BYTES = 512;
const SYNC_MS = 1;
const CALL_MS = 0.05;

/** Descriptors are never used twice. */
let descriptors = 100;

export class Disk {
  readonly #world: World;
  readonly #random: Random;
  readonly #names = new Map<string, Inode>();
  readonly #durableNames = new Map<string, Inode>();
  readonly #nameChanges = new Map<string, NameChange[]>();
  readonly #folders = new Set<string>(["/"]);
  readonly #open = new Map<number, OpenFile>();
  readonly #underWay = new Set<Operation>();
  /** Folders that a life holds, by path. */
  readonly #locks = new Map<string, Life>();
  /** How likely a writing call fails. */
  errorRate = 0;
  /** Calls that failed in this life of the host. */
  errors = 0;
  /** How many times slower than usual it is. */
  slowness = 1;
  /** It says that it synced, and did not: a loss of power brings back what was there before. No program survives that
   *  unharmed: it is there to see whether the harm is noticed. */
  isLying = false;

  constructor(world: World, name: string) {
    this.#world = world;
    this.#random = world.random(`disk ${name}`);
  }

  get operations(): number {
    return this.#underWay.size;
  }

  /** Does something after as long as a disk takes for it. Writing calls may fail, before or after they took effect. */
  async call<T>(kind: "read" | "write" | "sync", land: (part: number) => T): Promise<T> {
    const life = currentLife();
    const operation: Operation = { life, land, isWrite: kind !== "read" };
    const delayMs = this.#random.wait(kind === "sync" ? SYNC_MS : CALL_MS) * this.slowness;
    const fault = kind === "read" ? "" : this.#fault();
    this.#underWay.add(operation);
    return new Promise<T>((resolve, reject) => {
      const happen = (): void => {
        this.#underWay.delete(operation);
        try {
          resolve(this.#landed(fault, () => land(1)));
        } catch (error) {
          reject(error);
        }
      };
      this.#world.schedule(delayMs, happen, { owner: life, what: `disk ${kind}` });
    });
  }

  /** A call that everything waits for: nothing happens meanwhile. It may fail as others do. */
  callNow(land: () => void): void {
    this.#landed(this.#fault(), land);
  }

  /** Whether the next writing call fails, and when. */
  #fault(): "before" | "after" | "" {
    return this.#random.chance(this.errorRate) ? this.#random.pick(["before", "after"] as const) : "";
  }

  #landed<T>(fault: "before" | "after" | "", land: () => T): T {
    if (fault !== "") this.#countError();
    if (fault === "before") throw failure("EIO", "the disk failed");
    const value = land();
    if (fault === "after") throw failure("EIO", "the disk failed");
    return value;
  }

  #countError(): void {
    this.errors += 1;
    this.#world.count("disk error");
  }

  /** The program is gone: what it had asked for is done or not. */
  kill(): void {
    for (const { land, isWrite } of this.#underWay) {
      if (!isWrite || this.#random.chance(0.5)) continue;
      try {
        land(this.#random.chance(0.5) ? 1 : this.#random.unit());
      } catch {
        // Nobody is told.
      }
    }
    this.errors = 0;
    this.#underWay.clear();
    this.#open.clear();
    this.#locks.clear();
  }

  losePower(): void {
    const inodes = new Set([...this.#names.values(), ...this.#durableNames.values()]);
    for (const { inode } of this.#open.values()) if (inode !== undefined) inodes.add(inode);
    this.kill();
    for (const inode of inodes) this.#settle(inode);
    for (const changes of this.#nameChanges.values()) {
      const landed = changes.slice(0, this.isLying ? 0 : this.#random.below(changes.length + 1));
      if (landed.length < changes.length) this.#world.count("unsynced name lost");
      for (const change of landed) applyName(this.#durableNames, change);
    }
    this.#nameChanges.clear();
    this.#names.clear();
    for (const [path, inode] of this.#durableNames) this.#names.set(path, inode);
  }

  #settle(inode: Inode): void {
    inode.data = inode.durable;
    for (const change of this.isLying ? [] : inode.unsynced) {
      const lot = this.#random.unit();
      if (lot < 0.35) this.#world.count("unsynced write lost");
      else if (lot < 0.8 || change.kind === "truncate") inode.data = changed(inode.data, change, 1);
      else {
        this.#world.count("write torn");
        inode.data = changed(inode.data, change, this.#random.unit());
      }
    }
    inode.unsynced = [];
    inode.durable = inode.data;
  }

  exists(path: string): boolean {
    return this.#names.has(path) || this.#folders.has(path);
  }

  isFolder(path: string): boolean {
    return this.#folders.has(path);
  }

  makeFolder(path: string): void {
    for (let each = path; each !== "/"; each = dirname(each)) this.#folders.add(each);
  }

  /** The names in a folder. */
  list(folder: string): string[] {
    this.assertFolder(folder);
    const paths = [...this.#names.keys(), ...this.#folders].filter((path) => path !== "/" && dirname(path) === folder);
    return paths.map((path) => path.slice(path.lastIndexOf("/") + 1)).toSorted();
  }

  inode(path: string): Inode {
    const inode = this.#names.get(path);
    if (inode === undefined) throw failure("ENOENT", `no such file: ${path}`);
    return inode;
  }

  assertFolder(path: string): void {
    if (!this.#folders.has(path)) throw failure("ENOENT", `no such folder: ${path}`);
  }

  openFile(path: string, mode: OpenMode, permissions: number): number {
    descriptors += 1;
    if (this.#folders.has(path)) {
      this.#open.set(descriptors, { path, inode: undefined, syncs: false });
      return descriptors;
    }
    const known = this.#names.get(path);
    if (known !== undefined && mode.exclusive) throw failure("EEXIST", `it exists: ${path}`);
    const inode = known ?? this.#create(path, mode, permissions);
    if (mode.truncates && inode.data.length > 0) this.#change(inode, { kind: "truncate", size: 0 });
    this.#open.set(descriptors, { path, inode, syncs: mode.syncs });
    return descriptors;
  }

  #create(path: string, { creates }: OpenMode, mode: number): Inode {
    if (!creates) throw failure("ENOENT", `no such file: ${path}`);
    this.assertFolder(dirname(path));
    const empty = new Uint8Array();
    const inode = { data: empty, durable: empty, unsynced: [], mode, modifiedMs: currentWallMs(this.#world) };
    this.#rename({ path, inode });
    return inode;
  }

  opened(file: number): OpenFile {
    const opened = this.#open.get(file);
    if (opened === undefined) throw failure("EBADF", "the file is not open");
    return opened;
  }

  openedInode(file: number): Inode {
    const { inode, path } = this.opened(file);
    if (inode === undefined) throw failure("EISDIR", `a folder: ${path}`);
    return inode;
  }

  closeFile(file: number): void {
    this.opened(file);
    this.#open.delete(file);
  }

  write(file: number, bytes: Uint8Array, position: number): void {
    const { syncs } = this.opened(file);
    const inode = this.openedInode(file);
    this.#change(inode, { kind: "write", position, bytes: bytes.slice() });
    if (syncs) this.syncFile(inode);
  }

  truncate(file: number, size: number): void {
    this.#change(this.openedInode(file), { kind: "truncate", size });
  }

  sync(file: number): void {
    const { inode, path } = this.opened(file);
    if (inode === undefined) this.#syncFolder(path);
    else this.syncFile(inode);
  }

  syncFile(inode: Inode): void {
    if (this.isLying) return;
    inode.durable = inode.data;
    inode.unsynced = [];
  }

  #syncFolder(path: string): void {
    if (this.isLying) return;
    for (const change of this.#nameChanges.get(path) ?? []) applyName(this.#durableNames, change);
    this.#nameChanges.delete(path);
  }

  link(existing: string, path: string): void {
    if (this.exists(path)) throw failure("EEXIST", `it exists: ${path}`);
    this.#rename({ path, inode: this.inode(existing) });
  }

  rename(from: string, to: string): void {
    const inode = this.inode(from);
    this.#rename({ path: to, inode, from });
  }

  unlink(path: string): void {
    this.inode(path);
    this.#rename({ path, inode: undefined });
  }

  /** Takes a folder for a life. @returns false where another one has it. */
  lock(path: string, life: Life): boolean {
    if (this.#locks.has(path)) return false;
    this.#locks.set(path, life);
    return true;
  }

  unlock(path: string): void {
    this.#locks.delete(path);
  }

  #rename(change: NameChange): void {
    applyName(this.#names, change);
    const folder = dirname(change.path);
    const changes = this.#nameChanges.get(folder) ?? [];
    changes.push(change);
    this.#nameChanges.set(folder, changes);
  }

  #change(inode: Inode, change: Change): void {
    inode.data = changed(inode.data, change, 1);
    inode.unsynced.push(change);
    inode.modifiedMs = currentWallMs(this.#world);
  }
}

function currentWallMs(world: World): number {
  return world.life?.host.wallMs() ?? 0;
}

function applyName(names: Map<string, Inode>, { path, inode, from }: NameChange): void {
  if (from !== undefined) names.delete(from);
  if (inode === undefined) names.delete(path);
  else names.set(path, inode);
}

function changed(data: Uint8Array, change: Change, part: number): Uint8Array {
  if (change.kind === "truncate") {
    const cut = new Uint8Array(change.size);
    cut.set(data.subarray(0, change.size));
    return cut;
  }
  const bytes = landedPart(change.bytes, change.position, part);
  const grown = new Uint8Array(Math.max(data.length, change.position + bytes.length));
  grown.set(data);
  grown.set(bytes, change.position);
  return grown;
}

/** What a write leaves that ends in its midst: whole sectors, since a sector is written at once or not at all. */
export function landedPart(bytes: Uint8Array, position: number, part: number): Uint8Array {
  if (part === 1) return bytes;
  const end = Math.floor((position + part * bytes.length) / SECTOR_BYTES) * SECTOR_BYTES;
  return bytes.subarray(0, Math.max(0, end - position));
}

/** An error as the system gives it. */
export function failure(code: string, message: string): Error {
  return Object.assign(new Error(`${code}: ${message}`), { code, syscall: "simulated" });
}
