/**
 * Heads: sign what is integrated, have witnesses cosign it, publish it when the quorum is met.
 *
 * A signed head is durable before anybody sees it; a published one before anybody is told. Without a quorum the
 * published head stays where it is, and the newest head is what is tried next.
 */
import {
  type Policy,
  type Signer,
  encodeBase64,
  evaluateQuorum,
  formatCheckpoint,
  formatNote,
  openSignatures,
  parseNote,
  selectSignatures,
  signNote,
} from "@tallystick/core";
import { type LogStorage, indexKey } from "@tallystick/storage";
import type { LogClock } from "./clock.ts";
import { findContradiction, keepEvidence } from "./contradiction.ts";
import { LogError, messageOf } from "./error.ts";
import { type SignedHead, encodeSignedHead } from "./heads.ts";
import type { LogLogger, WitnessTarget } from "./log-api.ts";
import type { News } from "./news.ts";
import type { Published } from "./published.ts";
import { areQuorum } from "./recovery.ts";
import { assertRightEdge } from "./right-edge.ts";
import { TABLE } from "./rows.ts";
import type { Sequencer } from "./sequencer.ts";
import { StoredTiles } from "./tiles.ts";
import { fetchMonitoredHead } from "./witness-client.ts";
import { type CosignatureLine, WitnessWorker } from "./witness-worker.ts";

export interface PublisherOptions {
  readonly origin: string;
  readonly signers: readonly Signer[];
  readonly policy: Policy;
  readonly storage: LogStorage;
  readonly sequencer: Sequencer;
  readonly published: Published;
  /** Of commits: a publisher that has nothing to do waits for it. */
  readonly commits: News;
  readonly clock: LogClock;
  readonly witnesses: readonly WitnessTarget[];
  readonly fetch: typeof globalThis.fetch;
  readonly now: () => number;
  readonly monotonic: () => number;
  readonly publishIntervalMs: number;
  readonly headIntervalMs: number;
  readonly freshnessIntervalMs: number;
  readonly witnessTimeoutMs: number;
  readonly signed: { readonly version: number; readonly head: SignedHead | undefined };
  readonly publishedVersion: number;
  /** Fires when the log closes: witnesses are not waited for any more. */
  readonly signal: AbortSignal;
  readonly logger: LogLogger;
}

/** While somebody waits for a head, one comes so many times as often, unless the interval is there to spare the witnesses. */
const HURRY = 4;
const SPARING_INTERVAL_MS = 1000;
/** Between two looks for a witness that is back, while the quorum is not met. */
const RETRY_INTERVAL_MS = 100;
/** What a text in the context of an event may have. docs/reference/events.md */
const LOGGED_NOTE_CHARS_MAX = 16_384;
/** Turns of signing and asking after which a head that is not published is late: 52 s by default. */
const LATE_TURNS = 10;
/** Between two questions to witnesses while the clock is not believed. */
const CLOCK_INTERVAL_MS = 5000;

export class Publisher {
  readonly workers: readonly WitnessWorker[];
  readonly counters = { heads: 0, cosignatures: 0 };
  readonly #options: PublisherOptions;
  #signed: SignedHead | undefined;
  #signedVersion: number;
  #publishedVersion: number;
  /** Cosignature lines for the signed head, by key. */
  #lines = new Map<string, CosignatureLine>();
  #askedAt = -Infinity;
  #headLoggedAt: number;
  #quorumMissing: readonly string[] = [];
  #headTrouble: string | undefined;
  /** Since when entries are durable that no published head covers; `undefined` where there are none. */
  #uncoveredSince: number | undefined;
  #publishing: Promise<void> = Promise.resolve();
  #loop: Promise<void> | undefined;

  constructor(options: PublisherOptions) {
    this.#options = options;
    this.#signed = options.signed.head;
    this.#signedVersion = options.signed.version;
    this.#publishedVersion = options.publishedVersion;
    this.#headLoggedAt = options.monotonic();
    this.noteCommit();
    const { sequencer, storage, fetch, witnessTimeoutMs, monotonic, signal } = options;
    this.#lines = this.#publishedLines();
    const tiles = new StoredTiles(storage);
    this.workers = options.witnesses.map(
      (target) =>
        new WitnessWorker({
          target,
          tiles,
          fetch,
          timeoutMs: witnessTimeoutMs,
          monotonic,
          random: Math.random,
          signal,
          onCosignature: ({ target }, head, lines) => this.#takeLines(target.name, head, lines),
          onContradiction: async (worker) => this.#examine(worker, sequencer),
        }),
    );
  }

  get signed(): SignedHead | undefined {
    return this.#signed;
  }

