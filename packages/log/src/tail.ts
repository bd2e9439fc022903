/** Following a log: entries as they become durable, heads as they are published, and a record of who follows. */
import { setImmediate } from "node:timers/promises";
import { LogError, type LogErrorCode } from "./error.ts";
import type { ReadFilter, TailItem, TailOptions } from "./log-api.ts";
import type { News } from "./news.ts";
import type { Published } from "./published.ts";
import type { LogReader } from "./reader.ts";
import type { Reads } from "./reads.ts";
import type { Sequencer } from "./sequencer.ts";

const TAILS_MAX = 1000;
const TAILS_OF_READER_MAX = 16;
/** A tail that heard nothing looks again after this long. */
const NEWS_TIMEOUT_MS = 60_000;

/** What keeps one entry from being shown, and nothing else. */
const UNREADABLE: readonly LogErrorCode[] = ["erased", "key-lost"];

export interface TailsOptions {
  readonly reader: LogReader;
  readonly reads: Reads;
  readonly sequencer: Sequencer;
  readonly published: Published;
  /** Of commits and of published heads. */
  readonly news: News;
  readonly closing: AbortSignal;
}

interface Following {
  /** The next entry's index. */
  readonly next: number;
  /** The note of the head that was there before. */
  readonly shown: string | undefined;
  readonly followed: Followed;
  readonly ended: AbortSignal;
}

/** By whom, what for, and how much of it. */
type Followed = Pick<TailOptions, "reader" | "purpose" | "filter">;

export class Tails {
  readonly #options: TailsOptions;
  /** Reader → how many tails it has open. */
  readonly #open = new Map<string, number>();

  constructor(options: TailsOptions) {
    this.#options = options;
  }

  async *follow({ from, signal, ...followed }: TailOptions): AsyncGenerator<TailItem> {
    if (from !== undefined && (!Number.isSafeInteger(from) || from < 0))
      throw new RangeError(`from: expected an index, got ${from}`);
    const { reader } = followed;
    this.#assertRoom(reader);
    this.#count(reader, 1);
    try {
      yield* this.#follow(from, followed, AbortSignal.any([signal, this.#options.closing]));
    } finally {
      this.#count(reader, -1);
    }
  }

  /** @throws {LogError} `log-overloaded` */
  #assertRoom(reader: string): void {
    const all = [...this.#open.values()].reduce((sum, open) => sum + open, 0);
    const own = this.#open.get(reader) ?? 0;
    const details = { retryAfterSeconds: 60 };
    if (all >= TAILS_MAX) throw new LogError("log-overloaded", `${all} tails follow this log already`, { details });
    if (own >= TAILS_OF_READER_MAX)
      throw new LogError("log-overloaded", `this reader follows it ${own} times already`, { details });
  }

  #count(reader: string, by: 1 | -1): void {
    const open = (this.#open.get(reader) ?? 0) + by;
    if (open > 0) this.#open.set(reader, open);
    else this.#open.delete(reader);
  }

  async *#follow(from: number | undefined, followed: Followed, ended: AbortSignal): AsyncGenerator<TailItem> {
    const { sequencer, published } = this.#options;
    // As they are now: what comes while the read is recorded is shown.
    const next = from ?? sequencer.range.size;
    const shown = published.head?.note;
    // What is not recorded is not shown: this throws where nothing can be appended.
    await this.#record(followed);
    try {
      yield* this.#items({ next, shown, followed, ended });
    } catch (error) {
      // What it reads from is closed with the log: that is its end, and no failure.
      if (!ended.aborted) throw error;
    }
  }

  async *#items({ next: first, shown: before, followed, ended }: Following): AsyncGenerator<TailItem> {
    let [next, shown] = [first, before];
    const { sequencer, published, news } = this.#options;
    while (!ended.aborted) {
      for (; next < sequencer.range.size && !ended.aborted; next += 1) {
        await this.#record(followed);
        const entry = await this.#entry(next, followed.filter);
        if (entry !== undefined) yield entry;
        // What is read is often in memory: without this, one long tail would let nobody else in.
        await setImmediate();
      }
      const { head } = published;
      if (head !== undefined && head.note !== shown) {
        shown = head.note;
        yield { kind: "checkpoint", size: head.size, note: head.note };
      }
      const idle = next >= sequencer.range.size && shown === published.head?.note;
      if (idle) await news.wait(NEWS_TIMEOUT_MS, ended);
    }
  }

  /** `undefined` where it is not the reader's to have; nobody can tell of what was erased or lost. */
  async #entry(index: number, filter: ReadFilter | undefined): Promise<TailItem | undefined> {
    const { reader, published } = this.#options;
    const leaf = await reader.leaf(index);
    const entry = { kind: "entry", index, state: published.stateOf(index), leaf } as const;
    try {
      const { event } = await reader.open(index, leaf);
      return filter === undefined || filter.admits(event) ? { ...entry, event } : undefined;
    } catch (error) {
      if (error instanceof LogError && UNREADABLE.includes(error.code)) return filter === undefined ? entry : undefined;
      throw error;
    }
  }

  async #record({ reader, purpose, filter }: Followed): Promise<void> {
    await this.#options.reads.recordTail({ reader, purpose, filter: filter?.name });
  }
}
