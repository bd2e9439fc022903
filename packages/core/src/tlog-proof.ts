/** Proofs that an entry is in a log, as one text that can be checked offline. c2sp.org/tlog-proof */
import { decodeBase64, encodeBase64 } from "./base64.ts";
import { Base64Reader, HASH_LINES_MAX, HASH_LINE_CHARS } from "./base64-reader.ts";
import { decodeUtf8 } from "./bytes.ts";
import { type Checkpoint, parseCheckpoint } from "./checkpoint.ts";
import { TlogError, quote } from "./error.ts";
import { HASH_BYTES, type Hash } from "./hash.ts";
import { NOTE_BYTES_MAX, type Note, parseNote } from "./note.ts";
import type { Policy } from "./policy.ts";
import { verifyInclusion } from "./proof.ts";
import { type VerifiedCheckpoint, type VerifyCheckpointInput, verifyCheckpoint } from "./quorum.ts";
import { formatUint, parseUint } from "./uint.ts";

export interface TlogProof {
  /** Opaque, and not authenticated by the proof. */
  readonly extra?: Uint8Array;
  readonly index: bigint;
  /** From the leaf's sibling up; at most 63. */
  readonly hashes: readonly Hash[];
  /** The signed note, as it is. */
  readonly checkpoint: string;
}

const HEADER = "c2sp.org/tlog-proof@v1";
/** A note, 63 hashes, and an extra of an entry's largest size in base64. */
const PROOF_BYTES_MAX = NOTE_BYTES_MAX + 131_072;

/**
 * Parses a proof. Verifies nothing but its form, the index against the size included.
 *
 * @throws {TlogError} `proof-malformed`, and `note-malformed` or `checkpoint-malformed` for the checkpoint in it.
 */
export function parseTlogProof(proof: Uint8Array | string): TlogProof {
  return openTlogProof(proof).proof;
}

/** A proof with what its checkpoint says. */
export interface OpenedTlogProof {
  readonly proof: TlogProof;
  readonly note: Note;
  readonly checkpoint: Checkpoint;
}

/**
 * The same, and its checkpoint parsed, for those who go on with that.
 *
 * @throws {TlogError} What parseTlogProof() throws.
 */
export function openTlogProof(proof: Uint8Array | string): OpenedTlogProof {
  if (proof.length > PROOF_BYTES_MAX) throw malformed(`expected at most ${PROOF_BYTES_MAX} bytes, got ${proof.length}`);
  const text = typeof proof === "string" ? proof : decodeUtf8(proof, "proof-malformed");
  const end = text.indexOf("\n\n");
  if (end === -1) throw malformed("no empty line before the checkpoint");
  const [header, ...lines] = text.slice(0, end).split("\n");
  if (header !== HEADER) throw malformed(`line 1: expected ${HEADER}, got ${quote(header ?? "")}`);
  const extra = lines[0]?.startsWith("extra ") === true ? parseExtra(lines.shift() ?? "") : undefined;
  const index = parseIndex(lines.shift());
  const hashes = parseHashes(lines);
  const signed = text.slice(end + 2);
  const note = parseNote(signed);
  const checkpoint = parseCheckpoint(note.text);
  if (index >= checkpoint.size) throw malformed(`index ${index} is not below the tree size ${checkpoint.size}`);
  return { proof: { ...(extra === undefined ? {} : { extra }), index, hashes, checkpoint: signed }, note, checkpoint };
}

function parseExtra(line: string): Uint8Array {
  const extra = decodeBase64(line.slice("extra ".length), "proof-malformed", "proof extra");
  if (extra.length === 0) throw malformed("extra is empty: leave the line out");
  return extra;
}

function parseIndex(line: string | undefined): bigint {
  if (line?.startsWith("index ") !== true) throw malformed(`expected an index line, got ${quote(line ?? "")}`);
  return parseUint(line.slice("index ".length), "proof-malformed", "proof index");
}

const reader = new Base64Reader("none");

