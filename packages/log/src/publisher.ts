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
  equalBytes,
  evaluateQuorum,
  formatCheckpoint,
  formatNote,
  hashLeaf,
  parseNote,
  selectSignatures,
  signNote,
  verifyCheckpoint,
} from "@tallystick/core";
import { type LogStorage, indexKey } from "@tallystick/storage";
import type { LogClock } from "./clock.ts";
import { LogError } from "./error.ts";
import { type SignedHead, decodeSignedHead, encodeSignedHead } from "./heads.ts";
import type { LogLogger, WitnessTarget } from "./log-api.ts";
import type { News } from "./news.ts";
import type { Published } from "./published.ts";
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
  readonly logger: LogLogger;
}

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
  #publishing: Promise<void> = Promise.resolve();
  #closed = false;
  #loop: Promise<void> | undefined;

  constructor(options: PublisherOptions) {
    this.#options = options;
    this.#signed = options.signed.head;
    this.#signedVersion = options.signed.version;
    this.#publishedVersion = options.publishedVersion;
    this.#headLoggedAt = options.monotonic();
    const { sequencer, storage, fetch, witnessTimeoutMs, monotonic } = options;
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
          onCosignature: (_worker, head, lines) => this.#takeLines(head, lines),
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

  start(): void {
    this.#loop = this.#run();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#options.commits.notify();
    await this.#loop;
    await this.#publishing;
  }

  async #run(): Promise<void> {
    const { sequencer, commits, publishIntervalMs, logger } = this.#options;
    while (!this.#closed && sequencer.stopped === undefined) {
      const began = this.#options.monotonic();
      try {
        await this.#logHead();
        await this.#round();
      } catch (cause) {
        if (sequencer.stopped !== undefined || this.#closed) return;
        const message = cause instanceof Error ? cause.message : String(cause);
        logger.warn("publishing stopped", { message });
        sequencer.stop(
          cause instanceof LogError
            ? cause
            : new LogError("log-stopped", `no head could be published: ${message}; start the log again`, { cause }),
        );
        return;
      }
      const left = publishIntervalMs - (this.#options.monotonic() - began);
      if (left > 0 && !this.#closed) await new Promise((resolve) => setTimeout(resolve, left));
      else await new Promise((resolve) => setImmediate(resolve));
      if (!this.#isDue()) await commits.wait(1000);
    }
  }

  #isDue(): boolean {
    const { sequencer, published, freshnessIntervalMs, monotonic } = this.#options;
    const unpublished =
      this.#signed === undefined ||
      this.#signed.size < sequencer.range.size ||
      published.size < this.#signed.size ||
      published.head === undefined;
    return unpublished || monotonic() - this.#askedAt >= freshnessIntervalMs;
  }

  /** One head: signed if there is a new one, then brought to the witnesses. */
  async #round(): Promise<void> {
    if (!this.#isDue()) return;
    const { sequencer } = this.#options;
    const isNew = this.#signed === undefined || this.#signed.size < sequencer.range.size;
    const head = isNew ? await this.#sign() : this.#signed;
    if (head === undefined) return;
    this.#askedAt = this.#options.monotonic();
    await this.#publishIfMet(head);
    if (this.workers.length === 0) return;
    const enough = Promise.withResolvers<void>();
    this.#onPublished = enough.resolve;
    // A witness that hangs is waited for only while the quorum is open.
    await Promise.race([Promise.all(this.workers.map(async (worker) => worker.ask(head))), enough.promise]);
    await this.#publishing;
    this.#noteMissing(head);
  }

  #onPublished: () => void = () => undefined;

  #noteMissing(head: SignedHead): void {
    const { published, policy } = this.#options;
    const names = new Set(this.#witnessNames());
    this.#quorumMissing =
      published.size >= head.size && published.head !== undefined ? [] : evaluateQuorum(policy, names).missing;
  }

  #witnessNames(): string[] {
    return this.#options.policy.witnesses
      .filter(({ verifier }) => this.#lines.has(verifier.vkey))
      .map(({ name }) => name);
  }

  /** Signs the tree as it is, once its right edge was read back and hashed again. */
  async #sign(): Promise<SignedHead> {
    const { sequencer, storage, origin, signers, now } = this.#options;
    const { range } = sequencer.state.tree;
    const [size, rootHash] = [range.size, range.rootHash()];
    await assertRightEdge({ storage, size, rootHash, signed: this.#signed });
    const signedAt = now();
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

  #takeLines(head: SignedHead, lines: readonly CosignatureLine[]): void {
    this.counters.cosignatures += lines.length;
    for (const { timestamp } of lines) this.#options.clock.observe(timestamp);
    // A cosignature that comes late for an older head belongs to that head, and to no other.
    if (head !== this.#signed) return;
    for (const line of lines) this.#lines.set(line.verifier.vkey, line);
    this.#publishing = this.#publishing
      .then(async () => this.#publishIfMet(head))
      .catch((cause: unknown) => {
        const message = cause instanceof Error ? cause.message : String(cause);
        this.#options.sequencer.stop(
          new LogError("log-stopped", `a published head could not be stored: ${message}; start the log again`, {
            cause,
          }),
        );
      });
  }

  /** Publishes the head with the cosignatures that are there, once they meet the policy. */
  async #publishIfMet(head: SignedHead): Promise<void> {
    const { policy, published, storage, now } = this.#options;
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
    published.set({ size: head.size, rootHash: head.rootHash, note });
    this.#options.commits.notify();
    this.#onPublished();
  }

  /** Once a minute the newest published head goes into the log itself, if anything else came since. */
  async #logHead(): Promise<void> {
    const { sequencer, published, policy, headIntervalMs, monotonic } = this.#options;
    const { head } = published;
    if (head === undefined || !sequencer.state.headDue || monotonic() - this.#headLoggedAt < headIntervalMs) return;
    this.#headLoggedAt = monotonic();
    try {
      await sequencer.report({
        type: "log.head",
        context: {
          size: head.size,
          rootHash: encodeBase64(head.rootHash),
          checkpoint: selectSignatures({ note: head.note, policy }),
        },
      });
    } catch (error) {
      // Overloaded, or a clock that is not believed: the next minute will do.
      if (
        !(error instanceof LogError) ||
        !(error.code === "log-overloaded" || error.code === "clock-jumped" || error.code === "log-closed")
      )
        throw error;
    }
  }

  /** A witness does not accept our head: does it hold one that we signed, and that is not in our history? */
  async #examine(worker: WitnessWorker, sequencer: Sequencer): Promise<void> {
    const { origin, fetch, witnessTimeoutMs, logger } = this.#options;
    const monitored = await fetchMonitoredHead({ target: worker.target, origin, fetch, timeoutMs: witnessTimeoutMs });
    if (monitored.kind !== "head") return;
    const contradiction = await findContradiction({
      ...this.#options,
      tiles: new StoredTiles(this.#options.storage),
      note: monitored.note,
      size: sequencer.range.size,
      signed: this.#signed,
    });
    if (contradiction.error === undefined) {
      if (contradiction.size !== undefined) worker.learnSize(contradiction.size);
      return;
    }
    logger.warn("a witness holds a head of ours that is not in our history", { witness: worker.target.name });
    sequencer.stop(contradiction.error);
  }
}

/**
 * Reads the right edge back from the storage, down to the entries, and compares: what is signed is what is on disk.
 *
 * @throws {LogError} `log-corrupt`
 */
export async function assertRightEdge(input: {
  readonly storage: LogStorage;
  readonly size: number;
  readonly rootHash: Uint8Array;
  readonly signed: SignedHead | undefined;
}): Promise<void> {
  const { storage, size, rootHash, signed } = input;
  // A reader without memory of earlier tiles: the disk is what is asked.
  const tiles = new StoredTiles(storage);
  if (!equalBytes(await tiles.rootAt(size), rootHash)) {
    throw corrupt(`the tiles of size ${size} do not hash to the root that was computed`);
  }
  if (signed !== undefined && !equalBytes(await tiles.rootAt(signed.size), signed.rootHash)) {
    throw corrupt(`the tiles do not hash to the root that was signed for size ${signed.size}`);
  }
  if (size === 0) return;
  const index = Math.floor((size - 1) / 256);
  const width = size - index * 256;
  const hashes = await tiles.read({ level: 0, index, width });
  const leaves = await storage.getRows(
    TABLE.leaf,
    Array.from({ length: width }, (_, at) => indexKey(index * 256 + at)),
  );
  for (const [at, leaf] of leaves.entries()) {
    if (leaf === undefined || !equalBytes(hashLeaf(leaf), hashes.subarray(32 * at, 32 * at + 32))) {
      throw corrupt(
        `index ${index * 256 + at}: the entry ${leaf === undefined ? "is missing" : "does not hash to its leaf hash"}`,
      );
    }
  }
}

function corrupt(text: string): LogError {
  return new LogError(
    "log-corrupt",
    `${text}: nothing is signed; run fsck, and restore the data folder from before the damage`,
  );
}

export interface ContradictionInput {
  readonly origin: string;
  readonly policy: Policy;
  readonly tiles: StoredTiles;
  /** The head that a witness shows. */
  readonly note: string;
  /** Of our integrated tree. */
  readonly size: number;
  readonly signed: SignedHead | undefined;
}

/**
 * Whether a head that a witness shows bears our own signature and is not in our history: then we were rolled back or
 * forked. A head without our valid signature says nothing about us.
 */
export async function findContradiction(
  input: ContradictionInput,
): Promise<{ readonly error?: LogError; readonly size?: number }> {
  const { origin, policy, tiles, note, signed } = input;
  const head = ownHead(note, policy, origin);
  if (head === undefined) return {};
  const known = signed?.size ?? 0;
  if (head.size > known) {
    const text = `a witness holds a head of size ${head.size} that bears this log's own signature, but this storage's newest is of size ${known}: it was put back to an older state. Restore the newest copy; do not write to this one`;
    return {
      error: new LogError("log-rolled-back", text, {
        details: { theirs: head.size, ours: known, checkpoints: [signed?.note ?? null, note] },
      }),
    };
  }
  if (!equalBytes(await tiles.rootAt(head.size), head.rootHash)) {
    const text = `a witness holds a head of size ${head.size} that bears this log's own signature and has another root than this storage: two logs were run with one key`;
    return {
      error: new LogError("log-forked", text, {
        details: { size: head.size, checkpoints: [signed?.note ?? null, note] },
      }),
    };
  }
  return { size: head.size };
}

function ownHead(note: string, policy: Policy, origin: string): { size: number; rootHash: Uint8Array } | undefined {
  try {
    const { checkpoint } = verifyCheckpoint({ note, policy: { ...policy, witnesses: [], groups: [], quorum: "none" } });
    if (checkpoint.origin !== origin || checkpoint.size > BigInt(Number.MAX_SAFE_INTEGER)) return undefined;
    return { size: Number(checkpoint.size), rootHash: checkpoint.rootHash };
  } catch {
    return undefined;
  }
}

/** The heads that are stored. @throws {LogError} `log-corrupt` */
export async function readHeads(storage: LogStorage): Promise<{
  readonly signed: { readonly version: number; readonly head: SignedHead | undefined };
  readonly published: { readonly version: number; readonly head: SignedHead | undefined };
}> {
  const read = async (name: "signed" | "published"): Promise<{ version: number; head: SignedHead | undefined }> => {
    const stored = await storage.readHead(name);
    return stored === undefined
      ? { version: 0, head: undefined }
      : { version: stored.version, head: decodeSignedHead(stored.bytes) };
  };
  return { signed: await read("signed"), published: await read("published") };
}
