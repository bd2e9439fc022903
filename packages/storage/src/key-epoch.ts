/**
 * The epoch: the key that wraps all rows of a key store, wrapped itself by the master key in a file of its own.
 *
 * To destroy keys is to start a new epoch without them and to destroy the old epoch key: 32 bytes, in one small file,
 * instead of everything that ever was written.
 *
 * File: magic (8) | epoch number u64 | epoch id (16) | what the master key wrapped | SHA-256 of all before (32). Wrapped are
 * the epoch key and the lookup key (64). A master key of 32 bytes writes the first form, in which this takes 104 bytes; all
 * others the second: size u8 and description of the master key, size u16 and what it wrapped.
 */
import { hash } from "node:crypto";
import { StorageError } from "./error.ts";
import { KEY_BYTES, NONCE_BYTES, type RandomSource, TAG_BYTES } from "./key-wrap.ts";
import { LocalMasterKey, type MasterKey, type MasterKeyProvider, masterKeyProvider } from "./master-key-provider.ts";

export interface KeyEpoch {
  /** Counts the epochs of this store from 1. */
  readonly number: number;
  /** 16 random bytes that tell this epoch from one of another copy of the store. */
  readonly id: Uint8Array;
  /** Wraps the rows. */
  readonly key: Uint8Array;
  /** Under which rows are found. Outlives the epochs: the names are not stored, so it cannot be changed. */
  readonly lookupKey: Uint8Array;
}

type EpochForm = "local" | "provider";

/** Written in the file, and in what the wrapping is bound to: never changed. */
const MAGICS: Readonly<Record<EpochForm, Buffer>> = {
  local: Buffer.from("tskeyep1", "latin1"),
  provider: Buffer.from("tskeyep2", "latin1"),
};
const CONTEXTS: Readonly<Record<EpochForm, Buffer>> = {
  local: Buffer.from("tallystick/key-epoch/v1\0"),
  provider: Buffer.from("tallystick/key-epoch/v2\0"),
};
const MAGIC_BYTES = 8;
const ID_BYTES = 16;
const HEADER_BYTES = MAGIC_BYTES + 8 + ID_BYTES;
const CHECKSUM_BYTES = 32;
const LOCAL_WRAPPED_BYTES = NONCE_BYTES + 2 * KEY_BYTES + TAG_BYTES;
const DESCRIPTION_BYTES_MAX = 255;
const WRAPPED_BYTES_MAX = 4096;

export function firstEpoch(random: RandomSource): KeyEpoch {
  return { number: 1, id: random(ID_BYTES), key: random(KEY_BYTES), lookupKey: random(KEY_BYTES) };
}

export function nextEpoch(epoch: KeyEpoch, random: RandomSource): KeyEpoch {
  return { number: epoch.number + 1, id: random(ID_BYTES), key: random(KEY_BYTES), lookupKey: epoch.lookupKey };
}

/**
 * The file of an epoch. What the master key wrapped is unwrapped once, before anything depends on it: a token may have
 * keys that encrypt and do not decrypt.
 *
 * @throws {StorageError} as the master key does.
 */
export async function encodeEpoch(epoch: KeyEpoch, wrappedBy: MasterKey, random: RandomSource): Promise<Uint8Array> {
  const masterKey = masterKeyProvider(wrappedBy, random);
  const form: EpochForm = masterKey instanceof LocalMasterKey ? "local" : "provider";
  const header = Buffer.alloc(HEADER_BYTES);
  MAGICS[form].copy(header);
  header.writeBigUInt64BE(BigInt(epoch.number), MAGIC_BYTES);
  header.set(epoch.id, MAGIC_BYTES + 8);
  const secret = Buffer.concat([epoch.key, epoch.lookupKey]);
  try {
    const context = contextOf(form, header);
    const wrapped = await masterKey.wrap(secret, context);
    await assertUnwraps({ masterKey, wrapped, context, secret });
    const body = form === "local" ? wrapped : describedBody(masterKey.describe(), wrapped);
    const bytes = Buffer.concat([header, body]);
    return new Uint8Array(Buffer.concat([bytes, checksum(bytes)]));
  } finally {
    secret.fill(0);
  }
}

/**
 * @throws {StorageError} `key-store-corrupt`: the file is damaged.
 * @throws {StorageError} `master-key-wrong`: the file is whole, but wrapped by another master key.
 * @throws {StorageError} as the master key does, where it cannot be used.
 */
