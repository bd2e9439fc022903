/** A log: assembles sequencer, publisher and readers over one storage, and answers for all of them. */
import {
  type Hash,
  type Policy,
  type TileId,
  ed25519PublicKey,
  encodeHex,
  equalBytes,
  formatKeyId,
  openNote,
  parsePolicy,
} from "@tallystick/core";
import type { TallyEvent } from "@tallystick/events";
import { type KeyStore, StorageError } from "@tallystick/storage";
import {
  type BatchCandidates,
  type SentCandidate,
  type UnsignedSender,
  batchCandidates,
  unsignedCandidates,
  unsignedSender,
} from "./candidate.ts";
import { ChainEnds } from "./chain-ends.ts";
import { LogClock } from "./clock.ts";
import { keepEvidence } from "./contradiction.ts";
import { LogDisposition } from "./disposition/disposition.ts";
import { Holds } from "./disposition/holds.ts";
import { Ledger } from "./disposition/ledger.ts";
import { OwnEntries } from "./disposition/own-entries.ts";
import { ApprovedRules } from "./disposition/rules-in-force.ts";
import { LogError, messageOf } from "./error.ts";
import { type SignedHead, readHeads } from "./heads.ts";
import { LogSecrets } from "./keys.ts";
import { KnownIds } from "./known-ids.ts";
import { KnownKeys } from "./known-keys.ts";
import { rememberSignatures } from "./known-signatures.ts";
import type {
  Acknowledgement,
  BatchAcknowledgement,
  DeniedRead,
  EntryState,
  KnownKey,
  KnownKeyKind,
  Log,
  LogCounters,
  LogOptions,
  LogStatus,
  OpeningsInput,
  PreparedAcknowledgement,
  PublishedCheckpoint,
  ReadEvent,
  ReadFilter,
  ReadOpening,
  Reason,
  SenderKeyRule,
  TailItem,
  TailOptions,
} from "./log-api.ts";
import { findLostKeys, restoredEntries } from "./lost-keys.ts";
import { Lru } from "./lru.ts";
import { News } from "./news.ts";
import { type ResolvedOptions, assertOptions, resolveOptions } from "./options.ts";
import { ruleOf } from "./rules/rules.ts";
import { Openings, unreadCode } from "./openings.ts";
import { type Preparation, type Prepared, type Refused, batchOf, eventsOf, hashSession } from "./prepared.ts";
import { Published } from "./published.ts";
import { Publisher } from "./publisher.ts";
import { LogReader } from "./reader.ts";
import { Reads } from "./reads.ts";
import { askWitnesses, assertKeyStore, recoverState, verifiersOf } from "./recovery.ts";
import { scrub } from "./scrub.ts";
import { Sequencer } from "./sequencer.ts";
import { Tails } from "./tail.ts";
import { thinHeads } from "./thinning.ts";

/** Between two rounds of asking witnesses at start: it doubles, since public ones allow only so many requests a day. */
const ASK_INTERVAL_MS = 500;
const ASK_INTERVAL_MAX_MS = 10_000;
const GRACE_MS = 5000;
const WRITER_LENGTH_MAX = 256;
/** Writers whose stream ids are not hashed again. */
const SENDERS_MAX = 512;

/**
 * Opens a log: recovers what is on disk, asks the witnesses, then takes events.
 *
 * Resolves when the disk is found whole; witnesses are asked in the background, and until enough of them have
 * answered, nothing is taken (`log-starting`).
 *
 * @throws {LogError} `log-corrupt` @throws {StorageError} @throws {TlogError} `policy-malformed`
 * @throws {TypeError | RangeError} the options do not fit each other.
 */
