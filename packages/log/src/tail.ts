/** Following a log: entries as they become durable, heads as they are published, and a record of who follows. */
import { setImmediate } from "node:timers/promises";
import { LogError } from "./error.ts";
import type { TailItem, TailOptions } from "./log-api.ts";
import { Lru } from "./lru.ts";
import type { News } from "./news.ts";
import type { Published } from "./published.ts";
import type { LogReader } from "./reader.ts";
import type { Sequencer } from "./sequencer.ts";

/** Per reader, while a tail goes on. */
const READ_INTERVAL_MS = 3_600_000;
const READERS_MAX = 10_000;
const TAILS_MAX = 1000;
const TAILS_OF_READER_MAX = 16;
/** A tail that heard nothing looks again after this long. */
const NEWS_TIMEOUT_MS = 60_000;

export interface TailsOptions {
  readonly reader: LogReader;
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
  readonly reader: string;
  readonly ended: AbortSignal;
}

export class Tails {
  readonly #options: TailsOptions;
  /** Reader → when its last log.read was, in ms of a clock that cannot be set. */
  readonly #recorded = new Lru<number>(READERS_MAX);
  /** Reader → how many tails it has open. */
  readonly #open = new Map<string, number>();

  constructor(options: TailsOptions) {
    this.#options = options;
  }

  async *follow({ from, reader, signal }: TailOptions): AsyncGenerator<TailItem> {
    if (from !== undefined && (!Number.isSafeInteger(from) || from < 0))
      throw new RangeError(`from: expected an index, got ${from}`);
    this.#assertRoom(reader);
    this.#count(reader, 1);
    try {
      yield* this.#follow(from, reader, AbortSignal.any([signal, this.#options.closing]));
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

  async *#follow(from: number | undefined, reader: string, ended: AbortSignal): AsyncGenerator<TailItem> {
    const { sequencer, published } = this.#options;
    // As they are now: what comes while the read is recorded is shown.
    const next = from ?? sequencer.range.size;
    const shown = published.head?.note;
    // What is not recorded is not shown: this throws where nothing can be appended.
    await this.#record(reader);
    try {
      yield* this.#items({ next, shown, reader, ended });
    } catch (error) {
      // What it reads from is closed with the log: that is its end, and no failure.
      if (!ended.aborted) throw error;
    }
  }

  async *#items({ next: first, shown: before, reader, ended }: Following): AsyncGenerator<TailItem> {
    let [next, shown] = [first, before];
    const { sequencer, published, news } = this.#options;
    while (!ended.aborted) {
      for (; next < sequencer.range.size && !ended.aborted; next += 1) {
        await this.#record(reader);
        yield await this.#entry(next);
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

  async #entry(index: number): Promise<TailItem> {
    const { reader, published } = this.#options;
    const leaf = await reader.leaf(index);
    const entry = { kind: "entry", index, state: published.stateOf(index), leaf } as const;
    try {
      return { ...entry, event: (await reader.open(index, leaf)).event };
    } catch (error) {
      if (error instanceof LogError && error.code === "erased") return entry;
      throw error;
    }
  }

  async #record(reader: string): Promise<void> {
    const now = performance.now();
    if (now - (this.#recorded.get(reader) ?? -Infinity) < READ_INTERVAL_MS) return;
    await this.#options.sequencer.report({
      type: "log.read",
      actor: { type: "credential", id: reader },
      context: { tail: true },
    });
    this.#recorded.set(reader, now);
  }
}
