/**
 * A backup of a key store: one encrypted file.
 *
 * Header, readable by anybody and authenticated: magic (8) | time, ms u64 | number of the backup key u64 | its id (16) |
 * epoch number u64 | keys u64 | nonce (16) | length of the origin u16 | origin. Then segments of up to 64 KiB of the body,
 * each sealed by XChaCha20-Poly1305 under the backup key. Nonce of a segment: the header's, segment number u64. Associated
 * data: "tallystick/key-backup/v1" 0x00 SHA-256(header). How many segments there are follows from the number of keys.
 *
 * Body: epoch id (16) | epoch key (32) | lookup key (32) | the file of rows (32 + 96 for each key).
 */
import { hash } from "node:crypto";
import { type FileHandle, open } from "node:fs/promises";
import { StorageError } from "./error.ts";
import { storageFailure } from "./failure.ts";
import type { FileSystem } from "./file-system.ts";
import { syncFolder } from "./files.ts";
import { BACKUP_KEY_ID_BYTES } from "./key-backup-key.ts";
import type { KeyEpoch } from "./key-epoch.ts";
import { KEY_FILE_HEADER_BYTES } from "./key-file.ts";
import { ROW_BYTES } from "./key-row.ts";
import { KEY_BYTES, type RandomSource, TAG_BYTES, unwrapSecret, type Wrapping, wrapSecret } from "./key-wrap.ts";
import { dirname } from "node:path";

/** What a backup says of itself without its key. */
export interface KeyBackupHeader {
  readonly origin: string;
  /** When the key store was as it is here, in ms since 1970. */
  readonly time: number;
  /** Of the backup key. */
  readonly keyNumber: number;
  readonly keyId: Uint8Array;
  /** The key store's epoch. */
  readonly epoch: number;
  /** How many keys there are, destroyed ones included. */
  readonly count: number;
}

const MAGIC = Buffer.from("tskeybk1", "latin1");
const KEY_NUMBER_AT = MAGIC.length + 8;
const KEY_ID_AT = KEY_NUMBER_AT + 8;
const EPOCH_AT = KEY_ID_AT + BACKUP_KEY_ID_BYTES;
const COUNT_AT = EPOCH_AT + 8;
const NONCE_AT = COUNT_AT + 8;
const NONCE_BYTES = 16;
const ORIGIN_LENGTH_AT = NONCE_AT + NONCE_BYTES;
const ORIGIN_AT = ORIGIN_LENGTH_AT + 2;
/** As long as a key name may be. */
const ORIGIN_BYTES_MAX = 255;
/** A millisecond of ciphers between two turns of the event loop. */
const SEGMENT_BYTES = 65_536;
const EPOCH_ID_BYTES = 16;
const SECRETS_BYTES = EPOCH_ID_BYTES + 2 * KEY_BYTES;

export interface WriteKeyBackupInput {
  readonly path: string;
  readonly header: KeyBackupHeader;
  /** Unwrapped. */
  readonly key: Uint8Array;
  readonly epoch: KeyEpoch;
  /** The file of rows, from its beginning to the last row of the header's count. */
  readonly rows: FileHandle;
  readonly random: RandomSource;
  readonly fileSystem: FileSystem;
}

/** Writes a backup; the file is whole and durable under its name when it resolves, and not there before. */
export async function writeKeyBackup(input: WriteKeyBackupInput): Promise<void> {
  const { path, header, key, epoch, rows, random, fileSystem } = input;
  const head = encodeHeader(header, random);
  const body = new BodyReader(rows, epoch);
  const next = `${path}.next`;
  const file = await fileSystem.open(next, "w", 0o600);
  try {
    await fileSystem.write(file, head, 0);
    let position = head.length;
    for (let at = 0; at < segmentsOf(header.count); at++) {
      const segment = await body.read(segmentBytes(header.count, at));
      const sealed = wrapSecret(wrappingOf(head, key, at), segment);
      segment.fill(0);
      await fileSystem.write(file, sealed, position);
      position += sealed.length;
    }
    await fileSystem.sync(file);
  } finally {
    await fileSystem.close(file);
  }
  await fileSystem.rename(next, path);
  await syncFolder(dirname(path), fileSystem);
}

