/**
 * The ends of chains: how many leaves bear a tag, and which was the last.
 *
 * Every leaf says its own place in its chains, so the rows on disk may lag: those of persons and sessions that are active
 * change with every commit, and are written once in a while. A row says from which index on some may lag; opening
 * replays the leaves from there.
 */
import { type Leaf, decodeCbor, decodeLeaf, encodeCbor } from "@tallystick/events";
import { type LogStorage, type Row, indexKey } from "@tallystick/storage";
import { LogError } from "./error.ts";
import { listOf, numberOf } from "./heads.ts";
import { Lru } from "./lru.ts";
import { type ChainEnd, type ChainKind, TABLE, chainKey, decodeChainEnd, encodeChainEnd } from "./rows.ts";

export const CHAIN_KINDS: readonly ChainKind[] = ["session", "actor", "subject", "tenant"];

/** Ends that are not on disk yet. */
const UNWRITTEN_MAX = 8192;
/** Leaves that opening replays: some tens of milliseconds. */
const REPLAYED_MAX = 16_384;
/** Ends that are on disk and in memory too: those of the persons and sessions that are active. */
const KEPT_MAX = 50_000;
/** Leaves that are read in one go. */
const STEP = 1024;

const FROM_KEY = "chain";

interface Unwritten {
  end: ChainEnd;
  /** No leaf before this index changed it since it was written. */
  readonly since: number;
}

export class ChainEnds {
  readonly #storage: LogStorage;
  readonly #kept = new Lru<ChainEnd>(KEPT_MAX);
  /** Those that have waited longest first. */
  readonly #unwritten = new Map<string, Unwritten>();
  /** What the disk says of where rows may lag from. */
  #storedFrom: number | undefined;

  private constructor(storage: LogStorage) {
    this.#storage = storage;
  }

  /**
   * Replays the leaves whose chains the rows on disk may not have yet.
   *
   * @throws {LogError | EventError | StorageError} `log-corrupt`, `leaf-malformed`, `storage-corrupt`: one does not read.
   */
  static async open(storage: LogStorage, size: number): Promise<ChainEnds> {
    const ends = new ChainEnds(storage);
    const from = (await readLaggingFrom(storage)) ?? size;
    for (let at = from; at < size; at += STEP) {
      const keys = Array.from({ length: Math.min(STEP, size - at) }, (_, place) => indexKey(at + place));
      for (const [place, bytes] of (await storage.getRows(TABLE.leaf, keys)).entries()) {
        const index = at + place;
        if (bytes === undefined) throw new LogError("log-corrupt", `index ${index}: the entry is missing: run fsck`);
        for (const [key, end] of endsAfter(decodeLeaf(bytes), index)) ends.#change(key, end, index);
      }
    }
    return ends;
  }

  /** The ends of chains by their keys; those of chains that nobody began are not in it. */
  async read(keys: ReadonlySet<string>): Promise<Map<string, ChainEnd>> {
    const known = new Map<string, ChainEnd>();
    const missing: string[] = [];
    for (const key of keys) {
      const end = this.#unwritten.get(key)?.end ?? this.#kept.get(key);
      if (end === undefined) missing.push(key);
      else known.set(key, end);
    }
    const rows = missing.length === 0 ? [] : await this.#storage.getRows(TABLE.chain, missing);
    for (const [at, key] of missing.entries()) {
      const row = rows[at];
      if (row !== undefined) known.set(key, decodeChainEnd(row));
    }
    return known;
  }

  /**
   * Takes the ends that a commit of the leaves from `first` to `size` changes, and gives the rows that it has to write.
   * A commit that fails ends the log, so nothing is taken back.
   */
  commit(
    ends: ReadonlyMap<string, ChainEnd>,
    { first, size }: { readonly first: number; readonly size: number },
  ): Row[] {
    for (const [key, end] of ends) this.#change(key, end, first);
    const rows: Row[] = [];
    for (const [key, { end, since }] of this.#unwritten) {
      if (this.#unwritten.size <= UNWRITTEN_MAX && since >= size - REPLAYED_MAX) break;
      rows.push(this.#write(key, end));
    }
    const [oldest] = this.#unwritten.values();
    return [...rows, ...this.#laggingFrom(oldest?.since ?? size)];
  }

  /** The rows after which no end is missing on disk. */
  flush(size: number): Row[] {
    const rows = [...this.#unwritten].map(([key, { end }]) => this.#write(key, end));
    return [...rows, ...this.#laggingFrom(size)];
  }

  #change(key: string, end: ChainEnd, since: number): void {
    const unwritten = this.#unwritten.get(key);
    if (unwritten === undefined) this.#unwritten.set(key, { end, since });
    else unwritten.end = end;
  }

  #write(key: string, end: ChainEnd): Row {
    this.#unwritten.delete(key);
    this.#kept.set(key, end);
    return { table: TABLE.chain, key, value: encodeChainEnd(end) };
  }

  #laggingFrom(index: number): Row[] {
    if (index === this.#storedFrom) return [];
    this.#storedFrom = index;
    return [laggingFromRow(index)];
  }
}

/** From which index on rows of chains may lag; `undefined` where none ever did. @throws {LogError} `log-corrupt` */
export async function readLaggingFrom(storage: Pick<LogStorage, "getRow">): Promise<number | undefined> {
  const row = await storage.getRow(TABLE.lagging, FROM_KEY);
  return row === undefined ? undefined : decodeLaggingFrom(row);
}

export function decodeLaggingFrom(row: Uint8Array): number {
  const [index] = listOf(decodeCbor(row), "lagging");
  return numberOf(index, "lagging from");
}

export function laggingFromRow(index: number): Row {
  return { table: TABLE.lagging, key: FROM_KEY, value: encodeCbor([index]) };
}

/** The ends of a leaf's chains once it is there. */
function* endsAfter(leaf: Leaf, index: number): Generator<readonly [string, ChainEnd]> {
  for (const kind of CHAIN_KINDS) {
    const chain = leaf[kind];
    if (chain !== null) yield [chainKey(kind, chain.tag), { count: chain.n + 1, last: index }];
  }
}
