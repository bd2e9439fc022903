/**
 * Accepting a receipt: the checks of docs/reference/formats, "Accepting a receipt", in their order.
 *
 * A receipt is a c2sp.org/tlog-proof whose `extra` is the leaf. Nothing in it is believed: the leaf proves to be in the
 * tree, the tree head proves to be signed, and the contents prove to be those that the leaf commits to.
 */
import {
  type Checkpoint,
  type Hash,
  type Note,
  type OpenedTlogProof,
  type Policy,
  type TlogProof,
  TallystickError,
  TlogError,
  type Uint,
  type VerifiedEntry,
  decodeHex,
  encodeHex,
  equalBytes,
  evaluateQuorum,
  hashLeaf,
  openTlogProof,
  parseCheckpoint,
  parseNote,
  verifyCheckpoint,
  verifyInclusion,
} from "@tallystick/core";
import {
  type Leaf,
  type TallyEvent,
  computeCommitment,
  decodeEvent,
  decodeLeaf,
  decodeOpening,
  readLoggedAt,
  retentionClass,
  sessionTag,
} from "@tallystick/events";
import { ClientError } from "./error.ts";

/** The checks, in the order in which they are made; the first that fails names the refusal. */
export const RECEIPT_STEPS = [
  "format",
  "leaf",
  "commitment",
  "as-sent",
  "time",
  "inclusion",
  "log-signature",
  "quorum",
] as const;
export type ReceiptStep = (typeof RECEIPT_STEPS)[number];

/** How far logged-at may lie before the send, or after the cosignatures: five minutes, for clocks that differ. */
export const CLOCK_TOLERANCE_MS = 300_000;

/** What a sender knows of its own event, to hold against the leaf. Absent fields are not compared. */
export interface Expectation {
  readonly class?: string;
  readonly commitment?: Uint8Array;
  /** 16 bytes, or 48 (public key and instance) in the leaf of sequence 1. */
  readonly stream?: Uint8Array;
  readonly sequence?: number | null;
  /** `null`: the event has no such chain. */
  readonly sessionTag?: Uint8Array | null;
  readonly actorTag?: Uint8Array | null;
  readonly subjectTag?: Uint8Array | null;
  readonly tenantTag?: Uint8Array | null;
  readonly index?: number;
  /** When the event was first sent, in ms since 1970. */
  readonly sentAt?: number;
}

export interface ReceiptInput {
  /** The tlog-proof, as text or already parsed. */
  readonly proof: string | Uint8Array | TlogProof;
  readonly policy: Policy;
  /** The opening (salt and event) when its contents are to be proved too. */
  readonly opening?: Uint8Array;
  readonly expect?: Expectation;
  /** Now, in ms since 1970, to refuse cosignatures from the future. Without it they are not compared with a clock. */
  readonly now?: number;
  /** The signatures of the proof's very checkpoint, where the caller has verified them already. */
  readonly verifiedHead?: VerifiedHead;
  /** Refuse a head without the policy's quorum (the default), or accept it as the log's word alone. */
  readonly requireQuorum?: boolean;
}

/** A cosignature that verified. */
export interface VerifiedCosignature {
  readonly witness: string;
  /** Seconds since 1970, as the witness signed them. */
  readonly timestamp: bigint;
}

/** What a receipt turned out to establish. */
export interface VerifiedReceipt {
  readonly origin: string;
  readonly index: number;
  readonly size: bigint;
  readonly rootHash: Hash;
  readonly leaf: Leaf;
  readonly leafHash: Hash;
  readonly logKeyIds: readonly number[];
  /** Those that count: they verify, and are not too early for the leaf. */
  readonly cosignatures: readonly VerifiedCosignature[];
  /** Those that verify and are too early: the quorum of the others says so of their clocks. */
  readonly untimely: readonly VerifiedCosignature[];
  /** Whether the policy's quorum is met; `false` only where the caller did not require it. */
  readonly quorumMet: boolean;
  /** The policy asks for no witness at all. */
  readonly quorumNone: boolean;
  /** The contents, where an opening was given. */
  readonly event?: TallyEvent;
}

