/**
 * Sending what the outbox holds: one signed batch in flight, in order, byte-identical on every try.
 *
 * A batch's life ends in one of three ways: the log has it (placed), the log refuses one of its events for good (that
 * one is replaced under its number), or the log misbehaves (sending stops, queueing goes on).
 */
import { encodeHex } from "@tallystick/core";
import {
  BATCH_ENTRIES_MAX,
  BATCH_MEDIA_TYPE,
  type SignedBatch,
  decodeBatch,
  decodeLeaf,
  encodeBatch,
  signBatch,
} from "@tallystick/events";
import { parseBatchAnswer } from "./acknowledgement.ts";
import { ClientError, clientError } from "./error.ts";
import { acceptLeaf, expectationOf } from "./expectation.ts";
import { type Exchange, type Fetch, exchange } from "./http.ts";
import type { Numbered, Outbox, OutboxEntry, Placed, Refusal, StreamIdentity } from "./outbox.ts";
import { CLOCK_TOLERANCE_MS } from "./receipt.ts";
import { type Problem, offenderOf, problemOf, retryAfterMs } from "./problem.ts";

export interface DeliveryOptions {
  readonly url: string;
  readonly token: string;
  /** The sender key's seed, 32 bytes. */
  readonly seed: Uint8Array;
  readonly outbox: Outbox;
  readonly fetch: Fetch;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
  readonly now: () => number;
  /** Makes the `stream.refused` event that takes a refused one's number. */
  readonly replacement: (entry: OutboxEntry, original: Numbered, refusal: Refusal) => Numbered;
}

/** What one try to send came to. */
export type Sending =
  | { readonly kind: "idle" }
  | {
      readonly kind: "placed";
      readonly entries: readonly OutboxEntry[];
      /** The log's clock and this host's do not agree. */
      readonly disputed: ClientError | undefined;
    }
  | { readonly kind: "refused"; readonly entry: OutboxEntry }
  | { readonly kind: "retry"; readonly error: ClientError; readonly afterMs?: number };

/** Of events in one batch: below the 1 MB that proxies commonly let pass. The log itself takes 4 MiB. */
const BATCH_BYTES_MAX = 900 * 1024;
/** 1,000 acknowledgements with leaf, hash and tag keys stay well below it. */
const ANSWER_BYTES_MAX = 16 * 1024 * 1024;
/** Refusals that concern one event and stay what they are however often it is sent. */
const REFUSED_FOR_GOOD = new Set(["event-invalid", "id-conflict", "entry-too-large", "duplicate-id", "erased"]);

/**
 * Sends the oldest events that have no place in the log yet, once.
 *
 * @throws {ClientError} `log-misbehaved`: the log answered what no honest log answers; `outbox-outdated`: the log has
 *   more of this stream than the outbox: do not go on sending. Others, such as `log-answer-malformed`: try again.
 */
export async function sendOnce(options: DeliveryOptions): Promise<Sending> {
  const { outbox } = options;
  const entries = batchOf(outbox);
  if (entries.length === 0) return { kind: "idle" };
  const stream = streamOf(outbox);
  const events = await Promise.all(entries.map(async (entry) => outbox.read(entry)));
  const batch = await sealedBatch(options, stream, entries, events);
  const answer = await post(options, encodeBatch(batch));
  if (answer instanceof ClientError) return { kind: "retry", error: answer };
  if (answer.status === 200 || answer.status === 201 || answer.status === 202) {
    const placed = acceptAnswer({ stream, batch, entries, body: answer.body });
    await outbox.place(batch.first, placed);
    return { kind: "placed", entries, disputed: disputeOf(entries, placed, options.now()) };
  }
  return refusedAnswer({ options, answer, entries, events });
}

function streamOf(outbox: Outbox): StreamIdentity {
  if (outbox.stream === undefined) throw new ClientError("outbox-corrupt", "the outbox has events but no stream");
  return outbox.stream;
}

/** The entries of the batch in flight, or else of the next one. */
function batchOf(outbox: Outbox): OutboxEntry[] {
  const { batch } = outbox;
  const countMax = batch?.count ?? BATCH_ENTRIES_MAX;
  const bytesMax = batch === undefined ? BATCH_BYTES_MAX : Infinity;
  const entries: OutboxEntry[] = [];
  let bytes = 0;
  for (let sequence = batch?.first ?? outbox.firstUnplaced; entries.length < countMax; sequence += 1) {
    const entry = outbox.entry(sequence);
    // A later event may be on disk before this one: its turn comes when it is there itself.
    if (entry?.position === undefined) break;
    bytes += entry.bytes;
    if (bytes > bytesMax && entries.length > 0) break;
    entries.push(entry);
  }
  return entries;
}

/** The batch; its bounds and signature are on disk before this returns. */
async function sealedBatch(
  { seed, outbox }: DeliveryOptions,
  stream: StreamIdentity,
  entries: readonly OutboxEntry[],
  events: readonly Numbered[],
): Promise<SignedBatch> {
  const first = entries[0]?.sequence ?? outbox.firstUnplaced;
  const { publicKey, instance } = stream;
  const content = { publicKey, instance, first, entries: events };
  const known = outbox.batch;
  if (known !== undefined) {
    if (known.first !== first || known.count !== entries.length) {
      throw new ClientError("outbox-corrupt", `the batch from number ${known.first} is not whole in the outbox`);
    }
    return { ...content, signature: known.signature };
  }
  const batch = decodeBatch(signBatch({ origin: stream.origin, seed, ...content }));
  await outbox.seal({ first, count: entries.length, signature: batch.signature });
  return batch;
}

