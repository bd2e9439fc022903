/**
 * Collecting receipts: for what the log acknowledged, prove from public tiles that it is in the tree under a head that
 * meets the policy. Only then does an event leave the outbox.
 */
import {
  type Checkpoint,
  type Policy,
  TallystickError,
  encodeBase64,
  equalBytes,
  formatNote,
  formatTlogProof,
  parseCheckpoint,
  parseNote,
  planConsistency,
  planInclusion,
  selectSignatures,
  verifyConsistency,
} from "@tallystick/core";
import { ClientError } from "./error.ts";
import { expectationOf } from "./expectation.ts";
import { formatForkEvidence } from "./fork.ts";
import type { LogReader } from "./log-reader.ts";
import type { Outbox, OutboxEntry } from "./outbox.ts";
import { type VerifiedHead, verifyHead, verifyReceipt } from "./receipt.ts";
import type { KeptReceipt, ReceiptStore } from "./receipts.ts";
import { TileProver } from "./tile-prover.ts";

export interface CollectionOptions {
  readonly outbox: Outbox;
  readonly receipts: ReceiptStore;
  readonly reader: LogReader;
  readonly policy: Policy;
  readonly origin: string;
  readonly now: () => number;
}

/** What one look at the log's head came to. */
export type Collecting =
  | { readonly kind: "idle" }
  | { readonly kind: "waiting"; readonly reason: string }
  | {
      readonly kind: "collected";
      readonly entries: readonly { readonly entry: OutboxEntry; readonly receipt: KeptReceipt }[];
    };

/** Receipts made under one head in one go. */
const COLLECT_MAX = 1000;

/**
 * Looks at the published head once, and lets go every event that it proves.
 *
 * @throws {ClientError} `log-forked`, with evidence for a third party; `log-misbehaved`: the head does not hold what
 *   the log acknowledged; `audit-unavailable`: not readable just now.
 */
export async function collectOnce(options: CollectionOptions): Promise<Collecting> {
  const { outbox, reader, policy } = options;
  const placed = oldestPlaced(outbox);
  if (placed.length === 0) return { kind: "idle" };
  const note = await reader.checkpoint();
  const head = verifyHead({ policy, now: options.now() }, note);
  if (head.checkpoint.origin !== options.origin) {
    throw new ClientError("log-misbehaved", `the log serves a head of origin ${head.checkpoint.origin}`);
  }
  if (!head.quorumMet) return { kind: "waiting", reason: "the published head does not meet the policy's quorum" };
  const prover = new TileProver(reader, head.checkpoint.size);
  const regressed = await compareWithKept({ outbox, prover, checkpoint: head.checkpoint, note });
  if (regressed !== undefined) return { kind: "waiting", reason: regressed };
  const covered = placed.filter(({ index }) => BigInt(index) < head.checkpoint.size);
  if (covered.length === 0)
    return { kind: "waiting", reason: "the published head does not cover the oldest event yet" };
  const minimal = selectSignatures({ note, policy });
  const entries: { entry: OutboxEntry; receipt: KeptReceipt }[] = [];
  for (const entry of covered)
    entries.push({ entry, receipt: await proveEntry({ options, prover, head, minimal, entry }) });
  await options.receipts.keep(entries.map(({ receipt }) => receipt));
  // Dying here proves the same entries once more at the next start, and keeps their receipts again.
  await outbox.release(covered.at(-1)?.sequence ?? 0, logLinesOnly(note, policy));
  return { kind: "collected", entries };
}

type PlacedEntry = OutboxEntry & { readonly index: number; readonly leaf: Uint8Array };

function oldestPlaced(outbox: Outbox): PlacedEntry[] {
  const placed: PlacedEntry[] = [];
  for (const entry of outbox.entries()) {
    if (!isPlaced(entry) || placed.length === COLLECT_MAX) break;
    placed.push(entry);
  }
  return placed;
}

