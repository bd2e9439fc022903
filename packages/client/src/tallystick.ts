/** The SDK's door: record events, hold a verified receipt for each, go on working while the log is down. */
import { randomBytes } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { type Policy, TallystickError, ed25519PublicKey, encodeHex, parsePolicy } from "@tallystick/core";
import {
  EventError,
  type EventInput,
  type TallyEvent,
  catalogueEntry,
  decodeEvent,
  encodeEvent,
  encodeOpening,
  newEventId,
  normaliseSession,
  parseEvent,
  streamId,
} from "@tallystick/events";
import { collectOnce } from "./collection.ts";
import { type DeliveryOptions, type Sending, sendOnce } from "./delivery.ts";
import { ClientError } from "./error.ts";
import { type LogReader, createHttpLogReader } from "./log-reader.ts";
import {
  type RecordState,
  type ResolvedOptions,
  type TallystickOptions,
  resolveOptions,
  stateOf,
  timeoutOf,
} from "./options.ts";
import type { Numbered, OutboxEntry, Refusal } from "./outbox.ts";
import { type OpenedOutbox, createMemoryOutbox, openOutboxFolder } from "./outbox-folder.ts";
import type { KeptReceipt } from "./receipts.ts";
import { Signal, backoffMs } from "./signal.ts";
import { type Reached, Waiters, reachedBy } from "./waiters.ts";

/** An event to record: the SDK makes the id and takes the time where they are left out. A session id that is not a keyed
 *  hash yet is hashed here, under a secret that never leaves. */
export type Report = Omit<EventInput, "id" | "time"> & Partial<Pick<EventInput, "id" | "time">>;

export interface RecordOptions {
  readonly until?: RecordState | undefined;
  /** How long to wait for `until`; 10,000 by default. Then the state that was reached is the answer. */
  readonly timeoutMs?: number | undefined;
  /** Ends the wait, as the time-out does; the event stays recorded. */
  readonly signal?: AbortSignal | undefined;
}

export interface Recorded {
  readonly id: string;
  readonly state: RecordState;
  /** Salt and event: what proves the contents of the leaf to somebody else. The SDK keeps none. */
  readonly opening: Uint8Array;
  readonly index?: number;
  /** The tlog-proof, verified. */
  readonly receipt?: string;
}

