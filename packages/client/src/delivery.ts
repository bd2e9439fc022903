/**
 * Sending what the outbox holds: one signed batch in flight, in order, byte-identical on every try.
 *
 * The loop ends a batch's life in one of three ways: the log has it (placed), the log refuses one of its events for
 * good (that one is replaced under its number), or the log misbehaves (sending stops, queueing goes on).
 */
import { TallystickError, decodeBase64, decodeUtf8, encodeHex } from "@tallystick/core";
import { BATCH_ENTRIES_MAX, BATCH_MEDIA_TYPE, decodeBatch, encodeBatch, signBatch } from "@tallystick/events";
import { ClientError } from "./error.ts";
import { type TagKeys, acceptLeaf, expectationOf } from "./expectation.ts";
import { type Exchange, type Fetch, exchange } from "./http.ts";
import type { Numbered, Outbox, OutboxBatch, OutboxEntry, Placed, Refusal, StreamIdentity } from "./outbox.ts";

export interface DeliveryOptions {
  readonly url: string;
  readonly token: string;
  readonly origin: string;
  /** The sender key's seed, 32 bytes. */
  readonly seed: Uint8Array;
  readonly outbox: Outbox;
  readonly fetch: Fetch;
  readonly timeoutMs: number;
  /** Makes the `stream.refused` event that takes a refused one's number. */
  readonly replacement: (entry: OutboxEntry, original: Numbered, refusal: Refusal) => Numbered;
}

/** What one try to send came to. */
export type Sending =
  | { readonly kind: "idle" }
  | { readonly kind: "placed"; readonly entries: readonly OutboxEntry[] }
  | { readonly kind: "refused"; readonly entry: OutboxEntry }
  | { readonly kind: "retry"; readonly error: ClientError; readonly afterMs?: number };

/** Wire bytes of one batch; the log takes 4 MiB. */
const BATCH_BYTES_MAX = 2 * 1024 * 1024;
/** 1,000 acknowledgements with leaf, hash and tag keys stay well below it. */
const ANSWER_BYTES_MAX = 16 * 1024 * 1024;
/** Refusals that concern one event and stay what they are however often it is sent. */
const REFUSED_FOR_GOOD = new Set(["event-invalid", "id-conflict", "entry-too-large", "duplicate-id", "erased"]);

/**
 * Sends the oldest events that have no place in the log yet, once.
 *
 * @throws {ClientError} `log-misbehaved`: the log answered what no honest log answers; do not go on sending.
 */
export async function sendOnce(options: DeliveryOptions): Promise<Sending> {
  const { outbox } = options;
  const entries = await batchOf(outbox);
  if (entries.length === 0) return { kind: "idle" };
  const stream = streamOf(outbox);
  const events = await Promise.all(entries.map(async (entry) => await outbox.read(entry)));
  const body = await sealedBatch(options, stream, entries, events);
  const answer = await post(options, body);
  if (answer instanceof ClientError) return { kind: "retry", error: answer };
  if (answer.status === 200 || answer.status === 201 || answer.status === 202) {
    const placed = acceptAnswer({ options, stream, entries, events, body: answer.body });
    await outbox.place(entries[0]?.sequence ?? 0, placed);
    return { kind: "placed", entries };
  }
  return await refusedAnswer({ options, answer, entries, events });
}

function streamOf(outbox: Outbox): StreamIdentity {
  if (outbox.stream === undefined) throw new ClientError("outbox-corrupt", "the outbox has events but no stream");
  return outbox.stream;
}

/** The entries of the batch in flight, or else of the next one. */
async function batchOf(outbox: Outbox): Promise<OutboxEntry[]> {
  const { batch } = outbox;
  const entries: OutboxEntry[] = [];
  let bytes = 0;
  for (const entry of outbox.entries()) {
    if (entry.index !== undefined) continue;
    // A later event may be on disk before this one: its turn comes when it is there itself.
    if (entry.position.length === 0) break;
    if (batch !== undefined && entry.sequence >= batch.first + batch.count) break;
    bytes += entry.bytes;
    if (
      batch === undefined &&
      (entries.length === BATCH_ENTRIES_MAX || (bytes > BATCH_BYTES_MAX && entries.length > 0))
    )
      break;
    entries.push(entry);
  }
  return entries;
}

