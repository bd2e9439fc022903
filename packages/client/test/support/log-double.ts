/**
 * A log server in memory, behind an injected fetch: honest by default, and then as hostile as a test asks.
 *
 * Leaves, chains, batches and heads are made by the codecs of core and events, and its witnesses' cosignatures are real.
 * What it does wrong is done through the hooks, each of which changes one thing.
 */
import {
  CompactRange,
  type Signer,
  createSigner,
  encodeBase64,
  encodeEntryBundle,
  encodeHex,
  encodeTile,
  equalBytes,
  formatCheckpoint,
  formatPolicy,
  hashLeaf,
  parseEntriesPath,
  parseTilePath,
  sha256,
  signatureLine,
  treeHash,
  utf8,
} from "@tallystick/core";
import {
  type Chain,
  type Leaf,
  type TallyEvent,
  type VerifiedBatch,
  actorTag,
  dayOf,
  encodeLeaf,
  personDayKey,
  personalId,
  subjectTag,
  tenantTag,
  verifyBatch,
} from "@tallystick/events";
import type { Fetch } from "../../src/http.ts";

export interface Acknowledged {
  index: number;
  leaf: Uint8Array;
  leafHash: Uint8Array;
}

export interface Hooks {
  /** Answers instead of the log: `undefined` lets the log answer. */
  intercept?: (request: Intercepted) => Response | Promise<Response> | undefined;
  /** Sees each batch that is taken. */
  batch?: (batch: VerifiedBatch) => void;
  /** Changes a leaf before it enters the tree; `undefined` leaves it out. */
  leaf?: (leaf: Leaf, event: TallyEvent) => Leaf | undefined;
  /** Changes the batch's leaves, by their order. */
  leaves?: (leaves: Leaf[]) => Leaf[];
  /** Changes what is answered, after the honest leaf has entered the tree. */
  acknowledge?: (entries: Acknowledged[]) => Acknowledged[];
  /** Changes the keys that it says it used. */
  personKey?: (key: Uint8Array) => Uint8Array;
}

export interface Intercepted {
  readonly method: string;
  readonly path: string;
  readonly body: Uint8Array;
  readonly signal: AbortSignal | undefined;
}

const ORIGIN = "log.example/double";
export const TOKEN = "tsk_writer_double";
const WITNESSES = ["w1", "w2", "w3"];

interface StreamState {
  expected: number;
  readonly batches: Map<number, { readonly body: Uint8Array; readonly answer: unknown }>;
}

function seedOf(name: string): Uint8Array {
  return sha256(utf8(`seed of ${name}`));
}

export class LogDouble {
  readonly origin: string = ORIGIN;
  readonly url: string = "https://log.example/double";
  readonly signer: Signer = createSigner({ name: ORIGIN, type: "ed25519", seed: seedOf("log") });
  readonly witnesses: Signer[] = WITNESSES.map((name) =>
    createSigner({ name: `${name}.example`, type: "ed25519-cosigner", seed: seedOf(name) }),
  );
  readonly policyText: string = formatPolicy({
    logs: [{ vkey: this.signer.vkey }],
    witnesses: WITNESSES.map((name, at) => ({ name, vkeys: [this.witnesses[at]?.vkey ?? ""] })),
    quorum: 2,
  });
  hooks: Hooks = {};
  now: () => number = Date.now;
  /** How far each witness's clock is off, in seconds. */
  witnessOffsets: readonly number[] = [0, 0, 0];
  /** How many witnesses cosign. */
  cosigning = 3;
  /** What is published follows what is taken in; else `publish` moves it. */
  autoPublish = true;
  leaves: Uint8Array[] = [];
  publishedSize = 0;
  /** Every batch that was posted, in order. */
  readonly posts: Uint8Array[] = [];
  requests = 0;
  readonly #streams = new Map<string, StreamState>();
  readonly #chains = new Map<string, { n: number; last: number }>();
  readonly #ids = new Map<string, Uint8Array>();
  #range = CompactRange.empty();
  #hashes: Uint8Array[] = [];

  readonly fetch: Fetch = async (input, init) => {
    this.requests += 1;
    const path = new URL(input instanceof Request ? input.url : input).pathname.replace("/double/", "");
    const body = init?.body instanceof Uint8Array ? init.body : new Uint8Array();
    const signal = init?.signal ?? undefined;
    if (path === "v1/events") this.posts.push(body.slice());
    const answer = await this.hooks.intercept?.({ method: init?.method ?? "GET", path, body, signal });
    if (answer !== undefined) return answer;
    if (path === "v1/events") return this.#append(body, new Headers(init?.headers));
    return this.#read(path);
  };

