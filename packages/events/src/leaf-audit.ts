/**
 * The rules that leaves must keep among each other, replayed in order: time, streams, batch signatures, chains.
 *
 * The log writes `n`, `prev` and logged-at; until they are replayed they are only its claims. Senders sign sequence,
 * class, commitment and session, so a leaf that was dropped, swapped, refiled or moved breaks a signature here.
 */
import { decodeHex, ed25519Verify, encodeHex } from "@tallystick/core";
import { batchMessage, batchRoot } from "./batch.ts";
import { encodeClaim } from "./claim.ts";
import { BATCH_ENTRIES_MAX, type Chain, type Leaf, type LeafSignature } from "./leaf.ts";
import { streamId } from "./stream.ts";

export interface Finding {
  /** Stable, kebab-case; docs/reference/errors.md, "Findings of an audit". */
  readonly code: FindingCode;
  /** The entry at which it shows; absent where it concerns the whole log. */
  readonly index?: number;
  readonly message: string;
}

export type FindingCode =
  | "batch-cut"
  | "batch-interrupted"
  | "batch-signature-invalid"
  | "batch-unsigned"
  | "certificate-before-grown"
  | "certificate-inconsistent"
  | "certificate-key-repeated"
  | "certificate-malformed"
  | "certificate-scope-wrong"
  | "chain-broken"
  | "contents-destroyed"
  | "contents-mismatch"
  | "erased-contents-open"
  | "erasure-before-promise"
  | "erasure-not-done"
  | "erasure-not-ordered"
  | "erasure-while-held"
  | "head-not-in-history"
  | "leaf-malformed"
  | "root-mismatch"
  | "sender-key-unexpected"
  | "sequence-gap"
  | "stream-unknown"
  | "tile-mismatch"
  | "time-decreased"
  | "time-postdated";

/** What can be wrong with what certificates say of erasures. */
export type CertificateFindingCode = Extract<
  FindingCode,
  `certificate-${string}` | `erasure-${string}` | "erased-contents-open"
>;

/** What is known of one signed stream so far. */
export interface StreamState {
  readonly publicKey: Uint8Array;
  readonly firstIndex: number;
  lastIndex: number;
  lastSequence: number;
  /** When its last leaf was logged, in ms since 1970, as the log says. */
  lastLoggedAt: number;
}

interface OpenBatch {
  readonly stream: string;
  readonly first: number;
  readonly claims: Uint8Array[];
}

type ChainKind = "session" | "actor" | "subject" | "tenant";

/** The end of a chain so far: how many leaves bear its tag, and the index of the last of them. */
export interface ChainEnd {
  readonly count: number;
  readonly last: number;
}

interface OpenChainEnd {
  count: number;
  last: number;
}

