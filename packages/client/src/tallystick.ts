/** The SDK's door: record events, hold a verified receipt for each, go on working while the log is down. */
import { randomBytes } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { type Policy, TallystickError, ed25519PublicKey, parsePolicy } from "@tallystick/core";
import {
  type EventInput,
  type TallyEvent,
  encodeEvent,
  encodeOpening,
  newEventId,
  parseEvent,
} from "@tallystick/events";
import { collectOnce } from "./collection.ts";
import { type Sending, sendOnce } from "./delivery.ts";
import { ClientError } from "./error.ts";
import type { Fetch } from "./http.ts";
import { createHttpLogReader } from "./log-reader.ts";
import { type Numbered, type OutboxEntry, type Refusal } from "./outbox.ts";
import { type OpenedOutbox, createMemoryOutbox, openOutboxFolder } from "./outbox-folder.ts";
import type { KeptReceipt } from "./receipts.ts";
import { Signal, backoffMs } from "./signal.ts";

/** How far an event has come. `queued`: synced in the outbox; `durable`: synced by the log under an index; `published`
 *  and `witnessed`: a receipt has verified, under a policy without or with a quorum of witnesses. */
export type RecordState = "queued" | "durable" | "published" | "witnessed";

export interface TallystickOptions {
  /** The log's prefix, such as `http://127.0.0.1:7420/app`. Else TALLYSTICK_URL. */
  readonly url?: string;
  /** A writer's token. Else TALLYSTICK_TOKEN. */
  readonly token?: string;
  /** Whom to trust: a tlog-policy, as text (it has line ends) or as a path. Else TALLYSTICK_POLICY. */
  readonly policy?: string;
  /** Where events wait: a folder of this process alone (".tallystick-outbox" by default), or "none" for memory. */
  readonly outbox?: string | "none";
  /** How much may wait; 256 MiB by default. */
  readonly outboxBytesMax?: number;
  /** How much disk verified receipts take; 128 MiB by default. */
  readonly receiptBytesMax?: number;
  /** What `record` waits for where the call does not say; "queued" by default. */
  readonly until?: RecordState;
  /** For one request to the log; 15,000 by default. */
  readonly requestTimeoutMs?: number;
  /** Silence after which the stream reports that it is alive; 900,000 by default, 0 for never. */
  readonly beatIntervalMs?: number;
  /** 32 bytes: keys the hashes of session ids. Without it, a key in the outbox folder. */
  readonly sessionSecret?: Uint8Array;
  /** Told of everything that goes wrong in the background; an event is never lost because of it. */
  readonly onError?: (error: Error) => void;
  readonly fetch?: Fetch;
  readonly now?: () => number;
}

/** An event to record: the SDK makes the id and takes the time where they are left out. A session id that is not a keyed
 *  hash yet is hashed here, under a secret that never leaves. */
export type Report = Omit<EventInput, "id" | "time"> & Partial<Pick<EventInput, "id" | "time">>;

export interface RecordOptions {
  readonly until?: RecordState;
  /** How long to wait for `until`; 10,000 by default. Then the state that was reached is the answer. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
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

export interface TallystickStatus {
  /** `offline`: it will be tried again. `halted`: the log misbehaved; nothing is sent, everything is queued. */
  readonly state: "ok" | "offline" | "halted";
  /** Events that the log has not acknowledged. */
  readonly queued: number;
  /** Events that it acknowledged and has not proved yet. */
  readonly unproved: number;
  readonly bytes: number;
  readonly lastError?: { readonly code: string; readonly message: string };
}

