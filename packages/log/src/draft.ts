/**
 * One commit in the making: which submissions are taken, at which indexes, and what their leaves are.
 *
 * Decides against what is stored plus what this same commit already holds; touches nothing until it is committed.
 */
import { HASH_BYTES, encodeHex, equalBytes, hashLeaf, hashLeaves, invariant } from "@tallystick/core";
import {
  type Leaf,
  catalogueEntry,
  dayOf,
  decodeLeaf,
  decodeOpening,
  encodeCbor,
  encodeLeaves,
  streamId,
} from "@tallystick/events";
import { type LogStorage, type Row, type Run, StorageError, indexKey } from "@tallystick/storage";
import {
  type Candidate,
  type Committed,
  type OwnContext,
  type OwnEvent,
  type SentCandidate,
  type SignedCandidate,
  commitAll,
  ownCandidate,
} from "./candidate.ts";
import { CHAIN_KINDS, type ChainEnds } from "./chain-ends.ts";
import { findErased, findErasedTag } from "./disposition/erased.ts";
import type { Ledger, LedgerEntry } from "./disposition/ledger.ts";
import { LogError } from "./error.ts";
import type { OwnStream } from "./heads.ts";
import type { LogSecrets, PlacedContents, Tags } from "./keys.ts";
import type { KnownIds } from "./known-ids.ts";
import type { Acknowledgement, SenderKeyRule } from "./log-api.ts";
import type { Submission } from "./queue.ts";
import {
  type ChainEnd,
  type ChainKind,
  type KnownId,
  type StreamEnd,
  TABLE,
  batchKey,
  commitmentCheck,
  decodePlacedBatch,
  decodeStreamEnd,
  encodeKnownId,
  encodePlacedBatch,
  encodeStreamEnd,
} from "./rows.ts";

export interface DraftContext {
  readonly storage: LogStorage;
  readonly secrets: LogSecrets;
  readonly random: (bytes: number) => Uint8Array;
  readonly origin: string;
  readonly senderSeed: Uint8Array;
  /** As the rules in force have them. */
  readonly senderKeys: () => readonly SenderKeyRule[];
  readonly ledger: Ledger;
  readonly pinFirstSenderKey: boolean;
  readonly chainEnds: ChainEnds;
  readonly knownIds: KnownIds;
}

export interface DraftBase {
  readonly size: number;
  readonly loggedAt: number;
  readonly own: OwnStream;
  /** Ms since 1970, believed. */
  readonly now: number;
}

interface StoredEntry {
  readonly leaf: Uint8Array | undefined;
  readonly sealed: Uint8Array | undefined;
}

interface Placed {
  readonly candidate: Candidate;
  readonly index: number;
}

export interface Built {
  readonly leaves: readonly Uint8Array[];
  /** One after the other. */
  readonly leafHashes: Uint8Array;
  readonly rows: readonly Row[];
  readonly runs: readonly Run[];
  readonly loggedAt: number;
  readonly own: OwnStream;
  /** Whether anything but a log.head is among them, behind the last log.head if there is one. */
  readonly others: boolean;
  readonly headLogged: boolean;
}

/** Answers a submission once its commit is durable. */
type Answer = (built: Built) => void;

export class Draft {
  readonly #context: DraftContext;
  readonly #base: DraftBase;
  readonly #placed: Placed[] = [];
  readonly #answers: Answer[] = [];
  readonly #ids = new Map<string, Placed>();
  #storedIds: ReadonlyMap<string, KnownId> = new Map();
  /** By index: what is there under ids and numbers that were sent again. */
  readonly #storedEntries = new Map<number, StoredEntry>();
  readonly #streams = new Map<string, StreamEnd>();
  readonly #batches = new Map<
    string,
    { readonly firstIndex: number; readonly candidates: readonly SignedCandidate[] }
  >();
  readonly #pinned = new Map<string, Uint8Array>();
  /** What events of the log's own bring with them. */
  readonly #rowsBeside: Row[] = [];
  readonly #loggedAt: number;
  #nextOwn: number;

  constructor(context: DraftContext, base: DraftBase) {
    this.#context = context;
    this.#base = base;
    this.#nextOwn = base.own.nextSequence;
    this.#loggedAt = Math.max(base.loggedAt, base.now);
  }

