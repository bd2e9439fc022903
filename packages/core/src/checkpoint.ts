/** Checkpoints: origin, tree size and root hash as the text of a signed note. c2sp.org/tlog-checkpoint */
import { decodeBase64, encodeBase64 } from "./base64.ts";
import { encodeHex, utf8 } from "./bytes.ts";
import { sha256 } from "#crypto";
import { TlogError, quote } from "./error.ts";
import { HASH_BYTES, type Hash, assertHash } from "./hash.ts";
import { formatUint, parseUint } from "./uint.ts";

export interface Checkpoint {
  /** The log's identity; opaque. */
  readonly origin: string;
  /** Leaves in the tree, at most 2^63 - 1. */
  readonly size: bigint;
  readonly rootHash: Hash;
  /** Further lines, signed with the rest; we write none. */
  readonly extensions: readonly string[];
}

/** An ML-DSA-44 cosignature cannot carry a longer origin or name. c2sp.org/tlog-cosignature */
export const ORIGIN_BYTES_MAX = 255;

/**
 * Writes the text of a checkpoint.
 *
 * @throws {TypeError} The origin or an extension is empty or has a line end in it; the root hash is not 32 bytes.
 * @throws {RangeError} The size is not a whole number from 0 to 2^63 - 1.
 */
export function formatCheckpoint(
  checkpoint: Omit<Checkpoint, "size" | "extensions"> & {
    readonly size: number | bigint;
    readonly extensions?: readonly string[];
  },
): string {
  const { origin, size, rootHash, extensions = [] } = checkpoint;
  assertHash(rootHash);
  for (const line of [origin, ...extensions]) {
    if (line === "" || line.includes("\n"))
      throw new TypeError(`checkpoint: expected one line of text, got ${quote(line)}`);
  }
  return [origin, formatUint(size), encodeBase64(rootHash), ...extensions, ""].join("\n");
}

/**
 * Parses the text of a checkpoint: exactly what `formatCheckpoint` writes. The origin is any text, of any length.
 *
 * @throws {TlogError} `checkpoint-malformed`: names the line.
 */
export function parseCheckpoint(text: string): Checkpoint {
  if (!text.endsWith("\n")) throw malformed("expected a newline at its end");
  const [origin = "", size, root, ...extensions] = text.slice(0, -1).split("\n");
  if (origin === "") throw malformed("line 1: expected an origin, got an empty line");
  if (size === undefined || root === undefined) throw malformed("expected origin, size and root hash, got fewer lines");
  const rootHash = decodeBase64(root, "checkpoint-malformed", "checkpoint line 3");
  if (rootHash.length !== HASH_BYTES) throw malformed(`line 3: expected ${HASH_BYTES} bytes, got ${rootHash.length}`);
  const empty = extensions.indexOf("");
  if (empty !== -1) throw malformed(`line ${empty + 4}: expected an extension, got an empty line`);
  return { origin, size: parseUint(size, "checkpoint-malformed", "checkpoint line 2"), rootHash, extensions };
}

/** The name of an origin in a witness's monitoring paths: SHA-256, 64 lower-case hex digits. c2sp.org/tlog-witness */
export function originHash(origin: string): string {
  return encodeHex(sha256(utf8(origin)));
}

function malformed(text: string): TlogError {
  return new TlogError("checkpoint-malformed", `checkpoint: ${text}`);
}
