/**
 * The rows of one epoch: a file that is only appended to, with an index in memory and a mark beside it.
 *
 * The file `keys.<epoch>` is a header, magic (8) | epoch id (16) | zero (8), and rows. The mark `mark.<epoch>` holds the
 * number of rows and a keyed digest of all of them; it is written after the rows and before they count as durable. So an
 * older copy of the rows alone, a row that was changed, and rows that were swapped are noticed on opening, and what a
 * crash left beyond the mark is told apart from damage.
 */
import { createHash, type Hash } from "node:crypto";
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { join } from "node:path";
import { StorageError } from "./error.ts";
import type { FileSystem } from "./file-system.ts";
import { writeNewFile } from "./files.ts";
import { KeyIndex } from "./key-index.ts";
import type { KeyEpoch } from "./key-epoch.ts";
import { decodeRow, type KeyRow, lookupOf, LOOKUP_BYTES, ROW_BYTES } from "./key-row.ts";
import { KeyedHash } from "./keyed-hash.ts";
import { type Slot, SlotFile } from "./slot-file.ts";

const MAGIC = Buffer.from("tskeys1\n", "latin1");
export const KEY_FILE_HEADER_BYTES = 32;
const HEADER_BYTES = KEY_FILE_HEADER_BYTES;
/** Rows read or rewritten at a time: six milliseconds of ciphers between two turns of the event loop. */
const CHUNK_ROWS = 128;

export function keyFileName(epoch: KeyEpoch): string {
  return `keys.${epoch.number}`;
}

export function markFileName(epoch: KeyEpoch): string {
  return `mark.${epoch.number}`;
}

/** Whether a file of rows holds any, so that it must not be taken for the rest of an interrupted creation. */
export function holdsRows(size: number): boolean {
  return size > HEADER_BYTES;
}

export class KeyFile {
  readonly epoch: KeyEpoch;
  readonly #path: string;
  readonly #fileSystem: FileSystem;
  readonly #file: number;
  readonly #mark: SlotFile;
  readonly #markKey: KeyedHash;
  readonly #index = new KeyIndex();
  /** Over all rows that the mark covers. */
  readonly #digest: Hash = createHash("sha256");
  #rows = 0;

  private constructor(folder: string, epoch: KeyEpoch, fileSystem: FileSystem, mark: SlotFile) {
    this.epoch = epoch;
    this.#path = join(folder, keyFileName(epoch));
    this.#fileSystem = fileSystem;
    this.#mark = mark;
    this.#markKey = new KeyedHash(epoch.lookupKey);
    this.#file = openSync(this.#path, "r+");
  }

  /** Makes an empty file for the epoch, in place of what an interrupted run left under its name. Durable when it resolves. */
  static async create(folder: string, epoch: KeyEpoch, fileSystem: FileSystem): Promise<void> {
    const bytes = new Uint8Array(HEADER_BYTES);
    bytes.set(MAGIC);
    bytes.set(epoch.id, MAGIC.length);
    await writeNewFile(fileSystem, { path: join(folder, keyFileName(epoch)), bytes, mode: 0o600 });
    const mark = markSlot(new KeyedHash(epoch.lookupKey), epoch, 0, createHash("sha256"));
    // Syncs the folder too, and so the name of the file above.
    await SlotFile.create(join(folder, markFileName(epoch)), mark, fileSystem);
  }

  /**
   * Opens the file of the epoch, checks all of it against the mark, and cuts off what a crash left beyond it.
   *
   * @throws {StorageError} `key-store-corrupt`, `key-store-rolled-back`.
   */
  static async open(folder: string, epoch: KeyEpoch, fileSystem: FileSystem): Promise<KeyFile> {
    const mark = await openMark(join(folder, markFileName(epoch)), fileSystem);
    let keyFile: KeyFile | undefined;
    try {
      keyFile = new KeyFile(folder, epoch, fileSystem, mark);
      await keyFile.#load();
      return keyFile;
    } catch (cause) {
      await (keyFile === undefined ? mark.close() : keyFile.close());
      throw cause;
    }
  }

