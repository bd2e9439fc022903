/** The keys behind tags and seals, from the key store, with the derived ones kept for a while. */
import {
  HASH_BYTES,
  type PlacedBytes,
  TallystickError,
  concatBytes,
  encodeHex,
  equalBytes,
  invariant,
  sha256,
  sha256All,
  utf8,
} from "@tallystick/core";
import {
  LENGTH_HEAD_BYTES_MAX,
  NONCE_BYTES,
  actorTag,
  decodeCbor,
  decodeSealed,
  openSealed,
  personDayKey,
  putByteStringHead,
  sealKey,
  sealOpeningsInRoom,
  subjectTag,
  tenantTag,
} from "@tallystick/events";
import type { KeyName, KeyStore } from "@tallystick/storage";
import type { Candidate, Committed } from "./candidate.ts";
import { LogError } from "./error.ts";
import type { TagKeys } from "./log-api.ts";
import { bytesOf, listOf } from "./heads.ts";
import { Lru } from "./lru.ts";
import { type ChainKind, chainKey } from "./rows.ts";

/** Persons, and tenants, whose derived keys and tags are in memory: some hashes each are saved with every event. */
const PERSONS_MAX = 20_000;
const TENANTS_MAX = 4096;
/** Classes whose sealers are in memory: of each person's events, and of those that are nobody's. */
const PERSON_SEALERS_MAX = 2;
const SEALERS_MAX = 64;
/** Days of a person's events whose tags are in memory: around midnight they alternate. */
const PERSON_DAYS_MAX = 2;

const SECRETS = ["person-reference", "session-id"] as const;
type Secret = (typeof SECRETS)[number];

/** A tag, and under which key the end of its chain is. */
export interface ChainTag {
  readonly tag: Uint8Array;
  readonly key: string;
}

export type Tags = Readonly<Record<ChainKind, ChainTag | null>>;

/** What seals the events of a person, or of nobody, in a class on a day. */
interface Sealer {
  readonly class: string;
  readonly day: number;
  readonly key: Uint8Array;
  readonly reference: Uint8Array | null;
  /** MASK_PREFIX and the key of class and day: what a pad is the hash of, with the commitment behind. */
  readonly padPrefix: Uint8Array;
}

/** What is sealed: an event that has its place. */
export interface PlacedContents {
  readonly candidate: Candidate;
  readonly committed: Committed;
}

/** The row beside a leaf, and the leaf's commitment and index. */
export interface SealedRow {
  readonly row: Uint8Array;
  readonly commitment: Uint8Array;
  readonly index: number;
}

export interface TagClaim {
  readonly tag: Uint8Array;
  readonly id: string;
  /** Days since 1970 of the event's own time. */
  readonly day: number;
}

/** What is behind a sealed row. */
export type Contents =
  | {
      readonly kind: "opened";
      readonly opening: Uint8Array;
      /** What the key store calls the person under whose key it is sealed. */
      readonly person: Uint8Array | null;
    }
  /** A key of it was destroyed. */
  | { readonly kind: "erased" }
  /** There is no key, and none was destroyed. */
  | { readonly kind: "key-missing"; readonly key: "class-day" | "person" }
  | { readonly kind: "unopenable"; readonly cause: TallystickError };

/** What was derived of a person. */
interface Person {
  /** What the key store calls the person. */
  readonly reference: Uint8Array;
  /** The reference in hex. */
  readonly name: string;
  /** Those that were made last. */
  readonly days: DayTags[];
  /** Those that were made last. */
  readonly sealers: Sealer[];
}

/** A person's tags of one day; each is made when it is asked for. */
interface DayTags {
  readonly day: number;
  readonly key: Uint8Array;
  actor: ChainTag | undefined;
  subject: ChainTag | undefined;
}

export class LogSecrets {
  readonly #store: KeyStore;
  readonly #persons: Lru<Person> = new Lru(PERSONS_MAX);
  readonly #tenantTags: Lru<ChainTag> = new Lru(TENANTS_MAX);
  /** Of what is nobody's: those that were made last. */
  readonly #sealers: Sealer[] = [];