/** A backup that is open for reading. */
export class KeyBackupFile {
  readonly path: string;
  readonly header: KeyBackupHeader;
  readonly #head: Buffer;
  readonly #file: FileHandle;

  private constructor(path: string, file: FileHandle, head: Buffer) {
    this.path = path;
    this.#file = file;
    this.#head = head;
    this.header = decodeHeader(head);
  }

  /** @throws {StorageError} `key-backup-malformed`: it is no backup, or not all of one. `storage-unavailable` */
  static async open(path: string): Promise<KeyBackupFile> {
    const file = await open(path, "r").catch((cause: unknown) => {
      throw storageFailure(`could not read ${path}`, cause);
    });
    try {
      const head = await readHeader(file);
      if (head === undefined) throw malformed(path, "it does not begin as a backup of a key store does");
      const backup = new KeyBackupFile(path, file, head);
      const { count } = backup.header;
      const expected = head.length + bodyBytes(count) + TAG_BYTES * segmentsOf(count);
      const { size } = await file.stat();
      if (size === expected) return backup;
      throw malformed(path, `expected ${expected} bytes for ${count} keys, got ${size}`);
    } catch (cause) {
      await file.close();
      throw cause;
    }
  }

  /**
   * The epoch, whose keys are secret, and then the file of rows, piece by piece.
   *
   * @throws {StorageError} `key-backup-malformed`: a segment is not what was written, or not under this key.
   */
  async read(key: Uint8Array): Promise<{ readonly epoch: KeyEpoch; readonly rows: AsyncIterable<Uint8Array> }> {
    const first = await this.#segment(key, 0);
    const epoch: KeyEpoch = {
      number: this.header.epoch,
      id: first.slice(0, EPOCH_ID_BYTES),
      key: first.slice(EPOCH_ID_BYTES, EPOCH_ID_BYTES + KEY_BYTES),
      lookupKey: first.slice(EPOCH_ID_BYTES + KEY_BYTES, SECRETS_BYTES),
    };
    return { epoch, rows: this.#rows(key, first.subarray(SECRETS_BYTES)) };
  }

  async close(): Promise<void> {
    await this.#file.close();
  }

  async *#rows(key: Uint8Array, first: Uint8Array): AsyncGenerator<Uint8Array> {
    yield first;
    for (let at = 1; at < segmentsOf(this.header.count); at++) yield this.#segment(key, at);
  }

