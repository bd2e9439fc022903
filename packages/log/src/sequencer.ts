/**
 * The sequencer: one loop that owns the tree, takes what waits, makes it durable and answers.
 *
 * Order: compute in memory, make keys durable, commit (entries, indexes and head in one step), then answer. Where the storage has
 * more to do for a commit than to write it, the next one is computed and written meanwhile, and answered after it. Whatever goes
 * wrong while a commit is under way leaves its outcome unknown: the loop stops for good, and the next start finds out.
 */
import { type CompactRange, invariant } from "@tallystick/core";
import { type Blob, type LogStorage, StorageError } from "@tallystick/storage";
import type { OwnEvent } from "./candidate.ts";
import type { LogClock } from "./clock.ts";
import { type Built, Draft, type DraftContext } from "./draft.ts";
import { edgeOf, edgeRows } from "./edge.ts";
import { LogError, messageOf } from "./error.ts";
import { type OwnStream, encodeIntegratedHead } from "./heads.ts";
import type { Acknowledgement } from "./log-api.ts";
import { type RowsBeside, type Submission, SubmissionQueue } from "./queue.ts";
import { type Tree, integrate, tileKey } from "./tree.ts";

/** The sequencer's memory: what is durable. */
export interface SequencerState {
  /** Of the integrated head; 0 before the first commit. */
  readonly version: number;
  readonly tree: Tree;
  readonly loggedAt: number;
  readonly own: OwnStream;
  readonly headDue: boolean;
}

/** Up to so many entries are never divided among two commits. */
const UNDIVIDED_MAX = 16;

/** A while in which nobody else commits. */
export interface Turn {
  /** Entries that are durable. */
  readonly size: number;
  /** As {@link Sequencer.reportAll}, within the turn. */
  reportAll(events: readonly OwnEvent[], rows?: RowsBeside): Promise<readonly Acknowledgement[]>;
}

export interface SequencerOptions {
  readonly storage: LogStorage;
  readonly draft: DraftContext;
  readonly clock: LogClock;
  readonly state: SequencerState;
  readonly queueEntriesMax: number;
  readonly queueBytesMax: number;
  readonly commitEntriesMax: number;
  /** Told after each commit. */
  readonly onCommit: () => void;
  /** Told when the loop stops for good. */
  readonly onStop: (error: LogError) => void;
}

export class Sequencer {
  readonly #options: SequencerOptions;
  readonly #queue: SubmissionQueue;
  /** What the next commit goes on from. Nobody else is told of what is written and not whole. */
  #written: SequencerState;
  #state: SequencerState;
  #running: Promise<void> | undefined;
  /** Of the last commit that could not be answered at once: whether it is answered, or its outcome is unknown, which stays. */
  #answering: Promise<boolean> | undefined;
  #stopped: LogError | undefined;
  #suspended: LogError | undefined;
  #closed = false;
  #held = true;
  /** In the last commit. */
  #lastEntries = 0;
  /** The levels whose edge this process has written: what earlier ones wrote may have an earlier version's form. */
  readonly #edgesWritten = new Set<number>();
  /** Work that is done between two commits, in order. */
  readonly #turns: { take(): Promise<void>; reject(error: LogError): void }[] = [];
  readonly counters = { entries: 0, commits: 0 };

  constructor(options: SequencerOptions) {
    this.#options = options;
    this.#written = options.state;
    this.#state = options.state;
    this.#queue = new SubmissionQueue({ entriesMax: options.queueEntriesMax, bytesMax: options.queueBytesMax });
  }

  /** Of all that is answered, or about to be. */
  get state(): SequencerState {
    return this.#state;
  }

  get range(): CompactRange {
    return this.#state.tree.range;
  }

  get queuedEntries(): number {
    return this.#queue.entries;
  }

  get stopped(): LogError | undefined {
    return this.#stopped;
  }

  /** Why nothing is taken at present, though the log did not stop. */
  get suspended(): LogError | undefined {
    return this.#suspended;
  }

  /** Takes nothing, for this reason, until it is called without one. What waits already is refused. */
  suspend(error: LogError | undefined): void {
    this.#suspended = error;
    if (error !== undefined) this.#rejectWaiting(error);
  }

  /** Lets the loop run: the start-up checks are through. */
  release(): void {
    this.#held = false;
    this.#kick();
  }

