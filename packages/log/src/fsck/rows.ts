/**
 * The rows by which the log decides about the next submission: ids, ends of chains, streams, batches, pinned keys.
 *
 * They can all be derived from the leaves. Each is compared both ways: every leaf finds its row, and every row its leaf.
 */
import { decodeHex, encodeHex, equalBytes } from "@tallystick/core";
import { type Leaf, type StreamState, type TallyEvent, decodeLeaf, streamId } from "@tallystick/events";
import { indexKey } from "@tallystick/storage";
import { CHAIN_KINDS, decodeLaggingFrom } from "../chain-ends.ts";
import type { OwnStream } from "../heads.ts";
import { hasFormerIds } from "../known-ids.ts";
import {
  type ChainKind,
  TABLE,
  batchKey,
  chainKey,
  commitmentCheck,
  decodeChainEnd,
  decodeKnownId,
  decodePlacedBatch,
  decodeStreamEnd,
  isFormerIdKey,
} from "../rows.ts";
import type { DamagedReader, Stored } from "./reader.ts";
import { CheckTable } from "./check-table.ts";
import { IndexSet } from "./index-set.ts";
import type { Findings, FsckCode } from "./report.ts";

/** Rows whose leaves are read in one go. */
const GROUP = 256;

export interface CheckedLeaf {
  readonly index: number;
  readonly leaf: Leaf;
  readonly event: TallyEvent | undefined;
}

export class RowsCheck {
  readonly #reader: DamagedReader;
  readonly #findings: Findings;
  readonly #origin: string;
  readonly #size: number;
  readonly #own: OwnStream;
  /** Entries that no id row has been seen for. Those of the log itself have none. */
  readonly #withoutId = new IndexSet();
  /** Of entries that were believed. */
  readonly #checks = new CheckTable();
  /** Streams met so far, and whether they are the log's own. */
  readonly #isOwnStream = new Map<string, boolean>();
  readonly #pins = new Map<string, string>();
  readonly #ownStream: string;
  #batches = 0;
  /** Rows of chains need not have the entries from this index on: the next start replays them. */
  #chainsLagFrom = Infinity;
  /** Whether the log looks for rows of ids under keys without a time. */
  #hasFormerIds = true;

  constructor(input: {
    readonly reader: DamagedReader;
    readonly findings: Findings;
    readonly origin: string;
    readonly size: number;
    readonly own: OwnStream;
  }) {
    this.#reader = input.reader;
    this.#findings = input.findings;
    this.#origin = input.origin;
    this.#size = input.size;
    this.#own = input.own;
    this.#ownStream = encodeHex(streamId({ origin: input.origin, ...input.own }));
  }

