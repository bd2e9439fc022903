/**
 * Rebuilds what follows from the entries: tiles, the rows of ids, chains, streams and batches, and as far as entries say
 * it those by which retention, erasure and holds decide (disposition.ts).
 *
 * Entries, sealed events, heads and keys follow from nothing else: where these are damaged nothing is written, since what
 * is rebuilt from a wrong entry would be wrong too. So first all entries are hashed to the root of the integrated head.
 */
import { TILE_WIDTH, TallystickError, encodeHex, equalBytes, hashLeaves } from "@tallystick/core";
import { type Leaf, type TallyEvent, decodeEvent, decodeLeaf, decodeOpening, streamId } from "@tallystick/events";
import { type LogStorage, type Row, indexKey } from "@tallystick/storage";
import { CHAIN_KINDS, decodeLaggingFrom, laggingFromRow } from "../chain-ends.ts";
import { edgeOf, edgePieces, formerEdgeRow } from "../edge.ts";
import { FORMER_IDS_KEY, NO_FORMER_IDS, hasFormerIds } from "../known-ids.ts";
import { LogError } from "../error.ts";
import { type FsckOptions, fsckLog } from "../fsck.ts";
import { type IntegratedHead, decodeIntegratedHead } from "../heads.ts";
import { LogSecrets } from "../keys.ts";
import {
  TABLE,
  batchKey,
  commitmentCheck,
  chainKey,
  decodeChainEnd,
  decodeKnownId,
  encodeChainEnd,
  encodeKnownId,
  encodePlacedBatch,
  encodeStreamEnd,
  formerIdKey,
  idKey,
  isFormerIdKey,
  keySender,
  writerSender,
} from "../rows.ts";
import { type FullTile, type Tree, emptyTree, hashesAtLevel, integrate, tileKey } from "../tree.ts";
import { DispositionFacts } from "./disposition-facts.ts";
import { type Difference, DispositionRows } from "./disposition.ts";
import { DamagedReader, type Stored, ifReadable } from "./reader.ts";
import { Findings, type FsckReport } from "./report.ts";

export interface RepairReport {
  /** What was found before. */
  readonly before: FsckReport;
  /** What was written, by table, and `tile` for full tiles; removed rows count too. Empty where nothing was wrong, or nothing could be done. */
  readonly written: Readonly<Record<string, number>>;
  /** Why nothing could be rebuilt, where that is so. */
  readonly refusal?: string;
  /** What is found now: this cannot be rebuilt. */
  readonly after: FsckReport;
}

/** Tables that are rebuilt whole: what no entry asks for is removed from them. */
const DERIVED = [TABLE.chain, TABLE.stream, TABLE.batch, TABLE.edge] as const;
const ROWS_PER_WRITE = 1000;
const TILES_PER_COMMIT = 64;

/**
 * Checks a log's disk, rebuilds what follows from its entries, and checks it again. The log must not be open.
 *
 * Dying at any moment leaves a log that can be repaired again: every value that is written is the right one. Memory: as
 * for the check, and one row for each event.
 *
 * @throws {StorageError} `storage-unavailable`, `storage-full`
 */
export async function repairLog(options: FsckOptions): Promise<RepairReport> {
  const before = await fsckLog(options);
  if (before.ok) return { before, written: {}, after: before };
  const entries = await provenEntries(options.storage);
  if (typeof entries === "string") return { before, written: {}, refusal: entries, after: before };
  const written = await new Repair(options, entries).run();
  return { before, written, after: await fsckLog(options) };
}

interface ProvenEntries {
  readonly head: IntegratedHead;
  readonly version: number;
  readonly tree: Tree;
}

/** The tree of the entries, when its root is the integrated head's; else why not. */
async function provenEntries(storage: LogStorage): Promise<ProvenEntries | string> {
  try {
    const stored = await storage.readHead("integrated");
    if (stored === undefined) return "there is no head that says which entries there are";
    const head = decodeIntegratedHead(stored.bytes);
    let tree = emptyTree();
    for await (const { hashes } of windows(storage, head.size)) ({ tree } = integrate(tree, hashes));
    if (!equalBytes(tree.range.rootHash(), head.rootHash)) return "the entries do not have the head's root";
    return { head, version: stored.version, tree };
  } catch (error) {
    if (!(error instanceof TallystickError)) throw error;
    return error.message;
  }
}

