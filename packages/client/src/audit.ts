/**
 * The audit of a whole log by an outsider: every tile and every leaf is fetched, the tree is rebuilt, and each rule that
 * leaves must keep is replayed. What it establishes rests on the policy alone.
 */
import {
  type Checkpoint,
  CompactRange,
  HASH_BYTES,
  type Hash,
  type Policy,
  TILE_HEIGHT,
  TILE_WIDTH,
  TallystickError,
  concatBytes,
  decodeEntryBundle,
  encodeBase64,
  encodeHex,
  entriesPath,
  equalBytes,
  hashLeaves,
  splitHashes,
  tilePath,
} from "@tallystick/core";
import {
  type Finding,
  type Leaf,
  LeafAudit,
  type StreamState,
  type TallyEvent,
  decodeLeaf,
  finding,
} from "@tallystick/events";
import {
  ContentsAudit,
  type OpeningOf,
  type Fetched,
  type OpeningsOf,
  type PromisedBy,
  type ShownContents,
} from "./audit-contents.ts";
import { ClientError } from "./error.ts";
import type { LogReader } from "./log-reader.ts";
import {
  type CosignatureTimes,
  type VerifiedCosignature,
  type VerifiedHead,
  compareTimes,
  describePostdated,
  verifyHead,
} from "./receipt.ts";

/** Findings kept in the report; the rest is counted. A log that breaks every rule must not fill the memory. */
const FINDINGS_MAX = 1000;
/** A head whose newest cosignature is older may be an old one: an honest log has a new head within a minute of an event. */
export const HEAD_AGE_WARN_MS = 3_600_000;
/** Bundles fetched ahead of the one that is checked. */
const READ_AHEAD = 4;

