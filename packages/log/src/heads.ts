/** The three heads as they are stored: canonical CBOR, each with its version first. docs/reference/storage-layout.md */
import type { Hash } from "@tallystick/core";
import { type CborValue, decodeCbor, encodeCbor } from "@tallystick/events";
import type { LogStorage } from "@tallystick/storage";
import { LogError } from "./error.ts";

/** The tree that is on disk. */
export interface IntegratedHead {
  readonly size: number;
  readonly rootHash: Hash;
  /** The compact range, largest subtree first. */
  readonly hashes: readonly Hash[];
  /** Of the last entry; 0 for the empty tree. */
  readonly loggedAt: number;
  /** The log's own stream. */
  readonly own: OwnStream;
  /** Whether anything but a log.head came since the last log.head. */
  readonly headDue: boolean;
}

export interface OwnStream {
  /** The sender key that it is signed with; with another key another stream begins. */
  readonly publicKey: Uint8Array;
  /** 16 random bytes. */
  readonly instance: Uint8Array;
  readonly nextSequence: number;
}

/** The newest head that we signed; with its cosignatures once it is published. */
export interface SignedHead {
  readonly size: number;
  readonly rootHash: Hash;
  /** The signed note. */
  readonly note: string;
  /** In ms since 1970. */
  readonly signedAt: number;
}

const VERSION = 1;
const HEAD_BYTES_MAX = 1_048_576;

export function encodeIntegratedHead(head: IntegratedHead): Uint8Array {
  const { size, rootHash, hashes, loggedAt, own, headDue } = head;
  return encodeCbor([
    VERSION,
    size,
    rootHash,
    hashes,
    loggedAt,
    [own.publicKey, own.instance, own.nextSequence],
    headDue,
  ]);
}

/** @throws {LogError} `log-corrupt` */
export function decodeIntegratedHead(bytes: Uint8Array): IntegratedHead {
  const [size, rootHash, hashes, loggedAt, own, headDue] = fieldsOf(bytes, "integrated head", 7);
  const [publicKey, instance, nextSequence] = listOf(own, "own stream");
  return {
    size: numberOf(size, "size"),
    rootHash: bytesOf(rootHash, "root hash"),
    hashes: listOf(hashes, "hashes").map((hash) => bytesOf(hash, "hash")),
    loggedAt: numberOf(loggedAt, "logged-at"),
    own: {
      publicKey: bytesOf(publicKey, "public key"),
      instance: bytesOf(instance, "instance"),
      nextSequence: numberOf(nextSequence, "sequence"),
    },
    headDue: headDue === true,
  };
}

export function encodeSignedHead({ size, rootHash, note, signedAt }: SignedHead): Uint8Array {
  return encodeCbor([VERSION, size, rootHash, note, signedAt]);
}

/** @throws {LogError} `log-corrupt` */
export function decodeSignedHead(bytes: Uint8Array): SignedHead {
  const [size, rootHash, note, signedAt] = fieldsOf(bytes, "signed head", 5);
  if (typeof note !== "string") throw corrupt("signed head: expected a note");
  return {
    size: numberOf(size, "size"),
    rootHash: bytesOf(rootHash, "root hash"),
    note,
    signedAt: numberOf(signedAt, "time"),
  };
}

/** The heads that are stored. @throws {LogError} `log-corrupt` */
export async function readHeads(storage: LogStorage): Promise<{
  readonly signed: { readonly version: number; readonly head: SignedHead | undefined };
  readonly published: { readonly version: number; readonly head: SignedHead | undefined };
}> {
  const read = async (name: "signed" | "published"): Promise<{ version: number; head: SignedHead | undefined }> => {
    const stored = await storage.readHead(name);
    return stored === undefined
      ? { version: 0, head: undefined }
      : { version: stored.version, head: decodeSignedHead(stored.bytes) };
  };
  return { signed: await read("signed"), published: await read("published") };
}

function fieldsOf(bytes: Uint8Array, what: string, length: number): readonly CborValue[] {
  const value = decodeCbor(bytes, { bytesMax: HEAD_BYTES_MAX });
  const [version, ...fields] = listOf(value, what);
  if (version !== VERSION || fields.length !== length - 1)
    throw corrupt(`${what}: unknown form; is this folder a newer version's?`);
  return fields;
}

/** A list of CBOR values. @throws {LogError} `log-corrupt` */
export function listOf(value: CborValue | undefined, what: string): readonly CborValue[] {
  if (Array.isArray(value)) return value as readonly CborValue[];
  throw corrupt(`${what}: expected a list`);
}

export function numberOf(value: CborValue | undefined, what: string): number {
  if (typeof value === "number") return value;
  throw corrupt(`${what}: expected a number`);
}

export function bytesOf(value: CborValue | undefined, what: string): Uint8Array {
  if (value instanceof Uint8Array) return value;
  throw corrupt(`${what}: expected bytes`);
}

/** Of what is stored, in words behind `stored`. */
export function corrupt(text: string): LogError {
  return new LogError("log-corrupt", `stored ${text}`);
}