export async function decodeEpoch(stored: Uint8Array, wrappedBy: MasterKey, path: string): Promise<KeyEpoch> {
  const masterKey = masterKeyProvider(wrappedBy);
  const bytes = Buffer.from(stored);
  const { form, description, wrapped } = parseEpoch(bytes, path);
  if ((form === "local") !== masterKey instanceof LocalMasterKey)
    throw wrongMasterKey({ path, description, masterKey });
  const header = bytes.subarray(0, HEADER_BYTES);
  const secret = await masterKey.unwrap(wrapped, contextOf(form, header)).catch((cause: unknown) => {
    if (!(cause instanceof StorageError) || cause.code !== "master-key-wrong") throw cause;
    throw wrongMasterKey({ path, description, masterKey });
  });
  const epoch = {
    number: Number(header.readBigUInt64BE(MAGIC_BYTES)),
    id: new Uint8Array(header.subarray(MAGIC_BYTES + 8)),
    key: secret.slice(0, KEY_BYTES),
    lookupKey: secret.slice(KEY_BYTES),
  };
  secret.fill(0);
  if (epoch.lookupKey.length !== KEY_BYTES) throw damaged(path);
  return epoch;
}

interface EpochFile {
  readonly form: EpochForm;
  /** Of the master key that wrapped it. */
  readonly description: string;
  readonly wrapped: Uint8Array;
}

function parseEpoch(bytes: Buffer, path: string): EpochFile {
  const checksumAt = bytes.length - CHECKSUM_BYTES;
  const body = bytes.subarray(HEADER_BYTES, Math.max(HEADER_BYTES, checksumAt));
  const magic = bytes.subarray(0, MAGIC_BYTES);
  const form = (Object.keys(MAGICS) as EpochForm[]).find((known) => magic.equals(MAGICS[known]));
  const parsed = form === "local" ? parseLocal(body) : form === "provider" ? parseDescribed(body) : undefined;
  if (parsed === undefined || !bytes.subarray(checksumAt).equals(checksum(bytes.subarray(0, checksumAt)))) {
    throw damaged(path);
  }
  return parsed;
}

function parseLocal(body: Buffer): EpochFile | undefined {
  if (body.length !== LOCAL_WRAPPED_BYTES) return undefined;
  return { form: "local", description: "a master key of 32 bytes", wrapped: body };
}

function describedBody(description: string, wrapped: Uint8Array): Buffer {
  const text = Buffer.from(description);
  if (text.length > DESCRIPTION_BYTES_MAX || wrapped.length > WRAPPED_BYTES_MAX) {
    throw new RangeError(
      `masterKey: expected a description of at most ${DESCRIPTION_BYTES_MAX} bytes and at most ${WRAPPED_BYTES_MAX} wrapped, got ${text.length} and ${wrapped.length}`,
    );
  }
  const sizes = [Buffer.from([text.length]), Buffer.from([wrapped.length >> 8, wrapped.length & 0xff])] as const;
  return Buffer.concat([sizes[0], text, sizes[1], wrapped]);
}

function parseDescribed(body: Buffer): EpochFile | undefined {
  const textEnd = 1 + (body[0] ?? 0);
  if (body.length < textEnd + 2) return undefined;
  const wrapped = body.subarray(textEnd + 2);
  if (wrapped.length !== body.readUInt16BE(textEnd)) return undefined;
  return { form: "provider", description: body.toString("utf8", 1, textEnd), wrapped };
}

interface Trial {
  readonly masterKey: MasterKeyProvider;
  readonly wrapped: Uint8Array;
  readonly context: Uint8Array;
  readonly secret: Uint8Array;
}

async function assertUnwraps({ masterKey, wrapped, context, secret }: Trial): Promise<void> {
  const unwrapped = await masterKey.unwrap(wrapped, context);
  const same = Buffer.compare(unwrapped, secret) === 0;
  unwrapped.fill(0);
  if (same) return;
  const message = `${masterKey.describe()} does not give back what it wrapped; nothing was written`;
  throw new StorageError("master-key-unavailable", message);
}

/** The number and id of the epoch are bound to what is wrapped: it cannot be put into another epoch's file. */
function contextOf(form: EpochForm, header: Uint8Array): Uint8Array {
  return new Uint8Array(Buffer.concat([CONTEXTS[form], header]));
}

function damaged(path: string): StorageError {
  const message = `${path} is damaged, and with it every key is unreadable; restore the key store as a whole from its newest backup`;
  return new StorageError("key-store-corrupt", message, { details: { path } });
}

interface Mismatch {
  readonly path: string;
  readonly description: string;
  readonly masterKey: MasterKeyProvider;
}

function wrongMasterKey({ path, description, masterKey }: Mismatch): StorageError {
  const given = masterKey.describe();
  const other = given === description ? "another" : `${description}, another`;
  const message = `${path} is wrapped by ${other} than the one given (${given}); give the one that this key store was last wrapped by`;
  return new StorageError("master-key-wrong", message, { details: { path, wrappedBy: description } });
}

function checksum(bytes: Uint8Array): Buffer {
  return hash("sha256", bytes, "buffer");
}
