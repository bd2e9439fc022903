/**
 * The right edge of the log's tree: what has to be in memory to append, and pure functions that extend it.
 *
 * For each tile level the hashes of the tile that is not full yet, and the compact range over all leaves.
 */
import { CompactRange, type Hash, TILE_WIDTH, concatBytes } from "@tallystick/core";

const TILE_HEIGHT = 8;

export interface Tree {
  readonly range: CompactRange;
  /** By tile level: the hashes of the partial tile at the right edge. */
  readonly edge: readonly (readonly Hash[])[];
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

/** Appends leaf hashes; leaves the given tree as it is. */
export function integrate(tree: Tree, leafHashes: readonly Hash[]): Integrated {
  const range = CompactRange.of({ size: tree.range.size, hashes: tree.range.hashes });
  const edge = tree.edge.map((hashes) => [...hashes]);
  const tiles: FullTile[] = [];
  const changed = new Set<number>();
  for (const leafHash of leafHashes) {
    range.append(leafHash, (nodeLevel, nodeIndex, hash) => {
      if (nodeLevel % TILE_HEIGHT !== 0) return;
      const level = nodeLevel / TILE_HEIGHT;
      const hashes = (edge[level] ??= []);
      hashes.push(hash);
      changed.add(level);
      if (hashes.length < TILE_WIDTH) return;
      tiles.push({ level, index: Math.floor(nodeIndex / TILE_WIDTH), bytes: concatBytes(...hashes) });
      edge[level] = [];
    });
  }
  return { tree: { range, edge }, tiles, changed: [...changed] };
}

/** How many hashes a tile level has in a tree of `size` leaves. */
export function hashesAtLevel(size: number, level: number): number {
  return Math.floor(size / 2 ** (TILE_HEIGHT * level));
}

/** The key of a full tile's blob. */
export function tileKey(level: number, index: number): string {
  return `tile/${level}/${index.toString(16).padStart(14, "0")}`;
}
