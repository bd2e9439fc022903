/** A tile that was read, and the nodes above its hashes: made once, when the first of them is asked for. */
import { HASH_BYTES, type Hash, hashNodes } from "@tallystick/core";

export class TileNodes {
  /** The tile: its hashes, one after the other. Never changed. */
  readonly hashes: Uint8Array;
  /** By height above the tile's hashes: the nodes that are complete, one after the other. */
  #levels: readonly Uint8Array[] | undefined;

  constructor(hashes: Uint8Array) {
    this.hashes = hashes;
  }

  /** How many hashes the tile has. */
  get width(): number {
    return this.hashes.length / HASH_BYTES;
  }

  /** The node over `count` hashes, a power of two, from `first` on, a multiple of it; `undefined` where some are missing. */
  node({ first, count }: { readonly first: number; readonly count: number }): Hash | undefined {
    const nodes = count === 1 ? this.hashes : this.#nodesAt(Math.log2(count));
    const start = HASH_BYTES * (first / count);
    return start + HASH_BYTES <= nodes.length ? nodes.subarray(start, start + HASH_BYTES) : undefined;
  }

  #nodesAt(height: number): Uint8Array {
    this.#levels ??= levelsAbove(this.hashes);
    return this.#levels[height] ?? new Uint8Array();
  }
}

function levelsAbove(hashes: Uint8Array): Uint8Array[] {
  const levels = [hashes];
  let below = hashes;
  while (below.length >= 2 * HASH_BYTES) {
    below = hashNodes(below.subarray(0, below.length - (below.length % (2 * HASH_BYTES))));
    levels.push(below);
  }
  return levels;
}
