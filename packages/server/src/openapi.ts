/** The OpenAPI 3.1 document, made from the routes and the schemas that validate. */
import { eventJsonSchema } from "@tallystick/events";
import * as z from "zod";
import { PROBLEMS, PROBLEM_TYPE, type ProblemCode } from "./problem.ts";
import type { Answer, Route, ValueBody } from "./route.ts";
import { LOG_ROUTES } from "./routing.ts";
import * as schemas from "./schemas.ts";
import { EVENT_MEDIA_TYPES, type EventMediaType } from "./submission.ts";
import { VALUE_MEDIA_TYPES } from "./value-body.ts";

/** Problems that every route of a log has. */
const GENERAL: readonly ProblemCode[] = [
  "log-unknown",
  "not-found",
  "method-not-allowed",
  "log-unavailable",
  "log-closed",
  "request-malformed",
  "storage-unavailable",
  "log-corrupt",
  "internal",
];
/** And those with a token. */
const GUARDED: readonly ProblemCode[] = [
  "unauthenticated",
  "forbidden",
  "client-certificate-required",
  "rate-limited",
  "identity-unavailable",
];
/** And those without one. */
const OPEN: readonly ProblemCode[] = ["log-overloaded"];
/** And those whose answer is a value. */
const NEGOTIATED: readonly ProblemCode[] = ["not-acceptable"];

/** The document, as a JSON value. */
export function openApiDocument(): Record<string, unknown> {
  const paths: Record<string, Record<string, unknown>> = {};
  for (const route of LOG_ROUTES) {
    const path = `/{log}/${route.path}`;
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: operationOf(route) };
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "Tallystick",
      version: "1",
      description: "A tamper-evident audit log. Heads and hash tiles are public; contents ask for a role.",
    },
    paths: { ...paths, ...SERVER_PATHS },
    components: {
      securitySchemes: { token: { type: "http", scheme: "bearer" } },
      schemas: { Event: eventJsonSchema(), Problem: schemaOf(schemas.problem) },
    },
  };
}

function operationOf(route: Route): Record<string, unknown> {
  const isPublic = route.access === "public";
  return {
    summary: route.summary,
    security: isPublic ? [{}] : [{ token: [] }],
    ...(route.access === "public" ? {} : { "x-roles": route.access }),
    parameters: [pathParameter("log"), ...pathParameters(route.path), ...queryParameters(route.query)],
    ...requestBodyOf(route),
    responses: { ...answersOf(route), ...problemsOf(route) },
  };
}

function pathParameters(path: string): Record<string, unknown>[] {
  return [...path.matchAll(/\{([a-z]+)\}/g)].map(([, name]) => pathParameter(name ?? ""));
}

function pathParameter(name: string): Record<string, unknown> {
  return { name, in: "path", required: true, schema: { type: "string" } };
}

function queryParameters(query: z.ZodType): Record<string, unknown>[] {
  const { properties = {}, required = [] } = schemaOf(query, "input") as {
    properties?: Record<string, unknown>;
    required?: string[];
  };
  return Object.entries(properties).map(([name, schema]) => ({
    name,
    in: "query",
    required: required.includes(name),
    schema,
  }));
}

function requestBodyOf({ takes }: Route): Record<string, unknown> {
  if (takes === undefined) return {};
  return { requestBody: { required: true, content: takes === "events" ? eventContent() : valueContent(takes) } };
}

function valueContent({ schema }: ValueBody<unknown>): Record<string, unknown> {
  const described = { schema: schemaOf(schema, "input") };
  return Object.fromEntries(VALUE_MEDIA_TYPES.map((type) => [type, described]));
}

function eventContent(): Record<string, unknown> {
  const event = { $ref: "#/components/schemas/Event" };
  const byType: Readonly<Record<EventMediaType, unknown>> = {
    "application/json": { anyOf: [event, { type: "array", items: event, minItems: 1, maxItems: 1000 }] },
    "application/x-ndjson": { type: "string" },
    "application/cbor": { type: "string", format: "binary" },
    "application/vnd.tallystick.batch+cbor": { type: "string", format: "binary" },
  };
  return Object.fromEntries(EVENT_MEDIA_TYPES.map((type) => [type, { schema: byType[type] }]));
}

function answersOf({ answers, path }: Route): Record<string, unknown> {
  const isResource = path === "checkpoint" || path.startsWith("tile/");
  const part = { 206: { description: "The range that was asked for" }, 304: { description: "Unchanged" } };
  return {
    ...Object.fromEntries(Object.entries(answers).map(([status, answer]) => [status, describeAnswer(answer)])),
    ...(isResource ? part : {}),
  };
}

function describeAnswer({ description, mediaType, schema }: Answer): Record<string, unknown> {
  if (schema === undefined) return { description, content: { [mediaType]: {} } };
  const described = { schema: schemaOf(schema) };
  return { description, content: { [mediaType]: described, "application/cbor": described } };
}

/** The codes of the problems that a route can answer with. */
export function problemCodesOf({ access, answers, problems }: Route): ReadonlySet<ProblemCode> {
  const isNegotiated = Object.values(answers).some(({ schema }) => schema !== undefined);
  return new Set([
    ...GENERAL,
    ...(access === "public" ? OPEN : GUARDED),
    ...(isNegotiated ? NEGOTIATED : []),
    ...problems,
  ]);
}

function problemsOf(route: Route): Record<string, unknown> {
  const byStatus = new Map<number, string[]>();
  for (const code of problemCodesOf(route)) {
    const { status } = PROBLEMS[code];
    byStatus.set(status, [...(byStatus.get(status) ?? []), code]);
  }
  return Object.fromEntries(
    [...byStatus].map(([status, codes]) => [
      String(status),
      {
        description: codes.join(", "),
        content: { [PROBLEM_TYPE]: { schema: { $ref: "#/components/schemas/Problem" } } },
      },
    ]),
  );
}

function schemaOf(schema: z.ZodType, io: "input" | "output" = "output"): unknown {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io, unrepresentable: "any" });
  return rest;
}

const SERVER_PATHS: Record<string, unknown> = {
  "/healthz": {
    get: {
      summary: "The process answers",
      security: [{}],
      responses: { 200: { description: "ok", content: { "text/plain": {} } } },
    },
  },
  "/readyz": {
    get: {
      summary: "Whether the logs take events, and if not, why",
      security: [{}],
      responses: {
        200: {
          description: "Every log takes events; reasons say what is wrong all the same",
          content: { "application/json": { schema: schemaOf(schemas.readiness) } },
        },
        503: {
          description: "A log takes none",
          content: { "application/json": { schema: schemaOf(schemas.readiness) } },
        },
      },
    },
  },
  "/metrics": {
    get: {
      summary: "Prometheus metrics; from elsewhere than this machine with an operator's token",
      security: [{}, { token: [] }],
      responses: { 200: { description: "Metrics", content: { "text/plain": {} } } },
    },
  },
  "/openapi.json": {
    get: {
      summary: "This document",
      security: [{}],
      responses: { 200: { description: "OpenAPI 3.1", content: { "application/json": {} } } },
    },
  },
};
