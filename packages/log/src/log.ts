/** A log: assembles sequencer, publisher and readers over one storage, and answers for all of them. */
import { createHmac, randomBytes } from "node:crypto";
import {
  type Hash,
  type Policy,
  type TileId,
  TILE_WIDTH,
  encodeEntryBundle,
  equalBytes,
  evaluateQuorum,
  formatTlogProof,
  hashLeaf,
  parsePolicy,
  planConsistency,
  planInclusion,
  selectSignatures,
  verifyInclusion,
} from "@tallystick/core";
import { type TallyEvent, decodeEvent, decodeLeaf, decodeOpening, normaliseSession } from "@tallystick/events";
import { type LogStorage, indexKey } from "@tallystick/storage";
import { batchCandidates, unsignedCandidate } from "./candidate.ts";
import { LogClock } from "./clock.ts";
import { LogError } from "./error.ts";
import { decodeSignedHead } from "./heads.ts";
import { LogSecrets } from "./keys.ts";
import type {
  Acknowledgement,
  BatchAcknowledgement,
  EntryState,
  Log,
  LogCounters,
  LogOptions,
  LogStatus,
  PublishedCheckpoint,
  ReadEvent,
  Reason,
  TailItem,
  TailOptions,
} from "./log-api.ts";
import { Lru } from "./lru.ts";
import { News } from "./news.ts";
import { Published } from "./published.ts";
import { Publisher, readHeads } from "./publisher.ts";
import { askWitnesses, recoverState } from "./recovery.ts";
import { type ChainEnd, TABLE } from "./rows.ts";
import { Sequencer } from "./sequencer.ts";
import { StoredTiles } from "./tiles.ts";
import { hashesAtLevel } from "./tree.ts";

/** Ends of chains in memory: those of the persons and sessions that are active. */
const CHAIN_ENDS_MAX = 50_000;
/** Between two rounds of asking witnesses at start. */
const ASK_INTERVAL_MS = 500;
const CHECKPOINTS_MAX = 1000;
const TAIL_READ_INTERVAL_MS = 3_600_000;
const GRACE_MS = 5000;

type Resolved = Required<Omit<LogOptions, "logger">> & { readonly logger: NonNullable<LogOptions["logger"]> };

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
  const resolved = resolveOptions(options);
  const policy = parsePolicy(resolved.policyText);
  assertOptions(resolved, policy);
  const heads = await readHeads(resolved.storage);
  const state = await recoverState({ ...resolved, signed: heads.signed.head, published: heads.published.head });
  return new OpenLog(resolved, policy, heads, state);
}

function resolveOptions(options: LogOptions): Resolved {
  return {
    senderKeys: [],
    pinFirstSenderKey: false,
    publishIntervalMs: 200,
    headIntervalMs: 60_000,
    freshnessIntervalMs: 600_000,
    witnessTimeoutMs: 5000,
    queueEntriesMax: 20_000,
    queueBytesMax: 64 * 1024 * 1024,
    commitEntriesMax: 4096,
    startWithoutWitnesses: false,
    confirmClock: false,
    now: Date.now,
    random: (bytes) => new Uint8Array(randomBytes(bytes)),
    fetch: globalThis.fetch,
    logger: { info: () => undefined, warn: () => undefined },
    ...options,
  };
}

function assertOptions({ origin, keys, witnesses }: Resolved, policy: Policy): void {
  const [first] = keys.signers;
  if (first?.type !== "ed25519") throw new TypeError("keys.signers: expected the Ed25519 key of the log first");
  for (const { name } of keys.signers) {
    if (name !== origin) throw new TypeError(`keys.signers: expected the origin ${origin} as the name, got ${name}`);
  }
  if (!policy.logs.some(({ verifier }) => verifier.vkey === first.vkey)) {
    throw new TypeError("policyText: expected a log line with this log's Ed25519 key");
  }
  const asked = new Set(witnesses.flatMap(({ verifiers }) => verifiers.map(({ vkey }) => vkey)));
  const names = new Set(policy.witnesses.filter(({ verifier }) => asked.has(verifier.vkey)).map(({ name }) => name));
  if (!evaluateQuorum(policy, names).met) {
    throw new TypeError(
      "witnesses: those that are asked cannot meet the policy's quorum, so nothing could be published",
    );
  }
}

