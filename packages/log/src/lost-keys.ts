/**
 * Entries whose keys were lost with a key store that had to be restored from a backup: those that came after the backup,
 * as far as it did not have their keys already. Their leaves and receipts stay valid; their contents are gone.
 *
 * Which they are is found out once, before any new key is made, and is an entry: `log.key`, `{change: "restored", …}`. With
 * it, in the same commit, go the rows by which reading tells lost from damaged.
 */
import { type TallyEvent, decodeCbor, decodeLeaf, encodeCbor } from "@tallystick/events";
import { type LogStorage, type Row, indexKey } from "@tallystick/storage";
import type { OwnEvent } from "./candidate.ts";
import { LogError } from "./error.ts";
import { listOf, numberOf } from "./heads.ts";
import type { LogSecrets } from "./keys.ts";
import type { RestoredKeyStore } from "./log-api.ts";
import { TABLE } from "./rows.ts";

/** Entries without a gap between them. */
export interface LostRange {
  readonly first: number;
  readonly last: number;
}

/** Entries that are read in one go. */
const STEP_ENTRIES = 256;
/** By which the log's time may be ahead of the time of the backup. */
const CLOCK_TOLERANCE_MS = 600_000;
/** Ranges named in one entry: it stays below 32 KiB. */
const RANGES_AT_ONCE = 500;

/** The entries since the backup that do not open. Call before any key is made. */
export async function findLostKeys(input: {
  readonly storage: LogStorage;
  readonly secrets: LogSecrets;
  readonly size: number;
  readonly restored: RestoredKeyStore;
}): Promise<readonly LostRange[]> {
  const { storage, secrets, size, restored } = input;
  const ranges: LostRange[] = [];
  const first = await firstSince(storage, { size, since: restored.takenAt - CLOCK_TOLERANCE_MS });
  for (let from = first; from < size; from += STEP_ENTRIES) {
    const keys = Array.from({ length: Math.min(STEP_ENTRIES, size - from) }, (_, at) => indexKey(from + at));
    const [leaves, rows] = [await storage.getRows(TABLE.leaf, keys), await storage.getRows(TABLE.sealed, keys)];
    for (const [at, leaf] of leaves.entries()) {
      const row = rows[at];
      if (leaf === undefined || row === undefined) continue;
      const { kind } = secrets.examine({ row, commitment: decodeLeaf(leaf).commitment });
      // A start that died may have made the key of the present day anew: then it does not open, instead of missing.
      if (kind === "key-missing" || kind === "unopenable") extend(ranges, from + at);
    }
  }
  return ranges;
}

/** The first index logged at or after a time; times never decrease along the log. */
export async function firstSince(
  storage: LogStorage,
  { size, since }: { readonly size: number; readonly since: number },
): Promise<number> {
  let [low, high] = [0, size];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const leaf = await storage.getRow(TABLE.leaf, indexKey(middle));
    if (leaf === undefined)
      throw new LogError("log-corrupt", `index ${middle}: the entry is missing from the storage: run fsck`);
    if (decodeLeaf(leaf).loggedAt < since) low = middle + 1;
    else high = middle;
  }
  return low;
}

function extend(ranges: LostRange[], index: number): void {
  const last = ranges.at(-1);
  if (last?.last === index - 1) ranges.splice(-1, 1, { first: last.first, last: index });
  else ranges.push({ first: index, last: index });
}

/** What the log says of a restored key store, one entry at least, and the rows that go with it. */
export function restoredEntries(
  { takenAt, epoch }: RestoredKeyStore,
  ranges: readonly LostRange[],
): { readonly events: readonly OwnEvent[]; readonly rows: readonly Row[] } {
  const count = ranges.reduce((sum, { first, last }) => sum + last - first + 1, 0);
  const events: OwnEvent[] = [];
  for (let at = 0; at === 0 || at < ranges.length; at += RANGES_AT_ONCE) {
    const lost = ranges.slice(at, at + RANGES_AT_ONCE).map(({ first, last }) => [first, last]);
    const context = { change: "restored", takenAt, epoch, lost, count };
    events.push({ type: "log.key", context });
  }
  return { events, rows: ranges.map(lostRow) };
}

export function lostRow({ first, last }: LostRange): Row {
  return { table: TABLE.lost, key: indexKey(first), value: encodeCbor([last]) };
}

/** The ranges that such an entry names; none for every other event. */
export function lostRangesOf({ type, context }: TallyEvent): readonly LostRange[] {
  const { change, lost } = context ?? {};
  if (type !== "log.key" || change !== "restored" || !Array.isArray(lost)) return [];
  return lost.flatMap((range: unknown) => {
    const [first, last] = Array.isArray(range) ? (range as unknown[]) : [];
    return typeof first === "number" && typeof last === "number" ? [{ first, last }] : [];
  });
}

/** Whether the key of an entry is known to be lost. */
export async function isKeyLost(storage: LogStorage, index: number): Promise<boolean> {
  for await (const { value } of storage.scanRows(TABLE.lost, { lte: indexKey(index), reverse: true, limit: 1 })) {
    const [last] = listOf(decodeCbor(value), "lost");
    return index <= numberOf(last, "lost last");
  }
  return false;
}
