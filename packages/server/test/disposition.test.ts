/** Erasure, legal holds, retention and a person's own copy over HTTP, against a real log with real witnesses. */
import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { decodeBase64, parsePolicy } from "@tallystick/core";
import { type TallyEvent, encodeCbor, newEventId, parseEvidence } from "@tallystick/events";
import { createMemoryKeyStore, createMemoryStorage } from "@tallystick/storage";
import { verifyReceipt } from "../../client/src/index.ts";
import { type Reply, LOG, TestServer, login } from "./test-server.ts";

type Role = "officer" | "reader" | "auditor" | "operator" | "writer" | "none";

async function send(server: TestServer, path: string, value: unknown, role: Role = "officer"): Promise<Reply> {
  return server.ask(`/${LOG}/v1/${path}`, {
    method: "POST",
    role,
    type: "application/json",
    body: JSON.stringify(value),
  });
}

async function get(server: TestServer, path: string, role: Role = "officer"): Promise<Reply> {
  return server.ask(`/${LOG}/v1/${path}`, { role });
}

function of(id: string): Record<string, unknown> {
  return { ...login(), actor: { type: "user", id } };
}

/** Logs of each person as many events as said, in turn; waits until they are witnessed. */
async function logged(server: TestServer, ids: readonly string[]): Promise<void> {
  const reply = await server.post(ids.map(of), "?wait=witnessed");
  expect(reply.status).toBe(201);
}

interface Destroyed {
  readonly request: string;
  readonly state: string;
  readonly ordered: readonly number[];
  readonly done: number;
}

async function erased(server: TestServer, subject: string): Promise<Destroyed> {
  const ordered = await send(server, "erasures", { subject, ground: "a request of theirs" });
  expect(ordered.status).toBe(202);
  const { request } = ordered.json<Destroyed>();
  const done = (await get(server, `erasures/${request}?timeout=20000`)).json<Destroyed>();
  expect(done.state).toBe("done");
  return done;
}

