/** Reading a log: tiles, bundles, entries, proofs and receipts, each checked against the tree before it is given. */
import {
  type Hash,
  type Policy,
  type TileId,
  TILE_WIDTH,
  encodeEntryBundle,
  equalBytes,
  hashLeaf,
  planConsistency,
  selectSignatures,
  tlogProofFormatter,
  verifyCheckpoint,
  verifyInclusion,
} from "@tallystick/core";
import { type TallyEvent, decodeEvent, decodeLeaf, decodeOpening } from "@tallystick/events";
import { type LogStorage, indexKey } from "@tallystick/storage";
import { type ErasedBy, findErased } from "./disposition/erased.ts";
import { LogError } from "./error.ts";
import { decodeSignedHead } from "./heads.ts";
import type { LogSecrets, SealedRow } from "./keys.ts";
import type { PublishedCheckpoint } from "./log-api.ts";
import { isKeyLost } from "./lost-keys.ts";
import type { Published, PublishedHead } from "./published.ts";
import { TABLE } from "./rows.ts";
import { StoredTiles } from "./tiles.ts";
import { hashesAtLevel } from "./tree.ts";

const CHECKPOINTS_MAX = 1000;
/** Of the notes of one page: with ML-DSA-44 they have 13 kB each, and anybody may ask. */
const CHECKPOINTS_BYTES_MAX = 262_144;
/** How far the clocks of witnesses, readers and this log may differ. */
const CLOCK_TOLERANCE_SECONDS = 300;
/** Of 16 kB each: 16 MiB, which serves proofs of any quarter of a million entries without reading anything. */
const TILES_MAX = 1024;
/** The highest tile level that a tree of 2^53 entries has. */
const TILE_LEVEL_MAX = 6;

export interface ReaderOptions {
  readonly storage: LogStorage;
  readonly secrets: LogSecrets;
  readonly policy: Policy;
  readonly published: Published;
  /** Entries that are durable. */
  readonly size: () => number;
  /** In ms since 1970. */
  readonly now: () => number;
}

/** The contents of an entry. */
export interface OpenedEntry {
  /** Encoded. */
  readonly opening: Uint8Array;
  readonly event: TallyEvent;
}

type Format = ReturnType<typeof tlogProofFormatter>;

/** What all receipts under one head have in common. */
interface Selection {
  readonly note: string;
  /** Under the note with no more signatures than the policy needs. */
  readonly formatMinimal: Format;
  /** Of its cosignatures, in seconds since 1970; Infinity, and -Infinity, where there are none. */
  readonly oldestSeconds: number;
  readonly newestSeconds: number;
}

export class LogReader {
  readonly #options: ReaderOptions;
  readonly #tiles: StoredTiles;
  /** Of the newest head that a receipt was made under: to verify its signatures takes longer than all else. */
  #selection: Selection | undefined;

  constructor(options: ReaderOptions) {
    this.#options = options;
    this.#tiles = new StoredTiles(options.storage, { tilesMax: TILES_MAX });
  }

  /** @throws {LogError} `index-unknown` */
  assertIndex(index: number): void {
    const size = this.#options.size();
    if (Number.isSafeInteger(index) && index >= 0 && index < size) return;
    throw new LogError("index-unknown", `index ${index}: the log has ${size} entries`, { details: { index } });
  }

  async checkpoints({
    limit = 100,
    before,
  }: {
    readonly limit?: number;
    readonly before?: number;
  }): Promise<readonly PublishedCheckpoint[]> {
    const range = {
      reverse: true,
      limit: Math.min(limit, CHECKPOINTS_MAX),
      ...(before === undefined ? {} : { lt: indexKey(before) }),
    };
    const heads: PublishedCheckpoint[] = [];
    let bytes = 0;
    for await (const { value } of this.#options.storage.scanRows(TABLE.checkpoint, range)) {
      const { size, rootHash, note, signedAt } = decodeSignedHead(value);
      bytes += note.length;
      if (heads.length > 0 && bytes > CHECKPOINTS_BYTES_MAX) break;
      heads.push({ size, rootHash, note, publishedAt: signedAt });
    }
    return heads;
  }

