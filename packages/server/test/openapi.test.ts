import { describe, expect, test } from "vitest";
import * as z from "zod";
import { openApiDocument } from "../src/index.ts";
import { OWN_PATHS } from "../src/own-routes.ts";
import { LOG_ROUTES } from "../src/routing.ts";
import { LOG, type Reply, TestSender, TestServer, login, signedLogin } from "./test-server.ts";

interface Operation {
  readonly summary: string;
  readonly security: readonly unknown[];
  readonly "x-roles"?: readonly string[];
  readonly parameters?: readonly { name: string; in: string; required: boolean; schema: object }[];
  readonly responses: Readonly<Record<string, { content?: Readonly<Record<string, { schema?: object }>> }>>;
}

const document = openApiDocument() as unknown as {
  openapi: string;
  paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  components: { schemas: Readonly<Record<string, object>> };
};
const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ name: `${method.toUpperCase()} ${path}`, path, operation })),
);

describe("openapi.json", () => {
  test("is served, to everybody, as what the module makes", async () => {
    const server = await TestServer.start({ witnesses: 0 });
    const reply = await server.ask("/openapi.json");
    expect([reply.status, reply.headers.get("content-type")]).toEqual([200, "application/json"]);
    expect(reply.json()).toEqual(JSON.parse(JSON.stringify(document)));
    expect(document.openapi).toMatch(/^3\.1\./);
  });

  test("every route is in it, and nothing else is", () => {
    const routes = LOG_ROUTES.map(({ method, path }) => `${method} /{log}/${path}`);
    const own = OWN_PATHS.map((path) => `GET ${path}`);
    expect(operations.map(({ name }) => name).toSorted()).toEqual([...routes, ...own].toSorted());
  });

  test("every path in it leads somewhere", async () => {
    const server = await TestServer.start({ witnesses: 0 });
    await server.fill(1);
    for (const { path } of operations) {
      const at = path.replace("{log}", LOG).replace(/\{\w+\}/, "0");
      const { status } = await server.ask(at, { method: "PUT" });
      expect([path, status]).toEqual([path, 405]);
    }
  });

  test.each(operations)(
    "$name: parameters in braces are declared, and what is declared has a schema",
    ({ path, operation }) => {
      const declared = (operation.parameters ?? [])
        .filter((parameter) => parameter.in === "path")
        .map(({ name }) => name);
      expect(declared).toEqual([...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name));
      for (const { schema } of operation.parameters ?? []) expect(Object.keys(schema)).not.toEqual([]);
      expect(operation.summary).not.toBe("");
    },
  );

  test("every reference in it leads to a component", () => {
    const references = [...JSON.stringify(document).matchAll(/"\$ref":"([^"]+)"/g)].map(
      ([, reference = ""]) => reference,
    );
    expect(references.length).toBeGreaterThan(0);
    const local = references.filter((reference) => reference.startsWith("#/components/schemas/"));
    for (const reference of local)
      expect(Object.keys(document.components.schemas)).toContain(reference.replace("#/components/schemas/", ""));
  });

  test("roles in it are those of the routes", () => {
    for (const { method, path, access } of LOG_ROUTES) {
      const operation = document.paths[`/{log}/${path}`]?.[method.toLowerCase()];
      expect(operation?.["x-roles"]).toEqual(access === "public" ? undefined : access);
      expect(operation?.security).toEqual(access === "public" ? [{}] : [{ token: [] }]);
    }
  });
});

/** What the document says of an answer, as a validator. */
function validatorOf(name: string, status: number, mediaType: string): z.ZodType {
  const operation = operations.find((each) => each.name === name)?.operation;
  const content = operation?.responses[String(status)]?.content;
  expect(Object.keys(content ?? {}), `${name} ${status}`).toContain(mediaType);
  const schema = content?.[mediaType]?.schema ?? {};
  const found = "$ref" in schema ? (document.components.schemas["Problem"] ?? {}) : schema;
  return z.fromJSONSchema(found as Parameters<typeof z.fromJSONSchema>[0]);
}

function expectDescribed(name: string, { status, headers, text }: Reply): void {
  const [mediaType = ""] = (headers.get("content-type") ?? "").split(";", 1);
  const validator = validatorOf(name, status, mediaType);
  const value: unknown = mediaType.endsWith("json") ? JSON.parse(text) : text;
  expect(validator.safeParse(value).error?.issues, `${name} ${status}: ${text}`).toBeUndefined();
}