/**
 * Verifies a receipt, and with an opening also the contents of its leaf.
 *
 * Establishes: the leaf is in the log of that origin at that index, under a head that the log signed and the policy's
 * quorum of witnesses cosigned; with `opening`, that the leaf commits to exactly this event; with `expect`, that the
 * log filed it as it was sent. Does not establish that the event tells the truth.
 *
 * @throws {ClientError} `receipt-refuted`: `details.step` names the first check that failed, `cause` says why.
 */
export function verifyReceipt(input: ReceiptInput): VerifiedReceipt {
  const { proof, note, checkpoint } = step("format", () => openProof(input.proof));
  const entry = step("leaf", () => entryOf(proof));
  const leafHash = hashLeaf(entry);
  return weigh(input, input, {
    entry: { entry, leafHash, index: proof.index },
    checkpoint,
    head: () => headOf(input, note, checkpoint),
    prove: () => proveInclusion(proof, checkpoint, leafHash),
  });
}

/** What a proof that parses says, and how its two ends are verified. */
interface Claim {
  /** The entry is the leaf's bytes. */
  readonly entry: { readonly entry: Uint8Array; readonly leafHash: Hash; readonly index: Uint };
  readonly checkpoint: Checkpoint;
  /** Verifies the signatures of the checkpoint. */
  head(): VerifiedHead;
  /** Verifies that the tree of the checkpoint has the leaf at the index. */
  prove(): void;
}

/** An entry that the tree of a verified head was found to hold. */
export interface ProvenEntry {
  readonly entry: VerifiedEntry;
  /** Its root hash is handed on, and whoever gets that may change it. */
  readonly head: VerifiedHead;
}

/** Who is believed. */
type Trust = Pick<ReceiptInput, "policy" | "requireQuorum">;
/** What a receipt is held against. */
type Wanted = Pick<ReceiptInput, "opening" | "expect">;

/**
 * The checks that are left where format, inclusion and log signature hold.
 *
 * @throws {ClientError} `receipt-refuted`
 */
export function weighProven(wanted: Wanted, trust: Trust, { entry, head }: ProvenEntry): VerifiedReceipt {
  const { checkpoint } = head;
  return weigh(wanted, trust, { entry, checkpoint, head: () => head, prove: () => undefined });
}

/** The checks from the second one on. @throws {ClientError} `receipt-refuted` */
function weigh({ opening, expect }: Wanted, { policy, requireQuorum = true }: Trust, claim: Claim): VerifiedReceipt {
  let check: ReceiptStep = "leaf";
  try {
    const { entry } = claim.entry;
    const loggedAt = readLoggedAt(entry);
    // Most ask for neither, and need no more of the leaf than that it is one.
    const leaf = opening === undefined && expect === undefined ? undefined : decodeLeaf(entry);
    check = "commitment";
    const event = leaf === undefined || opening === undefined ? undefined : openLeaf(leaf, opening);
    check = "format";
    const index = safeIndex(claim.entry.index);
    check = "as-sent";
    if (leaf !== undefined) compareAsSent({ leaf, index, event, expect });
    check = "time";
    compareWithSend(loggedAt, expect?.sentAt);
    const head = attempt(() => claim.head());
    const times = head.ok ? compareWithHead(loggedAt, head.value, policy) : NO_TIMES;
    check = "inclusion";
    claim.prove();
    check = head.ok || isQuorumFailure(head.error) ? "quorum" : "log-signature";
    if (!head.ok) throw head.error;
    if (requireQuorum && !head.value.quorumMet) {
      throw new TlogError("quorum-not-met", "the policy's quorum of witnesses is not met");
    }
    return new AcceptedReceipt({ claim, index, head: head.value, times, policy, event });
  } catch (error) {
    throw refusal(check, error);
  }
}

