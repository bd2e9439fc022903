/** What a log offers to whoever runs it in a process of their own, and what it needs from outside. */
import type { Hash, Signer, TileId, Verifier } from "@tallystick/core";
import type { TallyEvent } from "@tallystick/events";
import type { KeyStore, LogStorage } from "@tallystick/storage";
import type { Disposition } from "./disposition/api.ts";
import type { Preparation, Prepared, Refused } from "./prepared.ts";

/** `durable`: synced under its index. `published`: under a published head. `witnessed`: that head has its quorum. */
export type EntryState = "durable" | "published" | "witnessed";

/** The log's answer for one event. */
export interface Acknowledgement {
  readonly id: string;
  readonly index: number;
  /** In ms since 1970. */
  readonly loggedAt: number;
  readonly leafHash: Hash;
  /** The entry as it stands in the tree. */
  readonly leaf: Uint8Array;
  readonly state: EntryState;
  /** The same writer had sent the same event before: this is the first answer again. */
  readonly duplicate?: true;
}

/** The keys that the tags of a batch were made with, so that the sender can check them. Secret to others. */
export interface TagKeys {
  readonly personDays: readonly { readonly id: string; readonly day: number; readonly key: Uint8Array }[];
  readonly tenants: readonly { readonly id: string; readonly key: Uint8Array }[];
}

export interface BatchAcknowledgement {
  readonly entries: readonly Acknowledgement[];
  readonly tagKeys: TagKeys;
}

/** What `appendEvents` gives, or `appendBatch`. */
export interface PreparedAcknowledgement {
  readonly entries: readonly Acknowledgement[];
  /** Of a batch. */
  readonly tagKeys?: TagKeys;
}

/** A witness that the log asks. */
export interface WitnessTarget {
  readonly name: string;
  /** Its keys; a line of any of them counts as this witness. */
  readonly verifiers: readonly Verifier[];
  /** Submission prefix, without a slash at the end. */
  readonly url: string;
  /** Monitoring prefix; the submission prefix by default. */
  readonly monitoringUrl?: string;
}

export interface LogKeys {
  /** The Ed25519 key (type 1) first; an ML-DSA-44 one (type 6) may follow. Each bears the origin as its name. */
  readonly signers: readonly Signer[];
  /** Keys that signed earlier heads, and sign no more. */
  readonly retired?: readonly Verifier[];
  /** The seed, 32 bytes, of the sender key under which the log reports events of its own. Not a checkpoint key. */
  readonly senderSeed: Uint8Array;
}

/** A sender key that may send signed batches, and from which to which index of the log. */
export interface SenderKeyRule {
  readonly publicKey: Uint8Array;
  /** The first index at which its batches are taken; 0 by default. */
  readonly from?: number;
  /** The first index at which they are not taken any more. */
  readonly to?: number;
}

/** A key store that was put back from a backup since the log last ran. */
export interface RestoredKeyStore {
  /** When the backup was made, in ms since 1970. */
  readonly takenAt: number;
  /** The key store's epoch in the backup. */
  readonly epoch: number;
  /** Called once the log has noted it, durably. */
  readonly noted: () => Promise<void>;
}

/** What may be public about a key or token: no secret, no person. */
export type KeyFacts = Readonly<Record<string, string | number>>;

/**
 * `checkpoint`: signs heads. `sender`: is let in by the configuration. `token`: whom the API knows. `master`: wraps the key
 * store, one at a time.
 */
export type KnownKeyKind = "checkpoint" | "sender" | "token" | "master";

export interface KnownKey {
  /** Tells it from the others of its kind; up to 400 characters. */
  readonly id: string;
  readonly facts: KeyFacts;
}

export interface LogLogger {
  info(message: string, details?: Readonly<Record<string, unknown>>): void;
  warn(message: string, details?: Readonly<Record<string, unknown>>): void;
}

