/**
 * What was recorded and has no verified receipt yet: in order, numbered, durable.
 *
 * An event enters with its number, salt and bytes, which never change again. Batch bounds and signatures are on disk
 * before the first send, so that a retry is byte-identical. An event leaves when a receipt that meets the policy has
 * verified. Everything here is one stream (one sender key, one random instance); lost state begins a new one.
 */
import { concatBytes } from "@tallystick/core";
import { type CborValue, decodeCbor, encodeCbor } from "@tallystick/events";
import { ClientError } from "./error.ts";
import type { Journal, Position } from "./journal.ts";

/** An event on its way. Fields fill up as it advances; the outbox alone writes them. */
export interface OutboxEntry {
  readonly sequence: number;
  readonly id: string;
  /** When it was recorded, in ms since 1970: the log cannot have logged it earlier. */
  readonly sentAt: number;
  readonly bytes: number;
  position: Position;
  index?: number;
  leaf?: Uint8Array;
  /** Present where the log refused the event for good and `stream.refused` stands under its number. */
  refusal?: Refusal;
}

export interface Refusal {
  readonly code: string;
  readonly message: string;
}

/** Bounds and signature of a batch, fixed before it is first sent. */
export interface OutboxBatch {
  readonly first: number;
  readonly count: number;
  readonly signature: Uint8Array;
}

export interface Numbered {
  readonly salt: Uint8Array;
  readonly event: Uint8Array;
}

export interface StreamIdentity {
  /** 16 random bytes. */
  readonly instance: Uint8Array;
  readonly publicKey: Uint8Array;
}

export interface Placed {
  readonly index: number;
  readonly leaf: Uint8Array;
}

const KIND = { stream: 1, event: 2, batch: 3, placed: 4, refused: 5, done: 6 } as const;

/** Journals larger than this, and mostly of events that left, are rewritten. */
const REWRITE_BYTES_MIN = 4 * 1024 * 1024;

export interface JournalLike extends Pick<Journal, "append" | "read" | "rewrite" | "close" | "bytes"> {}

/** Holds the outbox's state in memory (numbers and places, not the events' bytes) and every change of it in the journal. */
export class Outbox {
  stream: StreamIdentity | undefined;
  /** The batch that is in flight, or was when the process died. */
  batch: OutboxBatch | undefined;
  /** The newest checkpoint that verified, as a signed note: the next one must extend it. */
  head: string | undefined;
  /** The number that the next event takes. */
  nextSequence = 1;
  readonly #entries = new Map<number, OutboxEntry>();
  readonly #sequences = new Map<string, number>();
  #journal: JournalLike | undefined;
  readonly #bytesMax: number;
  #bytes = 0;
  #doneSince = 0;
  readonly #changes = new Set<Promise<unknown>>();
  #rewriting: Promise<void> | undefined;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Hands over the journal that `replay` was fed from. */
  attach(journal: JournalLike): void {
    this.#journal = journal;
  }

