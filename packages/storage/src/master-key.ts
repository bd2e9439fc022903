/** The master key: 32 random bytes, written as 64 lower-case hex digits in a file of its own or in the environment. */
import { randomBytes } from "node:crypto";
import { dirname } from "node:path";
import { StorageError } from "./error.ts";
import { storageFailure } from "./failure.ts";
import { type FileSystem, nodeFileSystem } from "./file-system.ts";
import { readSecretFile, syncFolder } from "./files.ts";
import { KEY_BYTES, type RandomSource } from "./key-wrap.ts";

/** The variable that holds the master key where no file does. */
export const MASTER_KEY_VARIABLE = "TALLYSTICK_MASTER_KEY";

export type MasterKeySource =
  | { readonly file: string }
  /** Usually `process.env`; the variable is {@link MASTER_KEY_VARIABLE} by default. */
  | { readonly env: Readonly<Record<string, string | undefined>>; readonly variable?: string };

/**
 * Reads the master key.
 *
 * @throws {StorageError} `master-key-malformed`: the file or the variable is not 64 lower-case hex digits, or not there.
 * @throws {StorageError} `secret-file-exposed`: others than its owner can read the file.
 * @throws {StorageError} `storage-unavailable`: the file cannot be read.
 */
export async function loadMasterKey(source: MasterKeySource): Promise<Uint8Array> {
  if ("env" in source) {
    const { env, variable = MASTER_KEY_VARIABLE } = source;
    return parseMasterKey(env[variable] ?? "", `the variable ${variable}`);
  }
  const bytes = await readSecretFile(source.file);
  return parseMasterKey(Buffer.from(bytes).toString("latin1"), source.file);
}

/** One line feed at the end is an editor's. */
function parseMasterKey(text: string, where: string): Uint8Array {
  const digits = text.endsWith("\n") ? text.slice(0, -1) : text;
  if (!/^[0-9a-f]{64}$/.test(digits)) {
    const message = `${where} does not hold a master key: expected 64 lower-case hex digits, got ${digits.length} characters`;
    throw new StorageError("master-key-malformed", message);
  }
  return new Uint8Array(Buffer.from(digits, "hex"));
}

export interface CreateMasterKeyOptions {
  /** Default: node:crypto's. */
  readonly random?: RandomSource;
  /** Default: the machine's. */
  readonly fileSystem?: FileSystem;
}

/**
 * Makes a new master key in a file that only its owner can read. Durable when it resolves. Never replaces a file: to
 * overwrite a master key is to lose every key that it wraps.
 *
 * @throws {StorageError} `storage-unavailable`: the file exists already, or cannot be written.
 */
export async function createMasterKeyFile(path: string, options: CreateMasterKeyOptions = {}): Promise<Uint8Array> {
  const { random = randomBytes, fileSystem = nodeFileSystem } = options;
  const key = new Uint8Array(random(KEY_BYTES));
  try {
    const file = await fileSystem.open(path, "wx", 0o600);
    try {
      await fileSystem.write(file, Buffer.from(`${Buffer.from(key).toString("hex")}\n`), 0);
      await fileSystem.sync(file);
    } finally {
      await fileSystem.close(file);
    }
    await syncFolder(dirname(path), fileSystem);
  } catch (cause) {
    throw storageFailure(`could not make the master key ${path}`, cause);
  }
  return key;
}
