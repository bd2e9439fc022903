/** Cosignatures: what a witness signs, in Ed25519 and in ML-DSA-44. c2sp.org/tlog-cosignature */
import { concatBytes, equalBytes, readU64, u64, u8, utf8 } from "./bytes.ts";
import { ORIGIN_BYTES_MAX, parseCheckpoint } from "./checkpoint.ts";
import { TlogError, quote } from "./error.ts";
import { type Hash, assertHash, emptyRootHash } from "./hash.ts";
import { UINT_MAX, type Uint, formatUint, toBigInt } from "./uint.ts";

const TIMESTAMP_BYTES = 8;
const LABEL = utf8("subtree/v1\n\0");

/**
 * What an Ed25519 cosignature signs: the time, and the whole text of the note, extension lines included. Not the name of
 * the cosigner.
 *
 * @throws {RangeError} The time is not a whole number from 0 to 2^63 - 1.
 */
export function ed25519CosignatureMessage({
  timestamp,
  noteText,
}: {
  readonly timestamp: Uint;
  /** In UTF-8, or to be put into it, which is sooner done with all of it at once. */
  readonly noteText: Uint8Array | string;
}): Uint8Array {
  const before = `cosignature/v1\ntime ${formatUint(timestamp)}\n`;
  return typeof noteText === "string" ? utf8(before + noteText) : concatBytes(utf8(before), noteText);
}

/** A range of leaves [start, end) and its hash, as a cosigner names them. */
export interface CosignedSubtree {
  readonly origin: string;
  readonly start: Uint;
  readonly end: Uint;
  readonly hash: Hash;
}

/**
 * What an ML-DSA-44 cosignature signs: no extension lines, but the name of the cosigner.
 *
 * @throws {RangeError} A name or an origin of 0 or over 255 bytes; an end below the start; a time with a start; a hash of
 *   no leaves that is not that of the empty tree; a number that is not a whole one from 0 to 2^63 - 1.
 * @throws {TypeError} The hash is not 32 bytes.
 */
export function mldsa44CosignatureMessage(
  message: CosignedSubtree & { readonly name: string; readonly timestamp: Uint },
): Uint8Array {
  const { name, timestamp, origin, start, end, hash } = message;
  if (toBigInt(timestamp, "timestamp") !== 0n && toBigInt(start, "start") !== 0n) {
    throw new RangeError(`timestamp: expected 0 where start is ${start}, got ${timestamp}`);
  }
  if (toBigInt(end, "end") < toBigInt(start, "start")) {
    throw new RangeError(`end: expected at least the start, ${start}, got ${end}`);
  }
  assertHash(hash);
  if (toBigInt(end, "end") === 0n && !equalBytes(hash, emptyRootHash())) {
    throw new RangeError("hash: expected that of the empty tree where end is 0");
  }
  return concatBytes(LABEL, opaque(name, "name"), u64(timestamp), opaque(origin, "origin"), u64(start), u64(end), hash);
}

/**
 * The same for a whole checkpoint, read from the text of its note.
 *
 * @throws {TlogError} `checkpoint-malformed`
 * @throws {RangeError} A name or an origin of over 255 bytes; a time that is not a whole number from 0 to 2^63 - 1.
 */
export function checkpointCosignatureMessage({
  name,
  timestamp,
  noteText,
}: {
  readonly name: string;
  readonly timestamp: Uint;
  readonly noteText: string;
}): Uint8Array {
  const { origin, size, rootHash } = parseCheckpoint(noteText);
  return mldsa44CosignatureMessage({ name, timestamp, origin, start: 0, end: size, hash: rootHash });
}

/**
 * `timestamped_signature`: eight bytes of time before the signature itself.
 *
 * @throws {RangeError} The time is not a whole number from 0 to 2^63 - 1.
 */
export function encodeTimestamped({
  timestamp,
  signature,
}: {
  readonly timestamp: Uint;
  readonly signature: Uint8Array;
}): Uint8Array {
  return concatBytes(u64(toBigInt(timestamp, "timestamp")), signature);
}

/**
 * Takes a `timestamped_signature` apart.
 *
 * @param signatureBytes - 64 for Ed25519, 2420 for ML-DSA-44.
 * @throws {TlogError} `cosignature-malformed`: of another length, or with a time above 2^63 - 1.
 */
export function decodeTimestamped(
  blob: Uint8Array,
  signatureBytes: number,
): { timestamp: bigint; signature: Uint8Array } {
  if (blob.length !== TIMESTAMP_BYTES + signatureBytes) {
    const text = `cosignature: expected ${TIMESTAMP_BYTES + signatureBytes} bytes after the key ID, got ${blob.length}`;
    throw new TlogError("cosignature-malformed", text);
  }
  const timestamp = readU64(blob);
  if (timestamp > UINT_MAX)
    throw new TlogError("cosignature-malformed", `cosignature: time ${timestamp} is above 2^63 - 1`);
  return { timestamp, signature: blob.subarray(TIMESTAMP_BYTES) };
}

function opaque(text: string, what: string): Uint8Array {
  const bytes = utf8(text);
  if (bytes.length === 0 || bytes.length > ORIGIN_BYTES_MAX) {
    throw new RangeError(`${what}: expected 1 to ${ORIGIN_BYTES_MAX} bytes, got ${bytes.length} in ${quote(text)}`);
  }
  return concatBytes(u8(bytes.length), bytes);
}