  /** Entries that have no verified receipt yet, oldest first. */
  entries(): IterableIterator<OutboxEntry> {
    return this.#entries.values();
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Bytes of the events that have not left yet. */
  get bytes(): number {
    return this.#bytes;
  }

  find(id: string): OutboxEntry | undefined {
    const sequence = this.#sequences.get(id);
    return sequence === undefined ? undefined : this.#entries.get(sequence);
  }

  entry(sequence: number): OutboxEntry | undefined {
    return this.#entries.get(sequence);
  }

  /** Takes one record of the journal in, at open. */
  replay(bytes: Uint8Array, position: Position): void {
    const fields = decodeCbor(bytes, { bytesMax: bytes.length });
    if (!Array.isArray(fields)) throw new ClientError("outbox-corrupt", "outbox: expected an array");
    this.#apply(fields, position, bytes.length);
  }

  /** Begins a stream; the first thing in a new outbox. */
  async begin(stream: StreamIdentity): Promise<void> {
    await this.#change([KIND.stream, stream.publicKey, stream.instance]);
  }

  /**
   * Takes an event in under the next number; resolves when it is on disk.
   *
   * @throws {ClientError} `outbox-full`: nothing was taken, no number used up.
   */
  async push(event: Numbered & { readonly id: string; readonly now: number }): Promise<OutboxEntry> {
    const size = event.event.length + event.salt.length;
    if (this.#bytes + size > this.#bytesMax) {
      const text = `the outbox holds ${this.#bytes} of ${this.#bytesMax} bytes, all waiting for the log: nothing more is taken until some leave`;
      throw new ClientError("outbox-full", text, { details: { bytes: this.#bytes, bytesMax: this.#bytesMax } });
    }
    while (this.#rewriting !== undefined) await this.#rewriting;
    // The number is taken before the write, so that events are numbered in the order of the calls.
    const sequence = this.nextSequence;
    return await this.#changeEntry([KIND.event, sequence, event.id, event.now, event.salt, event.event]);
  }

  /** Fixes the bounds and the signature of the next batch. */
  async seal(batch: OutboxBatch): Promise<void> {
    await this.#change([KIND.batch, batch.first, batch.count, batch.signature]);
  }

  /** The log has the batch: where its events stand, and their leaves. */
  async place(first: number, placed: readonly Placed[]): Promise<void> {
    await this.#change([KIND.placed, first, placed.map(({ index, leaf }) => [index, leaf])]);
  }

  /** Puts another event under the number of one that the log refused for good. The batch is to be sealed anew. */
  async replace(sequence: number, event: Numbered, refusal: Refusal): Promise<void> {
    await this.#change([KIND.refused, sequence, refusal.code, refusal.message, event.salt, event.event]);
  }

  /** Lets every event up to this number go, since their receipts verified, and keeps the head under which they did. */
  async release(sequence: number, head: string): Promise<void> {
    await this.#change([KIND.done, sequence, head]);
    const journal = this.#opened();
    if (journal.bytes > REWRITE_BYTES_MIN && this.#doneSince > journal.bytes / 2) await this.#rewrite(journal);
  }

  /** Salt and bytes of an event, as they were when it entered. */
  async read(entry: OutboxEntry): Promise<Numbered> {
    const fields = decodeCbor(await this.#opened().read(entry.position), { bytesMax: entry.position.length });
    if (!Array.isArray(fields)) throw new ClientError("outbox-corrupt", "outbox: expected an array");
    return { salt: bytesAt(fields, 4), event: bytesAt(fields, 5) };
  }

  async close(): Promise<void> {
    await this.#journal?.close();
  }

  #opened(): JournalLike {
    if (this.#journal === undefined) throw new ClientError("client-closed", "the outbox is not open");
    return this.#journal;
  }

  async #change(fields: CborValue[]): Promise<void> {
    while (this.#rewriting !== undefined) await this.#rewriting;
    const bytes = encodeCbor(fields);
    const appended = this.#opened().append(bytes);
    await this.#track(appended.then((position) => this.#apply(fields, position, bytes.length)));
  }

  async #changeEntry(fields: CborValue[]): Promise<OutboxEntry> {
    const appended = this.#opened().append(encodeCbor(fields));
    const entry = this.#takeNumber(fields);
    try {
      await this.#track(appended.then((position) => (entry.position = position)));
      return entry;
    } catch (error) {
      this.#forget(entry);
      throw error;
    }
  }

  /** Remembers a change until it has been applied, so that a rewrite can wait for all of them. */
  async #track(change: Promise<unknown>): Promise<void> {
    this.#changes.add(change);
    try {
      await change;
    } finally {
      this.#changes.delete(change);
    }
  }

  #apply(fields: CborValue[], position: Position, length: number): void {
    switch (fields[0]) {
      case KIND.stream:
        this.#entries.clear();
        this.#sequences.clear();
        this.stream = { publicKey: bytesAt(fields, 1), instance: bytesAt(fields, 2) };
        this.nextSequence = 1;
        this.batch = undefined;
        return;
      case KIND.event:
        this.#takeNumber(fields).position = position;
        return;
      case KIND.batch:
        this.batch = { first: numberAt(fields, 1), count: numberAt(fields, 2), signature: bytesAt(fields, 3) };
        return;
      case KIND.placed:
        this.#applyPlaced(numberAt(fields, 1), fields[2]);
        return;
      case KIND.refused:
        this.#applyRefused(fields, position);
        return;
      case KIND.done:
        this.#applyDone(numberAt(fields, 1));
        if (fields[2] !== null) this.head = textAt(fields, 2);
        this.#doneSince += length;
        return;
      default:
        throw new ClientError(
          "outbox-corrupt",
          `outbox: unknown kind ${String(fields[0])}: written by a newer version?`,
        );
    }
  }

  #takeNumber(fields: CborValue[]): OutboxEntry {
    const sequence = numberAt(fields, 1);
    const bytes = bytesAt(fields, 4).length + bytesAt(fields, 5).length;
    const position = { offset: 0, length: 0 };
    const entry = { sequence, id: textAt(fields, 2), sentAt: numberAt(fields, 3), bytes, position };
    this.#entries.set(sequence, entry);
    this.#sequences.set(entry.id, sequence);
    this.#bytes += bytes;
    this.nextSequence = sequence + 1;
    return entry;
  }

  #applyPlaced(first: number, placed: CborValue | undefined): void {
    if (!Array.isArray(placed)) throw new ClientError("outbox-corrupt", "outbox: placed: expected an array");
    for (const [at, pair] of placed.entries()) {
      const entry = this.#entries.get(first + at);
      if (entry === undefined || !Array.isArray(pair)) continue;
      entry.index = numberAt(pair, 0);
      entry.leaf = bytesAt(pair, 1);
    }
    this.batch = undefined;
  }

  #applyRefused(fields: CborValue[], position: Position): void {
    const entry = this.#entries.get(numberAt(fields, 1));
    if (entry === undefined) return;
    entry.position = position;
    entry.refusal = { code: textAt(fields, 2), message: textAt(fields, 3) };
    this.batch = undefined;
  }

  #applyDone(upTo: number): void {
    // After a rewrite the numbers of the events that left are known from here alone.
    this.nextSequence = Math.max(this.nextSequence, upTo + 1);
    for (const entry of this.#entries.values()) {
      if (entry.sequence > upTo) return;
      this.#forget(entry);
      this.#doneSince += entry.bytes + (entry.leaf?.length ?? 0);
    }
  }

