/** The log's tiles as stored, and the nodes, roots and proofs that they give. */
import {
  CompactRange,
  HASH_BYTES,
  type Hash,
  type NodeId,
  type ProofPlan,
  type TileId,
  TILE_HEIGHT,
  TILE_WIDTH,
  compactRangeNodes,
  hashNode,
  invariant,
  tileOfNode,
  tilePath,
} from "@tallystick/core";
import type { LogStorage } from "@tallystick/storage";
import { readEdge } from "./edge.ts";
import { LogError } from "./error.ts";
import { Lru } from "./lru.ts";
import { TileNodes } from "./tile-nodes.ts";
import { tileKey } from "./tree.ts";

/** Full tiles: 8 kB each, and as much again where the nodes above their hashes were asked for. */
const TILES_MAX = 256;

/** Of trees, each with at most 53 hashes: the newest heads, and what is asked for beside them. */
const ENDS_MAX = 16;

/** A tile as it was read, and where it is on its level. */
interface Held {
  readonly index: number;
  readonly tile: TileNodes;
}

/**
 * Reads tiles, and remembers what it read: full tiles, as many as its bound says, and for each level the tile at the edge
 * as it was last seen. None of that ever changes: a tile only gets more hashes, and one that has too few for what is
 * asked is read again.
 */
export class StoredTiles {
  readonly #storage: LogStorage;
  readonly #full: Lru<Held>;
  readonly #edges = new Map<number, Held>();
  /** By the size of a tree. */
  readonly #ends = new Lru<readonly End[]>(ENDS_MAX);
  /** What is being read: whoever asks for it meanwhile shares it. */
  readonly #reading = new Map<string, Promise<Held | undefined>>();

  constructor(storage: LogStorage, { tilesMax = TILES_MAX }: { readonly tilesMax?: number } = {}) {
    this.#storage = storage;
    this.#full = new Lru(tilesMax);
  }

