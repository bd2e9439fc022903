/**
 * What must hold at every step, whatever fails: no acknowledged event is lost or moved, all heads are of one history, no
 * witness cosigns anything else, and nothing grows without bound.
 *
 * The oracle sees all from outside: what lands on the log's disk, what leaves each host, what clients are told.
 */
import {
  CompactRange,
  type Hash,
  type Policy,
  decodeBase64,
  equalBytes,
  hashLeaf,
  parseCheckpoint,
  parseNote,
  treeHash,
  verifyCheckpoint,
} from "@tallystick/core";
import { type Commit, parseIndexKey } from "@tallystick/storage";
import { decodeIntegratedHead, decodeSignedHead } from "../../packages/log/src/heads.ts";
import { TABLE } from "../../packages/log/src/rows.ts";
import type { Exchanged } from "./engine/network.ts";
import { Violation, type World } from "./engine/world.ts";

/** What a client was told of one event. */
export interface Acknowledged {
  readonly id: string;
  readonly index: number;
  readonly leafHash: Hash;
}

interface Head {
  readonly size: number;
  readonly rootHash: Hash;
}

export class Oracle {
  /** The leaf hashes that are on the log's disk, as they landed. */
  readonly leaves: Hash[] = [];
  /** By event id. */
  readonly acknowledged: Map<string, Acknowledged> = new Map();
  /** By witness, the largest size of which a cosignature has left it. */
  readonly cosigned: Map<string, number> = new Map();
  /** Requests of a forger that a witness turned away. */
  refusedForks = 0;
  readonly #world: World;
  readonly #roots = new Map<number, Hash>([[0, CompactRange.empty().rootHash()]]);
  readonly #idsByIndex = new Map<number, string>();
  /** Notes that have been looked at. */
  readonly #seen = new Set<string>();
  /** Set once the keys are known. */
  policy: Policy | undefined;
  #signedSize = 0;
  #publishedSize = 0;
  #acknowledgedSize = 0;

  constructor(world: World) {
    this.#world = world;
  }

  /** The size that the largest acknowledged index asks for. */
  get acknowledgedSize(): number {
    return this.#acknowledgedSize;
  }

  /** Of published heads that somebody was shown. */
  get publishedSize(): number {
    return this.#publishedSize;
  }

  rootAt(size: number): Hash {
    const known = this.#roots.get(size);
    if (known !== undefined) return known;
    const root = treeHash(this.leaves.slice(0, size));
    this.#roots.set(size, root);
    return root;
  }

  /** A commit has landed on the log's disk. */
  landed({ head, rows = [], runs = [] }: Commit): void {
    for (const { table, key, value } of rows) {
      if (table === TABLE.leaf) this.#takeLeaf(parseIndexKey(key), value);
    }
    for (const { table, first, values } of runs) {
      if (table === TABLE.leaf) for (const [at, value] of values.entries()) this.#takeLeaf(first + at, value);
    }
    if (head.name === "integrated") this.#takeIntegrated(head.bytes);
    else this.#takeHead(decodeSignedHead(head.bytes), `the ${head.name} head on the log's disk`);
    if (head.name !== "integrated") this.#takeSigned(decodeSignedHead(head.bytes).size, head.name);
  }

