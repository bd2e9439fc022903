/** In place of `node:fs/promises`: the disk of the host whose code is running. */
import { type Disk, type Inode, failure, landedPart } from "../engine/disk.ts";
import { currentLife } from "../engine/world.ts";
import { openModeOf } from "./open-mode.ts";

const PERMISSIONS = 0o666;

interface Stat {
  readonly size: number;
  readonly mode: number;
  readonly mtimeMs: number;
  readonly mtime: Date;
}

function disk(): Disk {
  return currentLife().host.disk;
}

function statOf({ data, mode, modifiedMs }: Inode): Stat {
  return { size: data.length, mode, mtimeMs: modifiedMs, mtime: new Date(modifiedMs) };
}

function decoded(bytes: Uint8Array, encoding: "utf8" | undefined): string | Buffer {
  const buffer = Buffer.from(bytes);
  return encoding === undefined ? buffer : buffer.toString(encoding);
}

class FileHandle {
  readonly #disk: Disk;
  readonly #file: number;

  constructor(disk: Disk, file: number) {
    this.#disk = disk;
    this.#file = file;
  }

  async read(
    buffer: Uint8Array,
    offset: number,
    length: number,
    position: number,
  ): Promise<{ readonly bytesRead: number }> {
    const there = this.#disk;
    const part = await there.call("read", () =>
      there.openedInode(this.#file).data.subarray(position, position + length),
    );
    buffer.set(part, offset);
    return { bytesRead: part.length };
  }

  async write(
    bytes: Uint8Array,
    offset: number,
    length: number,
    position: number,
  ): Promise<{ readonly bytesWritten: number }> {
    const there = this.#disk;
    const part = bytes.slice(offset, offset + length);
    await there.call("write", (whole) => there.write(this.#file, landedPart(part, position, whole), position));
    return { bytesWritten: length };
  }

  async writeFile(text: string | Uint8Array): Promise<void> {
    const bytes = new Uint8Array(Buffer.from(text as string));
    await this.write(bytes, 0, bytes.length, 0);
  }

  async readFile(encoding?: "utf8"): Promise<string | Buffer> {
    const there = this.#disk;
    return decoded(await there.call("read", () => there.openedInode(this.#file).data), encoding);
  }

  async truncate(size: number): Promise<void> {
    await this.#disk.call("write", () => this.#disk.truncate(this.#file, size));
  }

  async sync(): Promise<void> {
    await this.#disk.call("sync", () => this.#disk.sync(this.#file));
  }

  async datasync(): Promise<void> {
    await this.sync();
  }

  async stat(): Promise<Stat> {
    return this.#disk.call("read", () => statOf(this.#disk.openedInode(this.#file)));
  }

  async close(): Promise<void> {
    await this.#disk.call("read", () => this.#disk.closeFile(this.#file));
  }
}

export type { FileHandle };

export async function open(path: string, flags: string | number, mode: number = PERMISSIONS): Promise<FileHandle> {
  const there = disk();
  return new FileHandle(there, await there.call("write", () => there.openFile(path, openModeOf(flags), mode)));
}

export async function readFile(path: string, encoding?: "utf8"): Promise<string | Buffer> {
  const there = disk();
  return decoded(await there.call("read", () => there.inode(path).data), encoding);
}

export async function readdir(path: string): Promise<string[]> {
  const there = disk();
  return there.call("read", () => there.list(path));
}

export async function stat(path: string): Promise<Stat> {
  const there = disk();
  return there.call("read", () => statOf(there.inode(path)));
}

/** One path of a folder for each life of its host: a program that died holds nothing of it any more. */
export async function realpath(path: string): Promise<string> {
  const { host, number } = currentLife();
  return host.disk.call("read", () => {
    host.disk.assertFolder(path);
    return `/${host.name}/${host.world.seed}/${number}${path}`;
  });
}

export async function mkdir(path: string): Promise<void> {
  const there = disk();
  await there.call("read", () => there.makeFolder(path));
}

export async function chmod(path: string, mode: number): Promise<void> {
  const there = disk();
  await there.call("read", () => {
    if (!there.isFolder(path)) there.inode(path).mode = mode;
  });
}

export async function utimes(path: string, _accessed: Date, modified: Date): Promise<void> {
  const there = disk();
  await there.call("read", () => {
    there.inode(path).modifiedMs = modified.getTime();
  });
}

export async function link(existing: string, path: string): Promise<void> {
  const there = disk();
  await there.call("write", () => there.link(existing, path));
}

export async function rename(from: string, to: string): Promise<void> {
  const there = disk();
  await there.call("write", () => there.rename(from, to));
}

export async function rm(path: string): Promise<void> {
  const there = disk();
  await there.call("write", () => {
    if (there.exists(path)) there.unlink(path);
  });
}

export async function writeFile(path: string, text: string | Uint8Array): Promise<void> {
  const file = await open(path, "w");
  await file.writeFile(text);
  await file.close();
}

export async function access(path: string): Promise<void> {
  if (!disk().exists(path)) throw failure("ENOENT", path);
}