export async function openLog(options: LogOptions): Promise<Log> {
  const given = resolveOptions(options);
  const { policy, witnesses } = rememberSignatures({ ...given, policy: parsePolicy(given.policyText) });
  const resolved = { ...given, witnesses };
  assertOptions(resolved, policy);
  const secrets = new LogSecrets(resolved.keyStore);
  const heads = await readHeads(resolved.storage);
  const state = await recoverState({ ...resolved, signed: heads.signed.head, published: heads.published.head });
  const keysMissing = keysUnavailable(resolved.keyStore);
  if (keysMissing === undefined)
    await assertKeyStore({ ...resolved, secrets, signed: heads.signed.head, size: state.tree.range.size });
  const chainEnds = await ChainEnds.open(resolved.storage, state.tree.range.size);
  const knownIds = await KnownIds.open({ ...resolved, now: Math.max(resolved.now(), state.loggedAt) });
  const approved = await ApprovedRules.open(resolved.storage, await resolved.proposedRules());
  const holds = await Holds.open(resolved.storage, secrets);
  if (keysMissing === undefined) {
    const entries = new OwnEntries({ ...resolved, secrets });
    await approved.assertLogged(entries, state.tree.range.size);
    await holds.assertLogged(entries);
  }
  const indexes = { chainEnds, knownIds };
  return new OpenLog({ options: resolved, policy, secrets, heads, state, ...indexes, approved, holds, keysMissing });
}

/** Why a log cannot use its keys; it serves heads and proofs all the same. */
function keysUnavailable(keyStore: KeyStore): LogError | undefined {
  try {
    void keyStore.epoch;
    return undefined;
  } catch (cause) {
    if (!(cause instanceof StorageError)) throw cause;
    const text = `the log's keys cannot be used, so it takes nothing in and shows no contents: ${cause.message}`;
    return new LogError("keys-unavailable", text, { cause });
  }
}

interface Parts {
  readonly options: ResolvedOptions;
  readonly policy: Policy;
  readonly secrets: LogSecrets;
  readonly heads: Awaited<ReturnType<typeof readHeads>>;
  readonly state: Awaited<ReturnType<typeof recoverState>>;
  readonly chainEnds: ChainEnds;
  readonly knownIds: KnownIds;
  readonly approved: ApprovedRules;
  readonly holds: Holds;
  /** Why nothing can be sealed or opened. */
  readonly keysMissing: LogError | undefined;
}

class OpenLog implements Log {
  readonly origin: string;
  readonly policyText: string;
  readonly vkeys: readonly string[];
  readonly disposition: LogDisposition;
  readonly #options: ResolvedOptions;
  readonly #policy: Policy;
  readonly #secrets: LogSecrets;
  readonly #clock: LogClock;
  readonly #published: Published;
  readonly #sequencer: Sequencer;
  readonly #publisher: Publisher;
  readonly #reader: LogReader;
  readonly #reads: Reads;
  readonly #openings: Openings;
  readonly #tails: Tails;
  readonly #knownKeys: KnownKeys;
  /** Whose signed batches are taken from any writer: as the configuration says, and the rules in force. */
  readonly #senderKeys: () => readonly SenderKeyRule[];
  readonly #senders = new Lru<UnsignedSender>(SENDERS_MAX);
  /** Of commits and of published heads. */
  readonly #news = new News();
  readonly #closing = new AbortController();
  readonly #counters = { duplicates: 0, refused: 0, overloaded: 0, reads: 0 };
  /** Why the log does not run yet; `undefined` once it does. */
  #startReasons: readonly Reason[] | undefined = [];
  readonly #starting: Promise<void>;
  /** The sender key of the log's own entries until now, where this start has another one. */
  readonly #formerKey: Uint8Array | undefined;
  #scrubbing: Promise<void> = Promise.resolve();
  #thinning: Promise<void> = Promise.resolve();