export interface AuditOptions {
  readonly reader: LogReader;
  readonly policy: Policy;
  /** Heads seen elsewhere (receipts, evidence of witnesses): each must be in this log's history. Signed notes. */
  readonly heads?: readonly string[];
  /** The sender keys that are expected, the log's own among them: a stream under another one is a finding. */
  readonly senderKeys?: readonly Uint8Array[];
  /** Fetches openings, to check contents too: every entry opens, or a certificate of an erasure covers it. */
  readonly openingOf?: OpeningOf;
  /** Fetches openings of many entries at once, where the log gives them so; used besides `openingOf`, which it spares. */
  readonly openingsOf?: OpeningsOf;
  /** Fetches what rules promised, to check with the contents that nothing was destroyed before its time. */
  readonly promisedBy?: PromisedBy;
  /** Open the log's own entries only (class `log`): what certificates say is checked, and no other contents. */
  readonly ownEntriesOnly?: boolean;
  /** Ms since 1970: cosignatures from the future do not count, and the head's age shows. */
  readonly now?: number;
  /** Told of every entry that can be read, in order. What it says counts once the whole audit says VERIFIED. */
  readonly onEntry?: (entry: AuditedEntry) => void;
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

/** An entry on its way through an audit. */
export interface AuditedEntry {
  readonly index: number;
  readonly leaf: Leaf;
  /** The signed stream that it is in, if it is in one that is known; the same object for all of a stream. */
  readonly stream: StreamState | undefined;
  /** What it says, where it was opened and is what its leaf commits to. */
  readonly event: TallyEvent | undefined;
}

/**
 * `CONTENTS-WITHHELD`: some were erased under a certificate that the audited head does not cover yet: audit again.
 * `RULES-WITHHELD`: something is destroyed, and the log does not show what rules promised about it.
 */
export type AuditVerdict = "VERIFIED" | "LOG-ONLY" | "CONTENTS-WITHHELD" | "RULES-WITHHELD" | "REFUTED";

/** A signed stream, and how it stands at the end of the log. */
export interface AuditedStream extends StreamState {
  /**
   * `ended`: its last event is `stream.end`. `open-or-cut`: it is not, so either it goes on, or the log left out what
   * came last; only its sender can tell. `unknown`: the contents were not opened.
   */
  readonly tail: "ended" | "open-or-cut" | "unknown";
}

export interface AuditReport {
  readonly verdict: AuditVerdict;
  readonly origin: string;
  readonly size: number;
  readonly rootHash: Hash;
  /** Those that count: they verify, and are not too early for the newest entry. */
  readonly cosignatures: readonly VerifiedCosignature[];
  /** Those that verify and are too early, while the others are a quorum: see to the clocks of these witnesses. */
  readonly untimely: readonly VerifiedCosignature[];
  readonly findings: readonly Finding[];
  /** All that were found; `findings` holds the first thousand. */
  readonly findingsTotal: number;
  readonly counts: {
    readonly signed: number;
    readonly unsigned: number;
    readonly batches: number;
    readonly tags: number;
    readonly opened: number;
    /** Entries that do not open and that a certificate covers. */
    readonly erased: number;
    /** Erasures that were ordered, and those of them that are done. */
    readonly erasuresOrdered: number;
    readonly erasuresDone: number;
    /** Erased while the audit ran, as the log says: nothing is known of them. */
    readonly withheld: number;
  };
  /** The first thousand entries whose contents were withheld. */
  readonly withheld: readonly number[];
  /**
   * SHA-256, in hex, of rules under which something was logged that is destroyed, and that the log does not show: it may
   * have been promised a longer time. `unknown` for those whose entry names none.
   */
  readonly rulesWithheld: readonly string[];
  /** How long ago the newest cosignature that counts was made; absent without `now`, or without a cosignature. */
  readonly headAgeMs?: number;
  readonly streams: ReadonlyMap<string, AuditedStream>;
}

/**
 * Audits the log that `reader` serves, up to its newest published head.
 *
 * Memory grows with the number of senders and of tags, not with the number of entries.
 *
 * @throws {TlogError} the head itself is malformed or not signed by the policy's log.
 * @throws {ClientError} `audit-unavailable`, `log-refused`, `log-answer-malformed`: the log could not be read whole, so
 *   nothing is said about it.
 */
export async function auditLog(options: AuditOptions): Promise<AuditReport> {
  const note = await options.reader.checkpoint();
  const head = verifyHead(options, note);
  const size = auditableSize(head.checkpoint);
  const audit = new LogAudit(options, head.checkpoint.origin, size);
  await audit.run();
  audit.compareRoot(head.checkpoint);
  const { timely, untimely } = audit.compareTimes(head);
  return {
    verdict: verdictOf(audit, head.quorumMet && options.policy.quorum !== "none"),
    origin: head.checkpoint.origin,
    size,
    rootHash: head.checkpoint.rootHash,
    cosignatures: timely,
    untimely,
    findings: audit.findings,
    findingsTotal: audit.findingsTotal,
    counts: {
      ...audit.leaves.counts,
      tags: audit.leaves.tags,
      ...audit.contentsCounts(),
    },
    withheld: audit.contents?.withheld ?? [],
    rulesWithheld: audit.contents?.rulesWithheld ?? [],
    ...headAge(timely, options.now),
    streams: audit.streams(),
  };
}

function verdictOf({ findingsTotal, contents }: LogAudit, witnessed: boolean): AuditVerdict {
  if (findingsTotal > 0) return "REFUTED";
  if (!witnessed) return "LOG-ONLY";
  if ((contents?.withheldTotal ?? 0) > 0) return "CONTENTS-WITHHELD";
  return (contents?.rulesWithheld ?? []).length > 0 ? "RULES-WITHHELD" : "VERIFIED";
}

function headAge(cosignatures: readonly VerifiedCosignature[], now: number | undefined): { headAgeMs?: number } {
  if (now === undefined || cosignatures.length === 0) return {};
  const newest = cosignatures.reduce((most, { timestamp }) => Math.max(most, Number(timestamp) * 1000), 0);
  return { headAgeMs: Math.max(0, now - newest) };
}

function auditableSize({ size }: Checkpoint): number {
  if (size <= BigInt(Number.MAX_SAFE_INTEGER)) return Number(size);
  throw new ClientError("log-answer-malformed", `tree size ${size} is beyond 2^53 - 1: no log can be read that far`);
}

class LogAudit {
  readonly findings: Finding[] = [];
  findingsTotal = 0;
  readonly leaves: LeafAudit;
  readonly contents: ContentsAudit | undefined;
  readonly #options: AuditOptions;
  readonly #size: number;
  readonly #range = CompactRange.empty();
  /** The hashes of the tile that is being filled, by tile level. */
  readonly #tiles: Hash[][] = [];
  readonly #completed: { readonly level: number; readonly index: number; readonly hashes: readonly Hash[] }[] = [];
  readonly #heads: Checkpoint[];
  /** Until the log turns out to give no ranges. */
  #openingsOf: OpeningsOf | undefined;
  /** How each stream stands by the last of its entries. */
  readonly #tails = new Map<StreamState, AuditedStream["tail"]>();