  async tile(tile: TileId): Promise<Uint8Array | undefined> {
    return (await this.#isPublished(tile)) ? this.#tiles.read(tile) : undefined;
  }

  async bundle({ index, width }: { readonly index: number; readonly width: number }): Promise<Uint8Array | undefined> {
    const tile = { level: 0, index, width };
    if (!(await this.#isPublished(tile))) return undefined;
    const hashes = await this.#tiles.read(tile);
    const first = index * TILE_WIDTH;
    const keys = Array.from({ length: width }, (_, at) => indexKey(first + at));
    const entries = await this.#options.storage.getRows(TABLE.leaf, keys);
    return encodeEntryBundle(
      entries.map((entry, at) => checkedEntry(entry, hashes.subarray(32 * at, 32 * at + 32), first + at)),
    );
  }

  /** A full tile below the published size, or a partial one that some published head ends with. */
  async #isPublished({ level, index, width }: TileId): Promise<boolean> {
    const { published, storage } = this.#options;
    const end = Number(index) * TILE_WIDTH + width;
    if (!(width >= 1 && width <= TILE_WIDTH) || level > TILE_LEVEL_MAX) return false;
    if (!Number.isSafeInteger(end) || end > hashesAtLevel(published.treeSize, level)) return false;
    if (width === TILE_WIDTH) return true;
    const span = TILE_WIDTH ** level;
    const range = { gte: indexKey(end * span), lt: indexKey((end + 1) * span), limit: 1 };
    for await (const _row of storage.scanRows(TABLE.checkpoint, range)) return true;
    return false;
  }

  async leaf(index: number): Promise<Uint8Array> {
    this.assertIndex(index);
    const size = this.#options.size();
    const [entry, hash] = await Promise.all([
      this.#options.storage.getRow(TABLE.leaf, indexKey(index)),
      this.#tiles.node({ level: 0, index }, size),
    ]);
    return checkedEntry(entry, hash, index);
  }

  /** The same of many: those that lie near each other are read in one go. */
  async leaves(indexes: readonly number[]): Promise<Uint8Array[]> {
    for (const index of indexes) this.assertIndex(index);
    const size = this.#options.size();
    const entries = await this.#options.storage.getRows(TABLE.leaf, indexes.map(indexKey));
    return Promise.all(
      indexes.map(async (index, at) =>
        checkedEntry(entries[at], await this.#tiles.node({ level: 0, index }, size), index),
      ),
    );
  }

  /** The sealed contents of entries, for {@link open}. */
  async sealedRows(indexes: readonly number[]): Promise<(Uint8Array | undefined)[]> {
    return this.#options.storage.getRows(TABLE.sealed, indexes.map(indexKey));
  }

  /**
   * The contents of an entry. Who reads them is the caller's to record, beforehand.
   *
   * @param sealed - As {@link sealedRows} gave it, where that was asked already.
   */
  async open(index: number, leaf: Uint8Array, sealed?: Uint8Array): Promise<OpenedEntry> {
    const { storage } = this.#options;
    const decoded = decodeLeaf(leaf);
    const row = sealed ?? (await storage.getRow(TABLE.sealed, indexKey(index)));
    // Asked first: an older key store that was put back may have a destroyed key again.
    const erasedBy = await findErased(storage, { index, leaf: decoded, row });
    if (erasedBy !== undefined) throw erased(index, erasedBy);
    if (row === undefined) throw corrupt(index, "the sealed event is missing from the storage");
    const opening = await this.#opened({ row, commitment: decoded.commitment, index });
    return { opening, event: decodeEvent(decodeOpening(opening).event) };
  }

  async #opened(sealed: SealedRow): Promise<Uint8Array> {
    const { storage, secrets } = this.#options;
    try {
      return secrets.open(sealed);
    } catch (cause) {
      if (!(cause instanceof LogError) || !(await isKeyLost(storage, sealed.index))) throw cause;
      const text = `index ${sealed.index}: the key of its contents was lost with the key store, which was restored from an older backup`;
      throw new LogError("key-lost", text, { details: { index: sealed.index } });
    }
  }

  /** @param known - The entry, where it was read already. */
  async receipt(index: number, signatures: "minimal" | "all", known?: Uint8Array): Promise<string> {
    this.assertIndex(index);
    const { head } = this.#options.published;
    if (head === undefined || index >= head.size) {
      throw new LogError("receipt-not-ready", `index ${index} is durable, but no published head covers it yet`, {
        details: { state: "durable", retryAfterSeconds: 1 },
      });
    }
    const leaf = known ?? (await this.leaf(index));
    const hashes = await this.#proveUnder(head, index, leaf);
    const format =
      signatures === "all" ? tlogProofFormatter(head.note) : this.#formatTimely(head.note, decodeLeaf(leaf).loggedAt);
    return format({ extra: leaf, index: BigInt(index), hashes });
  }

  /** With cosignatures as verifiers count them: not in the future, nor from before the entry was logged. */
  #formatTimely(note: string, loggedAt: number): Format {
    const { policy, now } = this.#options;
    const nowMs = Math.max(now(), loggedAt);
    const nowSeconds = Math.floor(nowMs / 1000);
    const ageSecondsMax = Math.floor((nowMs - loggedAt) / 1000) + CLOCK_TOLERANCE_SECONDS;
    const { oldestSeconds, newestSeconds, formatMinimal } = this.#selectionOf(note);
    const areAllTimely =
      oldestSeconds >= nowSeconds - ageSecondsMax && newestSeconds <= nowSeconds + CLOCK_TOLERANCE_SECONDS;
    if (areAllTimely) return formatMinimal;
    return tlogProofFormatter(selectSignatures({ note, policy, nowSeconds, ageSecondsMax }));
  }

  /** What is chosen of a head for each entry that all of its cosignatures are timely for. */
  #selectionOf(note: string): Selection {
    if (this.#selection?.note === note) return this.#selection;
    const { policy } = this.#options;
    const { cosignatures } = verifyCheckpoint({ note, policy, requireQuorum: false });
    const times = cosignatures.map(({ timestamp }) => Number(timestamp));
    this.#selection = {
      note,
      formatMinimal: tlogProofFormatter(selectSignatures({ note, policy })),
      oldestSeconds: Math.min(...times),
      newestSeconds: Math.max(...times),
    };
    return this.#selection;
  }