  constructor(parts: Parts) {
    const { options, policy, secrets, heads, state, approved } = parts;
    const { origin, policyText, storage, keys, now } = options;
    this.#options = options;
    this.#policy = policy;
    this.#secrets = secrets;
    this.origin = origin;
    this.policyText = policyText;
    this.vkeys = keys.signers.map(({ vkey }) => vkey);
    const monotonic = (): number => performance.now();
    this.#clock = new LogClock({
      now,
      monotonic,
      lastLoggedAt: state.loggedAt,
      confirmed: options.confirmClock,
      witnesses: options.witnesses.length,
    });
    this.#formerKey = formerKey(state.own.publicKey, ed25519PublicKey(keys.senderSeed));
    this.#warnOfKeys(heads.signed.head);
    this.#senderKeys = () => [...options.senderKeys, ...approved.senderKeys];
    this.#published = new Published({
      reached: policy.quorum === "none" ? "published" : "witnessed",
      head: heads.published.head,
      closing: this.#closing.signal,
    });
    this.#sequencer = this.#makeSequencer(parts);
    this.#publisher = new Publisher({
      ...options,
      signers: keys.signers,
      policy,
      sequencer: this.#sequencer,
      published: this.#published,
      commits: this.#news,
      clock: this.#clock,
      monotonic,
      signed: heads.signed,
      publishedVersion: heads.published.version,
      signal: this.#closing.signal,
    });
    this.#knownKeys = new KnownKeys({ storage, sequencer: this.#sequencer });
    const size = (): number => this.size();
    this.#reader = new LogReader({ storage, secrets, policy, published: this.#published, size, now });
    this.#reads = new Reads({ report: async (event) => this.#sequencer.report(event) });
    this.#openings = new Openings({ reader: this.#reader, reads: this.#reads, size });
    this.#tails = new Tails({
      reader: this.#reader,
      reads: this.#reads,
      sequencer: this.#sequencer,
      published: this.#published,
      news: this.#news,
      closing: this.#closing.signal,
    });
    this.disposition = new LogDisposition({
      ...options,
      ...parts,
      sequencer: this.#sequencer,
      published: this.#published,
      reader: this.#reader,
      clock: this.#clock,
      awaited: policy.quorum === "none" ? "published" : "witnessed",
      reportSenderKeys: async () => this.#reportSenderKeys(),
      signal: this.#closing.signal,
    });
    const { keysMissing } = parts;
    if (keysMissing !== undefined) this.#sequencer.stop(keysMissing);
    const begun = keysMissing === undefined ? this.#start() : Promise.resolve();
    this.#starting = begun.catch((cause: unknown) => this.#failStart(cause));
  }

  /** Keys that this log has used and that this start does not have: files may have been lost, or put in their place. */
  #warnOfKeys(signed: SignedHead | undefined): void {
    const { keys, origin, logger } = this.#options;
    if (this.#formerKey !== undefined) {
      const details = { former: encodeHex(this.#formerKey) };
      logger.warn("the log's own entries were signed with another sender key before; the change is logged", details);
    }
    if (signed === undefined) return;
    const { unknown } = openNote(signed.note, verifiersOf(keys));
    const missing = unknown.filter(({ name }) => name === origin).length;
    if (missing > 0)
      logger.warn("the newest head was signed with keys of this log that this start does not have", { missing });
  }

  #makeSequencer({ state, chainEnds, knownIds, approved }: Parts): Sequencer {
    const { storage, random, origin, keys, pinFirstSenderKey, logger, ...limits } = this.#options;
    const { senderSeed } = keys;
    const publicKey = ed25519PublicKey(senderSeed);
    // Another sender key begins another stream: the numbers of one are signed by one key.
    const own = equalBytes(state.own.publicKey, publicKey)
      ? state.own
      : { publicKey, instance: random(16), nextSequence: 1 };
    return new Sequencer({
      storage,
      draft: {
        storage,
        secrets: this.#secrets,
        random,
        origin,
        senderSeed,
        senderKeys: this.#senderKeys,
        ledger: new Ledger({
          storage,
          atLeastDays: (retentionClass) => ruleOf(approved.rules, retentionClass).atLeastDays,
        }),
        pinFirstSenderKey,
        chainEnds,
        knownIds,
      },
      clock: this.#clock,
      state: { ...state, own },
      queueEntriesMax: limits.queueEntriesMax,
      queueBytesMax: limits.queueBytesMax,
      commitEntriesMax: limits.commitEntriesMax,
      onCommit: () => {
        this.#publisher.noteCommit();
        this.#news.notify();
      },
      onStop: (error) => logger.warn("the log stopped", { code: error.code, message: error.message }),
    });
  }

  /** Asks the witnesses until enough have answered; then lets sequencer and publisher run. */
  async #start(): Promise<void> {
    const { keys, witnesses, startWithoutWitnesses, fetch, witnessTimeoutMs, storage } = this.#options;
    const { signal } = this.#closing;
    let intervalMs = ASK_INTERVAL_MS;
    while (!signal.aborted) {
      const asked = await askWitnesses({
        origin: this.origin,
        // A witness may still hold a head that a retired key signed.
        policy: { ...this.#policy, logs: verifiersOf(keys).map((verifier) => ({ verifier, origin: this.origin })) },
        keys,
        storage,
        witnesses,
        signed: this.#publisher.signed,
        published: this.#published.head,
        fetch,
        timeoutMs: witnessTimeoutMs,
        signal,
      });
      if (signal.aborted) return;
      if (asked.error !== undefined) {
        this.#sequencer.stop(asked.error);
        await keepEvidence(storage, asked.error);
        return;
      }
      const enough = asked.missing.length === 0;
      if (enough || startWithoutWitnesses) {
        for (const worker of this.#publisher.workers) worker.learnSize(asked.sizes.get(worker.target.name) ?? 0);
        await this.#go(enough ? [] : asked.missing);
        return;
      }
      const message = `waits for ${asked.missing.join(", ")}: without an answer nobody can tell whether this log was put back to an older state`;
      this.#startReasons = [{ code: "log-starting", message }, ...asked.reasons];
      await this.#news.wait(intervalMs, signal);
      intervalMs = Math.min(2 * intervalMs, ASK_INTERVAL_MAX_MS);
    }
  }

  async #go(without: readonly string[]): Promise<void> {
    this.#startReasons = undefined;
    const restored = this.#noteRestored();
    this.disposition.begin();
    this.#sequencer.release();
    await restored;
    this.#publisher.start();
    this.#scrubbing = this.#scrub();
    this.#thinning = this.#thin();
    if (this.#formerKey !== undefined) {
      const publicKey = encodeHex(ed25519PublicKey(this.#options.keys.senderSeed));
      const context = { publicKey, former: encodeHex(this.#formerKey), change: "replaced" };
      await this.#sequencer.report({ type: "log.key", context });
    }
    await this.#reportOwnKeys();
    if (without.length === 0) return;
    await this.#sequencer.report({
      type: "log.check",
      outcome: "unknown",
      reason: "started without the word of enough witnesses",
      context: { witnesses: [...without] },
    });
  }

  /** Before anything else is logged: what comes next is sealed under new keys. */
  async #noteRestored(): Promise<void> {
    const { restored, storage, logger } = this.#options;
    if (restored === null) return;
    const lost = await this.#sequencer.alone(async (turn) => {
      const found = await findLostKeys({ storage, secrets: this.#secrets, size: turn.size, restored });
      const { events, rows } = restoredEntries(restored, found);
      await turn.reportAll(events, () => rows);
      return found;
    });
    const takenAt = new Date(restored.takenAt).toISOString();
    logger.warn("the key store was restored from a backup; the log names the entries whose keys are lost", {
      takenAt,
      lost,
    });
    await restored.noted();
  }

  async #reportOwnKeys(): Promise<void> {
    const { signers } = this.#options.keys;
    const own = signers.map(({ vkey, keyId }) => ({ id: formatKeyId(keyId), facts: { vkey } }));
    await this.reportKeys("checkpoint", own);
    await this.#reportSenderKeys();
  }

  /** Those of the configuration, and those of the rules in force. */
  async #reportSenderKeys(): Promise<void> {
    const known = new Map<string, KnownKey & { readonly to: number }>();
    for (const { publicKey, from = 0, to = Infinity } of this.#senderKeys()) {
      const key = encodeHex(publicKey);
      const id = `${key}:${from}`;
      // Where both name it, it is taken for as long as either says.
      const end = Math.max(to, known.get(id)?.to ?? 0);
      const validity = { ...(from === 0 ? {} : { from }), ...(end === Infinity ? {} : { to: end }) };
      known.set(id, { id, facts: { publicKey: key, ...validity }, to: end });
    }
    await this.reportKeys("sender", [...known.values()]);
  }

  async reportKeys(kind: KnownKeyKind, keys: readonly KnownKey[]): Promise<void> {
    return this.#knownKeys.report(kind, keys);
  }

  /** Reads everything back as long as the log is open; damage stops it. */
  async #scrub(): Promise<void> {
    const { storage, scrubEntriesPerSecond: entriesPerSecond, logger } = this.#options;
    if (entriesPerSecond === 0) return;
    const size = (): number => this.size();
    try {
      await scrub({ storage, secrets: this.#secrets, size, entriesPerSecond, signal: this.#closing.signal });
    } catch (cause) {
      if (cause instanceof LogError) this.#sequencer.stop(cause);
      else logger.warn("the scrub ended", { message: messageOf(cause) });
    }
  }

  /** Drops older published heads as long as the log is open. */
  async #thin(): Promise<void> {
    const { storage, now, logger } = this.#options;
    const publishedSize = (): number => this.publishedSize();
    try {
      await thinHeads({ storage, now, publishedSize, signal: this.#closing.signal });
    } catch (cause) {
      logger.warn("older heads are not dropped any more", {
        message: messageOf(cause),
      });
    }
  }

  #failStart(cause: unknown): void {
    const message = messageOf(cause);
    const known = cause instanceof LogError ? cause : undefined;
    // A log that closes, or whose clock is not believed yet, is no failed start.
    if (known?.code === "log-closed" || known?.code === "clock-jumped") return;
    this.#sequencer.stop(known ?? new LogError("log-stopped", `the log could not start: ${message}`, { cause }));
  }

  async appendEvents(input: {
    readonly writer: string;
    readonly events: readonly TallyEvent[];
  }): Promise<readonly Acknowledgement[]> {
    return this.#submitUnsigned(this.#unsignedCandidates(input));
  }

  /** Apart from what waits for them to be logged, which would keep the events in memory for as long. */
  #unsignedCandidates({
    writer,
    events,
  }: {
    readonly writer: string;
    readonly events: readonly TallyEvent[];
  }): readonly SentCandidate[] {
    assertWriter(writer);
    if (events.length === 0) throw new RangeError("events: expected at least one, got none");
    try {
      this.#assertRoom();
      const sender = this.#senderOf(writer);
      const secret = (): Uint8Array => this.#secrets.secret("session-id");
      return unsignedCandidates(
        events.map((event) => hashSession(event, secret)),
        sender,
      );
    } catch (error) {
      throw this.#counted(error);
    }
  }

  async #submitUnsigned(candidates: readonly SentCandidate[]): Promise<readonly Acknowledgement[]> {
    try {
      const answers = await new Promise<readonly Acknowledgement[]>((resolve, reject) =>
        this.#sequencer.submit({ kind: "unsigned", candidates, resolve, reject }),
      );
      return this.#withStates(answers);
    } catch (error) {
      throw this.#counted(error);
    }
  }

  #senderOf(writer: string): UnsignedSender {
    const known = this.#senders.get(writer);
    if (known !== undefined) return known;
    const sender = unsignedSender(writer);
    this.#senders.set(writer, sender);
    return sender;
  }

  preparation(writer: string): Preparation | undefined {
    assertWriter(writer);
    // A log that stopped may have no keys.
    if (this.#sequencer.stopped !== undefined) return undefined;
    return {
      origin: this.origin,
      sender: this.#senderOf(writer),
      sessionSecret: this.#secrets.secret("session-id"),
    };
  }

  async appendPrepared({
    writer,
    prepared,
  }: {
    readonly writer: string;
    readonly prepared: Prepared | Refused;
  }): Promise<PreparedAcknowledgement> {
    assertWriter(writer);
    try {
      this.#assertRoom();
      if (prepared.kind === "refused") throw prepared.error;
    } catch (error) {
      throw this.#counted(error);
    }
    if (prepared.kind === "batch") return this.#submitSigned(writer, batchOf(prepared));
    return { entries: await this.#submitUnsigned(eventsOf(prepared, this.#senderOf(writer))) };
  }

  async appendBatch({
    writer,
    batch,
  }: {
    readonly writer: string;
    readonly batch: Uint8Array;
  }): Promise<BatchAcknowledgement> {
    assertWriter(writer);
    return this.#submitSigned(writer, this.#signedCandidates(batch));
  }

  #signedCandidates(batch: Uint8Array): BatchCandidates {
    try {
      this.#assertRoom();
      return batchCandidates(batch, this.origin);
    } catch (error) {
      throw this.#counted(error);
    }
  }

  async #submitSigned(writer: string, batch: BatchCandidates): Promise<BatchAcknowledgement> {
    try {
      const { entries, tagKeys } = await new Promise<BatchAcknowledgement>((resolve, reject) =>
        this.#sequencer.submit({ kind: "signed", writer, batch, resolve, reject }),
      );
      return { entries: this.#withStates(entries), tagKeys };
    } catch (error) {
      throw this.#counted(error);
    }
  }

  /** Without a quorum the log goes on, but not for ever. A log that stopped may have no keys to make anything with. */
  #assertRoom(): void {
    if (this.#sequencer.stopped !== undefined) throw this.#sequencer.stopped;
    const unpublished = this.size() - this.publishedSize();
    if (unpublished < this.#options.unpublishedEntriesMax) return;
    throw new LogError("log-overloaded", `${unpublished} entries wait for a published head: no more are taken`, {
      details: { retryAfterSeconds: 30 },
    });
  }

  /** What was sent again may be published since long. */
  #withStates(answers: readonly Acknowledgement[]): readonly Acknowledgement[] {
    for (const { duplicate } of answers) if (duplicate === true) this.#counters.duplicates += 1;
    if (answers.every(({ index, state }) => this.stateOf(index) === state)) return answers;
    return answers.map((answer) => ({ ...answer, state: this.stateOf(answer.index) }));
  }

  /** The reason for which nothing was taken, once it is counted. */
  #counted(error: unknown): unknown {
    const overloaded = error instanceof LogError && error.code === "log-overloaded";
    this.#counters[overloaded ? "overloaded" : "refused"] += 1;
    return error;
  }

  async waitFor(input: {
    readonly index: number;
    readonly state: EntryState;
    readonly timeoutMs: number;
    readonly signal?: AbortSignal;
  }): Promise<EntryState> {
    this.#reader.assertIndex(input.index);
    return this.#published.waitFor(input);
  }

  stateOf(index: number): EntryState {
    this.#reader.assertIndex(index);
    return this.#published.stateOf(index);
  }

  size(): number {
    return this.#sequencer.range.size;
  }

  publishedSize(): number {
    return this.#published.treeSize;
  }

  checkpoint(): string | undefined {
    return this.#published.head?.note;
  }

  async checkpoints(
    input: { readonly limit?: number; readonly before?: number } = {},
  ): Promise<readonly PublishedCheckpoint[]> {
    return this.#reader.checkpoints(input);
  }

  async readTile(tile: TileId): Promise<Uint8Array | undefined> {
    return this.#reader.tile(tile);
  }

  async readBundle(bundle: { readonly index: number; readonly width: number }): Promise<Uint8Array | undefined> {
    return this.#reader.bundle(bundle);
  }

  async readLeaf(index: number): Promise<Uint8Array> {
    return this.#reader.leaf(index);
  }

  async readEvent({
    index,
    reader,
    purpose,
    filter,
  }: {
    readonly index: number;
    readonly reader: string;
    readonly purpose?: string;
    readonly filter?: ReadFilter;
  }): Promise<ReadEvent> {
    const leaf = await this.#reader.leaf(index);
    const [opened] = await Promise.allSettled([this.#reader.open(index, leaf)]);
    if (filter !== undefined && !isAdmitted(filter, opened)) {
      await this.recordDenied({ reader, kind: "event", indexes: [index] });
      throw new LogError("forbidden", "this is not among what the token's scope admits", { details: { index } });
    }
    // That somebody looked at who read what is no read of anybody's contents; to log it would make a log grow by its audits.
    const isRecord = opened.status === "fulfilled" && opened.value.event.type === "log.read";
    const failed = opened.status === "fulfilled" ? {} : { codes: [unreadCode(opened.reason) ?? "unavailable"] };
    if (!isRecord) await this.#reads.recordRead({ place: { indexes: [index] }, count: 1, reader, purpose, ...failed });
    if (opened.status === "rejected") throw opened.reason as Error;
    this.#counters.reads += 1;
    const { opening, event } = opened.value;
    return { index, leaf, opening, event, state: this.stateOf(index) };
  }

  async readOpenings(input: OpeningsInput): Promise<readonly ReadOpening[]> {
    const entries = await this.#openings.read(input);
    this.#counters.reads += entries.filter((entry) => "opening" in entry).length;
    return entries;
  }

  async recordDenied(denied: DeniedRead): Promise<void> {
    await this.#reads.recordDenied(denied);
  }

  async receipt(
    index: number,
    { signatures = "minimal", leaf }: { readonly signatures?: "minimal" | "all"; readonly leaf?: Uint8Array } = {},
  ): Promise<string> {
    return this.#reader.receipt(index, signatures, leaf);
  }

  async inclusionProof({
    index,
    size = this.publishedSize(),
  }: {
    readonly index: number;
    readonly size?: number;
  }): Promise<{ readonly size: number; readonly hashes: readonly Hash[] }> {
    return { size, hashes: await this.#reader.inclusionProof({ index, size }) };
  }

  async consistencyProof(sizes: { readonly from: number; readonly to: number }): Promise<readonly Hash[]> {
    return this.#reader.consistencyProof(sizes);
  }

  tail(options: TailOptions): AsyncIterable<TailItem> {
    return this.#tails.follow(options);
  }

  status(): LogStatus {
    const base = {
      size: this.size(),
      publishedSize: this.publishedSize(),
      queuedEntries: this.#sequencer.queuedEntries,
      witnesses: this.#publisher.workers.map(({ status }) => status),
    };
    const stopped = this.#sequencer.stopped ?? this.#sequencer.suspended;
    if (stopped !== undefined)
      return { ...base, state: "stopped", reasons: [{ code: stopped.code, message: stopped.message }] };
    if (this.#startReasons !== undefined) return { ...base, state: "starting", reasons: this.#startReasons };
    const reasons = this.#troubles();
    const reading = this.#clock.read();
    if (!reading.ok) {
      const jumped = { code: "clock-jumped", message: reading.message };
      return { ...base, state: "stopped", reasons: [jumped, ...reasons] };
    }
    return { ...base, state: reasons.length === 0 ? "ok" : "degraded", reasons };
  }

  #troubles(): Reason[] {
    const reasons: Reason[] = [...this.disposition.troubles()];
    const trouble = this.#clock.trouble();
    if (trouble !== undefined) reasons.push(trouble);
    const { quorumMissing, headTrouble, lateMs, workers } = this.#publisher;
    if (headTrouble !== undefined) reasons.push({ code: "head-not-logged", message: headTrouble });
    if (quorumMissing.length > 0) {
      const why = workers.flatMap(({ status: { name, state, lastError } }) =>
        state === "ok" ? [] : [`${name}: ${lastError ?? "no answer yet"}`],
      );
      const because = why.length === 0 ? "" : ` (${why.join("; ")})`;
      const message = `no quorum for a head above size ${this.publishedSize()}; missing ${quorumMissing.join(", ")}${because}`;
      reasons.push({ code: "quorum-not-met", message });
    } else if (lateMs > 0) {
      const message = `entries above size ${this.publishedSize()} have been durable for ${Math.round(lateMs / 1000)} s, and no head that covers them is published`;
      reasons.push({ code: "publication-late", message });
    }
    return reasons;
  }

  counters(): LogCounters {
    const witnessErrors = this.#publisher.workers.reduce((sum, { errors }) => sum + errors, 0);
    return { ...this.#counters, ...this.#sequencer.counters, ...this.#publisher.counters, witnessErrors };
  }

  async close({ graceMs = GRACE_MS }: { readonly graceMs?: number } = {}): Promise<void> {
    this.#reads.close();
    await this.#sequencer.close(graceMs);
    this.#closing.abort();
    await this.#starting;
    await this.#publisher.settled();
    await this.disposition.settled();
    await this.#scrubbing;
    await this.#thinning;
  }
}

function formerKey(before: Uint8Array, now: Uint8Array): Uint8Array | undefined {
  return before.length === 0 || equalBytes(before, now) ? undefined : before;
}

/** What was erased is of nobody that could be told: whoever may have some contents only may not have to know of it. */
function isAdmitted({ admits }: ReadFilter, opened: PromiseSettledResult<{ readonly event: TallyEvent }>): boolean {
  if (opened.status === "fulfilled") return admits(opened.value.event);
  return !(opened.reason instanceof LogError && opened.reason.code === "erased");
}

function assertWriter(writer: string): void {
  if (writer.length > 0 && writer.length <= WRITER_LENGTH_MAX) return;
  throw new RangeError(`writer: expected 1 to ${WRITER_LENGTH_MAX} characters, got ${writer.length}`);
}