  constructor(options: AuditOptions, origin: string, size: number) {
    this.#options = options;
    this.#size = size;
    this.leaves = new LeafAudit(origin);
    const { openingOf, openingsOf, promisedBy, ownEntriesOnly: ownOnly = false } = options;
    // Of a range that holds what is not to be opened too nothing is asked for.
    this.#openingsOf = openingOf === undefined || ownOnly ? undefined : openingsOf;
    const add = (found: Finding): void => this.add(found);
    this.contents =
      openingOf === undefined
        ? undefined
        : new ContentsAudit({ openingOf, promisedBy, ownOnly, leaves: this.leaves, size, add });
    this.#heads = (options.heads ?? [])
      .map((note) => verifyHead(options, note).checkpoint)
      .filter((head) => head.origin === origin)
      .toSorted((a, b) => (a.size < b.size ? -1 : a.size > b.size ? 1 : 0));
  }

  async run(): Promise<void> {
    const bundles = Math.ceil(this.#size / TILE_WIDTH);
    const ahead: Promise<BundleAndTile>[] = [];
    const fetchBundle = (index: number): void => {
      const fetched = this.#fetchBundle(index);
      // Whoever takes it from the queue sees the failure; until then it must not count as unhandled.
      fetched.catch(() => undefined);
      ahead.push(fetched);
    };
    for (let index = 0; index < Math.min(READ_AHEAD, bundles); index += 1) fetchBundle(index);
    let openings = this.#fetchOpenings(0);
    openings.catch(() => undefined);
    this.#compareHeads();
    for (let index = 0; index < bundles; index += 1) {
      this.#options.signal?.throwIfAborted();
      const next = await ahead.shift();
      if (next === undefined) break;
      if (index + READ_AHEAD < bundles) fetchBundle(index + READ_AHEAD);
      const shown = await openings;
      openings = this.#fetchOpenings(index + 1);
      openings.catch(() => undefined);
      await this.#checkBundle(index, next, shown);
      this.#options.onProgress?.(Math.min((index + 1) * TILE_WIDTH, this.#size), this.#size);
    }
    await this.#compareRightEdge();
    for (const found of this.leaves.finish(this.#size)) this.add(found);
    await this.contents?.finish(this.#options.now);
    this.#compareSenders();
    for (const { size } of this.#heads) {
      const text = `the log signed a head of size ${size}, but serves only ${this.#size} entries: it was rolled back, or hides entries`;
      this.add(finding("head-not-in-history", undefined, text));
    }
  }

  streams(): Map<string, AuditedStream> {
    const tailOf = (state: StreamState): AuditedStream["tail"] => this.#tails.get(state) ?? "unknown";
    return new Map([...this.leaves.streams].map(([id, state]) => [id, { ...state, tail: tailOf(state) }]));
  }

  contentsCounts(): Pick<AuditReport["counts"], "opened" | "erased" | "withheld" | "erasuresOrdered" | "erasuresDone"> {
    const { opened = 0, erased = 0, withheldTotal: withheld = 0, certificates } = this.contents ?? {};
    const { ordered: erasuresOrdered = 0, done: erasuresDone = 0 } = certificates?.counts ?? {};
    return { opened, erased, withheld, erasuresOrdered, erasuresDone };
  }

  #compareSenders(): void {
    const { senderKeys } = this.#options;
    if (senderKeys === undefined) return;
    for (const [id, { publicKey, firstIndex }] of this.leaves.streams) {
      if (senderKeys.some((expected) => equalBytes(expected, publicKey))) continue;
      const text = `stream ${id} is signed with sender key ${encodeHex(publicKey)}, which is not among those that are expected`;
      this.add(finding("sender-key-unexpected", firstIndex, text));
    }
  }

  add(found: Finding): void {
    this.findingsTotal += 1;
    if (this.findings.length < FINDINGS_MAX) this.findings.push(found);
  }

  compareRoot({ rootHash, size }: Checkpoint): void {
    if (equalBytes(this.#range.rootHash(), rootHash)) return;
    const text = `the entries hash to root ${encodeBase64(this.#range.rootHash())}, the signed head of size ${size} says ${encodeBase64(rootHash)}`;
    this.add(finding("root-mismatch", undefined, text));
  }

  /** Which cosignatures count for the newest entry. */
  compareTimes(head: VerifiedHead): CosignatureTimes {
    const { loggedAt } = this.leaves;
    const times = compareTimes(loggedAt, head, this.#options.policy);
    if (!times.consistent) this.add(finding("time-postdated", this.#size - 1, describePostdated(loggedAt, times)));
    return times;
  }

  async #fetchBundle(index: number): Promise<BundleAndTile> {
    const width = Math.min(TILE_WIDTH, this.#size - index * TILE_WIDTH);
    const { reader } = this.#options;
    const [bundle, tile] = await Promise.all([
      reader.entryBundle({ index, width }),
      reader.tile({ level: 0, index, width }),
    ]);
    return { entries: entriesOf(bundle, { index, width }), tile };
  }

  /** What the log shows of the entries of a bundle, the first of them or all, as far as it gives ranges. */
  async #fetchOpenings(bundle: number): Promise<readonly ShownContents[]> {
    const shown: ShownContents[] = [];
    const end = Math.min((bundle + 1) * TILE_WIDTH, this.#size);
    for (let from = bundle * TILE_WIDTH; from < end && this.#openingsOf !== undefined;) {
      const part = await this.#openingsOf({ from, limit: end - from });
      if (part === undefined || part.length === 0) this.#openingsOf = undefined;
      else shown.push(...part.slice(0, end - from));
      from += part?.length ?? 0;
    }
    return shown;
  }

  async #checkBundle(index: number, { entries, tile }: BundleAndTile, shown: readonly ShownContents[]): Promise<void> {
    const first = index * TILE_WIDTH;
    this.#append(first, entries, tile);
    for (const [at, entry] of entries.entries()) {
      const index = first + at;
      const leaf = this.#checkLeaf(index, entry);
      if (leaf === undefined) continue;
      const { stream } = this.leaves;
      const fetched = at < shown.length ? { shown: shown[at] } : undefined;
      const event =
        this.contents === undefined ? undefined : await this.#checkContents(this.contents, { index, leaf, fetched });
      this.#options.onEntry?.({ index, leaf, stream, event });
    }
    for (const { level, index: tileIndex, hashes } of this.#completed.splice(0)) {
      await this.#compareTile(level, tileIndex, hashes);
    }
  }

  /** Appends the entries of a bundle to the tree: all at once, or one by one where a head ends among them. */
  #append(first: number, entries: readonly Uint8Array[], tile: Uint8Array): void {
    const hashes = hashLeaves(entries);
    if (!equalBytes(hashes, tile)) this.#compareHashes(first, hashes, tile);
    const [head] = this.#heads;
    const step = head !== undefined && head.size < first + entries.length ? HASH_BYTES : hashes.length;
    for (let from = 0; from < hashes.length; from += step) {
      this.#range.appendAll(hashes.subarray(from, from + step), this.#onNodes);
      this.#compareHeads();
    }
  }

  #compareHashes(first: number, hashes: Uint8Array, tile: Uint8Array): void {
    for (let from = 0; from < hashes.length; from += HASH_BYTES) {
      if (equalBytes(hashes.subarray(from, from + HASH_BYTES), tile.subarray(from, from + HASH_BYTES))) continue;
      const text = "the entry does not hash to its hash in the level 0 tile";
      this.add(finding("tile-mismatch", first + from / HASH_BYTES, text));
    }
  }

  readonly #onNodes = (level: number, first: number, hashes: Uint8Array): void => {
    if (level === 0 || level % TILE_HEIGHT !== 0) return;
    const tileLevel = level / TILE_HEIGHT;
    for (const [at, hash] of splitHashes(hashes).entries()) {
      const filled = (this.#tiles[tileLevel] ??= []);
      filled.push(hash);
      if (filled.length < TILE_WIDTH) continue;
      this.#completed.push({ level: tileLevel, index: Math.floor((first + at) / TILE_WIDTH), hashes: filled });
      this.#tiles[tileLevel] = [];
    }
  };

  async #compareRightEdge(): Promise<void> {
    for (const [level, hashes] of this.#tiles.entries()) {
      if (hashes === undefined || hashes.length === 0) continue;
      const full = Math.floor(this.#size / 2 ** (TILE_HEIGHT * (level + 1)));
      await this.#compareTile(level, full, hashes);
    }
  }

  async #compareTile(level: number, index: number, hashes: readonly Hash[]): Promise<void> {
    const tile = { level, index, width: hashes.length };
    const served = await this.#options.reader.tile(tile);
    if (equalBytes(served, concatBytes(...hashes))) return;
    const first = index * 2 ** (TILE_HEIGHT * (level + 1));
    this.add(finding("tile-mismatch", first, `${tilePath(tile)} does not hold the hashes of the tiles below it`));
  }

  #checkLeaf(index: number, entry: Uint8Array): Leaf | undefined {
    let leaf: Leaf;
    try {
      leaf = decodeLeaf(entry);
    } catch (error) {
      if (!(error instanceof TallystickError)) throw error;
      this.add(finding("leaf-malformed", index, error.message));
      return undefined;
    }
    for (const found of this.leaves.check(index, leaf)) this.add(found);
    return leaf;
  }

  async #checkContents(
    contents: ContentsAudit,
    { index, leaf, fetched }: Pick<AuditedEntry, "index" | "leaf"> & { readonly fetched: Fetched | undefined },
  ): Promise<TallyEvent | undefined> {
    const { stream } = this.leaves;
    const event = await contents.check(index, leaf, fetched);
    if (stream === undefined) return event;
    this.#tails.set(stream, event === undefined ? "unknown" : event.type === "stream.end" ? "ended" : "open-or-cut");
    return event;
  }

  /** Every head that was seen elsewhere and has the size that the rebuilt tree has reached just now. */
  #compareHeads(): void {
    for (
      let head = this.#heads[0];
      head !== undefined && head.size <= BigInt(this.#range.size);
      head = this.#heads[0]
    ) {
      this.#heads.shift();
      if (equalBytes(head.rootHash, this.#range.rootHash())) continue;
      const text = `the log signed size ${head.size} with root ${encodeBase64(head.rootHash)}, but this history has root ${encodeBase64(this.#range.rootHash())} there: a fork`;
      this.add(finding("head-not-in-history", this.#range.size, text));
    }
  }
}

function entriesOf(bundle: Uint8Array, id: { readonly index: number; readonly width: number }): Uint8Array[] {
  try {
    return decodeEntryBundle(bundle, id.width);
  } catch (cause) {
    if (!(cause instanceof TallystickError)) throw cause;
    throw new ClientError("log-answer-malformed", `${entriesPath(id)}: ${cause.message}`, { cause, details: id });
  }
}

interface BundleAndTile {
  readonly entries: readonly Uint8Array[];
  readonly tile: Uint8Array;
}
