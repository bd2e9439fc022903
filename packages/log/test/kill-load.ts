/** What the process that is killed sends: a function of writer and number, so that the next one can send it again. */
import { createSigner, ed25519PublicKey, encodeHex, formatPolicy, sha256, utf8 } from "@tallystick/core";
import { type TallyEvent, encodeEvent, importedEventId, parseEvent, signBatch, streamId } from "@tallystick/events";
import type { LogKeys } from "../src/index.ts";

export const ORIGIN = "log.example/killed";
export const WRITERS: readonly string[] = ["w0", "w1", "w2"];
export const BATCH_EVENTS = 7;
export const MASTER_KEY: Uint8Array = seedOf("master key");

const TIME_MS = 1_760_000_000_000;
const sender = { seed: seedOf("a sender"), instance: seedOf("an instance").slice(0, 16) };
const publicKey = ed25519PublicKey(sender.seed);

export const STREAM: string = encodeHex(streamId({ origin: ORIGIN, publicKey, instance: sender.instance }));

export const KEYS: LogKeys = {
  signers: [createSigner({ name: ORIGIN, type: "ed25519", seed: seedOf("log") })],
  senderSeed: seedOf("own sender"),
};

export const POLICY: string = formatPolicy({
  logs: KEYS.signers.map(({ vkey }) => ({ vkey })),
  witnesses: [],
  quorum: "none",
});

function seedOf(name: string): Uint8Array {
  return sha256(utf8(name));
}

function eventOf(source: string, n: number, type: string): TallyEvent {
  return parseEvent({
    id: importedEventId(TIME_MS, { source, lineNumber: n, line: "" }),
    time: TIME_MS,
    type,
    outcome: "success",
    ...(type === "stream.start" ? {} : { actor: { type: "user", id: `user ${n % 50}` } }),
    ...(n % 3 === 0 ? { tenant: "acme" } : {}),
  });
}

/** Event `n` of a writer. */
export function unsignedEvent(writer: string, n: number): TallyEvent {
  return eventOf(writer, n, "auth.login");
}

/** Batch `k` of the sender, from 0. */
export function signedBatch(k: number): Uint8Array {
  const first = 1 + k * BATCH_EVENTS;
  const entries = Array.from({ length: BATCH_EVENTS }, (_, at) => {
    const sequence = first + at;
    const event = encodeEvent(eventOf("sender", sequence, sequence === 1 ? "stream.start" : "shop.order"));
    return { salt: seedOf(`salt ${sequence}`), event };
  });
  return signBatch({ origin: ORIGIN, seed: sender.seed, publicKey, instance: sender.instance, first, entries });
}

/** How many events the request has that begins with event `n`. */
export function requestSize(n: number): number {
  return 1 + (n % 13);
}