  /** Publishes everything that was taken in, or a part of it. */
  publish(size: number = this.leaves.length): void {
    this.publishedSize = size;
  }

  /** The published head with its cosignatures, of another size or under another root if so asked. */
  checkpoint(size: number = this.publishedSize): string {
    const rootHash = size === 0 ? CompactRange.empty().rootHash() : treeHash(this.#hashes.slice(0, size));
    const text = formatCheckpoint({ origin: this.origin, size: BigInt(size), rootHash, extensions: [] });
    const now = Math.floor(this.now() / 1000);
    const lines = [
      signatureLine({ signer: this.signer, noteText: text }),
      ...this.witnesses
        .slice(0, this.cosigning)
        .map((signer, at) =>
          signatureLine({ signer, noteText: text, timestamp: Math.max(0, now + (this.witnessOffsets[at] ?? 0)) }),
        ),
    ];
    return `${text}\n${lines.map((line) => `${line}\n`).join("")}`;
  }

  /** Takes the tree for another one with these leaves: the same key signs it. */
  replaceLeaves(leaves: readonly Uint8Array[]): void {
    this.leaves = [...leaves];
    this.#hashes = this.leaves.map(hashLeaf);
    this.#range = CompactRange.empty();
    for (const hash of this.#hashes) this.#range.append(hash);
    this.publishedSize = this.leaves.length;
  }

  /** Forgets streams too, as a log that was put back to an older copy does. */
  forgetStreams(expected: number): void {
    for (const state of this.#streams.values()) {
      state.expected = expected;
      state.batches.clear();
    }
  }

  personDayKeyOf(id: string, day: number): Uint8Array {
    return personDayKey({ personKey: seedOf(`person ${id}`), day });
  }

  #append(body: Uint8Array, headers: Headers): Response {
    if (headers.get("authorization") !== `Bearer ${TOKEN}`) return problem(401, "unauthenticated");
    const batch = verifyBatch({ origin: this.origin, batch: body });
    const key = encodeHex(batch.stream);
    const state = this.#streams.get(key) ?? { expected: 1, batches: new Map() };
    this.#streams.set(key, state);
    const { first } = batch.batch;
    const known = state.batches.get(first);
    if (known !== undefined && equalBytes(known.body, body)) return json(200, known.answer);
    if (first !== state.expected) return problem(409, "sequence-gap", { expected: state.expected });
    for (const [entry, { id }] of batch.events.entries()) {
      if (this.#ids.has(id)) return problem(409, "id-conflict", { entry });
      this.#ids.set(id, body);
    }
    const answer = this.#take(batch);
    state.expected = first + batch.events.length;
    state.batches.set(first, { body: body.slice(), answer });
    if (this.autoPublish) this.publish();
    return json(201, answer);
  }

  #take(batch: VerifiedBatch): unknown {
    const { events } = batch;
    this.hooks.batch?.(batch);
    const honest = events.map((event, at) => this.#leafOf(batch, event, at));
    const ordered = this.hooks.leaves?.(honest) ?? honest;
    const filed = ordered.flatMap((leaf, at) => {
      const event = events[at];
      const changed = event === undefined || this.hooks.leaf === undefined ? leaf : this.hooks.leaf(leaf, event);
      return changed === undefined ? [] : [this.#file(changed)];
    });
    // What was left out is acknowledged all the same, as if it stood where the next one stands.
    const entries = events.map((_, at) => filed[at] ?? this.#pretend(honest[at]));
    const shown = this.hooks.acknowledge?.(entries) ?? entries;
    return {
      entries: shown.map(({ index, leaf, leafHash }, at) => ({
        id: events[at]?.id,
        index,
        leaf: encodeBase64(leaf),
        leafHash: encodeBase64(leafHash),
        state: "durable",
      })),
      tagKeys: this.#tagKeysOf(events),
    };
  }

  #pretend(leaf: Leaf | undefined): Acknowledged {
    if (leaf === undefined) throw new RangeError("no leaf");
    const bytes = encodeLeaf(leaf);
    return { index: this.leaves.length, leaf: bytes, leafHash: hashLeaf(bytes) };
  }

  #file(leaf: Leaf): Acknowledged {
    const index = this.leaves.length;
    const chained = {
      ...leaf,
      session: this.#chain("session", leaf.session, index),
      actor: this.#chain("actor", leaf.actor, index),
      subject: this.#chain("subject", leaf.subject, index),
      tenant: this.#chain("tenant", leaf.tenant, index),
    };
    const bytes = encodeLeaf(chained);
    const leafHash = hashLeaf(bytes);
    this.leaves.push(bytes);
    this.#hashes.push(leafHash);
    this.#range.append(leafHash);
    return { index, leaf: bytes, leafHash };
  }

  #chain(kind: string, chain: Chain | null, index: number): Chain | null {
    if (chain === null) return null;
    const key = `${kind} ${encodeHex(chain.tag)}`;
    const known = this.#chains.get(key);
    this.#chains.set(key, { n: (known?.n ?? 0) + 1, last: index });
    return { tag: chain.tag, n: known?.n ?? 0, prev: known?.last ?? null };
  }

  #leafOf({ batch, stream, classes, commitments, sessionTags }: VerifiedBatch, event: TallyEvent, at: number): Leaf {
    const sequence = batch.first + at;
    const count = batch.entries.length;
    const day = dayOf(event.time);
    const actor = personalId(event.actor);
    const subject = personalId(event.subject);
    const keyOf = (id: string): Uint8Array => this.personDayKeyOf(id, day);
    return {
      loggedAt: this.now(),
      stream: sequence === 1 ? new Uint8Array([...batch.publicKey, ...batch.instance]) : stream,
      sequence,
      class: classes[at] ?? "",
      commitment: commitments[at] ?? new Uint8Array(),
      session: tagged(sessionTags[at] ?? null),
      actor: tagged(actor === undefined ? null : actorTag({ personDayKey: keyOf(actor), id: actor })),
      subject: tagged(
        subject === undefined || subject === actor ? null : subjectTag({ personDayKey: keyOf(subject), id: subject }),
      ),
      tenant: tagged(
        event.tenant === undefined ? null : tenantTag({ tenantKey: tenantKeyOf(event.tenant), id: event.tenant }),
      ),
      signature: at === count - 1 ? { count, signature: batch.signature } : null,
    };
  }