interface Window {
  readonly from: number;
  readonly leaves: readonly Uint8Array[];
  /** Of the leaves, one after the other. */
  readonly hashes: Uint8Array;
}

/** All entries. @throws {LogError | StorageError} `log-corrupt`, `storage-corrupt`: one is missing or damaged. */
async function* windows(storage: LogStorage, size: number): AsyncGenerator<Window> {
  for (let from = 0; from < size; from += TILE_WIDTH) {
    const keys = Array.from({ length: Math.min(TILE_WIDTH, size - from) }, (_, at) => indexKey(from + at));
    const leaves = (await storage.getRows(TABLE.leaf, keys)).map((leaf, at) => {
      if (leaf === undefined) throw new LogError("log-corrupt", `index ${from + at}: the entry is not stored`);
      return leaf;
    });
    yield { from, leaves, hashes: hashLeaves(leaves) };
  }
}

class Repair {
  readonly #options: FsckOptions;
  readonly #reader: DamagedReader;
  readonly #secrets: LogSecrets | undefined;
  readonly #entries: ProvenEntries;
  #version: number;
  /** By table and key. */
  readonly #wanted = new Map<string, Map<string, Uint8Array>>();
  /** Stream id → the public key that signs it; by what its first entry says. */
  readonly #publicKeys = new Map<string, Uint8Array>();
  readonly #ownStreams = new Set<string>();
  /** As {@link decodeLaggingFrom} gives it. */
  #chainsLagFrom = Infinity;
  readonly #facts = new DispositionFacts();
  readonly #written: Record<string, number> = {};

  constructor(options: FsckOptions, entries: ProvenEntries) {
    this.#options = options;
    this.#reader = new DamagedReader(options.storage, new Findings());
    this.#secrets = options.keyStore === undefined ? undefined : new LogSecrets(options.keyStore);
    this.#entries = entries;
    this.#version = entries.version;
    for (const table of [...DERIVED, TABLE.id]) this.#wanted.set(table, new Map());
  }

  async run(): Promise<Readonly<Record<string, number>>> {
    const { storage, origin, signal } = this.#options;
    const { head } = this.#entries;
    for await (const { key } of this.#reader.scan(TABLE.own)) this.#ownStreams.add(key);
    this.#ownStreams.add(encodeHex(streamId({ origin, ...head.own })));
    await this.#readLagging();
    let tree = emptyTree();
    const tiles: FullTile[] = [];
    for await (const { from, leaves, hashes } of windows(storage, head.size)) {
      signal?.throwIfAborted();
      const grown = integrate(tree, hashes);
      tree = grown.tree;
      tiles.push(...(await this.#wrongTiles(grown.tiles)));
      if (tiles.length >= TILES_PER_COMMIT) await this.#writeTiles(tiles.splice(0));
      const sealed = await this.#reader.rows(
        TABLE.sealed,
        leaves.map((_, at) => indexKey(from + at)),
      );
      for (const [at, bytes] of leaves.entries()) this.#take(from + at, decodeLeaf(bytes), sealed[at] ?? "missing");
    }
    await this.#writeTiles(tiles);
    await this.#wantEdges();
    await this.#keepFormerIds();
    await this.#writeRows();
    await this.#writeDisposition();
    return this.#written;
  }

  async #readLagging(): Promise<void> {
    for await (const { key, value } of this.#reader.scan(TABLE.lagging)) {
      try {
        this.#chainsLagFrom = decodeLaggingFrom(value);
      } catch (error) {
        if (!(error instanceof TallystickError)) throw error;
        this.#count(TABLE.lagging, 1);
        await this.#options.storage.deleteRows(TABLE.lagging, [key]);
      }
    }
  }

  /** Rows of ids under keys without a time stay where they are if they are right, and the log is told to look there. */
  async #keepFormerIds(): Promise<void> {
    const former = new Map<string, Uint8Array>();
    for await (const { key, value } of this.#reader.scan(TABLE.id)) if (isFormerIdKey(key)) former.set(key, value);
    await this.#mendFormerIds(former.size > 0);
    const wanted = this.#wanted.get(TABLE.id);
    if (former.size === 0 || wanted === undefined) return;
    const right = new Map<string, Uint8Array>();
    for (const [key, value] of wanted) {
      const stored = former.get(formerIdKey(key));
      if (stored === undefined || !saysTheSame(TABLE.id, value, stored)) continue;
      wanted.delete(key);
      right.set(formerIdKey(key), value);
    }
    for (const [key, value] of right) wanted.set(key, value);
  }

  async #mendFormerIds(hasFormer: boolean): Promise<void> {
    const { storage } = this.#options;
    const row = await this.#reader.row(TABLE.formerIds, FORMER_IDS_KEY);
    if (row === "missing") return;
    const said = row === "damaged" ? undefined : ifReadable(() => hasFormerIds(row));
    // To look for some where there are none does no harm.
    if (said === true || (said === false && !hasFormer)) return;
    if (hasFormer) await storage.deleteRows(TABLE.formerIds, [FORMER_IDS_KEY]);
    else await storage.putRows([NO_FORMER_IDS]);
    this.#count(TABLE.formerIds, 1);
  }

