/**
 * Replays the tree from the leaves and holds every stored tile, edge row and root against it.
 *
 * Where a leaf and its tile disagree, the tile above tells which of them is wrong, and the right one is carried on: one
 * damaged value is one finding.
 */
import {
  CompactRange,
  HASH_BYTES,
  type Hash,
  TILE_WIDTH,
  concatBytes,
  equalBytes,
  splitHashes,
  tilePath,
} from "@tallystick/core";
import { type Edge, edgeFrom, edgeKeys, isEdgeAt, isStoredAs, levelOfKey } from "../edge.ts";
import { TABLE } from "../rows.ts";
import { hashesAtLevel, tileKey } from "../tree.ts";
import type { DamagedReader } from "./reader.ts";
import type { Findings } from "./report.ts";

/** What is said to be the root of a size. */
export interface RootClaim {
  readonly size: number;
  readonly rootHash: Uint8Array;
}

const LEVELS_MAX = 7;

export class TreeReplay {
  readonly #reader: DamagedReader;
  readonly #findings: Findings;
  readonly #head: RootClaim;
  readonly #range: CompactRange = CompactRange.empty();
  /** By tile level, from 1: the hashes of the tile that is not complete yet. */
  readonly #pending: Hash[][] = [];
  readonly #edges = new Map<number, { readonly index: number; readonly hashes: readonly Hash[] }>();
  /** Levels whose partial tile is there, and not as it should be. */
  readonly #told = new Set<number>();
  /** A hash could not be known: what depends on it is not judged. */
  #isBroken = false;
  tiles = 0;

  constructor(reader: DamagedReader, findings: Findings, head: RootClaim) {
    this.#reader = reader;
    this.#findings = findings;
    this.#head = head;
  }

  get size(): number {
    return this.#range.size;
  }

  /** The hashes of the perfect subtrees; `undefined` where one could not be known. */
  get hashes(): readonly Hash[] | undefined {
    return this.#isBroken ? undefined : this.#range.hashes;
  }

  /** The root of what was appended; `undefined` where a hash of it could not be known. */
  rootHash(): Hash | undefined {
    return this.#isBroken ? undefined : this.#range.rootHash();
  }