export interface LogOptions {
  readonly origin: string;
  readonly storage: LogStorage;
  readonly keyStore: KeyStore;
  readonly keys: LogKeys;
  /** The policy that readers are given, and by whose quorum heads are published. c2sp.org/tlog-policy */
  readonly policyText: string;
  readonly witnesses: readonly WitnessTarget[];
  /** Sender keys that are taken from whoever brings them. */
  readonly senderKeys?: readonly SenderKeyRule[];
  /** Pin the first sender key that a writer presents, as a `log.key` entry; false by default. */
  readonly pinFirstSenderKey?: boolean;
  /** Between two heads; 200 by default. Below 1,000 a quarter of it while somebody waits for a head. */
  readonly publishIntervalMs?: number;
  /** Between two `log.head` entries; 60,000 by default. */
  readonly headIntervalMs?: number;
  /** After this long an unchanged head is cosigned anew; 600,000 by default. */
  readonly freshnessIntervalMs?: number;
  /** For one request to a witness; 5,000 by default. */
  readonly witnessTimeoutMs?: number;
  /** Events that may wait to be sequenced; 20,000 by default. */
  readonly queueEntriesMax?: number;
  /** Their bytes; 64 MiB by default. */
  readonly queueBytesMax?: number;
  /** Events that one commit takes; 4,096 by default. */
  readonly commitEntriesMax?: number;
  /** Durable entries that no published head covers, before no more are taken; 10,000,000 by default. */
  readonly unpublishedEntriesMax?: number;
  /** Entries that are read back from the disk and compared in a second, over and over; 200 by default, 0 for none. */
  readonly scrubEntriesPerSecond?: number;
  /** Start although too few witnesses answer; logged. For one start only. */
  readonly startWithoutWitnesses?: boolean;
  /** Somebody has looked at the clock: go on although it jumped. For one start only. */
  readonly confirmClock?: boolean;
  /** Take a key store that lacks keys of entries since its backup: which those are, the log notes. */
  readonly restored?: RestoredKeyStore | null;
  /**
   * The first day, as YYYY-MM-DD, on which no backup of the key store holds keys that are destroyed now, or within the
   * next day; the present day by default, for key stores without backups.
   */
  readonly finalOn?: (now: number) => string;
  /** The file of rules as it is now; before any were approved these hold. The defaults where there is none. */
  readonly proposedRules?: () => Promise<string | undefined>;
  /** In ms since 1970. */
  readonly now?: () => number;
  readonly random?: (bytes: number) => Uint8Array;
  readonly fetch?: typeof globalThis.fetch;
  readonly logger?: LogLogger;
}

export interface Reason {
  readonly code: string;
  readonly message: string;
}

export interface WitnessStatus {
  readonly name: string;
  readonly state: "ok" | "behind" | "unreachable" | "faulty";
  /** The largest size that it cosigned for us. */
  readonly size: number;
  readonly lastError?: string;
}

export interface LogStatus {
  /** `starting`: waits for witnesses or for a clock that can be trusted; `degraded`: takes events, but something is
   *  wrong; `stopped`: takes nothing. */
  readonly state: "starting" | "ok" | "degraded" | "stopped";
  readonly reasons: readonly Reason[];
  readonly size: number;
  readonly publishedSize: number;
  readonly queuedEntries: number;
  readonly witnesses: readonly WitnessStatus[];
}

/** Counts since the log was opened. */
export interface LogCounters {
  readonly entries: number;
  readonly commits: number;
  readonly duplicates: number;
  readonly refused: number;
  readonly overloaded: number;
  readonly heads: number;
  readonly cosignatures: number;
  readonly witnessErrors: number;
  readonly reads: number;
}

export interface PublishedCheckpoint {
  readonly size: number;
  readonly rootHash: Hash;
  /** The signed note. */
  readonly note: string;
  /** In ms since 1970. */
  readonly publishedAt: number;
}

export interface ReadEvent {
  readonly index: number;
  readonly leaf: Uint8Array;
  readonly opening: Uint8Array;
  readonly event: TallyEvent;
  readonly state: EntryState;
}