/** All at once where each is in its one form; else one by one, which tells the one that is not. */
function parseHashes(lines: readonly string[]): Hash[] {
  const { length } = lines;
  if (length > HASH_LINES_MAX) throw malformed(`expected at most ${HASH_LINES_MAX} hashes, got ${length}`);
  const text = `${lines.join("\n")}\n`;
  if (text.length !== length * HASH_LINE_CHARS) return lines.map(parseHash);
  reader.take(text);
  const words = reader.readHashes(0, length);
  if (words === undefined) return lines.map(parseHash);
  const bytes = new Uint8Array(words.buffer, words.byteOffset);
  return lines.map((_, at) => bytes.slice(at * HASH_BYTES, (at + 1) * HASH_BYTES));
}

function parseHash(line: string, at: number): Hash {
  const hash = decodeBase64(line, "proof-malformed", () => `proof hash ${at}`);
  if (hash.length !== HASH_BYTES) throw malformed(`hash ${at}: expected ${HASH_BYTES} bytes, got ${hash.length}`);
  return hash;
}

/**
 * Writes a proof.
 *
 * @throws {TlogError} What parseTlogProof() throws: it would not parse.
 * @throws {RangeError} The index is not from 0 to 2^63 - 1.
 */
export function formatTlogProof({ checkpoint, ...proof }: TlogProof): string {
  return tlogProofFormatter(checkpoint)(proof);
}

/**
 * Writes proofs under one checkpoint, which is parsed once for all of them.
 *
 * @throws {TlogError} `note-malformed` or `checkpoint-malformed`; the function that it gives, as {@link formatTlogProof}.
 */
export function tlogProofFormatter(checkpoint: string): (proof: Omit<TlogProof, "checkpoint">) => string {
  const { size } = parseCheckpoint(parseNote(checkpoint).text);
  const end = `\n${checkpoint}`;
  return ({ extra, index, hashes }) => {
    const lines = [HEADER];
    if (extra?.length === 0) throw malformed("extra is empty: leave the line out");
    if (extra !== undefined) lines.push(`extra ${encodeBase64(extra)}`);
    lines.push(`index ${formatUint(index)}`);
    if (index >= size) throw malformed(`index ${index} is not below the tree size ${size}`);
    if (hashes.length > HASH_LINES_MAX)
      throw malformed(`expected at most ${HASH_LINES_MAX} hashes, got ${hashes.length}`);
    for (const [at, hash] of hashes.entries()) {
      if (hash.length !== HASH_BYTES) throw malformed(`hash ${at}: expected ${HASH_BYTES} bytes, got ${hash.length}`);
      lines.push(encodeBase64(hash));
    }
    lines.push(end);
    const text = lines.join("\n");
    if (text.length > PROOF_BYTES_MAX) throw malformed(`expected at most ${PROOF_BYTES_MAX} bytes, got ${text.length}`);
    return text;
  };
}

/**
 * Verifies that an entry is in a log of the policy, under a head that meets its quorum.
 *
 * The leaf hash is the caller's: what `extra` says counts only once it hashes to it.
 *
 * @throws {TlogError} What parseTlogProof() and verifyCheckpoint() throw; `proof-invalid`: the hashes do not lead from the
 *   leaf to the signed root.
 */
export function verifyTlogProof(
  input: Omit<VerifyCheckpointInput, "note"> & {
    readonly proof: TlogProof | Uint8Array | string;
    readonly leafHash: Hash;
    readonly policy: Policy;
  },
): VerifiedCheckpoint & { readonly index: bigint } {
  const opened = isEncoded(input.proof) ? openTlogProof(input.proof) : { proof: input.proof, note: undefined };
  const { proof, note = proof.checkpoint } = opened;
  const verified = verifyCheckpoint({ ...input, note });
  const { size, rootHash } = verified.checkpoint;
  if (proof.index >= size) throw malformed(`index ${proof.index} is not below the tree size ${size}`);
  verifyInclusion({ index: proof.index, size, leafHash: input.leafHash, rootHash, proof: proof.hashes });
  return { ...verified, index: proof.index };
}

/** Bytes of another realm (a worker's, a test's) are no instance of this one's Uint8Array. */
function isEncoded(proof: TlogProof | Uint8Array | string): proof is Uint8Array | string {
  return typeof proof === "string" || ArrayBuffer.isView(proof);
}

function malformed(text: string): TlogError {
  return new TlogError("proof-malformed", `proof: ${text}`);
}
