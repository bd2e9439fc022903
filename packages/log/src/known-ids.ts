/**
 * The id index: which ids are logged already, and where.
 *
 * Its rows lie in the order of the times in their ids: what comes together lies together, where the database would
 * otherwise have to write all of an index anew again and again. Logs of before have rows under other keys.
 */
import { decodeCbor, encodeCbor } from "@tallystick/events";
import type { LogStorage, Row } from "@tallystick/storage";
import { listOf, numberOf } from "./heads.ts";
import { type KnownId, TABLE, decodeKnownId, formerIdKey } from "./rows.ts";

export const FORMER_IDS_KEY = "log";

export class KnownIds {
  readonly #storage: LogStorage;
  readonly #hasFormer: boolean;

  private constructor(storage: LogStorage, hasFormer: boolean) {
    this.#storage = storage;
    this.#hasFormer = hasFormer;
  }

  /**
   * Where nothing says how the rows lie, they are those of before, if there are any.
   *
   * @throws {LogError | StorageError} `log-corrupt`, `storage-corrupt`, `storage-full`, `storage-unavailable`
   */
  static async open(storage: LogStorage, size: number): Promise<KnownIds> {
    const row = await storage.getRow(TABLE.formerIds, FORMER_IDS_KEY);
    if (row === undefined) await storage.putRows([formerIdsRow(size)]);
    const before = row === undefined ? size : decodeFormerIds(row);
    return new KnownIds(storage, before > 0);
  }

  /** What is known of ids, by their keys, read in one go. */
  async read(keys: readonly string[]): Promise<Map<string, KnownId>> {
    const known = new Map<string, KnownId>();
    await this.#readInto(known, keys, keys);
    if (!this.#hasFormer) return known;
    const missing = keys.filter((key) => !known.has(key));
    await this.#readInto(known, missing, missing.map(formerIdKey));
    return known;
  }

  async #readInto(known: Map<string, KnownId>, keys: readonly string[], stored: readonly string[]): Promise<void> {
    if (keys.length === 0) return;
    const rows = await this.#storage.getRows(TABLE.id, stored);
    for (const [at, key] of keys.entries()) {
      const row = rows[at];
      if (row !== undefined) known.set(key, decodeKnownId(row));
    }
  }
}

/** Before which index entries may have rows under keys without a time. @throws {LogError | EventError} It is no such row. */
export function decodeFormerIds(row: Uint8Array): number {
  const [before] = listOf(decodeCbor(row), "former ids");
  return numberOf(before, "former ids before");
}

export function formerIdsRow(before: number): Row {
  return { table: TABLE.formerIds, key: FORMER_IDS_KEY, value: encodeCbor([before]) };
}