/** What a tail yields: entries in order, and heads as they are published. */
export type TailItem =
  | {
      readonly kind: "entry";
      readonly index: number;
      readonly state: EntryState;
      readonly leaf: Uint8Array;
      readonly event?: TallyEvent;
    }
  | { readonly kind: "checkpoint"; readonly size: number; readonly note: string };

export interface TailOptions {
  /** The first index; the log's present end by default. */
  readonly from?: number;
  /** The credential that reads; recorded in the log once an hour, for each filter and purpose. */
  readonly reader: string;
  readonly purpose?: string;
  /** Where the reader may have some entries only. Those that were erased are of nobody any more. */
  readonly filter?: ReadFilter;
  readonly signal: AbortSignal;
}

/** Tells what a reader may have. */
export interface ReadFilter {
  /** The same for the same filter; kept in memory only. */
  readonly name: string;
  readonly admits: (event: TallyEvent) => boolean;
}

/** A read of contents that was refused. */
export interface DeniedRead {
  /** The credential. */
  readonly reader: string;
  /** What it asked for. */
  readonly kind: "event" | "tail" | "export";
  /** Of the entries, where some were named. */
  readonly indexes?: readonly number[];
}

export interface OpeningsInput {
  /** The first index. */
  readonly from: number;
  /** How many entries at most; 256 by default, and never more. */
  readonly limit?: number;
  readonly reader: string;
  readonly purpose?: string;
  readonly filter?: ReadFilter;
}

/** Why the contents of one entry cannot be had. */
export type UnreadCode = "erased" | "key-lost" | "log-corrupt";

/** The contents of one of many entries, or why they are not given. */
export type ReadOpening =
  | { readonly index: number; readonly opening: Uint8Array }
  | {
      readonly index: number;
      readonly code: UnreadCode | "forbidden";
      /** Of `erased`: index of the `log.erasure` entry. */
      readonly certificate?: number;
    };

/**
 * A log. All methods may be called at any time, side by side.
 *
 * Consistency: what an acknowledgement says holds for ever. Durability: an index in any answer means synced.
 */
export interface Log {
  readonly origin: string;
  readonly policyText: string;
  /** The log's verifier keys, the Ed25519 one first. */
  readonly vkeys: readonly string[];
  /** Rules, retention, erasure, holds. */
  readonly disposition: Disposition;

  /**
   * Logs unsigned events of one writer, all or none; resolves when they are durable.
   *
   * @param writer - The id of the credential that they came with, up to 256 characters.
   * @param events - As parseEvent() of `@tallystick/events` gives them. A session id that is not 64 hex digits is hashed
   *   under a secret of the log, and not kept.
   * @throws {EventError} `event-invalid` (`details.entry`) @throws {LogError} `event-refused`, `id-conflict`, `erased`, `log-overloaded`, …
   */
  appendEvents(input: {
    readonly writer: string;
    readonly events: readonly TallyEvent[];
  }): Promise<readonly Acknowledgement[]>;

  /**
   * Logs a signed batch, whole and in order; resolves when it is durable. Sent again, it gets its first answer again.
   *
   * @throws {EventError} `batch-malformed`, `signature-invalid`, `event-invalid` (`details.entry`)
   * @throws {LogError} `sequence-gap` (`details.expected`), `sender-key-unknown`, `id-conflict` (`details.entry`), …
   */
  appendBatch(input: { readonly writer: string; readonly batch: Uint8Array }): Promise<BatchAcknowledgement>;

  /**
   * What another thread of this process has to know to prepare what this writer sends, by prepareEvents() or
   * prepareBatch(). Has a secret. `undefined` where the log stopped: `appendEvents` says why.
   */
  preparation(writer: string): Preparation | undefined;

  /**
   * Logs what prepareEvents() or prepareBatch() made for this log and this writer; resolves when it is durable. It is
   * believed as it stands: nothing but these two may have made it.
   *
   * @throws {LogError} As `appendEvents` and `appendBatch` do; @throws {EventError} what could not be prepared.
   */
  appendPrepared(input: {
    readonly writer: string;
    readonly prepared: Prepared | Refused;
  }): Promise<PreparedAcknowledgement>;

