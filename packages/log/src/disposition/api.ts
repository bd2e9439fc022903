/** What becomes of contents in the end: rules, retention, erasure, holds. docs/concepts/privacy.md */
import type { Acknowledgement } from "../log-api.ts";

/** Who orders something, as the log names them: credentials, no persons. */
export interface Ordered {
  /** The credential's id. */
  readonly by: string;
  /** The second person's, where rules ask for two. */
  readonly approvedBy?: string;
}

/**
 * - `held`: a legal hold stops it; lifting the hold carries it out.
 * - `ordered`: the keys are retired, nothing opens with them any more; they are destroyed once the order is witnessed.
 * - `done`: the keys are destroyed.
 */
export type DestructionState = "held" | "ordered" | "done";

/** Of a class-day: all entries of a class that were logged on one day, counted from 1970. */
export interface ClassDayScope {
  readonly class: string;
  readonly day: number;
  /** Index of the first entry, of the last, and how many there are. */
  readonly first: number;
  readonly last: number;
  readonly count: number;
}

/** A destruction of keys: of a person's, or of a class-day's. */
export interface Destruction {
  /** UUIDv7. */
  readonly request: string;
  readonly kind: "person" | "class-day";
  readonly ground: string;
  readonly state: DestructionState;
  /** Indexes of the `log.erasure` entries that order it; absent while it is held. */
  readonly ordered?: readonly number[];
  /** Index of the `log.erasure` entry that says it is done. */
  readonly done?: number;
  /** The first day, as YYYY-MM-DD, on which no backup of the key store holds the keys; absent while it is held. */
  readonly finalOn?: string;
  readonly scope?: ClassDayScope;
  /** Entries that are not destroyed with it, since a duty to keep them goes on, by class. */
  readonly kept?: readonly (readonly [retentionClass: string, count: number])[];
}

export interface EraseInput extends Ordered {
  /** The person's id as events have it. Not kept. */
  readonly subject: string;
  /** Why: 1 to 1,024 characters, in the log for ever. No name belongs there. */
  readonly ground: string;
  /** UUIDv7; one's own makes a repeated call harmless. */
  readonly request?: string;
}

/** What a hold covers: all that is given must fit; at least one is given. */
export interface HoldSelectors {
  /** The person whom events are about, by id. Not kept. */
  readonly subject?: string;
  readonly class?: string;
  /** logged-at, in ms since 1970: from, inclusive; to, exclusive. */
  readonly from?: number;
  readonly to?: number;
  /** Events of this operation id. */
  readonly operation?: string;
}

export interface SetHoldInput extends Ordered {
  /** Names the case; several holds may belong to one. 1 to 128 characters; no person's name. */
  readonly case: string;
  readonly reason?: string;
  readonly selectors: HoldSelectors;
  /** UUIDv7; one's own makes a repeated call harmless: the hold of that id is given as it is, lifted or not. */
  readonly id?: string;
}

export interface Hold {
  /** UUIDv7. */
  readonly id: string;
  readonly case: string;
  readonly reason?: string;
  /** Whether it is of one person; whose is not told. */
  readonly ofPerson: boolean;
  readonly class?: string;
  readonly from?: number;
  readonly to?: number;
  readonly operation?: string;
  readonly setBy: string;
  /** Ms since 1970, and index of the `log.hold` entry. */
  readonly setAt: number;
  readonly setIndex: number;
  readonly liftedBy?: string;
  readonly liftedAt?: number;
  readonly liftedIndex?: number;
}

/** A class-day that still has a key. */
export interface ClassDay extends ClassDayScope {
  /** Days that were promised when its events were logged. */
  readonly atLeastDays: number;
  /** Ms since 1970; `undefined` where it is kept for ever. */
  readonly dueAt: number | undefined;
  /** Whether a hold covers it, whole or in part. */
  readonly held: boolean;
}

export interface RetentionRun {
  /** Those that were ordered and carried out by this run, or are ordered and wait for witnesses. */
  readonly destroyed: readonly ClassDayScope[];
  /** Entries that were sealed anew since a hold covers them. */
  readonly held: number;
}

export interface RulesInForce {
  readonly text: string;
  /** SHA-256 of the text, in hex. */
  readonly digest: string;
  /** Of the `log.rules` entry; `undefined` before the first. */
  readonly index: number | undefined;
}

/** Rules that were approved, at whatever time. */
export interface ApprovedText {
  readonly text: string;
  readonly digest: string;
  /** Of the `log.rules` entry that approved them: the last one, where there are several. */
  readonly index: number;
}

export interface ExportedEntry {
  readonly index: number;
  readonly leaf: Uint8Array;
  readonly opening: Uint8Array;
  /** The tlog-proof; `undefined` while no published head covers the entry. */
  readonly receipt: string | undefined;
}

/** The way of contents through a log's life. All methods may be called at any time, side by side. */
export interface Disposition {
  rules(): RulesInForce;
  /**
   * Rules that ever were in force, by the digest that their `log.rules` entry has.
   *
   * @throws {LogError} `rules-unknown`: none of that digest were approved; `log-corrupt`: their text was changed.
   */
  rulesOf(digest: string): Promise<ApprovedText>;
  /**
   * Lets other rules hold from now on; `log.rules` says which. What was promised for events logged before still binds.
   *
   * @throws {LogError} `rules-malformed`
   */
  applyRules(input: Ordered & { readonly text: string }): Promise<Acknowledgement>;
  /** Logs a `log.check`: whether these rules are the last approved ones. */
  checkRules(text: string): Promise<boolean>;

  /**
   * Erases a person: all events about them are unreadable when it resolves, and their key is destroyed once the order is
   * witnessed. A person who comes back gets a new key.
   *
   * @throws {LogError} `subject-unknown`: nothing is held about them; `subject-refused`: it is the id of a credential, whose
   *   reads and orders the log records.
   */
  erase(input: EraseInput): Promise<Destruction>;
  /** The newest first. */
  destructions(input?: { readonly limit?: number; readonly before?: string }): Promise<readonly Destruction[]>;
  /** @throws {LogError} `destruction-unknown` */
  destruction(request: string): Promise<Destruction>;
  /** Waits until it is done, or the time is over; gives what was reached. */
  waitForDestruction(request: string, timeoutMs: number, signal?: AbortSignal): Promise<Destruction>;

  setHold(input: SetHoldInput): Promise<Hold>;
  /** Lifts a hold; what it kept beyond its time is destroyed at once. @throws {LogError} `hold-unknown` */
  liftHold(input: Ordered & { readonly id: string }): Promise<Hold>;
  /** Those in force; with `lifted` the others too. */
  holds(input?: { readonly lifted?: boolean }): Promise<readonly Hold[]>;

  classDays(): AsyncIterable<ClassDay>;
  /** Destroys what is due. The log does so by itself once an hour. */
  runRetention(): Promise<RetentionRun>;

  /**
   * All that is held about a person, as actor or subject, in the order of the log. That it was exported is in the log,
   * durably, before the first entry is given.
   *
   * @throws {LogError} `subject-unknown`; and where nothing can be appended, why
   */
  exportSubject(input: {
    readonly subject: string;
    readonly reader: string;
    readonly purpose?: string;
  }): AsyncIterable<ExportedEntry>;
}
