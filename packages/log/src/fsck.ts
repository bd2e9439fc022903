/**
 * The operator's check of a stopped log: is what is on disk whole, and does every part agree with every other?
 *
 * Walks all entries once. Memory grows with senders and tags, not with entries.
 */
import {
  CompactRange,
  type Hash,
  TILE_WIDTH,
  TallystickError,
  type Verifier,
  concatBytes,
  encodeHex,
  equalBytes,
  hashLeaf,
  openNote,
  parseCheckpoint,
} from "@tallystick/core";
import {
  type Chain,
  type Leaf,
  LeafAudit,
  decodeEvent,
  decodeLeaf,
  decodeOpening,
  retentionClass,
  sessionTagOf,
  streamId,
} from "@tallystick/events";
import { type KeyStore, type LogStorage, StorageError, indexKey, parseIndexKey } from "@tallystick/storage";
import { LogError } from "./error.ts";
import { type IntegratedHead, type SignedHead, decodeIntegratedHead, decodeSignedHead } from "./heads.ts";
import { LogSecrets } from "./keys.ts";
import {
  type ChainKind,
  TABLE,
  chainKey,
  decodeChainEnd,
  decodeKnownId,
  decodePlacedBatch,
  decodeStreamEnd,
} from "./rows.ts";
import { StoredTiles } from "./tiles.ts";
import { hashesAtLevel } from "./tree.ts";

export interface FsckFinding {
  readonly code: string;
  /** The entry that it concerns; absent where it is the whole log. */
  readonly index?: number;
  readonly message: string;
  /** What to do next. */
  readonly remedy: string;
}

export interface FsckReport {
  readonly ok: boolean;
  readonly origin: string;
  readonly size: number;
  /** The first thousand. */
  readonly findings: readonly FsckFinding[];
  readonly findingsTotal: number;
  readonly counts: {
    readonly opened: number;
    readonly erased: number;
    readonly tags: number;
    readonly streams: number;
  };
}

export interface FsckOptions {
  readonly storage: LogStorage;
  /** Without it contents are not opened. */
  readonly keyStore?: KeyStore;
  readonly origin: string;
  /** The log's own keys, to verify its heads. */
  readonly verifiers: readonly Verifier[];
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

const FINDINGS_MAX = 1000;
const RESTORE =
  "restore the data folder from the newest copy that fsck finds whole; the log does not start on this one";
const REBUILD = "stop using this folder: restore the newest copy, or report it to whoever audits this log";
const KINDS: readonly ChainKind[] = ["session", "actor", "subject", "tenant"];

/**
 * Checks a log's storage. Reads only.
 *
 * @throws {StorageError} `storage-unavailable`: it could not be read at all. Damage is a finding, not an error.
 */
export async function fsckLog(options: FsckOptions): Promise<FsckReport> {
  const check = new Fsck(options);
  await check.run();
  return check.report();
}

class Fsck {
  readonly #options: FsckOptions;
  readonly #storage: LogStorage;
  readonly #tiles: StoredTiles;
  readonly #secrets: LogSecrets | undefined;
  readonly #leaves: LeafAudit;
  readonly #range = CompactRange.empty();
  readonly #tileHashes: Hash[][] = [];
  readonly #fullTiles: { readonly level: number; readonly index: number; readonly hashes: readonly Hash[] }[] = [];
  readonly #findings: FsckFinding[] = [];
  readonly #heads = new Map<number, { readonly name: string; readonly rootHash: Hash }[]>();
  readonly #tagCounts: Record<ChainKind, number> = { session: 0, actor: 0, subject: 0, tenant: 0 };
  readonly #counts = { opened: 0, erased: 0 };
  #total = 0;
  #size = 0;

  constructor(options: FsckOptions) {
    this.#options = options;
    this.#storage = options.storage;
    this.#tiles = new StoredTiles(options.storage);
    this.#secrets = options.keyStore === undefined ? undefined : new LogSecrets(options.keyStore);
    this.#leaves = new LeafAudit(options.origin);
  }