describe("an erasure", () => {
  test("is ordered at once and done soon; every event of the person then answers 410 with its certificate", async () => {
    const server = await TestServer.start();
    await logged(server, ["anna", "bert", "anna", "carl"]);
    const { ordered, request } = await erased(server, "anna");
    for (const index of [0, 2]) {
      const reply = await get(server, `events/${index}`, "auditor");
      expect([reply.status, reply.json()["code"], reply.json()["certificate"]]).toEqual([410, "erased", ordered[0]]);
    }
    for (const index of [1, 3]) expect((await get(server, `events/${index}`, "auditor")).status).toBe(200);
    const listed = (await get(server, "erasures", "auditor")).json<{ erasures: Destroyed[] }>().erasures;
    expect(listed.map((each) => each.request)).toEqual([request]);
  });

  test("names nobody: neither in answers, nor in the log, nor in warnings", async () => {
    const server = await TestServer.start();
    await logged(server, ["u-canary-7731", "bert"]);
    const { request, ordered, done } = await erased(server, "u-canary-7731");
    const texts = [
      (await get(server, `erasures/${request}`)).text,
      (await get(server, "erasures")).text,
      (await send(server, "erasures", { subject: "u-canary-7731", ground: "again" })).text,
      (await send(server, "erasures", { subject: "u-canary-7731", ground: "g", more: 1 })).text,
      ...server.warnings,
    ];
    for (const index of [...ordered, done]) texts.push((await get(server, `events/${index}`, "auditor")).text);
    expect(texts.filter((text) => text.includes("canary"))).toEqual([]);
  });

  test("has a certificate that anybody can verify: of the order, and that it is done", async () => {
    const server = await TestServer.start();
    await logged(server, ["anna"]);
    const { request, ordered, done } = await erased(server, "anna");
    const reply = await get(server, `erasures/${request}/certificate?timeout=20000`);
    const { certificate } = reply.json<{ certificate: { index: number; evidence: string }[] }>();
    expect(certificate.map(({ index }) => index)).toEqual([...ordered, done]);
    const policy = parsePolicy(server.log.policyText);
    const contexts = certificate.map(({ index, evidence }) => {
      const { proof, opening } = parseEvidence(evidence);
      return verifyReceipt({ proof, opening, policy, expect: { index } }).event?.context;
    });
    expect(contexts).toMatchObject([
      { request, state: "ordered", ground: "a request of theirs" },
      { request, state: "done", ordered: ordered[0] },
    ]);
  });

  test("that is asked for twice with one id is one", async () => {
    const server = await TestServer.start();
    await logged(server, ["anna"]);
    const value = { subject: "anna", ground: "once", request: newEventId(Date.now(), new Uint8Array(16).fill(7)) };
    const [first, second] = [await send(server, "erasures", value), await send(server, "erasures", value)];
    expect([first.status, first.json()["request"]]).toEqual([202, value.request]);
    expect([200, 202]).toContain(second.status);
    expect(second.json()["ordered"]).toEqual(first.json()["ordered"]);
    expect((await get(server, "erasures")).json<{ erasures: unknown[] }>().erasures).toHaveLength(1);
  });

  test("takes CBOR as it takes JSON", async () => {
    const server = await TestServer.start();
    await logged(server, ["anna"]);
    const body = encodeCbor({ ground: "in CBOR", subject: "anna" });
    const reply = await server.ask(`/${LOG}/v1/erasures`, {
      method: "POST",
      role: "officer",
      type: "application/cbor",
      body,
    });
    expect([reply.status, reply.json()["ground"]]).toEqual([202, "in CBOR"]);
  });

  test("of nobody, or of an unknown request, is 404", async () => {
    const server = await TestServer.start();
    await logged(server, ["anna"]);
    const unknown = await send(server, "erasures", { subject: "nobody", ground: "g" });
    expect([unknown.status, unknown.json()["code"]]).toEqual([404, "subject-unknown"]);
    const request = newEventId(Date.now(), new Uint8Array(16));
    for (const path of [`erasures/${request}`, `erasures/${request}?timeout=10`, `erasures/x/certificate`]) {
      const reply = await get(server, path);
      expect([path, reply.status, reply.json()["code"]]).toEqual([path, 404, "destruction-unknown"]);
    }
  });

  test.each([
    ["without a ground", { subject: "anna" }, "body ground: "],
    ["with a ground of two lines", { subject: "anna", ground: "a\nb" }, "body ground: expected 1 to 1024 characters"],
    ["with a ground that is too long", { subject: "anna", ground: "g".repeat(1025) }, "body ground: "],
    ["without a person", { ground: "g" }, "body subject: "],
    ["with an id that is no UUIDv7", { subject: "anna", ground: "g", request: "1" }, "body request: expected a UUIDv7"],
    ["with a field that nobody knows", { subject: "anna", ground: "g", all: true }, "body: Unrecognized key"],
    ["of a list", [], "body: "],
  ])("%s is refused", async (_name, value, words) => {
    const server = await TestServer.start({ witnesses: 0 });
    const reply = await send(server, "erasures", value);
    expect([reply.status, reply.json()["code"]]).toEqual([400, "request-malformed"]);
    expect(reply.json()["detail"]).toContain(words);
  });

  test("whose body is too large, of another kind, or no JSON is refused", async () => {
    const server = await TestServer.start({ witnesses: 0 });
    const ask = { method: "POST", role: "officer", type: "application/json" } as const;
    const path = `/${LOG}/v1/erasures`;
    const large = await server.ask(path, { ...ask, body: `{"subject":"${"a".repeat(70_000)}"}` });
    expect([large.status, large.json()["code"], large.json()["bytesMax"]]).toEqual([413, "body-too-large", 65_536]);
    const text = await server.ask(path, { ...ask, type: "application/x-ndjson", body: "{}" });
    expect([text.status, text.json()["code"]]).toEqual([415, "media-type-unsupported"]);
    const twice = await server.ask(path, { ...ask, body: '{"subject":"a","subject":"b","ground":"g"}' });
    expect([twice.status, twice.json()["code"]]).toEqual([400, "json-malformed"]);
  });
});

