/** Rule 3: what is signed, and what is started from, is what is on disk. */
import { equalBytes, hashLeaf } from "@tallystick/core";
import { type LogStorage, indexKey } from "@tallystick/storage";
import { LogError } from "./error.ts";
import type { SignedHead } from "./heads.ts";
import { TABLE } from "./rows.ts";
import { StoredTiles } from "./tiles.ts";

/**
 * Reads the right edge back from the storage, down to the entries, and compares: what is signed is what is on disk.
 *
 * @throws {LogError} `log-corrupt`
 */
export async function assertRightEdge(input: {
  readonly storage: LogStorage;
  readonly size: number;
  readonly rootHash: Uint8Array;
  readonly signed: SignedHead | undefined;
}): Promise<void> {
  const { storage, size, rootHash, signed } = input;
  // A reader without memory of earlier tiles: the disk is what is asked.
  const tiles = new StoredTiles(storage);
  if (!equalBytes(await tiles.rootAt(size), rootHash)) {
    throw corrupt(`the tiles of size ${size} do not hash to the root that was computed`);
  }
  if (signed !== undefined && !equalBytes(await tiles.rootAt(signed.size), signed.rootHash)) {
    throw corrupt(`the tiles do not hash to the root that was signed for size ${signed.size}`);
  }
  if (size === 0) return;
  const index = Math.floor((size - 1) / 256);
  const width = size - index * 256;
  const hashes = await tiles.read({ level: 0, index, width });
  const leaves = await storage.getRows(
    TABLE.leaf,
    Array.from({ length: width }, (_, at) => indexKey(index * 256 + at)),
  );
  for (const [at, leaf] of leaves.entries()) {
    if (leaf === undefined || !equalBytes(hashLeaf(leaf), hashes.subarray(32 * at, 32 * at + 32))) {
      throw corrupt(
        `index ${index * 256 + at}: the entry ${leaf === undefined ? "is missing" : "does not hash to its leaf hash"}`,
      );
    }
  }
}

function corrupt(text: string): LogError {
  return new LogError(
    "log-corrupt",
    `${text}: nothing is signed; run fsck, and restore the data folder from before the damage`,
  );
}
