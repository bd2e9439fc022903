/**
 * The bodies of `add-checkpoint` and `sign-subtree`, parsed strictly. c2sp.org/tlog-witness
 *
 * Both are some lines, an empty line, and a signed checkpoint. What does not parse is refused before anything is hashed.
 */
import {
  type Checkpoint,
  HASH_BYTES,
  type Hash,
  type Note,
  TlogError,
  decodeBase64,
  isValidSubtree,
  parseCheckpoint,
  parseNote,
  parseUint,
  quote,
} from "@tallystick/core";
import { WitnessError, messageOf } from "./error.ts";
import { type KeyRef, canonicalSignatureLines } from "./signature-line.ts";

/** A proof between trees of less than 2^63 leaves needs no more; the protocol allows no more. */
const PROOF_HASHES_MAX = 63;
const NEWLINE = 0x0a;

/** A signed checkpoint as it came. */
export interface SubmittedNote {
  readonly note: Note;
  readonly checkpoint: Checkpoint;
  /** Keys on whose lines the base64 was not canonical, so that their signatures count as invalid. */
  readonly disfigured: readonly KeyRef[];
}

export interface AddCheckpointRequest extends SubmittedNote {
  readonly oldSize: bigint;
  readonly proof: readonly Hash[];
}

export interface SignSubtreeRequest extends SubmittedNote {
  readonly start: bigint;
  readonly end: bigint;
  readonly subtreeHash: Hash;
  readonly proof: readonly Hash[];
}

/**
 * Parses the body of an `add-checkpoint` request.
 *
 * Checks neither signatures nor sizes against each other.
 *
 * @throws {WitnessError} `request-malformed`, naming the line.
 */
export function parseAddCheckpoint(body: Uint8Array): AddCheckpointRequest {
  const { lines, rest } = splitLines(body, 1 + PROOF_HASHES_MAX);
  const [first = "", ...proofLines] = lines;
  if (!first.startsWith("old ")) throw malformed(`line 1: expected "old" and a size, got ${quote(first)}`);
  const oldSize = refusing(() => parseUint(first.slice(4), "proof-malformed", "line 1"));
  const proof = proofLines.map((line, index) => parseHash(line, index + 2));
  return { oldSize, proof, ...parseSubmittedNote(rest) };
}

/**
 * Parses the body of a `sign-subtree` request, whose range has to be a subtree of the checkpoint's tree.
 *
 * @throws {WitnessError} `request-malformed`, naming the line.
 */
export function parseSignSubtree(body: Uint8Array): SignSubtreeRequest {
  const { lines, rest } = splitLines(body, 2 + PROOF_HASHES_MAX);
  const [first = "", second, ...proofLines] = lines;
  const { start, end } = parseRange(first);
  if (second === undefined) throw malformed("line 2: expected the subtree's hash");
  const subtreeHash = parseHash(second, 2);
  const proof = proofLines.map((line, index) => parseHash(line, index + 3));
  const submitted = parseSubmittedNote(rest);
  const { size } = submitted.checkpoint;
  if (end > size) throw malformed(`line 1: the subtree ends at ${end}, behind the checkpoint's size ${size}`);
  return { start, end, subtreeHash, proof, ...submitted };
}

function parseRange(line: string): { start: bigint; end: bigint } {
  const [word, first, second, ...others] = line.split(" ");
  if (word !== "subtree" || first === undefined || second === undefined || others.length > 0) {
    throw malformed(`line 1: expected "subtree", a start and an end, got ${quote(line)}`);
  }
  const start = refusing(() => parseUint(first, "proof-malformed", "line 1"));
  const end = refusing(() => parseUint(second, "proof-malformed", "line 1"));
  if (!isValidSubtree({ start, end })) throw malformed(`line 1: [${start}, ${end}) is not a valid subtree`);
  return { start, end };
}

/** The lines up to the first empty one, without their newlines, and the bytes behind that. */
function splitLines(body: Uint8Array, linesMax: number): { lines: string[]; rest: Uint8Array } {
  const lines: string[] = [];
  for (let offset = 0; ;) {
    const end = body.indexOf(NEWLINE, offset);
    if (end < 0) throw malformed(`line ${lines.length + 1}: expected a newline and, further on, an empty line`);
    if (end === offset) return { lines, rest: body.subarray(end + 1) };
    if (lines.length === linesMax) throw malformed(`more than ${PROOF_HASHES_MAX} proof lines`);
    // As latin1 no byte gets lost or joined: whatever is not ASCII is refused by the parsers.
    lines.push(Buffer.from(body.subarray(offset, end)).toString("latin1"));
    offset = end + 1;
  }
}

function parseHash(line: string, number: number): Hash {
  const hash = refusing(() => decodeBase64(line, "proof-malformed", `line ${number}`));
  if (hash.length !== HASH_BYTES) throw malformed(`line ${number}: expected a hash of 32 bytes, got ${hash.length}`);
  return hash;
}

function parseSubmittedNote(bytes: Uint8Array): SubmittedNote {
  const { canonical, disfigured } = canonicalSignatureLines(bytes);
  return refusing(() => {
    const note = parseNote(canonical);
    return { note, checkpoint: parseCheckpoint(note.text), disfigured };
  });
}

function refusing<T>(parse: () => T): T {
  try {
    return parse();
  } catch (cause) {
    if (cause instanceof TlogError) throw malformed(messageOf(cause), cause);
    throw cause;
  }
}

function malformed(message: string, cause?: unknown): WitnessError {
  return new WitnessError("request-malformed", message, { cause });
}