  async #proveUnder({ size, rootHash }: PublishedHead, index: number, leaf: Uint8Array): Promise<Hash[]> {
    const proof = await this.#tiles.proveInclusion({ index, size });
    try {
      verifyInclusion({ index, size, leafHash: hashLeaf(leaf), rootHash, proof });
    } catch (cause) {
      throw corrupt(index, "the stored tiles do not lead to the published root", cause);
    }
    return proof;
  }

  async inclusionProof({ index, size }: { readonly index: number; readonly size: number }): Promise<readonly Hash[]> {
    this.#assertPublishedSize(size);
    if (!Number.isSafeInteger(index) || index < 0 || index >= size)
      throw new LogError("index-unknown", `index ${index} is not below the size ${size}`, { details: { index } });
    return this.#tiles.proveInclusion({ index, size });
  }

  async consistencyProof({ from, to }: { readonly from: number; readonly to: number }): Promise<readonly Hash[]> {
    this.#assertPublishedSize(to);
    if (!Number.isSafeInteger(from) || from < 0 || from > to)
      throw new LogError("size-unknown", `from: expected a size up to ${to}, got ${from}`);
    return this.#tiles.prove(planConsistency({ from, to }), to);
  }

  #assertPublishedSize(size: number): void {
    const { treeSize } = this.#options.published;
    if (Number.isSafeInteger(size) && size >= 0 && size <= treeSize) return;
    throw new LogError("size-unknown", `size ${size}: expected at most the published size ${treeSize}`);
  }
}

function erased(index: number, { certificate }: ErasedBy): LogError {
  const text = `index ${index}: its contents were erased under the certificate at index ${certificate}`;
  return new LogError("erased", text, { details: { index, certificate } });
}

function checkedEntry(entry: Uint8Array | undefined, hash: Hash, index: number): Uint8Array {
  if (entry !== undefined && equalBytes(hashLeaf(entry), hash)) return entry;
  const what = entry === undefined ? "is missing from the storage" : "is not the one whose hash is in the tree";
  throw corrupt(index, `the entry ${what}`);
}

function corrupt(index: number, what: string, cause?: unknown): LogError {
  return new LogError("log-corrupt", `index ${index}: ${what}: run fsck, and restore it from a copy`, {
    details: { index },
    cause,
  });
}