  /** Reads the partial tiles at the right edge. Call first. */
  async readEdges(): Promise<void> {
    const levels = new Map<number, Map<string, Uint8Array>>();
    for await (const { key, value } of this.#reader.scan(TABLE.edge)) {
      const level = levelOfKey(key);
      if (level === undefined) {
        this.#findings.add(
          "tile-mismatch",
          undefined,
          `the partial tiles have a row ${JSON.stringify(key)} of no level`,
        );
        continue;
      }
      const rows = levels.get(level) ?? new Map<string, Uint8Array>();
      levels.set(level, rows.set(key, value));
    }
    for (const [level, rows] of levels) this.#takeEdge(level, rows);
  }

  #takeEdge(level: number, rows: ReadonlyMap<string, Uint8Array>): void {
    // What is left of a damaged one says nothing.
    if (this.#isTold(level)) return;
    const keys = edgeKeys(level);
    const what = `the partial tile of level ${level}`;
    const read = (): { edge: Edge | undefined } => ({ edge: edgeFrom(keys.map((key) => rows.get(key))) });
    const decoded = this.#findings.decode({ code: "tile-mismatch", what }, read);
    const edge = decoded?.edge;
    const { size } = this.#head;
    if (edge !== undefined && isEdgeAt(edge, level, size) && isStoredAs(level, edge, rows)) {
      this.#edges.set(level, { index: edge.index, hashes: splitHashes(edge.hashes) });
      return;
    }
    this.#told.add(level);
    if (decoded === undefined) return;
    const found =
      edge === undefined ? "no beginning" : `index ${edge.index} and ${edge.hashes.length / HASH_BYTES} hashes`;
    const text = `${what} has ${found} in ${rows.size} rows, not as a log of size ${size} has it`;
    this.#findings.add("tile-mismatch", undefined, text);
  }

  /** Whether it was said already why a level's partial tile is of no use. */
  #isTold(level: number): boolean {
    return this.#told.has(level) || edgeKeys(level).some((key) => this.#reader.isDamaged(TABLE.edge, key));
  }

  /**
   * Compares the hashes of a window of leaves with its tile of level 0.
   *
   * @param leafHashes - `undefined` for a leaf that is not there.
   * @returns the hashes that the tree has, and which of them the leaves do not have.
   */
  async window(
    index: number,
    leafHashes: readonly (Hash | undefined)[],
  ): Promise<{ readonly hashes: readonly (Hash | undefined)[]; readonly wrong: ReadonlySet<number> }> {
    const stored = await this.#stored(0, index, leafHashes.length);
    if (stored === undefined) return { hashes: leafHashes, wrong: new Set() };
    const differs = leafHashes.flatMap((hash, at) =>
      hash !== undefined && equalBytes(hash, stored[at] ?? new Uint8Array()) ? [] : [at],
    );
    if (differs.length === 0) return { hashes: stored, wrong: new Set() };
    if (await this.#areBelieved(index, leafHashes)) {
      const width = leafHashes.length;
      const path = tilePath({ level: 0, index, width });
      const first = index * TILE_WIDTH + (differs[0] ?? 0);
      this.#findings.add(
        "tile-mismatch",
        first,
        `${path} has another hash for index ${first} than its entry, which is right`,
      );
      return { hashes: leafHashes, wrong: new Set() };
    }
    return { hashes: stored, wrong: new Set(differs) };
  }

  /** Whether leaves that disagree with their tile agree with the tree above it. */
  async #areBelieved(index: number, leafHashes: readonly (Hash | undefined)[]): Promise<boolean> {
    const range = this.#range.clone();
    const own = CompactRange.empty();
    for (const hash of leafHashes) {
      if (hash === undefined) return false;
      range.append(hash);
      own.append(hash);
    }
    if (range.size === this.#head.size) return equalBytes(range.rootHash(), this.#head.rootHash);
    const parent = await this.#peek(1, Math.floor(index / TILE_WIDTH), index % TILE_WIDTH);
    return parent !== undefined && equalBytes(own.rootHash(), parent);
  }

  async append(hash: Hash | undefined): Promise<void> {
    if (hash === undefined) this.#isBroken = true;
    if (hash === undefined || this.#isBroken) return;
    const full: { level: number; index: number; hashes: Hash[] }[] = [];
    this.#range.append(hash, (nodeLevel, nodeIndex, node) => {
      const level = nodeLevel / 8;
      if (level === 0 || !Number.isInteger(level)) return;
      const hashes = (this.#pending[level] ??= []);
      hashes.push(node);
      if (hashes.length < TILE_WIDTH) return;
      full.push({ level, index: Math.floor(nodeIndex / TILE_WIDTH), hashes });
      this.#pending[level] = [];
    });
    for (const tile of full) await this.#compare(tile);
  }

  /** Compares what the right edge has above level 0. Call after the last leaf. */
  async finish(): Promise<void> {
    if (this.#isBroken) return;
    for (let level = 1; level < LEVELS_MAX && hashesAtLevel(this.#range.size, level) > 0; level += 1) {
      const hashes = this.#pending[level] ?? [];
      const index = Math.floor(hashesAtLevel(this.#range.size, level) / TILE_WIDTH);
      if (hashes.length > 0) await this.#compare({ level, index, hashes });
    }
  }

  async #compare({ level, index, hashes }: { level: number; index: number; hashes: readonly Hash[] }): Promise<void> {
    const stored = await this.#stored(level, index, hashes.length);
    if (stored === undefined || equalBytes(concatBytes(...stored), concatBytes(...hashes))) return;
    const at = hashes.findIndex((hash, place) => !equalBytes(hash, stored[place] ?? new Uint8Array()));
    const entry = (index * TILE_WIDTH + at) * 2 ** (8 * level);
    const path = tilePath({ level, index, width: hashes.length });
    const text = `${path}, hash ${at}: not the hash of what is below it (entries ${entry} to ${entry + 2 ** (8 * level) - 1})`;
    this.#findings.add("tile-mismatch", entry, text);
  }

  /** A tile's hashes; reports where they are not there. */
  async #stored(level: number, index: number, width: number): Promise<readonly Hash[] | undefined> {
    this.tiles += 1;
    const path = tilePath({ level, index, width });
    const entry = index * TILE_WIDTH * 2 ** (8 * level);
    if (width < TILE_WIDTH) {
      const edge = this.#edges.get(level);
      if (edge === undefined && !this.#isTold(level))
        this.#findings.add("tile-missing", entry, `${path} is not stored`);
      return edge?.hashes;
    }
    const bytes = await this.#reader.blob(tileKey(level, index));
    if (bytes === "damaged") return undefined;
    if (bytes !== "missing" && bytes.length === TILE_WIDTH * 32) return splitHashes(bytes);
    const text = bytes === "missing" ? `${path} is not stored` : `${path} has ${bytes.length} bytes, not 8192`;
    this.#findings.add("tile-missing", entry, text);
    return undefined;
  }

  /** One hash of a tile, without a word where it is not there. */
  async #peek(level: number, index: number, at: number): Promise<Hash | undefined> {
    const edge = this.#edges.get(level);
    if (edge?.index === index) return edge.hashes[at];
    const bytes = await this.#reader.blob(tileKey(level, index));
    const [start, end] = [HASH_BYTES * at, HASH_BYTES * (at + 1)];
    return typeof bytes === "string" || bytes.length < end ? undefined : bytes.subarray(start, end);
  }
}
