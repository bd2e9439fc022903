/** A log's data in memory: for tests and for `dev` without a disk. Durable for as long as the process lives. */
import { assertBlobKey, assertCommit, assertHeadName, assertKey, assertRows, assertTable } from "./arguments.ts";
import { closedFailure } from "./failure.ts";
import { compareUtf8 } from "./compare-utf8.ts";
import { headConflict } from "./head-conflict.ts";
import { indexKey } from "./index-key.ts";
import type {
  Commit,
  HeadName,
  LogStorage,
  Row,
  Run,
  ScanRange,
  StorageDamage,
  StoredRow,
  VersionedHead,
} from "./storage.ts";

/** A new and empty store. */
export function createMemoryStorage(): LogStorage {
  return new MemoryStorage();
}

class MemoryStorage implements LogStorage {
  readonly #heads = new Map<HeadName, VersionedHead>();
  readonly #tables = new Map<string, SortedMap>();
  readonly #blobs = new SortedMap();
  #closed = false;

  async readHead(name: HeadName): Promise<VersionedHead | undefined> {
    this.#assertOpen();
    assertHeadName(name);
    return this.#heads.get(name);
  }

  async commit(commit: Commit): Promise<void> {
    this.#assertOpen();
    assertCommit(commit);
    const { head, rows = [], runs = [], blobs = [] } = commit;
    const version = this.#heads.get(head.name)?.version ?? 0;
    if (version !== head.expected) throw headConflict(head, version);
    for (const { key, bytes } of blobs) this.#blobs.set(key, bytes);
    this.#apply(rows);
    for (const run of runs) this.#apply(rowsOf(run));
    this.#heads.set(head.name, { version: version + 1, bytes: head.bytes });
  }

  async getRow(table: string, key: string): Promise<Uint8Array | undefined> {
    return (await this.getRows(table, [key]))[0];
  }

  async getRows(table: string, keys: readonly string[]): Promise<(Uint8Array | undefined)[]> {
    this.#assertOpen();
    assertTable(table);
    keys.forEach(assertKey);
    return keys.map((key) => this.#tables.get(table)?.get(key));
  }

  async *scanRows(table: string, range: ScanRange = {}): AsyncGenerator<StoredRow> {
    this.#assertOpen();
    assertTable(table);
    for (const [key, value] of this.#tables.get(table)?.entriesIn(range) ?? []) {
      this.#assertOpen();
      yield { key, value };
    }
  }

  async putRows(rows: readonly Row[]): Promise<void> {
    this.#assertOpen();
    assertRows(rows);
    this.#apply(rows);
  }

  async deleteRows(table: string, keys: readonly string[]): Promise<void> {
    await this.putRows(keys.map((key) => ({ table, key, value: null })));
  }

  async getBlob(key: string): Promise<Uint8Array | undefined> {
    this.#assertOpen();
    assertBlobKey(key);
    return this.#blobs.get(key);
  }

  async *listBlobs(prefix: string): AsyncGenerator<string> {
    this.#assertOpen();
    for (const [key] of this.#blobs.entriesIn({ gte: prefix })) {
      if (!key.startsWith(prefix)) return;
      yield key;
    }
  }

  async *findDamage(): AsyncGenerator<StorageDamage> {
    this.#assertOpen();
    yield* [];
  }

  async deleteBlobs(keys: readonly string[]): Promise<void> {
    this.#assertOpen();
    keys.forEach(assertBlobKey);
    for (const key of keys) this.#blobs.delete(key);
  }

  async close(): Promise<void> {
    this.#closed = true;
  }

  #apply(rows: readonly Row[]): void {
    for (const { table, key, value } of rows) {
      let values = this.#tables.get(table);
      if (values === undefined) this.#tables.set(table, (values = new SortedMap()));
      if (value === null) values.delete(key);
      else values.set(key, value);
    }
  }

  #assertOpen(): void {
    if (this.#closed) throw closedFailure("store");
  }
}

function rowsOf({ table, first, values }: Run): Row[] {
  return values.map((value, at) => ({ table, key: indexKey(first + at), value }));
}

/** Values by key, whose keys are sorted when somebody asks for the order. */
class SortedMap {
  readonly #values = new Map<string, Uint8Array>();
  #keys: string[] | undefined;

  get(key: string): Uint8Array | undefined {
    return this.#values.get(key);
  }

  set(key: string, value: Uint8Array): void {
    if (!this.#values.has(key)) this.#keys = undefined;
    this.#values.set(key, value);
  }

  delete(key: string): void {
    if (this.#values.delete(key)) this.#keys = undefined;
  }

  /** As they are now: later changes do not show. */
  entriesIn({ gt, gte, lt, lte, reverse = false, limit }: ScanRange): [string, Uint8Array][] {
    this.#keys ??= [...this.#values.keys()].sort(compareUtf8);
    const keys = this.#keys.filter(
      (key) =>
        (gt === undefined || compareUtf8(key, gt) > 0) &&
        (gte === undefined || compareUtf8(key, gte) >= 0) &&
        (lt === undefined || compareUtf8(key, lt) < 0) &&
        (lte === undefined || compareUtf8(key, lte) <= 0),
    );
    const ordered = reverse ? keys.reverse() : keys;
    return ordered.slice(0, limit).flatMap((key) => {
      const value = this.#values.get(key);
      return value === undefined ? [] : [[key, value]];
    });
  }
}