describe("what stays in the log for ever", () => {
  const named = "expected words without the person's id";

  test.each([
    ["erasures", { subject: "anna@example.org", ground: "asked by Anna@example.org." }, "body ground: "],
    ["holds", { subject: "u_8100", case: "u_8100 v. us" }, "body case: "],
    ["holds", { subject: "u_8100", case: "c", reason: "(u_8100)" }, "body reason: "],
    ["subjects/export", { subject: "u_8100", purpose: "for u_8100" }, "body purpose: "],
    ["erasures", { subject: "u_81", ground: "u_81 asked for it" }, "body ground: "],
    ["erasures", { subject: "7", ground: "customer no. 7" }, "body ground: "],
    ["erasures", { subject: "j.d", ground: "J.D asked for it" }, "body ground: "],
    ["holds", { subject: "Bertha", case: "bertha v. us" }, "body case: "],
  ])("names nobody: %s with %j is refused", async (path, value, field) => {
    const server = await TestServer.start({ witnesses: 0 });
    const reply = await send(server, path, value);
    expect([reply.status, reply.json()["detail"]]).toEqual([400, expect.stringContaining(`${field}${named}`)]);
    expect(reply.json()["detail"]).not.toContain(value.subject);
  });

  test.each([
    ["part of a word", { subject: "u_8100", ground: "file u_81004" }],
    ["part of a number", { subject: "17", ground: "file 117" }],
    ["any word of up to four letters", { subject: "art", ground: "GDPR Art. 17" }],
    ["another", { subject: "u_8100", ground: "asked by u_8101" }],
  ])("may have what is %s", async (_name, value) => {
    const server = await TestServer.start({ witnesses: 0 });
    expect((await send(server, "erasures", value)).json()["code"]).toBe("subject-unknown");
  });
});

describe("a legal hold", () => {
  test("stops an erasure; lifting it carries that out", async () => {
    const server = await TestServer.start();
    await logged(server, ["anna", "bert"]);
    const set = await send(server, "holds", { case: "7 O 12/26", subject: "anna", reason: "a suit" });
    expect(set.status).toBe(201);
    const { id } = set.json<{ id: string }>();
    const stopped = await send(server, "erasures", { subject: "anna", ground: "a request of theirs" });
    expect([stopped.status, stopped.json()["state"]]).toEqual([202, "held"]);
    expect((await get(server, "events/0", "auditor")).status).toBe(200);
    const lifted = await server.ask(`/${LOG}/v1/holds/${id}/lift`, { method: "POST", role: "officer" });
    expect([lifted.status, lifted.json()["case"]]).toEqual([200, "7 O 12/26"]);
    const { request } = stopped.json<Destroyed>();
    const done = await get(server, `erasures/${request}?timeout=20000`);
    expect(done.json()["state"]).toBe("done");
    expect((await get(server, "events/0", "auditor")).status).toBe(410);
  });

  test("shows who set and lifted it, and never whose it is", async () => {
    const server = await TestServer.start();
    await logged(server, ["u-canary-7731"]);
    const value = { case: "c", subject: "u-canary-7731", from: "2026-01-01T00:00:00Z", to: "2099-01-01T00:00:00.000Z" };
    const { id } = (await send(server, "holds", value)).json<{ id: string }>();
    const [held] = (await get(server, "holds", "auditor")).json<{ holds: Record<string, unknown>[] }>().holds;
    expect(held).toMatchObject({ id, case: "c", ofPerson: true, setBy: expect.stringMatching(/^officer-/) });
    expect([held?.["from"], held?.["to"]]).toEqual(["2026-01-01T00:00:00.000Z", "2099-01-01T00:00:00.000Z"]);
    await server.ask(`/${LOG}/v1/holds/${id}/lift`, { method: "POST", role: "officer" });
    expect((await get(server, "holds")).json()).toEqual({ holds: [] });
    const all = await get(server, "holds?lifted=true");
    expect(all.json()).toMatchObject({ holds: [{ id, liftedBy: expect.stringMatching(/^officer-/) }] });
    expect(all.text).not.toContain("canary");
  });

  test.each([
    ["that covers nothing", { case: "c" }, "expected at least one of subject, class, from, to, operation"],
    ["without a case", { class: "auth" }, "body case: "],
    [
      "that ends before it begins",
      { case: "c", from: "2026-02-01T00:00:00Z", to: "2026-01-01T00:00:00Z" },
      "from before to",
    ],
    ["of no class", { case: "c", class: "Auth!" }, "body class: "],
  ])("%s is refused", async (_name, value, words) => {
    const server = await TestServer.start({ witnesses: 0 });
    const reply = await send(server, "holds", value);
    expect([reply.status, reply.json()["detail"]]).toEqual([400, expect.stringContaining(words)]);
  });

  test("that there is not cannot be lifted", async () => {
    const server = await TestServer.start({ witnesses: 0 });
    const id = newEventId(Date.now(), new Uint8Array(16));
    const reply = await server.ask(`/${LOG}/v1/holds/${id}/lift`, { method: "POST", role: "officer" });
    expect([reply.status, reply.json()["code"]]).toEqual([404, "hold-unknown"]);
  });
});