type Heads = Awaited<ReturnType<typeof readHeads>>;
type State = Awaited<ReturnType<typeof recoverState>>;

class OpenLog implements Log {
  readonly origin: string;
  readonly policyText: string;
  readonly vkeys: readonly string[];
  readonly #options: Resolved;
  readonly #policy: Policy;
  readonly #storage: LogStorage;
  readonly #secrets: LogSecrets;
  readonly #tiles: StoredTiles;
  readonly #sequencer: Sequencer;
  readonly #published: Published;
  readonly #publisher: Publisher;
  readonly #clock: LogClock;
  readonly #commits = new News();
  readonly #closing = new AbortController();
  readonly #starting: Promise<void>;
  readonly #counters = { duplicates: 0, refused: 0, overloaded: 0, reads: 0 };
  #reasons: readonly Reason[] = [];
  #isStarting = true;
  readonly #tailReads = new Lru<number>(10_000);

  constructor(options: Resolved, policy: Policy, heads: Heads, state: State) {
    const { origin, policyText, storage, keyStore, keys, now } = options;
    this.#options = options;
    this.#policy = policy;
    this.origin = origin;
    this.policyText = policyText;
    this.vkeys = keys.signers.map(({ vkey }) => vkey);
    this.#storage = storage;
    this.#secrets = new LogSecrets(keyStore);
    this.#tiles = new StoredTiles(storage);
    const monotonic = (): number => performance.now();
    this.#clock = new LogClock({ now, monotonic, lastLoggedAt: state.loggedAt, confirmed: options.confirmClock });
    const { head } = heads.published;
    this.#published = new Published(policy.quorum === "none" ? "published" : "witnessed", head);
    this.#sequencer = new Sequencer({
      storage,
      draft: {
        storage,
        secrets: this.#secrets,
        random: options.random,
        origin,
        senderSeed: keys.senderSeed,
        senderKeys: options.senderKeys,
        pinFirstSenderKey: options.pinFirstSenderKey,
        chainEnds: new Lru<ChainEnd>(CHAIN_ENDS_MAX),
      },
      clock: this.#clock,
      state,
      queueEntriesMax: options.queueEntriesMax,
      queueBytesMax: options.queueBytesMax,
      commitEntriesMax: options.commitEntriesMax,
      onCommit: () => this.#commits.notify(),
      onStop: (error) => options.logger.warn("the log stopped", { code: error.code, message: error.message }),
    });
    this.#publisher = new Publisher({
      ...options,
      signers: keys.signers,
      policy,
      sequencer: this.#sequencer,
      published: this.#published,
      commits: this.#commits,
      clock: this.#clock,
      monotonic,
      signed: heads.signed,
      publishedVersion: heads.published.version,
    });
    this.#starting = this.#start();
  }

  /** Asks the witnesses until enough have answered; then lets sequencer and publisher run. */
  async #start(): Promise<void> {
    const { witnesses, startWithoutWitnesses, fetch, witnessTimeoutMs } = this.#options;
    const { signal } = this.#closing;
    while (!signal.aborted) {
      const asked = await askWitnesses({
        origin: this.origin,
        policy: this.#policy,
        storage: this.#storage,
        witnesses,
        size: this.#sequencer.range.size,
        signed: this.#publisher.signed,
        fetch,
        timeoutMs: witnessTimeoutMs,
      });
      if (asked.error !== undefined) return this.#sequencer.stop(asked.error);
      const enough = asked.missing.length === 0;
      if (enough || startWithoutWitnesses) {
        for (const worker of this.#publisher.workers) worker.learnSize(asked.sizes.get(worker.target.name) ?? 0);
        return this.#go(enough ? [] : asked.missing);
      }
      const message = `waits for ${asked.missing.join(", ")}: without an answer nobody can tell whether this log was put back to an older state`;
      this.#reasons = [{ code: "log-starting", message }, ...asked.reasons];
      await this.#commits.wait(ASK_INTERVAL_MS, signal);
    }
  }

  async #go(without: readonly string[]): Promise<void> {
    this.#reasons = [];
    this.#isStarting = false;
    this.#sequencer.release();
    this.#publisher.start();
    if (without.length === 0) return;
    await this.#sequencer.report({
      type: "log.check",
      outcome: "unknown",
      reason: "started without the word of enough witnesses",
      context: { witnesses: [...without] },
    });
  }

  async appendEvents({
    writer,
    events,
  }: {
    readonly writer: string;
    readonly events: readonly TallyEvent[];
  }): Promise<readonly Acknowledgement[]> {
    if (events.length === 0) throw new RangeError("events: expected at least one, got none");
    return this.#counted(async () => {
      const candidates = events.map((event) =>
        unsignedCandidate(this.#hashSession(event), writer, this.#options.random(32)),
      );
      const answers = await new Promise<readonly Acknowledgement[]>((resolve, reject) =>
        this.#sequencer.submit({ kind: "unsigned", writer, candidates, resolve, reject }),
      );
      return answers.map((answer) => this.#withState(answer));
    });
  }

  async appendBatch({
    writer,
    batch,
  }: {
    readonly writer: string;
    readonly batch: Uint8Array;
  }): Promise<BatchAcknowledgement> {
    return this.#counted(async () => {
      const verified = batchCandidates(batch, this.origin);
      const { entries, tagKeys } = await new Promise<BatchAcknowledgement>((resolve, reject) =>
        this.#sequencer.submit({ kind: "signed", writer, batch: verified, resolve, reject }),
      );
      return { entries: entries.map((answer) => this.#withState(answer)), tagKeys };
    });
  }

  #hashSession(event: TallyEvent): TallyEvent {
    return normaliseSession(event, (id) => {
      const secret = this.#secrets.secret("session-id");
      return new Uint8Array(createHmac("sha256", secret).update(id, "utf8").digest());
    });
  }

  #withState(answer: Acknowledgement): Acknowledgement {
    if (answer.duplicate === true) this.#counters.duplicates += 1;
    return { ...answer, state: this.stateOf(answer.index) };
  }

  async #counted<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      this.#counters[error instanceof LogError && error.code === "log-overloaded" ? "overloaded" : "refused"] += 1;
      throw error;
    }
  }

  async waitFor(input: {
    readonly index: number;
    readonly state: EntryState;
    readonly timeoutMs: number;
    readonly signal?: AbortSignal;
  }): Promise<EntryState> {
    this.#assertIndex(input.index);
    const signal =
      input.signal === undefined ? this.#closing.signal : AbortSignal.any([input.signal, this.#closing.signal]);
    return this.#published.waitFor({ ...input, signal });
  }

  stateOf(index: number): EntryState {
    this.#assertIndex(index);
    return this.#published.stateOf(index);
  }

  size(): number {
    return this.#sequencer.range.size;
  }

  publishedSize(): number {
    return this.#published.size;
  }

  checkpoint(): string | undefined {
    return this.#published.head?.note;
  }

  async checkpoints({ limit = 100, before }: { readonly limit?: number; readonly before?: number } = {}): Promise<
    readonly PublishedCheckpoint[]
  > {
    const range = {
      reverse: true,
      limit: Math.min(limit, CHECKPOINTS_MAX),
      ...(before === undefined ? {} : { lt: indexKey(before) }),
    };
    const heads: PublishedCheckpoint[] = [];
    for await (const { value } of this.#storage.scanRows(TABLE.checkpoint, range)) {
      const { size, rootHash, note, signedAt } = decodeSignedHead(value);
      heads.push({ size, rootHash, note, publishedAt: signedAt });
    }
    return heads;
  }

  async readTile(tile: TileId): Promise<Uint8Array | undefined> {
    return (await this.#isPublishedTile(tile)) ? this.#tiles.read(tile) : undefined;
  }

  async readBundle({
    index,
    width,
  }: {
    readonly index: number;
    readonly width: number;
  }): Promise<Uint8Array | undefined> {
    if (!(await this.#isPublishedTile({ level: 0, index, width }))) return undefined;
    const hashes = await this.#tiles.read({ level: 0, index, width });
    const keys = Array.from({ length: width }, (_, at) => indexKey(index * TILE_WIDTH + at));
    const entries = await this.#storage.getRows(TABLE.leaf, keys);
    return encodeEntryBundle(
      entries.map((entry, at) =>
        this.#checkedEntry(entry, hashes.subarray(32 * at, 32 * at + 32), index * TILE_WIDTH + at),
      ),
    );
  }

  /** A full tile below the published size, or a partial one that some published head ends with. */
  async #isPublishedTile({ level, index, width }: TileId): Promise<boolean> {
    const end = Number(index) * TILE_WIDTH + width;
    if (!Number.isSafeInteger(end) || level > 6 || end > hashesAtLevel(this.#published.size, level)) return false;
    if (width === TILE_WIDTH) return true;
    const span = 2 ** (8 * level);
    const range = { gte: indexKey(end * span), lt: indexKey((end + 1) * span), limit: 1 };
    for await (const _row of this.#storage.scanRows(TABLE.checkpoint, range)) return true;
    return false;
  }

  async readLeaf(index: number): Promise<Uint8Array> {
    this.#assertIndex(index);
    const size = this.size();
    const [entry, hash] = await Promise.all([
      this.#storage.getRow(TABLE.leaf, indexKey(index)),
      this.#tiles.node({ level: 0, index }, size),
    ]);
    return this.#checkedEntry(entry, hash, index);
  }

  #checkedEntry(entry: Uint8Array | undefined, hash: Hash, index: number): Uint8Array {
    if (entry !== undefined && equalBytes(hashLeaf(entry), hash)) return entry;
    const what = entry === undefined ? "is missing from the storage" : "is not the one whose hash is in the tree";
    throw new LogError("log-corrupt", `index ${index}: the entry ${what}: run fsck, and restore it from a copy`, {
      details: { index },
    });
  }

  async readEvent({
    index,
    reader,
    purpose,
  }: {
    readonly index: number;
    readonly reader: string;
    readonly purpose?: string;
  }): Promise<ReadEvent> {
    const leaf = await this.readLeaf(index);
    await this.#sequencer.report({
      type: "log.read",
      actor: { type: "credential", id: reader },
      ...(purpose === undefined ? {} : { reason: purpose }),
      context: { indexes: [index], count: 1 },
    });
    this.#counters.reads += 1;
    const { opening, event } = await this.#open(index, leaf);
    return { index, leaf, opening, event, state: this.stateOf(index) };
  }

  async #open(index: number, leaf: Uint8Array): Promise<{ readonly opening: Uint8Array; readonly event: TallyEvent }> {
    const row = await this.#storage.getRow(TABLE.sealed, indexKey(index));
    if (row === undefined)
      throw new LogError("log-corrupt", `index ${index}: the sealed event is missing from the storage: run fsck`, {
        details: { index },
      });
    const opening = this.#secrets.open({ row, commitment: decodeLeaf(leaf).commitment, index });
    return { opening, event: decodeEvent(decodeOpening(opening).event) };
  }

  async receipt(
    index: number,
    { signatures = "minimal" }: { readonly signatures?: "minimal" | "all" } = {},
  ): Promise<string> {
    this.#assertIndex(index);
    const { head } = this.#published;
    if (head === undefined || index >= head.size) {
      throw new LogError("receipt-not-ready", `index ${index} is durable, but no published head covers it yet`, {
        details: { state: "durable", retryAfterSeconds: 1 },
      });
    }
    const leaf = await this.readLeaf(index);
    const hashes = await this.#tiles.prove(planInclusion({ index, size: head.size }), head.size);
    try {
      verifyInclusion({ index, size: head.size, leafHash: hashLeaf(leaf), rootHash: head.rootHash, proof: hashes });
    } catch (cause) {
      throw new LogError(
        "log-corrupt",
        `index ${index}: the stored tiles do not lead to the published root: run fsck`,
        { cause, details: { index } },
      );
    }
    const checkpoint = signatures === "all" ? head.note : selectSignatures({ note: head.note, policy: this.#policy });
    return formatTlogProof({ extra: leaf, index: BigInt(index), hashes, checkpoint });
  }

  async inclusionProof({
    index,
    size = this.publishedSize(),
  }: {
    readonly index: number;
    readonly size?: number;
  }): Promise<{ readonly size: number; readonly hashes: readonly Hash[] }> {
    this.#assertPublishedSize(size);
    if (index >= size) throw new LogError("index-unknown", `index ${index} is not below the size ${size}`);
    return { size, hashes: await this.#tiles.prove(planInclusion({ index, size }), size) };
  }

  async consistencyProof({ from, to }: { readonly from: number; readonly to: number }): Promise<readonly Hash[]> {
    this.#assertPublishedSize(to);
    if (from > to) throw new LogError("size-unknown", `from: expected at most ${to}, got ${from}`);
    return this.#tiles.prove(planConsistency({ from, to }), to);
  }

  #assertPublishedSize(size: number): void {
    if (size <= this.publishedSize()) return;
    throw new LogError("size-unknown", `size ${size} is above the published size ${this.publishedSize()}`);
  }

  #assertIndex(index: number): void {
    if (Number.isSafeInteger(index) && index >= 0 && index < this.size()) return;
    throw new LogError("index-unknown", `index ${index}: the log has ${this.size()} entries`, { details: { index } });
  }

  async *tail({ from = this.size(), reader, signal }: TailOptions): AsyncIterable<TailItem> {
    const ended = AbortSignal.any([signal, this.#closing.signal]);
    await this.#recordTail(reader);
    let next = from;
    let shown = this.#published.head?.note;
    while (!ended.aborted) {
      for (; next < this.size() && !ended.aborted; next += 1) {
        await this.#recordTail(reader);
        yield await this.#tailEntry(next);
      }
      const { head } = this.#published;
      if (head !== undefined && head.note !== shown) {
        shown = head.note;
        yield { kind: "checkpoint", size: head.size, note: head.note };
      }
      if (next >= this.size() && shown === this.#published.head?.note) await this.#commits.wait(60_000, ended);
    }
  }

  async #tailEntry(index: number): Promise<TailItem> {
    const leaf = await this.readLeaf(index);
    const entry = { kind: "entry", index, state: this.stateOf(index), leaf } as const;
    try {
      return { ...entry, event: (await this.#open(index, leaf)).event };
    } catch (error) {
      if (error instanceof LogError && error.code === "erased") return entry;
      throw error;
    }
  }

  /** One entry an hour and reader, before the first contents are given. */
  async #recordTail(reader: string): Promise<void> {
    const now = performance.now();
    if (now - (this.#tailReads.get(reader) ?? -Infinity) < TAIL_READ_INTERVAL_MS) return;
    this.#tailReads.set(reader, now);
    await this.#sequencer.report({
      type: "log.read",
      actor: { type: "credential", id: reader },
      context: { tail: true },
    });
  }

  status(): LogStatus {
    const witnesses = this.#publisher.workers.map(({ status }) => status);
    const base = {
      size: this.size(),
      publishedSize: this.publishedSize(),
      queuedEntries: this.#sequencer.queuedEntries,
      witnesses,
    };
    const { stopped } = this.#sequencer;
    if (stopped !== undefined)
      return { ...base, state: "stopped", reasons: [{ code: stopped.code, message: stopped.message }] };
    if (this.#isStarting) return { ...base, state: "starting", reasons: this.#reasons };
    const reasons = this.#troubles();
    return { ...base, state: reasons.length === 0 ? "ok" : "degraded", reasons };
  }

  #troubles(): Reason[] {
    const reasons: Reason[] = [];
    const reading = this.#clock.read();
    if (!reading.ok) reasons.push({ code: "clock-jumped", message: reading.message });
    const { quorumMissing, workers } = this.#publisher;
    if (quorumMissing.length > 0) {
      const why = workers.flatMap(({ status: { name, state, lastError } }) =>
        state === "ok" ? [] : [`${name}: ${lastError ?? "no answer yet"}`],
      );
      const message = `no quorum for a head above size ${this.publishedSize()}; missing ${quorumMissing.join(", ")}${why.length === 0 ? "" : ` (${why.join("; ")})`}`;
      reasons.push({ code: "quorum-not-met", message });
    }
    return reasons;
  }

  counters(): LogCounters {
    const witnessErrors = this.#publisher.workers.reduce((sum, { errors }) => sum + errors, 0);
    return { ...this.#counters, ...this.#sequencer.counters, ...this.#publisher.counters, witnessErrors };
  }

  async close({ graceMs = GRACE_MS }: { readonly graceMs?: number } = {}): Promise<void> {
    await this.#sequencer.close(graceMs);
    this.#closing.abort();
    this.#published.notify();
    this.#commits.notify();
    await this.#starting.catch(() => undefined);
    await this.#publisher.close();
  }
}
