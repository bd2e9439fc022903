/**
 * What was recorded and has no verified receipt yet: in order, numbered, durable.
 *
 * An event enters with its number, salt and bytes, which never change again. Batch bounds and signatures are on disk
 * before the first send, so that a retry is byte-identical. An event leaves when a receipt that meets the policy has
 * verified. Everything here is one stream (one sender key, one random instance); lost state begins a new one.
 */
import { equalBytes } from "@tallystick/core";
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
  /** Absent until it is on disk. */
  position?: Position;
  index?: number;
  leaf?: Uint8Array;
  /** Present where the log refused the event for good and `stream.refused` stands under its number. */
  refusal?: Refusal;
  /** A receipt has verified, and the entry has left. */
  released?: true;
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
  /** Of the log that it is for. */
  readonly origin: string;
}

export interface Placed {
  readonly index: number;
  readonly leaf: Uint8Array;
}

export interface Pushed extends Numbered {
  readonly entry: OutboxEntry;
}

const KIND = { stream: 1, event: 2, batch: 3, placed: 4, refused: 5, done: 6, ended: 7 } as const;

/** Journals larger than this, and mostly of events that left, are rewritten. */
const REWRITE_BYTES_MIN = 4 * 1024 * 1024;
/** What an event takes besides its own bytes, in memory and as its leaf on disk: counted, so that small ones are bounded too. */
const ENTRY_OVERHEAD_BYTES = 512;
/** Places in one journal record of a rewrite. */
const PLACED_MAX = 500;
const REFUSAL_TEXT_MAX = 1000;

export type JournalLike = Pick<Journal, "append" | "read" | "rewrite" | "close" | "bytes">;

/** Holds the outbox's state in memory (numbers and places, not the events' bytes) and every change of it in the journal. */
export class Outbox {
  stream: StreamIdentity | undefined;
  /** The batch that is in flight, or was when the process died. */
  batch: OutboxBatch | undefined;
  /** The newest checkpoint that verified, as a signed note: the next one must extend it. */
  head: string | undefined;
  /** The number that the next event takes. */
  nextSequence = 1;
  /** The number of the oldest event that the log has not acknowledged. */
  firstUnplaced = 1;
  /** The stream was ended in an orderly way: the next start may begin another. */
  ended = false;
  readonly #entries = new Map<number, OutboxEntry>();
  readonly #sequences = new Map<string, number>();
  readonly #syncing = new Map<number, Promise<unknown>>();
  readonly #bytesMax: number;
  readonly #rewriteBytesMin: number;
  #journal: JournalLike | undefined;
  #bytes = 0;
  #staleBytes = 0;

  constructor(bytesMax: number, rewriteBytesMin: number = REWRITE_BYTES_MIN) {
    this.#bytesMax = bytesMax;
    this.#rewriteBytesMin = rewriteBytesMin;
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

  /** What the events that have not left yet count for, of the bytes that may wait. */
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
    this.#apply(fieldsOf(bytes), position, bytes.length);
  }

  /** Begins a stream: the first thing in a new outbox, or after an ended one that is empty. */
  async begin(stream: StreamIdentity): Promise<void> {
    await this.#change([KIND.stream, stream.publicKey, stream.instance, stream.origin]);
  }

  /** Notes that the stream has come to an orderly end. */
  async end(): Promise<void> {
    await this.#change([KIND.ended]);
  }