  /** The row that counts for a lookup. Reads it from the file: the index holds no keys. */
  find(lookup: Uint8Array): KeyRow | undefined {
    const at = this.#index.find(lookup, (row) => this.#hasLookup(row, lookup));
    if (at === undefined) return undefined;
    const row = decodeRow(this.#readRow(at), this.epoch);
    if (row === undefined) throw this.#damaged(at);
    return row;
  }

  /** Appends rows; durable when it resolves. One call at a time. */
  async append(rows: readonly Uint8Array[]): Promise<void> {
    if (rows.length === 0) return;
    const bytes = Buffer.concat(rows);
    await this.#fileSystem.write(this.#file, bytes, HEADER_BYTES + this.#rows * ROW_BYTES);
    await this.#fileSystem.sync(this.#file);
    // Dying here leaves rows beyond the mark, of which nobody was told that they are durable.
    this.#digest.update(bytes);
    await this.#mark.write(markSlot(this.#markKey, this.epoch, this.#rows + rows.length, this.#digest));
    for (const row of rows) this.#addToIndex(row);
  }

  /** The rows that count, in the order of the file, some hundred at a time. Nothing may be appended meanwhile. */
  *chunks(): Generator<KeyRow[]> {
    for (let from = 0; from < this.#rows; from += CHUNK_ROWS) {
      const chunk: KeyRow[] = [];
      for (let at = from; at < Math.min(this.#rows, from + CHUNK_ROWS); at++) {
        const row = decodeRow(this.#readRow(at), this.epoch);
        if (row === undefined) throw this.#damaged(at);
        if (this.#index.find(row.lookup, (found) => this.#hasLookup(found, row.lookup)) === at) chunk.push(row);
      }
      yield chunk;
    }
  }

  async close(): Promise<void> {
    this.#markKey.wipe();
    closeSync(this.#file);
    await this.#mark.close();
  }

  async #load(): Promise<void> {
    const { size } = fstatSync(this.#file);
    this.#assertHeader();
    const stored = Math.max(0, Math.floor((size - HEADER_BYTES) / ROW_BYTES));
    const marked = this.#mark.newest.number;
    if (stored < marked) throw this.#rolledBack(`has ${stored} keys`, marked);
    this.#loadMarked(marked);
    await this.#loadUnmarked(stored);
    if (size !== HEADER_BYTES + this.#rows * ROW_BYTES) await this.#cutTail();
  }

  #assertHeader(): void {
    const header = this.#readAt(0, HEADER_BYTES);
    if (header.length < HEADER_BYTES || !header.subarray(0, MAGIC.length).equals(MAGIC)) {
      throw this.#corrupt(`${this.#path} does not begin as a file of keys does`);
    }
    const id = header.subarray(MAGIC.length, MAGIC.length + this.epoch.id.length);
    if (!id.equals(this.epoch.id)) throw this.#rolledBack("belongs to another epoch file", this.#mark.newest.number);
    if (header.subarray(MAGIC.length + id.length).some((byte) => byte !== 0)) {
      throw this.#corrupt(`${this.#path} has a header that was changed`);
    }
  }

  #loadMarked(marked: number): void {
    for (let from = 0; from < marked; from += CHUNK_ROWS) {
      const bytes = this.#readAt(HEADER_BYTES + from * ROW_BYTES, Math.min(CHUNK_ROWS, marked - from) * ROW_BYTES);
      this.#digest.update(bytes);
      for (let at = 0; at < bytes.length; at += ROW_BYTES) this.#addToIndex(bytes.subarray(at, at + ROW_BYTES));
    }
    const expected = markSlot(this.#markKey, this.epoch, marked, this.#digest);
    if (Buffer.compare(expected.digest, this.#mark.newest.digest) !== 0) throw this.#notAsMarked(marked);
  }

  /** Takes over what is whole beyond the mark, up to the first row that is not: a crash may have written any part of it. */
  async #loadUnmarked(stored: number): Promise<void> {
    const marked = this.#rows;
    for (let at = marked; at < stored; at++) {
      const bytes = this.#readRow(at);
      if (decodeRow(bytes, this.epoch) === undefined) break;
      this.#digest.update(bytes);
      this.#addToIndex(bytes);
    }
    if (this.#rows === marked) return;
    await this.#fileSystem.sync(this.#file);
    await this.#mark.write(markSlot(this.#markKey, this.epoch, this.#rows, this.#digest));
  }

  async #cutTail(): Promise<void> {
    await this.#fileSystem.truncate(this.#file, HEADER_BYTES + this.#rows * ROW_BYTES);
    await this.#fileSystem.sync(this.#file);
  }

  #addToIndex(row: Uint8Array): void {
    const lookup = lookupOf(row);
    this.#index.set(lookup, this.#rows, (other) => this.#hasLookup(other, lookup));
    this.#rows++;
  }

  #hasLookup(row: number, lookup: Uint8Array): boolean {
    return this.#readAt(HEADER_BYTES + row * ROW_BYTES, LOOKUP_BYTES).equals(lookup);
  }

  #readRow(row: number): Buffer {
    return this.#readAt(HEADER_BYTES + row * ROW_BYTES, ROW_BYTES);
  }

  /** Up to `size` bytes; fewer at the end of the file. */
  #readAt(position: number, size: number): Buffer {
    const bytes = Buffer.allocUnsafe(size);
    let done = 0;
    while (done < size) {
      const read = readSync(this.#file, bytes, done, size - done, position + done);
      if (read === 0) break;
      done += read;
    }
    return bytes.subarray(0, done);
  }

  /** Which row is damaged; or none is, and they are whole rows of this epoch that should stand elsewhere. */
  #notAsMarked(marked: number): StorageError {
    for (let at = 0; at < marked; at++) {
      if (decodeRow(this.#readRow(at), this.epoch) === undefined) return this.#damaged(at);
    }
    return this.#rolledBack("has other keys", marked);
  }

  #damaged(row: number): StorageError {
    return this.#corrupt(`row ${row} of ${this.#path} is not what was written`, { row });
  }

  #corrupt(what: string, details: Readonly<Record<string, unknown>> = {}): StorageError {
    const message = `${what}; restore the key store as a whole from its newest backup`;
    return new StorageError("key-store-corrupt", message, { details: { path: this.#path, ...details } });
  }

  #rolledBack(what: string, marked: number): StorageError {
    const message =
      `${this.#path} ${what}, but ${this.#mark.path} says that there were ${marked} keys: one of the files is of another age; ` +
      "restore the key store as a whole from its newest backup";
    return new StorageError("key-store-rolled-back", message, { details: { path: this.#path, marked } });
  }
}

async function openMark(path: string, fileSystem: FileSystem): Promise<SlotFile> {
  const mark = await SlotFile.open(path, fileSystem).catch((cause: unknown) => {
    if (!(cause instanceof StorageError) || cause.code !== "storage-corrupt") throw cause;
    throw new StorageError("key-store-corrupt", cause.message, { details: { path } });
  });
  if (mark !== undefined) return mark;
  const message = `${path} is missing, so nothing says how many keys there must be; restore the key store as a whole from its newest backup`;
  throw new StorageError("key-store-rolled-back", message, { details: { path } });
}

/** The digest is keyed: whoever can write the files, but has no master key, cannot mark rows of an older copy. */
export function markSlot(key: KeyedHash, epoch: KeyEpoch, rows: number, digest: Hash): Slot {
  const counted = Buffer.alloc(8);
  counted.writeBigUInt64BE(BigInt(rows));
  const message = [Buffer.from("tallystick/key-mark/v1\0"), epoch.id, counted, digest.copy().digest()];
  return { number: rows, digest: new Uint8Array(key.digest(Buffer.concat(message))) };
}