describe("retention", () => {
  test("shows each class and day with its due date, and no contents", async () => {
    const server = await TestServer.start();
    await logged(server, ["anna", "bert"]);
    const reply = await get(server, "retention", "operator");
    const { classDays, more } = reply.json<{ classDays: Record<string, unknown>[]; more: boolean }>();
    expect(more).toBe(false);
    const today = new Date().toISOString().slice(0, 10);
    const auth = classDays.find((each) => each["class"] === "auth");
    expect(auth).toMatchObject({ day: today, count: 2, held: false });
    const dueOn = new Date(Date.parse(today) + 366 * 86_400_000).toISOString().slice(0, 10);
    expect(auth?.["dueOn"]).toBe(dueOn);
    expect((await get(server, `retention?class=session`)).json()).toEqual({ classDays: [], more: false });
    expect((await get(server, `retention?class=auth&dueBefore=${dueOn}`)).json()).toMatchObject({ classDays: [] });
    expect((await get(server, `retention?class=auth&dueBefore=2999-01-01`)).json()).toMatchObject({
      classDays: [{ class: "auth" }],
    });
    const tomorrow = new Date(Date.parse(today) + 86_400_000).toISOString().slice(0, 10);
    expect((await get(server, `retention?from=${today}`)).json()).toMatchObject({ classDays });
    expect((await get(server, `retention?from=${tomorrow}`)).json()).toEqual({ classDays: [], more: false });
  });

  test("a run destroys what is due: its entries answer 410 with the certificate", async () => {
    const parts = { storage: createMemoryStorage(), keyStore: createMemoryKeyStore() };
    const longAgo = Date.now() - 400 * 86_400_000;
    const before = await TestServer.start({ witnesses: 0, log: { ...parts, now: () => longAgo } });
    expect((await before.post([{ ...of("anna"), time: longAgo }], "?wait=published")).status).toBe(201);
    expect((await send(before, "retention/run", {}, "operator")).json()).toEqual({ destroyed: [], held: 0 });
    await before.log.close();
    const server = await TestServer.start({ witnesses: 0, log: { ...parts, confirmClock: true } });
    // The log does so by itself when it starts, so that one of the two finds it.
    const run = await send(server, "retention/run", {}, "operator");
    expect([run.status, run.json()["held"]]).toEqual([200, 0]);
    const { erasures } = (await get(server, "erasures")).json<{ erasures: Destroyed[] }>();
    const day = new Date(longAgo).toISOString().slice(0, 10);
    const scope = { class: "auth", day, first: 0, last: 0, count: 1 };
    expect(erasures).toEqual([expect.objectContaining({ kind: "class-day", ground: "retention", scope })]);
    const gone = await get(server, "events/0", "auditor");
    const { code, certificate } = gone.json();
    expect([gone.status, code, [certificate]]).toEqual([410, "erased", erasures[0]?.ordered]);
  });
});

describe("rules", () => {
  const text = "version: 1\nclasses:\n  auth: { keep: 2y }\n";

  test("are the defaults at first; an officer's hold from then on", async () => {
    const server = await TestServer.start();
    const before = (await get(server, "rules", "operator")).json<{ text: string; digest: string }>();
    expect(before.digest).toBe(createHash("sha256").update(before.text).digest("hex"));
    const applied = await send(server, "rules", { text });
    const digest = createHash("sha256").update(text).digest("hex");
    expect([applied.status, applied.json()]).toEqual([201, expect.objectContaining({ digest })]);
    expect((await get(server, "rules")).json()).toEqual({ text, digest, index: applied.json()["index"] });
  });

  test("that do not parse are refused, each defect with its line", async () => {
    const server = await TestServer.start({ witnesses: 0 });
    const reply = await send(server, "rules", { text: "version: 1\nclasses:\n  auth: { keep: soon }\n" });
    expect([reply.status, reply.json()["code"]]).toEqual([422, "rules-malformed"]);
    expect(reply.json()).toMatchObject({ defects: [expect.objectContaining({ line: 3 })] });
  });
});

/** What the log says of itself. */
async function ownEvents(server: TestServer): Promise<readonly TallyEvent[]> {
  const events: TallyEvent[] = [];
  for (let index = 0, size = server.log.size(); index < size; index += 1)
    events.push((await server.log.readEvent({ index, reader: "test" })).event);
  return events.filter(({ type }) => type.startsWith("log."));
}

