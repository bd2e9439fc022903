/**
 * Evidence of a fork: two heads that one log signed and that cannot both be heads of one append-only tree.
 *
 * Two roots for one size prove it to anybody who has the log's key. For two sizes the file shows what was signed; the
 * audit of the log then tells which of the two is not in its history.
 */
import { type Checkpoint, type Policy, encodeBase64, equalBytes } from "@tallystick/core";
import { ClientError } from "./error.ts";
import { verifyHead } from "./receipt.ts";

export const FORK_FORMAT = "tallystick/fork@1";

export interface ForkEvidence {
  readonly format: typeof FORK_FORMAT;
  readonly origin: string;
  /** Two signed notes, the older first. */
  readonly checkpoints: readonly [string, string];
  /** Base64 hashes of the consistency proof that was offered and failed, if one was. */
  readonly proof?: readonly string[];
}

export type ForkVerdict =
  | { readonly proven: true; readonly reason: string; readonly heads: readonly [Checkpoint, Checkpoint] }
  | { readonly proven: false; readonly reason: string; readonly heads: readonly [Checkpoint, Checkpoint] };

export function formatForkEvidence(evidence: Omit<ForkEvidence, "format">): string {
  return `${JSON.stringify({ format: FORK_FORMAT, ...evidence })}\n`;
}

/**
 * Parses a file of fork evidence.
 *
 * @throws {ClientError} `evidence-malformed`.
 */
export function parseForkEvidence(text: string): ForkEvidence {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new ClientError("evidence-malformed", "fork evidence: expected JSON", { cause });
  }
  if (!isForkEvidence(value)) {
    throw new ClientError(
      "evidence-malformed",
      `fork evidence: expected {format: "${FORK_FORMAT}", origin, checkpoints: [note, note]}`,
    );
  }
  return value;
}

function isForkEvidence(value: unknown): value is ForkEvidence {
  if (typeof value !== "object" || value === null) return false;
  const { format, origin, checkpoints } = value as Record<string, unknown>;
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
  const reason =
    `${a.origin} signed both size ${a.size} (root ${short(a)}) and size ${b.size} (root ${short(b)}); ` +
    "whether the larger extends the smaller shows only in the log's tree: audit the log with these heads";
  return { proven: false, reason, heads };
}

function sameSize(heads: readonly [Checkpoint, Checkpoint]): ForkVerdict {
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
