/**
 * Evidence of a fork: two heads that one log signed and that cannot both be heads of one append-only tree.
 *
 * Two roots for one size prove it to anybody who has the log's key. So do two sizes, where a proof shows which root the
 * larger tree has at the smaller size. Without that proof the file shows what was signed, and the audit of the log tells
 * which of the two is not in its history.
 */
import {
  type Checkpoint,
  type Hash,
  type Policy,
  TallystickError,
  decodeBase64,
  encodeBase64,
  equalBytes,
  verifyConsistency,
} from "@tallystick/core";
import { parseJson } from "@tallystick/events";
import { ClientError } from "./error.ts";
import { verifyHead } from "./receipt.ts";

export const FORK_FORMAT = "tallystick/fork@1";

export interface ForkEvidence {
  readonly format: typeof FORK_FORMAT;
  readonly origin: string;
  /** Two signed notes, the older first. */
  readonly checkpoints: readonly [string, string];
  /** The root hash, in base64, that the tree of the larger head has at the smaller size. */
  readonly rootHash?: string;
  /** Base64 hashes of a consistency proof: with `rootHash`, one that holds; alone, the one that was offered and failed. */
  readonly proof?: readonly string[];
}

type Heads = readonly [Checkpoint, Checkpoint];

export interface ForkVerdict {
  /** Whether the file alone proves the fork to anybody who has the log's key. */
  readonly proven: boolean;
  /** In words, for people. */
  readonly reason: string;
  readonly heads: readonly [Checkpoint, Checkpoint];
}

export function formatForkEvidence(evidence: Omit<ForkEvidence, "format">): string {
  return `${JSON.stringify({ format: FORK_FORMAT, ...evidence })}\n`;
}

/**
 * Parses a file of fork evidence: strict JSON with these members and no others, each once. Does not look into the notes.
 *
 * @throws {ClientError} `evidence-malformed`.
 */
export function parseForkEvidence(text: string): ForkEvidence {
  let value: unknown;
  try {
    value = parseJson(text);
  } catch (cause) {
    if (!(cause instanceof TallystickError)) throw cause;
    throw new ClientError("evidence-malformed", `fork evidence: expected JSON: ${cause.message}`, { cause });
  }
  if (!isForkEvidence(value)) {
    throw new ClientError(
      "evidence-malformed",
      `fork evidence: expected {format: "${FORK_FORMAT}", origin, checkpoints: [note, note], rootHash?, proof?} and nothing else`,
    );
  }
  return value;
}

function isForkEvidence(value: unknown): value is ForkEvidence {
  if (typeof value !== "object" || value === null) return false;
  const { format, origin, checkpoints, rootHash, proof, ...others } = value as Record<string, unknown>;
  if (Object.keys(others).length > 0) return false;
  if (rootHash !== undefined && typeof rootHash !== "string") return false;
  if (proof !== undefined && !(Array.isArray(proof) && proof.every((hash) => typeof hash === "string"))) return false;
  if (format !== FORK_FORMAT || typeof origin !== "string" || !Array.isArray(checkpoints)) return false;
  return checkpoints.length === 2 && checkpoints.every((note) => typeof note === "string");
}

/**
 * Verifies that both heads are signed by the log of the policy, and says whether they alone prove a fork.
 *
 * @throws {TlogError} a head is malformed, of an unknown origin, or not signed by the log.
 */
export function verifyForkEvidence({
  evidence,
  policy,
}: {
  readonly evidence: ForkEvidence;
  readonly policy: Policy;
}): ForkVerdict {
  const heads: [Checkpoint, Checkpoint] = [
    verifyHead({ policy }, evidence.checkpoints[0]).checkpoint,
    verifyHead({ policy }, evidence.checkpoints[1]).checkpoint,
  ];
  const [a, b] = heads;
  if (a.origin !== b.origin) {
    const reason = `the heads are of two logs (${a.origin} and ${b.origin}), so they do not contradict each other`;
    return { proven: false, reason, heads };
  }
  if (a.size === b.size) return sameSize(heads);
  const shown = contradictingRoot(evidence, heads);
  if (shown !== undefined) {
    const [smaller, larger] = bySize(heads);
    const reason =
      `${a.origin} signed size ${smaller.size} with root ${short(smaller)}, and a tree of size ${larger.size} ` +
      `that has root ${encodeBase64(shown).slice(0, 8)}… at size ${smaller.size}`;
    return { proven: true, reason, heads };
  }
  const reason =
    `${a.origin} signed both size ${a.size} (root ${short(a)}) and size ${b.size} (root ${short(b)}); ` +
    "whether the larger extends the smaller shows only in the log's tree: audit the log with these heads";
  return { proven: false, reason, heads };
}

/** The root that the larger tree provably has at the smaller size, where it is not the one that was signed. */
function contradictingRoot({ rootHash, proof }: ForkEvidence, heads: Heads): Hash | undefined {
  if (rootHash === undefined || proof === undefined) return undefined;
  const [smaller, larger] = bySize(heads);
  try {
    const fromRootHash = hashOf(rootHash);
    const claim = { from: smaller.size, to: larger.size, fromRootHash, toRootHash: larger.rootHash };
    verifyConsistency({ ...claim, proof: proof.map(hashOf) });
    return smaller.size === 0n || equalBytes(fromRootHash, smaller.rootHash) ? undefined : fromRootHash;
  } catch (error) {
    if (error instanceof TallystickError) return undefined;
    throw error;
  }
}

function hashOf(text: string): Hash {
  const hash = decodeBase64(text);
  if (hash.length === 32) return hash;
  throw new ClientError("evidence-malformed", `fork evidence: a hash has 32 bytes, got ${hash.length}`);
}

function bySize([a, b]: Heads): Heads {
  return a.size < b.size ? [a, b] : [b, a];
}

function sameSize(heads: Heads): ForkVerdict {
  const [a, b] = heads;
  if (equalBytes(a.rootHash, b.rootHash)) {
    return { proven: false, reason: `both heads are the same: size ${a.size}, root ${short(a)}`, heads };
  }
  const reason = `${a.origin} signed two trees of size ${a.size}: roots ${short(a)} and ${short(b)}`;
  return { proven: true, reason, heads };
}

function short({ rootHash }: Checkpoint): string {
  return `${encodeBase64(rootHash).slice(0, 8)}…`;
}