describe("answers are what the document says", () => {
  test("of every route with values", async () => {
    const server = await TestServer.start();
    const event = login();
    const sender = new TestSender();
    const asked = [
      ["POST /{log}/v1/events", await server.post(event, "?wait=witnessed")],
      ["POST /{log}/v1/events", await server.post([event, event])],
      ["POST /{log}/v1/events", await server.postBatch(sender.next([signedLogin()]), "?wait=witnessed")],
      ["POST /{log}/v1/events", await server.post({ ...event, outcome: "failure" })],
      ["POST /{log}/v1/events", await server.post("{")],
      ["POST /{log}/v1/events", await server.post(login(), "", { role: "auditor" })],
      ["POST /{log}/v1/events", await server.post(login(), "", { role: "none" })],
      ["GET /{log}/v1/events/{index}", await server.ask(`/${LOG}/v1/events/0`, { role: "auditor" })],
      ["GET /{log}/v1/events/{index}", await server.ask(`/${LOG}/v1/events/999`, { role: "auditor" })],
      ["GET /{log}/v1/openings", await server.ask(`/${LOG}/v1/openings?from=0`, { role: "auditor" })],
      ["GET /{log}/v1/openings", await server.ask(`/${LOG}/v1/openings?from=999`, { role: "auditor" })],
      ["GET /{log}/v1/openings", await server.ask(`/${LOG}/v1/openings?from=0&limit=257`, { role: "auditor" })],
      ["GET /{log}/v1/receipts/{index}", await server.ask(`/${LOG}/v1/receipts/0`, { role: "writer" })],
      ["GET /{log}/v1/receipts/{index}", await server.ask(`/${LOG}/v1/receipts/999`, { role: "writer" })],
      ["GET /{log}/v1/proofs/inclusion", await server.ask(`/${LOG}/v1/proofs/inclusion?index=0`)],
      ["GET /{log}/v1/proofs/inclusion", await server.ask(`/${LOG}/v1/proofs/inclusion?index=x`)],
      ["GET /{log}/v1/proofs/consistency", await server.ask(`/${LOG}/v1/proofs/consistency?from=0&to=1`)],
      ["GET /{log}/v1/checkpoints", await server.ask(`/${LOG}/v1/checkpoints`)],
      ["GET /{log}/v1/status", await server.ask(`/${LOG}/v1/status`, { role: "operator" })],
      ["GET /{log}/v1/policy", await server.ask(`/${LOG}/v1/policy`)],
      ["GET /{log}/checkpoint", await server.ask(`/${LOG}/checkpoint`)],
      ["GET /{log}/tile/{tile}", await server.ask(`/${LOG}/tile/0/0`)],
      ["GET /readyz", await server.ask("/readyz")],
    ] as const;
    for (const [name, reply] of asked) expectDescribed(name, reply);
    server.network.up = false;
    const late = await server.post(login(), "?wait=witnessed&timeout=20");
    expect(validatorOf("POST /{log}/v1/events", 202, "application/json").safeParse(late.json()).success).toBe(true);
  });

  test("of erasure, legal holds, retention, rules and approvals, whatever the log had to say", async () => {
    const server = await TestServer.start();
    await server.post([login(), { ...login(), actor: { type: "user", id: "bert" } }], "?wait=witnessed");
    const post = async (path: string, value?: unknown): Promise<Reply> =>
      server.ask(`/${LOG}/v1/${path}`, {
        method: "POST",
        role: "officer",
        type: "application/json",
        ...(value === undefined ? {} : { body: JSON.stringify(value) }),
      });
    const get = async (path: string): Promise<Reply> => server.ask(`/${LOG}/v1/${path}`, { role: "officer" });
    const held = await post("holds", { case: "c", reason: "r", subject: "bert", class: "auth", operation: "o" });
    const { id } = held.json<{ id: string }>();
    const stopping = await post("holds", { case: "c", subject: "bert", to: "2099-01-01T00:00:00Z" });
    const erased = await post("erasures", { subject: "u_81", ground: "g" });
    const { request } = erased.json<{ request: string }>();
    const asked = [
      ["POST /{log}/v1/holds", held],
      ["POST /{log}/v1/holds", stopping],
      ["POST /{log}/v1/holds", await post("holds", { case: "c" })],
      ["GET /{log}/v1/holds", await get("holds")],
      ["POST /{log}/v1/erasures", erased],
      ["POST /{log}/v1/erasures", await post("erasures", { subject: "bert", ground: "g" })],
      ["POST /{log}/v1/erasures", await post("erasures", { subject: "nobody", ground: "g" })],
      ["GET /{log}/v1/erasures/{request}", await get(`erasures/${request}?timeout=20000`)],
      ["POST /{log}/v1/erasures", await post("erasures", { subject: "u_81", ground: "g", request })],
      ["GET /{log}/v1/erasures", await get("erasures")],
      ["GET /{log}/v1/erasures/{request}/certificate", await get(`erasures/${request}/certificate?timeout=20000`)],
      ["GET /{log}/v1/erasures/{request}/certificate", await get(`erasures/${id}/certificate`)],
      ["POST /{log}/v1/holds/{id}/lift", await post(`holds/${id}/lift`)],
      ["POST /{log}/v1/holds/{id}/lift", await post(`holds/${request}/lift`)],
      ["GET /{log}/v1/holds", await get("holds?lifted=true")],
      ["GET /{log}/v1/retention", await get("retention")],
      ["POST /{log}/v1/retention/run", await post("retention/run")],
      ["GET /{log}/v1/rules", await get("rules")],
      ["GET /{log}/v1/rules/{digest}", await get(`rules/${server.log.disposition.rules().digest}`)],
      ["GET /{log}/v1/rules/{digest}", await get(`rules/${"00".repeat(32)}`)],
      ["POST /{log}/v1/rules", await post("rules", { text: "version: 1\nclasses: []\n" })],
      ["POST /{log}/v1/rules", await post("rules", { text: "version: 1\ntwoPersons: [erasure, hold, rules]\n" })],
      ["POST /{log}/v1/rules", await post("rules", { text: "version: 1\n" })],
      ["POST /{log}/v1/erasures", await post("erasures", { subject: "bert", ground: "g" })],
      ["POST /{log}/v1/holds", await post("holds", { case: "c", class: "auth" })],
      ["POST /{log}/v1/approvals", await post("approvals", { approval: "tsa_" })],
      ["POST /{log}/v1/subjects/export", await post("subjects/export", { subject: "nobody" })],
    ] as const;
    const statuses = asked.map(([, { status }]) => status);
    expect(statuses.slice(0, 3)).toEqual([201, 201, 400]);
    expect(statuses.filter((status) => status === 202).length).toBeGreaterThanOrEqual(5);
    for (const [name, reply] of asked) expectDescribed(name, reply);
  });
});
