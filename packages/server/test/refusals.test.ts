import * as fc from "fast-check";
import { describe, expect, test, vi } from "vitest";
import { utf8 } from "@tallystick/core";
import { BATCH_MEDIA_TYPE, type CborValue, encodeCbor } from "@tallystick/events";
import { runs } from "./runs.ts";
import { type Reply, TestSender, TestServer, login, signedLogin, sharedServer } from "./test-server.ts";

const valid = login();
const json = JSON.stringify(valid);

/** That a reply refuses in the one form there is. */
function expectProblem(reply: Reply, status: number, code: string): Record<string, unknown> {
  const problem = reply.json();
  expect([reply.status, problem["code"]]).toEqual([status, code]);
  expect(reply.headers.get("content-type")).toBe("application/problem+json");
  expect(reply.headers.get("cache-control")).toBe("no-store");
  expect(problem).toMatchObject({ type: `/problems/${code}`, status });
  expect(problem["instance"]).toMatch(/^urn:uuid:[0-9a-f-]{36}$/);
  expect(typeof problem["title"]).toBe("string");
  return problem;
}

/** What is refused leaves it as it is. */
const empty = sharedServer(0);

async function refuse(
  body: unknown,
  expected: readonly [number, string],
  type = "application/json",
): Promise<Record<string, unknown>> {
  const server = await empty();
  const reply = await server.post(body, "", { type });
  const problem = expectProblem(reply, ...expected);
  expect(server.log.size(), "nothing is logged").toBe(0);
  return problem;
}

describe("bodies that do not parse", () => {
  test.each([
    ["nothing", "", "json-malformed"],
    ["white space", "  \n", "json-malformed"],
    ["cut off", json.slice(0, -1), "json-malformed"],
    ["two values", `${json}${json}`, "json-malformed"],
    ["a duplicate key", json.replace("{", '{"id":"x",'), "json-malformed"],
    ["a duplicate key deep inside", json.replace('"type":"user"', '"type":"user","type":"user"'), "json-malformed"],
    ["a comment", `/* */${json}`, "json-malformed"],
    ["NaN", json.replace('"u_81"', "NaN"), "json-malformed"],
    ["a byte order mark", `\u{feff}${json}`, "json-malformed"],
    ["too deep", "[".repeat(100_000), "json-malformed"],
    ["deep and closed", `${"[".repeat(50_000)}${"]".repeat(50_000)}`, "json-malformed"],
    ["an empty array", "[]", "request-malformed"],
  ])("%s", async (_, body, code) => {
    await refuse(body, [400, code]);
  });

  test("invalid UTF-8, in any form of text", async () => {
    const bytes = utf8(json);
    bytes[20] = 0xff;
    await refuse(bytes, [400, "request-malformed"]);
    await refuse(bytes, [400, "request-malformed"], "application/x-ndjson");
  });

  test("JSON names line and column; lines of JSON the line", async () => {
    expect(await refuse('{\n  "id": }', [400, "json-malformed"])).toMatchObject({ line: 2, column: 9 });
    const lines = `${json}\n\n${json.slice(0, -1)}\n`;
    const problem = await refuse(lines, [400, "json-malformed"], "application/x-ndjson");
    expect(problem["line"]).toBe(3);
    expect(problem["detail"]).toContain("line 3");
  });

  test.each([
    ["nothing", new Uint8Array()],
    ["cut off", encodeCbor(valid as CborValue).slice(0, -3)],
    ["a byte too many", new Uint8Array([...encodeCbor(valid as CborValue), 0])],
    ["a duplicate key", new Uint8Array([0xa2, 0x61, 0x61, 1, 0x61, 0x61, 1])],
    ["keys in another order", new Uint8Array([0xa2, 0x61, 0x62, 1, 0x61, 0x61, 1])],
    ["a float", new Uint8Array([0xf9, 0x3c, 0x00])],
    ["an endless array", new Uint8Array([0x9f, 0x01, 0xff])],
    ["a huge array", new Uint8Array([0x9b, 0, 0, 0, 1, 0, 0, 0, 0])],
    ["too deep", new Uint8Array(10_000).fill(0x81)],
    ["invalid UTF-8", new Uint8Array([0x62, 0xc3, 0x28])],
  ])("CBOR: %s", async (_, body) => {
    await refuse(body, [400, "cbor-malformed"], "application/cbor");
  });

  test.each([
    ["nothing", new Uint8Array(), 400],
    ["another value", encodeCbor({ a: 1 }), 400],
    ["an empty batch", encodeCbor([1, new Uint8Array(32), new Uint8Array(16), 1, [], new Uint8Array(64)]), 400],
    ["no signature", encodeCbor([1, new Uint8Array(32), new Uint8Array(16), 1, [], new Uint8Array(63)]), 400],
  ])("a signed batch: %s", async (_, body, status) => {
    const server = await TestServer.start({ witnesses: 0 });
    const reply = await server.post(body, "", { type: BATCH_MEDIA_TYPE });
    expect(reply.status).toBe(status);
    expect(server.log.size()).toBe(0);
  });
});

