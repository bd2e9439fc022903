/** The OpenAPI 3.1 document, made from the routes and the schemas that validate. */
import { eventJsonSchema } from "@tallystick/events";
import * as z from "zod";
import { API_ROUTES } from "./api-routes.ts";
import { PROBLEMS, PROBLEM_TYPE, type ProblemCode } from "./problem.ts";
import type { Route } from "./route.ts";
import * as schemas from "./schemas.ts";
import { EVENT_MEDIA_TYPES, type EventMediaType } from "./submission.ts";
import { TILE_ROUTES } from "./tiles-routes.ts";

/** Every route of a log. */
export const LOG_ROUTES: readonly Route[] = [...TILE_ROUTES, ...API_ROUTES];

/** Problems that every route with a token has. */
const GENERAL: readonly ProblemCode[] = ["log-unknown", "log-unavailable", "request-malformed"];
const GUARDED: readonly ProblemCode[] = ["authentication-required", "forbidden", "rate-limited"];

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
    ...(route.method === "POST" ? { requestBody: requestBody() } : {}),
    responses: { ...answersOf(route), ...problemsOf(route, isPublic ? GENERAL : [...GENERAL, ...GUARDED]) },
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

function requestBody(): Record<string, unknown> {
  const event = { $ref: "#/components/schemas/Event" };
  const byType: Readonly<Record<EventMediaType, unknown>> = {
    "application/json": { anyOf: [event, { type: "array", items: event, minItems: 1, maxItems: 1000 }] },
    "application/x-ndjson": { type: "string" },
    "application/cbor": { type: "string", format: "binary" },
    "application/vnd.tallystick.batch+cbor": { type: "string", format: "binary" },
  };
  return {
    required: true,
    content: Object.fromEntries(EVENT_MEDIA_TYPES.map((type) => [type, { schema: byType[type] }])),
  };
}

function answersOf({ answers }: Route): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(answers).map(([status, { description, mediaType, schema }]) => [
      status,
      { description, content: { [mediaType]: schema === undefined ? {} : { schema: schemaOf(schema) } } },
    ]),
  );
}

function problemsOf({ problems }: Route, general: readonly ProblemCode[]): Record<string, unknown> {
  const byStatus = new Map<number, string[]>();
  for (const code of new Set([...general, ...(problems as readonly ProblemCode[])])) {
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