/** The batch's bytes; its bounds and signature are on disk before this returns. */
async function sealedBatch(
  options: DeliveryOptions,
  stream: StreamIdentity,
  entries: readonly OutboxEntry[],
  events: readonly Numbered[],
): Promise<Uint8Array> {
  const first = entries[0]?.sequence ?? 0;
  const content = { publicKey: stream.publicKey, instance: stream.instance, first, entries: events };
  const known = options.outbox.batch;
  if (known !== undefined && known.first === first && known.count === entries.length) {
    return encodeBatch({ ...content, signature: known.signature });
  }
  const bytes = signBatch({ origin: options.origin, seed: options.seed, ...content });
  const batch: OutboxBatch = { first, count: entries.length, signature: decodeBatch(bytes).signature };
  await options.outbox.seal(batch);
  return bytes;
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
    });
  } catch (error) {
    if (error instanceof ClientError) return error;
    throw error;
  }
}

interface Answered {
  readonly options: DeliveryOptions;
  readonly stream: StreamIdentity;
  readonly entries: readonly OutboxEntry[];
  readonly events: readonly Numbered[];
  readonly body: Uint8Array;
}

/** Holds each acknowledgement against what was sent. */
function acceptAnswer({ options, stream, entries, events, body }: Answered): Placed[] {
  const answer = parseAnswer(body, entries.length);
  return entries.map((entry, at) => {
    const event = events[at];
    const acknowledgement = answer.entries[at];
    if (event === undefined || acknowledgement === undefined) throw malformed(`no answer for entry ${at}`);
    const sent = { ...event, sequence: entry.sequence, sentAt: entry.sentAt };
    const expect = expectationOf(sent, options.origin, stream);
    acceptLeaf({ sent, expect, ...acknowledgement, tagKeys: answer.tagKeys });
    return { index: acknowledgement.index, leaf: acknowledgement.leaf };
  });
}

interface Acknowledgement {
  readonly index: number;
  readonly leaf: Uint8Array;
  readonly leafHash: Uint8Array;
}

interface ParsedAnswer {
  readonly entries: readonly Acknowledgement[];
  readonly tagKeys: TagKeys;
}

/** @throws {ClientError} `log-answer-malformed` */
function parseAnswer(body: Uint8Array, count: number): ParsedAnswer {
  const answer = objectOf(parseJson(body), "answer");
  const entries = arrayOf(answer["entries"], "entries").map((value, at) => {
    const entry = objectOf(value, `entries.${at}`);
    return {
      index: indexOf(entry["index"], `entries.${at}.index`),
      leaf: bytesOf(entry["leaf"], `entries.${at}.leaf`),
      leafHash: bytesOf(entry["leafHash"], `entries.${at}.leafHash`),
    };
  });
  if (entries.length !== count) throw malformed(`expected ${count} entries, got ${entries.length}`);
  const keys = objectOf(answer["tagKeys"], "tagKeys");
  return {
    entries,
    tagKeys: {
      personDays: arrayOf(keys["personDays"], "tagKeys.personDays").map((value, at) => {
        const row = objectOf(value, `tagKeys.personDays.${at}`);
        return { id: textOf(row["id"], "id"), day: indexOf(row["day"], "day"), key: bytesOf(row["key"], "key") };
      }),
      tenants: arrayOf(keys["tenants"], "tagKeys.tenants").map((value, at) => {
        const row = objectOf(value, `tagKeys.tenants.${at}`);
        return { id: textOf(row["id"], "id"), key: bytesOf(row["key"], "key") };
      }),
    },
  };
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
  const at = offender(problem);
  const entry = at === undefined ? undefined : entries[at];
  const event = at === undefined ? undefined : events[at];
  if (entry !== undefined && event !== undefined && REFUSED_FOR_GOOD.has(problem.code) && entry.refusal === undefined) {
    const refusal = { code: problem.code, message: problem.message };
    await options.outbox.replace(entry.sequence, options.replacement(entry, event, refusal), refusal);
    return { kind: "refused", entry };
  }
  if (problem.code === "sequence-gap") throw await gap(options, problem);
  const code = answer.status >= 500 || answer.status === 429 ? "audit-unavailable" : "log-refused";
  const error = new ClientError(code, `the log answered ${answer.status} ${problem.code}: ${problem.message}`, {
    details: { status: answer.status, problem: problem.code },
  });
  const afterMs = retryAfterMs(answer.headers.get("retry-after"));
  return { kind: "retry", error, ...(afterMs === undefined ? {} : { afterMs }) };
}

