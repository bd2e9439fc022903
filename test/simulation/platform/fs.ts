/** In place of `node:fs`: the disk of the host whose code is running. Calls with a callback only as promisify() makes them. */
import { promisify } from "node:util";
import { type Disk, failure, landedPart } from "../engine/disk.ts";
import { currentLife } from "../engine/world.ts";
import { openModeOf } from "./open-mode.ts";

export * from "node:fs";

const PERMISSIONS = 0o666;

function disk(): Disk {
  return currentLife().host.disk;
}

/** A function that is only ever promisified. */
function promised<A extends readonly unknown[], T>(run: (...args: A) => Promise<T>): (...args: A) => void {
  const callback = (): never => {
    throw new TypeError("the simulated file system takes no callbacks");
  };
  return Object.assign(callback, { [promisify.custom]: run });
}

type Promised<A extends readonly unknown[]> = (...args: A) => void;

export const open: Promised<[path: string, flags: string | number, mode?: number]> = promised(
  async (path, flags, mode = PERMISSIONS) => {
    const there = disk();
    return there.call("write", () => there.openFile(path, openModeOf(flags), mode));
  },
);

export const write: Promised<[file: number, bytes: Uint8Array, offset: number, length: number, position: number]> =
  promised(async (file, bytes, offset, length, position) => {
    const { syncs } = disk().opened(file);
    const there = disk();
    const part = bytes.slice(offset, offset + length);
    await there.call(syncs ? "sync" : "write", (whole) =>
      there.write(file, landedPart(part, position, whole), position),
    );
    return { bytesWritten: length, buffer: bytes };
  });

export function writeSync(file: number, bytes: Uint8Array, offset: number, length: number, position: number): number {
  const there = disk();
  there.callNow(() => there.write(file, bytes.slice(offset, offset + length), position));
  return length;
}

export const ftruncate: Promised<[file: number, size: number]> = promised(async (file, size) => {
  const there = disk();
  await there.call("write", () => there.truncate(file, size));
});

export const fsync: Promised<[file: number]> = promised(async (file) => {
  const there = disk();
  await there.call("sync", () => there.sync(file));
});

export const close: Promised<[file: number]> = promised(async (file) => {
  const there = disk();
  await there.call("read", () => there.closeFile(file));
});

export const link: Promised<[existing: string, path: string]> = promised(async (existing, path) => {
  const there = disk();
  await there.call("write", () => there.link(existing, path));
});

export const rename: Promised<[from: string, to: string]> = promised(async (from, to) => {
  const there = disk();
  await there.call("write", () => there.rename(from, to));
});

export const unlink: Promised<[path: string]> = promised(async (path) => {
  const there = disk();
  await there.call("write", () => there.unlink(path));
});

export const mkdir: Promised<[path: string]> = promised(async (path) => {
  const there = disk();
  await there.call("read", () => there.makeFolder(path));
});

export function existsSync(path: string): boolean {
  return disk().exists(path);
}

/** Of a process its number and when it began, and of the machine which start of it this is. */
function procFile(path: string): string | undefined {
  const { host, number } = currentLife();
  if (path === "/proc/sys/kernel/random/boot_id") return `${host.name}-${host.boots}\n`;
  if (path !== `/proc/${process.pid}/stat`) return undefined;
  const zeros = Array.from({ length: 18 }, () => "0").join(" ");
  return `${process.pid} (node) S ${zeros} ${number}`;
}

export function readFileSync(path: string, encoding?: "utf8"): string | Buffer {
  const text = procFile(path);
  const bytes = text === undefined ? Buffer.from(disk().inode(path).data) : Buffer.from(text);
  return encoding === undefined ? bytes : bytes.toString(encoding);
}

export function readlinkSync(path: string): string {
  if (path === "/proc/self/ns/pid") return "pid:[1]";
  throw failure("ENOENT", path);
}

export function writeFileSync(path: string, text: string): void {
  const file = openSync(path, "w");
  disk().write(file, new Uint8Array(Buffer.from(text)), 0);
  closeSync(file);
}

export function rmSync(path: string): void {
  if (disk().exists(path)) disk().unlink(path);
}

export function openSync(path: string, flags: string | number, mode: number = PERMISSIONS): number {
  return disk().openFile(path, openModeOf(flags), mode);
}

export function closeSync(file: number): void {
  disk().closeFile(file);
}

export function fstatSync(file: number): { readonly size: number } {
  return { size: disk().openedInode(file).data.length };
}

export function statSync(path: string): { readonly size: number } {
  return { size: disk().inode(path).data.length };
}

export function readdirSync(path: string): string[] {
  return disk().list(path);
}

export function readSync(file: number, buffer: Uint8Array, offset: number, length: number, position: number): number {
  const part = disk()
    .openedInode(file)
    .data.subarray(position, position + length);
  buffer.set(part, offset);
  return part.length;
}