  /** Waits for a state; gives the one that was reached when the wait ended, by success, time or signal. */
  waitFor(input: {
    readonly index: number;
    readonly state: EntryState;
    readonly timeoutMs: number;
    readonly signal?: AbortSignal;
  }): Promise<EntryState>;
  /** @throws {LogError} `index-unknown` */
  stateOf(index: number): EntryState;
  /** Entries that are durable. */
  size(): number;
  /** Size of the published head; 0 before the first. */
  publishedSize(): number;

  /** The published head, or `undefined` before the first. */
  checkpoint(): string | undefined;
  /** Published heads, the newest first. */
  checkpoints(input?: { readonly limit?: number; readonly before?: number }): Promise<readonly PublishedCheckpoint[]>;
  /** A tile of a published head; `undefined` for one that no published head has. @throws {LogError} `log-corrupt` */
  readTile(tile: TileId): Promise<Uint8Array | undefined>;
  readBundle(bundle: { readonly index: number; readonly width: number }): Promise<Uint8Array | undefined>;
  /** An entry, checked against its hash in the tree. @throws {LogError} `index-unknown`, `log-corrupt` */
  readLeaf(index: number): Promise<Uint8Array>;
  /**
   * The contents of an entry. That they were read is in the log, durably, before they are given.
   *
   * @throws {LogError} `index-unknown`, `erased`, `log-corrupt`; `forbidden`: the filter does not admit it, or nobody can
   *   tell any more, and that is recorded as {@link recordDenied} does; and where nothing can be appended, why
   */
  readEvent(input: {
    readonly index: number;
    readonly reader: string;
    readonly purpose?: string;
    readonly filter?: ReadFilter;
  }): Promise<ReadEvent>;
  /**
   * The openings of entries that stand behind each other, from `from` on: at least one, and fewer than were asked for at
   * the log's end and where they reach 1 MiB. That they were read is one entry, durably, before they are given.
   *
   * @throws {LogError} `index-unknown`; `forbidden`: the filter admits nothing of all that; and where nothing can be
   *   appended, why
   */
  readOpenings(input: OpeningsInput): Promise<readonly ReadOpening[]>;
  /**
   * Records a read that was denied elsewhere: at most one entry for each reader and minute, with a count. Never throws.
   */
  recordDenied(denied: DeniedRead): Promise<void>;
  /**
   * The tlog-proof of an entry.
   *
   * @param options - `leaf` is the entry, for those who have it: it is not read then.
   * @throws {LogError} `receipt-not-ready`, `index-unknown`; `log-corrupt`: what is stored, or `leaf`, is not what is in the tree.
   */
  receipt(
    index: number,
    options?: { readonly signatures?: "minimal" | "all"; readonly leaf?: Uint8Array },
  ): Promise<string>;
  /** @throws {LogError} `size-unknown`: above the published size; `index-unknown` */
  inclusionProof(input: {
    readonly index: number;
    readonly size?: number;
  }): Promise<{ readonly size: number; readonly hashes: readonly Hash[] }>;
  /** @throws {LogError} `size-unknown` */
  consistencyProof(input: { readonly from: number; readonly to: number }): Promise<readonly Hash[]>;
  /** @throws {LogError} Where the read cannot be recorded. */
  tail(options: TailOptions): AsyncIterable<TailItem>;

  /**
   * Notes as `log.key` entries, durably, how all keys or tokens of a kind differ from those that were noted last; the
   * first ones ever are remembered without an entry. The log itself does so for its own keys at each start.
   *
   * @throws {LogError} Where nothing can be appended.
   */
  reportKeys(kind: KnownKeyKind, keys: readonly KnownKey[]): Promise<void>;

  status(): LogStatus;
  counters(): LogCounters;
  /** Takes nothing more, answers what is under way, and stops. Does not close storage or key store. */
  close(options?: { readonly graceMs?: number }): Promise<void>;
}
