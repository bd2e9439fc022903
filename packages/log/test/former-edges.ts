/** Puts a log's partial tiles into the form of earlier versions: each in a row of its own. */
import { encodeCbor } from "@tallystick/events";
import type { LogStorage } from "@tallystick/storage";
import { edgeFrom, edgeKeys } from "../src/edge.ts";
import { TABLE } from "../src/rows.ts";

export async function toFormerEdges(storage: LogStorage): Promise<void> {
  for (let level = 0; level < 7; level += 1) {
    const edge = edgeFrom(await storage.getRows(TABLE.edge, edgeKeys(level)));
    if (edge === undefined) continue;
    await storage.deleteRows(TABLE.edge, edgeKeys(level));
    const value = encodeCbor([edge.index, edge.hashes]);
    await storage.putRows([{ table: TABLE.edge, key: String(level), value }]);
  }
}

export async function edgeKeysIn(storage: LogStorage): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of storage.scanRows(TABLE.edge)) keys.push(key);
  return keys;
}
