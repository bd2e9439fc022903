/** The v1 API of a log: events in, receipts and proofs out. */
import { eventToJson } from "@tallystick/events";
import type { Acknowledgement, EntryState, Log, Preparation, PreparedAcknowledgement, TagKeys } from "@tallystick/log";
import { formatAcknowledgement, formatAcknowledgements } from "./acknowledgement.ts";
import { base64Of, jsonReply, resourceReply, valueReply } from "./answers.ts";
import { ServerError } from "./error.ts";
import { readingOf } from "./reading.ts";
import type { Reply, ServerRequest } from "./http/request.ts";
import { type Route, type RouteCall, route } from "./route.ts";
import * as schemas from "./schemas.ts";
import { EVENT_MEDIA_TYPES, type EventMediaType, mediaTypeOf, readSubmission } from "./submission.ts";
import type { SubmissionReader } from "./submission-reader.ts";
import { tailReply } from "./tail.ts";

const JSON_TYPE = "application/json";
const TEXT = "text/plain; charset=utf-8";
const WAIT_DEFAULT_MS = 10_000;
/** Receipts made side by side for one answer. */
const RECEIPTS_AT_ONCE = 32;

type SubmitCall = RouteCall<{ readonly wait?: EntryState | undefined; readonly timeout?: number | undefined }>;

