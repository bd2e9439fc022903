/**
 * What a store says of its heads outside the database, so that a database which lost its newest writes is noticed.
 *
 * A mark is written after the database and before the commit is acknowledged; of some heads the next commit may be written to the
 * database meanwhile. So after a crash the database is one commit ahead of the mark, or two, and never behind it: whatever else is
 * found, one of the two is an older copy.
 */
import { sha256 } from "@tallystick/core";
import { StorageError } from "./error.ts";
import type { FileSystem } from "./file-system.ts";
import { readFileIfThere, writeFileDurably } from "./files.ts";
import { SlotFile } from "./slot-file.ts";
import type { VersionedHead } from "./storage.ts";

export interface HeadMark {
  readonly path: string;
  /** 0 before the first commit of the head. */
  readonly version: number;
  /** Whether these are the bytes of the head at `version`. */
  holds(bytes: Uint8Array): boolean;
  /** Durable when it resolves. One call at a time. */
  advance(head: VersionedHead): Promise<void>;
  close(): Promise<void>;
}

const NO_HEAD: VersionedHead = { version: 0, bytes: new Uint8Array() };

/** Marks a head by its version and the digest of its bytes: 64 bytes in place, for the head that moves with every commit. */
export const slotMark = {
  create: (path: string, fileSystem: FileSystem): Promise<void> => SlotFile.create(path, slotOf(NO_HEAD), fileSystem),

  async open(path: string, fileSystem: FileSystem): Promise<HeadMark | undefined> {
    const file = await SlotFile.open(path, fileSystem);
    return (
      file && {
        path,
        get version() {
          return file.newest.number;
        },
        holds: (bytes) => Buffer.compare(sha256(bytes), file.newest.digest) === 0,
        advance: (head) => file.write(slotOf(head)),
        close: () => file.close(),
      }
    );
  },
};

function slotOf({ version, bytes }: VersionedHead): { number: number; digest: Uint8Array } {
  return { number: version, digest: sha256(bytes) };
}

/** Marks a head by a whole copy of it: for the signed head, the one thing that must never be forgotten. */
export const copyMark = {
  create: (path: string, fileSystem: FileSystem): Promise<void> =>
    writeFileDurably(path, encodeCopy(NO_HEAD), { fileSystem }),

  async open(path: string, fileSystem: FileSystem): Promise<HeadMark | undefined> {
    const stored = await readFileIfThere(path);
    if (stored === undefined) return undefined;
    let copy = decodeCopy(stored, path);
    return {
      path,
      get version() {
        return copy.version;
      },
      holds: (bytes) => Buffer.compare(bytes, copy.bytes) === 0,
      async advance(head) {
        await writeFileDurably(path, encodeCopy(head), { fileSystem });
        copy = head;
      },
      close: () => Promise.resolve(),
    };
  },
};

/** Magic (8) | version u64 | the head's bytes | SHA-256 of all before (32). */
const MAGIC = Buffer.from("tshead1\n", "latin1");
const PREFIX_BYTES = 16;
const DIGEST_BYTES = 32;

function encodeCopy({ version, bytes }: VersionedHead): Uint8Array {
  const prefix = Buffer.alloc(PREFIX_BYTES);
  MAGIC.copy(prefix);
  prefix.writeBigUInt64BE(BigInt(version), 8);
  const content = Buffer.concat([prefix, bytes]);
  return Buffer.concat([content, sha256(content)]);
}

function decodeCopy(stored: Uint8Array, path: string): VersionedHead {
  const bytes = Buffer.from(stored.buffer, stored.byteOffset, stored.byteLength);
  const content = bytes.subarray(0, -DIGEST_BYTES);
  const whole = bytes.length >= PREFIX_BYTES + DIGEST_BYTES && content.subarray(0, 8).equals(MAGIC);
  if (!whole || Buffer.compare(sha256(content), bytes.subarray(-DIGEST_BYTES)) !== 0) {
    const message = `${path} is damaged; restore the folder from a backup, and do not delete the file`;
    throw new StorageError("storage-corrupt", message, { details: { path } });
  }
  return { version: Number(content.readBigUInt64BE(8)), bytes: new Uint8Array(content.subarray(PREFIX_BYTES)) };
}