export interface Tallystick {
  /**
   * Reports an event. When it resolves, the event is at least synced in the outbox.
   *
   * @throws {EventError} `event-invalid`: nothing was taken, no number was used up.
   * @throws {ClientError} `outbox-full`, `client-closed`, `audit-unavailable` (the disk failed): not recorded;
   *   `log-refused`: the log refused it for good, `stream.refused` stands under its number.
   */
  record(event: Report, options?: RecordOptions): Promise<Recorded>;
  readonly receipts: {
    /** The verified receipt of an event, by its id. @throws {ClientError} `receipt-unknown` */
    get(id: string): Promise<KeptReceipt>;
    /** Writes it to a file, plain tlog-proof; `N.tlog-proof` is its customary name. */
    save(id: string, path: string): Promise<void>;
  };
  status(): TallystickStatus;
  /** Waits until everything recorded so far has come as far as `until`. @throws {ClientError} `wait-timeout` */
  flush(options?: { readonly until?: RecordState; readonly timeoutMs?: number }): Promise<void>;
  /** Stops; what is in a folder's outbox goes on at the next start. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Opens the SDK. Never throws because a log cannot be reached; what is wrong with its own options it says at once. */
export function createTallystick(options: TallystickOptions = {}): Tallystick {
  return new Client(resolveOptions(options));
}

type Resolved = Required<Omit<TallystickOptions, "sessionSecret">> & Pick<TallystickOptions, "sessionSecret">;

function resolveOptions(options: TallystickOptions): Resolved {
  const setting = (name: "url" | "token" | "policy"): string => {
    const value = options[name] ?? process.env[`TALLYSTICK_${name.toUpperCase()}`];
    if (value !== undefined && value !== "") return value;
    throw new TypeError(`${name}: expected it in the options or in TALLYSTICK_${name.toUpperCase()}, got neither`);
  };
  const url = setting("url").replace(/\/+$/, "");
  if (!URL.canParse(url)) throw new TypeError(`url: expected the log's address, got ${JSON.stringify(url)}`);
  return {
    url,
    token: setting("token"),
    policy: setting("policy"),
    outbox: options.outbox ?? ".tallystick-outbox",
    outboxBytesMax: options.outboxBytesMax ?? 256 * 1024 * 1024,
    receiptBytesMax: options.receiptBytesMax ?? 128 * 1024 * 1024,
    until: options.until ?? "queued",
    requestTimeoutMs: options.requestTimeoutMs ?? 15_000,
    beatIntervalMs: options.beatIntervalMs ?? 900_000,
    onError: options.onError ?? (() => undefined),
    fetch: options.fetch ?? globalThis.fetch,
    now: options.now ?? Date.now,
    ...(options.sessionSecret === undefined ? {} : { sessionSecret: options.sessionSecret }),
  };
}

const STATES: readonly RecordState[] = ["queued", "durable", "published", "witnessed"];
/** How often the head is looked at while something waits for its proof. */
const COLLECT_INTERVAL_MS = 100;

interface Opened extends OpenedOutbox {
  readonly policy: Policy;
  readonly origin: string;
}

interface Waiter {
  readonly until: RecordState;
  readonly resolve: (reached: Reached) => void;
  readonly reject: (error: Error) => void;
}

interface SendLoopState {
  readonly failures: number;
  /** The news when the loop last looked for work. */
  readonly seen: number;
  readonly opened: Opened;
}

interface Reached {
  readonly state: RecordState;
  readonly index?: number;
  readonly receipt?: string;
}

class Client implements Tallystick {
  readonly #options: Resolved;
  readonly #ready: Promise<Opened>;
  #opened: Opened | undefined;
  readonly #waiters = new Map<number, Set<Waiter>>();
  readonly #send = new Signal();
  readonly #collect = new Signal();
  readonly #moved = new Signal();
  /** Cuts waits between tries short: at the end, and when there is nothing more to try. */
  readonly #stop = new Signal();
  readonly #loops: Promise<void>[] = [];
  #closed = false;
  #halted: ClientError | undefined;
  #lastError: ClientError | undefined;
  #offline = false;

  constructor(options: Resolved) {
    this.#options = options;
    this.#ready = this.#open();
    // Whoever records sees the failure; where nobody does, onError has.
    this.#ready.catch((error: unknown) => this.#report(error));
  }

  readonly receipts = {
    get: async (id: string): Promise<KeptReceipt> => {
      const { receipts, outbox } = await this.#ready;
      const kept = await receipts.get(id);
      if (kept !== undefined) return kept;
      const waiting = outbox.find(id);
      const why = waiting === undefined ? "it is not known here (the log may still give it)" : "it has none yet";
      throw new ClientError("receipt-unknown", `event ${id}: ${why}`, { details: { id } });
    },
    save: async (id: string, path: string): Promise<void> => {
      await writeFile(path, (await this.receipts.get(id)).proof);
    },
  };

