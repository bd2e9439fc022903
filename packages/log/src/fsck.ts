/**
 * Checks a log's own disk, all of it: entries, tree, heads, sealed events, keys, and the rows that the log decides by.
 *
 * Writes nothing. The log must not be open. Damage beneath the values, which may hide rows, is a finding of its own.
 */
import { type Hash, TILE_WIDTH, TallystickError, type Verifier, equalBytes, hashLeaf } from "@tallystick/core";
import { type Leaf, LeafAudit, decodeLeaf } from "@tallystick/events";
import { type KeyStore, type LogStorage, indexKey } from "@tallystick/storage";
import { ContentsCheck } from "./fsck/contents.ts";
import { DispositionRows } from "./fsck/disposition.ts";
import { DispositionFacts } from "./fsck/disposition-facts.ts";
import { HeadsCheck } from "./fsck/heads.ts";
import { DamagedReader, type Stored } from "./fsck/reader.ts";
import { Findings, type FsckReport } from "./fsck/report.ts";
import { type CheckedLeaf, RowsCheck } from "./fsck/rows.ts";
import { TreeReplay } from "./fsck/tree.ts";
import type { IntegratedHead } from "./heads.ts";
import { LogSecrets } from "./keys.ts";
import { TABLE } from "./rows.ts";

export interface FsckOptions {
  readonly storage: LogStorage;
  /** Without it sealed events are not opened, only their form is checked. */
  readonly keyStore?: KeyStore;
  readonly origin: string;
  /** Texts that may be those of the rules in force: the server's file. The entries have their digest only. */
  readonly rulesTexts?: readonly string[];
  /** The log's own keys: all that ever signed a head of it. */
  readonly verifiers: readonly Verifier[];
  /** Told every 256 entries. */
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

/**
 * Walks the whole log. Memory: five bytes an entry, and a few dozen bytes for each session, person and day, tenant,
 * stream, class and day, certificate with its tags, and hold.
 *
 * @throws {StorageError} `storage-unavailable`: it could not be read at all.
 */
export async function fsckLog(options: FsckOptions): Promise<FsckReport> {
  const findings = new Findings();
  const reader = new DamagedReader(options.storage, findings);
  const isReadable = await checkBeneath(options, findings);
  const heads = new HeadsCheck({ ...options, reader, findings });
  const head = isReadable ? await heads.read() : undefined;
  if (isReadable && head === undefined) await reportWithoutHead(reader, findings);
  const walk = new Walk(options, { reader, findings, heads, head: head ?? EMPTY });
  return isReadable ? walk.run() : walk.report();
}

/** Whether the entries can be read at all: where they cannot, reading may end the process instead of telling. */
async function checkBeneath({ storage, signal }: FsckOptions, findings: Findings): Promise<boolean> {
  let isReadable = true;
  const pause = async (): Promise<void> => signal?.throwIfAborted();
  for await (const { message, readable } of storage.findDamage({ pause })) {
    findings.add("storage-corrupt", undefined, message);
    isReadable &&= readable;
  }
  return isReadable;
}

const EMPTY: IntegratedHead = {
  size: 0,
  rootHash: new Uint8Array(),
  hashes: [],
  loggedAt: 0,
  own: { publicKey: new Uint8Array(32), instance: new Uint8Array(16), nextSequence: 1 },
  headDue: false,
};

/** A log that never took an event has no integrated head, and nothing else. */
async function reportWithoutHead(reader: DamagedReader, findings: Findings): Promise<void> {
  for await (const _row of reader.scan(TABLE.leaf, { limit: 1 })) {
    findings.add("head-missing", undefined, "there are entries, but no head that says how many: nothing can be judged");
  }
}

interface Parts {
  readonly reader: DamagedReader;
  readonly findings: Findings;
  readonly heads: HeadsCheck;
  readonly head: IntegratedHead;
}

class Walk {
  readonly #options: FsckOptions;
  readonly #reader: DamagedReader;
  readonly #findings: Findings;
  readonly #heads: HeadsCheck;
  readonly #head: IntegratedHead;
  readonly #tree: TreeReplay;
  readonly #contents: ContentsCheck;
  readonly #rows: RowsCheck;
  readonly #audit: LeafAudit;
  readonly #secrets: LogSecrets | undefined;
  readonly #facts: DispositionFacts = new DispositionFacts();
  #entries = 0;
  /** Up to where leaves were believed without a gap. */
  #replayedTo = 0;

