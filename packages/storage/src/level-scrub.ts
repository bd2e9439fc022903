/**
 * Reads LevelDB's table files for damage that LevelDB does not see.
 *
 * The digest in every value shows a value that was changed. It cannot show one that is not found any more, because its
 * key or the index that leads to it was changed: LevelDB answers "not there". The checksums of the blocks show that too,
 * but LevelDB, opened through Node, does not compare them. This does. github.com/google/leveldb doc/table_format.md
 */
import { type FileHandle, open, readdir } from "node:fs/promises";
import { join } from "node:path";
import { crc32c } from "./crc32c.ts";
import { errorCodeOf, storageFailure } from "./failure.ts";
import type { DamageOptions, StorageDamage } from "./storage.ts";

export interface ScrubOptions extends DamageOptions {
  /** The folder that was given to `openLevelStorage`. It may be open. */
  readonly path: string;
}

/** A table file that is not what LevelDB wrote. What it holds may be missing or wrong. */
export interface TableDefect extends StorageDamage {
  readonly path: string;
}

/**
 * Gives every damaged table file of a store, once. Takes time in proportion to the log, and memory for one block.
 *
 * Table files are never changed once they are written; one that LevelDB removes meanwhile is passed over. Does not look at
 * the write-ahead log, which LevelDB checks when it opens.
 *
 * @throws {StorageError} `storage-unavailable`: a file could not be read.
 */
export async function* scrubTables({ path, pause = async () => undefined }: ScrubOptions): AsyncGenerator<TableDefect> {
  const folder = join(path, "leveldb");
  for (const name of (await readdir(folder)).sort()) {
    if (!/^\d+\.(?:ldb|sst)$/.test(name)) continue;
    const defect = await findDefect(join(folder, name), pause);
    if (defect !== undefined) yield defect;
  }
}

async function findDefect(path: string, pause: () => Promise<void>): Promise<TableDefect | undefined> {
  let file: FileHandle | undefined;
  try {
    file = await open(path, "r");
    const what = await checkTable(file, pause);
    return what === undefined ? undefined : defectOf(path, what, true);
  } catch (cause) {
    if (cause instanceof TableDamage) return defectOf(path, cause.message, false);
    if (errorCodeOf(cause) === "ENOENT") return undefined;
    throw storageFailure(`could not read ${path}`, cause);
  } finally {
    await file?.close();
  }
}

function defectOf(path: string, what: string, readable: boolean): TableDefect {
  return { path, message: `${path}: ${what}; restore the folder as a whole from its newest backup`, readable };
}

/** Damage that LevelDB may not survive. */
class TableDamage extends Error {}

/** A block's place: its bytes, which a type byte and a checksum of four follow. */
interface BlockHandle {
  readonly offset: number;
  readonly size: number;
}

const FOOTER_BYTES = 48;
const MAGIC = Buffer.from("57fb808b247547db", "hex");
const TRAILER_BYTES = 5;
/** LevelDB's blocks are 4 KiB unless one value is larger; no value of a log comes near. */
const BLOCK_BYTES_MAX = 1_073_741_824;
const BLOCKS_BETWEEN_PAUSES = 256;

/** Tells what is wrong where the form is right: checksums of blocks, or what fills the footer. @throws {TableDamage} */
async function checkTable(file: FileHandle, pause: () => Promise<void>): Promise<string | undefined> {
  const { size } = await file.stat();
  const footer = await readAt(file, { offset: Math.max(0, size - FOOTER_BYTES), size: FOOTER_BYTES });
  if (!footer.subarray(-MAGIC.length).equals(MAGIC)) throw new TableDamage("does not end as a table does");
  const footerReader = new BlockReader(footer);
  const meta = footerReader.handle();
  const index = footerReader.handle();
  const isFilled = footer.subarray(footerReader.position, -MAGIC.length).every((byte) => byte === 0);
  for (const handle of handlesIn(await readWholeBlock(file, meta))) await readWholeBlock(file, handle);
  const wrong: number[] = [];
  let blocks = 0;
  for (const handle of handlesIn(await readWholeBlock(file, index))) {
    const { block, isWhole } = await readBlock(file, handle);
    if (!isWhole) {
      assertWellFormed(block, handle);
      wrong.push(handle.offset);
    }
    if (++blocks % BLOCKS_BETWEEN_PAUSES === 0) await pause();
  }
  const [first] = wrong;
  if (first === undefined) return isFilled ? undefined : "its footer is not filled with zeroes";
  const more = wrong.length === 1 ? "" : `, and ${wrong.length - 1} more do not either`;
  return `the block at ${first} does not have its checksum${more}`;
}