describe("events that are none", () => {
  test.each([
    ["null", null, ""],
    ["a number", 7, ""],
    ["text", "event", ""],
    ["an array in an array", [[valid]], ""],
    ["no fields", {}, "id"],
    ["an unknown field", { ...valid, colour: "red" }, "colour"],
    ["__proto__", JSON.stringify(valid).replace("{", '{"__proto__":{},'), "__proto__"],
    ["an id that is no UUID", { ...valid, id: "7" }, "id"],
    ["a time that is none", { ...valid, time: "yesterday" }, "time"],
    ["a field of another type", { ...valid, actor: "u_81" }, "actor"],
    ["a misspelt type", { ...valid, type: "auth.logn" }, "type"],
    ["a field that its type needs", { ...valid, actor: undefined }, "actor"],
    ["a float", { ...valid, context: { weight: 1.5 } }, "context.weight"],
  ])("%s", async (_, body, path) => {
    const problem = await refuse(typeof body === "string" && body.startsWith("{") ? body : JSON.stringify(body), [
      422,
      "event-invalid",
    ]);
    const defects = problem["defects"] as { entry: number; path: string; message: string }[];
    expect(defects.map((defect) => defect.path)).toContain(path);
    for (const { entry, message } of defects) expect([entry, message.length > 0]).toEqual([0, true]);
  });

  test("one bad event, and nothing of its request is taken; each defect names its entry", async () => {
    const problem = await refuse(
      [valid, { ...login(), type: "auth.logn" }, login(), { ...login(), id: "x" }],
      [422, "event-invalid"],
    );
    const defects = problem["defects"] as { entry: number; path: string; suggestion?: string }[];
    expect(defects.map(({ entry, path }) => [entry, path])).toEqual([
      [1, "type"],
      [3, "id"],
    ]);
    expect(defects[0]?.suggestion).toBe("auth.login");
    expect(problem["detail"]).toContain("entry 1: type");
  });

  test("an event above 32 KiB names its entry", async () => {
    const large = {
      ...login(),
      context: Object.fromEntries(Array.from({ length: 40 }, (_, at) => [`k${at}`, "x".repeat(1000)])),
    };
    const problem = await refuse([valid, large], [422, "event-invalid"]);
    expect(problem["defects"]).toMatchObject([{ entry: 1 }]);
  });

  test("two events of one id in one request", async () => {
    const problem = await refuse([valid, { ...valid, outcome: "failure" }], [409, "id-conflict"]);
    expect(problem["entry"]).toBe(1);
  });

  test.each(["log.read", "stream.start"])("a %s is not for writers to report", async (type) => {
    const server = await TestServer.start({ witnesses: 0 });
    const reply = await server.post({ ...login(), type, context: { count: 1 } });
    expect(reply.status).toBe(422);
    expect(server.log.size()).toBe(0);
  });

  test("many defects make a short answer", async () => {
    const server = await TestServer.start({ witnesses: 0 });
    const reply = await server.post(Array.from({ length: 1000 }, () => ({ a: 1, b: 2, c: 3 })));
    expect(reply.status).toBe(422);
    expect(reply.json<{ defects: unknown[] }>().defects).toHaveLength(100);
  });

  test("an answer never repeats what an event said", async () => {
    const secret = "correct horse battery staple";
    const problem = await refuse(
      { ...valid, actor: { type: "user", id: 7, name: secret }, reason: [secret], context: { password: secret } },
      [422, "event-invalid"],
    );
    expect(JSON.stringify(problem)).not.toContain(secret);
  });
});