  report(): FsckReport {
    return {
      ok: this.#total === 0,
      origin: this.#options.origin,
      size: this.#size,
      findings: this.#findings,
      findingsTotal: this.#total,
      counts: { ...this.#counts, tags: this.#leaves.tags, streams: this.#leaves.streams.size },
    };
  }

  async run(): Promise<void> {
    const head = await this.#guarded("head-damaged", undefined, async () => this.#readIntegrated());
    if (head === undefined) return;
    this.#size = head.size;
    this.#expectRoot(head.size, "the integrated head", head.rootHash);
    await this.#readSignedHeads();
    this.#compareRoots();
    for (let first = 0; first < this.#size; first += TILE_WIDTH) {
      this.#options.signal?.throwIfAborted();
      await this.#checkTile(first);
      this.#options.onProgress?.(Math.min(first + TILE_WIDTH, this.#size), this.#size);
    }
    await this.#checkEdges();
    for (const { code, index, message } of this.#leaves.finish(this.#size)) this.#add(code, index, message, REBUILD);
    await this.#checkIndexes();
  }

  #add(code: string, index: number | undefined, message: string, remedy: string): void {
    this.#total += 1;
    if (this.#findings.length < FINDINGS_MAX)
      this.#findings.push({ code, message, remedy, ...(index === undefined ? {} : { index }) });
  }

  /** Does a piece of work; damage that it meets becomes a finding. */
  async #guarded<T>(code: string, index: number | undefined, work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await work();
    } catch (error) {
      if (
        !(error instanceof TallystickError) ||
        (error instanceof StorageError && error.code === "storage-unavailable")
      )
        throw error;
      this.#add(error.code === "storage-corrupt" ? "storage-corrupt" : code, index, error.message, RESTORE);
      return undefined;
    }
  }

  async #readIntegrated(): Promise<IntegratedHead | undefined> {
    const stored = await this.#storage.readHead("integrated");
    if (stored !== undefined) return decodeIntegratedHead(stored.bytes);
    for await (const _row of this.#storage.scanRows(TABLE.leaf, { limit: 1 })) {
      this.#add("head-damaged", undefined, "there are entries, but no head", RESTORE);
    }
    return undefined;
  }

