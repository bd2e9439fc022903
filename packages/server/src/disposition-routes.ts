/** The routes of what becomes of contents in the end: erasure, legal hold, retention, rules, and a person's own copy. */
import { formatEvidence } from "@tallystick/events";
import * as z from "zod";
import { valueReply } from "./answers.ts";
import { approve, withApproval } from "./approval.ts";
import { describeClassDay, describeDestruction, describeHold, describeScope } from "./disposition-answers.ts";
import * as schemas from "./disposition-schemas.ts";
import { ServerError } from "./error.ts";
import { APPLY_RULES, ERASE, LIFT_HOLD, ORDERS, SET_HOLD } from "./orders.ts";
import type { ProblemCode } from "./problem.ts";
import { readingOf } from "./reading.ts";
import type { Reply } from "./http/request.ts";
import { type Answer, type Route, type RouteCall, route } from "./route.ts";
import { noQuery } from "./schemas.ts";
import { exportReply } from "./subject-export.ts";
import { readValue } from "./value-body.ts";

const JSON_TYPE = "application/json";
/** A class has one a day: ten classes of nearly three years. */
const CLASS_DAYS_MAX = 10_000;
const DAY_MS = 86_400_000;

/** Whoever has just erased somebody asks for an entry that is about to be published. */
const PUBLISHED_DEFAULT_MS = 10_000;

/** Of whatever has to be logged before it is answered. */
const UNLOGGED: readonly ProblemCode[] = [
  "log-overloaded",
  "log-starting",
  "log-stopped",
  "outcome-unknown",
  "clock-jumped",
  "keys-unavailable",
];
/** Of a body with a value. */
const UNREAD: readonly ProblemCode[] = [
  "json-malformed",
  "cbor-malformed",
  "body-too-large",
  "body-too-slow",
  "media-type-unsupported",
];

const AWAITING: Readonly<Record<number, Answer>> = {
  202: { description: "To be approved by a second person", mediaType: JSON_TYPE, schema: schemas.awaitingApproval },
};

