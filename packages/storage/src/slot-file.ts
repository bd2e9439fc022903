/**
 * A file that holds one number and one digest, and whose every write is durable at once and cheap.
 *
 * Two slots of 64 bytes lie 4096 bytes apart, so that they share no sector. A write goes to the older one, in place and
 * with O_DSYNC: no rename, no sync of a folder, one disk write. If we die in the midst of it, the other slot still
 * holds what was there before.
 *
 * Slot: magic (8) | number u64 | digest (32) | first 16 bytes of the SHA-256 of these 48.
 */
import { constants } from "node:fs";
import { sha256 } from "@tallystick/core";
import { StorageError } from "./error.ts";
import { storageFailure } from "./failure.ts";
import type { FileSystem } from "./file-system.ts";
import { readFileIfThere, writeFileDurably } from "./files.ts";

export interface Slot {
  readonly number: number;
  /** 32 bytes. */
  readonly digest: Uint8Array;
}

const SLOT_BYTES = 64;
const SLOT_OFFSETS = [0, 4096] as const;
const CHECKED_BYTES = 48;
const MAGIC = Buffer.from("tsslot1\n", "latin1");

export class SlotFile {
  readonly path: string;
  readonly #fileSystem: FileSystem;
  readonly #file: number;
  #newest: Slot;
  #newestAt: number;

  private constructor(path: string, fileSystem: FileSystem, file: number, found: FoundSlot) {
    this.path = path;
    this.#fileSystem = fileSystem;
    this.#file = file;
    this.#newest = found.slot;
    this.#newestAt = found.at;
  }

  /** Makes the file, or replaces it, with `slot` in it. Durable when it resolves. */
  static async create(path: string, slot: Slot, fileSystem: FileSystem): Promise<void> {
    const bytes = new Uint8Array(SLOT_OFFSETS[1] + SLOT_BYTES);
    bytes.set(encodeSlot(slot), SLOT_OFFSETS[0]);
    await writeFileDurably(path, bytes, { fileSystem });
  }

  /**
   * Opens the file, or gives `undefined` where there is none.
   *
   * @throws {StorageError} `storage-corrupt`: neither slot is whole.
   */
  static async open(path: string, fileSystem: FileSystem): Promise<SlotFile | undefined> {
    const bytes = await readFileIfThere(path);
    if (bytes === undefined) return undefined;
    const found = newestSlot(bytes);
    if (found === undefined) {
      const message = `${path} is damaged in both of its slots; restore the folder from a backup, and do not delete the file`;
      throw new StorageError("storage-corrupt", message, { details: { path } });
    }
    const file = await fileSystem.open(path, constants.O_WRONLY | constants.O_DSYNC);
    return new SlotFile(path, fileSystem, file, found);
  }

  get newest(): Slot {
    return this.#newest;
  }

  /**
   * Durable when it resolves. One call at a time.
   *
   * @throws {StorageError} `storage-unavailable`, `storage-full`
   */
  async write(slot: Slot): Promise<void> {
    const at = this.#newestAt === 0 ? 1 : 0;
    try {
      await this.#fileSystem.write(this.#file, encodeSlot(slot), SLOT_OFFSETS[at]);
    } catch (cause) {
      throw storageFailure(`could not write ${this.path}`, cause);
    }
    this.#newest = slot;
    this.#newestAt = at;
  }

  async close(): Promise<void> {
    await this.#fileSystem.close(this.#file);
  }
}

/** The slot that counts in the bytes of such a file; `undefined` where neither is whole. */
export function readSlot(bytes: Uint8Array): Slot | undefined {
  return newestSlot(bytes)?.slot;
}

interface FoundSlot {
  readonly slot: Slot;
  readonly at: number;
}

function newestSlot(bytes: Uint8Array): FoundSlot | undefined {
  let newest: FoundSlot | undefined;
  for (const [at, offset] of SLOT_OFFSETS.entries()) {
    const slot = decodeSlot(bytes.subarray(offset, offset + SLOT_BYTES));
    if (slot !== undefined && (newest === undefined || slot.number > newest.slot.number)) newest = { slot, at };
  }
  return newest;
}

function encodeSlot({ number, digest }: Slot): Uint8Array {
  const bytes = Buffer.alloc(SLOT_BYTES);
  MAGIC.copy(bytes);
  bytes.writeBigUInt64BE(BigInt(number), 8);
  bytes.set(digest, 16);
  bytes.set(checksum(bytes), CHECKED_BYTES);
  return bytes;
}

/** Undefined for what is not a whole slot: torn, damaged, or never written. */
function decodeSlot(bytes: Uint8Array): Slot | undefined {
  const slot = Buffer.from(bytes);
  if (slot.length < SLOT_BYTES || !slot.subarray(0, 8).equals(MAGIC)) return undefined;
  if (!slot.subarray(CHECKED_BYTES).equals(checksum(slot))) return undefined;
  return { number: Number(slot.readBigUInt64BE(8)), digest: new Uint8Array(slot.subarray(16, CHECKED_BYTES)) };
}

function checksum(slot: Uint8Array): Uint8Array {
  return sha256(slot.subarray(0, CHECKED_BYTES)).subarray(0, SLOT_BYTES - CHECKED_BYTES);
}
