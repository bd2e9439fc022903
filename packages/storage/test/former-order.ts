/** Stores as they were before there were groups of entries. */
import { sealValue, unsealValue } from "../src/checked-value.ts";
import { FORMER_ORDER, RUNS, placeOf } from "../src/level-order.ts";
import type { HeadName } from "../src/storage.ts";
import { withDatabase } from "./raw-database.ts";

/** Turns a store that is closed into one of the former order. One without heads has none: it begins in the present one. */
export async function toFormerOrder(path: string): Promise<void> {
  await withDatabase(path, async (database) => {
    for (const [key, sealed] of await database.iterator().all()) {
      const former = formerKey(key);
      const value = unsealValue(key, sealed);
      if (value === undefined) throw new Error(`${key} is damaged`);
      await database.del(key);
      if (former !== undefined) await database.put(former, sealValue({ key: former, value }));
    }
  });
}

function formerKey(key: string): string | undefined {
  if (key.startsWith(RUNS)) return undefined;
  const place = placeOf(key);
  if (place.kind === "head") return FORMER_ORDER.headKey(place.name as HeadName);
  if (place.kind === "blob") return FORMER_ORDER.blobKey(place.key);
  const isPiece = key.startsWith("s/");
  return FORMER_ORDER[isPiece ? "pieceKey" : "rowKey"](place.table, place.key);
}