export const API_ROUTES: readonly Route[] = [
  route({
    method: "POST",
    path: "v1/events",
    summary: "Reports events: one, an array, lines of JSON, or a signed batch",
    access: ["writer"],
    query: schemas.submitQuery,
    takes: "events",
    answers: {
      201: { description: "Logged", mediaType: JSON_TYPE, schema: schemas.submitted },
      200: { description: "All of it was there already", mediaType: JSON_TYPE, schema: schemas.submitted },
      202: { description: "Logged, but the wait was not met in time", mediaType: JSON_TYPE, schema: schemas.submitted },
    },
    problems: [
      "request-malformed",
      "json-malformed",
      "cbor-malformed",
      "batch-malformed",
      "signature-invalid",
      "sender-key-unknown",
      "batch-refused",
      "id-conflict",
      "sequence-gap",
      "erased",
      "body-too-large",
      "body-too-slow",
      "media-type-unsupported",
      "event-invalid",
      "event-refused",
      "stream-malformed",
      "log-overloaded",
      "log-starting",
      "log-stopped",
      "outcome-unknown",
      "clock-jumped",
      "log-closed",
    ],
    handle: submit,
  }),
  route({
    method: "GET",
    path: "v1/events/{index}",
    summary: "The contents of an entry; that they were read is itself logged, before they are given",
    access: ["auditor", "reader"],
    contents: "event",
    query: schemas.eventQuery,
    answers: { 200: { description: "Leaf, opening and event", mediaType: JSON_TYPE, schema: schemas.readEvent } },
    problems: ["index-unknown", "erased", "purpose-required", "log-overloaded", "log-stopped"],
    handle: async (call) => {
      const { log, format, parameter, query } = call;
      const read = await log.readEvent({ index: indexOf(parameter), ...readingOf(call, query.purpose) });
      const { leaf, opening, event, state } = read;
      const value = {
        index: read.index,
        leaf: base64Of(leaf),
        opening: base64Of(opening),
        event: eventToJson(event),
        state,
      };
      return valueReply(value, { format });
    },
  }),
  route({
    method: "GET",
    path: "v1/openings",
    summary:
      "The openings of a range of entries; that they were read is itself logged, in one entry, before they are given",
    access: ["auditor", "reader"],
    contents: "event",
    query: schemas.openingsQuery,
    answers: { 200: { description: "Openings", mediaType: JSON_TYPE, schema: schemas.readOpenings } },
    problems: ["index-unknown", "purpose-required", "log-overloaded", "log-stopped"],
    isLarge: true,
    handle: async (call) => {
      const { log, format, query } = call;
      const { from, limit } = query;
      const range = { from, ...(limit === undefined ? {} : { limit }) };
      const entries = await log.readOpenings({ ...range, ...readingOf(call, query.purpose) });
      const openings = entries.map((entry) =>
        "opening" in entry ? { index: entry.index, opening: base64Of(entry.opening) } : entry,
      );
      return valueReply({ openings }, { format });
    },
  }),
  route({
    method: "GET",
    path: "v1/receipts/{index}",
    summary: "The receipt of an entry: a tlog-proof with the leaf in its extra line",
    access: ["writer", "auditor"],
    query: schemas.receiptQuery,
    answers: { 200: { description: "c2sp.org/tlog-proof", mediaType: "text/plain" } },
    problems: ["index-unknown", "receipt-not-ready"],
    handle: async ({ log, request, parameter, query }) => {
      const body = await log.receipt(indexOf(parameter), { signatures: query.signatures ?? "minimal" });
      return resourceReply(request, { body, contentType: TEXT, cacheControl: "private, no-cache" });
    },
  }),
  route({
    method: "GET",
    path: "v1/proofs/inclusion",
    summary: "An inclusion proof; a convenience, since tiles give it too",
    access: "public",
    query: schemas.inclusionQuery,
    answers: { 200: { description: "Hashes from leaf to root", mediaType: JSON_TYPE, schema: schemas.inclusionProof } },
    problems: ["index-unknown", "size-unknown"],
    handle: async ({ log, format, query }) => {
      const { index } = query;
      const { size, hashes } = await log.inclusionProof({
        index,
        ...(query.size === undefined ? {} : { size: query.size }),
      });
      return valueReply({ index, size, hashes: hashes.map(base64Of) }, { format });
    },
  }),
  route({
    method: "GET",
    path: "v1/proofs/consistency",
    summary: "A consistency proof; a convenience, since tiles give it too",
    access: "public",
    query: schemas.consistencyQuery,
    answers: { 200: { description: "Hashes", mediaType: JSON_TYPE, schema: schemas.consistencyProof } },
    problems: ["size-unknown"],
    handle: async ({ log, format, query }) => {
      const hashes = await log.consistencyProof(query);
      return valueReply({ ...query, hashes: hashes.map(base64Of) }, { format });
    },
  }),
  route({
    method: "GET",
    path: "v1/checkpoints",
    summary: "Published heads, the newest first",
    access: "public",
    query: schemas.checkpointsQuery,
    answers: { 200: { description: "Signed notes", mediaType: JSON_TYPE, schema: schemas.checkpoints } },
    problems: [],
    handle: async ({ log, format, query }) => {
      const heads = await log.checkpoints({
        ...(query.limit === undefined ? {} : { limit: query.limit }),
        ...(query.before === undefined ? {} : { before: query.before }),
      });
      const checkpoints = heads.map(({ size, rootHash, note, publishedAt }) => ({
        size,
        rootHash: base64Of(rootHash),
        note,
        publishedAt: new Date(publishedAt).toISOString(),
      }));
      return valueReply({ checkpoints }, { format });
    },
  }),
  route({
    method: "GET",
    path: "v1/tail",
    summary: "Entries and heads as they come, as server-sent events; that it is read is itself logged",
    access: ["auditor", "reader"],
    contents: "tail",
    query: schemas.tailQuery,
    answers: { 200: { description: "Events `entry` and `checkpoint`", mediaType: "text/event-stream" } },
    problems: ["purpose-required", "log-overloaded", "log-stopped"],
    handle: async (call) => tailReply(call),
  }),
  route({
    method: "GET",
    path: "v1/status",
    summary: "How the log and its witnesses are",
    access: ["operator", "auditor"],
    query: schemas.noQuery,
    answers: { 200: { description: "State, sizes, witnesses", mediaType: JSON_TYPE, schema: schemas.status } },
    problems: [],
    handle: async ({ log, format }) => valueReply(log.status(), { format }),
  }),
  route({
    method: "GET",
    path: "v1/policy",
    summary: "The log's own policy: a proposal, to be compared with what its operator and witnesses say elsewhere",
    access: "public",
    query: schemas.noQuery,
    answers: { 200: { description: "c2sp.org/tlog-policy", mediaType: "text/plain" } },
    problems: [],
    handle: async ({ log, request }) =>
      resourceReply(request, { body: log.policyText, contentType: TEXT, cacheControl: "no-cache" }),
  }),
];

function indexOf(text: string): number {
  const index = Number(text);
  if (/^(0|[1-9]\d{0,15})$/.test(text) && Number.isSafeInteger(index)) return index;
  throw new ServerError(
    "request-malformed",
    `index: expected a whole number, got ${JSON.stringify(text.slice(0, 40))}`,
  );
}

async function submit(call: SubmitCall): Promise<Reply> {
  const { log, request, credential, query, format } = call;
  const mediaType = mediaTypeOf(request, EVENT_MEDIA_TYPES);
  const writer = credential?.id ?? "";
  const timeoutMs = query.timeout ?? WAIT_DEFAULT_MS;
  const wait: Wait = { wait: query.wait ?? "durable", timeoutMs, request };
  const { isSingle, appended } = await append(call, { log, writer, mediaType, body: await call.body.read() });
  const { entries, tagKeys } = await appended;
  const answers = await reached(log, entries, wait);
  const all = await formatAll(log, answers, { isSingle });
  const json = tagKeys === undefined ? all : withTagKeys(all, tagKeys);
  return jsonReply(json, { format, status: statusFor(answers, wait.wait) });
}

