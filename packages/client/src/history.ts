/**
 * Holding a log to its own earlier words. What the tiles give is believed only once it hashes to the signed head: a
 * proof that fails because tiles are broken accuses nobody, one that holds and contradicts is evidence.
 */
import {
  type Checkpoint,
  type Hash,
  TallystickError,
  encodeBase64,
  equalBytes,
  parseCheckpoint,
  parseNote,
  planConsistency,
  planInclusion,
  verifyConsistency,
  verifyInclusion,
} from "@tallystick/core";
import { ClientError, LogForkedError } from "./error.ts";
import { formatForkEvidence } from "./fork.ts";
import type { TileProver } from "./tile-prover.ts";

export interface HeadToCompare {
  readonly prover: TileProver;
  /** The head whose signature has verified, and its note. */
  readonly checkpoint: Checkpoint;
  readonly note: string;
  /** The note of an earlier verified head. */
  readonly kept: string;
}

export type Comparison = "extends" | "older";

/**
 * Says whether a head extends one that was seen before, or is the older one, as behind a cache it may be.
 *
 * @throws {ClientError} `log-forked`: neither can extend the other; `details.evidence` proves it to anybody.
 *   `log-answer-malformed`: the tiles do not hash to the head, so nothing can be said.
 */
export async function compareHeads({ prover, checkpoint, note, kept: keptNote }: HeadToCompare): Promise<Comparison> {
  const kept = parseCheckpoint(parseNote(keptNote).text);
  if (kept.size > checkpoint.size) return "older";
  if (kept.size === checkpoint.size) {
    if (equalBytes(kept.rootHash, checkpoint.rootHash)) return "extends";
    throw forked(checkpoint, [keptNote, note]);
  }
  if (kept.size === 0n) return "extends";
  const ends = { from: kept.size, to: checkpoint.size };
  const proof = await prover.prove(planConsistency(ends));
  const claim = { ...ends, toRootHash: checkpoint.rootHash, proof };
  if (holds(() => verifyConsistency({ ...claim, fromRootHash: kept.rootHash }))) return "extends";
  // What the new tree itself has at the older size: if that is proved, the two signed heads contradict each other.
  const rootHash = await prover.rootHash(Number(kept.size));
  if (!holds(() => verifyConsistency({ ...claim, fromRootHash: rootHash }))) throw brokenTiles(checkpoint);
  throw forked(checkpoint, [keptNote, note], { rootHash, proof });
}

function forked(
  { origin, size }: Checkpoint,
  checkpoints: readonly [string, string],
  shown?: { readonly rootHash: Hash; readonly proof: readonly Hash[] },
): LogForkedError {
  const evidence = formatForkEvidence({
    origin,
    checkpoints,
    ...(shown === undefined
      ? {}
      : { rootHash: encodeBase64(shown.rootHash), proof: shown.proof.map((hash) => encodeBase64(hash)) }),
  });
  const text = `${origin} shows a head of size ${size} that does not extend the one it showed before: nothing more is sent; keep details.evidence and show it to the auditor`;
  return new LogForkedError(text, { evidence });
}

export interface LeafToProve {
  readonly prover: TileProver;
  readonly checkpoint: Checkpoint;
  readonly index: number;
  readonly leafHash: Hash;
}

/**
 * Proves from the tiles that the tree under a verified head holds a leaf at an index.
 *
 * @throws {ClientError} `log-misbehaved`: it provably holds another leaf there; `log-answer-malformed`: the tiles do not
 *   hash to the head.
 */
export async function proveLeaf({ prover, checkpoint, index, leafHash }: LeafToProve): Promise<Hash[]> {
  const { size, rootHash } = checkpoint;
  const proof = await prover.prove(planInclusion({ index, size }));
  const claim = { index, size, rootHash, proof };
  if (holds(() => verifyInclusion({ ...claim, leafHash }))) return proof;
  const other = await prover.leafHash(index);
  if (!holds(() => verifyInclusion({ ...claim, leafHash: other }))) throw brokenTiles(checkpoint);
  const text = `the log acknowledged an event at index ${index}, but its signed tree of size ${size} holds another leaf there`;
  throw new ClientError("log-misbehaved", text, {
    details: { index, size: String(size), expected: encodeBase64(leafHash), got: encodeBase64(other) },
  });
}

function holds(verify: () => void): boolean {
  try {
    verify();
    return true;
  } catch (error) {
    if (error instanceof TallystickError) return false;
    throw error;
  }
}

function brokenTiles({ origin, size }: Checkpoint): ClientError {
  return new ClientError(
    "log-answer-malformed",
    `the tiles of ${origin} do not hash to its signed head of size ${size}`,
  );
}