  constructor(store: KeyStore) {
    this.#store = store;
  }

  /** Of the key store: it grows with every destruction. */
  get epoch(): number {
    return this.#store.epoch;
  }

  /** The tags of an event. Makes keys where there are none; they have to be synced before the leaf is acknowledged. */
  tagsOf({ sessionTag, actor, subject, tenant, day }: Candidate): Tags {
    return {
      session: sessionTag === null ? null : chainTag("session", sessionTag),
      actor: actor === undefined ? null : this.#personTag("actor", actor, day),
      subject: subject === undefined ? null : this.#personTag("subject", subject, day),
      tenant: tenant === undefined ? null : this.#tenantTag(tenant),
    };
  }

  /** The keys that the tags of these events were made with, for their sender. */
  tagKeysOf(candidates: readonly Candidate[]): TagKeys {
    const personDays = new Map<string, TagKeys["personDays"][number]>();
    const tenants = new Map<string, TagKeys["tenants"][number]>();
    for (const { actor, subject, tenant, day } of candidates) {
      for (const id of [actor, subject]) {
        if (id !== undefined) personDays.set(`${day} ${id}`, { id, day, key: this.#dayTags(id, day).key });
      }
      if (tenant !== undefined) tenants.set(tenant, { id: tenant, key: this.#store.getOrCreate("tenant", tenant) });
    }
    return { personDays: [...personDays.values()], tenants: [...tenants.values()] };
  }

  /**
   * Seals the contents of events that are logged on `day`: what the rows beside their leaves hold.
   *
   * A sealed event does not say whose it is. So that its key can be found, the name under which the key store has the
   * person stands beside it, masked by the key of class and day: without that key no two rows can be linked by it.
   */
  sealAll(contents: readonly PlacedContents[], day: number, random: (bytes: number) => Uint8Array): Uint8Array[] {
    const sealers: Sealer[] = [];
    const nonces = random(NONCE_BYTES * contents.length);
    const inputs = contents.map(({ candidate, committed }, at) => {
      const { class: retentionClass, person } = candidate;
      const { commitment, opening } = committed;
      const sealer = this.#sealerOf(retentionClass, day, person);
      sealers.push(sealer);
      const nonce = nonces.subarray(NONCE_BYTES * at, NONCE_BYTES * (at + 1));
      return { class: retentionClass, day, nonce, key: sealer.key, commitment, opening };
    });
    const pads = sha256All(padInputs(sealers, contents));
    return sealOpeningsInRoom(inputs, ROW_ROOM).map((sealed, at) =>
      rowAround(sealed, sealers[at]?.reference ?? null, pads, HASH_BYTES * at),
    );
  }

  #sealerOf(retentionClass: string, day: number, person: string | undefined): Sealer {
    const owner = person === undefined ? undefined : this.#person(person);
    const sealers = owner?.sealers ?? this.#sealers;
    for (const known of sealers) if (known.day === day && known.class === retentionClass) return known;
    const classDayKey = this.#store.getOrCreate("class-day", classDayName(retentionClass, day));
    const personKey = owner === undefined ? null : this.#store.getOrCreate("person", owner.name);
    const sealer = {
      class: retentionClass,
      day,
      key: sealKey({ classDayKey, personKey }),
      reference: owner?.reference ?? null,
      padPrefix: concatBytes(MASK_PREFIX, classDayKey),
    };
    sealers.unshift(sealer);
    if (sealers.length > (owner === undefined ? SEALERS_MAX : PERSON_SEALERS_MAX)) sealers.pop();
    return sealer;
  }

  /**
   * Opens the contents of a leaf; gives the encoded opening.
   *
   * @throws {LogError} `erased`: a key was destroyed; `log-corrupt`: it does not open, or a key is missing that nobody
   *   destroyed.
   */
  open(input: SealedRow): Uint8Array {
    const contents = this.examine(input);
    if (contents.kind === "opened") return contents.opening;
    throw unopened(input.index, contents);
  }

  /** Opens the contents of a leaf, or says why they do not open. Makes no keys. */
  examine({ row, commitment }: Omit<SealedRow, "index">): Contents {
    try {
      const { bytes, mask } = decodeSealedRow(row);
      const sealed = decodeSealed(bytes);
      const classDayKey = this.#existing("class-day", classDayName(sealed.class, sealed.day));
      if ("kind" in classDayKey) return classDayKey;
      if (mask === null) {
        const key = sealKey({ classDayKey: classDayKey.key, personKey: null });
        return { kind: "opened", opening: openSealed({ sealed, key, commitment }), person: null };
      }
      const person = masked(mask, sha256(concatBytes(MASK_PREFIX, classDayKey.key, commitment)));
      const personKey = this.#existing("person", encodeHex(person));
      if ("kind" in personKey) return personKey;
      const key = sealKey({ classDayKey: classDayKey.key, personKey: personKey.key });
      return { kind: "opened", opening: openSealed({ sealed, key, commitment }), person };
    } catch (cause) {
      if (!(cause instanceof TallystickError)) throw cause;
      return { kind: "unopenable", cause };
    }
  }

  /**
   * What the key store calls the person under whose key an entry is sealed, by the key of class and day alone: also where
   * the person's own key is gone. `undefined` where it cannot be told, or it is nobody's.
   */
  personBehind({ row, commitment }: Omit<SealedRow, "index">): string | undefined {
    try {
      const { bytes, mask } = decodeSealedRow(row);
      const sealed = decodeSealed(bytes);
      const classDayKey = this.#store.get("class-day", classDayName(sealed.class, sealed.day));
      if (mask === null || classDayKey === undefined) return undefined;
      return encodeHex(masked(mask, sha256(concatBytes(MASK_PREFIX, classDayKey, commitment))));
    } catch (cause) {
      if (!(cause instanceof TallystickError)) throw cause;
      return undefined;
    }
  }

  /** Whether there is, or ever was, a key under a name. */
  isKnown({ kind, name }: KeyName): boolean {
    return this.#store.state(kind, name) !== "absent";
  }

  /**
   * Whether a tag is that of a person or tenant by the keys that are there; `undefined` where the key is gone. Makes no
   * keys.
   */
  isTagOf(kind: "actor" | "subject" | "tenant", { tag, id, day }: TagClaim): boolean | undefined {
    if (kind === "tenant") {
      const tenantKey = this.#store.get("tenant", id);
      return tenantKey === undefined ? undefined : equalBytes(tenantTag({ tenantKey, id }), tag);
    }
    const personKey = this.personKey(id);
    if (personKey === undefined) return undefined;
    const input = { personDayKey: personDayKey({ personKey, day }), id };
    return equalBytes(kind === "actor" ? actorTag(input) : subjectTag(input), tag);
  }

  /** A person's key; `undefined` where there is none. Makes none. */
  personKey(id: string): Uint8Array | undefined {
    const reference = this.existingReference(id);
    return reference === undefined ? undefined : this.#store.get("person", encodeHex(reference));
  }

  /** The tags of a person of one day, by the key that is there; `undefined` where there is none. Makes no keys. */
  personTags(id: string, day: number): { readonly actor: Uint8Array; readonly subject: Uint8Array } | undefined {
    const personKey = this.personKey(id);
    if (personKey === undefined) return undefined;
    const input = { personDayKey: personDayKey({ personKey, day }), id };
    return { actor: actorTag(input), subject: subjectTag(input) };
  }

  /** The key under a name; `undefined` where there is none. Makes none. */
  key({ kind, name }: KeyName): Uint8Array | undefined {
    return this.#store.get(kind, name);
  }

  /**
   * Moves a person's key to another name, durably: from then on nothing is sealed or opened with it, and the person gets
   * a new one with the next event. Done twice it is done once.
   */
  async retirePerson(from: string, to: string): Promise<void> {
    await this.#store.retire({ kind: "person", name: from }, { kind: "person", name: to });
    this.#forget();
  }

  /** Destroys keys for good; names without a key are passed over. */
  async destroy(names: readonly KeyName[]): Promise<void> {
    await this.#store.destroy(names);
    this.#forget();
  }

  /** Seals the contents of an entry under other keys; `person`: what the key store calls the one under whose key too. */
  sealAnew(input: {
    readonly class: string;
    readonly day: number;
    readonly person: Uint8Array | null;
    readonly nonce: Uint8Array;
    readonly commitment: Uint8Array;
    readonly opening: Uint8Array;
  }): Uint8Array {
    const { class: retentionClass, day, person, nonce, commitment, opening } = input;
    const classDayKey = this.#store.getOrCreate("class-day", classDayName(retentionClass, day));
    const personKey = person === null ? null : (this.#store.get("person", encodeHex(person)) ?? null);
    invariant((person === null) === (personKey === null), "contents that opened have their person's key");
    const key = sealKey({ classDayKey, personKey });
    const [sealed] = sealOpeningsInRoom([{ class: retentionClass, day, nonce, key, commitment, opening }], ROW_ROOM);
    invariant(sealed !== undefined, "what is sealed alone is sealed");
    return rowAround(sealed, person, sha256(concatBytes(MASK_PREFIX, classDayKey, commitment)));
  }

  /** What was derived from keys that may be gone now, and the ids of persons who may be erased. */
  #forget(): void {
    this.#persons.clear();
    this.#tenantTags.clear();
    this.#sealers.length = 0;
  }

  /** What the key store calls a person; `undefined` where it knows nobody yet. Makes no keys. */
  existingReference(id: string): Uint8Array | undefined {
    return this.#store.get("secret", REFERENCE_SECRET) === undefined ? undefined : this.#person(id).reference;
  }

  /** Makes the secrets that a log has from its first commit on; durable with it. */
  createSecrets(): void {
    for (const name of SECRETS) this.secret(name);
  }

  /** Whether the key store is one that this log ever wrote to. */
  hasSecrets(): boolean {
    return SECRETS.every((name) => this.#store.state("secret", name) === "live");
  }

  /** A secret of the log's own. */
  secret(name: Secret): Uint8Array {
    return this.#store.getOrCreate("secret", name);
  }

  #existing(
    kind: "class-day" | "person",
    name: string,
  ): { readonly key: Uint8Array } | Exclude<Contents, { kind: "opened" }> {
    const key = this.#store.get(kind, name);
    if (key !== undefined) return { key };
    return this.#store.state(kind, name) === "destroyed" ? { kind: "erased" } : { kind: "key-missing", key: kind };
  }

  /** What was derived of a person. The key store's name of one is a keyed hash of the id, 16 bytes. Makes no keys. */
  #person(id: string): Person {
    const known = this.#persons.get(id);
    if (known !== undefined) return known;
    const reference = sha256(concatBytes(REFERENCE_PREFIX, this.secret(REFERENCE_SECRET), utf8(id))).slice(
      0,
      REFERENCE_BYTES,
    );
    const person = { reference, name: encodeHex(reference), days: [], sealers: [] };
    this.#persons.set(id, person);
    return person;
  }

  /** Makes every new key durable. */
  async sync(): Promise<void> {
    await this.#store.sync();
  }

  #personTag(kind: "actor" | "subject", id: string, day: number): ChainTag {
    const tags = this.#dayTags(id, day);
    const input = { personDayKey: tags.key, id };
    return (tags[kind] ??= chainTag(kind, kind === "actor" ? actorTag(input) : subjectTag(input)));
  }

  #dayTags(id: string, day: number): DayTags {
    const person = this.#person(id);
    for (const known of person.days) if (known.day === day) return known;
    const key = personDayKey({ personKey: this.#store.getOrCreate("person", person.name), day });
    const tags: DayTags = { day, key, actor: undefined, subject: undefined };
    person.days.unshift(tags);
    if (person.days.length > PERSON_DAYS_MAX) person.days.pop();
    return tags;
  }

  #tenantTag(id: string): ChainTag {
    const known = this.#tenantTags.get(id);
    if (known !== undefined) return known;
    const made = chainTag("tenant", tenantTag({ tenantKey: this.#store.getOrCreate("tenant", id), id }));
    this.#tenantTags.set(id, made);
    return made;
  }
}

const REFERENCE_PREFIX = utf8("tallystick/person-reference/v1\0");
const REFERENCE_SECRET = "person-reference";
const REFERENCE_BYTES = 16;
const MASK_PREFIX = utf8("tallystick/person-mask/v1\0");
const PAD_PREFIX_BYTES = MASK_PREFIX.length + 32;
const PAD_INPUT_BYTES = PAD_PREFIX_BYTES + HASH_BYTES;
const NO_BYTES = new Uint8Array();

function chainTag(kind: ChainKind, tag: Uint8Array): ChainTag {
  return { tag, key: chainKey(kind, tag) };
}

/** What the pads of entries are the hashes of: views of one byte string. */
function padInputs(sealers: readonly Sealer[], contents: readonly PlacedContents[]): Uint8Array[] {
  const bytes = new Uint8Array(contents.length * PAD_INPUT_BYTES);
  return contents.map(({ committed }, at) => {
    const from = at * PAD_INPUT_BYTES;
    bytes.set(sealers[at]?.padPrefix ?? NO_BYTES, from);
    bytes.set(committed.commitment, from + PAD_PREFIX_BYTES);
    return bytes.subarray(from, from + PAD_INPUT_BYTES);
  });
}

/** Of a row, what stands around its sealed event: the heads of a list of two and of a byte string; the mask, or null. */
const ROW_ROOM = { before: 1 + LENGTH_HEAD_BYTES_MAX, after: 1 + REFERENCE_BYTES };
/** Of CBOR. */
const [LIST_OF_TWO, NULL] = [0x82, 0xf6];

/** The row of an event that was sealed in {@link ROW_ROOM}, in place. `from`: where its pad lies in `pads`. */
function rowAround(
  { bytes, start, end }: PlacedBytes,
  reference: Uint8Array | null,
  pads: Uint8Array,
  from = 0,
): Uint8Array {
  const first = putByteStringHead(bytes, start, end - start) - 1;
  bytes[first] = LIST_OF_TWO;
  if (reference === null) {
    bytes[end] = NULL;
    return bytes.subarray(first, end + 1);
  }
  putByteStringHead(bytes, end + 1, REFERENCE_BYTES);
  mask(bytes, end + 1, reference, pads, from);
  return bytes.subarray(first, end + 1 + REFERENCE_BYTES);
}

/** Masks a reference, or unmasks it: each commitment gives a pad of its own, of which the reference takes the start. */
function masked(reference: Uint8Array, pad: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(reference.length);
  mask(bytes, 0, reference, pad, 0);
  return bytes;
}

function mask(to: Uint8Array, at: number, reference: Uint8Array, pads: Uint8Array, from: number): void {
  for (let i = 0; i < reference.length; i += 1) to[at + i] = (reference[i] ?? 0) ^ (pads[from + i] ?? 0);
}

/** What the key store calls the key of a class and a day. */
export function classDayName(retentionClass: string, day: number): string {
  return `${retentionClass} ${day}`;
}

function unopened(index: number, contents: Exclude<Contents, { kind: "opened" }>): LogError {
  const details = { index };
  if (contents.kind === "erased") {
    return new LogError("erased", `index ${index}: its contents were erased`, { details });
  }
  if (contents.kind === "key-missing") {
    const text = `index ${index}: the key store has no ${contents.key} key for it, and none was destroyed: is it the right key store, or an older copy?`;
    return new LogError("log-corrupt", text, { details });
  }
  const { cause } = contents;
  const text = `index ${index}: the sealed event does not open: ${cause.message}`;
  return new LogError("log-corrupt", text, { cause, details });
}

/** The parts of a row of the table `sealed`. @throws {LogError} `log-corrupt` @throws {EventError} `cbor-malformed` */
export function decodeSealedRow(row: Uint8Array): { readonly bytes: Uint8Array; readonly mask: Uint8Array | null } {
  const [bytes, mask] = listOf(decodeCbor(row), "sealed row");
  return { bytes: bytesOf(bytes, "sealed event"), mask: mask === null ? null : bytesOf(mask, "mask") };
}