  /** Witnesses that are missing for the quorum of the newest signed head; empty where it is published. */
  get quorumMissing(): readonly string[] {
    return this.#quorumMissing;
  }

  /** Why the last `log.head` entry could not be made; `undefined` where it could. */
  get headTrouble(): string | undefined {
    return this.#headTrouble;
  }

  /** For how many ms entries have waited for a published head longer than it takes; 0 where they have not. */
  get lateMs(): number {
    const { monotonic, publishIntervalMs, witnessTimeoutMs } = this.#options;
    const waited = this.#uncoveredSince === undefined ? 0 : monotonic() - this.#uncoveredSince;
    return waited > LATE_TURNS * (publishIntervalMs + witnessTimeoutMs) ? waited : 0;
  }

  /** Told after each commit of entries. */
  noteCommit(): void {
    const { sequencer, published, monotonic } = this.#options;
    if (sequencer.range.size > published.treeSize) this.#uncoveredSince ??= monotonic();
  }

  start(): void {
    this.#loop = this.#run();
  }

  /** Resolves when nothing is written any more; the signal has to have fired. */
  async settled(): Promise<void> {
    await this.#loop;
    await Promise.allSettled(this.workers.map(async (worker) => worker.settled()));
    await this.#publishing;
  }

  /** The cosignatures that the signed head has already, when it is the published one. */
  #publishedLines(): Map<string, CosignatureLine> {
    const { published, policy } = this.#options;
    const { head } = published;
    if (head === undefined || head.size !== this.#signed?.size) return new Map();
    const verifiers = policy.witnesses.map(({ verifier }) => verifier);
    const lines = openSignatures(parseNote(head.note), verifiers).verified;
    return new Map(lines.map(({ verifier, line, timestamp = 0n }) => [verifier.vkey, { verifier, line, timestamp }]));
  }

  /** One turn after the other, none sooner than the interval allows; what witnesses do is never waited for here. */
  async #run(): Promise<void> {
    const { sequencer, commits, monotonic, signal } = this.#options;
    while (!signal.aborted && sequencer.stopped === undefined) {
      const began = monotonic();
      try {
        await this.#logHead();
        await this.#turn();
      } catch (cause) {
        this.#fail(cause);
        return;
      }
      await this.#rest(began);
      if (!this.#isDue()) await commits.wait(this.#quorumMissing.length > 0 ? RETRY_INTERVAL_MS : 1000, signal);
    }
  }

  /** Until the interval that began then is over, and everybody else had a turn. */
  async #rest(began: number): Promise<void> {
    const { published, signal } = this.#options;
    await new Promise((resolve) => setImmediate(resolve));
    for (let left = this.#restMs(began); left > 0 && !signal.aborted; left = this.#restMs(began))
      await published.awaited.wait(left, signal);
  }

