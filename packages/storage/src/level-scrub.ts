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

export interface ScrubOptions {
  /** The folder that was given to `openLevelStorage`. It may be open. */
  readonly path: string;
  /** Awaited after each 256 blocks, about 1 MiB: to bound the rate, or to stop by throwing. Default: no pause. */
  readonly pause?: () => Promise<void>;
}

/** A table file that is not what LevelDB wrote. What it holds may be missing or wrong. */
export interface TableDefect {
  readonly path: string;
  readonly message: string;
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
    const message = await findDefect(join(folder, name), pause);
    if (message !== undefined) yield { path: join(folder, name), message };
  }
}

async function findDefect(path: string, pause: () => Promise<void>): Promise<string | undefined> {
  let file: FileHandle | undefined;
  try {
    file = await open(path, "r");
    await checkTable(file, pause);
    return undefined;
  } catch (cause) {
    if (cause instanceof TableDamage) return `${path}: ${cause.message}; restore the folder as a whole from a backup`;
    if (errorCodeOf(cause) === "ENOENT") return undefined;
    throw storageFailure(`could not read ${path}`, cause);
  } finally {
    await file?.close();
  }
}

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

async function checkTable(file: FileHandle, pause: () => Promise<void>): Promise<void> {
  const { size } = await file.stat();
  const footer = await readAt(file, { offset: Math.max(0, size - FOOTER_BYTES), size: FOOTER_BYTES });
  if (!footer.subarray(-MAGIC.length).equals(MAGIC)) throw new TableDamage("does not end as a table does");
  const footerReader = new BlockReader(footer);
  const meta = footerReader.handle();
  const index = footerReader.handle();
  for (const handle of handlesIn(await readBlock(file, meta))) await readBlock(file, handle);
  let blocks = 0;
  for (const handle of handlesIn(await readBlock(file, index))) {
    await readBlock(file, handle);
    if (++blocks % BLOCKS_BETWEEN_PAUSES === 0) await pause();
  }
}

async function readBlock(file: FileHandle, handle: BlockHandle): Promise<Buffer> {
  const bytes = await readAt(file, { offset: handle.offset, size: handle.size + TRAILER_BYTES });
  const checked = bytes.subarray(0, handle.size + 1);
  if (bytes.readUInt32LE(handle.size + 1) !== maskedChecksum(checked)) {
    throw new TableDamage(`the block at ${handle.offset} does not have its checksum`);
  }
  return bytes.subarray(0, handle.size);
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
  const restarts = block.length < 4 ? 0 : block.readUInt32LE(block.length - 4);
  const reader = new BlockReader(block.subarray(0, Math.max(0, block.length - 4 - restarts * 4)));
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

  get isDone(): boolean {
    return this.#at >= this.#bytes.length;
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