/** A receipt that holds. What it says in its leaf is decoded when that is asked for: who has many, has their bytes. */
class AcceptedReceipt implements VerifiedReceipt {
  readonly origin: string;
  readonly index: number;
  readonly size: bigint;
  readonly rootHash: Hash;
  readonly leafHash: Hash;
  readonly logKeyIds: readonly number[];
  readonly cosignatures: readonly VerifiedCosignature[];
  readonly untimely: readonly VerifiedCosignature[];
  readonly quorumMet: boolean;
  readonly quorumNone: boolean;
  declare readonly event?: TallyEvent;
  readonly #entry: Uint8Array;
  #leaf: Leaf | undefined;

  constructor(accepted: {
    readonly claim: Claim;
    readonly index: number;
    readonly head: VerifiedHead;
    readonly times: CosignatureTimes;
    readonly policy: Policy;
    readonly event: TallyEvent | undefined;
  }) {
    const { claim, index, head, times, policy, event } = accepted;
    this.origin = claim.checkpoint.origin;
    this.index = index;
    this.size = claim.checkpoint.size;
    this.rootHash = claim.checkpoint.rootHash;
    this.leafHash = claim.entry.leafHash;
    this.logKeyIds = head.logKeyIds;
    this.cosignatures = times.timely;
    this.untimely = times.untimely;
    this.quorumMet = head.quorumMet;
    this.quorumNone = policy.quorum === "none";
    this.#entry = claim.entry.entry;
    if (event !== undefined) this.event = event;
  }

