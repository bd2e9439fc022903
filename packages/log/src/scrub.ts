/**
 * Rule 4's background scrub: reads everything back, at a bounded rate, and compares it with the tree.
 *
 * What is found damaged stops the log: whatever it would sign next could rest on more of the same. fsck tells all of it.
 */
import { TILE_WIDTH, equalBytes, hashLeaf, tilePath, treeHash } from "@tallystick/core";
import { decodeLeaf } from "@tallystick/events";
import { type LogStorage, StorageError, indexKey } from "@tallystick/storage";
import { findErased } from "./disposition/erased.ts";
import { LogError } from "./error.ts";
import type { LogSecrets } from "./keys.ts";
import { isKeyLost } from "./lost-keys.ts";
import { pause } from "./pause.ts";
import { TABLE } from "./rows.ts";
import { StoredTiles } from "./tiles.ts";
import { hashesAtLevel } from "./tree.ts";

/** Entries that are read in one go: a millisecond or two, in which nobody else is answered. */
const STEP_ENTRIES = 8;
/** It goes from one tile to the next: one of each level, and some to spare. */
const TILES_MAX = 32;
/** After each MiB that is read beneath the values: at most 10 MiB a second. */
const DAMAGE_PAUSE_MS = 100;
/** Between the end of one walk and the next. */
const REST_MS = 3_600_000;
const TILE_LEVEL_MAX = 6;

export interface ScrubOptions {
  readonly storage: LogStorage;
  readonly secrets: LogSecrets;
  /** Entries that are durable. */
  readonly size: () => number;
  readonly entriesPerSecond: number;
  /** Ends the scrub. */
  readonly signal: AbortSignal;
}

/**
 * Walks the log from its first entry to its last, over and over, until the signal fires.
 *
 * @throws {LogError} `log-corrupt`: names the index. @throws {StorageError} The storage answers nothing any more.
 */
export async function scrub(options: ScrubOptions): Promise<void> {
  const { size, entriesPerSecond, signal } = options;
  while (!signal.aborted) {
    await checkBeneath(options);
    // Each walk reads from the disk anew, not from the memory of the one before.
    const tiles = new StoredTiles(options.storage, { tilesMax: TILES_MAX });
    for (let from = 0; from < size() && !signal.aborted;) {
      const to = Math.min(from + STEP_ENTRIES, size());
      await checkEntries(options, tiles, { from, to });
      from = to;
      await pause((1000 * STEP_ENTRIES) / entriesPerSecond, signal);
    }
    await pause(REST_MS, signal);
  }
}

/** First, since reading what is damaged there may end the process instead of telling. */
async function checkBeneath({ storage, signal }: ScrubOptions): Promise<void> {
  const paced = async (): Promise<void> => {
    await pause(DAMAGE_PAUSE_MS, signal);
    signal.throwIfAborted();
  };
  try {
    for await (const { message } of storage.findDamage({ pause: paced }))
      throw new LogError("log-corrupt", `scrub: ${message}`);
  } catch (cause) {
    if (!signal.aborted) throw cause;
  }
}

async function checkEntries(
  { storage, secrets, size }: ScrubOptions,
  tiles: StoredTiles,
  { from, to }: { readonly from: number; readonly to: number },
): Promise<void> {
  const treeSize = size();
  const keys = Array.from({ length: to - from }, (_, at) => indexKey(from + at));
  try {
    const leaves = await storage.getRows(TABLE.leaf, keys);
    const rows = await storage.getRows(TABLE.sealed, keys);
    for (const [at, leaf] of leaves.entries()) {
      const index = from + at;
      const hash = await tiles.node({ level: 0, index }, treeSize);
      if (leaf === undefined || !equalBytes(hashLeaf(leaf), hash))
        throw damaged(index, "its entry is not the one whose hash is in the tree");
      await checkSealed({ storage, secrets, index, leaf, row: rows[at] });
      await checkTilesAbove(tiles, index, treeSize);
    }
  } catch (cause) {
    if (!(cause instanceof StorageError) || cause.code !== "storage-corrupt") throw cause;
    throw new LogError("log-corrupt", `scrub, from index ${from}: ${cause.message}`, {
      cause,
      details: { index: from },
    });
  }
}

async function checkSealed(entry: {
  readonly storage: LogStorage;
  readonly secrets: LogSecrets;
  readonly index: number;
  readonly leaf: Uint8Array;
  readonly row: Uint8Array | undefined;
}): Promise<void> {
  const { storage, secrets, index, row } = entry;
  const leaf = decodeLeaf(entry.leaf);
  const contents = row === undefined ? undefined : secrets.examine({ row, commitment: leaf.commitment });
  if (contents?.kind === "opened" || contents?.kind === "erased") return;
  // What was destroyed under a certificate need not open, nor be there.
  if ((await findErased(storage, { index, leaf, row })) !== undefined) return;
  if (await isKeyLost(storage, index)) return;
  if (contents === undefined) throw damaged(index, "its sealed event is missing");
  if (contents.kind === "unopenable") throw damaged(index, `its sealed event does not open: ${contents.cause.message}`);
  if (contents.kind === "key-missing") throw damaged(index, `the key store has no ${contents.key} key for it`);
}

/** At the last entry below a full tile: do the tile's hashes lead to the one that stands for it a level higher? */
async function checkTilesAbove(tiles: StoredTiles, index: number, size: number): Promise<void> {
  let last = index;
  for (let level = 0; level < TILE_LEVEL_MAX && last % TILE_WIDTH === TILE_WIDTH - 1; level += 1) {
    const tile = { level, index: Math.floor(last / TILE_WIDTH), width: TILE_WIDTH };
    if (hashesAtLevel(size, level) < (tile.index + 1) * TILE_WIDTH) return;
    const bytes = await tiles.read(tile);
    const hashes = Array.from({ length: TILE_WIDTH }, (_, at) => bytes.subarray(32 * at, 32 * at + 32));
    const above = await tiles.node({ level: 8 * (level + 1), index: tile.index }, size);
    if (!equalBytes(treeHash(hashes), above))
      throw damaged(index, `${tilePath(tile)} does not lead to the tile above it`);
    last = tile.index;
  }
}

function damaged(index: number, what: string): LogError {
  const text = `scrub, index ${index}: ${what}: run fsck, and restore the newest good copy`;
  return new LogError("log-corrupt", text, { details: { index } });
}