  #forget(entry: OutboxEntry): void {
    this.#entries.delete(entry.sequence);
    if (this.#sequences.get(entry.id) === entry.sequence) this.#sequences.delete(entry.id);
    this.#bytes -= entry.bytes;
  }

  /** Writes what is left into a fresh journal, while every change waits. */
  async #rewrite(journal: JournalLike): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#rewriting = promise;
    try {
      await Promise.allSettled(this.#changes);
      await this.#rewriteAlone(journal);
    } finally {
      this.#rewriting = undefined;
      resolve();
    }
  }

  async #rewriteAlone(journal: JournalLike): Promise<void> {
    const kept: OutboxEntry[] = [...this.#entries.values()];
    const positions: Position[] = [];
    await journal.rewrite(this.#remaining(kept), (bytes, position) => {
      if (bytes[1] === KIND.event || bytes[1] === KIND.refused) positions.push(position);
    });
    for (const [at, entry] of kept.entries()) entry.position = positions[at] ?? entry.position;
    this.#doneSince = 0;
  }

  async *#remaining(kept: readonly OutboxEntry[]): AsyncIterable<Uint8Array> {
    if (this.stream !== undefined) yield encodeCbor([KIND.stream, this.stream.publicKey, this.stream.instance]);
    for (const entry of kept) yield await this.#opened().read(entry.position);
    if (this.batch !== undefined)
      yield encodeCbor([KIND.batch, this.batch.first, this.batch.count, this.batch.signature]);
    for (const { sequence, index, leaf } of kept) {
      if (index !== undefined && leaf !== undefined) yield encodeCbor([KIND.placed, sequence, [[index, leaf]]]);
    }
    yield encodeCbor([KIND.done, (kept[0]?.sequence ?? this.nextSequence) - 1, this.head ?? null]);
  }
}

function bytesAt(fields: readonly CborValue[], at: number): Uint8Array {
  const value = fields[at];
  if (value instanceof Uint8Array) return value;
  throw new ClientError("outbox-corrupt", `outbox: field ${at}: expected bytes`);
}

function textAt(fields: readonly CborValue[], at: number): string {
  const value = fields[at];
  if (typeof value === "string") return value;
  throw new ClientError("outbox-corrupt", `outbox: field ${at}: expected text`);
}

function numberAt(fields: readonly CborValue[], at: number): number {
  const value = fields[at];
  if (typeof value === "number") return value;
  throw new ClientError("outbox-corrupt", `outbox: field ${at}: expected a number`);
}

/** A journal without a disk, for where there is none: what it holds dies with the process. */
export function createMemoryJournal(): JournalLike {
  let parts: Uint8Array[] = [];
  return {
    get bytes() {
      return parts.reduce((sum, part) => sum + part.length, 0);
    },
    append: async (bytes) => ({ offset: parts.push(concatBytes(bytes)) - 1, length: bytes.length }),
    read: async ({ offset }) => {
      const bytes = parts[offset];
      if (bytes === undefined) throw new ClientError("outbox-corrupt", `memory journal: nothing at ${offset}`);
      return bytes;
    },
    rewrite: async (bytesOf, onRecord) => {
      const kept: Uint8Array[] = [];
      for await (const bytes of bytesOf) onRecord(bytes, { offset: kept.push(bytes) - 1, length: bytes.length });
      parts = kept;
    },
    close: async () => {
      parts = [];
    },
  };
}