  async record(input: Report, options: RecordOptions = {}): Promise<Recorded> {
    if (this.#closed) throw new ClientError("client-closed", "record: this client is closed");
    const opened = this.#opened ?? (await this.#ready);
    const event = this.#complete(input, opened);
    const numbered = { salt: randomBytes(32), event: encodeEvent(event) };
    const entry = await opened.outbox.push({ ...numbered, id: event.id, now: this.#options.now() });
    this.#send.notify();
    const reached = await this.#waitFor(entry, options);
    return { id: event.id, opening: encodeOpening(numbered), ...reached };
  }

  status(): TallystickStatus {
    const counts = { queued: 0, unproved: 0 };
    for (const { index } of this.#opened?.outbox.entries() ?? [])
      counts[index === undefined ? "queued" : "unproved"] += 1;
    const error = this.#halted ?? this.#lastError;
    return {
      state: this.#halted !== undefined ? "halted" : this.#offline ? "offline" : "ok",
      ...counts,
      bytes: this.#opened?.outbox.bytes ?? 0,
      ...(error === undefined ? {} : { lastError: { code: error.code, message: error.message } }),
    };
  }

  async flush({
    until = "witnessed",
    timeoutMs = 30_000,
  }: { until?: RecordState; timeoutMs?: number } = {}): Promise<void> {
    const { outbox } = await this.#ready;
    const last = outbox.nextSequence - 1;
    const deadline = performance.now() + timeoutMs;
    while ([...outbox.entries()].some((entry) => entry.sequence <= last && !hasReached(entry, until))) {
      const left = deadline - performance.now();
      if (left <= 0 || this.#closed) {
        const { queued, unproved, lastError } = this.status();
        const text = `after ${timeoutMs} ms, ${queued} events wait for the log and ${unproved} for their proof`;
        throw new ClientError("wait-timeout", text, { details: { queued, unproved, lastError } });
      }
      await this.#moved.wait(Math.min(left, 200));
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#wakeAll();
    const opened = await this.#ready.catch(() => undefined);
    await Promise.all(this.#loops);
    for (const [sequence] of this.#waiters) {
      this.#settle(sequence, new ClientError("client-closed", "the client was closed; the event is in the outbox"));
    }
    await opened?.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #open(): Promise<Opened> {
    const { policy: given, outbox, outboxBytesMax: bytesMax, receiptBytesMax, sessionSecret } = this.#options;
    const policy = parsePolicy(given.includes("\n") ? given : await readFile(given));
    const [log] = policy.logs;
    if (log === undefined) throw new TypeError("policy: expected a log line, got none");
    const limits = { bytesMax, receiptBytesMax, ...(sessionSecret === undefined ? {} : { sessionSecret }) };
    const box = outbox === "none" ? createMemoryOutbox(limits) : await openOutboxFolder(outbox, limits);
    const opened = { ...box, policy, origin: log.origin };
    await this.#beginStream(opened);
    this.#opened = opened;
    this.#loops.push(this.#sendLoop(opened), this.#collectLoop(opened));
    return opened;
  }

  /** The first event of a stream says so; a stream that is there already goes on under its next number. */
  async #beginStream({ outbox, seed }: Opened): Promise<void> {
    if (outbox.stream === undefined)
      await outbox.begin({ publicKey: ed25519PublicKey(seed), instance: randomBytes(16) });
    if (outbox.nextSequence === 1) await outbox.push(this.#ownEvent("stream.start", {}));
  }

  #ownEvent(type: string, context: Record<string, string | number>): Numbered & { id: string; now: number } {
    const now = this.#options.now();
    const event = parseEvent({ id: newEventId(now, randomBytes(16)), time: now, type, outcome: "success", context });
    return { id: event.id, now, salt: randomBytes(32), event: encodeEvent(event) };
  }

  #complete(input: Report, { sessionIdOf }: Opened): TallyEvent {
    const now = this.#options.now();
    const session = input.session;
    const hashed =
      session === undefined || /^[0-9a-f]{64}$/.test(session.id)
        ? session
        : { ...session, id: sessionIdOf(session.id) };
    return parseEvent({
      ...input,
      id: input.id ?? newEventId(now, randomBytes(16)),
      time: input.time ?? now,
      ...(hashed === undefined ? {} : { session: hashed }),
    });
  }

  async #waitFor(entry: OutboxEntry, options: RecordOptions): Promise<Reached> {
    const { until = this.#options.until, timeoutMs = 10_000, signal } = options;
    if (until === "queued") return { state: "queued" };
    const { promise, resolve, reject } = Promise.withResolvers<Reached>();
    const waiter: Waiter = { until, resolve, reject };
    const waiters = this.#waiters.get(entry.sequence) ?? new Set();
    this.#waiters.set(entry.sequence, waiters.add(waiter));
    const giveUp = (): void => resolve(reachedBy(entry));
    const timer = setTimeout(giveUp, timeoutMs);
    signal?.addEventListener("abort", giveUp, { once: true });
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", giveUp);
      waiters.delete(waiter);
      if (waiters.size === 0) this.#waiters.delete(entry.sequence);
    }
  }

  async #sendLoop(opened: Opened): Promise<void> {
    const delivery = {
      url: this.#options.url,
      token: this.#options.token,
      origin: opened.origin,
      seed: opened.seed,
      outbox: opened.outbox,
      fetch: this.#options.fetch,
      timeoutMs: this.#options.requestTimeoutMs,
      replacement: (entry: OutboxEntry, _original: Numbered, refusal: Refusal): Numbered =>
        this.#ownEvent("stream.refused", { id: entry.id, problem: refusal.code }),
    };
    let failures = 0;
    while (!this.#closed && this.#halted === undefined) {
      const seen = this.#send.news;
      const outcome = await this.#guarded(async () => await sendOnce(delivery));
      if (outcome === undefined) continue;
      failures = outcome.kind === "retry" ? failures + 1 : 0;
      await this.#afterSending(outcome, { failures, seen, opened });
    }
  }

  async #afterSending(outcome: Sending, { failures, seen, opened }: SendLoopState): Promise<void> {
    this.#offline = outcome.kind === "retry";
    switch (outcome.kind) {
      case "idle":
        return await this.#idle(opened, seen);
      case "placed":
        for (const entry of outcome.entries) this.#advance(entry, reachedBy(entry));
        this.#collect.notify();
        return;
      case "refused":
        return this.#refuse(outcome.entry);
      case "retry":
        this.#report(outcome.error);
        return await this.#stop.wait(Math.max(outcome.afterMs ?? 0, backoffMs(failures - 1, Math.random)));
    }
  }

  /** Waits for work; a stream that is silent for long says that it is alive, so that a cut tail shows. */
  async #idle({ outbox }: Opened, seen: number): Promise<void> {
    const { beatIntervalMs } = this.#options;
    const before = outbox.nextSequence;
    await this.#send.wait(beatIntervalMs === 0 ? 2 ** 30 : beatIntervalMs, seen);
    const silent = beatIntervalMs > 0 && outbox.nextSequence === before && outbox.size === 0;
    if (silent && !this.#closed) await outbox.push(this.#ownEvent("stream.beat", {}));
  }

  async #collectLoop(opened: Opened): Promise<void> {
    const reader = createHttpLogReader({
      url: this.#options.url,
      token: this.#options.token,
      fetch: this.#options.fetch,
      timeoutMs: this.#options.requestTimeoutMs,
    });
    const state: RecordState = opened.policy.quorum === "none" ? "published" : "witnessed";
    let failures = 0;
    while (!this.#closed && this.#halted === undefined) {
      const seen = this.#collect.news;
      const outcome = await this.#guarded(async () => await collectOnce({ ...opened, reader, now: this.#options.now }));
      if (outcome?.kind === "collected") {
        failures = 0;
        for (const { entry, receipt } of outcome.entries) {
          this.#advance(entry, { state, index: receipt.index, receipt: receipt.proof });
        }
      } else if (outcome?.kind === "idle") await this.#collect.wait(60_000, seen);
      else {
        failures = outcome === undefined ? failures + 1 : 0;
        await this.#stop.wait(outcome === undefined ? backoffMs(failures, Math.random) : COLLECT_INTERVAL_MS);
      }
    }
  }