  constructor(options: FsckOptions, { reader, findings, heads, head }: Parts) {
    const { origin, keyStore } = options;
    this.#options = options;
    this.#reader = reader;
    this.#findings = findings;
    this.#heads = heads;
    this.#head = head;
    this.#tree = new TreeReplay(reader, findings, head);
    this.#rows = new RowsCheck({ reader, findings, origin, size: head.size, own: head.own });
    this.#audit = new LeafAudit(origin);
    this.#secrets = keyStore === undefined ? undefined : new LogSecrets(keyStore);
    this.#contents = new ContentsCheck({
      secrets: this.#secrets,
      reader,
      findings,
      chainOf: (tag) => this.#audit.personChain(tag),
    });
  }

  async run(): Promise<FsckReport> {
    const { size } = this.#head;
    await this.#tree.readEdges();
    await this.#rows.begin();
    if (this.#heads.isDue(0)) await this.#heads.compare(this.#tree);
    for (let index = 0; index * TILE_WIDTH < size; index += 1) {
      this.#options.signal?.throwIfAborted();
      if (!(await this.#checkWindow(index, Math.min(TILE_WIDTH, size - index * TILE_WIDTH)))) break;
      this.#options.onProgress?.(Math.min(size, (index + 1) * TILE_WIDTH), size);
    }
    await this.#finish();
    return this.report();
  }

  /** Whether the storage has no entry from there on: a finding of its own, instead of one for each that is missing. */
  async #isCutAt(index: number): Promise<boolean> {
    for await (const _row of this.#reader.scan(TABLE.leaf, { gte: indexKey(index), limit: 1 })) return false;
    const { size } = this.#head;
    const text = `the head says that there are ${size} entries, but none from index ${index} on is stored`;
    this.#findings.add("leaf-missing", index, text);
    await this.#tree.append(undefined);
    return true;
  }

  /** Gives whether to go on. */
  async #checkWindow(window: number, width: number): Promise<boolean> {
    const keys = Array.from({ length: width }, (_, at) => indexKey(window * TILE_WIDTH + at));
    const stored = await this.#reader.rows(TABLE.leaf, keys);
    if (stored.every((bytes) => bytes === "missing") && (await this.#isCutAt(window * TILE_WIDTH))) return false;
    const leafHashes = stored.map((bytes): Hash | undefined =>
      typeof bytes === "string" ? undefined : hashLeaf(bytes),
    );
    const { hashes, wrong } = await this.#tree.window(window, leafHashes);
    const sealed = await this.#reader.rows(TABLE.sealed, keys);
    const believed: CheckedLeaf[] = [];
    for (const [at, bytes] of stored.entries()) {
      const index = window * TILE_WIDTH + at;
      const leaf = this.#believe(index, bytes, wrong.has(at));
      if (leaf !== undefined) {
        this.#replay(index, leaf);
        const isReplayed = this.#replayedTo === index + 1;
        const row = sealed[at] ?? "missing";
        const event = this.#contents.check(index, leaf, row, isReplayed);
        this.#facts.take({ index, leaf, event, sealed: row });
        believed.push({ index, leaf, event });
      }
      await this.#tree.append(hashes[at]);
      if (this.#heads.isDue(this.#tree.size)) await this.#heads.compare(this.#tree);
    }
    await this.#rows.checkWindow(believed);
    return true;
  }

  /** The leaf, if it is the one whose hash is in the tree. */
  #believe(index: number, bytes: Stored | undefined, isWrong: boolean): Leaf | undefined {
    if (bytes === "damaged") return undefined;
    if (bytes === undefined || bytes === "missing") {
      this.#findings.add("leaf-missing", index, `index ${index}: the entry is not stored`);
      return undefined;
    }
    if (isWrong) {
      this.#findings.add("leaf-mismatch", index, `index ${index}: the entry is not the one whose hash is in the tree`);
      return undefined;
    }
    this.#entries += 1;
    try {
      return decodeLeaf(bytes);
    } catch (error) {
      if (!(error instanceof TallystickError)) throw error;
      this.#findings.add("leaf-malformed", index, `index ${index}: ${error.message}`);
      return undefined;
    }
  }

  /** Behind a leaf that cannot be believed every chain and stream through it would look broken: there the replay ends. */
  #replay(index: number, leaf: Leaf): void {
    if (index !== this.#replayedTo) return;
    this.#replayedTo = index + 1;
    for (const { code, message } of this.#audit.check(index, leaf)) {
      if (code !== "head-not-in-history" && code !== "sender-key-unexpected")
        this.#findings.add(code, index, `index ${index}: ${message}`);
    }
  }

  async #finish(): Promise<void> {
    const { size, loggedAt } = this.#head;
    await this.#tree.finish();
    await this.#heads.finish(size);
    this.#compareHead();
    const isReplayed = this.#replayedTo === size;
    if (isReplayed) {
      for (const { code, message } of this.#audit.finish(size)) {
        if (code !== "head-not-in-history" && code !== "sender-key-unexpected")
          this.#findings.add(code, size - 1, message);
      }
      if (this.#audit.loggedAt !== loggedAt) {
        const text = `the head says that the last entry was logged at ${loggedAt}, the entries say ${this.#audit.loggedAt}`;
        this.#findings.add("head-mismatch", undefined, text);
      }
    }
    await this.#contents.finish(isReplayed ? this.#audit.loggedAt : undefined);
    await this.#rows.finish(
      isReplayed ? this.#audit.streams : undefined,
      this.#options.keyStore !== undefined && isReplayed,
    );
    if (isReplayed) await this.#checkDisposition();
    await this.#checkBeyond();
  }

  async #checkDisposition(): Promise<void> {
    const { rulesTexts = [] } = this.#options;
    const rows = new DispositionRows({ reader: this.#reader, facts: this.#facts, secrets: this.#secrets, rulesTexts });
    for await (const { code, table, key, index, message } of rows.differences()) {
      // What did not read has been reported.
      if (!this.#reader.isDamaged(table, key)) this.#findings.add(code, index, message);
    }
  }

  #compareHead(): void {
    const { size, rootHash, hashes } = this.#head;
    const own = this.#tree.hashes;
    if (own === undefined || size === 0) return;
    const rootFits = equalBytes(this.#tree.rootHash() ?? new Uint8Array(), rootHash);
    const edgeFits =
      own.length === hashes.length && own.every((hash, at) => equalBytes(hash, hashes[at] ?? new Uint8Array()));
    if (rootFits && edgeFits) return;
    this.#findings.add(
      "root-mismatch",
      size - 1,
      `the integrated head of size ${size} has another root than its entries`,
    );
  }

  async #checkBeyond(): Promise<void> {
    for (const table of [TABLE.leaf, TABLE.sealed]) {
      for await (const { key } of this.#reader.scan(table, { gte: indexKey(this.#head.size), limit: 1 })) {
        const index = Number.parseInt(key, 16);
        const text = `table ${table} has index ${index}, but the head says that there are ${this.#head.size} entries`;
        this.#findings.add("beyond-head", index, text);
      }
    }
  }

  /** What was found so far. */
  report(): FsckReport {
    const { list, total } = this.#findings;
    return {
      ok: total === 0,
      origin: this.#options.origin,
      size: this.#head.size,
      findings: list,
      findingsTotal: total,
      replayedTo: this.#replayedTo,
      counts: {
        entries: this.#entries,
        opened: this.#contents.opened,
        erased: this.#contents.erased,
        lost: this.#contents.lost,
        tiles: this.#tree.tiles,
        checkpoints: this.#heads.checkpoints,
        streams: this.#audit.streams.size,
        tags: this.#audit.tags,
        batches: this.#audit.counts.batches,
      },
    };
  }
}