  #expectRoot(size: number, name: string, rootHash: Hash): void {
    this.#heads.set(size, [...(this.#heads.get(size) ?? []), { name, rootHash }]);
  }

  async #readSignedHeads(): Promise<void> {
    for (const name of ["signed", "published"] as const) {
      await this.#guarded("head-damaged", undefined, async () => {
        const stored = await this.#storage.readHead(name);
        if (stored !== undefined) this.#checkSigned(`the ${name} head`, decodeSignedHead(stored.bytes));
      });
    }
    await this.#guarded("head-damaged", undefined, async () => {
      for await (const { key, value } of this.#storage.scanRows(TABLE.checkpoint)) {
        const head = decodeSignedHead(value);
        if (parseIndexKey(key) !== head.size)
          this.#add("head-damaged", undefined, `checkpoint row ${key} holds size ${head.size}`, RESTORE);
        this.#checkSigned(`the checkpoint of size ${head.size}`, head);
      }
    });
  }

  #checkSigned(name: string, { size, rootHash, note }: SignedHead): void {
    if (size > this.#size) {
      this.#add(
        "entries-missing",
        undefined,
        `${name} was signed for size ${size}, but only ${this.#size} entries are stored`,
        RESTORE,
      );
      return;
    }
    try {
      const checkpoint = parseCheckpoint(openNote(note, this.#options.verifiers).text);
      const same =
        checkpoint.origin === this.#options.origin &&
        checkpoint.size === BigInt(size) &&
        equalBytes(checkpoint.rootHash, rootHash);
      if (!same) this.#add("head-damaged", undefined, `${name} says something else than its signed note`, RESTORE);
      this.#expectRoot(size, name, checkpoint.rootHash);
    } catch (error) {
      if (!(error instanceof TallystickError)) throw error;
      this.#add("head-damaged", undefined, `${name} does not bear this log's signature: ${error.message}`, RESTORE);
    }
  }

  /** The 256 entries of one level 0 tile. */
  async #checkTile(first: number): Promise<void> {
    const width = Math.min(TILE_WIDTH, this.#size - first);
    const tile = { level: 0, index: first / TILE_WIDTH, width };
    const stored = await this.#guarded("tile-damaged", first, async () => this.#tiles.read(tile));
    for (let at = 0; at < width; at += 1) {
      const index = first + at;
      const key = indexKey(index);
      const entry = await this.#guarded("entry-damaged", index, async () => this.#storage.getRow(TABLE.leaf, key));
      const kept = stored?.subarray(32 * at, 32 * at + 32);
      const leafHash = entry === undefined ? kept : hashLeaf(entry);
      if (entry === undefined) this.#add("entry-missing", index, "the entry is missing", RESTORE);
      else if (kept !== undefined && leafHash !== undefined && !equalBytes(leafHash, kept)) {
        this.#add("entry-damaged", index, "the entry does not hash to its hash in the level 0 tile", RESTORE);
      }
      // With the tile's hash in place of a missing entry's, the rest can still be checked.
      this.#range.append(leafHash ?? hashLeaf(new Uint8Array()), this.#onNode);
      this.#compareRoots();
      if (entry !== undefined) await this.#checkEntry(index, entry);
    }
    for (const { level, index, hashes } of this.#fullTiles.splice(0)) await this.#compareTile(level, index, hashes);
  }

  readonly #onNode = (nodeLevel: number, nodeIndex: number, hash: Hash): void => {
    if (nodeLevel === 0 || nodeLevel % 8 !== 0) return;
    const level = nodeLevel / 8;
    const hashes = (this.#tileHashes[level] ??= []);
    hashes.push(hash);
    if (hashes.length < TILE_WIDTH) return;
    this.#fullTiles.push({ level, index: Math.floor(nodeIndex / TILE_WIDTH), hashes });
    this.#tileHashes[level] = [];
  };

  async #compareTile(level: number, index: number, hashes: readonly Hash[]): Promise<void> {
    const first = index * 2 ** (8 * (level + 1));
    const stored = await this.#guarded("tile-damaged", first, async () =>
      this.#tiles.read({ level, index, width: hashes.length }),
    );
    if (stored === undefined || equalBytes(stored, concatBytes(...hashes))) return;
    this.#add(
      "tile-damaged",
      first,
      `tile ${index} of level ${level} does not hold the hashes of the tiles below it`,
      RESTORE,
    );
  }

  async #checkEdges(): Promise<void> {
    for (const [level, hashes] of this.#tileHashes.entries()) {
      if (hashes === undefined || hashes.length === 0) continue;
      await this.#compareTile(level, Math.floor(hashesAtLevel(this.#size, level) / TILE_WIDTH), hashes);
    }
  }

  #compareRoots(): void {
    const heads = this.#heads.get(this.#range.size);
    if (heads === undefined) return;
    this.#heads.delete(this.#range.size);
    for (const { name, rootHash } of heads) {
      if (equalBytes(rootHash, this.#range.rootHash())) continue;
      this.#add(
        "root-mismatch",
        undefined,
        `the first ${this.#range.size} entries do not hash to the root of ${name}`,
        RESTORE,
      );
    }
  }

  async #checkEntry(index: number, entry: Uint8Array): Promise<void> {
    const leaf = await this.#guarded("leaf-malformed", index, async () => decodeLeaf(entry));
    if (leaf === undefined) return;
    for (const { code, message } of this.#leaves.check(index, leaf)) this.#add(code, index, message, REBUILD);
    for (const kind of KINDS) if (leaf[kind]?.n === 0) this.#tagCounts[kind] += 1;
    await this.#checkContents(index, leaf);
  }

  async #checkContents(index: number, leaf: Leaf): Promise<void> {
    const row = await this.#guarded("sealed-damaged", index, async () =>
      this.#storage.getRow(TABLE.sealed, indexKey(index)),
    );
    if (row === undefined) return this.#add("sealed-missing", index, "its sealed event is missing", RESTORE);
    if (this.#secrets === undefined) return;
    try {
      const opening = this.#secrets.open({ row, commitment: leaf.commitment, index });
      const event = decodeEvent(decodeOpening(opening).event);
      this.#counts.opened += 1;
      const session = sessionTagOf(event);
      const sameSession =
        session === null || leaf.session === null
          ? session === null && leaf.session === null
          : equalBytes(session, leaf.session.tag);
      if (retentionClass(event) !== leaf.class || !sameSession) {
        this.#add("contents-mismatch", index, "its contents name another class or session than its leaf", REBUILD);
      }
    } catch (error) {
      if (error instanceof LogError && error.code === "erased") this.#counts.erased += 1;
      else if (error instanceof TallystickError) this.#add("sealed-damaged", index, error.message, RESTORE);
      else throw error;
    }
  }

  /** Every index row against the entry that it names. */
  async #checkIndexes(): Promise<void> {
    const counted: Record<ChainKind, number> = { session: 0, actor: 0, subject: 0, tenant: 0 };
    await this.#scan(TABLE.chain, async (key, value) => {
      const { count, last } = decodeChainEnd(value);
      const kind = KINDS.find((known) => key.startsWith(`${known}:`));
      if (kind === undefined) return "it is of no known kind";
      counted[kind] += 1;
      const chain = (await this.#leafAt(last))?.[kind];
      return isEndOf(chain ?? null, { kind, key, count })
        ? undefined
        : `entry ${last} is not the last of ${count} with this tag`;
    });
    for (const kind of KINDS) {
      if (counted[kind] === this.#tagCounts[kind]) continue;
      this.#add(
        "index-damaged",
        undefined,
        `${counted[kind]} ${kind} chains are indexed, the entries hold ${this.#tagCounts[kind]}`,
        RESTORE,
      );
    }
    await this.#scan(TABLE.id, async (_key, value) => {
      const { commitment, index } = decodeKnownId(value);
      const leaf = await this.#leafAt(index);
      return leaf !== undefined && equalBytes(leaf.commitment, commitment)
        ? undefined
        : `entry ${index} has another commitment`;
    });
    await this.#scan(TABLE.stream, async (key, value) => {
      const { next, lastIndex } = decodeStreamEnd(value);
      const state = this.#leaves.streams.get(key);
      return state?.lastSequence === next - 1 && state.lastIndex === lastIndex
        ? undefined
        : `it expects sequence ${next} after entry ${lastIndex}, the entries say otherwise`;
    });
    await this.#scan(TABLE.batch, async (key, value) => {
      const { firstIndex, count } = decodePlacedBatch(value);
      const last = await this.#leafAt(firstIndex + count - 1);
      return last?.signature?.count === count && key.startsWith(this.#streamOf(last))
        ? undefined
        : `entry ${firstIndex + count - 1} does not end a batch of ${count}`;
    });
  }

  #streamOf({ stream }: Leaf): string {
    if (stream.length === 16) return encodeHex(stream);
    return encodeHex(
      streamId({ origin: this.#options.origin, publicKey: stream.subarray(0, 32), instance: stream.subarray(32) }),
    );
  }

  async #scan(table: string, check: (key: string, value: Uint8Array) => Promise<string | undefined>): Promise<void> {
    await this.#guarded("index-damaged", undefined, async () => {
      for await (const { key, value } of this.#storage.scanRows(table)) {
        const wrong = await this.#guarded("index-damaged", undefined, async () => check(key, value));
        if (wrong !== undefined) this.#add("index-damaged", undefined, `index ${table}, row ${key}: ${wrong}`, RESTORE);
      }
    });
  }

  async #leafAt(index: number): Promise<Leaf | undefined> {
    const entry = index < this.#size ? await this.#storage.getRow(TABLE.leaf, indexKey(index)) : undefined;
    return entry === undefined ? undefined : decodeLeaf(entry);
  }
}

function isEndOf(
  chain: Chain | null,
  { kind, key, count }: { readonly kind: ChainKind; readonly key: string; readonly count: number },
): boolean {
  return chain !== null && chainKey(kind, chain.tag) === key && chain.n === count - 1;
}
