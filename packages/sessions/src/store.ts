/** Where the state of sessions lies, for one process or for many: entries under keys, changed by compare-and-swap. */

export interface StoredEntry {
  readonly value: string;
  /** What a put names to replace this very value. 1 or more. */
  readonly version: number;
}

/**
 * A store of session states. Its clock counts, not those of the applications over it.
 *
 * A put that resolved is seen by every get that begins later, in any process, and outlives the process (but in memory).
 * Whatever fails, rejects; whether a put that rejected took place is open, and the version tells.
 */
export interface SessionStore {
  /** Ms since 1970, whole, by the one clock of this store; never earlier than it was before. */
  now(): Promise<number>;
  get(key: string): Promise<StoredEntry | undefined>;
  /**
   * Puts `value`, or deletes where it is `null`, if the key's version still is the one given; 0 is that of a key that is
   * not there. A version is never given twice for a key, not even after it was deleted.
   *
   * @param deadline - When {@link due} names the key; without one it does not.
   * @returns Whether it took place.
   */
  put(key: string, value: string | null, version: number, deadline?: number): Promise<boolean>;
  /** The keys whose deadline is at or before `before`, the earliest first, at most `limit`. */
  due(before: number, limit: number): Promise<readonly string[]>;
  close(): Promise<void>;
}