  #takeLeaf(index: number, leaf: Uint8Array | null): void {
    if (leaf === null) throw new Violation(`the log deleted entry ${index}`);
    const hash = hashLeaf(leaf);
    const known = this.leaves[index];
    if (known !== undefined && !equalBytes(known, hash)) {
      const id = this.#idsByIndex.get(index);
      throw new Violation(
        `the log wrote another entry at index ${index}${id === undefined ? "" : `, where ${id} was`}`,
      );
    }
    if (index > this.leaves.length) throw new Violation(`entry ${index} landed before entry ${this.leaves.length}`);
    this.leaves[index] = hash;
  }

  #takeIntegrated(bytes: Uint8Array): void {
    const { size, rootHash } = decodeIntegratedHead(bytes);
    if (size !== this.leaves.length)
      throw new Violation(`the log has ${this.leaves.length} entries and integrated ${size}`);
    this.#assertOfHistory({ size, rootHash }, "the integrated head");
  }

  #takeSigned(size: number, name: string): void {
    if (name === "signed" && size < this.#signedSize) throw new Violation(`signed ${size} after ${this.#signedSize}`);
    if (name === "signed") this.#signedSize = size;
  }

  #takeHead(head: Head, where: string): void {
    if (head.size > this.leaves.length)
      throw new Violation(`${where} has size ${head.size}, and only ${this.leaves.length} entries are on disk`);
    this.#assertOfHistory(head, where);
  }

  #assertOfHistory({ size, rootHash }: Head, where: string): void {
    if (equalBytes(rootHash, this.rootAt(size))) return;
    throw new Violation(`${where} of size ${size} has another root than the entries that landed`);
  }

  /** Somebody is told that an event is durable. */
  #acknowledge(acknowledged: Acknowledged): void {
    const { id, index, leafHash } = acknowledged;
    const before = this.acknowledged.get(id);
    if (before !== undefined && before.index !== index)
      throw new Violation(`event ${id} was acknowledged at index ${before.index}, and then at ${index}`);
    const other = this.#idsByIndex.get(index);
    if (other !== undefined && other !== id) throw new Violation(`index ${index} was given to ${other} and to ${id}`);
    const landed = this.leaves[index];
    if (landed === undefined)
      throw new Violation(`event ${id} was acknowledged at index ${index}, which is not on disk`);
    if (!equalBytes(landed, leafHash))
      throw new Violation(`event ${id} was acknowledged with another leaf than landed`);
    this.acknowledged.set(id, acknowledged);
    this.#idsByIndex.set(index, id);
    this.#acknowledgedSize = Math.max(this.#acknowledgedSize, index + 1);
  }

  /** An answer leaves a host. */
  answered(exchanged: Exchanged): void {
    const { path, status, to, answer } = exchanged;
    const isTaken = path.endsWith("/v1/events") && status >= 200 && status < 300;
    if (isTaken) for (const acknowledged of acknowledgedOf(answer)) this.#acknowledge(acknowledged);
    if (path.endsWith("/add-checkpoint")) this.#witnessAnswered(exchanged);
    else if (status === 200 && path.endsWith("/checkpoint") && to === "log.example") this.#published(answer);
  }

  #published(answer: Uint8Array): void {
    const note = Buffer.from(answer).toString();
    if (this.#seen.has(note) || this.policy === undefined) return;
    this.#seen.add(note);
    const { checkpoint } = verifyCheckpoint({ note, policy: this.policy });
    const head = { size: Number(checkpoint.size), rootHash: checkpoint.rootHash };
    this.#takeHead(head, "a published head");
    if (head.size < this.#publishedSize)
      throw new Violation(`the log published ${head.size} after it had published ${this.#publishedSize}`);
    this.#publishedSize = head.size;
  }

  #witnessAnswered({ from, to, body, status, answer }: Exchanged): void {
    const isForged = from !== "log.example";
    if (status !== 200) {
      if (isForged && (status === 409 || status === 422)) this.refusedForks += 1;
      return;
    }
    const text = Buffer.from(body).toString();
    const { text: noteText } = parseNote(text.slice(text.indexOf("\n\n") + 2));
    const checkpoint = parseCheckpoint(noteText);
    const head = { size: Number(checkpoint.size), rootHash: checkpoint.rootHash };
    if (!Buffer.from(answer).toString().startsWith("—"))
      throw new Violation(`${to} answered 200 without a cosignature`);
    if (head.size > this.leaves.length || !equalBytes(head.rootHash, this.rootAt(head.size)))
      throw new Violation(`${to} cosigned a fork: size ${head.size}, which is not of the log's history`);
    const before = this.cosigned.get(to) ?? 0;
    if (head.size < before) throw new Violation(`${to} cosigned size ${head.size} after it had cosigned ${before}`);
    this.cosigned.set(to, head.size);
  }

  /** The sizes that hosts have in memory never fall behind what was promised. */
  assertCovers(size: number, promised: number, who: string): void {
    if (size < promised) throw new Violation(`${who} is at size ${size}, and promised ${promised} before`);
  }

  assertAtMost(value: number, max: number, what: string): void {
    if (value > max) throw new Violation(`${what}: ${value}, more than ${max}, after ${this.#world.steps} steps`);
  }
}

/** The log's answer to events of either kind: a list, or an object that holds one. */
function acknowledgedOf(answer: Uint8Array): Acknowledged[] {
  interface Entry {
    readonly id: string;
    readonly index: number;
    readonly leafHash: string;
  }
  const value = JSON.parse(Buffer.from(answer).toString()) as Entry[] | { readonly entries: Entry[] };
  const entries = Array.isArray(value) ? value : value.entries;
  return entries.map(({ id, index, leafHash }) => ({ id, index, leafHash: decodeBase64(leafHash) }));
}