export const DISPOSITION_ROUTES: readonly Route[] = [
  route({
    method: "POST",
    path: "v1/erasures",
    summary: "Erases a person: nothing about them can be read once it is answered, and the key is destroyed soon after",
    access: ["officer"],
    query: noQuery,
    takes: schemas.eraseBody,
    answers: {
      202: {
        description: "Ordered, or held by a legal hold, or to be approved by a second person",
        mediaType: JSON_TYPE,
        schema: z.union([schemas.destruction, schemas.awaitingApproval]),
      },
      200: { description: "Done already", mediaType: JSON_TYPE, schema: schemas.destruction },
    },
    problems: [...UNREAD, ...UNLOGGED, "subject-refused", "subject-unknown"],
    handle: async (call) => withApproval(call, ERASE, await readValue(call, schemas.eraseBody)),
  }),
  route({
    method: "GET",
    path: "v1/erasures",
    summary: "What was destroyed, or is to be, the newest first: by erasure and by retention",
    access: ["officer", "auditor"],
    query: schemas.destructionsQuery,
    answers: { 200: { description: "Without whose it was", mediaType: JSON_TYPE, schema: schemas.destructions } },
    problems: [],
    handle: async ({ log, format, query: { limit, before } }) => {
      const found = await log.disposition.destructions({
        ...(limit === undefined ? {} : { limit }),
        ...(before === undefined ? {} : { before }),
      });
      return valueReply({ erasures: found.map(describeDestruction) }, { format });
    },
  }),
  route({
    method: "GET",
    path: "v1/erasures/{request}/certificate",
    summary:
      "The certificate: what proves the order, and that it is done, to anybody; that it was read is itself logged",
    access: ["officer", "auditor"],
    query: schemas.certificateQuery,
    answers: { 200: { description: "Evidence of each entry", mediaType: JSON_TYPE, schema: schemas.certificate } },
    problems: ["destruction-unknown", "receipt-not-ready", ...UNLOGGED],
    handle: certificateReply,
  }),
  route({
    method: "GET",
    path: "v1/erasures/{request}",
    summary: "How far a destruction is",
    access: ["officer", "auditor"],
    query: schemas.destructionQuery,
    answers: { 200: { description: "Without whose it was", mediaType: JSON_TYPE, schema: schemas.destruction } },
    problems: ["destruction-unknown"],
    handle: async ({ log, format, parameter, query: { timeout }, request: { signal } }) => {
      const found =
        timeout === undefined
          ? await log.disposition.destruction(parameter)
          : await log.disposition.waitForDestruction(parameter, timeout, signal);
      return valueReply(describeDestruction(found), { format });
    },
  }),
  route({
    method: "POST",
    path: "v1/holds",
    summary: "Sets a legal hold: what it covers is destroyed by nothing until it is lifted",
    access: ["officer"],
    query: noQuery,
    takes: schemas.holdBody,
    answers: { 201: { description: "It holds", mediaType: JSON_TYPE, schema: schemas.hold }, ...AWAITING },
    problems: [...UNREAD, ...UNLOGGED],
    handle: async (call) => withApproval(call, SET_HOLD, await readValue(call, schemas.holdBody)),
  }),
  route({
    method: "GET",
    path: "v1/holds",
    summary: "The legal holds",
    access: ["officer", "auditor"],
    query: schemas.holdsQuery,
    answers: { 200: { description: "Without whose they are", mediaType: JSON_TYPE, schema: schemas.holds } },
    problems: [],
    handle: async ({ log, format, query: { lifted } }) => {
      const holds = await log.disposition.holds({ lifted: lifted === "true" });
      return valueReply({ holds: holds.map(describeHold) }, { format });
    },
  }),
  route({
    method: "POST",
    path: "v1/holds/{id}/lift",
    summary: "Lifts a legal hold: what it kept beyond its time is destroyed at once",
    access: ["officer"],
    query: noQuery,
    answers: { 200: { description: "It holds no more", mediaType: JSON_TYPE, schema: schemas.hold }, ...AWAITING },
    problems: [...UNLOGGED, "hold-unknown"],
    handle: async (call) => withApproval(call, LIFT_HOLD, { id: call.parameter }),
  }),
  route({
    method: "GET",
    path: "v1/retention",
    summary: "What is kept for how long: each class and day that still has a key, and when it is due",
    access: ["officer", "auditor", "operator"],
    query: schemas.retentionQuery,
    answers: { 200: { description: "Class-days, no contents", mediaType: JSON_TYPE, schema: schemas.classDays } },
    problems: [],
    handle: retentionReply,
  }),
  route({
    method: "POST",
    path: "v1/retention/run",
    summary: "Destroys what is due, as the log does by itself once an hour",
    access: ["operator", "officer"],
    query: noQuery,
    answers: { 200: { description: "What went", mediaType: JSON_TYPE, schema: schemas.retentionRun } },
    problems: UNLOGGED,
    handle: async ({ log, format }) => {
      const { destroyed, held } = await log.disposition.runRetention();
      return valueReply({ destroyed: destroyed.map(describeScope), held }, { format });
    },
  }),
  route({
    method: "GET",
    path: "v1/rules",
    summary: "The rules in force",
    access: ["officer", "auditor", "operator"],
    query: noQuery,
    answers: { 200: { description: "As they were applied", mediaType: JSON_TYPE, schema: schemas.rules } },
    problems: [],
    handle: async ({ log, format }) => valueReply(log.disposition.rules(), { format }),
  }),
  route({
    method: "GET",
    path: "v1/rules/{digest}",
    summary: "Rules that were approved at any time, by the digest in their log.rules entry",
    access: ["officer", "auditor", "operator"],
    query: noQuery,
    answers: { 200: { description: "As they were applied", mediaType: JSON_TYPE, schema: schemas.rules } },
    problems: ["rules-unknown"],
    handle: async ({ log, format, parameter }) => valueReply(await log.disposition.rulesOf(parameter), { format }),
  }),
  route({
    method: "POST",
    path: "v1/rules",
    summary: "Lets other rules hold from now on; what was promised for events that are there still binds",
    access: ["officer"],
    query: noQuery,
    takes: schemas.rulesBody,
    answers: { 201: { description: "They hold", mediaType: JSON_TYPE, schema: schemas.rulesApplied }, ...AWAITING },
    problems: [...UNREAD, ...UNLOGGED, "rules-malformed"],
    handle: async (call) => withApproval(call, APPLY_RULES, await readValue(call, schemas.rulesBody)),
  }),
  route({
    method: "POST",
    path: "v1/approvals",
    summary: "Approves, as the second person, what a first one asked for, and carries it out",
    access: ["officer"],
    query: noQuery,
    takes: schemas.approvalBody,
    answers: {
      200: {
        description: "As the route that it was asked of; or the preview",
        mediaType: JSON_TYPE,
        schema: z.unknown(),
      },
      201: { description: "As the route that it was asked of", mediaType: JSON_TYPE, schema: z.unknown() },
      202: { description: "As the route that it was asked of", mediaType: JSON_TYPE, schema: z.unknown() },
    },
    problems: [
      ...UNREAD,
      ...UNLOGGED,
      "approval-invalid",
      "approval-outdated",
      "approval-by-same-person",
      "subject-refused",
      "subject-unknown",
      "hold-unknown",
      "rules-malformed",
    ],
    handle: async (call) => approve(call, await readValue(call, schemas.approvalBody), ORDERS),
  }),
  route({
    method: "POST",
    path: "v1/subjects/export",
    summary:
      "All that is held about a person, with proofs; that it was exported is itself logged, before anything is given",
    access: ["officer", "reader"],
    contents: "export",
    query: noQuery,
    takes: schemas.exportBody,
    answers: { 200: { description: "A line for each entry, then their number", mediaType: "application/x-ndjson" } },
    problems: [...UNREAD, ...UNLOGGED, "subject-unknown", "purpose-required"],
    handle: exportOf,
  }),
];

