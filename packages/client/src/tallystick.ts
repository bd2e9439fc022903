/** The SDK's door: record events, hold a verified receipt for each, go on working while the log is down. */
import { openOutboxFolder, readText, variable, warn, writeText } from "#platform";
import { type Policy, TallystickError, ed25519PublicKey, encodeHex, parsePolicy } from "@tallystick/core";
import {
  EventError,
  type TallyEvent,
  assertOptionNames,
  catalogueEntry,
  decodeEvent,
  encodeEvent,
  encodeOpening,
  newEventId,
  normaliseSession,
  parseEvent,
  personOf,
  streamId,
} from "@tallystick/events";
import { collectOnce } from "./collection.ts";
import { type DeliveryOptions, type Sending, sendOnce } from "./delivery.ts";
import { AuditUnavailableError, ClientError, clientError } from "./error.ts";
import { type CountedFailures, FailureCounter } from "./failure-counter.ts";
import { type Helpers, createHelpers } from "./helpers.ts";
import { type LogReader, createHttpLogReader } from "./log-reader.ts";
import { createMemoryOutbox } from "./memory-outbox.ts";
import type { OpenedOutbox } from "./opened-outbox.ts";
import { type Operation, type OperationReport, runOperation } from "./operation.ts";
import {
  type RecordState,
  type ResolvedOptions,
  type TallystickOptions,
  resolveOptions,
  stateOf,
  timeoutOf,
} from "./options.ts";
import { breakGlassReason, holds, isHeld, isOutage } from "./outage.ts";
import type { Numbered, OutboxEntry, Refusal } from "./outbox.ts";
import { hashLogin, hashPerson, hashSessionId } from "./persons.ts";
import { randomBytes } from "./random.ts";
import type { KeptReceipt } from "./receipts.ts";
import { type Report, prepareReport } from "./report.ts";
import { Signal, backoffMs, unref } from "./signal.ts";
import { type Reached, type WaitOptions, Waiters, reachedBy } from "./waiters.ts";

export interface RecordOptions {
  readonly until?: RecordState | undefined;
  /** How long to wait for `until`; 10,000 by default. Then the state that was reached is the answer. */
  readonly timeoutMs?: number | undefined;
  /** Ends the wait, as the time-out does; the event stays recorded. */
  readonly signal?: AbortSignal | undefined;
}

const RECORD_OPTIONS: Readonly<Record<keyof RecordOptions & keyof FlushOptions, true>> = {
  until: true,
  timeoutMs: true,
  signal: true,
};

export interface Recorded {
  readonly id: string;
  /** `unrecorded` only where the glass was broken and the outbox took nothing either. */
  readonly state: RecordState | "unrecorded";
  /** Salt and event: what proves the contents of the leaf to somebody else. The SDK keeps none. */
  readonly opening: Uint8Array;
  readonly index?: number;
  /** The tlog-proof, verified. */
  readonly receipt?: string;
  /** Present where this failure was counted, as there were many like it: all else is that of the last one that was recorded. */
  readonly counted?: number;
}

export interface Forgotten {
  /** Receipts that are gone from here. */
  readonly receipts: number;
  /** Events about the person that are still on their way, contents and all: forget again once they have left. */
  readonly waiting: number;
}

/** Counts since this client began. */
export interface TallystickCounters {
  /** Events that were synced in the outbox, those of the SDK itself not among them. */
  readonly recorded: number;
  readonly acknowledged: number;
  readonly proved: number;
  /** Events that the log refused for good. */
  readonly refused: number;
  /** What was not let through by `onOutage`. */
  readonly denied: number;
  readonly brokenGlass: number;
  /** Attempts and outcomes of operations that could not be recorded. */
  readonly unrecorded: number;
  /** Failures that were counted instead of recorded. */
  readonly counted: number;
  readonly cutContexts: number;
  /** What `onError` was told, by code. */
  readonly errors: Readonly<Record<string, number>>;
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
  readonly counters: TallystickCounters;
}

export interface Overdue {
  readonly id: string;
  readonly index: number;
  /** Since the log acknowledged it, or since this client began. */
  readonly forMs: number;
}

/** `auth`, `account`, `session` and `access`: a function for each type of the catalogue, such as `auth.login({…})`. */
type RecordHelpers = Helpers<RecordOptions, Recorded>;

/** What other packages add, by declaring it here: see {@link extendTallystick}. */
export interface TallystickExtensions {}