  /** Call first. */
  async begin(): Promise<void> {
    for await (const { value } of this.#reader.scan(TABLE.lagging))
      this.#chainsLagFrom = this.#decoded(TABLE.lagging, undefined, () => decodeLaggingFrom(value)) ?? Infinity;
    for await (const { value } of this.#reader.scan(TABLE.formerIds))
      this.#hasFormerIds = this.#decoded(TABLE.formerIds, undefined, () => hasFormerIds(value)) ?? true;
  }

  /** Every leaf finds its rows. */
  async checkWindow(leaves: readonly CheckedLeaf[]): Promise<void> {
    await this.#checkChains(leaves);
    await this.#readStreams(leaves);
    for (const { index, leaf, event } of leaves) {
      const isOwn = this.#isOwn(leaf);
      this.#checks.set(index, commitmentCheck(leaf.commitment));
      if (!isOwn) this.#withoutId.add(index);
      else if (event?.type === "log.key") this.#notePin(event);
      if (leaf.signature !== null && !isOwn) await this.#checkBatch(index, leaf);
    }
  }

  async #readStreams(leaves: readonly CheckedLeaf[]): Promise<void> {
    const met = new Set(leaves.flatMap(({ leaf }) => (leaf.sequence === null ? [] : [this.#streamOf(leaf)])));
    const fresh = [...met].filter((stream) => !this.#isOwnStream.has(stream));
    const rows = await this.#reader.rows(TABLE.own, fresh);
    for (const [at, stream] of fresh.entries()) this.#isOwnStream.set(stream, rows[at] !== "missing");
  }

  #streamOf({ stream, sequence }: Leaf): string {
    if (sequence !== 1) return encodeHex(stream);
    return encodeHex(streamId({ origin: this.#origin, publicKey: stream.slice(0, 32), instance: stream.slice(32) }));
  }

  /** An entry of the log itself: those have no rows for ids and batches. */
  #isOwn(leaf: Leaf): boolean {
    return leaf.sequence !== null && this.#isOwnStream.get(this.#streamOf(leaf)) === true;
  }

  #notePin({ context }: TallyEvent): void {
    const { writer, publicKey, change } = context ?? {};
    if (typeof writer === "string" && typeof publicKey === "string" && change === "pinned")
      this.#pins.set(writer, publicKey);
  }

  async #checkChains(leaves: readonly CheckedLeaf[]): Promise<void> {
    const written = leaves.filter(({ index }) => index < this.#chainsLagFrom);
    const wanted = written.flatMap(({ index, leaf }) =>
      CHAIN_KINDS.flatMap((kind) => {
        const chain = leaf[kind];
        return chain === null ? [] : [{ index, n: chain.n, key: chainKey(kind, chain.tag) }];
      }),
    );
    const keys = [...new Set(wanted.map(({ key }) => key))];
    const rows = await this.#reader.rows(TABLE.chain, keys);
    const ends = new Map(keys.map((key, at) => [key, rows[at]]));
    for (const { index, n, key } of wanted) {
      const row = ends.get(key);
      if (row === undefined || row === "damaged") continue;
      const end = row === "missing" ? undefined : this.#decoded(TABLE.chain, index, () => decodeChainEnd(row));
      if (end !== undefined && (end.count > n + 1 || (end.count === n + 1 && end.last === index))) continue;
      const text = `index ${index}: it is number ${n} of chain ${key}, whose row says ${end === undefined ? "nothing" : `that there are ${end.count}, the last at index ${end.last}`}`;
      this.#findings.add("chain-row-mismatch", index, text);
    }
  }

  async #checkBatch(index: number, leaf: Leaf): Promise<void> {
    const { signature, sequence } = leaf;
    if (signature === null || sequence === null) return;
    this.#batches += 1;
    const first = sequence - signature.count + 1;
    const stream = this.#streamOf(leaf);
    const row = await this.#reader.row(TABLE.batch, batchKey(stream, first));
    if (row === "damaged") return;
    const placed = row === "missing" ? undefined : this.#decoded(TABLE.batch, index, () => decodePlacedBatch(row));
    if (placed?.count === signature.count && placed.firstIndex === index - signature.count + 1) return;
    const text = `index ${index}: the row of the batch that ends there (stream ${stream}, from sequence ${first}) ${placed === undefined ? "is missing" : "names another place"}`;
    this.#findings.add("stream-row-mismatch", index, text);
  }

  /**
   * Every row finds its leaf. Call after the last leaf.
   *
   * @param streams - By id, as replayed from the leaves; `undefined` where they could not be replayed to the end.
   */
  async finish(streams: ReadonlyMap<string, StreamState> | undefined, withEvents: boolean): Promise<void> {
    await this.#checkIdRows();
    await this.#checkChainRows();
    if (streams !== undefined) {
      await this.#checkStreamRows(streams);
      await this.#checkBatchRows();
    }
    if (withEvents) await this.#checkPins();
  }

  async #checkIdRows(): Promise<void> {
    for await (const { key, value } of this.#reader.scan(TABLE.id)) {
      const known = this.#decoded(TABLE.id, undefined, () => decodeKnownId(value));
      if (known === undefined) continue;
      const { check, index } = known;
      if (isFormerIdKey(key) && !this.#hasFormerIds) {
        this.#findings.add("id-row-mismatch", index, `index ${index}: an id row that names it lies where nobody looks`);
        continue;
      }
      const isEntry = Number.isSafeInteger(index) && index >= 0 && index < this.#size;
      const believed = isEntry ? this.#checks.get(index) : undefined;
      // A leaf that does not read has been reported.
      if (isEntry && believed === undefined) continue;
      if (believed === check && this.#withoutId.has(index)) this.#withoutId.delete(index);
      else this.#findings.add("id-row-mismatch", index, `index ${index}: an id row names it that is not its own`);
    }
    for (const index of this.#withoutId) {
      this.#findings.add("id-row-mismatch", index, `index ${index}: no id row names it, so it could be logged twice`);
    }
  }

  async #checkChainRows(): Promise<void> {
    await this.#withLeaves({
      table: TABLE.chain,
      decode: decodeChainEnd,
      indexOf: ({ last }) => last,
      check: (key, { count, last }, leaf) => {
        const [kind = "", tag = ""] = key.split(":", 2);
        const chain = CHAIN_KINDS.some((known) => known === kind) ? leaf?.[kind as ChainKind] : undefined;
        if (chain && encodeHex(chain.tag) === tag && chain.n === count - 1) return;
        const text = `the row of chain ${key} says that number ${count - 1} of it is at index ${last}, where it is not`;
        this.#findings.add("chain-row-mismatch", last, text);
      },
    });
  }

  async #checkStreamRows(streams: ReadonlyMap<string, StreamState>): Promise<void> {
    const seen = new Set<string>();
    for await (const { key, value } of this.#reader.scan(TABLE.stream)) {
      seen.add(key);
      const state = streams.get(key);
      const end = this.#decoded(TABLE.stream, state?.lastIndex, () => decodeStreamEnd(value));
      if (end === undefined) continue;
      const { next, lastIndex } = end;
      if (state !== undefined && next === state.lastSequence + 1 && lastIndex === state.lastIndex) continue;
      const text = `the row of stream ${key} expects sequence ${next} after index ${lastIndex}; the leaves say ${state === undefined ? "that there is no such stream" : `${state.lastSequence + 1} after index ${state.lastIndex}`}`;
      this.#findings.add("stream-row-mismatch", state?.lastIndex, text);
    }
    for (const [stream, { lastIndex }] of streams) {
      if (seen.has(stream) || this.#isOwnStream.get(stream) === true) continue;
      if (this.#reader.isDamaged(TABLE.stream, stream)) continue;
      const text = `index ${lastIndex}: its stream ${stream} has no row`;
      this.#findings.add("stream-row-mismatch", lastIndex, text);
    }
    this.#checkOwnStream(streams.get(this.#ownStream)?.lastSequence ?? 0);
  }

  #checkOwnStream(lastSequence: number): void {
    if (this.#own.nextSequence === lastSequence + 1) return;
    const text = `the head expects sequence ${this.#own.nextSequence} of the log's own stream, the leaves end with ${lastSequence}`;
    this.#findings.add("head-mismatch", undefined, text);
  }

  async #checkBatchRows(): Promise<void> {
    let rows = 0;
    for await (const _row of this.#reader.scan(TABLE.batch)) rows += 1;
    if (rows === this.#batches) return;
    this.#findings.add("stream-row-mismatch", undefined, `there are ${rows} batch rows and ${this.#batches} batches`);
  }

  async #checkPins(): Promise<void> {
    for await (const { key: writer, value } of this.#reader.scan(TABLE.pinned)) {
      const logged = this.#pins.get(writer);
      this.#pins.delete(writer);
      if (logged !== undefined && equalBytes(value, decodeHex(logged))) continue;
      this.#findings.add(
        "pinned-row-mismatch",
        undefined,
        "a writer is pinned to a sender key that no log.key entry names",
      );
    }
    if (this.#pins.size === 0) return;
    const text = `${this.#pins.size} log.key entries name a pinned sender key that has no row`;
    this.#findings.add("pinned-row-mismatch", undefined, text);
  }

  #decoded<T>(table: string, index: number | undefined, decode: () => T): T | undefined {
    const code = ROW_CODES[table] ?? "storage-corrupt";
    return this.#findings.decode(
      { code, ...(index === undefined ? {} : { index }), what: `a row of table ${table}` },
      decode,
    );
  }

  /** Reads the rows of a table, each with the leaf that it names; `undefined` where there can be no such leaf. */
  async #withLeaves<T>(walk: RowWalk<T>): Promise<void> {
    let group: { readonly key: string; readonly row: T; readonly index: number }[] = [];
    const flush = async (): Promise<void> => {
      const leaves = await this.#reader.rows(
        TABLE.leaf,
        group.map(({ index }) => indexKey(index)),
      );
      for (const [at, { key, row }] of group.entries()) {
        const leaf = leafOf(leaves[at]);
        // A leaf that does not read has been reported.
        if (leaf !== undefined) walk.check(key, row, leaf);
      }
      group = [];
    };
    for await (const { key, value } of this.#reader.scan(walk.table)) {
      const row = this.#decoded(walk.table, undefined, () => walk.decode(value));
      if (row === undefined) continue;
      const index = walk.indexOf(row);
      if (Number.isSafeInteger(index) && index >= 0 && index < this.#size) group.push({ key, row, index });
      else walk.check(key, row, undefined);
      if (group.length === GROUP) await flush();
    }
    await flush();
  }
}

interface RowWalk<T> {
  readonly table: string;
  readonly decode: (value: Uint8Array) => T;
  readonly indexOf: (row: T) => number;
  readonly check: (key: string, row: T, leaf: Leaf | undefined) => void;
}

const ROW_CODES: Readonly<Record<string, FsckCode>> = {
  [TABLE.id]: "id-row-mismatch",
  [TABLE.formerIds]: "id-row-mismatch",
  [TABLE.chain]: "chain-row-mismatch",
  [TABLE.lagging]: "chain-row-mismatch",
  [TABLE.stream]: "stream-row-mismatch",
  [TABLE.batch]: "stream-row-mismatch",
};

function leafOf(stored: Stored | undefined): Leaf | undefined {
  if (stored === undefined || typeof stored === "string") return undefined;
  try {
    return decodeLeaf(stored);
  } catch {
    return undefined;
  }
}
