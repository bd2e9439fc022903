/** Tiles as a log would store them, and as the definition of a tile gives them. */
import { type Hash, type TileId, concatBytes, treeHash } from "@tallystick/core";
import { type Tree, emptyTree, integrate, tileKey } from "../src/tree.ts";

export class TreeTiles {
  tree: Tree = emptyTree();
  readonly #full = new Map<string, Uint8Array>();

  append(leafHashes: readonly Hash[]): void {
    const { tree, tiles } = integrate(this.tree, concatBytes(...leafHashes));
    this.tree = tree;
    for (const { level, index, bytes } of tiles) this.#full.set(tileKey(level, index), bytes);
  }

  read({ level, index, width }: TileId): Uint8Array {
    const full = this.#full.get(tileKey(level, Number(index)));
    if (width === 256) return full ?? new Uint8Array();
    return (this.tree.edge[level] ?? new Uint8Array()).slice(0, 32 * width);
  }
}

export function referenceTile({ level, index, width }: TileId, leafHashes: readonly Hash[]): Uint8Array {
  const span = 256 ** level;
  const first = Number(index) * 256;
  return concatBytes(
    ...Array.from({ length: width }, (_, at) =>
      treeHash(leafHashes.slice((first + at) * span, (first + at + 1) * span)),
    ),
  );
}