/** The log expects another number than the oldest that it never acknowledged: it forgot events, or invents some. */
async function gap(options: DeliveryOptions, problem: Problem): Promise<ClientError> {
  const stream = options.outbox.stream === undefined ? "?" : encodeHex(options.outbox.stream.instance);
  const first = options.outbox.batch?.first ?? options.outbox.nextSequence;
  const expected = problem.details["expected"];
  const text = `the log expects sequence ${String(expected)} of this stream, but acknowledged everything below ${first}: it lost or invented events`;
  return new ClientError("log-misbehaved", text, { details: { expected, first, instance: stream } });
}

interface Problem {
  readonly code: string;
  readonly message: string;
  readonly details: Readonly<Record<string, unknown>>;
}

function problemOf({ status, body }: Exchange): Problem {
  try {
    const details = objectOf(parseJson(body), "problem");
    const { code, detail } = details;
    return {
      code: typeof code === "string" ? code : `http-${status}`,
      message: typeof detail === "string" ? detail : `status ${status}`,
      details,
    };
  } catch (error) {
    if (!(error instanceof TallystickError)) throw error;
    return { code: `http-${status}`, message: "an answer that is no problem+json", details: {} };
  }
}

/** The position, within the batch, of the event that a problem names. */
function offender({ details }: Problem): number | undefined {
  const defects = details["defects"];
  const named = Array.isArray(defects) ? (defects[0] as { entry?: unknown } | undefined)?.entry : details["entry"];
  return typeof named === "number" && Number.isSafeInteger(named) ? named : undefined;
}

const RETRY_AFTER_MAX_MS = 300_000;

function retryAfterMs(header: string | null): number | undefined {
  if (header === null || !/^\d{1,6}$/.test(header)) return undefined;
  return Math.min(Number(header) * 1000, RETRY_AFTER_MAX_MS);
}

function parseJson(body: Uint8Array): unknown {
  try {
    return JSON.parse(decodeUtf8(body));
  } catch (cause) {
    throw new ClientError("log-answer-malformed", "the log's answer is not JSON", { cause });
  }
}

function objectOf(value: unknown, path: string): Record<string, unknown> {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw malformed(`${path}: expected an object`);
}

function arrayOf(value: unknown, path: string): readonly unknown[] {
  if (Array.isArray(value)) return value;
  throw malformed(`${path}: expected an array`);
}

function textOf(value: unknown, path: string): string {
  if (typeof value === "string") return value;
  throw malformed(`${path}: expected text`);
}

function indexOf(value: unknown, path: string): number {
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) return value;
  throw malformed(`${path}: expected a whole number`);
}

function bytesOf(value: unknown, path: string): Uint8Array {
  try {
    return decodeBase64(textOf(value, path));
  } catch (cause) {
    throw new ClientError("log-answer-malformed", `the log's answer: ${path}: expected base64`, { cause });
  }
}

function malformed(text: string): ClientError {
  return new ClientError("log-answer-malformed", `the log's answer: ${text}`);
}
