import { decode } from "cbor-x";
import { describe, expect, test } from "vitest";
import { decodeBase64, encodeBase64, hashLeaf } from "@tallystick/core";
import { BATCH_MEDIA_TYPE, type CborValue, decodeLeaf, encodeCbor } from "@tallystick/events";
import { LOG, TestSender, TestServer, login, signedLogin } from "./test-server.ts";

interface Entry {
  readonly id: string;
  readonly index: number;
  readonly loggedAt: string;
  readonly leafHash: string;
  readonly leaf: string;
  readonly state: string;
  readonly duplicate?: true;
  readonly receipt?: string;
}

describe("POST v1/events", () => {
  test("one event gets one answer: 201 with index, time, leaf and its hash", async () => {
    const server = await TestServer.start();
    const event = login();
    const reply = await server.post(event);
    expect(reply.status).toBe(201);
    const entry = reply.json<Entry>();
    expect(entry).toMatchObject({ id: event["id"], index: 0 });
    const leaf = decodeBase64(entry.leaf);
    expect(encodeBase64(hashLeaf(leaf))).toBe(entry.leafHash);
    expect(new Date(decodeLeaf(leaf).loggedAt).toISOString()).toBe(entry.loggedAt);
  });

  test("an array and lines of JSON get an array, in order", async () => {
    const server = await TestServer.start();
    const events = [login(), login(), login()];
    const array = await server.post(events);
    expect(array.json<Entry[]>().map(({ id, index }) => [id, index])).toEqual(events.map(({ id }, at) => [id, at]));
    const lines = `${JSON.stringify(login())}\n\n${JSON.stringify(login())}\n`;
    const reply = await server.post(lines, "", { type: "application/x-ndjson" });
    expect(reply.json<Entry[]>().map(({ index }) => index)).toEqual([3, 4]);
    expect((await server.post([login()])).json<Entry[]>()).toHaveLength(1);
  });

  test("CBOR says the same as JSON, both ways", async () => {
    const server = await TestServer.start();
    const reply = await server.post(encodeCbor(login() as CborValue), "", {
      type: "application/cbor",
      headers: { accept: "application/cbor" },
    });
    expect([reply.status, reply.headers.get("content-type")]).toEqual([201, "application/cbor"]);
    const known = decode(reply.bytes) as Entry;
    expect(known.index).toBe(0);
    expect(Object.keys(known).toSorted()).toEqual(
      Object.keys((await server.post(login())).json())
        .filter((key) => key !== "receipt")
        .toSorted(),
    );
  });

  test("C-259 the same event again is answered as the first time: 200, duplicate", async () => {
    const server = await TestServer.start();
    const event = login();
    const first = (await server.post(event)).json<Entry>();
    const again = await server.post(event);
    expect([again.status, again.json<Entry>().duplicate]).toEqual([200, true]);
    expect(again.json<Entry>()).toMatchObject({ index: first.index, leaf: first.leaf, leafHash: first.leafHash });
    const mixed = await server.post([event, login()]);
    expect([mixed.status, mixed.json<Entry[]>().map(({ duplicate }) => duplicate)]).toEqual([201, [true, undefined]]);
  });

  test("another event under a known id is a conflict that names entry and index, and nothing of its request is logged", async () => {
    const server = await TestServer.start();
    const event = login();
    await server.post(event);
    const reply = await server.post([login(), { ...event, outcome: "failure" }]);
    expect(reply.status).toBe(409);
    expect(reply.json()).toMatchObject({ code: "id-conflict", entry: 1, index: 0 });
    expect(server.log.size()).toBe(1);
  });

  test("waits for witnesses, and then the receipt is in the answer", async () => {
    const server = await TestServer.start();
    const reply = await server.post(login(), "?wait=witnessed");
    const entry = reply.json<Entry>();
    expect([reply.status, entry.state]).toEqual([201, "witnessed"]);
    expect(entry.receipt).toMatch(/^c2sp\.org\/tlog-proof@v1\n/);
    const receipt = await server.ask(`/${LOG}/v1/receipts/0`, { role: "writer" });
    expect(receipt.text).toBe(entry.receipt);
  });

  test("a wait that is not met in time answers 202 with the state that was reached", async () => {
    const server = await TestServer.start();
    server.network.up = false;
    const reply = await server.post([login(), login()], "?wait=witnessed&timeout=30");
    expect(reply.status).toBe(202);
    expect(reply.json<Entry[]>().map(({ state, index }) => [state, index])).toEqual([
      ["durable", 0],
      ["durable", 1],
    ]);
  });

  test("published is enough where no witnesses are asked for", async () => {
    const server = await TestServer.start({ witnesses: 0 });
    const reply = await server.post(login(), "?wait=published");
    expect([reply.status, reply.json<Entry>().state]).toEqual([201, "published"]);
  });
});

