/**
 * The right edge of the log's tree: what has to be in memory to append, and pure functions that extend it.
 *
 * For each tile level the hashes of the tile that is not full yet, and the compact range over all leaves.
 */
import { CompactRange, HASH_BYTES, TILE_HEIGHT, TILE_WIDTH, concatBytes } from "@tallystick/core";

const TILE_BYTES = TILE_WIDTH * HASH_BYTES;

export interface Tree {
  readonly range: CompactRange;
  /** By tile level: the hashes of the partial tile at the right edge, one after the other. */
  readonly edge: readonly Uint8Array[];
}

export interface FullTile {
  readonly level: number;
  readonly index: number;
  readonly bytes: Uint8Array;
}

export interface Integrated {
  readonly tree: Tree;
  /** Tiles that became full. */
  readonly tiles: readonly FullTile[];
  /** Tile levels whose partial tile changed. */
  readonly changed: readonly number[];
}

export function emptyTree(): Tree {
  return { range: CompactRange.empty(), edge: [] };
}

/** Appends leaf hashes, which lie one after the other; leaves the given tree as it is. */
export function integrate(tree: Tree, leafHashes: Uint8Array): Integrated {
  const range = tree.range.clone();
  const edge = [...tree.edge];
  const tiles: FullTile[] = [];
  const changed: number[] = [];
  range.appendAll(leafHashes, (nodeLevel, nodeIndex, hashes) => {
    if (nodeLevel % TILE_HEIGHT !== 0) return;
    const level = nodeLevel / TILE_HEIGHT;
    const grown = concatBytes(edge[level] ?? new Uint8Array(), hashes);
    const first = Math.floor(nodeIndex / TILE_WIDTH);
    const full = Math.floor(grown.length / TILE_BYTES);
    for (let at = 0; at < full; at += 1)
      tiles.push({ level, index: first + at, bytes: grown.slice(at * TILE_BYTES, (at + 1) * TILE_BYTES) });
    edge[level] = grown.slice(full * TILE_BYTES);
    changed.push(level);
  });
  return { tree: { range, edge }, tiles, changed };
}

/** How many hashes a tile level has in a tree of `size` leaves. */
export function hashesAtLevel(size: number, level: number): number {
  return Math.floor(size / 2 ** (TILE_HEIGHT * level));
}

/** The key of a full tile's blob. */
export function tileKey(level: number, index: number): string {
  return `tile/${level}/${index.toString(16).padStart(14, "0")}`;
}