  async #wrongTiles(tiles: readonly FullTile[]): Promise<readonly FullTile[]> {
    const wrong: FullTile[] = [];
    for (const tile of tiles) {
      const stored = await this.#reader.blob(tileKey(tile.level, tile.index));
      if (typeof stored === "string" || !equalBytes(stored, tile.bytes)) wrong.push(tile);
    }
    return wrong;
  }

  /** Blobs are written by commits only: the head that comes with them is the one that is there. */
  async #writeTiles(tiles: readonly FullTile[]): Promise<void> {
    if (tiles.length === 0) return;
    const { storage } = this.#options;
    const stored = await storage.readHead("integrated");
    if (stored === undefined) return;
    const blobs = tiles.map(({ level, index, bytes }) => ({ key: tileKey(level, index), bytes }));
    await storage.commit({ head: { name: "integrated", expected: this.#version, bytes: stored.bytes }, blobs });
    this.#version += 1;
    this.#count("tile", tiles.length);
  }

  /** Notes the rows that an entry asks for. */
  #take(index: number, leaf: Leaf, sealed: Stored): void {
    const event = this.#eventOf(leaf, sealed);
    this.#facts.take({ index, leaf, event, sealed });
    for (const kind of CHAIN_KINDS) {
      const chain = leaf[kind];
      if (chain !== null)
        this.#want(TABLE.chain, chainKey(kind, chain.tag), encodeChainEnd({ count: chain.n + 1, last: index }));
    }
    const stream = leaf.sequence === null ? undefined : this.#streamOf(leaf);
    if (stream !== undefined && this.#ownStreams.has(stream)) return;
    if (stream !== undefined && leaf.sequence !== null) {
      this.#want(TABLE.stream, stream, encodeStreamEnd({ next: leaf.sequence + 1, lastIndex: index }));
      if (leaf.signature !== null) this.#wantBatch(index, stream, leaf.sequence, leaf.signature.count);
    }
    const sender = stream === undefined ? writerSender(leaf.stream) : this.#senderOf(stream);
    if (event !== undefined && sender !== undefined)
      this.#want(TABLE.id, idKey(sender, event.id), encodeKnownId({ check: commitmentCheck(leaf.commitment), index }));
  }

  #wantBatch(index: number, stream: string, sequence: number, count: number): void {
    const value = encodePlacedBatch({ firstIndex: index - count + 1, count });
    this.#want(TABLE.batch, batchKey(stream, sequence - count + 1), value);
  }

  /** The first entry of a stream has its public key and instance in place of its id. */
  #streamOf({ stream, sequence }: Leaf): string {
    if (sequence !== 1) return encodeHex(stream);
    const publicKey = stream.slice(0, 32);
    const id = encodeHex(streamId({ origin: this.#options.origin, publicKey, instance: stream.slice(32) }));
    this.#publicKeys.set(id, publicKey);
    return id;
  }

  #senderOf(stream: string): string | undefined {
    const publicKey = this.#publicKeys.get(stream);
    return publicKey && keySender(publicKey);
  }

  /** The event; `undefined` where the contents are erased, or damaged. */
  #eventOf({ commitment }: Leaf, row: Stored): TallyEvent | undefined {
    if (typeof row === "string" || this.#secrets === undefined) return undefined;
    const contents = this.#secrets.examine({ row, commitment });
    if (contents.kind !== "opened") return undefined;
    return ifReadable(() => decodeEvent(decodeOpening(contents.opening).event));
  }

  async #wantEdges(): Promise<void> {
    const { head, tree } = this.#entries;
    for (let level = 0; hashesAtLevel(head.size, level) > 0; level += 1) {
      const edge = edgeOf(tree, level);
      const former = formerEdgeRow(level, edge);
      const stored = await this.#reader.row(TABLE.edge, former.key);
      const isFormer = typeof stored !== "string" && equalBytes(stored, former.value);
      for (const { key, value } of isFormer ? [former] : edgePieces(level, edge)) this.#want(TABLE.edge, key, value);
    }
  }

  #want(table: string, key: string, value: Uint8Array): void {
    this.#wanted.get(table)?.set(key, value);
  }

  /** Writes rows that are missing or other ones, and removes those that no entry asks for. */
  async #writeRows(): Promise<void> {
    for (const [table, wanted] of this.#wanted) {
      const wrong = new Map<string, Uint8Array | null>(wanted);
      for await (const { key, value } of this.#reader.scan(table)) {
        const right = wanted.get(key);
        if (right !== undefined && saysTheSame(table, right, value)) wrong.delete(key);
        if (right === undefined && !(await this.#mayStay(table, value))) wrong.set(key, null);
      }
      // A scan passes over what does not read. Of an id nobody knows whether an entry asks for it.
      const unread = table === TABLE.id ? [] : this.#reader.damagedIn(table);
      for (const key of unread) if (!wanted.has(key)) wrong.set(key, null);
      const rows: Row[] = [...wrong].map(([key, value]) => ({ table, key, value }));
      for (let at = 0; at < rows.length; at += ROWS_PER_WRITE)
        await this.#options.storage.putRows(rows.slice(at, at + ROWS_PER_WRITE));
      const damaged = rows.filter((row) => !this.#onlyLags(row));
      if (damaged.length > 0) this.#count(table, damaged.length);
    }
    if (this.#chainsLagFrom < Infinity) await this.#options.storage.putRows([laggingFromRow(this.#entries.head.size)]);
  }

  /** Each mends itself only: what one of them needs of another table it takes from the entries. */
  async #writeDisposition(): Promise<void> {
    const { storage, rulesTexts = [] } = this.#options;
    const rows = new DispositionRows({ reader: this.#reader, facts: this.#facts, secrets: this.#secrets, rulesTexts });
    const found: Difference[] = [];
    for await (const difference of rows.differences()) found.push(difference);
    for (const { table, rows: mending } of found) {
      if (mending.length === 0) continue;
      await storage.putRows(mending);
      this.#count(table, 1);
    }
  }

  /** A row that the next start would have made too: to write it is no repair. */
  #onlyLags({ table, value }: Row): boolean {
    return table === TABLE.chain && value !== null && decodeChainEnd(value).last >= this.#chainsLagFrom;
  }

  /** The id of an event that was erased cannot be computed again: its row stays if it names an entry with its commitment. */
  async #mayStay(table: string, value: Uint8Array): Promise<boolean> {
    if (table !== TABLE.id) return false;
    try {
      const { check, index } = decodeKnownId(value);
      if (!Number.isSafeInteger(index) || index < 0 || index >= this.#entries.head.size) return false;
      const leaf = await this.#options.storage.getRow(TABLE.leaf, indexKey(index));
      const row = await this.#reader.row(TABLE.sealed, indexKey(index));
      if (leaf === undefined) return false;
      const decoded = decodeLeaf(leaf);
      return commitmentCheck(decoded.commitment) === check && this.#eventOf(decoded, row) === undefined;
    } catch (error) {
      if (!(error instanceof TallystickError)) throw error;
      return false;
    }
  }

  #count(table: string, count: number): void {
    this.#written[table] = (this.#written[table] ?? 0) + count;
  }
}

/** Rows of ids had another form in logs of before: those are right as they are. */
function saysTheSame(table: string, right: Uint8Array, value: Uint8Array): boolean {
  if (table !== TABLE.id) return equalBytes(right, value);
  const [wanted, found] = [decodeKnownId(right), ifReadable(() => decodeKnownId(value))];
  return found?.index === wanted.index && found.check === wanted.check;
}