  #tagKeysOf(events: readonly TallyEvent[]): unknown {
    const change = this.hooks.personKey ?? ((key: Uint8Array): Uint8Array => key);
    const persons = events.flatMap(({ actor, subject, time }) =>
      [personalId(actor), personalId(subject)].flatMap((id) => (id === undefined ? [] : [{ id, day: dayOf(time) }])),
    );
    const tenants = events.flatMap(({ tenant }) => (tenant === undefined ? [] : [tenant]));
    return {
      personDays: persons.map(({ id, day }) => ({ id, day, key: encodeBase64(change(this.personDayKeyOf(id, day))) })),
      tenants: tenants.map((id) => ({ id, key: encodeBase64(tenantKeyOf(id)) })),
    };
  }

  #read(path: string): Response {
    if (path === "checkpoint") return text(200, this.checkpoint());
    if (path.startsWith("tile/entries/")) {
      const { index, width } = parseEntriesPath(path);
      const start = Number(index) * 256;
      return bytes(encodeEntryBundle(this.leaves.slice(start, start + width)));
    }
    if (path.startsWith("tile/")) {
      const { level, index, width } = parseTilePath(path);
      const span = 256 ** level;
      const first = Number(index) * 256 * span;
      const hashes = Array.from({ length: width }, (_, at) =>
        treeHash(this.#hashes.slice(first + at * span, first + (at + 1) * span)),
      );
      return bytes(encodeTile(hashes));
    }
    return problem(404, "index-unknown");
  }
}

function tenantKeyOf(id: string): Uint8Array {
  return seedOf(`tenant ${id}`);
}

function tagged(tag: Uint8Array | null): Chain | null {
  return tag === null ? null : { tag, n: 0, prev: null };
}

export function problem(status: number, code: string, details: Record<string, unknown> = {}): Response {
  const body = { type: `/problems/${code}`, title: code, status, code, detail: `refused: ${code}`, ...details };
  return new Response(JSON.stringify(body), { status, headers: { "content-type": "application/problem+json" } });
}

function json(status: number, body: unknown): Response {
  return new Response(JSON.stringify(body), { status, headers: { "content-type": "application/json" } });
}

function text(status: number, body: string): Response {
  return new Response(body, { status });
}

function bytes(body: Uint8Array): Response {
  return new Response(new Uint8Array(body), { status: 200 });
}