  /**
   * Takes an event in under the next number; resolves when it is on disk. Numbers follow the order of the calls.
   *
   * The same event under an id that is waiting already gives what entered first.
   *
   * @throws {ClientError} Nothing was taken, no number used up: `outbox-full`; `id-reused`: another event waits under
   *   this id. `audit-unavailable`: the disk failed.
   */
  async push(event: Numbered & { readonly id: string; readonly now: number }): Promise<Pushed> {
    const known = this.find(event.id);
    if (known !== undefined) return this.#pushAgain(known, event);
    const { salt, event: eventBytes } = event;
    const size = salt.length + eventBytes.length + ENTRY_OVERHEAD_BYTES;
    if (this.#bytes + size > this.#bytesMax) {
      const text = `the outbox holds ${this.#bytes} of ${this.#bytesMax} bytes, all waiting for the log: nothing more is taken until some leave`;
      throw new ClientError("outbox-full", text, { details: { bytes: this.#bytes, bytesMax: this.#bytesMax } });
    }
    const journal = this.#opened();
    const fields: CborValue[] = [KIND.event, this.nextSequence, event.id, event.now, salt, eventBytes];
    const bytes = encodeCbor(fields);
    // The number is taken before the write, so that events are numbered in the order of the calls.
    const entry = this.#takeNumber(fields);
    const synced = journal.append(
      bytes,
      (position) => void (entry.position = position),
      () => this.#giveBack(entry),
    );
    this.#syncing.set(entry.sequence, synced);
    try {
      await synced;
      return { entry, salt, event: eventBytes };
    } finally {
      if (this.#syncing.get(entry.sequence) === synced) this.#syncing.delete(entry.sequence);
    }
  }

  /** Fixes the bounds and the signature of the next batch. */
  async seal(batch: OutboxBatch): Promise<void> {
    await this.#change([KIND.batch, batch.first, batch.count, batch.signature]);
  }

  /** The log has the batch: where its events stand, and their leaves. */
  async place(first: number, placed: readonly Placed[]): Promise<void> {
    await this.#change(placedRecord(first, placed));
  }

  /** Puts another event under the number of one that the log refused for good. The batch is to be sealed anew. */
  async replace(sequence: number, event: Numbered, { code, message }: Refusal): Promise<void> {
    await this.#change([
      KIND.refused,
      sequence,
      // The log's own words: whatever they are, they must fit.
      code.slice(0, REFUSAL_TEXT_MAX).toWellFormed(),
      message.slice(0, REFUSAL_TEXT_MAX).toWellFormed(),
      event.salt,
      event.event,
    ]);
  }

  /** Lets every event up to this number go, since their receipts verified, and keeps the head under which they did. */
  async release(sequence: number, head: string): Promise<void> {
    await this.#change([KIND.done, sequence, head]);
  }

  /**
   * Rewrites the journal where it is mostly of events that left, or, with `always`, where there is anything of one. What it
   * cannot write it leaves as it is.
   */
  async compact({ always = false }: { readonly always?: boolean } = {}): Promise<void> {
    const journal = this.#opened();
    const isWorthIt = journal.bytes >= this.#rewriteBytesMin && this.#staleBytes >= journal.bytes / 2;
    if (!isWorthIt && !(always && this.#staleBytes > 0)) return;
    let kept: OutboxEntry[] = [];
    await journal.rewrite(
      () => {
        // Called while nothing is written: what is synced by now is exactly what must come back.
        kept = [...this.#entries.values()].filter(({ position }) => position !== undefined);
        return this.#remaining(kept);
      },
      (positions) => {
        const events = positions.slice(this.stream === undefined ? 0 : 1);
        for (const [at, entry] of kept.entries()) {
          const position = events[at];
          if (position !== undefined) entry.position = position;
        }
        this.#staleBytes = 0;
      },
    );
  }

  /** Salt and bytes of what stands under an entry's number. */
  async read({ position }: OutboxEntry): Promise<Numbered> {
    if (position === undefined) throw new RangeError("the entry is not on disk yet");
    return eventOf(fieldsOf(await this.#opened().read(position)));
  }

  async close(): Promise<void> {
    await this.#journal?.close();
  }

  async #pushAgain(known: OutboxEntry, { event, id }: Numbered & { readonly id: string }): Promise<Pushed> {
    await this.#syncing.get(known.sequence);
    const first = await this.read(known);
    if (equalBytes(first.event, event)) return { entry: known, ...first };
    const text = `another event waits under the id ${id} (as number ${known.sequence}): give each event an id of its own`;
    throw new ClientError("id-reused", text, { details: { id, sequence: known.sequence } });
  }

  #opened(): JournalLike {
    if (this.#journal === undefined) throw new ClientError("client-closed", "the outbox is not open");
    return this.#journal;
  }

  async #change(fields: CborValue[]): Promise<void> {
    const bytes = encodeCbor(fields);
    await this.#opened().append(bytes, (position) => this.#apply(fields, position, bytes.length));
  }

  #apply(fields: CborValue[], position: Position, length: number): void {
    switch (numberAt(fields, 0)) {
      case KIND.stream:
        return this.#applyStream(fields);
      case KIND.event:
        this.#takeNumber(fields).position = position;
        return;
      case KIND.batch:
        this.batch = { first: numberAt(fields, 1), count: numberAt(fields, 2), signature: bytesAt(fields, 3) };
        this.#staleBytes += length;
        return;
      case KIND.placed:
        return this.#applyPlaced(numberAt(fields, 1), fields[2]);
      case KIND.refused:
        return this.#applyRefused(fields, position);
      case KIND.done:
        this.#applyDone(numberAt(fields, 1));
        if (fields[2] !== null) this.head = textAt(fields, 2);
        this.#staleBytes += length;
        return;
      case KIND.ended:
        this.ended = true;
        return;
      default: {
        const text = `outbox: unknown kind ${numberAt(fields, 0)}: was it written by a newer version?`;
        throw new ClientError("outbox-corrupt", text);
      }
    }
  }

  #applyStream(fields: CborValue[]): void {
    this.#entries.clear();
    this.#sequences.clear();
    this.stream = { publicKey: bytesAt(fields, 1), instance: bytesAt(fields, 2), origin: textAt(fields, 3) };
    this.nextSequence = 1;
    this.firstUnplaced = 1;
    this.batch = undefined;
    this.ended = false;
    this.#bytes = 0;
  }

  #takeNumber(fields: CborValue[]): OutboxEntry {
    const sequence = numberAt(fields, 1);
    const bytes = bytesAt(fields, 4).length + bytesAt(fields, 5).length + ENTRY_OVERHEAD_BYTES;
    const entry: OutboxEntry = { sequence, id: textAt(fields, 2), sentAt: numberAt(fields, 3), bytes };
    // The first event after a rewrite says how many came before it.
    if (this.#entries.size === 0) this.firstUnplaced = sequence;
    this.#entries.set(sequence, entry);
    this.#sequences.set(entry.id, sequence);
    this.#bytes += bytes;
    this.nextSequence = sequence + 1;
    this.ended = false;
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
    this.firstUnplaced = Math.max(this.firstUnplaced, first + placed.length);
    if (this.batch !== undefined && this.batch.first < this.firstUnplaced) this.batch = undefined;
  }

  #applyRefused(fields: CborValue[], position: Position): void {
    const entry = this.#entries.get(numberAt(fields, 1));
    if (entry === undefined) throw new ClientError("outbox-corrupt", "outbox: refused: no event of that number");
    entry.position = position;
    entry.refusal = { code: textAt(fields, 2), message: textAt(fields, 3) };
    // Its id is free again: it never reached the log under it.
    this.#forgetId(entry);
    this.batch = undefined;
  }

  #applyDone(upTo: number): void {
    // After a rewrite the numbers of the events that left are known from here alone.
    this.nextSequence = Math.max(this.nextSequence, upTo + 1);
    this.firstUnplaced = Math.max(this.firstUnplaced, upTo + 1);
    for (const entry of this.#entries.values()) {
      if (entry.sequence > upTo) return;
      this.#forget(entry);
      entry.released = true;
      this.#staleBytes += entry.bytes - ENTRY_OVERHEAD_BYTES + (entry.leaf?.length ?? 0);
    }
  }

  /** It could not be written, nor were those after it: their numbers are free again, all in the same turn. */
  #giveBack(entry: OutboxEntry): void {
    this.#forget(entry);
    this.nextSequence = Math.min(this.nextSequence, entry.sequence);
  }