async function post(options: DeliveryOptions, body: Uint8Array): Promise<Exchange | ClientError> {
  try {
    return await exchange({
      fetch: options.fetch,
      url: `${options.url}/v1/events?wait=durable`,
      method: "POST",
      body,
      headers: {
        authorization: `Bearer ${options.token}`,
        "content-type": BATCH_MEDIA_TYPE,
        accept: "application/json",
      },
      timeoutMs: options.timeoutMs,
      bytesMax: ANSWER_BYTES_MAX,
      signal: options.signal,
    });
  } catch (error) {
    if (error instanceof ClientError) return error;
    throw error;
  }
}

interface Answered {
  readonly stream: StreamIdentity;
  readonly batch: SignedBatch;
  readonly entries: readonly OutboxEntry[];
  readonly body: Uint8Array;
}

/** Holds each acknowledgement against what was sent. */
function acceptAnswer({ stream, batch, entries, body }: Answered): Placed[] {
  const answer = parseBatchAnswer(body, entries.length);
  const count = entries.length;
  const placed: Placed[] = [];
  for (const [at, { sequence, sentAt }] of entries.entries()) {
    const event = batch.entries[at];
    const acknowledgement = answer.entries[at];
    if (event === undefined || acknowledgement === undefined) throw new RangeError(`no answer for entry ${at}`);
    const sent = { ...event, sequence, sentAt };
    const signature = at === count - 1 ? { count, signature: batch.signature } : null;
    acceptLeaf({ sent, expect: expectationOf(sent, stream), signature, ...acknowledgement, tagKeys: answer.tagKeys });
    assertFollows(sequence, placed.at(-1)?.index, acknowledgement.index);
    placed.push({ index: acknowledgement.index, leaf: acknowledgement.leaf });
  }
  return placed;
}

/**
 * Events whose time in the log lies more than five minutes before this host sent them, or after now. Either clock may be
 * the wrong one: somebody has to look, and nothing stops.
 */
function disputeOf(entries: readonly OutboxEntry[], placed: readonly Placed[], now: number): ClientError | undefined {
  const disputed = entries.flatMap(({ id, sequence, sentAt }, at) => {
    const { index, leaf } = placed[at] ?? {};
    if (index === undefined || leaf === undefined) return [];
    const { loggedAt } = decodeLeaf(leaf);
    const backdated = loggedAt < sentAt - CLOCK_TOLERANCE_MS;
    return backdated || loggedAt > now + CLOCK_TOLERANCE_MS
      ? [{ id, sequence, index, sentAt, loggedAt, backdated }]
      : [];
  });
  const [first] = disputed;
  if (first === undefined) return undefined;
  const { id, index, sentAt, loggedAt, backdated } = first;
  const apart = Math.round(Math.abs(loggedAt - (backdated ? sentAt : now)) / 1000);
  const how = backdated ? `${apart} s before this host's clock says it was sent` : `${apart} s after this host's clock`;
  const more = disputed.length === 1 ? "" : ` (and so of ${disputed.length - 1} more of its batch)`;
  const text = `the log says that it logged event ${id} at index ${index} ${how}${more}: set this host's clock right; if it is right, the log's times are false: tell the auditor`;
  return new ClientError("log-time-disputed", text, { details: { events: disputed } });
}

/** A batch is appended whole and in order. */
function assertFollows(sequence: number, before: number | undefined, index: number): void {
  if (before === undefined || index === before + 1) return;
  const text = `sequence ${sequence}: index: expected ${before + 1}, right after the one before it, the log says ${index}`;
  throw new ClientError("log-misbehaved", text, { details: { sequence, field: "index" } });
}

interface RefusedAnswer {
  readonly options: DeliveryOptions;
  readonly answer: Exchange;
  readonly entries: readonly OutboxEntry[];
  readonly events: readonly Numbered[];
}

/** What a problem means for the batch: try again, replace one event, or stop. */
async function refusedAnswer({ options, answer, entries, events }: RefusedAnswer): Promise<Sending> {
  const problem = problemOf(answer);
  const at = offenderOf(problem) ?? (entries.length === 1 ? 0 : undefined);
  const entry = at === undefined ? undefined : entries[at];
  const event = at === undefined ? undefined : events[at];
  if (entry !== undefined && event !== undefined && REFUSED_FOR_GOOD.has(problem.code) && entry.refusal === undefined) {
    const refusal = { code: problem.code, message: problem.message };
    await options.outbox.replace(entry.sequence, options.replacement(entry, event, refusal), refusal);
    return { kind: "refused", entry };
  }
  if (problem.code === "sequence-gap") assertExpected(options.outbox, problem);
  const code = answer.status >= 500 || answer.status === 429 ? "audit-unavailable" : "log-refused";
  const error = clientError(code, `the log answered ${answer.status} ${problem.code}: ${problem.message}`, {
    details: { status: answer.status, problem: problem.code },
  });
  const afterMs = retryAfterMs(answer.headers.get("retry-after"));
  return { kind: "retry", error, ...(afterMs === undefined ? {} : { afterMs }) };
}

/** The log expects another number than the oldest that it never acknowledged: one of the two has lost something. */
function assertExpected({ batch, firstUnplaced, stream }: Outbox, { details }: Problem): void {
  const { expected } = details;
  const first = batch?.first ?? firstUnplaced;
  if (typeof expected !== "number" || !Number.isSafeInteger(expected) || expected === first) return;
  const named = { expected, first, instance: stream === undefined ? "?" : encodeHex(stream.instance) };
  if (expected < first) {
    const text = `the log expects sequence ${expected} of this stream, but acknowledged everything below ${first}: it has lost events`;
    throw new ClientError("log-misbehaved", text, { details: named });
  }
  const text = `the log has this stream up to sequence ${expected - 1}, the outbox only below ${first}: it is an older copy, or another has its key; move it away to begin a new stream`;
  throw new ClientError("outbox-outdated", text, { details: named });
}
