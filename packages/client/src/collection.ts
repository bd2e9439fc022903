/**
 * Collecting receipts: for what the log acknowledged, prove from public tiles that it is in the tree under a head that
 * meets the policy. Only then does an event leave the outbox.
 */
import {
  type Checkpoint,
  type Policy,
  formatNote,
  hashLeaf,
  parseNote,
  selectSignatures,
  tlogProofFormatter,
  verifyCheckpoint,
} from "@tallystick/core";
import { decodeEvent, decodeLeaf, personOf } from "@tallystick/events";
import { ClientError } from "./error.ts";
import { expectationOf } from "./expectation.ts";
import { compareHeads, proveLeaf } from "./history.ts";
import type { LogReader } from "./log-reader.ts";
import type { Outbox, OutboxEntry, StreamIdentity } from "./outbox.ts";
import { CLOCK_TOLERANCE_MS, type CosignatureTimes, compareTimes, verifyHead } from "./receipt.ts";
import { ReceiptVerifier } from "./receipt-verifier.ts";
import type { KeptReceipt, ReceiptStore, TiedReceipt } from "./receipts.ts";
import { TileProver } from "./tile-prover.ts";

export interface CollectionOptions {
  readonly outbox: Outbox;
  readonly receipts: ReceiptStore;
  readonly reader: LogReader;
  readonly policy: Policy;
  readonly origin: string;
  readonly now: () => number;
  /** What ties a receipt to the person with this id. */
  readonly hashPerson: (id: string) => string;
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
 * @throws {ClientError} `log-forked`, with evidence for a third party; `log-misbehaved`: the signed tree does not hold
 *   what the log acknowledged; others, such as `audit-unavailable` and `log-answer-malformed`: try again.
 */
export async function collectOnce(options: CollectionOptions): Promise<Collecting> {
  const { outbox, reader, policy } = options;
  const placed = oldestPlaced(outbox);
  if (placed.length === 0) return { kind: "idle" };
  const note = await reader.checkpoint();
  // One time for all that is decided by this head: a clock that is set meanwhile must not refute what has verified.
  const now = options.now();
  const head = verifyHead({ policy, now }, note);
  const { checkpoint } = head;
  if (checkpoint.origin !== options.origin) {
    throw new ClientError(
      "log-answer-malformed",
      `the log serves a head of ${checkpoint.origin}, not of ${options.origin}`,
    );
  }
  if (!head.quorumMet) return { kind: "waiting", reason: withoutQuorum(policy, note) };
  const prover = new TileProver(reader, checkpoint.size);
  const { head: kept } = outbox;
  if (kept !== undefined && (await compareHeads({ prover, checkpoint, note, kept })) === "older") {
    return { kind: "waiting", reason: `the log shows an older head (size ${checkpoint.size}) than before` };
  }
  const covered = leadingCovered(placed, checkpoint.size);
  if (covered.length === 0) {
    return { kind: "waiting", reason: "the published head does not cover the oldest event yet" };
  }
  const loggedAt = newestTime(covered);
  const times = compareTimes(loggedAt, head, policy);
  // Witnesses against log: where this host's own clock is with the log, nobody is accused; their clocks may be mended.
  if (!times.consistent && loggedAt <= now + CLOCK_TOLERANCE_MS) {
    const names = times.untimely.map(({ witness }) => witness).join(", ");
    return { kind: "waiting", reason: `the cosignatures of ${names} lie before the events: are their clocks right?` };
  }
  return { kind: "collected", entries: await proveAll(options, { covered, prover, checkpoint, note, now, times }) };
}

function withoutQuorum(policy: Policy, note: string): string {
  if (!verifyHead({ policy }, note).quorumMet) return "the published head does not meet the policy's quorum";
  return "the published head's cosignatures lie in the future by this host's clock: is it right?";
}

function newestTime(entries: readonly PlacedEntry[]): number {
  return entries.reduce((newest, { leaf }) => Math.max(newest, decodeLeaf(leaf).loggedAt), 0);
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

/** Events leave in order: one that the head does not cover holds back those after it. */
function leadingCovered(placed: readonly PlacedEntry[], size: bigint): readonly PlacedEntry[] {
  const end = placed.findIndex(({ index }) => BigInt(index) >= size);
  return end === -1 ? placed : placed.slice(0, end);
}

interface Covered {
  readonly covered: readonly PlacedEntry[];
  readonly prover: TileProver;
  /** What the note says. */
  readonly checkpoint: Checkpoint;
  readonly note: string;
  /** When the head was verified, in ms since 1970. */
  readonly now: number;
  /** What the head's cosignatures say of the newest of these entries. */
  readonly times: CosignatureTimes;
}

async function proveAll(
  options: CollectionOptions,
  { covered, prover, checkpoint, note, now, times }: Covered,
): Promise<{ entry: OutboxEntry; receipt: KeptReceipt }[]> {
  const { outbox, policy } = options;
  const { stream } = outbox;
  if (stream === undefined) throw new ClientError("outbox-corrupt", "the outbox has events but no stream");
  const nowSeconds = Math.floor(now / 1000);
  const minimal = selectSignatures({
    note: times.consistent ? withoutUntimely(note, times, { policy, nowSeconds }) : note,
    policy,
    nowSeconds,
  });
  const format = tlogProofFormatter(minimal);
  // The smallest set has fewer cosignatures than were verified: what the receipt says is what is checked.
  const verifier = new ReceiptVerifier({ policy });
  const entries: { entry: OutboxEntry; receipt: TiedReceipt }[] = [];
  for (const entry of covered) {
    const receipt = await proveEntry({ options, prover, checkpoint, format, verifier, now, stream, entry });
    entries.push({ entry, receipt });
  }
  await options.receipts.keep(entries.map(({ receipt }) => receipt));
  // Dying here proves the same entries once more at the next start, and keeps their receipts again.
  await outbox.release(covered.at(-1)?.sequence ?? 0, logLinesOnly(note, policy));
  return entries;
}

/** The note without the cosignatures that are too early, or too late: a receipt must stand without them. */
function withoutUntimely(
  note: string,
  { timely }: CosignatureTimes,
  { policy, nowSeconds }: { readonly policy: Policy; readonly nowSeconds: number },
): string {
  const names = new Set(timely.map(({ witness }) => witness));
  const head = verifyCheckpoint({ note, policy, nowSeconds, requireQuorum: false });
  const kept = [...head.logSignatures, ...head.cosignatures.filter(({ name }) => names.has(name))];
  return formatNote({ text: head.note.text, signatures: kept.map(({ line }) => line) });
}

interface EntryToProve {
  readonly options: CollectionOptions;
  readonly prover: TileProver;
  readonly checkpoint: Checkpoint;
  /** Writes proofs under the head's note with the signatures that the policy needs, and no more. */
  readonly format: ReturnType<typeof tlogProofFormatter>;
  readonly verifier: ReceiptVerifier;
  /** When the head was verified, in ms since 1970. */
  readonly now: number;
  readonly stream: StreamIdentity;
  readonly entry: PlacedEntry;
}

async function proveEntry(of: EntryToProve): Promise<TiedReceipt> {
  const { options, prover, checkpoint, stream, entry } = of;
  const { id, index, leaf, sequence, sentAt } = entry;
  const hashes = await proveLeaf({ prover, checkpoint, index, leafHash: hashLeaf(leaf) });
  const proof = of.format({ extra: leaf, index: BigInt(index), hashes });
  const sent = { ...(await options.outbox.read(entry)), sequence, sentAt };
  const expect = { ...expectationOf(sent, stream), index };
  try {
    of.verifier.verify({ proof, expect, now: of.now });
  } catch (cause) {
    if (!(cause instanceof ClientError)) throw cause;
    const text = `the receipt of event ${id} at index ${index} is refuted: ${cause.message}`;
    throw new ClientError("log-misbehaved", text, {
      cause,
      details: { index, sequence, ...cause.details, proof },
    });
  }
  const person = personOf(decodeEvent(sent.event))?.id;
  const tie = person === undefined ? undefined : options.hashPerson(person);
  return { id, index, proof, person: tie };
}

/** A head to compare later ones with needs the log's own signatures alone. */
function logLinesOnly(note: string, policy: Policy): string {
  const { text, signatures } = parseNote(note);
  const ours = new Set(policy.logs.map(({ verifier }) => `${verifier.name} ${verifier.keyId}`));
  const lines = signatures.filter(({ name, keyId }) => ours.has(`${name} ${keyId}`)).map(({ line }) => line);
  return formatNote({ text, signatures: lines });
}