describe("sizes", () => {
  test("a body above 4 MiB, announced or not", async () => {
    const server = await TestServer.start({ witnesses: 0 });
    const announced = await server.post("x", "", { headers: { "content-length": "4194305" } });
    expectProblem(announced, 413, "body-too-large");
    expect(announced.headers.get("connection")).toBe("close");
    const sent = await server.post(" ".repeat(4_194_305));
    expect(expectProblem(sent, 413, "body-too-large")["bytesMax"]).toBe(4_194_304);
    const understated = await server.post(" ".repeat(4_194_305), "", { headers: { "content-length": "5" } });
    expectProblem(understated, 413, "body-too-large");
  });

  test("a body of 4 MiB is read", async () => {
    await refuse(" ".repeat(4_194_304), [400, "json-malformed"]);
  });

  test("more than 1000 events, in each form", async () => {
    const many = Array.from({ length: 1001 }, () => valid);
    await refuse(many, [413, "body-too-large"]);
    await refuse(`${json}\n`.repeat(1001), [413, "body-too-large"], "application/x-ndjson");
    await refuse(encodeCbor(many as CborValue[]), [413, "body-too-large"], "application/cbor");
  });

  test("more bodies at a time than the memory is for", async () => {
    const server = await TestServer.start({ witnesses: 0, bodiesBytesMax: 1000 });
    const reply = await server.post(" ".repeat(1001));
    expectProblem(reply, 503, "log-overloaded");
    expect(Number(reply.headers.get("retry-after"))).toBeGreaterThan(0);
    expect((await server.post(login())).status, "what was taken is given back").toBe(201);
  });
});

describe("forms", () => {
  test.each([
    "",
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data",
    "application/jsonx",
    "application/",
  ])("content type %j", async (type) => {
    const server = await TestServer.start({ witnesses: 0 });
    expectProblem(await server.post(json, "", { type }), 415, "media-type-unsupported");
  });

  test("a compressed body", async () => {
    const server = await TestServer.start({ witnesses: 0 });
    const reply = await server.post(json, "", { headers: { "content-encoding": "gzip" } });
    expectProblem(reply, 415, "media-type-unsupported");
  });

  test("a content type is told by its name, whatever its case and parameters", async () => {
    const server = await TestServer.start({ witnesses: 0 });
    expect((await server.post(login(), "", { type: "Application/JSON; charset=utf-8" })).status).toBe(201);
  });

  test("an answer in no form that the client takes: nothing is logged", async () => {
    const server = await TestServer.start({ witnesses: 0 });
    for (const accept of ["text/html", "application/json;q=0", "image/*"])
      expectProblem(await server.post(login(), "", { headers: { accept } }), 406, "not-acceptable");
    expect(server.log.size()).toBe(0);
  });

  test.each([
    ["*/*", "application/json"],
    ["application/*", "application/json"],
    ["text/html, application/json;q=0.5", "application/json"],
    ["application/cbor", "application/cbor"],
    ["application/cbor;q=0.9, application/json;q=0.5", "application/cbor"],
    ["application/cbor, application/json", "application/cbor"],
    ["application/json, application/cbor", "application/json"],
    ["application/cbor;q=0.2, */*", "application/json"],
    ["application/json, text/plain", "application/json"],
  ])("Accept: %s gets %s", async (accept, type) => {
    const server = await TestServer.start({ witnesses: 0 });
    expect((await server.post(login(), "", { headers: { accept } })).headers.get("content-type")).toBe(type);
  });

  test.each([
    "wait=forever",
    "timeout=60001",
    "timeout=-1",
    "timeout=1e3",
    "timeout=",
    "wait=durable&wait=published",
    "x=1",
  ])("query %s", async (query) => {
    const server = await TestServer.start({ witnesses: 0 });
    expectProblem(await server.post(login(), `?${query}`), 400, "request-malformed");
    expect(server.log.size()).toBe(0);
  });
});

