/** The log's tiles as stored, and the nodes, roots and proofs that they give. */
import {
  CompactRange,
  type Hash,
  type NodeId,
  type ProofPlan,
  type TileId,
  TILE_WIDTH,
  compactRangeNodes,
  nodeFromTile,
  tileOfNode,
  tilePath,
} from "@tallystick/core";
import { decodeCbor, encodeCbor } from "@tallystick/events";
import type { LogStorage, Row } from "@tallystick/storage";
import { LogError } from "./error.ts";
import { bytesOf, listOf, numberOf } from "./heads.ts";
import { Lru } from "./lru.ts";
import { TABLE } from "./rows.ts";
import { tileKey } from "./tree.ts";

const HASH_BYTES = 32;
/** 256 full tiles of 8 kB. */
const TILES_MAX = 256;

/** The row of the partial tile at the right edge of a level. */
export function edgeRow(level: number, index: number, hashes: Uint8Array): Row {
  return { table: TABLE.edge, key: String(level), value: encodeCbor([index, hashes]) };
}

export class StoredTiles {
  readonly #storage: LogStorage;
  readonly #full: Lru<Uint8Array> = new Lru(TILES_MAX);

  constructor(storage: LogStorage) {
    this.#storage = storage;
  }

  /**
   * The first `width` hashes of a tile that is stored, full or at the edge.
   *
   * @throws {LogError} `log-corrupt`: it should be there, and is not.
   */
  async read({ level, index, width }: TileId): Promise<Uint8Array> {
    const at = Number(index);
    const found =
      (await this.#readFull(level, at)) ??
      (await this.#readEdge(level, at, width)) ??
      (await this.#readFull(level, at));
    if (found !== undefined && found.length >= HASH_BYTES * width) return found.subarray(0, HASH_BYTES * width);
    const path = tilePath({ level, index, width });
    throw new LogError("log-corrupt", `${path} is missing from the storage: run fsck`, { details: { tile: path } });
  }

  /** The hash of a node of the tree of `size`. */
  async node(node: NodeId, size: number): Promise<Hash> {
    const { tile, ...slice } = tileOfNode({ node, size });
    return nodeFromTile(await this.read(tile), slice);
  }

  /** The root hash that the tiles give for a size. */
  async rootAt(size: number): Promise<Hash> {
    return CompactRange.of({ size, hashes: await this.rangeAt(size) }).rootHash();
  }

  /** The compact range that the tiles give for a size. */
  async rangeAt(size: number): Promise<Hash[]> {
    return Promise.all(compactRangeNodes(size).map(async (node) => this.node(node, size)));
  }

  async prove(plan: ProofPlan, size: number): Promise<Hash[]> {
    return plan.assemble(await Promise.all(plan.nodes.map(async (node) => this.node(node, size))));
  }

  async #readFull(level: number, index: number): Promise<Uint8Array | undefined> {
    const key = tileKey(level, index);
    const known = this.#full.get(key);
    if (known !== undefined) return known;
    const bytes = await this.#storage.getBlob(key);
    if (bytes === undefined) return undefined;
    if (bytes.length !== HASH_BYTES * TILE_WIDTH)
      throw new LogError("log-corrupt", `${key}: expected 8192 bytes, got ${bytes.length}`);
    this.#full.set(key, bytes);
    return bytes;
  }

  async #readEdge(level: number, index: number, width: number): Promise<Uint8Array | undefined> {
    const row = await this.#storage.getRow(TABLE.edge, String(level));
    if (row === undefined) return undefined;
    const [at, hashes] = listOf(decodeCbor(row), "edge");
    const bytes = bytesOf(hashes, "edge hashes");
    return numberOf(at, "edge index") === index && bytes.length >= HASH_BYTES * width ? bytes : undefined;
  }
}
