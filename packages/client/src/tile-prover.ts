/** Proofs made from a log's public tiles: the reader asks for tiles, never for an answer about one of its own entries. */
import {
  CompactRange,
  type Hash,
  type NodeId,
  type ProofPlan,
  type TileId,
  type Uint,
  compactRangeNodes,
  nodeFromTile,
  tileOfNode,
  tilePath,
} from "@tallystick/core";
import type { LogReader } from "./log-reader.ts";

/** Tiles kept while proofs are made; entries of one batch share almost all of theirs. */
const TILES_MAX = 64;

/** Makes proofs in the tree of one size. Trusts no tile: whoever uses the proof verifies it. */
export class TileProver {
  readonly #reader: LogReader;
  readonly #size: Uint;
  readonly #tiles = new Map<string, Promise<Uint8Array>>();

  constructor(reader: LogReader, size: Uint) {
    this.#reader = reader;
    this.#size = size;
  }

  /** Fetches the tiles that a plan needs and puts the proof together. */
  async prove(plan: ProofPlan): Promise<Hash[]> {
    return plan.assemble(await Promise.all(plan.nodes.map(async (node) => this.#node(node))));
  }

  /** The hash of one leaf, as the tiles have it. */
  async leafHash(index: Uint): Promise<Hash> {
    return this.#node({ level: 0, index });
  }

  /** The root hash that the tiles give for an earlier size. */
  async rootHash(size: number): Promise<Hash> {
    const hashes = await Promise.all(compactRangeNodes(size).map(async (node) => this.#node(node)));
    return CompactRange.of({ size, hashes }).rootHash();
  }

  async #node(node: NodeId): Promise<Hash> {
    const { tile, ...slice } = tileOfNode({ node, size: this.#size });
    return nodeFromTile(await this.#tile(tile), slice);
  }

  async #tile(tile: TileId): Promise<Uint8Array> {
    const path = tilePath(tile);
    const known = this.#tiles.get(path);
    if (known !== undefined) return known;
    const fetched = this.#reader.tile(tile);
    this.#tiles.set(path, fetched);
    const [oldest] = this.#tiles.keys();
    if (this.#tiles.size > TILES_MAX && oldest !== undefined) this.#tiles.delete(oldest);
    return fetched;
  }
}