describe("whatever comes", () => {
  const types = ["application/json", "application/x-ndjson", "application/cbor", BATCH_MEDIA_TYPE];
  const cbor = encodeCbor(valid as CborValue);
  const batch = new TestSender().next([signedLogin()]);

  /** A good body with one part of it cut out, doubled or changed. */
  const mangled = (body: Uint8Array): fc.Arbitrary<Uint8Array> =>
    fc
      .tuple(fc.nat(body.length - 1), fc.nat(8), fc.uint8Array({ maxLength: 8 }))
      .map(([at, cut, other]) => new Uint8Array([...body.slice(0, at), ...other, ...body.slice(at + cut)]))
      .filter((bytes) => !Buffer.from(bytes).equals(body));

  test("is refused with 4xx and changes nothing, unless it is a whole and valid event", async () => {
    const server = await TestServer.start({ witnesses: 0 });
    const body = fc.oneof(
      fc.uint8Array({ maxLength: 400 }),
      fc.json().map(utf8OfWellFormed),
      fc.string().map(utf8OfWellFormed),
      mangled(utf8(json)),
      mangled(cbor),
      mangled(batch),
    );
    await fc.assert(
      fc.asyncProperty(body, fc.constantFrom(...types), async (bytes, type) => {
        const before = server.log.size();
        const reply = await server.post(bytes, "", { type });
        expect(reply.status === 201 || (reply.status >= 400 && reply.status < 500)).toBe(true);
        expect(reply.status === 201 || server.log.size() === before).toBe(true);
      }),
      runs,
    );
    expect(server.warnings).toEqual([]);
  });

  test("no header makes the server fail", async () => {
    const server = await TestServer.start({ witnesses: 0 });
    const name = fc.constantFrom(
      "accept",
      "authorization",
      "range",
      "if-none-match",
      "if-range",
      "content-type",
      "last-event-id",
      "content-length",
    );
    const value = fc.string({ maxLength: 60 }).map((text) => text.replaceAll(/[^\u{20}-\u{7e}\u{a1}-\u{ff}]/gu, ""));
    const path = fc.constantFrom(
      "/app/checkpoint",
      "/app/v1/status",
      "/app/v1/checkpoints",
      "/app/v1/receipts/0",
      "/readyz",
    );
    await fc.assert(
      fc.asyncProperty(path, name, value, async (at, header, text) => {
        expect((await server.ask(at, { headers: { [header]: text } })).status).toBeLessThan(500);
      }),
      runs,
    );
  });
});

function utf8OfWellFormed(text: string): Uint8Array {
  return utf8(text.toWellFormed());
}

describe("trouble of the log's own", () => {
  test("C-259 a full queue answers 503 with Retry-After; what was refused is not there, and the same event is taken later", async () => {
    const server = await TestServer.start({ witnesses: 0, log: { queueEntriesMax: 20, queueBytesMax: 1_000_000 } });
    const events = Array.from({ length: 10 }, () => Array.from({ length: 10 }, login));
    const replies = await Promise.all(events.map(async (each) => server.post(each)));
    const refused = replies.flatMap((reply, at) => (reply.status === 503 ? [{ reply, sent: events[at] ?? [] }] : []));
    expect(refused.length).toBeGreaterThan(0);
    for (const { reply, sent } of refused) {
      expectProblem(reply, 503, "log-overloaded");
      expect(Number(reply.headers.get("retry-after"))).toBeGreaterThan(0);
      const again = await server.post(sent);
      expect(again.json<{ duplicate?: true }[]>().every(({ duplicate }) => duplicate === undefined)).toBe(true);
    }
    const contents = new Set<unknown>();
    for (const sent of events) for (const { id } of sent) contents.add(id);
    expect(contents.size).toBe(100);
    for (const sent of events) expect((await server.post(sent)).status, "all of it is there once").toBe(200);
  });

  test("Retry-After is not the same for all", async () => {
    const server = await TestServer.start({ witnesses: 0 });
    await server.log.close();
    const waits = new Set<string | null>();
    for (let at = 0; at < 50; at += 1) waits.add((await server.post(login())).headers.get("retry-after"));
    expect(waits.size).toBeGreaterThan(1);
  });

  test("a log that waits for its witnesses takes nothing and says so", async () => {
    const server = await TestServer.start({ isNetworkUp: false });
    const problem = expectProblem(await server.post(login()), 503, "log-starting");
    expect(problem["detail"]).toContain("witnesses");
    server.network.up = true;
    await vi.waitFor(async () => expect((await server.post(login())).status).toBe(201), { timeout: 20_000 });
  });

  test("a log that takes nothing any more still shows its heads and proofs", async () => {
    const server = await TestServer.start();
    await server.fill(1);
    await server.log.close();
    expectProblem(await server.post(login()), 503, "log-closed");
    for (const path of ["checkpoint", "tile/0/000.p/1", "v1/checkpoints", "v1/proofs/inclusion?index=0&size=1"])
      expect((await server.ask(`/app/${path}`)).status).toBe(200);
  });

  test("where reads cannot be recorded, contents are not given", async () => {
    const server = await TestServer.start({ witnesses: 0 });
    await server.fill(1);
    await server.log.close();
    expectProblem(await server.ask("/app/v1/events/0", { role: "auditor" }), 503, "log-closed");
    const tail = await server.ask("/app/v1/tail", { role: "auditor" });
    expectProblem(tail, 503, "log-closed");
  });
});