  /**
   * The first `width` hashes of a tile that is stored, full or at the edge.
   *
   * @throws {LogError} `log-corrupt`: it should be there, and is not.
   */
  async read(tile: TileId): Promise<Uint8Array> {
    return (await this.#tile(tile)).hashes.subarray(0, HASH_BYTES * tile.width);
  }

  /** The hash of a node of the tree of `size`. */
  async node(node: NodeId, size: number): Promise<Hash> {
    const { tile, ...slice } = tileOfNode({ node, size });
    const found = (this.#known(tile) ?? (await this.#tile(tile))).node(slice);
    // Its tile has as many hashes as it has in the tree of that size.
    if (found === undefined) throw missing(tile);
    return found;
  }

  /** The root hash that the tiles give for a size. */
  async rootAt(size: number): Promise<Hash> {
    return CompactRange.of({ size, hashes: await this.rangeAt(size) }).rootHash();
  }

  /** The compact range that the tiles give for a size. */
  async rangeAt(size: number): Promise<Hash[]> {
    return this.#nodes(compactRangeNodes(size), size);
  }

  async prove(plan: ProofPlan, size: number): Promise<Hash[]> {
    return plan.assemble(await this.#nodes(plan.nodes, size));
  }

  /**
   * The inclusion proof of a leaf, as `prove(planInclusion({ index, size }), size)` gives it: along the tiles above the
   * leaf, each of which has up to eight of its hashes.
   */
  async proveInclusion({ index, size }: { readonly index: number; readonly size: number }): Promise<Hash[]> {
    const proof: Hash[] = [];
    let above: { readonly id: TileId; readonly tile: TileNodes } | undefined;
    for (let level = 0; 2 ** level < size; level += 1) {
      const span = 2 ** level;
      const at = Math.floor(index / span);
      const sibling = at % 2 === 0 ? at + 1 : at - 1;
      if (level % TILE_HEIGHT === 0) above = undefined;
      // Without a sibling it is its parent's hash as it stands.
      if (sibling * span >= size) continue;
      if ((sibling + 1) * span > size) {
        proof.push(await this.#endHash(level, size));
        continue;
      }
      if (above === undefined) {
        const { tile: id } = tileOfNode({ node: { level, index: sibling }, size });
        above = { id, tile: this.#known(id) ?? (await this.#tile(id)) };
      }
      const count = 2 ** (level % TILE_HEIGHT);
      const hash = above.tile.node({ first: sibling * count - Number(above.id.index) * TILE_WIDTH, count });
      if (hash === undefined) throw missing(above.id);
      proof.push(hash);
    }
    return proof;
  }

  /** The hash over the leaves from the last multiple of `2^level` to the end of a tree: the same for all proofs in it. */
  async #endHash(level: number, size: number): Promise<Hash> {
    const ends = this.#ends.get(String(size)) ?? endsOf(compactRangeNodes(size), await this.rangeAt(size));
    this.#ends.set(String(size), ends);
    const end = ends.find((each) => each.level < level);
    invariant(end !== undefined, "a subtree that is not complete has leaves");
    return end.hash;
  }

  async #nodes(nodes: readonly NodeId[], size: number): Promise<Hash[]> {
    return Promise.all(nodes.map(async (node) => this.node(node, size)));
  }

  async #tile(tile: TileId): Promise<TileNodes> {
    const { level, width } = tile;
    const index = Number(tile.index);
    const found =
      this.#known(tile) ??
      // The edge first: it moves on in the very commit that its tile became full in.
      (width < TILE_WIDTH
        ? await this.#readOnce(`edge/${level}`, tile, async () => this.#readEdge(level))
        : undefined) ??
      (await this.#readOnce(tileKey(level, index), tile, async () => this.#readFull(level, index)));
    if (found === undefined) throw missing(tile);
    return found;
  }

  /** The tile as it was read before, if it has all that is asked for. */
  #known(tile: TileId): TileNodes | undefined {
    return (
      fitting(this.#edges.get(tile.level), tile) ??
      fitting(this.#full.get(tileKey(tile.level, Number(tile.index))), tile)
    );
  }

  /** Shares what is being read already, unless that began too early to have all that is asked for. */
  async #readOnce(key: string, tile: TileId, read: () => Promise<Held | undefined>): Promise<TileNodes | undefined> {
    const begun = this.#reading.get(key);
    const shared = begun === undefined ? undefined : fitting(await begun, tile);
    if (shared !== undefined) return shared;
    const reading = read();
    this.#reading.set(key, reading);
    try {
      return fitting(await reading, tile);
    } finally {
      if (this.#reading.get(key) === reading) this.#reading.delete(key);
    }
  }

  async #readFull(level: number, index: number): Promise<Held | undefined> {
    const key = tileKey(level, index);
    const bytes = await this.#storage.getBlob(key);
    if (bytes === undefined) return undefined;
    if (bytes.length !== HASH_BYTES * TILE_WIDTH)
      throw new LogError("log-corrupt", `${key}: expected 8192 bytes, got ${bytes.length}`);
    const held = { index, tile: new TileNodes(bytes) };
    this.#full.set(key, held);
    return held;
  }

  async #readEdge(level: number): Promise<Held | undefined> {
    const edge = await readEdge(this.#storage, level);
    if (edge === undefined) return undefined;
    const held = { index: edge.index, tile: new TileNodes(edge.hashes) };
    this.#edges.set(level, held);
    return held;
  }
}

/** The end of a tree from one of its perfect subtrees on. */
interface End {
  /** Of that subtree. */
  readonly level: number;
  readonly hash: Hash;
}

/** All ends of a tree, from its compact range, largest first. */
function endsOf(nodes: readonly NodeId[], hashes: readonly Hash[]): readonly End[] {
  const ends: End[] = [];
  for (const [at, left] of [...hashes.entries()].toReversed()) {
    const right = ends.at(-1)?.hash;
    ends.push({ level: nodes[at]?.level ?? 0, hash: right === undefined ? left : hashNode(left, right) });
  }
  return ends.reverse();
}

function fitting(held: Held | undefined, { index, width }: TileId): TileNodes | undefined {
  return held?.index === Number(index) && held.tile.width >= width ? held.tile : undefined;
}

function missing(tile: TileId): LogError {
  const path = tilePath(tile);
  return new LogError("log-corrupt", `${path} is missing from the storage: run fsck`, { details: { tile: path } });
}