async function certificateReply(call: RouteCall<{ readonly timeout?: number | undefined }>): Promise<Reply> {
  const { log, credential, format, parameter, query, request } = call;
  const { ordered = [], done } = await log.disposition.destruction(parameter);
  const indexes = done === undefined ? ordered : [...ordered, done];
  const { timeout: timeoutMs = PUBLISHED_DEFAULT_MS } = query;
  const last = indexes.at(-1);
  if (last !== undefined) await log.waitFor({ index: last, state: "published", timeoutMs, signal: request.signal });
  const certificate: unknown[] = [];
  for (const index of indexes) {
    const proof = await log.receipt(index);
    const { opening } = await log.readEvent({ index, reader: credential?.id ?? "", purpose: "certificate" });
    certificate.push({ index, evidence: formatEvidence({ proof, opening }) });
  }
  return valueReply({ certificate }, { format });
}

async function retentionReply(call: RouteCall<z.infer<typeof schemas.retentionQuery>>): Promise<Reply> {
  const { log, format, query } = call;
  const before = query.dueBefore === undefined ? undefined : Date.parse(query.dueBefore);
  const firstDay = query.from === undefined ? 0 : Date.parse(query.from) / DAY_MS;
  const classDays: unknown[] = [];
  for await (const classDay of log.disposition.classDays()) {
    if (classDay.day < firstDay || (query.class !== undefined && classDay.class !== query.class)) continue;
    if (before !== undefined && !(classDay.dueAt !== undefined && classDay.dueAt < before)) continue;
    if (classDays.length === CLASS_DAYS_MAX) return valueReply({ classDays, more: true }, { format });
    classDays.push(describeClassDay(classDay));
  }
  return valueReply({ classDays, more: false }, { format });
}

/** @throws {ServerError} `forbidden`: a reader may have what is held about itself; `purpose-required` */
async function exportOf(call: RouteCall<unknown>): Promise<Reply> {
  const { log, credential, request } = call;
  const { subject, purpose } = await readValue(call, schemas.exportBody);
  const { filter, ...reading } = readingOf(call, purpose);
  if (credential?.role === "reader" && credential.scope?.subject?.is(subject) !== true) {
    await log.recordDenied({ reader: reading.reader, kind: "export" });
    throw new ServerError("forbidden", "this token is for another person's contents");
  }
  const exported = log.disposition.exportSubject({ subject, ...reading });
  return exportReply(exported, { filter, signal: request.signal });
}
