/** A log in memory in which contents are erased, by the rules or against them: what it shows is up to a test. */
import {
  type NodeId,
  decodeHex,
  ed25519PublicKey,
  encodeHex,
  formatTlogProof,
  hashLeaf,
  proveInclusion,
  sha256,
  treeHash,
  utf8,
} from "@tallystick/core";
import {
  type Certificate,
  type CertifiedTag,
  type Context,
  type EventInput,
  type Evidence,
  type TallyEvent,
  actorTag,
  certificateContext,
  dayOf,
  decodeLeaf,
  encodeEvent,
  encodeOpening,
  newEventId,
  parseEvent,
  signBatch,
  subjectTag,
} from "@tallystick/events";
import type { ErasedContents, OpeningOf } from "../../src/verify.ts";
import { LogDouble, TOKEN } from "./log-double.ts";

export const DAY_MS = 86_400_000;
export const START = 1_760_054_400_000;
export const DAY: number = dayOf(START);

interface Sender {
  readonly seed: Uint8Array;
  next: number;
}

/** The id of the hold that keeps entries under the keys of class `hold-<digits>`. */
export function holdIdOf(digits: string): string {
  return `01a1b2c3-0000-7000-8000-0000${digits}`;
}

/** What of an event a test decides. */
export type Said = Partial<EventInput> & { readonly type: string };

export class ErasedLog {
  readonly log: LogDouble = new LogDouble();
  readonly openings: Uint8Array[] = [];
  /** What is shown instead of an opening, by index; `undefined` for nothing at all. */
  readonly gone: Map<number, ErasedContents | undefined> = new Map();
  /** Ms since 1970: of the next event, and when it is logged. */
  now: number = START;
  readonly #application: Sender = { seed: sha256(utf8("the application")), next: 1 };
  readonly #own: Sender = { seed: sha256(utf8("the log itself")), next: 1 };

  constructor() {
    this.log.now = () => this.now;
  }

  get size(): number {
    return this.log.leaves.length;
  }

  readonly openingOf: OpeningOf = async (index) => (this.gone.has(index) ? this.gone.get(index) : this.openings[index]);

  /** An event of the application; gives its index. */
  async report(said: Said): Promise<number> {
    return this.#send(this.#application, said);
  }

  /** A login of somebody. */
  async login(id: string): Promise<number> {
    return this.report({ type: "auth.login", actor: { type: "user", id }, auth: { method: "password" } });
  }

  /** A certificate in the log's own stream; gives its index. */
  async certify(certificate: Certificate, said: Partial<EventInput> = {}): Promise<number> {
    return this.#send(this.#own, { type: "log.erasure", context: certificateContext(certificate), ...said });
  }

  /** Whatever else the log says of itself. */
  async say(said: Said): Promise<number> {
    return this.#send(this.#own, said);
  }

  /** What the log says of a legal hold; gives the index. */
  async hold(id: string, state: "set" | "lifted", selectors: Context = {}): Promise<number> {
    return this.say({
      type: "log.hold",
      context: { hold: id, state, case: "c-1", by: "officer-1", ...(state === "set" ? { selectors } : {}) },
    });
  }

  /** A hold on somebody, of whose id these are the last digits. */
  async holdAndLift(digits: string): Promise<void> {
    const id = holdIdOf(digits);
    await this.hold(id, "set", { subject: true });
    await this.hold(id, "lifted");
  }

  async #send(sender: Sender, said: Said): Promise<number> {
    const index = this.size;
    const salt = sha256(utf8(`salt ${index}`));
    const id = newEventId(this.now, salt.slice(0, 16));
    const event: TallyEvent = parseEvent({ id, time: this.now, outcome: "success", ...said });
    const entry = { salt, event: encodeEvent(event) };
    const body = signBatch({
      origin: this.log.origin,
      seed: sender.seed,
      publicKey: ed25519PublicKey(sender.seed),
      instance: sender.seed.slice(0, 16),
      first: sender.next,
      entries: [entry],
    });
    sender.next += 1;
    const headers = { authorization: `Bearer ${TOKEN}` };
    const answer = await this.log.fetch(`${this.log.url}/v1/events`, {
      method: "POST",
      headers,
      body: new Uint8Array(body),
    });
    if (answer.status !== 201) throw new Error(`the log answered ${answer.status}`);
    this.openings.push(encodeOpening(entry));
    return index;
  }

  /** A person's tag of a day, as actor or subject. */
  tagOf(id: string, kind: "actor" | "subject" = "actor", day: number = DAY): string {
    const input = { personDayKey: this.log.personDayKeyOf(id, day), id };
    return encodeHex(kind === "actor" ? actorTag(input) : subjectTag(input));
  }

  /** A tag with the leaves that bear it now. */
  chainOf(tag: string): CertifiedTag {
    const indexes = this.log.leaves.flatMap((bytes, index) => {
      const { actor, subject } = decodeLeaf(bytes);
      return [actor, subject].some((chain) => chain !== null && encodeHex(chain.tag) === tag) ? [index] : [];
    });
    return [tag, indexes.length, indexes.at(-1) ?? 0];
  }

  /** Entries about the person of a tag: those that are gone with their key. */
  about(tag: string): number[] {
    const wanted = decodeHex(tag).join();
    return this.log.leaves.flatMap((bytes, index) => {
      const { actor, subject } = decodeLeaf(bytes);
      return (subject ?? actor)?.tag.join() === wanted ? [index] : [];
    });
  }

  /** The receipt of an entry under the newest head. */
  receiptOf(index: number): string {
    const { leaves } = this.log;
    const hashes = leaves.map(hashLeaf);
    const getNode = ({ level, index: at }: NodeId): Uint8Array =>
      treeHash(hashes.slice(Number(at) * 2 ** level, (Number(at) + 1) * 2 ** level));
    return formatTlogProof({
      extra: leaves[index] ?? new Uint8Array(),
      index: BigInt(index),
      hashes: proveInclusion({ index: BigInt(index), size: BigInt(leaves.length), getNode }),
      checkpoint: this.log.checkpoint(),
    });
  }

  /** The same with the opening. */
  evidenceOf(index: number): Evidence {
    return { proof: this.receiptOf(index), opening: this.openings[index] ?? new Uint8Array() };
  }

  erase(indexes: readonly number[], certificate?: number): void {
    for (const index of indexes) this.gone.set(index, certificate === undefined ? undefined : { certificate });
  }
}

/** A UUIDv7 by number. */
export function requestOf(n: number): string {
  return `019aa56d-6000-7000-8000-${String(n).padStart(12, "0")}`;
}

/** The order to erase a person by these tags, or a class-day, as the log would make it now. */
export function orderOf(log: ErasedLog, scope: Certificate["scope"], changes: Partial<Certificate> = {}): Certificate {
  return {
    request: requestOf(1),
    ground: "GDPR Art. 17",
    state: "ordered",
    before: log.size,
    scope,
    keys: [encodeHex(sha256(utf8("a key")))],
    finalOn: new Date(log.now + 7 * DAY_MS).toISOString().slice(0, 10),
    ...changes,
  };
}

/** The end of what was ordered. */
export function doneOf(order: Certificate, ordered: number): Certificate {
  const { part: _, parts: __, ...rest } = order;
  return { ...rest, state: "done", ordered };
}
