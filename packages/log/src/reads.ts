/** The record of who reads contents: each read is an entry before it is answered, and denied ones are entries too. */
import type { OwnEvent } from "./candidate.ts";
import type { DeniedRead } from "./log-api.ts";
import { Lru } from "./lru.ts";

/** Per reader, filter and purpose, while tails go on. */
const TAIL_INTERVAL_MS = 3_600_000;
const TAILS_MAX = 10_000;
/** Per reader: whoever asks for what it may not have must not be able to fill the log with that. */
const DENIED_INTERVAL_MS = 60_000;
/** Of denied reads as one entry names them; the others are counted. */
const DENIED_INDEXES_MAX = 32;

export interface ReadsOptions {
  /** Logs an event of the log's own; resolves when it is durable. */
  readonly report: (event: OwnEvent) => Promise<unknown>;
  /** 60,000 by default. */
  readonly deniedIntervalMs?: number;
}

export interface RecordedRead {
  /** The credential. */
  readonly reader: string;
  readonly purpose: string | undefined;
}

/** Which entries: each of some, or all from one index on to before another. */
export type ReadPlace = { readonly indexes: readonly number[] } | { readonly from: number; readonly to: number };

/** What was denied to a reader since the last entry about it. */
interface Denied {
  count: number;
  readonly indexes: Set<number>;
  readonly kinds: Set<DeniedRead["kind"]>;
}

export class Reads {
  readonly #options: ReadsOptions;
  /** Reader, filter and purpose → when the last log.read was, in ms of a clock that cannot be set. */
  readonly #tails = new Lru<number>(TAILS_MAX);
  /** By reader, for a minute after an entry about it: no more than credentials that were denied something within one. */
  readonly #denied = new Map<string, { readonly since: Denied; readonly timer: NodeJS.Timeout }>();

  constructor(options: ReadsOptions) {
    this.#options = options;
  }

  /**
   * What is not recorded is not given: this throws where nothing can be appended.
   *
   * @param read - `count`: of the entries that are given; or, where nothing is, of those that are not, and `codes` say why.
   */
  async recordRead(
    read: RecordedRead & { readonly place: ReadPlace; readonly count: number; readonly codes?: readonly string[] },
  ): Promise<void> {
    const { place, count, codes = [], ...who } = read;
    const context = "indexes" in place ? { indexes: [...place.indexes], count } : { ...place, count };
    if (codes.length === 0) await this.#options.report(readEvent(who, context));
    else await this.#options.report({ ...readEvent(who, { ...context, codes: [...codes] }), outcome: "failure" });
  }

  /** As {@link recordRead}, of whatever a tail gives within the next hour. `filter` names what it leaves out. */
  async recordTail({ filter, ...who }: RecordedRead & { readonly filter: string | undefined }): Promise<void> {
    const key = JSON.stringify([who.reader, filter, who.purpose]);
    const now = performance.now();
    if (now - (this.#tails.get(key) ?? -Infinity) < TAIL_INTERVAL_MS) return;
    await this.#options.report(readEvent(who, { tail: true, ...(filter === undefined ? {} : { filtered: true }) }));
    this.#tails.set(key, now);
  }

  /**
   * Records that a read was denied: the first at once, and what comes within the minute after it in one entry at its end.
   *
   * Never throws: nothing was given. Dying within that minute loses the count of its later ones.
   */
  async recordDenied({ reader, kind, indexes }: DeniedRead): Promise<void> {
    const waiting = this.#denied.get(reader)?.since;
    const denied = waiting ?? { count: 0, indexes: new Set(), kinds: new Set() };
    denied.count += indexes?.length ?? 1;
    denied.kinds.add(kind);
    for (const index of indexes ?? []) if (denied.indexes.size < DENIED_INDEXES_MAX) denied.indexes.add(index);
    if (waiting !== undefined) return;
    this.#wait(reader);
    await this.#reportDenied(reader, denied);
  }

  /** Until the minute is over, what is denied to this reader is counted only. */
  #wait(reader: string): void {
    const since: Denied = { count: 0, indexes: new Set(), kinds: new Set() };
    const timer = setTimeout(() => {
      this.#denied.delete(reader);
      if (since.count === 0) return;
      this.#wait(reader);
      void this.#reportDenied(reader, since);
    }, this.#options.deniedIntervalMs ?? DENIED_INTERVAL_MS);
    this.#denied.set(reader, { since, timer: timer.unref() });
  }

  async #reportDenied(reader: string, { count, indexes, kinds }: Denied): Promise<void> {
    const named = indexes.size === 0 ? {} : { indexes: [...indexes] };
    const event = readEvent({ reader, purpose: undefined }, { ...named, count, kinds: [...kinds] });
    // A log that takes nothing gives nothing either, and says in its status why.
    await this.#options.report({ ...event, outcome: "denied" }).catch(() => undefined);
  }

  /** Submits what was counted; the log that closes takes it last. */
  close(): void {
    for (const [reader, { since, timer }] of this.#denied) {
      clearTimeout(timer);
      if (since.count > 0) void this.#reportDenied(reader, since);
    }
    this.#denied.clear();
  }
}

function readEvent({ reader, purpose }: RecordedRead, context: NonNullable<OwnEvent["context"]>): OwnEvent {
  return {
    type: "log.read",
    actor: { type: "credential", id: reader },
    ...(purpose === undefined ? {} : { reason: purpose }),
    context,
  };
}
