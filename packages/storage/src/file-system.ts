/** The few calls by which files of ours are written, so that tests can make each of them fail. */
import { close, fsync, ftruncate, link, mkdir, open, rename, unlink, write } from "node:fs";
import { promisify } from "node:util";

/** Writing calls on files. All paths are local; `file` is a descriptor that `open` gave. */
export interface FileSystem {
  readonly open: (path: string, flags: string | number, mode?: number) => Promise<number>;
  /** Writes all of `bytes` at `position`. */
  readonly write: (file: number, bytes: Uint8Array, position: number) => Promise<void>;
  readonly truncate: (file: number, size: number) => Promise<void>;
  readonly sync: (file: number) => Promise<void>;
  readonly close: (file: number) => Promise<void>;
  readonly link: (existing: string, path: string) => Promise<void>;
  readonly rename: (from: string, to: string) => Promise<void>;
  readonly unlink: (path: string) => Promise<void>;
  /** Makes a folder and those above it; one that exists stays as it is. */
  readonly makeFolder: (path: string, mode: number) => Promise<void>;
}

const openFile = promisify(open);
const writeSome = promisify(write);
const makeFolders = promisify(mkdir);

/** The file system of the machine. */
export const nodeFileSystem: FileSystem = {
  open: (path, flags, mode) => openFile(path, flags, mode),
  async write(file, bytes, position) {
    for (let done = 0; done < bytes.length;) {
      const { bytesWritten } = await writeSome(file, bytes, done, bytes.length - done, position + done);
      done += bytesWritten;
    }
  },
  truncate: promisify(ftruncate),
  sync: promisify(fsync),
  close: promisify(close),
  link: promisify(link),
  rename: promisify(rename),
  unlink: promisify(unlink),
  async makeFolder(path, mode) {
    await makeFolders(path, { recursive: true, mode });
  },
};
