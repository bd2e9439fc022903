/** Signed batches of one stream, made before the clock starts: an event is written once, and then only its id changes. */
import { randomBytes } from "node:crypto";
import { ed25519PublicKey, ed25519Sign } from "@tallystick/core";
import {
  type SignedBatch,
  batchMessage,
  batchRoot,
  computeCommitment,
  encodeBatch,
  encodeClaim,
  encodeEvent,
  newEventId,
  parseEvent,
  streamId,
} from "@tallystick/events";
import { PERSONS } from "./json-events.ts";

export interface BatchSender {
  readonly origin: string;
  /** 32 bytes. */
  readonly seed: Uint8Array;
}

/** What the sender of a batch of events is known by. */
export function senderKeyOf(seed: Uint8Array): Uint8Array {
  return ed25519PublicKey(seed);
}

/** Makes the batches of one stream, one after the other. */
export class BatchStream {
  readonly #sender: BatchSender;
  readonly #publicKey: Uint8Array;
  readonly #instance = new Uint8Array(randomBytes(16));
  readonly #events: readonly Uint8Array[];
  readonly #stream: Uint8Array;
  #first = 1;

  constructor(sender: BatchSender) {
    this.#sender = sender;
    this.#publicKey = senderKeyOf(sender.seed);
    this.#stream = streamId({ origin: sender.origin, publicKey: this.#publicKey, instance: this.#instance });
    this.#events = Array.from({ length: PERSONS }, (_, at) => encodeEvent(loginOf(`u_${String(at).padStart(3, "0")}`)));
  }

  /** The next batch; the stream's first one begins with `stream.start`. */
  next(count: number): Uint8Array {
    const first = this.#first;
    this.#first += count;
    const salts = randomBytes(32 * count);
    const now = Date.now();
    const entries = Array.from({ length: count }, (_, at) => ({
      salt: new Uint8Array(salts.subarray(32 * at, 32 * at + 32)),
      event: first + at === 1 ? encodeEvent(streamStart()) : this.#renewed(now),
    }));
    const claims = entries.map((entry, at) =>
      encodeClaim({
        sequence: first + at,
        class: first + at === 1 ? "stream" : "auth",
        commitment: computeCommitment(entry),
        sessionTag: null,
      }),
    );
    const message = batchMessage({ stream: this.#stream, first, count, root: batchRoot(claims) });
    const batch: SignedBatch = {
      publicKey: this.#publicKey,
      instance: this.#instance,
      first,
      entries,
      signature: ed25519Sign(this.#sender.seed, message),
    };
    return encodeBatch(batch);
  }

  /** The event of one person with a new id of this time: 16 bytes, which follow the key "id" and stand in no other place. */
  #renewed(now: number): Uint8Array {
    const random = randomBytes(18);
    const event = Uint8Array.from(this.#events[random.readUInt16BE(16) % PERSONS] ?? []);
    const at = ID_AT;
    event.set(random.subarray(6, 16), at + 6);
    new DataView(event.buffer).setUint16(at, now / 2 ** 32);
    new DataView(event.buffer).setUint32(at + 2, now);
    event[at + 6] = 0x70 | ((event[at + 6] ?? 0) & 0x0f);
    event[at + 8] = 0x80 | ((event[at + 8] ?? 0) & 0x3f);
    return event;
  }
}

function loginOf(person: string): ReturnType<typeof parseEvent> {
  return parseEvent({
    ...idAndTime(),
    type: "auth.login",
    outcome: "success",
    actor: { type: "user", id: person },
    source: { ip: "203.0.113.7" },
    auth: { method: "password" },
  });
}

function streamStart(): ReturnType<typeof parseEvent> {
  return parseEvent({ ...idAndTime(), type: "stream.start", outcome: "success" });
}

function idAndTime(): { id: string; time: number } {
  return { id: newEventId(Date.now(), new Uint8Array(randomBytes(16))), time: Date.now() };
}

/** Map keys stand in the order of their encodings, so "id" comes first, after the map's own byte. RFC 8949 §4.2.1 */
const ID_AT = 1 + 3 + 1;
