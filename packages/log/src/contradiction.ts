/** Heads that bear our own signature and are not in our history: how a rollback and a fork are noticed, and kept. */
import {
  type Policy,
  encodeBase64,
  encodeHex,
  equalBytes,
  planConsistency,
  sha256,
  utf8,
  verifyCheckpoint,
} from "@tallystick/core";
import type { LogStorage } from "@tallystick/storage";
import { LogError } from "./error.ts";
import type { SignedHead } from "./heads.ts";
import { TABLE } from "./rows.ts";
import type { StoredTiles } from "./tiles.ts";

export interface ContradictionInput {
  readonly origin: string;
  readonly policy: Policy;
  readonly tiles: StoredTiles;
  /** The head that a witness shows. */
  readonly note: string;
  readonly signed: SignedHead | undefined;
}

/**
 * Whether a head that a witness shows bears our own signature and is not in our history: then we were rolled back or
 * forked. A head without our valid signature says nothing about us.
 */
export async function findContradiction(
  input: ContradictionInput,
): Promise<{ readonly error?: LogError; readonly size?: number }> {
  const { origin, policy, tiles, note, signed } = input;
  const head = ownHead(note, policy, origin);
  if (head === undefined) return {};
  const known = signed?.size ?? 0;
  if (head.size > known) {
    const text = `a witness holds a head of size ${head.size} that bears this log's own signature, but this storage's newest is of size ${known}: it was put back to an older state. Restore the newest copy; do not write to this one`;
    return {
      error: new LogError("log-rolled-back", text, {
        details: { theirs: head.size, ours: known, checkpoints: [signed?.note ?? null, note] },
      }),
    };
  }
  if (!equalBytes(await tiles.rootAt(head.size), head.rootHash)) {
    const text = `a witness holds a head of size ${head.size} that bears this log's own signature and has another root than this storage: two logs were run with one key`;
    return {
      error: new LogError("log-forked", text, {
        details: { size: head.size, evidence: await forkEvidence(input, head) },
      }),
    };
  }
  return { size: head.size };
}

function ownHead(note: string, policy: Policy, origin: string): { size: number; rootHash: Uint8Array } | undefined {
  try {
    const { checkpoint } = verifyCheckpoint({ note, policy: { ...policy, witnesses: [], groups: [], quorum: "none" } });
    if (checkpoint.origin !== origin || checkpoint.size > BigInt(Number.MAX_SAFE_INTEGER)) return undefined;
    return { size: Number(checkpoint.size), rootHash: checkpoint.rootHash };
  } catch {
    return undefined;
  }
}

/**
 * Keeps two heads that prove a fork, in the form in which they can be handed to anybody. A head that is larger than
 * ours is no fork yet, only a sign of our rollback: nothing is kept of it but the error.
 */
async function forkEvidence(input: ContradictionInput, theirs: { size: number }): Promise<string> {
  const { origin, note, signed, tiles } = input;
  const own = signed?.size ?? 0;
  const proof =
    own === theirs.size ? undefined : await tiles.prove(planConsistency({ from: theirs.size, to: own }), own);
  return `${JSON.stringify({
    format: "tallystick/fork@1",
    origin,
    checkpoints: [note, signed?.note],
    ...(proof === undefined
      ? {}
      : { rootHash: encodeBase64(await tiles.rootAt(theirs.size)), proof: proof.map(encodeBase64) }),
  })}\n`;
}

/** Makes the evidence that an error carries durable, beside the log. */
export async function keepEvidence(storage: LogStorage, { details }: LogError): Promise<void> {
  const { evidence } = details;
  if (typeof evidence !== "string") return;
  const value = utf8(evidence);
  await storage.putRows([{ table: TABLE.evidence, key: encodeHex(sha256(value)), value }]);
}
