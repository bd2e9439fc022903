/** A key store in memory: for tests and for logs whose data is in memory too. */
import { randomBytes } from "node:crypto";
import { closedFailure } from "./failure.ts";
import { assertKeyName } from "./key-name.ts";
import type { KeyKind, KeyName, KeyState, KeyStore } from "./key-store.ts";
import { assertRetirement, retirementOf } from "./key-retirement.ts";
import { KEY_BYTES, keyFingerprint, type RandomSource } from "./key-wrap.ts";
import { type MasterKey, masterKeyProvider } from "./master-key-provider.ts";

export interface MemoryKeyStoreOptions {
  /** Default: node:crypto's. */
  readonly random?: RandomSource;
}

/** A new and empty key store. */
export function createMemoryKeyStore({ random = randomBytes }: MemoryKeyStoreOptions = {}): KeyStore {
  return new MemoryKeyStore(random);
}

interface Slot {
  readonly state: "pending" | "live" | "destroyed";
  /** After its destruction, the fingerprint. */
  readonly secret: Uint8Array;
}

class MemoryKeyStore implements KeyStore {
  readonly #random: RandomSource;
  readonly #slots = new Map<string, Slot>();
  #closed = false;
  #epoch = 1;

  constructor(random: RandomSource) {
    this.#random = random;
  }

  get epoch(): number {
    return this.#epoch;
  }

  get(kind: KeyKind, name: string): Uint8Array | undefined {
    const slot = this.#slots.get(this.#place(kind, name));
    return slot?.state === "destroyed" ? undefined : slot?.secret;
  }

  getOrCreate(kind: KeyKind, name: string): Uint8Array {
    const found = this.get(kind, name);
    if (found !== undefined) return found;
    const secret = new Uint8Array(this.#random(KEY_BYTES));
    this.#slots.set(this.#place(kind, name), { state: "pending", secret });
    return secret;
  }

  state(kind: KeyKind, name: string): KeyState {
    return this.#slots.get(this.#place(kind, name))?.state ?? "absent";
  }

  async sync(): Promise<void> {
    this.#assertOpen();
    for (const [place, { state, secret }] of this.#slots) {
      if (state === "pending") this.#slots.set(place, { state: "live", secret });
    }
  }

  async retire(from: KeyName, to: KeyName): Promise<void> {
    this.#assertOpen();
    assertRetirement(from, to);
    await this.sync();
    const [fromPlace, toPlace] = [from, to].map(({ kind, name }) => this.#place(kind, name)) as [string, string];
    const slot = this.#slots.get(fromPlace);
    if (retirementOf(slot, this.#slots.get(toPlace)) === "done" || slot === undefined) return;
    this.#slots.set(toPlace, slot);
    this.#slots.set(fromPlace, { state: "destroyed", secret: keyFingerprint(slot.secret) });
  }

  async destroy(names: readonly KeyName[]): Promise<(Uint8Array | undefined)[]> {
    const places = names.map(({ kind, name }) => this.#place(kind, name));
    await this.sync();
    if (places.some((place) => this.#slots.get(place)?.state === "live")) this.#epoch++;
    return places.map((place) => this.#destroyAt(place));
  }

  async rotateMasterKey(next: MasterKey): Promise<void> {
    this.#assertOpen();
    masterKeyProvider(next);
    await this.sync();
    this.#epoch++;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#slots.clear();
  }

  #destroyAt(place: string): Uint8Array | undefined {
    const slot = this.#slots.get(place);
    if (slot?.state !== "live") return slot?.secret;
    const secret = keyFingerprint(slot.secret);
    this.#slots.set(place, { state: "destroyed", secret });
    return secret;
  }

  #place(kind: KeyKind, name: string): string {
    this.#assertOpen();
    assertKeyName(kind, name);
    return `${kind}/${name}`;
  }

  #assertOpen(): void {
    if (this.#closed) throw closedFailure("key store");
  }
}
