/** The two keys of a witness: Ed25519, which everybody verifies, and ML-DSA-44, which outlives quantum computers. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { type Signer, createSigner, decodeUtf8, formatSignerKey, parseSignerKey, quote, utf8 } from "@tallystick/core";
import { type FileSystem, readSecretFile, writeFileDurably } from "@tallystick/storage";
import { WitnessError, messageOf } from "./error.ts";

const KEYS_FOLDER = "keys";
const SEED_BYTES = 32;

const KEY_FILES = [
  { file: "ed25519.key", type: "ed25519-cosigner" },
  { file: "mldsa44.key", type: "mldsa44" },
] as const;

export interface CreateKeysOptions {
  readonly dir: string;
  readonly name: string;
  readonly random: (size: number) => Uint8Array;
  readonly fileSystem: FileSystem;
}

/**
 * Makes the key files of a witness, readable by their owner only. Durable when it resolves. One that is there is kept.
 *
 * @throws {WitnessError} `key-unusable`: a key file that is there belongs to another name.
 */
export async function createKeys({ dir, name, random, fileSystem }: CreateKeysOptions): Promise<void> {
  await fileSystem.makeFolder(join(dir, KEYS_FOLDER), 0o700);
  for (const { file, type } of KEY_FILES) {
    const path = join(dir, KEYS_FOLDER, file);
    if (existsSync(path)) continue;
    const signer = createSigner({ name, type, seed: random(SEED_BYTES) });
    await writeFileDurably(path, utf8(`${formatSignerKey(signer)}\n`), { mode: 0o600, fileSystem });
  }
  await readKeys(dir, name);
}

/**
 * Reads the key files of the witness called `name`, Ed25519 first.
 *
 * @throws {WitnessError} `key-unusable`: not a key of the right type, or one of another witness.
 * @throws {StorageError} `secret-file-exposed`: others may read it. `storage-unavailable`: it cannot be read.
 */
export async function readKeys(dir: string, name: string): Promise<Signer[]> {
  return Promise.all(KEY_FILES.map(({ file, type }) => readKey({ path: join(dir, KEYS_FOLDER, file), type, name })));
}

async function readKey({
  path,
  type,
  name,
}: {
  readonly path: string;
  readonly type: string;
  readonly name: string;
}): Promise<Signer> {
  const bytes = await readSecretFile(path);
  const signer = parseKey(bytes, path);
  if (signer.type !== type)
    throw new WitnessError("key-unusable", `${path} holds a key of type ${signer.type}, expected ${type}`);
  if (signer.name !== name) {
    // One Ed25519 key under two names would let the cosignature of one pass as that of the other.
    throw new WitnessError(
      "key-unusable",
      `${path} is a key of ${quote(signer.name)}, and the witness is called ${quote(name)}`,
    );
  }
  return signer;
}

function parseKey(bytes: Uint8Array, path: string): Signer {
  try {
    return parseSignerKey(decodeUtf8(bytes).trimEnd());
  } catch (cause) {
    throw new WitnessError("key-unusable", `${path} does not hold a signer key: ${messageOf(cause)}`);
  }
}
