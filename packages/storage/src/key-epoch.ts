/**
 * The epoch: the key that wraps all rows of a key store, wrapped itself by the master key in a file of its own.
 *
 * To destroy keys is to start a new epoch without them and to destroy the old epoch key: 32 bytes, in one small file,
 * instead of everything that ever was written.
 *
 * File: magic (8) | epoch number u64 | epoch id (16) | nonce (24) | wrapped epoch key and lookup key (64 + 16) | SHA-256 of
 * all before (32).
 */
import { hash } from "node:crypto";
import { StorageError } from "./error.ts";
import { KEY_BYTES, NONCE_BYTES, type RandomSource, TAG_BYTES, unwrapSecret, wrapSecret } from "./key-wrap.ts";

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

const MAGIC = Buffer.from("tskeyep1", "latin1");
const ID_BYTES = 16;
const HEADER_BYTES = MAGIC.length + 8 + ID_BYTES;
const WRAPPED_AT = HEADER_BYTES + NONCE_BYTES;
const CHECKSUM_AT = WRAPPED_AT + 2 * KEY_BYTES + TAG_BYTES;
export const EPOCH_FILE_BYTES: number = CHECKSUM_AT + 32;

export function firstEpoch(random: RandomSource): KeyEpoch {
  return { number: 1, id: random(ID_BYTES), key: random(KEY_BYTES), lookupKey: random(KEY_BYTES) };
}

export function nextEpoch(epoch: KeyEpoch, random: RandomSource): KeyEpoch {
  return { number: epoch.number + 1, id: random(ID_BYTES), key: random(KEY_BYTES), lookupKey: epoch.lookupKey };
}

export function encodeEpoch(epoch: KeyEpoch, masterKey: Uint8Array, random: RandomSource): Uint8Array {
  const bytes = Buffer.alloc(EPOCH_FILE_BYTES);
  MAGIC.copy(bytes);
  bytes.writeBigUInt64BE(BigInt(epoch.number), MAGIC.length);
  bytes.set(epoch.id, MAGIC.length + 8);
  bytes.set(random(NONCE_BYTES), HEADER_BYTES);
  const secret = Buffer.concat([epoch.key, epoch.lookupKey]);
  bytes.set(wrapSecret(wrappingOf(bytes, masterKey), secret), WRAPPED_AT);
  secret.fill(0);
  bytes.set(checksum(bytes), CHECKSUM_AT);
  return bytes;
}

/**
 * @throws {StorageError} `key-store-corrupt`: the file is damaged.
 * @throws {StorageError} `master-key-wrong`: the file is whole, but wrapped by another master key.
 */
export function decodeEpoch(stored: Uint8Array, masterKey: Uint8Array, path: string): KeyEpoch {
  const bytes = Buffer.from(stored);
  const whole = bytes.length === EPOCH_FILE_BYTES && bytes.subarray(0, MAGIC.length).equals(MAGIC);
  if (!whole || !bytes.subarray(CHECKSUM_AT).equals(checksum(bytes))) {
    const message = `${path} is damaged, and with it every key is unreadable; restore the key store as a whole from its newest backup`;
    throw new StorageError("key-store-corrupt", message, { details: { path } });
  }
  const secret = unwrapSecret(wrappingOf(bytes, masterKey), bytes.subarray(WRAPPED_AT, CHECKSUM_AT));
  if (secret === undefined) {
    const message = `${path} is wrapped by another master key than the one given; give the one that this key store was made with`;
    throw new StorageError("master-key-wrong", message, { details: { path } });
  }
  return {
    number: Number(bytes.readBigUInt64BE(MAGIC.length)),
    id: new Uint8Array(bytes.subarray(MAGIC.length + 8, HEADER_BYTES)),
    key: secret.slice(0, KEY_BYTES),
    lookupKey: secret.slice(KEY_BYTES),
  };
}

function wrappingOf(bytes: Buffer, masterKey: Uint8Array): Parameters<typeof wrapSecret>[0] {
  return {
    key: masterKey,
    nonce: bytes.subarray(HEADER_BYTES, WRAPPED_AT),
    associatedData: Buffer.concat([Buffer.from("tallystick/key-epoch/v1\0"), bytes.subarray(0, HEADER_BYTES)]),
  };
}

function checksum(bytes: Uint8Array): Buffer {
  return hash("sha256", bytes.subarray(0, CHECKSUM_AT), "buffer");
}
