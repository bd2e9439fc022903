/**
 * The storage port: everything that a log keeps, and when it is durable.
 *
 * One log has one `LogStorage`. Its data are of three kinds. **Heads** are the few records that say how far the log has
 * come; each has a version and moves only by compare-and-swap. **Rows** are small values in named tables, written
 * together with a head or not at all; many that follow each other, as a run. **Blobs** are write-once values under a path (full tiles), which may lie in an
 * object store: they are durable before the head that makes them visible, and one that no head covers is harmless.
 */

/** `integrated`: the tree that is on disk. `signed`: the newest head we signed. `published`: the newest one with its quorum. */
export type HeadName = "integrated" | "signed" | "published";

/** A head as stored. `version` counts its commits from 1. */
export interface VersionedHead {
  readonly version: number;
  readonly bytes: Uint8Array;
}

/** A value to write under `key` in `table`, or with `null` one to delete. */
export interface Row {
  /** Lower-case letters, digits and dashes; 1 to 32 of them. */
  readonly table: string;
  /** Well-formed text of 1 to 512 bytes in UTF-8, whose bytes give the order of a scan. */
  readonly key: string;
  readonly value: Uint8Array | null;
}

/**
 * Rows under the index keys from `first` on, without a gap, none of which is there yet: the entries of a log. A driver may
 * keep them as one value; they are read, scanned, replaced and deleted as any row is.
 */
export interface Run {
  readonly table: string;
  readonly first: number;
  /** One at least. */
  readonly values: readonly Uint8Array[];
}

/** A write-once value. To write the same bytes under the same key again is allowed and changes nothing. */
export interface Blob {
  /** A path such as `tile/0/0000000000000a`: 1 to 512 characters out of letters, digits and `. _ - /`. */
  readonly key: string;
  readonly bytes: Uint8Array;
}

/** One step of a log: what becomes durable together. */
export interface Commit {
  readonly head: {
    readonly name: HeadName;
    /** The version that the caller last read or wrote; 0 where there is no head yet. */
    readonly expected: number;
    readonly bytes: Uint8Array;
  };
  /** Two rows of one commit under one key: the later one counts. */
  readonly rows?: readonly Row[];
  readonly runs?: readonly Run[];
  readonly blobs?: readonly Blob[];
}

/** Which keys of a table to read, by the bytewise order of their UTF-8. Everything by default. */
export interface DamageOptions {
  /** Awaited after each MiB or so: to bound the rate, or to stop by throwing. Default: no pause. */
  readonly pause?: () => Promise<void>;
}

/** Part of a store is not what was written. */
export interface StorageDamage {
  /** Where, and what to do. */
  readonly message: string;
  /** Whether the rest can be read; where it cannot, reading may end the process. */
  readonly readable: boolean;
}

export interface ScanRange {
  readonly gt?: string;
  readonly gte?: string;
  readonly lt?: string;
  readonly lte?: string;
  /** Default false: ascending. */
  readonly reverse?: boolean;
  /** Default: all of them. */
  readonly limit?: number;
}

/** A row as read. */
export interface StoredRow {
  readonly key: string;
  readonly value: Uint8Array;
}

/**
 * The data of one log.
 *
 * **Consistency.** A read sees every write that resolved before it began. A commit is seen whole or not at all, and
 * reads that begin together may fall on both sides of it; a scan sees one moment of its table. So may the keys of one
 * `getRows`, but in their order: none is read as of before one that stands in front of it.
 *
 * **Durability.** What resolved is on disk and synced; it survives a kill and a loss of power at any moment after. What
 * rejected with `head-conflict` was not applied. What rejected with `storage-unavailable` or `storage-full`, or did not
 * resolve because the process died, may have been applied, but whole or not at all (except single blobs and the rows of
 * `putRows`); the instance answers nothing any more, and whoever opens the store again reads the head to find out.
 *
 * **Concurrency.** Any number of calls may be under way. Commits are taken one after the other in the order of the calls.
 * One process at a time has a store open; a driver over shared storage arbitrates by the compare-and-swap alone.
 *
 * **Retries.** The driver retries nothing whose outcome it does not know. Callers retry nothing on the same instance
 * after a failure; after `head-conflict` a caller who is not alone stops.
 *
 * **Values** are handed over: the caller does not change bytes that it gave, nor those that it received.
 *
 * All methods reject with {@link StorageError}: `storage-unavailable` or `storage-full` as said above, `storage-corrupt` where
 * what is read is not what was written. Arguments outside their bounds are a `TypeError` or `RangeError`.
 */
export interface LogStorage {
  /** The head, or `undefined` where none was committed yet. */
  readHead(name: HeadName): Promise<VersionedHead | undefined>;

  /**
   * Makes blobs durable, then, in one atomic step, rows and head, provided that the head's version is `expected`.
   * The head's new version is `expected + 1`.
   *
   * @param onWritten - Told once reads see the commit and it would survive a crash, where the driver has to do more than that before it
   *   resolves: the next commit may be asked for, and need not wait for the rest. Those of one head resolve in their order all the same, and
   *   where one is rejected so are those after it. Whoever asks for commits tells nobody of one before it resolves.
   * @throws {StorageError} `head-conflict`: the version is another one. No row was applied; blobs may have been.
   */
  commit(commit: Commit, onWritten?: () => void): Promise<void>;

  /** The value, or `undefined` where there is none. */
  getRow(table: string, key: string): Promise<Uint8Array | undefined>;

  /** The values in the order of `keys`. Cheaper than many `getRow`. */
  getRows(table: string, keys: readonly string[]): Promise<(Uint8Array | undefined)[]>;

  /** The rows of a table in the order of their keys. */
  scanRows(table: string, range?: ScanRange): AsyncIterable<StoredRow>;

  /**
   * Writes rows without a head: only for what can be rebuilt from the rest. Durable when it resolves; not atomic over
   * more rows than one driver's batch.
   */
  putRows(rows: readonly Row[]): Promise<void>;

  /** Deletes rows without a head; keys that are not there are passed over. Durable when it resolves. */
  deleteRows(table: string, keys: readonly string[]): Promise<void>;

  /** The bytes, or `undefined` where there are none. */
  getBlob(key: string): Promise<Uint8Array | undefined>;

  /** The keys that begin with `prefix`, in bytewise order. */
  listBlobs(prefix: string): AsyncIterable<string>;

  /** Deletes blobs; keys that are not there are passed over. Durable when it resolves. */
  deleteBlobs(keys: readonly string[]): Promise<void>;

  /**
   * Reads back what lies beneath the values, and gives what is damaged: where damage hides a value, a read answers
   * `undefined`, and nothing but this notices. Takes time in proportion to the store; it may be used meanwhile. Gives
   * nothing where the driver's own store checks itself.
   *
   * @throws {StorageError} `storage-unavailable`
   */
  findDamage(options?: DamageOptions): AsyncIterable<StorageDamage>;

  /** Waits for the commits under way and closes. Later calls reject with `storage-unavailable`. Closing twice is allowed. */
  close(): Promise<void>;
}