function isPlaced(entry: OutboxEntry): entry is PlacedEntry {
  return entry.index !== undefined && entry.leaf !== undefined;
}

interface HeadToCompare {
  readonly outbox: Outbox;
  readonly prover: TileProver;
  readonly checkpoint: Checkpoint;
  readonly note: string;
}

/** Proves that the new head extends the one kept; says so where it is older, as behind a cache it may be. */
async function compareWithKept({ outbox, prover, checkpoint, note }: HeadToCompare): Promise<string | undefined> {
  if (outbox.head === undefined) return undefined;
  const kept = parseCheckpoint(parseNote(outbox.head).text);
  if (kept.size > checkpoint.size)
    return `the log shows an older head (size ${checkpoint.size}) than before (${kept.size})`;
  if (kept.size === checkpoint.size) {
    if (!equalBytes(kept.rootHash, checkpoint.rootHash))
      throw forked({ checkpoint, kept: outbox.head, note, proof: [] });
    return undefined;
  }
  const ends = { from: kept.size, to: checkpoint.size };
  const proof = await prover.prove(planConsistency(ends));
  try {
    verifyConsistency({ ...ends, fromRootHash: kept.rootHash, toRootHash: checkpoint.rootHash, proof });
    return undefined;
  } catch (error) {
    if (!(error instanceof TallystickError)) throw error;
    throw forked({ checkpoint, kept: outbox.head, note, proof });
  }
}

interface Fork {
  readonly checkpoint: Checkpoint;
  readonly kept: string;
  readonly note: string;
  readonly proof: readonly Uint8Array[];
}

function forked({ checkpoint, kept, note, proof }: Fork): ClientError {
  const evidence = formatForkEvidence({
    origin: checkpoint.origin,
    checkpoints: [kept, note],
    proof: proof.map((hash) => encodeBase64(hash)),
  });
  const text = `${checkpoint.origin} shows a head of size ${checkpoint.size} that does not extend the one it showed before: nothing more is sent; keep details.evidence and show it to the auditor`;
  return new ClientError("log-forked", text, { details: { evidence } });
}

interface EntryToProve {
  readonly options: CollectionOptions;
  readonly prover: TileProver;
  readonly head: VerifiedHead;
  readonly minimal: string;
  readonly entry: PlacedEntry;
}

async function proveEntry({ options, prover, head, minimal, entry }: EntryToProve): Promise<KeptReceipt> {
  const { index, leaf, sequence, sentAt } = entry;
  const { outbox, origin, policy } = options;
  if (outbox.stream === undefined) throw new ClientError("outbox-corrupt", "the outbox has events but no stream");
  const hashes = await prover.prove(planInclusion({ index, size: head.checkpoint.size }));
  const proof = { extra: leaf, index: BigInt(index), hashes, checkpoint: minimal };
  const sent = { ...(await outbox.read(entry)), sequence, sentAt };
  const expect = { ...expectationOf(sent, origin, outbox.stream), index };
  try {
    verifyReceipt({ proof, policy, expect, verifiedHead: head });
  } catch (cause) {
    if (!(cause instanceof ClientError)) throw cause;
    const text = `the log acknowledged event ${entry.id} at index ${index}, but its tree does not bear that out: ${cause.message}`;
    throw new ClientError("log-misbehaved", text, {
      cause,
      details: { index, sequence, proof: formatTlogProof(proof) },
    });
  }
  return { id: entry.id, index, proof: formatTlogProof(proof) };
}

/** A head to compare later ones with needs the log's own signature alone. */
function logLinesOnly(note: string, policy: Policy): string {
  const { text, signatures } = parseNote(note);
  const ours = new Set(policy.logs.map(({ verifier }) => `${verifier.name} ${verifier.keyId}`));
  const lines = signatures.filter(({ name, keyId }) => ours.has(`${name} ${keyId}`)).map(({ line }) => line);
  return formatNote({ text, signatures: lines });
}