  #restMs(began: number): number {
    const { published, publishIntervalMs, monotonic } = this.#options;
    const isHurried = published.isAwaited && publishIntervalMs < SPARING_INTERVAL_MS;
    return (isHurried ? publishIntervalMs / HURRY : publishIntervalMs) - (monotonic() - began);
  }

  #fail(cause: unknown): void {
    const { sequencer, signal } = this.#options;
    if (signal.aborted) return;
    const message = messageOf(cause);
    sequencer.stop(
      cause instanceof LogError
        ? cause
        : new LogError("log-stopped", `no head could be published: ${message}; start the log again`, { cause }),
    );
  }

  #isDue(): boolean {
    return this.#canSign() || this.#isStale() || this.workers.some((worker) => worker.isReadyFor(this.#signed));
  }

  /**
   * Whether there is a larger tree to sign, and witnesses have had their say about the last head: with a new head for
   * every few entries slow witnesses would never come to a quorum for any.
   */
  #canSign(): boolean {
    const head = this.#signed;
    if (head === undefined) return true;
    if (head.size >= this.#options.sequencer.range.size) return false;
    return this.#isPublished(head) || !this.#isAsked(head);
  }

  #isPublished({ size }: SignedHead): boolean {
    const { head } = this.#options.published;
    return head !== undefined && head.size >= size;
  }

  #isAsked(head: SignedHead): boolean {
    return this.workers.some((worker) => worker.isAsking(head));
  }

  /** Whether it is time for fresh cosignatures of a head that has not changed. */
  #isStale(): boolean {
    const { clock, freshnessIntervalMs, monotonic } = this.#options;
    // A clock that is not believed is held against the witnesses' soon: a cosignature tells their time.
    const interval = clock.read().ok ? freshnessIntervalMs : Math.min(CLOCK_INTERVAL_MS, freshnessIntervalMs);
    return monotonic() - this.#askedAt >= interval;
  }

  /** Signs a head if there is a new one, and asks the witnesses that have not cosigned it. */
  async #turn(): Promise<void> {
    if (!this.#isDue()) return;
    const isNew = this.#canSign();
    const head = isNew ? await this.#sign() : this.#signed;
    if (head === undefined) return;
    const isForAll = isNew || this.#isStale();
    if (isForAll) this.#askedAt = this.#options.monotonic();
    await this.#publish(head);
    for (const worker of this.workers) {
      if (isForAll || worker.isReadyFor(head)) void this.#ask(worker, head);
    }
  }

  async #ask(worker: WitnessWorker, head: SignedHead): Promise<void> {
    try {
      await worker.ask(head);
      this.#holdClaims();
      await this.#publishing;
    } catch (cause) {
      this.#fail(cause);
    }
    if (head === this.#signed && !this.#isAsked(head)) this.#quorumMissing = this.#missingFor(head);
    this.#options.commits.notify();
  }

  /**
   * Witnesses that name a larger size than we ever signed, and do not show our signature on it, are only believed
   * together: nothing is taken while those that do not say so cannot make a quorum. Indexes could be given twice.
   */
  #holdClaims(): void {
    const { sequencer, policy, logger } = this.#options;
    const signedSize = BigInt(this.#signed?.size ?? 0);
    const claiming = this.workers.filter(({ claimedSize }) => claimedSize > signedSize);
    const others = this.workers.filter(({ claimedSize }) => claimedSize <= signedSize);
    const isHeld =
      policy.quorum !== "none" &&
      !areQuorum(
        policy,
        others.map(({ target }) => target),
      );
    if (isHeld === (sequencer.suspended !== undefined)) return;
    const claims = claiming.map(({ target, claimedSize }) => `${target.name} size ${claimedSize}`).join(", ");
    const message = `witnesses say that they cosigned more than the size ${signedSize} that this storage has signed (${claims}): it was put back to an older state, or another one runs. Nothing is taken as long as they say so; restore the newest copy`;
    const error = isHeld ? new LogError("log-rolled-back", message) : undefined;
    sequencer.suspend(error);
    if (error === undefined) logger.info("witnesses do not name a larger size any more: events are taken again");
    else logger.warn("no events are taken", { code: error.code, message });
  }

  #missingFor(head: SignedHead): readonly string[] {
    if (this.#isPublished(head)) return [];
    return evaluateQuorum(this.#options.policy, new Set(this.#witnessNames())).missing;
  }

  #witnessNames(): string[] {
    return this.#options.policy.witnesses
      .filter(({ verifier }) => this.#lines.has(verifier.vkey))
      .map(({ name }) => name);
  }

  /** Signs the tree as it is, once its right edge was read back and hashed again. */
  async #sign(): Promise<SignedHead> {
    const { sequencer, storage, origin, signers, clock } = this.#options;
    const { range } = sequencer.state.tree;
    const [size, rootHash] = [range.size, range.rootHash()];
    await assertRightEdge({ storage, size, rootHash, signed: this.#signed });
    const reading = clock.read();
    const signedAt = Math.max(reading.ok ? reading.now : sequencer.state.loggedAt, this.#signed?.signedAt ?? 0);
    const text = formatCheckpoint({ origin, size, rootHash });
    const note = signNote({ text, signers, timestamp: Math.floor(signedAt / 1000) });
    const head = { size, rootHash, note, signedAt };
    // Durable before any witness sees it: whoever restores an older copy of this storage can be shown this head.
    await storage.commit({ head: { name: "signed", expected: this.#signedVersion, bytes: encodeSignedHead(head) } });
    this.#signedVersion += 1;
    this.#signed = head;
    this.#lines = new Map();
    this.counters.heads += 1;
    return head;
  }

  /** Takes cosignatures that were made just now; says why they do not count, if none does. */
  #takeLines(witness: string, head: SignedHead, lines: readonly CosignatureLine[]): string | undefined {
    const { clock } = this.#options;
    for (const { timestamp } of lines) clock.observe(witness, timestamp);
    // One with a wrong time is never kept: verifiers do not count it, and it must not stand where another one could.
    const refusals = lines.map(({ timestamp }) => clock.refusalOf(timestamp));
    const timely = lines.filter((_, at) => refusals[at] === undefined);
    if (timely.length === 0) return refusals[0];
    this.counters.cosignatures += timely.length;
    // A cosignature that comes late for an older head belongs to that head, and to no other.
    if (head !== this.#signed) return undefined;
    for (const line of timely) this.#lines.set(line.verifier.vkey, line);
    void this.#publish(head);
    return undefined;
  }

  /** One after the other: each moves the published head by one version. */
  async #publish(head: SignedHead): Promise<void> {
    this.#publishing = this.#publishing
      .then(async () => this.#publishIfMet(head))
      .catch((cause: unknown) => {
        const message = messageOf(cause);
        this.#options.sequencer.stop(
          new LogError("log-stopped", `a published head could not be stored: ${message}; start the log again`, {
            cause,
          }),
        );
      });
  }

  /** Publishes the head with the cosignatures that are there, once they meet the policy. */
  async #publishIfMet(head: SignedHead): Promise<void> {
    const { policy, published, storage, sequencer, now, monotonic } = this.#options;
    if (head !== this.#signed || !evaluateQuorum(policy, new Set(this.#witnessNames())).met) return;
    const { text, signatures } = parseNote(head.note);
    const note = formatNote({
      text,
      signatures: [...signatures.map(({ line }) => line), ...[...this.#lines.values()].map(({ line }) => line)],
    });
    if (note === published.head?.note) return;
    const bytes = encodeSignedHead({ ...head, note, signedAt: now() });
    await storage.commit({
      head: { name: "published", expected: this.#publishedVersion, bytes },
      rows: [{ table: TABLE.checkpoint, key: indexKey(head.size), value: bytes }],
    });
    this.#publishedVersion += 1;
    // What is not under a new head came after it was signed.
    if (sequencer.range.size === head.size) this.#uncoveredSince = undefined;
    else if (head.size > published.treeSize) this.#uncoveredSince = monotonic();
    published.set({ size: head.size, rootHash: head.rootHash, note });
    this.#quorumMissing = [];
    this.#options.commits.notify();
  }

  /** Once a minute the newest published head goes into the log itself, if anything else came since. */
  async #logHead(): Promise<void> {
    const { sequencer, published, policy, headIntervalMs, monotonic } = this.#options;
    const { head } = published;
    if (head === undefined || !sequencer.state.headDue || monotonic() - this.#headLoggedAt < headIntervalMs) return;
    this.#headLoggedAt = monotonic();
    const checkpoint = loggedNote(head.note, policy);
    const context = { size: head.size, rootHash: encodeBase64(head.rootHash), checkpoint };
    try {
      await sequencer.report({ type: "log.head", context });
      this.#headTrouble = undefined;
    } catch (error) {
      this.#failHead(error);
    }
  }

  /** A log without the minute's head is worth less, and one that takes nothing is worth nothing: it goes on. */
  #failHead(error: unknown): void {
    // Overloaded, or a clock or a storage that is not believed: status says that by itself, and the next minute will do.
    const passing = ["log-overloaded", "clock-jumped", "log-closed", "log-rolled-back"];
    if (error instanceof LogError && passing.includes(error.code)) return;
    const message = messageOf(error);
    this.#headTrouble = `the newest head could not be logged as a log.head entry: ${message}`;
    this.#options.logger.warn(this.#headTrouble);
  }

  /** A witness does not accept our head: does it hold one that we signed, and that is not in our history? */
  async #examine(worker: WitnessWorker, sequencer: Sequencer): Promise<void> {
    const { origin, fetch, witnessTimeoutMs, storage, signal, logger } = this.#options;
    const { target } = worker;
    const monitored = await fetchMonitoredHead({ target, origin, fetch, timeoutMs: witnessTimeoutMs, signal });
    if (monitored.kind !== "head") return;
    const contradiction = await findContradiction({
      ...this.#options,
      tiles: new StoredTiles(this.#options.storage),
      note: monitored.note,
      signed: this.#signed,
    });
    if (contradiction.error === undefined) {
      if (contradiction.size !== undefined) worker.learnSize(contradiction.size);
      return;
    }
    logger.warn("a witness holds a head of ours that is not in our history", { witness: worker.target.name });
    sequencer.stop(contradiction.error);
    await keepEvidence(storage, contradiction.error);
  }
}

/**
 * A published head as it fits into an entry: with the fewest cosignatures that make a quorum; where these are too long,
 * as post-quantum ones of five witnesses are, with the log's own line alone. Either way the tree before the entry is
 * named, and the cosignatures themselves are kept with the published heads.
 */
function loggedNote(note: string, policy: Policy): string {
  const minimal = selectSignatures({ note, policy });
  if (minimal.length <= LOGGED_NOTE_CHARS_MAX) return minimal;
  return selectSignatures({ note, policy: { ...policy, witnesses: [], groups: [], quorum: "none" } });
}