interface Appending {
  readonly log: Log;
  readonly writer: string;
  readonly mediaType: EventMediaType;
  readonly body: Uint8Array;
}

/** What is on its way to the log: apart from the request, whose body and events it would keep in memory for as long. */
interface Appended {
  /** Whether it was one event, and no list. */
  readonly isSingle: boolean;
  readonly appended: Promise<PreparedAcknowledgement>;
}

function append({ submissions }: SubmitCall, appending: Appending): Appended | Promise<Appended> {
  const { log, writer, mediaType, body } = appending;
  if (submissions?.takes(body, writer) === true) {
    const preparation = log.preparation(writer);
    if (preparation !== undefined) return appendElsewhere(submissions, { ...appending, preparation });
  }
  const submitted = readSubmission(body, mediaType);
  if (submitted.kind === "batch")
    return { isSingle: false, appended: log.appendBatch({ writer, batch: submitted.batch }) };
  const appended = log.appendEvents({ writer, events: submitted.events });
  return { isSingle: submitted.single, appended: appended.then((entries) => ({ entries })) };
}

async function appendElsewhere(
  submissions: SubmissionReader,
  { log, writer, ...submission }: Appending & { readonly preparation: Preparation },
): Promise<Appended> {
  const { prepared, single } = await submissions.read({ writer, ...submission });
  return { isSingle: single, appended: log.appendPrepared({ writer, prepared }) };
}

function withTagKeys(entries: string | Buffer, tagKeys: TagKeys): Buffer {
  const behind = `,"tagKeys":${JSON.stringify(describeTagKeys(tagKeys))}}`;
  const parts = ['{"entries":', entries, behind];
  return Buffer.concat(parts.map((part) => (typeof part === "string" ? Buffer.from(part) : part)));
}

function describeTagKeys({ personDays, tenants }: TagKeys): unknown {
  return {
    personDays: personDays.map(({ id, day, key }) => ({ id, day, key: base64Of(key) })),
    tenants: tenants.map(({ id, key }) => ({ id, key: base64Of(key) })),
  };
}

interface Wait {
  readonly wait: EntryState;
  readonly timeoutMs: number;
  /** Whose client may go away meanwhile. */
  readonly request: ServerRequest;
}

/** The answers with the state that was reached when the wait ended. */
async function reached(
  log: Log,
  answers: readonly Acknowledgement[],
  { wait, timeoutMs, request }: Wait,
): Promise<readonly Acknowledgement[]> {
  if (wait === "durable") return answers;
  const last = Math.max(...answers.map(({ index }) => index));
  await log.waitFor({ index: last, state: wait, timeoutMs, signal: request.signal });
  return answers.map((answer) => {
    const state = log.stateOf(answer.index);
    return state === answer.state ? answer : { ...answer, state };
  });
}

function statusFor(answers: readonly Acknowledgement[], wait: EntryState): 200 | 201 | 202 {
  const rank = (state: EntryState): number => ["durable", "published", "witnessed"].indexOf(state);
  if (answers.some(({ state }) => rank(state) < rank(wait))) return 202;
  return answers.every(({ duplicate }) => duplicate === true) ? 200 : 201;
}

/** The answers as JSON: a list, or the only one. */
async function formatAll(
  log: Log,
  answers: readonly Acknowledgement[],
  { isSingle }: { readonly isSingle: boolean },
): Promise<string | Buffer> {
  const isAnyPublished = answers.some(({ state }) => state !== "durable");
  const receipts = isAnyPublished ? await receiptsOf(log, answers) : undefined;
  const receiptOf = ({ index }: Acknowledgement): string | undefined => receipts?.get(index);
  const [only] = answers;
  if (isSingle && only !== undefined) return formatAcknowledgement(only, receiptOf(only));
  return formatAcknowledgements(answers, receiptOf);
}

/** By index, for those that are published. */
async function receiptsOf(log: Log, answers: readonly Acknowledgement[]): Promise<ReadonlyMap<number, string>> {
  const published = answers.filter(({ state }) => state !== "durable");
  const receipts = new Map<number, string>();
  for (let first = 0; first < published.length; first += RECEIPTS_AT_ONCE) {
    await Promise.all(
      published.slice(first, first + RECEIPTS_AT_ONCE).map(async ({ index, leaf }) => {
        receipts.set(index, await log.receipt(index, { leaf }));
      }),
    );
  }
  return receipts;
}