  async #segment(key: Uint8Array, at: number): Promise<Uint8Array> {
    const size = segmentBytes(this.header.count, at) + TAG_BYTES;
    const position = this.#head.length + at * (SEGMENT_BYTES + TAG_BYTES);
    const sealed = await readExactly(this.#file, { size, position });
    const plain = sealed && unwrapSecret(wrappingOf(this.#head, key, at), sealed);
    if (plain === undefined) throw malformed(this.path, `segment ${at} is not what was written`);
    return plain;
  }
}

/** What the body is read from, in order: the epoch's secrets, and the rows behind them. */
class BodyReader {
  readonly #rows: FileHandle;
  #secrets: Buffer;
  #position = 0;

  constructor(rows: FileHandle, epoch: KeyEpoch) {
    this.#rows = rows;
    this.#secrets = Buffer.concat([epoch.id, epoch.key, epoch.lookupKey]);
  }

  async read(size: number): Promise<Uint8Array> {
    const bytes = Buffer.alloc(size);
    const fromSecrets = this.#secrets.copy(bytes);
    this.#secrets.fill(0);
    this.#secrets = Buffer.alloc(0);
    const rows = await readExactly(this.#rows, { size: size - fromSecrets, position: this.#position });
    if (rows === undefined) throw new StorageError("key-store-corrupt", "the file of keys ends before its last row");
    bytes.set(rows, fromSecrets);
    this.#position += rows.length;
    return bytes;
  }
}

async function readExactly(
  file: FileHandle,
  { size, position }: { readonly size: number; readonly position: number },
): Promise<Buffer | undefined> {
  const bytes = Buffer.alloc(size);
  for (let done = 0; done < size;) {
    const { bytesRead } = await file.read(bytes, done, size - done, position + done);
    if (bytesRead === 0) return undefined;
    done += bytesRead;
  }
  return bytes;
}

async function readHeader(file: FileHandle): Promise<Buffer | undefined> {
  const fixed = await readExactly(file, { size: ORIGIN_AT, position: 0 });
  if (fixed === undefined || !fixed.subarray(0, MAGIC.length).equals(MAGIC)) return undefined;
  const length = fixed.readUInt16BE(ORIGIN_LENGTH_AT);
  if (length > ORIGIN_BYTES_MAX || fixed.readBigUInt64BE(COUNT_AT) > Number.MAX_SAFE_INTEGER / ROW_BYTES / 2)
    return undefined;
  return readExactly(file, { size: ORIGIN_AT + length, position: 0 });
}

function encodeHeader(header: KeyBackupHeader, random: RandomSource): Buffer {
  const origin = Buffer.from(header.origin);
  if (origin.length > ORIGIN_BYTES_MAX)
    throw new RangeError(`origin: expected at most ${ORIGIN_BYTES_MAX} bytes, got ${origin.length}`);
  const bytes = Buffer.alloc(ORIGIN_AT + origin.length);
  MAGIC.copy(bytes);
  bytes.writeBigUInt64BE(BigInt(header.time), MAGIC.length);
  bytes.writeBigUInt64BE(BigInt(header.keyNumber), KEY_NUMBER_AT);
  bytes.set(header.keyId, KEY_ID_AT);
  bytes.writeBigUInt64BE(BigInt(header.epoch), EPOCH_AT);
  bytes.writeBigUInt64BE(BigInt(header.count), COUNT_AT);
  bytes.set(random(NONCE_BYTES), NONCE_AT);
  bytes.writeUInt16BE(origin.length, ORIGIN_LENGTH_AT);
  bytes.set(origin, ORIGIN_AT);
  return bytes;
}

function decodeHeader(bytes: Buffer): KeyBackupHeader {
  return {
    origin: bytes.subarray(ORIGIN_AT).toString("utf8"),
    time: Number(bytes.readBigUInt64BE(MAGIC.length)),
    keyNumber: Number(bytes.readBigUInt64BE(KEY_NUMBER_AT)),
    keyId: new Uint8Array(bytes.subarray(KEY_ID_AT, EPOCH_AT)),
    epoch: Number(bytes.readBigUInt64BE(EPOCH_AT)),
    count: Number(bytes.readBigUInt64BE(COUNT_AT)),
  };
}

function bodyBytes(count: number): number {
  return SECRETS_BYTES + KEY_FILE_HEADER_BYTES + count * ROW_BYTES;
}

function segmentsOf(count: number): number {
  return Math.ceil(bodyBytes(count) / SEGMENT_BYTES);
}

function segmentBytes(count: number, at: number): number {
  return Math.min(SEGMENT_BYTES, bodyBytes(count) - at * SEGMENT_BYTES);
}

function wrappingOf(head: Buffer, key: Uint8Array, at: number): Wrapping {
  const nonce = Buffer.alloc(NONCE_BYTES + 8);
  nonce.set(head.subarray(NONCE_AT, ORIGIN_LENGTH_AT));
  nonce.writeBigUInt64BE(BigInt(at), NONCE_BYTES);
  const digest = hash("sha256", head, "buffer");
  return { key, nonce, associatedData: Buffer.concat([Buffer.from("tallystick/key-backup/v1\0"), digest]) };
}

function malformed(path: string, why: string): StorageError {
  const message = `${path} is not a whole backup of a key store: ${why}; take another one`;
  return new StorageError("key-backup-malformed", message, { details: { path } });
}