describe("signed batches", () => {
  test("are appended whole, and the answer gives the keys of the tags", async () => {
    const server = await TestServer.start();
    const sender = new TestSender();
    const batch = sender.next([signedLogin(), signedLogin()]);
    const reply = await server.postBatch(batch);
    expect(reply.status).toBe(201);
    const { entries, tagKeys } = reply.json<{
      entries: Entry[];
      tagKeys: { personDays: { id: string; key: string }[]; tenants: { id: string }[] };
    }>();
    expect(entries).toHaveLength(3);
    expect(tagKeys.personDays.map(({ id }) => id)).toEqual(["u_81"]);
    expect(decodeBase64(tagKeys.personDays[0]?.key ?? "")).toHaveLength(32);
    expect(tagKeys.tenants.map(({ id }) => id)).toEqual(["acme"]);
    const again = await server.postBatch(batch);
    expect(again.status).toBe(200);
    expect(again.json<{ entries: Entry[] }>().entries.map(({ index }) => index)).toEqual(
      entries.map(({ index }) => index),
    );
  });

  test("a gap names the number that is expected", async () => {
    const server = await TestServer.start();
    const sender = new TestSender();
    await server.postBatch(sender.next([signedLogin()]));
    const reply = await server.postBatch(sender.batch(5, [signedLogin()]));
    expect([reply.status, reply.json()["code"], reply.json()["expected"]]).toEqual([409, "sequence-gap", 3]);
  });

  test("a second sender key of the same writer is not taken", async () => {
    const server = await TestServer.start();
    await server.postBatch(new TestSender().next([signedLogin()]));
    const reply = await server.postBatch(new TestSender().next([signedLogin()]));
    expect([reply.status, reply.json()["code"]]).toEqual([403, "sender-key-unknown"]);
  });

  test("a bad event is named, so that it can be replaced under its number", async () => {
    const server = await TestServer.start();
    const sender = new TestSender();
    const batch = sender.next([signedLogin(), { ...signedLogin(), type: "shop.order", context: { card: "x" } }]);
    expect((await server.postBatch(batch)).status).toBe(201);
    const { id, time } = login();
    const bad = sender.next([signedLogin(), { id, time, type: "stream.start", outcome: "success" }]);
    const reply = await server.postBatch(bad);
    expect([reply.status, reply.json()["entry"]]).toEqual([422, 1]);
  });

  test.each([0, 40, -1])("a batch with a flipped bit at %i is refused", async (at) => {
    const server = await TestServer.start();
    const batch = new TestSender().next([signedLogin()]);
    const position = at < 0 ? batch.length + at : at;
    batch[position] = (batch[position] ?? 0) ^ 1;
    const reply = await server.post(batch, "", { type: BATCH_MEDIA_TYPE });
    expect([400, 403]).toContain(reply.status);
    expect(server.log.size()).toBe(0);
  });
});

test("what is taken is on disk: the same through LevelDB", async () => {
  const server = await TestServer.start({ storage: "level" });
  const reply = await server.post([login(), login()], "?wait=witnessed");
  expect(reply.status).toBe(201);
  const read = await server.ask(`/${LOG}/v1/events/1`, { role: "auditor" });
  expect(read.status).toBe(200);
});
