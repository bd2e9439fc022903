/** A tree that keeps all its nodes, as an integrator writes them: what tests make proofs and tiles from. */
import { CompactRange, type Hash, type NodeId, TILE_WIDTH, type TileId, encodeTile, hashLeaf } from "../src/index.ts";

export class MemoryTree {
  readonly range: CompactRange = CompactRange.empty();
  readonly #levels: Hash[][] = [];

  static of(entries: Iterable<Uint8Array>): MemoryTree {
    const tree = new MemoryTree();
    for (const entry of entries) tree.append(entry);
    return tree;
  }

  append(entry: Uint8Array): void {
    this.range.append(hashLeaf(entry), (level, index, hash) => {
      const nodes = (this.#levels[level] ??= []);
      if (nodes.length !== index) throw new Error(`level ${level}: node ${index} came after ${nodes.length} nodes`);
      nodes.push(hash);
    });
  }

  readonly getNode = ({ level, index }: NodeId): Hash => {
    const hash = this.#levels[level]?.[Number(index)];
    if (hash === undefined) throw new Error(`no node at level ${level}, index ${index}`);
    return hash;
  };

  tile({ level, index, width }: TileId): Uint8Array {
    const first = Number(index) * TILE_WIDTH;
    const hashes = Array.from({ length: width }, (_, i) => this.getNode({ level: 8 * level, index: first + i }));
    return encodeTile(hashes);
  }
}

/** `count` different entries: entry `i` is `i` as four bytes. */
export function someEntries(count: number): Uint8Array[] {
  return Array.from({ length: count }, (_, i) => new Uint8Array(Uint32Array.of(i).buffer));
}
