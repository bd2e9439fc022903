/** A sender of signed batches. */
import { ed25519PublicKey, encodeHex, sha256, utf8 } from "@tallystick/core";
import { type TallyEvent, encodeEvent, signBatch, streamId } from "@tallystick/events";
import { ORIGIN, event } from "./site.ts";

export class Sender {
  readonly publicKey: Uint8Array;
  readonly #seed: Uint8Array;
  readonly #instance: Uint8Array;
  readonly #name: string;

  constructor(name = "sender-a", instance = "1") {
    this.#name = name;
    this.#seed = sha256(utf8(`seed ${name}`));
    this.publicKey = ed25519PublicKey(this.#seed);
    this.#instance = sha256(utf8(`instance ${instance}`)).slice(0, 16);
  }

  get stream(): string {
    return encodeHex(streamId({ origin: ORIGIN, publicKey: this.publicKey, instance: this.#instance }));
  }

  /** The event that begins a stream. */
  start(n = 1_000_000): TallyEvent {
    return event(n, { type: "stream.start", outcome: "success" });
  }

  /** Byte-identical for the same arguments. */
  batch(first: number, events: readonly TallyEvent[], origin: string = ORIGIN): Uint8Array {
    const entries = events.map((each, at) => ({
      salt: sha256(utf8(`${this.#name} ${first + at} ${each.id}`)),
      event: encodeEvent(each),
    }));
    const { publicKey } = this;
    return signBatch({ origin, seed: this.#seed, publicKey, instance: this.#instance, first, entries });
  }
}
