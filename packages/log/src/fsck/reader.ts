/** Reads a storage that may be damaged: what does not read is a finding, and the check goes on. */
import { TallystickError } from "@tallystick/core";
import { type LogStorage, type ScanRange, StorageError, type StoredRow, parseIndexKey } from "@tallystick/storage";
import { TABLE } from "../rows.ts";
import type { Findings } from "./report.ts";

/** A value; or that there is none; or that there is one that does not read, which has been reported. */
export type Stored = Uint8Array | "missing" | "damaged";

export class DamagedReader {
  readonly #storage: LogStorage;
  readonly #findings: Findings;
  /** Places that did not read. */
  readonly #damaged = new Set<string>();
  /** What did not read there: one value may have many rows. */
  readonly #reported = new Set<string>();

  constructor(storage: LogStorage, findings: Findings) {
    this.#storage = storage;
    this.#findings = findings;
  }

  async row(table: string, key: string): Promise<Stored> {
    return this.#tolerant({ table, key }, async () => this.#storage.getRow(table, key));
  }

  /** In the order of `keys`. One damaged value does not hide the others. */
  async rows(table: string, keys: readonly string[]): Promise<Stored[]> {
    if (keys.length === 0) return [];
    try {
      return (await this.#storage.getRows(table, keys)).map((value) => value ?? "missing");
    } catch (error) {
      if (!isDamage(error)) throw error;
    }
    const values: Stored[] = [];
    for (const key of keys) values.push(await this.row(table, key));
    return values;
  }

  async blob(key: string): Promise<Stored> {
    return this.#tolerant({ table: "blob", key }, async () => this.#storage.getBlob(key));
  }

  async head(name: "integrated" | "signed" | "published"): Promise<Stored> {
    return this.#tolerant({ table: "head", key: name }, async () => (await this.#storage.readHead(name))?.bytes);
  }

  /**
   * The rows of a table; goes on behind one that is damaged. Where its key is damaged too and no text any more, nothing
   * names the place behind it: there it ends, with what was reported.
   */
  async *scan(table: string, range: ScanRange = {}): AsyncGenerator<StoredRow> {
    let from: ScanRange = range;
    for (;;) {
      try {
        yield* this.#storage.scanRows(table, from);
        return;
      } catch (error) {
        if (!isDamage(error)) throw error;
        const { key } = error.details;
        this.#report(error, { table, key: typeof key === "string" ? key : "" });
        if (typeof key !== "string" || key <= (from.gt ?? "")) return;
        const { lt, lte, limit } = range;
        from = { gt: key, ...(lt === undefined ? {} : { lt }), ...(lte === undefined ? {} : { lte }) };
        if (limit !== undefined) from = { ...from, limit };
      }
    }
  }

  /** The keys of a table under which a value did not read. */
  damagedIn(table: string): string[] {
    const prefix = `${table}/`;
    return [...this.#damaged].flatMap((place) =>
      place.startsWith(prefix) && place !== prefix ? [place.slice(prefix.length)] : [],
    );
  }

  /** Whether a value there did not read. */
  isDamaged(table: string, key: string): boolean {
    return this.#damaged.has(`${table}/${key}`);
  }

  async #tolerant(place: Place, read: () => Promise<Uint8Array | undefined>): Promise<Stored> {
    try {
      return (await read()) ?? "missing";
    } catch (error) {
      if (!isDamage(error)) throw error;
      this.#report(error, place);
      return "damaged";
    }
  }

  /** Once for each value, however often it is read. */
  #report(error: StorageError, { table, key }: Place): void {
    if (this.#damaged.size < DAMAGED_MAX) this.#damaged.add(`${table}/${key}`);
    const { firstKey } = error.details;
    const first = typeof firstKey === "string" ? firstKey : key;
    if (this.#reported.has(`${table}/${first}`)) return;
    if (this.#reported.size < DAMAGED_MAX) this.#reported.add(`${table}/${first}`);
    const isEntry = table === TABLE.leaf || table === TABLE.sealed;
    this.#findings.add("storage-corrupt", isEntry && first !== "" ? parseIndexKey(first) : undefined, error.message);
  }
}

/** Damaged places that are remembered. */
const DAMAGED_MAX = 100_000;

interface Place {
  readonly table: string;
  readonly key: string;
}

function isDamage(error: unknown): error is StorageError {
  return error instanceof StorageError && error.code === "storage-corrupt";
}

/** What `read` gives; `undefined` where it does not read what is damaged. */
export function ifReadable<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof TallystickError)) throw error;
    return undefined;
  }
}