export interface FlushOptions {
  /** "witnessed" by default: a verified receipt for each. */
  readonly until?: RecordState | undefined;
  /** 30,000 by default. */
  readonly timeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface CloseOptions {
  /** The stream is over, as `stream.end` says in the log: the next start in this folder begins another. */
  readonly end?: boolean | undefined;
  /** How long to go on delivering what waits, where the stream ends here; 5,000 by default. */
  readonly timeoutMs?: number | undefined;
}

export interface TallystickStatus {
  /**
   * `opening`: the outbox is not read yet, so nothing is known of what waits in it. `offline`: it will be tried again.
   * `refused`: it will too, but the log answers, and says why it takes nothing, in `lastError`. `halted`: somebody has to
   * look at `lastError`; nothing is sent, everything is queued.
   */
  readonly state: "opening" | "ok" | "offline" | "refused" | "halted";
  /** Events that the log has not acknowledged. */
  readonly queued: number;
  /** Events that it acknowledged and has not proved yet. */
  readonly unproved: number;
  /** What both count for, of `outboxBytesMax`. */
  readonly bytes: number;
  /** Why there is no proof yet, where the log was asked and had none. */
  readonly waitingFor?: string;
  /** The oldest event that it acknowledged and has not proved, where that takes longer than `proofDeadlineMs`. */
  readonly overdue?: Overdue;
  readonly lastError?: { readonly code: string; readonly message: string };
}

export interface Overdue {
  readonly id: string;
  readonly index: number;
  /** Since the log acknowledged it, or since this client began. */
  readonly forMs: number;
}

export interface Tallystick {
  /**
   * Reports an event. When it resolves, the event is at least synced in the outbox.
   *
   * The same event again under an `id` that is still waiting is one event.
   *
   * @throws {EventError} `event-invalid`: nothing was taken, no number was used up.
   * @throws {ClientError} `outbox-full`, `id-reused`, `client-closed`, `audit-unavailable` (the disk failed): not recorded;
   *   `log-refused`: the log refused it for good, `stream.refused` stands under its number; `log-misbehaved`,
   *   `log-forked`, `outbox-outdated`: it is in the outbox, but nothing is sent any more.
   */
  record(event: Report, options?: RecordOptions): Promise<Recorded>;
  readonly receipts: {
    /** The verified receipt of an event, by its id. @throws {ClientError} `receipt-unknown` */
    get(id: string): Promise<KeptReceipt>;
    /** Writes it to a file, plain tlog-proof; `N.tlog-proof` is its customary name. */
    save(id: string, path: string): Promise<void>;
  };
  status(): TallystickStatus;
  /**
   * Waits until everything recorded so far has come as far as `until`, or was refused.
   *
   * @throws {ClientError} `wait-timeout`; `client-closed`; what halted the client; `log-refused`, without a wait, while
   *   the log forbids this token or sender key: what was recorded stays, and is tried again.
   */
  flush(options?: FlushOptions): Promise<void>;
  /**
   * Stops. What waits in a folder's outbox goes on at the next start; an outbox in memory ends here, after it had some
   * time to deliver.
   *
   * @throws {ClientError} `wait-timeout`: the outbox was in memory, and events that it held are lost.
   */
  close(options?: CloseOptions): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Opens the SDK. Never throws because a log cannot be reached, nor because the outbox or the policy cannot be read: that
 * `record` says, and `onError`.
 *
 * @throws {TypeError | RangeError} An option is missing, or is not what it should be.
 */
export function createTallystick(options: TallystickOptions = {}): Tallystick {
  return new Client(resolveOptions(options));
}

/** How often the head is looked at while something waits for its proof: at first, and when there was none for long. */
const COLLECT_INTERVAL_MS = 100;
const COLLECT_INTERVAL_MAX_MS = 2000;
/** Nothing to collect: news wakes the loop, this is its pulse. */
const COLLECT_IDLE_MS = 60_000;
const FLUSH_CHECK_MS = 200;
const TIMER_MS_MAX = 2 ** 31 - 1;

/** What cannot be mended by trying again: somebody has to look. */
const HALTING = new Set<string>(["log-forked", "log-misbehaved", "outbox-corrupt", "outbox-outdated", "client-closed"]);
/** What somebody has to see to, even where no `onError` was given. */
const WARNED = new Set<string>([...HALTING, "log-refused", "log-time-disputed", "outbox-locked", "unproved-too-long"]);

interface Opened extends OpenedOutbox {
  readonly policy: Policy;
  readonly origin: string;
  readonly delivery: DeliveryOptions;
  readonly reader: LogReader;
}

/** What comes after one step of a loop. */
type Next = { readonly failed: false } | { readonly failed: true; readonly afterMs?: number | undefined };
const GO_ON: Next = { failed: false };

class Client implements Tallystick {
  readonly #options: ResolvedOptions;
  readonly #ready: Promise<Opened>;
  #opened: Opened | undefined;
  readonly #waiters = new Waiters();
  readonly #send = new Signal();
  readonly #collect = new Signal();
  readonly #moved = new Signal();
  /** Notified once, when there is nothing more to try: it cuts the waits between tries short. */
  readonly #stop = new Signal();
  readonly #aborter = new AbortController();
  #loops: Promise<unknown> = Promise.resolve();
  /** Takes nothing more. */
  #closing: Promise<void> | undefined;
  #stopped = false;
  #halted: ClientError | undefined;
  #lastError: ClientError | undefined;
  /** Why the last try to send was in vain. */
  #unsent: ClientError | undefined;
  /** What the last process warning said: a try again that fails alike says nothing new. */
  #warned: string | undefined;
  #waitingFor: string | undefined;
  /** When the log acknowledged an event, by performance.now(): no clock that is set moves the deadline. */
  readonly #acknowledgedAt = new WeakMap<OutboxEntry, number>();
  readonly #begunAt = performance.now();
  #remindedAt = -Infinity;

  constructor(options: ResolvedOptions) {
    this.#options = options;
    this.#ready = this.#openOrSay();
    // Whoever records sees the failure; where nobody does, onError has.
    this.#ready.catch((error: unknown) => this.#haltAtOpen(error));
  }

  readonly receipts: Tallystick["receipts"] = {
    get: async (id) => {
      const { receipts, outbox } = await this.#ready;
      const kept = await receipts.get(id.toLowerCase());
      if (kept !== undefined) return kept;
      const waiting = outbox.find(id.toLowerCase());
      const why = waiting === undefined ? "it is not known here (the log may still give it)" : "it has none yet";
      throw new ClientError("receipt-unknown", `event ${id}: ${why}`, { details: { id } });
    },
    save: async (id, path) => writeFile(path, (await this.receipts.get(id)).proof),
  };

