/** Puts a log's partial tiles into the form of earlier versions: each in a row of its own. */
import { encodeCbor } from "@tallystick/events";
import type { LogStorage } from "@tallystick/storage";
import { edgeKeys, readEdge } from "../src/edge.ts";
import { TABLE } from "../src/rows.ts";
import { hashesAtLevel } from "../src/tree.ts";

/** @param size - Of the log: where a level ends with a full tile its row is empty. */
export async function toFormerEdges(storage: LogStorage, size: number): Promise<void> {
  for (let level = 0; hashesAtLevel(size, level) > 0; level += 1) {
    const index = hashesAtLevel(size, level + 1);
    const edge = (await readEdge(storage, level)) ?? { index, hashes: new Uint8Array() };
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