export interface Tallystick extends RecordHelpers, TallystickExtensions {
  /**
   * Reports an event. When it resolves, the event is at least synced in the outbox.
   *
   * The same event again under an `id` that is still waiting is one event. Types that `onOutage` denies are waited for
   * until they are durable in the log.
   *
   * @throws {EventError} `event-invalid`: nothing was taken, no number was used up.
   * @throws {ClientError} `outbox-full`, `id-reused`, `client-closed`, `audit-unavailable` (the disk failed): not recorded;
   *   `log-refused`: the log refused it for good, `stream.refused` stands under its number; `log-misbehaved`,
   *   `log-forked`, `outbox-outdated`: it is in the outbox, but nothing is sent any more.
   * @throws {AuditUnavailableError} Of a type that `onOutage` denies: it is not durable in the log, so do not do what it
   *   tells of. `details.state` is `queued` where it waits in the outbox all the same, else nothing was taken.
   */
  record(event: Report, options?: RecordOptions): Promise<Recorded>;
  /**
   * Records the attempt, does the work, records how it came out; one `operation` id joins the two. What the work returns or
   * throws passes through.
   *
   * @throws {EventError} `event-invalid`: nothing was taken, nothing done.
   * @throws {AuditUnavailableError} Of a type that `onOutage` denies: the work was not done.
   */
  audit<T>(event: OperationReport, work: (operation: Operation) => T | Promise<T>): Promise<T>;
  /** Whether `onOutage` lets nothing of this type be done before it is durable in the log. */
  isHeld(type: string): boolean;
  readonly receipts: {
    /** The verified receipt of an event, by its id. @throws {ClientError} `receipt-unknown` */
    get(id: string): Promise<KeptReceipt>;
    /** Writes it to a file, plain tlog-proof; `N.tlog-proof` is its customary name. */
    save(id: string, path: string): Promise<void>;
    /**
     * Removes from this host what ties it to a person: the receipts of events about them (as subject, or else as actor),
     * and what the outbox still held of events that have left. The log keeps what it has: erase it there.
     */
    forget(subject: string | { readonly id: string }): Promise<Forgotten>;
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
  // What others declared is put on the prototype by them.
  const client: unknown = new Client(resolveOptions(options));
  return client as Tallystick;
}

/**
 * Adds a property to every client, open ones too: how `@tallystick/sessions` brings `tally.sessions`. Declare its type in
 * {@link TallystickExtensions} by `declare module "@tallystick/client"`.
 *
 * @param make - Called once for each client, when the property is first asked for.
 */
export function extendTallystick<Name extends keyof TallystickExtensions>(
  name: Name,
  make: (tally: Tallystick) => Tallystick[Name],
): void {
  Object.defineProperty(Client.prototype, name, {
    configurable: true,
    get(this: Tallystick) {
      const value = make(this);
      Object.defineProperty(this, name, { value });
      return value;
    },
  });
}

/** What a client has of its own. */
type Own = Omit<Tallystick, keyof TallystickExtensions>;

/** How often the head is looked at while something waits for its proof: at first, and when there was none for long. */
const COLLECT_INTERVAL_MS = 100;
const COLLECT_INTERVAL_MAX_MS = 2000;
/** Nothing to collect: news wakes the loop, this is its pulse. */
const COLLECT_IDLE_MS = 60_000;
const FLUSH_CHECK_MS = 200;
const FAILURE_WINDOW_MS = 60_000;
/** A timer may come a little before its time. */
const TIMER_SLACK_MS = 50;
/** The application's own type under which the SDK tells that the glass was broken. */
const BREAK_GLASS_TYPE = "tallystick.break-glass";
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

interface BrokenGlass {
  /** Why the glass was broken, as its breaker says. */
  readonly reason: string;
  /** Why the log does not have it; absent where it did not say in time. */
  readonly failure: Error | undefined;
  /** What is in the outbox already. */
  readonly queued: Recorded | undefined;
}

/** What comes after one step of a loop. */
type Next = { readonly failed: false } | { readonly failed: true; readonly afterMs?: number | undefined };
const GO_ON: Next = { failed: false };

type Counts = { -readonly [Name in keyof Omit<TallystickCounters, "errors">]: number };

class Client implements Own {
  readonly #options: ResolvedOptions;
  readonly #ready: Promise<Opened>;
  #opened: Opened | undefined;
  readonly #waiters = new Waiters();
  readonly #send = new Signal();
  readonly #collect = new Signal();
  readonly #moved = new Signal();
  /** Cuts the waits between tries short: somebody waits for the outcome, or there is nothing more to try. */
  readonly #hurry = new Signal();
  /** Ends the waits of those who may go on only with the log, once it is known to be away. */
  readonly #held = new Set<AbortController>();
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

