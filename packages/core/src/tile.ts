/**
 * Tiles: the tree's hashes cut into pieces of 256 that never change, and the paths at which they are served.
 * c2sp.org/tlog-tiles.
 */
import { concatBytes } from "./bytes.ts";
import { treeHash } from "./compact-range.ts";
import { TlogError, quote } from "./error.ts";
import { HASH_BYTES, type Hash, assertHash } from "./hash.ts";
import { splitHashes } from "./hashes.ts";
import type { NodeId } from "./node.ts";
import { type Uint, UINT_MAX, assertSafeUint, toBigInt, toUint } from "./uint.ts";

/** Hashes in a full tile, and entries in a full bundle. */
export const TILE_WIDTH = 256;

/** Levels of the tree in a tile: its hashes are the leaves of a subtree of this height. */
export const TILE_HEIGHT = 8;

/** The root of the largest perfect tree: sizes end before 2^63. */
const NODE_LEVEL_MAX = 62;

/** The highest level that a path can name. */
const TILE_LEVEL_MAX = 63;

/** A tile: hash `i` of it is the node of level `8 * level` and index `256 * index + i`. */
export interface TileId {
  /** 0 to 63. */
  readonly level: number;
  /** A number where that is exact, else a bigint. */
  readonly index: Uint;
  /** 1 to 256; below 256 the tile is partial. */
  readonly width: number;
}

/** An entry bundle, or a tile whose level goes without saying. */
export interface BundleId {
  readonly index: Uint;
  /** 1 to 256; below 256 the bundle is partial. */
  readonly width: number;
}

/** Where in a tile a node is: `count` hashes from `first` on, joined pair by pair, give it. */
export interface TileSlice {
  readonly first: number;
  /** A power of two. */
  readonly count: number;
}

/** The tile that holds a node, and where. */
export interface NodeLocation extends TileSlice {
  readonly tile: TileId;
}

/**
 * The path of a tile, without a slash in front.
 *
 * @throws {RangeError} Level, index or width is out of range.
 * @example
 * tilePath({ level: 0, index: 1234067, width: 5 }); // "tile/0/x001/x234/067.p/5"
 */
export function tilePath({ level, index, width }: TileId): string {
  if (!Number.isInteger(level) || level < 0 || level > TILE_LEVEL_MAX) {
    throw new RangeError(`level: expected 0 to ${TILE_LEVEL_MAX}, got ${level}`);
  }
  return `tile/${level}/${formatIndexPath({ index, width })}`;
}

/**
 * The path of an entry bundle, without a slash in front.
 *
 * @throws {RangeError} Index or width is out of range.
 * @example
 * entriesPath({ index: 255, width: 256 }); // "tile/entries/255"
 */
export function entriesPath(bundle: BundleId): string {
  return `tile/entries/${formatIndexPath(bundle)}`;
}

/**
 * Parses the path of a tile. Each tile has one path: whatever {@link tilePath} does not give is refused.
 *
 * @throws {TlogError} `tile-malformed`.
 */
export function parseTilePath(path: string): TileId {
  const [, digits, rest] = /^tile\/(0|[1-9]\d?)\/(.*)$/s.exec(path) ?? [];
  const level = Number(digits);
  const bundle = rest === undefined || level > TILE_LEVEL_MAX ? undefined : parseIndexPath(rest);
  if (bundle === undefined) throw new TlogError("tile-malformed", `${quote(path)} is not the path of a tile`);
  return { level, ...bundle };
}

/**
 * Parses the path of an entry bundle. Each bundle has one path: whatever {@link entriesPath} does not give is refused.
 *
 * @throws {TlogError} `bundle-malformed`.
 */
export function parseEntriesPath(path: string): BundleId {
  const prefix = "tile/entries/";
  const bundle = path.startsWith(prefix) ? parseIndexPath(path.slice(prefix.length)) : undefined;
  if (bundle === undefined)
    throw new TlogError("bundle-malformed", `${quote(path)} is not the path of an entry bundle`);
  return bundle;
}

/** Formats "x001/x234/067.p/8". */
function formatIndexPath({ index, width }: BundleId): string {
  assertWidth(width);
  const digits = toBigInt(index, "index").toString();
  const padded = digits.padStart(Math.ceil(digits.length / 3) * 3, "0");
  const grouped = padded.replaceAll(/\d{3}(?!$)/g, "x$&/");
  return width === TILE_WIDTH ? grouped : `${grouped}.p/${width}`;
}

/** Parses "x001/x234/067.p/8", or gives undefined. At most seven groups: 2^63 - 1 has nineteen digits. */
function parseIndexPath(text: string): BundleId | undefined {
  const [, groups, partial] = /^((?:x\d{3}\/){0,6}\d{3})(?:\.p\/([1-9]\d{0,2}))?$/.exec(text) ?? [];
  const width = Number(partial ?? TILE_WIDTH);
  const index = BigInt(groups?.replaceAll(/[x/]/g, "") ?? 0);
  if (groups === undefined || width > TILE_WIDTH || index > UINT_MAX) return undefined;
  const bundle = { index: toUint(index), width };
  // What is left are needless groups of zeros, and a partial of full width.
  return formatIndexPath(bundle) === text ? bundle : undefined;
}