  /** Runs one step of a loop; what it throws is reported, and halts the client where the log misbehaved. */
  async #guarded<T>(work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await work();
    } catch (error) {
      this.#report(error);
      if (error instanceof ClientError && HALTING.has(error.code)) this.#halt(error);
      else await this.#stop.wait(backoffMs(3, Math.random));
      return undefined;
    }
  }

  #halt(error: ClientError): void {
    this.#halted = error;
    for (const [sequence] of this.#waiters) this.#settle(sequence, error);
    this.#wakeAll();
  }

  #wakeAll(): void {
    for (const signal of [this.#send, this.#collect, this.#stop]) signal.notify();
  }

  #advance(entry: OutboxEntry, reached: Reached): void {
    this.#moved.notify();
    if (entry.refusal !== undefined) return this.#refuse(entry);
    for (const { until, resolve } of this.#waiters.get(entry.sequence) ?? []) {
      if (STATES.indexOf(reached.state) >= STATES.indexOf(until)) resolve(reached);
    }
  }

  #refuse({ id, sequence, refusal }: OutboxEntry): void {
    const text = `event ${id} was refused for good: ${refusal?.message ?? "no reason given"}`;
    const error = new ClientError("log-refused", text, { details: { id, problem: refusal?.code } });
    this.#settle(sequence, error);
    this.#report(error);
  }

  #settle(sequence: number, error: Error): void {
    for (const { reject } of this.#waiters.get(sequence) ?? []) reject(error);
  }

  #report(error: unknown): void {
    const known = error instanceof Error ? error : new Error(String(error));
    if (known instanceof ClientError) this.#lastError = known;
    else if (known instanceof TallystickError)
      this.#lastError = new ClientError("log-answer-malformed", known.message, { cause: known });
    this.#options.onError(known);
  }
}

/** What cannot be mended by trying again: somebody has to look. */
const HALTING = new Set<string>(["log-forked", "log-misbehaved", "outbox-corrupt", "client-closed"]);

function reachedBy({ index }: OutboxEntry): Reached {
  return index === undefined ? { state: "queued" } : { state: "durable", index };
}

/** An entry that is still in the outbox has no verified receipt. */
function hasReached({ index }: OutboxEntry, until: RecordState): boolean {
  return until === "queued" || (until === "durable" && index !== undefined);
}