  async record(input: Report, options: RecordOptions = {}): Promise<Recorded> {
    const until = stateOf(options.until ?? this.#options.until);
    const timeoutMs = timeoutOf(options.timeoutMs ?? 10_000);
    this.#assertOpen();
    const opened = this.#opened ?? (await this.#ready);
    this.#assertOpen();
    const event = this.#complete(input, opened);
    const numbered = { salt: new Uint8Array(randomBytes(32)), event: encodeEvent(event) };
    const { entry, ...pushed } = await opened.outbox.push({ ...numbered, id: event.id, now: this.#options.now() });
    this.#send.notify();
    const reached = await this.#waitFor(opened, entry, { until, timeoutMs, signal: options.signal });
    return { id: event.id, opening: encodeOpening(pushed), ...reached };
  }

  status(): TallystickStatus {
    const { outbox } = this.#opened ?? {};
    const queued = outbox === undefined ? 0 : outbox.nextSequence - outbox.firstUnplaced;
    const error = this.#halted ?? this.#lastError;
    const overdue = this.#overdue();
    return {
      state: this.#state(),
      queued,
      unproved: (outbox?.size ?? 0) - queued,
      bytes: outbox?.bytes ?? 0,
      ...(this.#waitingFor === undefined ? {} : { waitingFor: this.#waitingFor }),
      ...(overdue === undefined ? {} : { overdue }),
      ...(error === undefined ? {} : { lastError: { code: error.code, message: error.message } }),
    };
  }

  #state(): TallystickStatus["state"] {
    if (this.#halted !== undefined) return "halted";
    return this.#opened === undefined ? "opening" : stateOfSending(this.#unsent);
  }

  async flush(options: FlushOptions = {}): Promise<void> {
    const { signal } = options;
    const until = stateOf(options.until ?? "witnessed");
    const timeoutMs = timeoutOf(options.timeoutMs ?? 30_000);
    const deadline = performance.now() + timeoutMs;
    const { outbox } = await this.#ready;
    const last = outbox.nextSequence - 1;
    // A number that could not be written is given back, and stands for no event then.
    while (oldestWithout(outbox, until) <= Math.min(last, outbox.nextSequence - 1)) {
      if (this.#halted !== undefined) throw this.#halted;
      this.#assertRunning();
      const isUnplaced = outbox.firstUnplaced <= last;
      if (isUnplaced && this.#unsent !== undefined && isForbidden(this.#unsent)) throw this.#unsent;
      const left = deadline - performance.now();
      if (left <= 0 || signal?.aborted === true) throw this.#timeout(`flush: after ${timeoutMs} ms`);
      await this.#moved.wait(Math.min(left, FLUSH_CHECK_MS), { keepAlive: true });
    }
  }

  async close(options: CloseOptions = {}): Promise<void> {
    this.#closing ??= this.#close(options);
    await this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #close({ end = false, timeoutMs = 5000 }: CloseOptions): Promise<void> {
    const opened = await this.#ready.catch(() => undefined);
    if (opened !== undefined && (end || !opened.durable)) await this.#endStream(opened, timeoutOf(timeoutMs));
    this.#stopped = true;
    this.#wakeAll();
    this.#aborter.abort();
    await this.#loops;
    this.#waiters.rejectAll(new ClientError("client-closed", "the client was closed; the event is in the outbox"));
    const lost =
      opened?.durable === false && opened.outbox.size > 0 ? this.#timeout("close: lost with the memory") : undefined;
    await opened?.close();
    if (lost !== undefined) throw lost;
  }

  /** Says in the log that this stream is over, and gives what waits the time to get there. */
  async #endStream({ outbox }: Opened, timeoutMs: number): Promise<void> {
    try {
      // A stream of which the log knows nothing needs no end.
      if (outbox.firstUnplaced > 1 || outbox.nextSequence > 2) {
        await outbox.push(this.#ownEvent("stream.end", {}));
        await outbox.end();
      }
      this.#send.notify();
      await this.flush({ timeoutMs });
    } catch (error) {
      this.#report(error);
    }
  }

  /** @throws {ClientError} Among others `audit-unavailable`: what the system itself refused. */
  async #openOrSay(): Promise<Opened> {
    try {
      return await this.#open();
    } catch (error) {
      throw error instanceof Error && "syscall" in error ? asClientError(error) : error;
    }
  }

  async #open(): Promise<Opened> {
    const options = this.#options;
    const policy = parsePolicy(options.policy.includes("\n") ? options.policy : await readFile(options.policy));
    const origin = originOf(policy, options.origin);
    const { outboxBytesMax: bytesMax, receiptBytesMax, sessionSecret, senderKey } = options;
    const settings = { bytesMax, receiptBytesMax, sessionSecret, senderKey };
    const box = await (options.outbox === "none"
      ? createMemoryOutbox(settings)
      : openOutboxFolder(options.outbox, settings));
    try {
      await this.#beginStream(box, origin);
    } catch (error) {
      await box.close();
      throw error;
    }
    const opened = { ...box, policy, origin, delivery: this.#deliveryOf(box), reader: this.#createReader() };
    this.#opened = opened;
    this.#loops = Promise.all([this.#loop(async () => this.#sendStep(opened)), this.#loop(this.#collector(opened))]);
    return opened;
  }

  /** The first event of a stream says so; a stream that is there already goes on under its next number. */
  async #beginStream({ outbox, seed }: OpenedOutbox, origin: string): Promise<void> {
    const { stream: before, nextSequence } = outbox;
    if (before !== undefined && before.origin !== origin) {
      const text = `the outbox is of ${before.origin}, the policy's log is ${origin}: give each log an outbox folder of its own`;
      throw new ClientError("outbox-corrupt", text, { details: { origin: before.origin } });
    }
    const over = outbox.ended && outbox.size === 0;
    if (before === undefined || over) {
      const instance = new Uint8Array(randomBytes(16));
      await outbox.begin({ publicKey: ed25519PublicKey(seed), instance, origin });
    }
    if (outbox.nextSequence > 1) return;
    const context =
      before !== undefined && over ? { previous: encodeHex(streamId(before)), last: nextSequence - 1 } : {};
    await outbox.push(this.#ownEvent("stream.start", context));
  }

  #deliveryOf({ outbox, seed }: OpenedOutbox): DeliveryOptions {
    const { url, token, fetch, requestTimeoutMs: timeoutMs } = this.#options;
    const replacement = ({ id }: OutboxEntry, original: Numbered, { code: problem }: Refusal): Numbered =>
      this.#ownEvent("stream.refused", { id, type: decodeEvent(original.event).type, problem });
    const { now } = this.#options;
    return { url, token, seed, outbox, fetch, timeoutMs, replacement, now, signal: this.#aborter.signal };
  }

  #createReader(): LogReader {
    const { url, token, fetch, requestTimeoutMs: timeoutMs } = this.#options;
    return createHttpLogReader({ url, token, fetch, timeoutMs, signal: this.#aborter.signal });
  }

  #ownEvent(type: string, context: Record<string, string | number>): Numbered & { id: string; now: number } {
    const now = this.#options.now();
    const event = parseEvent({ id: newEventId(now, randomBytes(16)), time: now, type, outcome: "success", context });
    return { id: event.id, now, salt: new Uint8Array(randomBytes(32)), event: encodeEvent(event) };
  }

  #complete(input: Report, { hashSession }: Opened): TallyEvent {
    const now = this.#options.now();
    const given = parseEvent({ ...input, id: input.id ?? newEventId(now, randomBytes(16)), time: input.time ?? now });
    assertOfApplication(given);
    return normaliseSession(given, hashSession);
  }

  async #waitFor(
    { receipts }: Opened,
    entry: OutboxEntry,
    options: { until: RecordState; timeoutMs: number; signal: AbortSignal | undefined },
  ): Promise<Reached> {
    if (options.until === "queued") return { state: "queued" };
    // Only an event that was waiting already can have come further than the outbox by now.
    if (entry.refusal !== undefined) throw refusalOf(entry);
    const kept = entry.released === true ? await receipts.get(entry.id) : undefined;
    if (kept !== undefined) return { state: this.#provedState(), index: kept.index, receipt: kept.proof };
    if (this.#halted !== undefined) throw this.#halted;
    return this.#waiters.wait(entry, options);
  }

  /** Repeats a step until the client stops; what it throws is reported and tried again, after a while. */
  async #loop(step: () => Promise<Next>): Promise<void> {
    for (let failures = 0; this.#isRunning();) {
      const next = await this.#guarded(step);
      failures = next.failed ? failures + 1 : 0;
      if (next.failed) await this.#pause(Math.max(next.afterMs ?? 0, backoffMs(failures - 1, Math.random)));
    }
  }

  async #guarded(step: () => Promise<Next>): Promise<Next> {
    try {
      return await step();
    } catch (error) {
      if (!this.#isRunning()) return GO_ON;
      if (error instanceof ClientError && HALTING.has(error.code)) this.#halt(error);
      this.#report(error);
      return { failed: true };
    }
  }

  async #sendStep({ delivery }: Opened): Promise<Next> {
    const seen = this.#send.news;
    const outcome = await sendOnce(delivery);
    this.#unsent = outcome.kind === "retry" ? outcome.error : undefined;
    if (outcome.kind === "retry") {
      if (isForbidden(outcome.error)) this.#moved.notify();
      if (this.#isRunning()) this.#report(outcome.error);
      return { failed: true, afterMs: outcome.afterMs };
    }
    await this.#follow(outcome, delivery, seen);
    return GO_ON;
  }

  /** What a try to send that did not fail leads to. */
  async #follow(outcome: Exclude<Sending, { kind: "retry" }>, delivery: DeliveryOptions, seen: number): Promise<void> {
    switch (outcome.kind) {
      case "idle":
        return this.#idle(delivery, seen);
      case "placed":
        this.#warned = undefined;
        for (const entry of outcome.entries) {
          this.#acknowledgedAt.set(entry, performance.now());
          this.#waiters.advance(entry.sequence, reachedBy(entry));
        }
        this.#moved.notify();
        this.#collect.notify();
        if (outcome.disputed !== undefined) this.#report(outcome.disputed);
        return;
      case "refused": {
        const error = refusalOf(outcome.entry);
        this.#waiters.reject(outcome.entry.sequence, error);
        this.#report(error);
      }
    }
  }

  /** Waits for work; a stream that is silent for long says that it is alive, so that a cut tail shows. */
  async #idle({ outbox }: DeliveryOptions, seen: number): Promise<void> {
    const { beatIntervalMs } = this.#options;
    const before = outbox.nextSequence;
    await this.#send.wait(beatIntervalMs === 0 ? TIMER_MS_MAX : beatIntervalMs, { seen });
    const silent = beatIntervalMs > 0 && this.#send.news === seen && outbox.nextSequence === before;
    if (silent && this.#isRunning()) await outbox.push(this.#ownEvent("stream.beat", {}));
  }

  #collector(opened: Opened): () => Promise<Next> {
    let intervalMs = COLLECT_INTERVAL_MS;
    return async () => {
      const seen = this.#collect.news;
      this.#remind();
      const outcome = await collectOnce({ ...opened, now: this.#options.now });
      this.#waitingFor = outcome.kind === "waiting" ? outcome.reason : undefined;
      switch (outcome.kind) {
        case "idle":
          await this.#collect.wait(COLLECT_IDLE_MS, { seen });
          break;
        case "waiting":
          await this.#pause(intervalMs);
          intervalMs = Math.min(COLLECT_INTERVAL_MAX_MS, intervalMs * 1.25);
          return GO_ON;
        case "collected":
          for (const { entry, receipt } of outcome.entries) this.#proved(entry, receipt);
          this.#moved.notify();
          await opened.outbox.compact();
      }
      intervalMs = COLLECT_INTERVAL_MS;
      return GO_ON;
    };
  }

  /** Events leave in order, so that the oldest is the one that waits longest. */
  #overdue(): Overdue | undefined {
    const { proofDeadlineMs } = this.#options;
    const oldest = this.#opened?.outbox.entries().next().value;
    if (proofDeadlineMs === 0 || oldest?.index === undefined) return undefined;
    const forMs = Math.floor(performance.now() - (this.#acknowledgedAt.get(oldest) ?? this.#begunAt));
    return forMs > proofDeadlineMs ? { id: oldest.id, index: oldest.index, forMs } : undefined;
  }

  /** A log that acknowledges and never proves must not do so in silence: says so after each further deadline. */
  #remind(): void {
    const overdue = this.#overdue();
    if (overdue === undefined || performance.now() - this.#remindedAt < this.#options.proofDeadlineMs) return;
    this.#remindedAt = performance.now();
    const { unproved, waitingFor } = this.status();
    const { id, index, forMs } = overdue;
    const why = waitingFor ?? "the log did not show one";
    const text = `event ${id} was acknowledged at index ${index} ${Math.round(forMs / 1000)} s ago, and still no head proves it: ${why}`;
    this.#report(new ClientError("unproved-too-long", text, { details: { ...overdue, unproved, waitingFor } }));
  }

  #proved(entry: OutboxEntry, { index, proof }: KeptReceipt): void {
    if (entry.refusal !== undefined) return;
    this.#waiters.advance(entry.sequence, { state: this.#provedState(), index, receipt: proof });
  }

  #provedState(): RecordState {
    return this.#opened?.policy.quorum === "none" ? "published" : "witnessed";
  }

  #isRunning(): boolean {
    return !this.#stopped && this.#halted === undefined;
  }

  async #pause(timeoutMs: number): Promise<void> {
    if (this.#isRunning()) await this.#stop.wait(timeoutMs);
  }

  #halt(error: ClientError): void {
    this.#halted ??= error;
    this.#waiters.rejectAll(error);
    this.#wakeAll();
  }

  /** Nothing can be recorded: the policy or the outbox is not to be had. */
  #haltAtOpen(error: unknown): void {
    this.#report(error);
    this.#halted = this.#lastError;
  }

