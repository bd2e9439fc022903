/**
 * The rules that leaves must keep among each other, replayed in order: time, streams, batch signatures, chains.
 *
 * The log writes `n`, `prev` and logged-at; until they are replayed they are only its claims. Senders sign sequence,
 * class, commitment and session, so a leaf that was dropped, swapped, refiled or moved breaks a signature here.
 */
import { decodeHex, ed25519Verify, encodeHex } from "@tallystick/core";
import { batchMessage, batchRoot } from "./batch.ts";
import { encodeClaim } from "./claim.ts";
import { BATCH_ENTRIES_MAX, type Chain, type Leaf } from "./leaf.ts";
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
  | "chain-broken"
  | "contents-mismatch"
  | "head-not-in-history"
  | "leaf-malformed"
  | "root-mismatch"
  | "sender-key-unexpected"
  | "sequence-gap"
  | "stream-unknown"
  | "tile-mismatch"
  | "time-decreased"
  | "time-postdated";

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
const CHAIN_KINDS: readonly ChainKind[] = ["session", "actor", "subject", "tenant"];

/** Memory: one row a stream and one a tag, whatever the number of leaves. Feed it every leaf, in order, from index 0. */
export class LeafAudit {
  readonly streams: Map<string, StreamState> = new Map();
  readonly counts: { signed: number; unsigned: number; batches: number } = { signed: 0, unsigned: 0, batches: 0 };
  readonly #origin: string;
  readonly #chains = new Map<string, { count: number; last: number }>();
  #open: OpenBatch | undefined;
  #loggedAt = 0;

  constructor(origin: string) {
    this.#origin = origin;
  }

  get tags(): number {
    return this.#chains.size;
  }

  /** When the last leaf was logged, in ms since 1970; 0 before the first. */
  get loggedAt(): number {
    return this.#loggedAt;
  }

  /** Holds the next leaf against everything before it, and says what does not fit. */
  check(index: number, leaf: Leaf): Finding[] {
    return [...this.#checkTime(index, leaf), ...this.#checkStream(index, leaf), ...this.#checkChains(index, leaf)];
  }

  /** Says what the end of the log leaves open. Call once, after the last leaf. */
  finish(size: number): Finding[] {
    if (this.#open === undefined) return [];
    const { stream, claims } = this.#open;
    return [
      finding("batch-cut", size - 1, `the log ends within a batch of stream ${stream}, after ${claims.length} leaves`),
    ];
  }

  #checkTime(index: number, leaf: Leaf): Finding[] {
    const before = this.#loggedAt;
    this.#loggedAt = Math.max(before, leaf.loggedAt);
    if (leaf.loggedAt >= before) return [];
    return [finding("time-decreased", index, `logged-at is ${before - leaf.loggedAt} ms below an earlier leaf's`)];
  }

  #checkStream(index: number, leaf: Leaf): Finding[] {
    if (leaf.sequence === null) {
      this.counts.unsigned += 1;
      return this.#interrupt(index, undefined);
    }
    this.counts.signed += 1;
    const stream = this.#streamOf(index, leaf);
    if (stream === undefined) {
      const text = `sequence ${leaf.sequence} of stream ${encodeHex(leaf.stream)}, which has no leaf with sequence 1`;
      return [...this.#interrupt(index, undefined), finding("stream-unknown", index, text)];
    }
    const { id, state } = stream;
    const findings = this.#interrupt(index, id);
    const expected = state.lastSequence + 1;
    if (leaf.sequence !== expected) {
      findings.push(
        finding("sequence-gap", index, `stream ${id}: expected sequence ${expected}, got ${leaf.sequence}`),
      );
    }
    state.lastSequence = leaf.sequence;
    state.lastIndex = index;
    state.lastLoggedAt = leaf.loggedAt;
    return [
      ...findings,
      ...this.#extendBatch({ index, leaf, id, sequence: leaf.sequence, publicKey: state.publicKey }),
    ];
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
  #interrupt(index: number, stream: string | undefined): Finding[] {
    const open = this.#open;
    if (open === undefined || open.stream === stream) return [];
    this.#open = undefined;
    const text = `a leaf of another sender stands within a batch of stream ${open.stream} (from sequence ${open.first})`;
    return [finding("batch-interrupted", index, text)];
  }

  #extendBatch(entry: BatchEntry): Finding[] {
    const { index, leaf, id, sequence, publicKey } = entry;
    const open = this.#open ?? { stream: id, first: sequence, claims: [] };
    const claim = { sequence, class: leaf.class, commitment: leaf.commitment, sessionTag: leaf.session?.tag ?? null };
    open.claims.push(encodeClaim(claim));
    if (leaf.signature === null) {
      if (open.claims.length < BATCH_ENTRIES_MAX) {
        this.#open = open;
        return [];
      }
      this.#open = undefined;
      return [
        finding("batch-unsigned", index, `stream ${id}: ${BATCH_ENTRIES_MAX} leaves in a row without a signature`),
      ];
    }
    this.#open = undefined;
    this.counts.batches += 1;
    const { count, signature } = leaf.signature;
    if (count !== open.claims.length) {
      const text = `stream ${id}: the signature covers ${count} leaves, but ${open.claims.length} stand there`;
      return [finding("batch-signature-invalid", index, text)];
    }
    const stream = decodeHex(id);
    const message = batchMessage({ stream, first: open.first, count, root: batchRoot(open.claims) });
    if (ed25519Verify(publicKey, message, signature)) return [];
    const range = count === 1 ? `sequence ${open.first}` : `sequences ${open.first} to ${sequence}`;
    const text = `stream ${id}: the sender's signature does not cover ${range} as they stand (class, commitment, session or order was changed)`;
    return [finding("batch-signature-invalid", index, text)];
  }

  #checkChains(index: number, leaf: Leaf): Finding[] {
    const findings: Finding[] = [];
    for (const kind of CHAIN_KINDS) {
      const chain = leaf[kind];
      if (chain === null) continue;
      const key = `${kind}:${encodeHex(chain.tag)}`;
      const known = this.#chains.get(key);
      const wanted = { n: known?.count ?? 0, prev: known?.last ?? null };
      if (!continues(chain, wanted)) {
        const text = `${kind} chain ${encodeHex(chain.tag)}: expected n ${wanted.n}, prev ${wanted.prev ?? "none"}; got n ${chain.n}, prev ${chain.prev ?? "none"}`;
        findings.push(finding("chain-broken", index, text));
      }
      if (known === undefined) this.#chains.set(key, { count: 1, last: index });
      else {
        known.count += 1;
        known.last = index;
      }
    }
    return findings;
  }
}

interface BatchEntry {
  readonly index: number;
  readonly leaf: Leaf;
  readonly id: string;
  readonly sequence: number;
  readonly publicKey: Uint8Array;
}

function continues(chain: Chain, wanted: { readonly n: number; readonly prev: number | null }): boolean {
  return chain.n === wanted.n && chain.prev === wanted.prev;
}

/** Makes a finding; `index` undefined where it concerns the whole log. */
export function finding(code: FindingCode, index: number | undefined, message: string): Finding {
  return index === undefined ? { code, message } : { code, index, message };
}