  readonly #counts: Counts = {
    recorded: 0,
    acknowledged: 0,
    proved: 0,
    refused: 0,
    denied: 0,
    brokenGlass: 0,
    unrecorded: 0,
    counted: 0,
    cutContexts: 0,
  };
  readonly #errors = new Map<string, number>();
  readonly #failures: FailureCounter<Recorded>;
  readonly auth: RecordHelpers["auth"];
  readonly account: RecordHelpers["account"];
  readonly session: RecordHelpers["session"];
  readonly access: RecordHelpers["access"];
  /** Of what was counted: told one after another. */
  #telling: Promise<void> = Promise.resolve();

  constructor(options: ResolvedOptions) {
    this.#options = options;
    this.#failures = new FailureCounter({ countMax: options.failuresPerMinute, windowMs: FAILURE_WINDOW_MS });
    const helpers = createHelpers<RecordOptions, Recorded>(async (report, how) => this.record(report, how));
    this.auth = helpers.auth;
    this.account = helpers.account;
    this.session = helpers.session;
    this.access = helpers.access;
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
    save: async (id, path) => writeText(path, (await this.receipts.get(id)).proof),
    forget: async (subject) => this.#forget(idOfSubject(subject)),
  };

  async record(input: Report, options: RecordOptions = {}): Promise<Recorded> {
    assertReport(input);
    assertOptionNames("", options, RECORD_OPTIONS);
    return holds(this.#options.outage, input) ? this.#recordHeld(input, options) : this.#record(input, options);
  }

  async audit<T>(event: OperationReport, work: (operation: Operation) => T | Promise<T>): Promise<T> {
    assertReport(event);
    if (typeof work !== "function") throw new TypeError(`work: expected a function, got ${typeof work}`);
    const options = { single: true };
    const recorder = {
      attempt: async (report: Report) => {
        if (holds(this.#options.outage, report)) await this.#recordHeld(report, options);
        else await this.#record(report, options).catch((error: unknown) => this.#unrecorded(error, isOutage));
      },
      outcome: async (report: Report, bare: Report) => {
        const bareInstead = async (error: unknown): Promise<unknown> => {
          if (isOutage(error)) throw error;
          this.#report(error);
          return this.#record(bare, options);
        };
        const recorded = this.#record(report, options).catch(bareInstead);
        await recorded.catch((error: unknown) => this.#unrecorded(error, () => true));
      },
      refused: async (report: Report) => {
        const queued = this.#record(report, { ...options, until: "queued" });
        await queued.catch((error: unknown) => this.#unrecorded(error, () => true));
      },
    };
    return runOperation(recorder, event, work);
  }

  isHeld(type: string): boolean {
    return isHeld(type, this.#options.outage);
  }

  /** The work goes on, or is done: what could not be recorded of it is told to whoever looks after the application. */
  #unrecorded(error: unknown, passes: (error: unknown) => boolean): void {
    if (!passes(error)) throw error;
    this.#counts.unrecorded += 1;
    this.#report(error);
  }

  /** Records what may be done only once the log has it durably. @throws {AuditUnavailableError} */
  async #recordHeld(input: Report, options: RecordOptions & { readonly single?: boolean }): Promise<Recorded> {
    const until = options.until === undefined || options.until === "queued" ? "durable" : options.until;
    let failure: Error | undefined = this.#halted ?? this.#unsent;
    let queued: Recorded | undefined;
    if (failure === undefined) {
      try {
        const recorded = await this.#recordUntilAway(input, { ...options, until });
        if (recorded.state !== "queued") return recorded;
        queued = recorded;
        failure = this.#halted ?? this.#unsent;
      } catch (error) {
        if (!isOutage(error)) throw error;
        failure = error;
      }
    }
    const reason = breakGlassReason(variable("TALLYSTICK_BREAK_GLASS"));
    if (reason !== undefined) return this.#breakGlass(input, { reason, failure, queued });
    this.#counts.denied += 1;
    const why = failure?.message ?? "the log did not acknowledge it in time";
    const error = new AuditUnavailableError(`${input.type} must be in the log before it is done: ${why}`, {
      cause: failure,
      details: { type: input.type, ...(queued === undefined ? {} : { id: queued.id, state: "queued" }) },
    });
    this.#report(error);
    throw error;
  }

  /** Waits no longer than until a try to send fails. */
  async #recordUntilAway(input: Report, options: RecordOptions & { readonly single?: boolean }): Promise<Recorded> {
    const away = new AbortController();
    this.#held.add(away);
    const { signal = away.signal } = options;
    try {
      return await this.#record(input, { ...options, signal: AbortSignal.any([signal, away.signal]) });
    } finally {
      this.#held.delete(away);
    }
  }

  /** Lets through what would be denied, and records that. */
  async #breakGlass(input: Report, { reason, failure, queued }: BrokenGlass): Promise<Recorded> {
    this.#counts.brokenGlass += 1;
    const { type, actor, tenant, operation } = input;
    const code = failure instanceof ClientError ? failure.code : "wait-timeout";
    warn(`${type} was let through without the log, as TALLYSTICK_BREAK_GLASS says: ${reason}`, "break-glass");
    try {
      const recorded = queued ?? (await this.#record(input, { until: "queued" }));
      const context = { type, event: recorded.id, code };
      const about = { actor, tenant, operation: operation ?? recorded.id, reason, context };
      await this.#record({ type: BREAK_GLASS_TYPE, outcome: "success", ...about }, { until: "queued" });
      return recorded;
    } catch (error) {
      if (!isOutage(error)) throw error;
      this.#unrecorded(error, isOutage);
      return { id: input.id ?? this.#newId(), state: "unrecorded", opening: new Uint8Array() };
    }
  }

  /** `single`: is never counted with others. */
  async #record(input: Report, options: RecordOptions & { readonly single?: boolean }): Promise<Recorded> {
    const until = stateOf(options.until ?? this.#options.until);
    const timeoutMs = timeoutOf(options.timeoutMs ?? 10_000);
    this.#assertOpen();
    const opened = this.#opened ?? (await this.#ready);
    this.#assertOpen();
    const event = this.#complete(input, opened);
    const push = async (): Promise<Recorded> => this.#push(opened, event, { until, timeoutMs, signal: options.signal });
    return options.single === true ? push() : this.#pushOrCount(event, push);
  }

  async #push(opened: Opened, event: TallyEvent, options: WaitOptions): Promise<Recorded> {
    const numbered = { salt: randomBytes(32), event: encodeEvent(event) };
    const { entry, ...pushed } = await opened.outbox.push({ ...numbered, id: event.id, now: this.#options.now() });
    this.#counts.recorded += 1;
    this.#send.notify();
    const reached = await this.#waitFor(opened, entry, options);
    return { id: event.id, opening: encodeOpening(pushed), ...reached };
  }

  async #pushOrCount(event: TallyEvent, push: () => Promise<Recorded>): Promise<Recorded> {
    // Not waited for: this event's number is taken in the turn of its call.
    this.#tellCounted();
    const { answer, counted } = this.#failures.take(event, this.#options.now(), push);
    if (counted === 0) return answer;
    this.#counts.counted += 1;
    if (counted === 1) unref(setTimeout(() => this.#tellCounted(), FAILURE_WINDOW_MS + TIMER_SLACK_MS));
    return { ...(await answer), counted };
  }

  /** Records what was counted in minutes that are over, each with one event. */
  #tellCounted({ all = false }: { readonly all?: boolean } = {}): void {
    for (const counted of this.#failures.over(this.#options.now(), { all }))
      this.#telling = this.#telling.then(async () => this.#tell(counted));
  }

  async #tell(counted: CountedFailures): Promise<void> {
    try {
      const options = { until: "queued", timeoutMs: 0, signal: undefined } as const;
      await this.#push(await this.#ready, this.#eventOfCounted(counted), options);
    } catch (error) {
      this.#unrecorded(error, () => true);
    }
  }

  #eventOfCounted({ sample, count, from, to }: CountedFailures): TallyEvent {
    const now = this.#options.now();
    return { ...sample, id: this.#newId(), time: now, context: { count, from, to } };
  }

  async #forget(id: string): Promise<Forgotten> {
    const { outbox, receipts, secret } = await this.#ready;
    const removed = await receipts.forget(hashPerson(secret, id));
    let waiting = 0;
    for (const entry of outbox.entries()) {
      if (entry.position === undefined) continue;
      const { event } = await outbox.read(entry);
      if (personOf(decodeEvent(event))?.id === id) waiting += 1;
    }
    await outbox.compact({ always: true });
    return { receipts: removed, waiting };
  }

  #newId(): string {
    return newEventId(this.#options.now(), randomBytes(16));
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
      counters: { ...this.#counts, errors: Object.fromEntries(this.#errors) },
    };
  }

  #state(): TallystickStatus["state"] {
    if (this.#halted !== undefined) return "halted";
    return this.#opened === undefined ? "opening" : stateOfSending(this.#unsent);
  }

  async flush(options: FlushOptions = {}): Promise<void> {
    assertOptionNames("", options, RECORD_OPTIONS);
    const { signal } = options;
    const until = stateOf(options.until ?? "witnessed");
    const timeoutMs = timeoutOf(options.timeoutMs ?? 30_000);
    const deadline = performance.now() + timeoutMs;
    const { outbox } = await this.#ready;
    const last = outbox.nextSequence - 1;
    this.#hurry.notify();
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
    this.#tellCounted({ all: true });
    await this.#telling;
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
    const policy = parsePolicy(await policyText(options));
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
      const instance = randomBytes(16);
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
    const event = parseEvent({ id: this.#newId(), time: now, type, outcome: "success", context });
    return { id: event.id, now, salt: randomBytes(32), event: encodeEvent(event) };
  }

  #complete(input: Report, { secret }: Opened): TallyEvent {
    const { keep, contextBytesMax } = this.#options;
    const hash = (name: string): string => hashLogin(secret, name);
    const { report, cut } = prepareReport(input, { keep, contextBytesMax, hashLogin: hash });
    const given = parseEvent({ ...report, id: input.id ?? this.#newId(), time: input.time ?? this.#options.now() });
    assertOfApplication(given);
    if (cut) this.#counts.cutContexts += 1;
    return normaliseSession(given, (id) => hashSessionId(secret, id));
  }

  async #waitFor({ receipts }: Opened, entry: OutboxEntry, options: WaitOptions): Promise<Reached> {
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
      for (const away of this.#held) away.abort();
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
          this.#counts.acknowledged += 1;
          this.#waiters.advance(entry.sequence, reachedBy(entry));
        }
        this.#moved.notify();
        this.#collect.notify();
        if (outcome.disputed !== undefined) this.#report(outcome.disputed);
        return;
      case "refused": {
        this.#counts.refused += 1;
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
      const tie = (id: string): string => hashPerson(opened.secret, id);
      const outcome = await collectOnce({ ...opened, now: this.#options.now, hashPerson: tie });
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
    this.#counts.proved += 1;
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
    if (this.#isRunning()) await this.#hurry.wait(timeoutMs);
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
    for (const signal of [this.#send, this.#collect, this.#moved, this.#hurry]) signal.notify();
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
    this.#errors.set(this.#lastError.code, (this.#errors.get(this.#lastError.code) ?? 0) + 1);
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
    warn(message, code);
  }
}

/** What no field of it can be read of: all else is for the event's own rules. */
function assertReport(report: unknown): asserts report is object {
  if (typeof report === "object" && report !== null) return;
  throw new TypeError(`event: expected an object with type, got ${report === null ? "null" : typeof report}`);
}

function idOfSubject(subject: string | { readonly id: string }): string {
  const id = typeof subject === "string" ? subject : (subject as { readonly id?: unknown } | undefined)?.id;
  if (typeof id === "string" && id !== "") return id;
  throw new TypeError("subject: expected a person's id, or an object with it");
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
  return clientError(code, error.message, { cause: error });
}

/** The number of the oldest event that has not come so far. */
function oldestWithout(outbox: Opened["outbox"], until: RecordState): number {
  if (until === "queued") return outbox.nextSequence;
  return until === "durable" ? outbox.firstUnplaced : outbox.nextSequence - outbox.size;
}

/** @throws {ClientError} `audit-unavailable`: there is no such file, or it cannot be read. */
async function policyText({ policy, policyFrom }: ResolvedOptions): Promise<string> {
  if (policy.includes("\n")) return policy;
  try {
    return await readText(policy);
  } catch (cause) {
    if (!(cause instanceof Error && "syscall" in cause)) throw cause;
    const text = `the policy that ${policyFrom} ${policyFrom === "the options" ? "name" : "names"}, as a path since it has no line ends: ${cause.message}`;
    throw new AuditUnavailableError(text, { cause });
  }
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