  get leaf(): Leaf {
    return (this.#leaf ??= decodeLeaf(this.#entry));
  }
}

function proveInclusion({ index, hashes }: TlogProof, { size, rootHash }: Checkpoint, leafHash: Hash): void {
  if (index >= size) {
    throw new ClientError("evidence-malformed", `index ${index} is not below the tree size ${size}`);
  }
  verifyInclusion({ index, size, leafHash, rootHash, proof: hashes });
}

function headOf(input: ReceiptInput, note: Note, checkpoint: Checkpoint): VerifiedHead {
  const { verifiedHead: known } = input;
  if (known === undefined) return verifyHead(input, note);
  const { origin, size, rootHash } = known.checkpoint;
  const same = origin === checkpoint.origin && size === checkpoint.size && equalBytes(rootHash, checkpoint.rootHash);
  if (same) return known;
  throw new TypeError(`verifiedHead: expected the proof's own head (size ${checkpoint.size}), got size ${size}`);
}

/** A head whose signatures verified. */
export interface VerifiedHead {
  readonly checkpoint: Checkpoint;
  readonly logKeyIds: readonly number[];
  readonly cosignatures: readonly VerifiedCosignature[];
  readonly quorumMet: boolean;
}

/** The signatures of a head under a policy, whether or not its quorum is met. */
export function verifyHead(input: Pick<ReceiptInput, "policy" | "now">, note: string | Note): VerifiedHead {
  const verified = verifyCheckpoint({
    note,
    policy: input.policy,
    requireQuorum: false,
    ...(input.now === undefined ? {} : { nowSeconds: Math.floor(input.now / 1000) }),
  });
  return {
    checkpoint: verified.checkpoint,
    logKeyIds: verified.logSignatures.map(({ verifier }) => verifier.keyId),
    cosignatures: verified.cosignatures.map(({ name, timestamp }) => ({ witness: name, timestamp })),
    quorumMet: verified.quorumMet,
  };
}

function openProof(proof: ReceiptInput["proof"]): OpenedTlogProof {
  if (typeof proof === "string" || proof instanceof Uint8Array) return openTlogProof(proof);
  const note = parseNote(proof.checkpoint);
  return { proof, note, checkpoint: parseCheckpoint(note.text) };
}

function entryOf(proof: TlogProof): Uint8Array {
  if (proof.extra === undefined) {
    throw new ClientError("evidence-malformed", "the receipt has no extra line, so it carries no leaf");
  }
  // A copy: whoever gave a proof that is parsed may change it, and the leaf may be asked for later.
  return new Uint8Array(proof.extra);
}

function safeIndex(index: Uint): number {
  if (index > Number.MAX_SAFE_INTEGER) {
    throw new ClientError("evidence-malformed", `index ${index} is beyond 2^53 - 1: no log of ours is that large`);
  }
  return Number(index);
}

/** Recomputes the commitment from salt and event, and decodes the event that it commits to. */
export function openLeaf(leaf: Leaf, opening: Uint8Array | undefined): TallyEvent {
  if (opening === undefined) throw new TypeError("opening: expected bytes, got undefined");
  const { salt, event } = decodeOpening(opening);
  if (!equalBytes(computeCommitment({ salt, event }), leaf.commitment)) {
    throw new ClientError("evidence-malformed", "the opening's salt and event do not hash to the leaf's commitment");
  }
  return decodeEvent(event);
}

interface AsSent {
  readonly leaf: Leaf;
  readonly index: number;
  readonly event: TallyEvent | undefined;
  readonly expect: Expectation | undefined;
}

function compareAsSent({ leaf, index, event, expect = {} }: AsSent): void {
  if (event !== undefined) compareWithContents(leaf, event);
  if (expect.index !== undefined && expect.index !== index) mismatch("index", expect.index, index);
  if (expect.class !== undefined && expect.class !== leaf.class) mismatch("class", expect.class, leaf.class);
  compareBytesField("commitment", expect.commitment, leaf.commitment);
  compareBytesField("stream", expect.stream, leaf.stream);
  if (expect.sequence !== undefined && expect.sequence !== leaf.sequence) {
    mismatch("sequence", expect.sequence, leaf.sequence);
  }
  compareBytesField("session tag", expect.sessionTag, leaf.session?.tag ?? null);
  compareBytesField("actor tag", expect.actorTag, leaf.actor?.tag ?? null);
  compareBytesField("subject tag", expect.subjectTag, leaf.subject?.tag ?? null);
  compareBytesField("tenant tag", expect.tenantTag, leaf.tenant?.tag ?? null);
}

/** What an event says about its own leaf: the class it is filed under and the session that it belongs to. */
export function compareWithContents(leaf: Leaf, event: TallyEvent): void {
  const wanted = retentionClass(event);
  if (wanted !== leaf.class) mismatch("class", wanted, leaf.class);
  const session = event.session === undefined ? null : sessionTag(decodeHex(event.session.id));
  compareBytesField("session tag", session, leaf.session?.tag ?? null);
}

function compareBytesField(field: string, expected: Uint8Array | null | undefined, got: Uint8Array | null): void {
  if (expected === undefined) return;
  const same = expected === null || got === null ? expected === got : equalBytes(expected, got);
  if (!same) mismatch(field, show(expected), show(got));
}

function show(bytes: Uint8Array | null): string {
  return bytes === null ? "none" : encodeHex(bytes);
}

function mismatch(field: string, expected: unknown, got: unknown): never {
  throw new ClientError("log-misbehaved", `${field}: sent ${String(expected)}, the leaf bears ${String(got)}`, {
    details: { field },
  });
}

function compareWithSend(loggedAt: number, sentAt: number | undefined): void {
  if (sentAt === undefined || loggedAt >= sentAt - CLOCK_TOLERANCE_MS) return;
  const early = Math.round((sentAt - loggedAt) / 1000);
  throw new ClientError("log-misbehaved", `logged-at lies ${early} s before the event was sent: it is backdated`);
}

/** The cosignatures of a head, by what they say of an entry below it. */
export interface CosignatureTimes {
  readonly timely: readonly VerifiedCosignature[];
  /** More than five minutes before the entry was logged: no witness with the right time cosigns what is not there yet. */
  readonly untimely: readonly VerifiedCosignature[];
  /** The policy is met without the untimely ones, or is not met with them either: nobody contradicts the entry's time. */
  readonly consistent: boolean;
}

const NO_TIMES: CosignatureTimes = { timely: [], untimely: [], consistent: true };

/**
 * Holds an entry's time against those of a head that covers it. A few witnesses whose clocks are slow must not refute
 * every entry: where the others are a quorum, theirs is the time that counts.
 */
export function compareTimes(loggedAt: number, head: VerifiedHead, policy: Policy): CosignatureTimes {
  const together = togetherOf(head, policy);
  if (loggedAt <= together.timelyTo) return together.times;
  const isTimely = ({ timestamp }: VerifiedCosignature): boolean => loggedAt <= timelyTo(timestamp);
  const timely = head.cosignatures.filter(isTimely);
  const untimely = head.cosignatures.filter((cosignature) => !isTimely(cosignature));
  return { timely, untimely, consistent: !head.quorumMet || isQuorum(timely, policy) };
}

/** In ms since 1970: the latest entry for which a cosignature is not too early. */
function timelyTo(timestamp: bigint): number {
  return Number(timestamp) * 1000 + CLOCK_TOLERANCE_MS;
}

/** What all cosignatures of a head say together of an entry that was logged early enough for each. */
interface Together {
  readonly head: VerifiedHead;
  readonly policy: Policy;
  readonly timelyTo: number;
  readonly times: CosignatureTimes;
}

/** Receipts under one head come together mostly. */
let lastTogether: Together | undefined;

function togetherOf(head: VerifiedHead, policy: Policy): Together {
  if (lastTogether?.head === head && lastTogether.policy === policy) return lastTogether;
  const { cosignatures, quorumMet } = head;
  lastTogether = {
    head,
    policy,
    timelyTo: cosignatures.reduce((least, { timestamp }) => Math.min(least, timelyTo(timestamp)), Infinity),
    times: { timely: cosignatures, untimely: [], consistent: !quorumMet || isQuorum(cosignatures, policy) },
  };
  return lastTogether;
}

function isQuorum(cosignatures: readonly VerifiedCosignature[], policy: Policy): boolean {
  return evaluateQuorum(policy, new Set(cosignatures.map(({ witness }) => witness))).met;
}

function compareWithHead(loggedAt: number, head: VerifiedHead, policy: Policy): CosignatureTimes {
  const times = compareTimes(loggedAt, head, policy);
  if (times.consistent) return times;
  throw new ClientError("log-misbehaved", describePostdated(loggedAt, times), { details: { postdated: true } });
}

/** Who contradicts the time, and by how much at least. */
export function describePostdated(loggedAt: number, { untimely }: CosignatureTimes): string {
  const newest = untimely.reduce((most, { timestamp }) => Math.max(most, Number(timestamp) * 1000), 0);
  const names = untimely.map(({ witness }) => witness).join(", ");
  return `logged-at lies ${Math.round((loggedAt - newest) / 1000)} s after the cosignatures of ${names}, and the others are no quorum: it is postdated`;
}

function isQuorumFailure(error: unknown): boolean {
  return error instanceof TallystickError && error.code === "quorum-not-met";
}

type Attempt<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: unknown };

function attempt<T>(work: () => T): Attempt<T> {
  try {
    return { ok: true, value: work() };
  } catch (error) {
    return { ok: false, error };
  }
}

/** Runs one check; whatever evidence makes it fail becomes a refusal that names the step. */
function step<T>(name: ReceiptStep, check: () => T): T {
  const outcome = attempt(check);
  if (outcome.ok) return outcome.value;
  throw refusal(name, outcome.error);
}

function refusal(name: ReceiptStep, cause: unknown): unknown {
  if (!(cause instanceof TallystickError)) return cause;
  const details = { step: name, code: cause.code, ...cause.details };
  return new ClientError("receipt-refuted", `${name}: ${cause.message}`, { cause, details });
}
