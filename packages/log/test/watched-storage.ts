/** A storage whose commits can be held up, watched, and made to fail before they landed, after that, or while the rest is done. */
import {
  type Commit,
  type DamageOptions,
  type HeadName,
  type LogStorage,
  type Row,
  type ScanRange,
  type StorageDamage,
  StorageError,
  type StoredRow,
  type VersionedHead,
} from "@tallystick/storage";

export type Fault = "before" | "after";

export class WatchedStorage implements LogStorage {
  readonly #inner: LogStorage;
  readonly written: Uint8Array[] = [];
  readonly heads: HeadName[] = [];
  /** Commits that are held up. */
  held = 0;
  /** Whether commits of the integrated head that have landed wait for the test before they are whole. */
  holdsRests = false;
  /** What these wait for; rejected, it fails them. */
  readonly rests: PromiseWithResolvers<void>[] = [];
  #gate: Promise<void> | undefined;
  #heldHead: HeadName = "integrated";
  #faults: { readonly head: HeadName; after: number; readonly fault: Fault } | undefined;
  #dead = false;

  constructor(inner: LogStorage) {
    this.#inner = inner;
  }

  /** Holds up every commit of a head until the function is called that it gives. */
  hold(head: HeadName = "integrated"): () => void {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#gate = promise;
    this.#heldHead = head;
    return () => {
      this.#gate = undefined;
      resolve();
    };
  }

  /** The next commit but `after` of a head fails, and from then on everything: as the port says. */
  failCommit(head: HeadName, fault: Fault, after = 0): void {
    this.#faults = { head, fault, after };
  }

  get hasFailed(): boolean {
    return this.#dead;
  }

  async commit(commit: Commit, onWritten?: () => void): Promise<void> {
    this.#assertAlive();
    const { name } = commit.head;
    if (name === this.#heldHead && this.#gate !== undefined) {
      this.held += 1;
      await this.#gate;
    }
    const fault = this.#faults?.head === name && this.#faults.after-- === 0 ? this.#faults.fault : undefined;
    if (fault === "before") this.#die();
    await this.#inner.commit(commit);
    if (fault === "after") this.#die();
    this.heads.push(name);
    this.written.push(commit.head.bytes, ...(commit.blobs ?? []).map(({ bytes }) => bytes));
    for (const { key, value } of commit.rows ?? []) this.written.push(Buffer.from(key), value ?? new Uint8Array());
    for (const { values } of commit.runs ?? []) this.written.push(...values);
    if (name === "integrated" && this.holdsRests) {
      this.rests.push(Promise.withResolvers());
      onWritten?.();
    }
    // Those before it, of other heads too, come first.
    for (const { promise } of this.rests.slice()) await promise.catch(() => this.#die());
    this.#assertAlive();
  }

  async readHead(name: HeadName): Promise<VersionedHead | undefined> {
    this.#assertAlive();
    return this.#inner.readHead(name);
  }

  async getRow(table: string, key: string): Promise<Uint8Array | undefined> {
    this.#assertAlive();
    return this.#inner.getRow(table, key);
  }

  async getRows(table: string, keys: readonly string[]): Promise<(Uint8Array | undefined)[]> {
    this.#assertAlive();
    return this.#inner.getRows(table, keys);
  }

  scanRows(table: string, range?: ScanRange): AsyncIterable<StoredRow> {
    this.#assertAlive();
    return this.#inner.scanRows(table, range);
  }

  async putRows(rows: readonly Row[]): Promise<void> {
    this.#assertAlive();
    return this.#inner.putRows(rows);
  }

  async deleteRows(table: string, keys: readonly string[]): Promise<void> {
    this.#assertAlive();
    return this.#inner.deleteRows(table, keys);
  }

  async getBlob(key: string): Promise<Uint8Array | undefined> {
    this.#assertAlive();
    return this.#inner.getBlob(key);
  }

  listBlobs(prefix: string): AsyncIterable<string> {
    this.#assertAlive();
    return this.#inner.listBlobs(prefix);
  }

  async deleteBlobs(keys: readonly string[]): Promise<void> {
    this.#assertAlive();
    return this.#inner.deleteBlobs(keys);
  }

  findDamage(options?: DamageOptions): AsyncIterable<StorageDamage> {
    this.#assertAlive();
    return this.#inner.findDamage(options);
  }

  async close(): Promise<void> {
    return this.#inner.close();
  }

  #die(): never {
    this.#dead = true;
    throw failure();
  }

  #assertAlive(): void {
    if (this.#dead) throw failure();
  }
}

function failure(): StorageError {
  return new StorageError("storage-unavailable", "the disk does not answer");
}