  get size(): number {
    return this.#placed.length;
  }

  /** Reads in one go which ids of these submissions are known already, and what stands under those. */
  async prefetch(submissions: readonly Submission[]): Promise<void> {
    this.#storedIds = await this.#context.knownIds.read(submissions.flatMap(idKeysOf));
    await this.#readEntries([...this.#storedIds.values()].map(({ index }) => index));
  }

  async #readEntries(indexes: readonly number[]): Promise<void> {
    if (indexes.length === 0) return;
    const { storage } = this.#context;
    const keys = indexes.map(indexKey);
    try {
      const [leaves, sealed] = [await storage.getRows(TABLE.leaf, keys), await storage.getRows(TABLE.sealed, keys)];
      for (const [at, index] of indexes.entries())
        this.#storedEntries.set(index, { leaf: leaves[at], sealed: sealed[at] });
    } catch (error) {
      // Who sent these again is refused for it, by what asks for the entries; others are not.
      if (!(error instanceof StorageError) || error.code !== "storage-corrupt") throw error;
    }
  }

  /** Takes a submission whole, or rejects it whole. Where that takes no look at the storage, it is done at once. */
  admit(submission: Submission): Promise<void> | undefined {
    if (submission.kind === "unsigned" && this.#areNew(submission.candidates)) return this.#admitNew(submission);
    return this.#admitSlowly(submission);
  }

  async #admitSlowly(submission: Submission): Promise<void> {
    try {
      switch (submission.kind) {
        case "unsigned":
          return await this.#admitUnsigned(submission);
        case "signed":
          return await this.#admitSigned(submission);
        case "own":
          return this.#admitOwn(submission);
      }
    } catch (error) {
      submission.reject(error);
    }
  }

  /** Whether no id of these is known, here or on disk, and none is there twice: so it is with almost all. */
  #areNew(candidates: readonly SentCandidate[]): boolean {
    for (const { idKey } of candidates) if (this.#ids.has(idKey) || this.#storedIds.has(idKey)) return false;
    return candidates.length === 1 || new Set(candidates.map(({ idKey }) => idKey)).size === candidates.length;
  }

  #admitNew({ candidates, resolve }: Extract<Submission, { kind: "unsigned" }>): undefined {
    const from = this.#placed.length;
    for (const candidate of candidates) this.#ids.set(candidate.idKey, this.#place(candidate));
    this.#answers.push((built) => {
      const answers: Acknowledgement[] = [];
      for (let at = from; at < from + candidates.length; at += 1) answers.push(this.#acknowledgeAt(at, built));
      resolve(answers);
    });
  }

  /** Answers everything; call when the commit is durable. */
  settle(built: Built): void {
    for (const answer of this.#answers) answer(built);
  }

  async #admitUnsigned({ candidates, resolve }: Extract<Submission, { kind: "unsigned" }>): Promise<void> {
    const known: (Placed | Acknowledgement | undefined)[] = [];
    const fresh = new Map<string, Candidate>();
    for (const [entry, candidate] of candidates.entries()) {
      const key = candidate.idKey;
      const twin = fresh.get(key);
      if (twin !== undefined && !equalBytes(twin.eventBytes, candidate.eventBytes))
        throw conflict(entry, candidate, undefined);
      const found = await this.#findUnsigned(candidate, entry);
      known.push(found);
      if (twin === undefined && found === undefined) fresh.set(key, candidate);
    }
    for (const [key, candidate] of fresh) this.#ids.set(key, this.#place(candidate));
    const places = candidates.map((candidate, entry) => known[entry] ?? this.#ids.get(candidate.idKey));
    const seen = new Set<Placed>();
    this.#answers.push((built) => {
      const answers = places.map((place, entry) => {
        if (place === undefined) throw new RangeError(`entry ${entry} has no place`);
        if (!("candidate" in place)) return place;
        const again = known[entry] !== undefined || seen.has(place);
        seen.add(place);
        return { ...this.#acknowledge(place, built), ...(again ? { duplicate: true as const } : {}) };
      });
      resolve(answers);
    });
  }

  /** What stands under an id already, if it is the same event. @throws {LogError} `id-conflict`, `erased` */
  async #findUnsigned(candidate: SentCandidate, entry: number): Promise<Placed | Acknowledgement | undefined> {
    const here = this.#ids.get(candidate.idKey);
    if (here !== undefined) {
      if (equalBytes(here.candidate.eventBytes, candidate.eventBytes)) return here;
      throw conflict(entry, candidate, here.index);
    }
    const stored = this.#storedIds.get(candidate.idKey);
    if (stored === undefined) return undefined;
    const { leaf, bytes } = this.#storedLeaf(stored.index);
    const row = this.#storedEntries.get(stored.index)?.sealed;
    const erased = await findErased(this.#context.storage, { index: stored.index, leaf, row });
    if (row === undefined || erased !== undefined) {
      const text = `id ${candidate.id} was logged at index ${stored.index}, and its contents were erased`;
      const details = {
        entry,
        index: stored.index,
        ...(erased === undefined ? {} : { certificate: erased.certificate }),
      };
      throw new LogError("erased", text, { details });
    }
    const opening = this.#context.secrets.open({ row, commitment: leaf.commitment, index: stored.index });
    if (!equalBytes(decodeOpening(opening).event, candidate.eventBytes)) throw conflict(entry, candidate, stored.index);
    return duplicateOf(candidate.id, stored.index, bytes, leaf);
  }

  async #admitSigned({ writer, batch, resolve }: Extract<Submission, { kind: "signed" }>): Promise<void> {
    const { stream, first, candidates, publicKey } = batch;
    const expected = (await this.#streamEnd(stream))?.next ?? 1;
    const again = first < expected ? await this.#findBatch(stream, first, candidates) : undefined;
    if (again !== undefined) {
      // The answer holds keys of tags: who has the batch and a token need not be its sender.
      await this.#assertSender({ writer, publicKey, index: again[0]?.index ?? 0, count: again.length, pins: false });
      await this.#refuseErased(again);
      this.#answers.push((built) => {
        const tagKeys = this.#context.secrets.tagKeysOf(candidates);
        resolve({
          entries: again.map((place) =>
            "candidate" in place ? { ...this.#acknowledge(place, built), duplicate: true } : place,
          ),
          tagKeys,
        });
      });
      return;
    }
    if (first !== expected) {
      const text = `stream ${stream}: expected sequence ${expected}, got a batch that begins with ${first}`;
      throw new LogError("sequence-gap", text, { details: { expected } });
    }
    this.#refuseKnownIds(candidates);
    const index = this.#base.size + this.#placed.length;
    await this.#assertSender({ writer, publicKey, index, count: candidates.length, pins: true });
    const places = candidates.map((candidate) => {
      const place = this.#place(candidate);
      this.#ids.set(candidate.idKey, place);
      return place;
    });
    const firstIndex = places[0]?.index ?? 0;
    this.#streams.set(stream, { next: first + candidates.length, lastIndex: firstIndex + candidates.length - 1 });
    this.#batches.set(batchKey(stream, first), { firstIndex, candidates });
    this.#answers.push((built) => {
      const tagKeys = this.#context.secrets.tagKeysOf(candidates);
      resolve({ entries: places.map((place) => this.#acknowledge(place, built)), tagKeys });
    });
  }

  /** What was erased since has no keys any more that its tags could be checked with. @throws {LogError} `erased` */
  async #refuseErased(again: readonly (Placed | Acknowledgement)[]): Promise<void> {
    for (const [entry, place] of again.entries()) {
      if ("candidate" in place) continue;
      const { sealed: row } = this.#storedEntries.get(place.index) ?? {};
      const stored = { index: place.index, leaf: decodeLeaf(place.leaf), row };
      const { storage } = this.#context;
      const erased = (await findErased(storage, stored)) ?? (await findErasedTag(storage, stored));
      if (erased === undefined) continue;
      const { certificate } = erased;
      const text = `entry ${entry} was logged at index ${place.index}, and its contents, or who is in them, were erased under the certificate at index ${certificate}`;
      throw new LogError("erased", text, { details: { entry, index: place.index, certificate } });
    }
  }

  #refuseKnownIds(candidates: readonly SentCandidate[]): void {
    const own = new Set<string>();
    for (const [entry, candidate] of candidates.entries()) {
      const key = candidate.idKey;
      const index = this.#ids.get(key)?.index ?? this.#storedIds.get(key)?.index;
      if (index !== undefined || own.has(key)) throw conflict(entry, candidate, index);
      own.add(key);
    }
  }

  async #streamEnd(stream: string): Promise<StreamEnd | undefined> {
    const here = this.#streams.get(stream);
    if (here !== undefined) return here;
    const row = await this.#context.storage.getRow(TABLE.stream, stream);
    return row === undefined ? undefined : decodeStreamEnd(row);
  }

  /** The places of a batch that is logged already, with the very same commitments. */
  async #findBatch(
    stream: string,
    first: number,
    candidates: readonly SignedCandidate[],
  ): Promise<readonly (Placed | Acknowledgement)[] | undefined> {
    const here = this.#batches.get(batchKey(stream, first));
    if (here !== undefined) {
      if (!sameCommitments(here.candidates, candidates)) return undefined;
      return here.candidates.map((candidate, at) => ({ candidate, index: here.firstIndex + at }));
    }
    const row = await this.#context.storage.getRow(TABLE.batch, batchKey(stream, first));
    if (row === undefined) return undefined;
    const { firstIndex, count } = decodePlacedBatch(row);
    if (count !== candidates.length) return undefined;
    await this.#readEntries(candidates.map((_, at) => firstIndex + at));
    const answers: Acknowledgement[] = [];
    for (const [at, candidate] of candidates.entries()) {
      const { leaf, bytes } = this.#storedLeaf(firstIndex + at);
      if (!equalBytes(leaf.commitment, candidate.committed.commitment)) return undefined;
      answers.push(duplicateOf(candidate.id, firstIndex + at, bytes, leaf));
    }
    return answers;
  }

  /** @throws {LogError} `sender-key-unknown`: neither a rule nor a pin lets this key in. */
  async #assertSender(input: {
    readonly writer: string;
    readonly publicKey: Uint8Array;
    /** Where its batch stands, or would. */
    readonly index: number;
    readonly count: number;
    /** Whether the batch may be the one that pins its writer. */
    readonly pins: boolean;
  }): Promise<void> {
    const { writer, publicKey, index, count } = input;
    const { senderKeys, pinFirstSenderKey, storage } = this.#context;
    const rules = senderKeys().filter(({ publicKey: known }) => equalBytes(known, publicKey));
    if (rules.some(({ from = 0, to = Infinity }) => index >= from && index + count <= to)) return;
    const pinned = this.#pinned.get(writer) ?? (await storage.getRow(TABLE.pinned, writer));
    if (pinned !== undefined && equalBytes(pinned, publicKey)) return;
    if (pinned !== undefined || !pinFirstSenderKey || !input.pins) {
      const why =
        pinned !== undefined
          ? "this writer is pinned to another key"
          : pinFirstSenderKey
            ? "another writer brought this batch before"
            : rules.length > 0
              ? `no rule of this log takes it at index ${index}`
              : "no rule of this log names it";
      throw new LogError("sender-key-unknown", `sender key ${encodeHex(publicKey)}: ${why}`, { details: { writer } });
    }
    this.#pinned.set(writer, publicKey);
    this.#placeOwn({ type: "log.key", context: { writer, publicKey: encodeHex(publicKey), change: "pinned" } });
  }

  #admitOwn({ events, rows, resolve }: Extract<Submission, { kind: "own" }>): void {
    const places = events.map((event) => this.#placeOwn(event));
    if (rows !== undefined) this.#rowsBeside.push(...rows(places.map(({ index }) => index)));
    this.#answers.push((built) => resolve(places.map((place) => this.#acknowledge(place, built))));
  }

  /** An event of the log's own; the first ever is preceded by the start of its stream. */
  #placeOwn(event: OwnEvent): Placed {
    if (this.#nextOwn === 1 && event.type !== "stream.start") this.#placeOwn({ type: "stream.start" });
    const { origin, senderSeed, random } = this.#context;
    const context: OwnContext = {
      origin,
      seed: senderSeed,
      instance: this.#base.own.instance,
      now: this.#loggedAt,
      random,
    };
    const candidate = ownCandidate(event, this.#nextOwn, context);
    this.#nextOwn += 1;
    return this.#place(candidate);
  }

  #place(candidate: Candidate): Placed {
    const placed = { candidate, index: this.#base.size + this.#placed.length };
    this.#placed.push(placed);
    return placed;
  }

  #acknowledge({ index }: Placed, built: Built): Acknowledgement {
    return this.#acknowledgeAt(index - this.#base.size, built);
  }

  #acknowledgeAt(at: number, { leaves, leafHashes }: Built): Acknowledgement {
    const [placed, leaf] = [this.#placed[at], leaves[at]];
    if (placed === undefined || leaf === undefined) throw new RangeError(`place ${at} is not in this commit`);
    const { candidate, index } = placed;
    const leafHash = leafHashes.slice(HASH_BYTES * at, HASH_BYTES * (at + 1));
    return { id: candidate.id, index, loggedAt: this.#loggedAt, leaf, leafHash, state: "durable" };
  }

  /** Of an entry that was read before. */
  #storedLeaf(index: number): { readonly leaf: Leaf; readonly bytes: Uint8Array } {
    const bytes = this.#storedEntries.get(index)?.leaf;
    if (bytes === undefined)
      throw new LogError("log-corrupt", `index ${index}: the entry is missing from the storage, or damaged: run fsck`, {
        details: { index },
      });
    return { leaf: decodeLeaf(bytes), bytes };
  }

  /** Builds leaves and rows for everything that was placed. */
  async build(): Promise<Built> {
    const { secrets, random } = this.#context;
    const contents = this.#commitToAll();
    const tags = contents.map(({ candidate }) => secrets.tagsOf(candidate));
    const chains = await this.#chainEnds(tags);
    const leaves = encodeLeaves(
      contents.map((each, at) => this.#leafOf(each, extend(chains, tags[at] ?? NO_TAGS, this.#base.size + at))),
    );
    const day = dayOf(this.#loggedAt);
    const sealed = secrets.sealAll(contents, day, random);
    const ledger = await this.#context.ledger.extend(
      this.#placed.map(({ candidate, index }) => this.#ledgerEntry(candidate, index)),
      day,
    );
    const first = this.#base.size;
    const types = this.#placed.map(({ candidate }) => candidate.type);
    return {
      leaves,
      leafHashes: hashLeaves(leaves),
      rows: [...this.#indexRows(chains, contents), ...ledger, ...this.#rowsBeside],
      runs: [
        { table: TABLE.leaf, first, values: leaves },
        { table: TABLE.sealed, first, values: sealed },
      ],
      loggedAt: this.#loggedAt,
      own: { ...this.#base.own, nextSequence: this.#nextOwn },
      // What stands before a log.head in the same commit, such as the stream.start that it caused, did not come since.
      others: types.lastIndexOf("log.head") < types.length - 1,
      headLogged: types.includes("log.head"),
    };
  }

  /** What was placed, in order, with the commitments of its senders, or with new ones. */
  #commitToAll(): PlacedContents[] {
    const unsigned = this.#placed.filter(({ candidate }) => candidate.committed === undefined);
    const made = commitAll(
      unsigned.map(({ candidate }) => candidate.eventBytes),
      this.#context.random,
    ).values();
    return this.#placed.map(({ candidate }) => {
      const committed: Committed | undefined = candidate.committed ?? made.next().value;
      invariant(committed !== undefined, "what is placed is committed to");
      return { candidate, committed };
    });
  }

  #ledgerEntry({ class: retentionClass, type, actor, subject, day }: Candidate, index: number): LedgerEntry {
    const hasPerson = actor !== undefined || subject !== undefined;
    // Types of the log's own nobody else can send; their actors are credentials.
    const reference =
      actor !== undefined && catalogueEntry(type)?.reporter === "log"
        ? this.#context.secrets.existingReference(actor)
        : undefined;
    return {
      class: retentionClass,
      index,
      personDay: hasPerson ? day : undefined,
      credential: reference === undefined ? undefined : encodeHex(reference),
    };
  }

  async #chainEnds(tags: readonly Tags[]): Promise<Map<string, ChainEnd>> {
    const keys = new Set<string>();
    for (const own of tags) {
      for (const kind of CHAIN_KINDS) {
        const chain = own[kind];
        if (chain !== null) keys.add(chain.key);
      }
    }
    return this.#context.chainEnds.read(keys);
  }

  #leafOf({ candidate, committed }: PlacedContents, chains: Pick<Leaf, ChainKind>): Leaf {
    const { stream, sequence, signature } = candidate;
    return {
      loggedAt: this.#loggedAt,
      stream,
      sequence,
      class: candidate.class,
      commitment: committed.commitment,
      ...chains,
      signature,
    };
  }

  #idRows(contents: readonly PlacedContents[]): Row[] {
    this.#context.knownIds.add([...this.#ids.keys()]);
    return [...this.#ids].map(([key, { index }]) => {
      const commitment = contents[index - this.#base.size]?.committed.commitment;
      invariant(commitment !== undefined, "an id stands for an event of this commit");
      return { table: TABLE.id, key, value: encodeKnownId({ check: commitmentCheck(commitment), index }) };
    });
  }

  #indexRows(chains: ReadonlyMap<string, ChainEnd>, contents: readonly PlacedContents[]): Row[] {
    const first = this.#base.size;
    const rows = this.#context.chainEnds.commit(chains, { first, size: first + this.#placed.length });
    rows.push(...this.#idRows(contents));
    for (const [key, end] of this.#streams) rows.push({ table: TABLE.stream, key, value: encodeStreamEnd(end) });
    for (const [key, { firstIndex, candidates }] of this.#batches) {
      rows.push({ table: TABLE.batch, key, value: encodePlacedBatch({ firstIndex, count: candidates.length }) });
    }
    if (this.#base.own.nextSequence === 1 && this.#nextOwn > 1) {
      const own = streamId({ origin: this.#context.origin, ...this.#base.own });
      rows.push({ table: TABLE.own, key: encodeHex(own), value: encodeCbor([]) });
    }
    for (const [key, value] of this.#pinned) rows.push({ table: TABLE.pinned, key, value });
    return rows;
  }
}

const NO_TAGS: Tags = { session: null, actor: null, subject: null, tenant: null };

/** Moves the ends of chains to the entry at `index`; gives its places in them. */
function extend(ends: Map<string, ChainEnd>, tags: Tags, index: number): Pick<Leaf, ChainKind> {
  const places: Record<ChainKind, Leaf[ChainKind]> = { session: null, actor: null, subject: null, tenant: null };
  for (const kind of CHAIN_KINDS) {
    const chain = tags[kind];
    if (chain === null) continue;
    const end = ends.get(chain.key);
    ends.set(chain.key, { count: (end?.count ?? 0) + 1, last: index });
    places[kind] = { tag: chain.tag, n: end?.count ?? 0, prev: end?.last ?? null };
  }
  return places;
}

function idKeysOf(submission: Submission): string[] {
  if (submission.kind === "own") return [];
  const candidates = submission.kind === "unsigned" ? submission.candidates : submission.batch.candidates;
  return candidates.map(({ idKey }) => idKey);
}

function sameCommitments(a: readonly SignedCandidate[], b: readonly SignedCandidate[]): boolean {
  return (
    a.length === b.length &&
    a.every(({ committed }, at) => equalBytes(committed.commitment, b[at]?.committed.commitment ?? new Uint8Array()))
  );
}

function duplicateOf(id: string, index: number, leaf: Uint8Array, { loggedAt }: Leaf): Acknowledgement {
  return { id, index, loggedAt, leaf, leafHash: hashLeaf(leaf), state: "durable", duplicate: true };
}

function conflict(entry: number, { id }: Candidate, index: number | undefined): LogError {
  const where = index === undefined ? "in the same request" : `at index ${index}`;
  return new LogError(
    "id-conflict",
    `entry ${entry}: id ${id} stands ${where} with other contents, or under another number`,
    {
      details: { entry, ...(index === undefined ? {} : { index }) },
    },
  );
}