interface Line {
  readonly index: number;
  readonly opening: string;
  readonly leaf: string;
  readonly receipt?: string;
  readonly event: { readonly actor: { readonly id: string } };
  readonly entries?: number;
}

function linesOf({ text }: Reply): Line[] {
  return text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Line);
}

describe("the export of a person", () => {
  test("gives every event with opening and receipt, and their number at last; that it did is logged before", async () => {
    const server = await TestServer.start();
    await logged(server, ["anna", "bert", "anna", "bert", "anna"]);
    const reply = await send(server, "subjects/export", { subject: "anna", purpose: "Art. 15" });
    expect([reply.status, reply.headers.get("content-type")]).toEqual([200, "application/x-ndjson"]);
    const lines = linesOf(reply);
    expect(lines.pop()).toEqual({ entries: 3 });
    expect(lines.map(({ index }) => index)).toEqual([0, 2, 4]);
    const policy = parsePolicy(server.log.policyText);
    for (const { index, opening, receipt = "", event } of lines) {
      const verified = verifyReceipt({ proof: receipt, opening: decodeBase64(opening), policy, expect: { index } });
      expect([event.actor.id, verified.event?.actor?.id]).toEqual(["anna", "anna"]);
    }
    const record = (await ownEvents(server)).find(({ type }) => type === "log.export");
    expect(record).toMatchObject({ reason: "Art. 15", actor: { id: expect.stringMatching(/^officer-/) } });
    expect(JSON.stringify(record)).not.toContain("anna");
  });

  test("is the reader's own, and no other's: that is denied, and the denial is logged", async () => {
    const server = await TestServer.start();
    await logged(server, ["u_81", "bert"]);
    const own = await send(server, "subjects/export", { subject: "u_81" }, "reader");
    expect(linesOf(own).map(({ index, entries }) => index ?? entries)).toEqual([0, 1]);
    const other = await send(server, "subjects/export", { subject: "bert" }, "reader");
    expect([other.status, other.json()["code"]]).toEqual([403, "forbidden"]);
    const nobody = await send(server, "subjects/export", { subject: "nobody" }, "reader");
    expect(nobody.text.replace(/urn:uuid:[^"]*/, "")).toBe(other.text.replace(/urn:uuid:[^"]*/, ""));
    const denied = (await ownEvents(server)).filter(({ outcome }) => outcome === "denied");
    expect(denied).toEqual([
      expect.objectContaining({ actor: { type: "credential", id: expect.stringMatching(/^reader-/) } }),
    ]);
  });

  test("has, for a reader, nothing about others on whom the person acted", async () => {
    const server = await TestServer.start();
    await server.post([of("u_81"), { ...of("u_81"), subject: { id: "bert" } }], "?wait=witnessed");
    const own = linesOf(await send(server, "subjects/export", { subject: "u_81" }, "reader"));
    expect(own.map(({ index, entries }) => index ?? entries)).toEqual([0, 1]);
  });

  test("of nobody is 404, of an erased person too", async () => {
    const server = await TestServer.start();
    await logged(server, ["anna"]);
    expect((await send(server, "subjects/export", { subject: "bert" })).json()["code"]).toBe("subject-unknown");
    await erased(server, "anna");
    expect((await send(server, "subjects/export", { subject: "anna" })).json()["code"]).toBe("subject-unknown");
  });

  test("is not given where it cannot be recorded", async () => {
    const server = await TestServer.start();
    await logged(server, ["anna"]);
    await server.log.close();
    const reply = await send(server, "subjects/export", { subject: "anna" });
    expect([reply.status, reply.headers.get("content-type")]).toEqual([503, "application/problem+json"]);
  });

  test("waits for its reader: of a large one no more is read than is taken", async () => {
    const server = await TestServer.start({ witnesses: 0 });
    const events = Array.from({ length: 500 }, () => ({ ...of("anna"), context: { note: "x".repeat(500) } }));
    await server.post(events, "?wait=published");
    const response = await server.open(`/${LOG}/v1/subjects/export`, {
      method: "POST",
      role: "officer",
      type: "application/json",
      body: JSON.stringify({ subject: "anna" }),
    });
    const reader = response.body?.getReader();
    const first = await reader?.read();
    expect(first?.value?.length).toBeLessThan(200_000);
    await reader?.cancel();
  });
});