function assertWidth(width: number): void {
  if (!Number.isInteger(width) || width < 1 || width > TILE_WIDTH) {
    throw new RangeError(`width: expected 1 to ${TILE_WIDTH}, got ${width}`);
  }
}

/**
 * All tiles of a tree of `size` leaves, partial ones included, level by level. One for every 255 leaves.
 *
 * @throws {RangeError} `size` is not a safe non-negative integer.
 */
export function tilesForSize(size: number): TileId[] {
  assertSafeUint(size, "size");
  const tiles: TileId[] = [];
  for (let level = 0, hashes = size; hashes > 0; level += 1) {
    const full = Math.floor(hashes / TILE_WIDTH);
    for (let index = 0; index < full; index += 1) tiles.push({ level, index, width: TILE_WIDTH });
    // A partial tile is not hashed into the level above.
    if (hashes % TILE_WIDTH > 0) tiles.push({ level, index: full, width: hashes % TILE_WIDTH });
    hashes = full;
  }
  return tiles;
}

/**
 * Finds the tile of a node, as wide as it is in a tree of `size` leaves.
 *
 * @throws {RangeError} The node is not complete in such a tree.
 */
export function tileOfNode({ node, size }: { readonly node: NodeId; readonly size: Uint }): NodeLocation {
  const { level, index } = node;
  const leaves = toBigInt(size, "size");
  const first = toBigInt(index, "index");
  const known = Number.isInteger(level) && level >= 0 && level <= NODE_LEVEL_MAX;
  if (!known || (first + 1n) * 2n ** BigInt(level) > leaves) {
    throw new RangeError(`node: level ${level}, index ${index} is not complete in a tree of size ${size}`);
  }
  const tileLevel = Math.floor(level / TILE_HEIGHT);
  const count = 2 ** (level % TILE_HEIGHT);
  const nodesPerTile = BigInt(TILE_WIDTH / count);
  const tileIndex = first / nodesPerTile;
  const width = widthAt(tileIndex, leaves / BigInt(TILE_WIDTH) ** BigInt(tileLevel));
  const tile = { level: tileLevel, index: toUint(tileIndex), width };
  return { tile, first: Number(first % nodesPerTile) * count, count };
}

/**
 * Finds the bundle of an entry, as wide as it is in a tree of `size` leaves, and the entry's place in it.
 *
 * @throws {RangeError} `index` is not below `size`.
 */
export function bundleOfEntry({ index, size }: { readonly index: Uint; readonly size: Uint }): {
  readonly bundle: BundleId;
  readonly offset: number;
} {
  const { tile, first } = tileOfNode({ node: { level: 0, index }, size });
  return { bundle: { index: tile.index, width: tile.width }, offset: first };
}

/** The width of the tile at `index` where its level has `hashes` hashes. */
function widthAt(index: bigint, hashes: bigint): number {
  const rest = hashes - index * BigInt(TILE_WIDTH);
  return rest < TILE_WIDTH ? Number(rest) : TILE_WIDTH;
}

/**
 * The bytes of a tile: its hashes, one after the other.
 *
 * @throws {RangeError} Not 1 to 256 hashes.
 * @throws {TypeError} One of them is not 32 bytes long.
 */
export function encodeTile(hashes: readonly Hash[]): Uint8Array {
  assertWidth(hashes.length);
  for (const hash of hashes) assertHash(hash);
  return concatBytes(...hashes);
}

/**
 * The hashes of a tile: views of `bytes`, not copies.
 *
 * @param width - What the path that the bytes came from says.
 * @throws {RangeError} `width` is not 1 to 256.
 * @throws {TlogError} `tile-malformed`: more or fewer bytes than `width` hashes have.
 */
export function decodeTile(bytes: Uint8Array, width: number): Hash[] {
  assertWidth(width);
  if (bytes.length !== width * HASH_BYTES) {
    throw new TlogError(
      "tile-malformed",
      `tile of width ${width}: expected ${width * HASH_BYTES} bytes, got ${bytes.length}`,
    );
  }
  return splitHashes(bytes);
}

/**
 * The hash of a node from the hashes of its tile.
 *
 * @param tile - The bytes of a tile, or its hashes.
 * @throws {TlogError} `tile-malformed`: the tile is not that wide.
 */
export function nodeFromTile(tile: Uint8Array | readonly Hash[], { first, count }: TileSlice): Hash {
  const end = first + count;
  const hashes =
    tile instanceof Uint8Array ? tile.subarray(first * HASH_BYTES, end * HASH_BYTES) : tile.slice(first, end);
  const found = hashes instanceof Uint8Array ? hashes.length / HASH_BYTES : hashes.length;
  if (found !== count) throw new TlogError("tile-malformed", `tile: expected at least ${end} hashes`);
  return treeHash(hashes);
}
