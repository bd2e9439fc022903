/**
 * The keys under which backups of a key store are encrypted, each in a small file of its own, wrapped by the master key.
 *
 * Backups may be copied to anywhere; these files may not. To overwrite one is to make every backup under it unreadable,
 * wherever its copies are.
 *
 * File `backup-key.<n>`: magic (8) | number u64 | made at, ms u64 | id (16) | what the master key wrapped, up to 4096 bytes |
 * SHA-256 of all before (32).
 */
import { hash } from "node:crypto";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { StorageError } from "./error.ts";
import { storageFailure } from "./failure.ts";
import type { FileSystem } from "./file-system.ts";
import { readFileIfThere, shredFile, syncFolder, writeNewFile } from "./files.ts";
import { KEY_BYTES, type RandomSource } from "./key-wrap.ts";
import type { MasterKeyProvider } from "./master-key-provider.ts";

/** What is known of a backup key without the master key. */
export interface BackupKeyFile {
  readonly path: string;
  /** Counts the backup keys of a key store from 1. */
  readonly number: number;
  /** 16 random bytes, by which a backup names its key. */
  readonly id: Uint8Array;
  /** In ms since 1970. */
  readonly madeAt: number;
  readonly bytes: Uint8Array;
}

export interface BackupKeys {
  /** The oldest first. */
  readonly whole: readonly BackupKeyFile[];
  /** Files that hold no key any more: half overwritten, or damaged. */
  readonly damaged: readonly Pick<BackupKeyFile, "path" | "number" | "bytes">[];
}

const MAGIC = Buffer.from("tskbkey1", "latin1");
export const BACKUP_KEY_ID_BYTES = 16;
const ID_AT = MAGIC.length + 16;
const WRAPPED_AT = ID_AT + BACKUP_KEY_ID_BYTES;
const CHECKSUM_BYTES = 32;
const FILE_NAME = /^backup-key\.([1-9]\d{0,14})$/;

export interface MakeBackupKeyInput {
  readonly folder: string;
  readonly number: number;
  readonly now: number;
  readonly masterKey: MasterKeyProvider;
  readonly random: RandomSource;
  readonly fileSystem: FileSystem;
}

/** Makes a backup key; durable when it resolves. */
export async function makeBackupKey(input: MakeBackupKeyInput): Promise<BackupKeyFile> {
  const { folder, number, now, masterKey, random, fileSystem } = input;
  const head = Buffer.alloc(WRAPPED_AT);
  MAGIC.copy(head);
  head.writeBigUInt64BE(BigInt(number), MAGIC.length);
  head.writeBigUInt64BE(BigInt(now), MAGIC.length + 8);
  head.set(random(BACKUP_KEY_ID_BYTES), ID_AT);
  const secret = Uint8Array.from(random(KEY_BYTES));
  const wrapped = await masterKey.wrap(secret, contextOf(head));
  secret.fill(0);
  const unsigned = Buffer.concat([head, wrapped]);
  const bytes = Buffer.concat([unsigned, checksum(unsigned)]);
  const path = join(folder, `backup-key.${number}`);
  const next = join(folder, `backup-key.${number}.${Buffer.from(random(4)).toString("hex")}.next`);
  await writeNewFile(fileSystem, { path: next, bytes, mode: 0o600 });
  // Fails where another process has just made a key of this number: one must not take the place of the other.
  await fileSystem.link(next, path);
  await fileSystem.unlink(next);
  await syncFolder(folder, fileSystem);
  return { path, number, ...fieldsOf(bytes) };
}

/** The backup keys of a folder; none where there is no folder. */
export async function listBackupKeys(folder: string): Promise<BackupKeys> {
  const whole: BackupKeyFile[] = [];
  const damaged: BackupKeys["damaged"][number][] = [];
  for (const name of await namesIn(folder)) {
    const number = Number(FILE_NAME.exec(name)?.[1]);
    if (Number.isNaN(number)) continue;
    const path = join(folder, name);
    const bytes = Buffer.from((await readFileIfThere(path)) ?? []);
    if (isWhole(bytes, number)) whole.push({ path, number, ...fieldsOf(bytes) });
    else damaged.push({ path, number, bytes });
  }
  whole.sort((a, b) => a.number - b.number);
  return { whole, damaged };
}

/** @throws {StorageError} `master-key-wrong`, `master-key-unavailable` */
export async function unwrapBackupKey(
  { path, bytes }: BackupKeyFile,
  masterKey: MasterKeyProvider,
): Promise<Uint8Array> {
  const wrapped = bytes.subarray(WRAPPED_AT, bytes.length - CHECKSUM_BYTES);
  try {
    return await masterKey.unwrap(wrapped, contextOf(bytes));
  } catch (cause) {
    if (!(cause instanceof StorageError) || cause.code !== "master-key-wrong") throw cause;
    const message = `${path} is wrapped by another master key than the one given; give the one that it was made with`;
    throw new StorageError("master-key-wrong", message, { details: { path } });
  }
}

/** Destroys a backup key, and with it every backup under it. */
export async function shredBackupKey(
  { path, bytes }: Pick<BackupKeyFile, "path" | "bytes">,
  fileSystem: FileSystem,
): Promise<void> {
  await shredFile(path, bytes.length, fileSystem);
}

/** Removes what was left of keys that were being made. */
export async function removeUnfinishedKeys(folder: string, fileSystem: FileSystem): Promise<void> {
  for (const name of await namesIn(folder))
    if (/^backup-key\.\d+\.[0-9a-f]{8}\.next$/.test(name)) await fileSystem.unlink(join(folder, name));
}

/** Names of the files of a folder, in order; none where there is no folder. */
export async function namesIn(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder)).toSorted();
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && cause.code === "ENOENT") return [];
    throw storageFailure(`could not list ${folder}`, cause);
  }
}

function isWhole(bytes: Buffer, number: number): boolean {
  const checksumAt = bytes.length - CHECKSUM_BYTES;
  return (
    checksumAt > WRAPPED_AT &&
    bytes.subarray(0, MAGIC.length).equals(MAGIC) &&
    bytes.readBigUInt64BE(MAGIC.length) === BigInt(number) &&
    bytes.subarray(checksumAt).equals(checksum(bytes.subarray(0, checksumAt)))
  );
}

function fieldsOf(bytes: Buffer): Pick<BackupKeyFile, "id" | "madeAt" | "bytes"> {
  return {
    id: new Uint8Array(bytes.subarray(ID_AT, WRAPPED_AT)),
    madeAt: Number(bytes.readBigUInt64BE(MAGIC.length + 8)),
    bytes: new Uint8Array(bytes),
  };
}

/** Number, time and id are bound to what is wrapped. */
function contextOf(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(Buffer.concat([Buffer.from("tallystick/backup-key/v1\0"), bytes.subarray(0, WRAPPED_AT)]));
}

function checksum(bytes: Uint8Array): Buffer {
  return hash("sha256", bytes, "buffer");
}