  #forget(entry: OutboxEntry): void {
    if (this.#entries.delete(entry.sequence)) this.#bytes -= entry.bytes;
    this.#forgetId(entry);
  }

  #forgetId({ id, sequence }: OutboxEntry): void {
    if (this.#sequences.get(id) === sequence) this.#sequences.delete(id);
  }

  /** The records that bring this state back: the stream, then one record for each event, then what became of them. */
  *#remaining(kept: readonly OutboxEntry[]): Generator<Uint8Array | Promise<Uint8Array>> {
    const { stream, batch } = this;
    if (stream !== undefined) yield encodeCbor([KIND.stream, stream.publicKey, stream.instance, stream.origin]);
    for (const entry of kept) yield this.#eventRecord(entry);
    for (const { refusal, position } of kept) {
      if (refusal === undefined || position === undefined) continue;
      yield this.#opened().read(position);
    }
    yield* placedRecords(kept);
    if (batch !== undefined) yield encodeCbor([KIND.batch, batch.first, batch.count, batch.signature]);
    const [oldest] = this.#entries.keys();
    yield encodeCbor([KIND.done, (oldest ?? this.nextSequence) - 1, this.head ?? null]);
    if (this.ended) yield encodeCbor([KIND.ended]);
  }

  async #eventRecord({ sequence, id, sentAt, position }: OutboxEntry): Promise<Uint8Array> {
    if (position === undefined) throw new RangeError("the entry is not on disk yet");
    const { salt, event } = eventOf(fieldsOf(await this.#opened().read(position)));
    return encodeCbor([KIND.event, sequence, id, sentAt, salt, event]);
  }
}

function* placedRecords(kept: readonly OutboxEntry[]): Generator<Uint8Array> {
  let run: Placed[] = [];
  let first = 0;
  for (const { sequence, index, leaf } of kept) {
    if (index === undefined || leaf === undefined) break;
    if (run.length === 0) first = sequence;
    run.push({ index, leaf });
    if (run.length < PLACED_MAX) continue;
    yield encodeCbor(placedRecord(first, run));
    run = [];
  }
  if (run.length > 0) yield encodeCbor(placedRecord(first, run));
}

function placedRecord(first: number, placed: readonly Placed[]): CborValue[] {
  return [KIND.placed, first, placed.map(({ index, leaf }) => [index, leaf])];
}

/** The last two fields of a record of an event, or of one that took its place. */
function eventOf(fields: CborValue[]): Numbered {
  return { salt: bytesAt(fields, 4), event: bytesAt(fields, 5) };
}

function fieldsOf(bytes: Uint8Array): CborValue[] {
  const fields = decodeCbor(bytes, { bytesMax: bytes.length });
  if (Array.isArray(fields)) return fields;
  throw new ClientError("outbox-corrupt", "outbox: expected an array");
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