/** Memory: one row a stream and one a tag, whatever the number of leaves. Feed it every leaf, in order, from index 0. */
export class LeafAudit {
  readonly streams: Map<string, StreamState> = new Map();
  readonly counts: { signed: number; unsigned: number; batches: number } = { signed: 0, unsigned: 0, batches: 0 };
  readonly #origin: string;
  readonly #chains: Readonly<Record<ChainKind, Map<string, OpenChainEnd>>> = {
    session: new Map(),
    actor: new Map(),
    subject: new Map(),
    tenant: new Map(),
  };
  #open: OpenBatch | undefined;
  #loggedAt = 0;
  #stream: StreamState | undefined;

  constructor(origin: string) {
    this.#origin = origin;
  }

  /** The signed stream of the leaf that was checked last, if it is in one that is known. */
  get stream(): StreamState | undefined {
    return this.#stream;
  }

  get tags(): number {
    const { session, actor, subject, tenant } = this.#chains;
    return session.size + actor.size + subject.size + tenant.size;
  }

  /** The chain of leaves so far that bear a person's tag, as actor or as subject. */
  personChain(tag: Uint8Array): ChainEnd | undefined {
    const key = keyOf(tag);
    return this.#chains.subject.get(key) ?? this.#chains.actor.get(key);
  }

  /** When the last leaf was logged, in ms since 1970; 0 before the first. */
  get loggedAt(): number {
    return this.#loggedAt;
  }

  /** Holds the next leaf against everything before it, and says what does not fit. */
  check(index: number, leaf: Leaf): Finding[] {
    const findings: Finding[] = [];
    this.#checkTime(index, leaf, findings);
    this.#checkStream(index, leaf, findings);
    this.#checkChain("session", leaf.session, index, findings);
    this.#checkChain("actor", leaf.actor, index, findings);
    this.#checkChain("subject", leaf.subject, index, findings);
    this.#checkChain("tenant", leaf.tenant, index, findings);
    return findings;
  }

  /** Says what the end of the log leaves open. Call once, after the last leaf. */
  finish(size: number): Finding[] {
    if (this.#open === undefined) return [];
    const { stream, claims } = this.#open;
    return [
      finding("batch-cut", size - 1, `the log ends within a batch of stream ${stream}, after ${claims.length} leaves`),
    ];
  }

  #checkTime(index: number, leaf: Leaf, findings: Finding[]): void {
    const before = this.#loggedAt;
    if (leaf.loggedAt >= before) this.#loggedAt = leaf.loggedAt;
    else {
      findings.push(
        finding("time-decreased", index, `logged-at is ${before - leaf.loggedAt} ms below an earlier leaf's`),
      );
    }
  }

  #checkStream(index: number, leaf: Leaf, findings: Finding[]): void {
    const { sequence } = leaf;
    this.#stream = undefined;
    if (sequence === null) {
      this.counts.unsigned += 1;
      this.#interrupt(index, undefined, findings);
      return;
    }
    this.counts.signed += 1;
    const stream = this.#streamOf(index, leaf);
    this.#interrupt(index, stream?.id, findings);
    if (stream === undefined) {
      const text = `sequence ${sequence} of stream ${encodeHex(leaf.stream)}, which has no leaf with sequence 1`;
      findings.push(finding("stream-unknown", index, text));
      return;
    }
    const { id, state } = stream;
    this.#stream = state;
    const expected = state.lastSequence + 1;
    if (sequence !== expected) {
      findings.push(finding("sequence-gap", index, `stream ${id}: expected sequence ${expected}, got ${sequence}`));
    }
    state.lastSequence = sequence;
    state.lastIndex = index;
    state.lastLoggedAt = leaf.loggedAt;
    this.#extendBatch({ index, leaf, id, sequence, publicKey: state.publicKey }, findings);
  }

  #streamOf(index: number, leaf: Leaf): { id: string; state: StreamState } | undefined {
    if (leaf.sequence !== 1) {
      const id = encodeHex(leaf.stream);
      const state = this.streams.get(id);
      return state === undefined ? undefined : { id, state };
    }
    const publicKey = leaf.stream.slice(0, 32);
    const id = encodeHex(streamId({ origin: this.#origin, publicKey, instance: leaf.stream.slice(32) }));
    const known = this.streams.get(id);
    // A second leaf of sequence 1 is no new stream: it falls out of the old one's count.
    if (known !== undefined) return { id, state: known };
    const state = { publicKey, firstIndex: index, lastIndex: index, lastSequence: 0, lastLoggedAt: leaf.loggedAt };
    this.streams.set(id, state);
    return { id, state };
  }

  /** A batch is appended whole: no leaf of another sender stands inside it. */
  #interrupt(index: number, stream: string | undefined, findings: Finding[]): void {
    const open = this.#open;
    if (open === undefined || open.stream === stream) return;
    this.#open = undefined;
    const text = `a leaf of another sender stands within a batch of stream ${open.stream} (from sequence ${open.first})`;
    findings.push(finding("batch-interrupted", index, text));
  }

  #extendBatch(entry: BatchEntry, findings: Finding[]): void {
    const { index, leaf, id, sequence } = entry;
    const open = this.#open ?? { stream: id, first: sequence, claims: [] };
    const claim = { sequence, class: leaf.class, commitment: leaf.commitment, sessionTag: leaf.session?.tag ?? null };
    open.claims.push(encodeClaim(claim));
    const isWhole = leaf.signature !== null || open.claims.length === BATCH_ENTRIES_MAX;
    this.#open = isWhole ? undefined : open;
    if (leaf.signature !== null) this.#checkSignature(entry, leaf.signature, open, findings);
    else if (isWhole) {
      const text = `stream ${id}: ${BATCH_ENTRIES_MAX} leaves in a row without a signature`;
      findings.push(finding("batch-unsigned", index, text));
    }
  }

  #checkSignature(entry: BatchEntry, { count, signature }: LeafSignature, batch: OpenBatch, findings: Finding[]): void {
    const { index, id, sequence, publicKey } = entry;
    const { first, claims } = batch;
    this.counts.batches += 1;
    if (count !== claims.length) {
      const text = `stream ${id}: the signature covers ${count} leaves, but ${claims.length} stand there`;
      findings.push(finding("batch-signature-invalid", index, text));
      return;
    }
    const message = batchMessage({ stream: decodeHex(id), first, count, root: batchRoot(claims) });
    if (ed25519Verify(publicKey, message, signature)) return;
    const range = count === 1 ? `sequence ${first}` : `sequences ${first} to ${sequence}`;
    const text = `stream ${id}: the sender's signature does not cover ${range} as they stand (class, commitment, session or order was changed)`;
    findings.push(finding("batch-signature-invalid", index, text));
  }

  #checkChain(kind: ChainKind, chain: Chain | null, index: number, findings: Finding[]): void {
    if (chain === null) return;
    const chains = this.#chains[kind];
    const key = keyOf(chain.tag);
    const end = chains.get(key);
    const n = end?.count ?? 0;
    const prev = end?.last ?? null;
    if (chain.n !== n || chain.prev !== prev) {
      const text = `${kind} chain ${encodeHex(chain.tag)}: expected n ${n}, prev ${prev ?? "none"}; got n ${chain.n}, prev ${chain.prev ?? "none"}`;
      findings.push(finding("chain-broken", index, text));
    }
    if (end === undefined) chains.set(key, { count: 1, last: index });
    else {
      end.count += 1;
      end.last = index;
    }
  }
}

/** A tag in eight characters, two bytes in each: looked up several times as fast as its hex, in half the memory. */
function keyOf(tag: Uint8Array): string {
  return String.fromCharCode(
    pairAt(tag, 0),
    pairAt(tag, 2),
    pairAt(tag, 4),
    pairAt(tag, 6),
    pairAt(tag, 8),
    pairAt(tag, 10),
    pairAt(tag, 12),
    pairAt(tag, 14),
  );
}

function pairAt(bytes: Uint8Array, at: number): number {
  return (bytes[at] ?? 0) * 256 + (bytes[at + 1] ?? 0);
}

interface BatchEntry {
  readonly index: number;
  readonly leaf: Leaf;
  readonly id: string;
  readonly sequence: number;
  readonly publicKey: Uint8Array;
}

/** Makes a finding; `index` undefined where it concerns the whole log. */
export function finding(code: FindingCode, index: number | undefined, message: string): Finding {
  return index === undefined ? { code, message } : { code, index, message };
}