  /** @throws {LogError} `log-overloaded`, `log-stopped`, `log-closed`, `log-starting`, `clock-jumped`: nothing was taken. */
  submit(submission: Submission): void {
    if (this.#stopped !== undefined) throw this.#stopped;
    if (this.#suspended !== undefined) throw this.#suspended;
    if (this.#closed) throw new LogError("log-closed", "the log is closed");
    if (this.#held)
      throw new LogError("log-starting", "the log is starting: it asks its witnesses first", {
        details: { retryAfterSeconds: 1 },
      });
    const reading = this.#options.clock.read();
    if (!reading.ok) throw new LogError("clock-jumped", reading.message, { details: { retryAfterSeconds: 5 } });
    this.#queue.push(submission);
    this.#kick();
  }

  /** Logs an event of the log's own. */
  async report(event: OwnEvent): Promise<Acknowledgement> {
    const [answer] = await this.reportAll([event]);
    invariant(answer !== undefined, "an event that was logged has its answer");
    return answer;
  }

  /** Logs events of the log's own in one commit, with rows that have to be durable together with them. */
  async reportAll(events: readonly OwnEvent[], rows?: RowsBeside): Promise<readonly Acknowledgement[]> {
    return new Promise((resolve, reject) => this.submit({ kind: "own", events, rows, resolve, reject }));
  }

  /**
   * Does some work between two commits: nothing is committed meanwhile but what the work reports itself. What is asked
   * for before the loop is released is done first of all.
   *
   * @throws {LogError} `log-stopped`, `log-closed`; and what the work throws.
   */
  async alone<T>(work: (turn: Turn) => Promise<T>): Promise<T> {
    if (this.#stopped !== undefined) throw this.#stopped;
    if (this.#closed) throw new LogError("log-closed", "the log is closed");
    return new Promise<T>((resolve, reject) => {
      this.#turns.push({
        take: async () => {
          try {
            resolve(await work({ size: this.range.size, reportAll: async (...what) => this.#reportNow(...what) }));
          } catch (error) {
            reject(error);
          }
        },
        reject,
      });
      this.#kick();
    });
  }

  async #reportNow(events: readonly OwnEvent[], rows?: RowsBeside): Promise<readonly Acknowledgement[]> {
    if (this.#stopped !== undefined) throw this.#stopped;
    const { promise, resolve, reject } = Promise.withResolvers<readonly Acknowledgement[]>();
    promise.catch(() => undefined);
    await this.#commitNext([{ kind: "own", events, rows, resolve, reject }]);
    return promise;
  }

  /** Stops for good: somebody has to look. Everything that waits is refused. */
  stop(error: LogError): void {
    if (this.#stopped !== undefined) return;
    this.#stopped = error;
    this.#rejectWaiting(error);
    this.#options.onStop(error);
  }

  /** Takes nothing more and finishes what waits, within the grace time. */
  async close(graceMs: number): Promise<void> {
    this.#closed = true;
    const { promise: timeout, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, graceMs);
    await Promise.race([this.#drained(), timeout]);
    clearTimeout(timer);
    this.#rejectWaiting(new LogError("log-closed", "the log was closed before it took this: send it again later"));
    // A commit that is under way is never abandoned: its outcome must be known.
    await this.#running;
    await this.#answering;
    await this.#flush();
  }

  /** What the disk may lag behind with is written when all is well, so that the next start has nothing to replay. */
  async #flush(): Promise<void> {
    const { storage, draft } = this.#options;
    if (this.#stopped !== undefined || this.#state.version === 0) return;
    const rows = draft.chainEnds.flush(this.range.size);
    try {
      if (rows.length > 0) await storage.putRows(rows);
    } catch (cause) {
      this.stop(new LogError("log-stopped", "the log closed, and could not write all of its indexes", { cause }));
    }
  }

  async #drained(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
    await this.#answering;
  }

  #kick(): void {
    if (this.#running !== undefined || this.#held || this.#stopped !== undefined || this.#isIdle) return;
    this.#running = this.#run().finally(() => {
      this.#running = undefined;
      this.#kick();
    });
  }

  get #isIdle(): boolean {
    return this.#queue.isEmpty && this.#turns.length === 0;
  }

  async #run(): Promise<void> {
    // One turn of the event loop, so that what arrives together is committed together.
    await new Promise((resolve) => setImmediate(resolve));
    while (!this.#isIdle && this.#stopped === undefined) {
      const turn = this.#turns.shift();
      if (turn !== undefined) {
        await this.#answering;
        await turn.take();
      } else await this.#commitNext(this.#queue.take(this.#entriesMax()));
    }
  }

  /**
   * Writers that wait for each other's commits end up as two groups, of which one is written while the other sends again.
   * Left to itself the one grows until it is all but a few, and then disk and processor take turns. So none gets more than
   * half of both.
   */
  #entriesMax(): number {
    const half = Math.ceil((this.#queue.entries + this.#lastEntries) / 2);
    return Math.min(this.#options.commitEntriesMax, Math.max(half, UNDIVIDED_MAX));
  }

  async #commitNext(submissions: readonly Submission[]): Promise<void> {
    const reading = this.#options.clock.read();
    if (!reading.ok) {
      const error = new LogError("clock-jumped", reading.message, { details: { retryAfterSeconds: 5 } });
      for (const { reject } of submissions) reject(error);
      return;
    }
    try {
      const { tree, loggedAt, own } = this.#written;
      const draft = new Draft(this.#options.draft, { size: tree.range.size, loggedAt, own, now: reading.now });
      await draft.prefetch(submissions);
      for (const submission of submissions) {
        const admitted = draft.admit(submission);
        if (admitted !== undefined) await admitted;
      }
      const built = await draft.build();
      if (draft.size === 0) {
        // All of it was sent before, and may be of a commit that is not whole.
        await this.#answerAfter(this.#answering, undefined, () => draft.settle(built));
        return;
      }
      const { rest } = await this.#commit(built);
      const state = this.#written;
      const answer = (): void => {
        this.#state = state;
        this.counters.entries += built.leaves.length;
        this.counters.commits += 1;
        this.#options.onCommit();
        draft.settle(built);
      };
      if (rest === undefined && this.#answering === undefined) answer();
      else this.#answerLater(rest, answer, submissions);
    } catch (cause) {
      this.#fail(cause, submissions);
    }
  }

  /** Once the commit is whole, and after those before it. */
  #answerLater(rest: Promise<void> | undefined, answer: () => void, submissions: readonly Submission[]): void {
    const before = this.#answering;
    const answering = this.#answerAfter(before, rest, answer).catch((cause: unknown) => {
      this.#fail(cause, submissions);
      return false;
    });
    this.#answering = answering;
    void answering.then((isAnswered) => {
      if (isAnswered && this.#answering === answering) this.#answering = undefined;
    });
  }

  async #answerAfter(
    before: Promise<boolean> | undefined,
    rest: Promise<void> | undefined,
    answer: () => void,
  ): Promise<boolean> {
    if ((await before) === false) throw new Error("a commit before it failed");
    await rest;
    answer();
    return true;
  }

  /** Resolves when the next one may begin; with what is left until this one is whole. */
  async #commit(built: Built): Promise<{ readonly rest: Promise<void> | undefined }> {
    const { storage, draft } = this.#options;
    const { version, headDue, tree: treeBefore } = this.#written;
    const { tree, tiles, changed } = integrate(treeBefore, built.leafHashes);
    const blobs: Blob[] = tiles.map(({ level, index, bytes }) => ({ key: tileKey(level, index), bytes }));
    const edges = changed.flatMap((level) => {
      const before = this.#edgesWritten.has(level) ? edgeOf(treeBefore, level) : undefined;
      return edgeRows(level, edgeOf(tree, level), before);
    });
    const next = {
      tree,
      loggedAt: built.loggedAt,
      own: built.own,
      headDue: built.others || (headDue && !built.headLogged),
    };
    const bytes = encodeIntegratedHead({
      size: tree.range.size,
      rootHash: tree.range.rootHash(),
      hashes: tree.range.hashes,
      loggedAt: next.loggedAt,
      own: next.own,
      headDue: next.headDue,
    });
    // New keys first: an entry whose key died with the process could never be read.
    await draft.secrets.sync();
    // Dying within this call leaves all of it or nothing; dying after it leaves entries that nobody was told of.
    const head = { name: "integrated", expected: version, bytes } as const;
    const { promise: written, resolve: onWritten } = Promise.withResolvers<void>();
    let rest: Promise<void> | undefined = storage
      .commit({ head, rows: [...built.rows, ...edges], runs: built.runs, blobs }, onWritten)
      .then(() => {
        rest = undefined;
      });
    await Promise.race([rest, written]);
    this.#written = { ...next, version: version + 1 };
    for (const level of changed) this.#edgesWritten.add(level);
    this.#lastEntries = built.leaves.length;
    return { rest };
  }

  #fail(cause: unknown, submissions: readonly Submission[]): void {
    const message = messageOf(cause);
    const conflict = cause instanceof StorageError && cause.code === "head-conflict";
    const why = conflict ? "another process writes to this log's storage" : message;
    const error = new LogError("log-stopped", `the log stopped: ${why}; start it again, it recovers by itself`, {
      cause,
    });
    const unknown = new LogError(
      "outcome-unknown",
      `the log stopped while it wrote this (${why}): send it again with the same id`,
      { cause },
    );
    for (const { reject } of submissions) reject(unknown);
    this.stop(error);
  }

  #rejectWaiting(error: LogError): void {
    while (!this.#queue.isEmpty) for (const { reject } of this.#queue.take(Infinity)) reject(error);
    for (const turn of this.#turns.splice(0)) turn.reject(error);
  }
}