async function readWholeBlock(file: FileHandle, handle: BlockHandle): Promise<Buffer> {
  const { block, isWhole } = await readBlock(file, handle);
  if (!isWhole) throw wrongChecksum(handle);
  return block;
}

async function readBlock(file: FileHandle, handle: BlockHandle): Promise<{ block: Buffer; isWhole: boolean }> {
  const bytes = await readAt(file, { offset: handle.offset, size: handle.size + TRAILER_BYTES });
  const checked = bytes.subarray(0, handle.size + 1);
  const isWhole = bytes.readUInt32LE(handle.size + 1) === maskedChecksum(checked);
  return { block: bytes.subarray(0, handle.size), isWhole };
}

function wrongChecksum({ offset }: BlockHandle): TableDamage {
  return new TableDamage(`the block at ${offset} does not have its checksum`);
}

/** Eight bytes of sequence and kind end every key. */
const KEY_BYTES_MIN = 8;

/** What LevelDB assumes of a block: entries that fit into it, and restarts that point at whole keys. @throws {TableDamage} */
function assertWellFormed(block: Buffer, handle: BlockHandle): void {
  const restarts = restartsOf(block);
  if (restarts.length === 0 || restarts[0] !== 0) throw wrongChecksum(handle);
  const end = block.length - 4 - 4 * restarts.length;
  const reader = new BlockReader(block.subarray(0, end));
  const wanted = new Set(restarts);
  for (let keyBytes = 0; !reader.isDone;) {
    const restarting = wanted.delete(reader.position);
    const shared = reader.varint();
    const unshared = reader.varint();
    const valueBytes = reader.varint();
    const isSound = shared <= keyBytes && (!restarting || shared === 0) && shared + unshared >= KEY_BYTES_MIN;
    keyBytes = shared + unshared;
    reader.skip(unshared + valueBytes);
    if (!isSound || reader.isBeyond) throw wrongChecksum(handle);
  }
  if (wanted.size > 0) throw wrongChecksum(handle);
}

/** Where the keys of a block stand that share nothing with the one before; none where there is no room for as many. */
function restartsOf(block: Buffer): number[] {
  const count = block.length < 4 ? 0 : block.readUInt32LE(block.length - 4);
  const first = block.length - 4 - 4 * count;
  return first < 0 ? [] : Array.from({ length: count }, (_, at) => block.readUInt32LE(first + 4 * at));
}

/** LevelDB rotates checksums and adds a constant, so that a checksum over checksums stays useful. */
function maskedChecksum(bytes: Uint8Array): number {
  const crc = crc32c(bytes);
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}

async function readAt(file: FileHandle, { offset, size }: BlockHandle): Promise<Buffer> {
  if (size > BLOCK_BYTES_MAX) throw new TableDamage(`a block of ${size} bytes`);
  const { bytesRead, buffer } = await file.read(Buffer.alloc(size), 0, size, offset);
  if (bytesRead < size) throw new TableDamage("is shorter than it says");
  return buffer;
}

/** The block handles that an index lists: entries of shared, unshared and value sizes, a key's rest, and the handle. */
function* handlesIn(block: Buffer): Generator<BlockHandle> {
  const reader = new BlockReader(block.subarray(0, Math.max(0, block.length - 4 - 4 * restartsOf(block).length)));
  while (!reader.isDone) {
    reader.varint();
    const unshared = reader.varint();
    reader.varint();
    reader.skip(unshared);
    yield reader.handle();
  }
}

class BlockReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get position(): number {
    return this.#at;
  }

  get isDone(): boolean {
    return this.#at >= this.#bytes.length;
  }

  /** Whether more was skipped than is there. */
  get isBeyond(): boolean {
    return this.#at > this.#bytes.length;
  }

  handle(): BlockHandle {
    return { offset: this.varint(), size: this.varint() };
  }

  varint(): number {
    let value = 0;
    for (let place = 1; place <= Number.MAX_SAFE_INTEGER; place *= 128) {
      const byte = this.#bytes[this.#at++];
      if (byte === undefined) break;
      value += (byte % 128) * place;
      if (byte < 128 && Number.isSafeInteger(value)) return value;
    }
    throw new TableDamage("holds a number that is cut or too large");
  }

  skip(size: number): void {
    this.#at += size;
  }
}