  #wakeAll(): void {
    for (const signal of [this.#send, this.#collect, this.#moved, this.#stop]) signal.notify();
  }

  #assertOpen(): void {
    if (this.#closing !== undefined) throw new ClientError("client-closed", "this client is closed");
  }

  #assertRunning(): void {
    if (this.#stopped) throw new ClientError("client-closed", "this client is closed");
  }

  #timeout(what: string): ClientError {
    const { queued, unproved, lastError } = this.status();
    const text = `${what}, ${queued} events wait for the log and ${unproved} for their proof`;
    return new ClientError("wait-timeout", text, { details: { queued, unproved, lastError } });
  }

  #report(error: unknown): void {
    const known = error instanceof Error ? error : new Error(String(error));
    this.#lastError = asClientError(known);
    const { onError } = this.#options;
    if (onError === undefined) {
      this.#warn(this.#lastError);
      return;
    }
    try {
      onError(known);
    } catch {
      // What the application's own handler throws must not stop the delivery.
    }
  }

  #warn({ code, message }: ClientError): void {
    if (!WARNED.has(code) || this.#warned === message) return;
    this.#warned = message;
    process.emitWarning(message, { type: "TallystickWarning", code });
  }
}

function stateOfSending(unsent: ClientError | undefined): TallystickStatus["state"] {
  if (unsent === undefined) return "ok";
  return unsent.code === "log-refused" ? "refused" : "offline";
}

/** The log knows the token and does not let it, or its sender key, write: to wait does not help. */
function isForbidden({ code, details }: ClientError): boolean {
  return code === "log-refused" && details["status"] === 403;
}

function asClientError(error: Error): ClientError {
  if (error instanceof ClientError) return error;
  const code = error instanceof TallystickError ? "log-answer-malformed" : "audit-unavailable";
  return new ClientError(code, error.message, { cause: error });
}

/** The number of the oldest event that has not come so far. */
function oldestWithout(outbox: Opened["outbox"], until: RecordState): number {
  if (until === "queued") return outbox.nextSequence;
  return until === "durable" ? outbox.firstUnplaced : outbox.nextSequence - outbox.size;
}

function originOf({ logs }: Policy, wanted: string | undefined): string {
  const origins = [...new Set(logs.map(({ origin }) => origin))];
  const [only] = origins;
  if (wanted !== undefined && origins.includes(wanted)) return wanted;
  if (wanted === undefined && only !== undefined && origins.length === 1) return only;
  const named = origins.join(", ") || "none";
  if (wanted !== undefined) throw new TypeError(`origin: expected a log of the policy (${named}), got ${wanted}`);
  throw new TypeError(`policy: expected one log, or the option origin to choose it, got ${named}`);
}

/** What senders and logs report of themselves, an application does not. */
function assertOfApplication({ type }: TallyEvent): void {
  const reporter = catalogueEntry(type)?.reporter;
  if (reporter === undefined || reporter === "application") return;
  const defect = {
    path: "type",
    message: `${type} is reported by the ${reporter} itself`,
    expected: "another type",
    got: type,
  };
  throw new EventError("event-invalid", `type: ${defect.message}`, { details: { defects: [defect] } });
}

function refusalOf({ id, refusal }: OutboxEntry): ClientError {
  const text = `event ${id} was refused for good: ${refusal?.message ?? "no reason given"}`;
  return new ClientError("log-refused", text, { details: { id, problem: refusal?.code } });
}
