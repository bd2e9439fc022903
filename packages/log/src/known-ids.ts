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
/** Written by a log that begins, and by no other. */
export const NO_FORMER_IDS: Row = { table: TABLE.formerIds, key: FORMER_IDS_KEY, value: encodeCbor([0]) };

export class KnownIds {
  readonly #storage: LogStorage;
  readonly #hasFormer: boolean;

  private constructor(storage: LogStorage, hasFormer: boolean) {
    this.#storage = storage;
    this.#hasFormer = hasFormer;
  }

  /** @throws {LogError | EventError | StorageError} `log-corrupt`, `storage-corrupt`: what says how rows lie does not read. */
  static async open(storage: LogStorage): Promise<KnownIds> {
    return new KnownIds(storage, hasFormerIds(await storage.getRow(TABLE.formerIds, FORMER_IDS_KEY)));
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

/**
 * Whether rows may lie under keys without a time. A log of before has no row that denies it.
 *
 * @throws {LogError | EventError} It is no such row.
 */
export function hasFormerIds(row: Uint8Array | undefined): boolean {
  if (row === undefined) return true;
  const [before] = listOf(decodeCbor(row), "former ids");
  return numberOf(before, "former ids before") > 0;
}
