import { describe, expect, test } from "vitest";
import { encodeHex, equalBytes, hashLeaf } from "@tallystick/core";
import { decodeLeaf, dayOf, decodeOpening, encodeEvent, verifyOpening, writerStreamId } from "@tallystick/events";
import { createMemoryStorage } from "@tallystick/storage";
import { rejectionCode } from "../../../test/support/errors.ts";
import { WatchedStorage } from "./watched-storage.ts";
import { START_MS, createSite, event, expectWhole, login, replay, until, uuid } from "./site.ts";

describe("appendEvents", () => {
  test("answers with index, time, leaf and its hash", async () => {
    const site = await createSite();
    const log = await site.open();
    const [first, second] = await log.appendEvents({ writer: "app", events: [login(0), login(1)] });
    expect(first).toMatchObject({ id: uuid(0), index: 0, loggedAt: START_MS });
    expect(second).toMatchObject({ id: uuid(1), index: 1 });
    expect(first?.duplicate).toBeUndefined();
    const leaf = decodeLeaf(first?.leaf ?? new Uint8Array());
    expect(leaf).toMatchObject({ loggedAt: START_MS, sequence: null, class: "auth", signature: null });
    expect(leaf.stream).toEqual(writerStreamId("app"));
    expect(first?.leafHash).toEqual(hashLeaf(first?.leaf ?? new Uint8Array()));
    expect(await log.readLeaf(0)).toEqual(first?.leaf);
  });

  test("rule 1: nothing is acknowledged before its commit is durable, nor before its keys are", async () => {
    const storage = new WatchedStorage(createMemoryStorage());
    const site = await createSite({ storage });
    const log = await site.open();
    await until(() => log.status().state === "ok");
    const release = storage.hold();
    let answered = false;
    const append = log.appendEvents({ writer: "app", events: [login(0)] }).then(() => (answered = true));
    await until(() => storage.held > 0);
    expect(answered).toBe(false);
    expect(log.size()).toBe(0);
    expect(site.keyStore.state("person", "nobody")).toBe("absent");
    expect(site.keyStore.state("class-day", `auth ${dayOf(START_MS)}`)).toBe("live");
    release();
    await append;
    expect(log.size()).toBe(1);
  });

  test("what waits while a commit is under way goes into the next two, half of it each", async () => {
    const storage = new WatchedStorage(createMemoryStorage());
    const site = await createSite({ storage });
    const log = await site.open();
    await until(() => log.status().state === "ok");
    const release = storage.hold();
    const first = log.appendEvents({ writer: "app", events: [login(0)] });
    await until(() => storage.held > 0);
    const others = Array.from({ length: 200 }, async (_, n) =>
      log.appendEvents({ writer: "app", events: [login(n + 1)] }),
    );
    await new Promise((resolve) => setImmediate(resolve));
    release();
    const indexes = (await Promise.all([first, ...others])).map(([answer]) => answer?.index);
    expect(indexes).toEqual(Array.from({ length: 201 }, (_, n) => n));
    expect(log.counters()).toMatchObject({ entries: 201, commits: 3 });
  });

  test("the same event of the same writer gets its first answer again, also at the same time", async () => {
    const site = await createSite();
    const log = await site.open();
    const send = async () => (await log.appendEvents({ writer: "app", events: [login(0)] }))[0];
    const [a, b, c] = await Promise.all([send(), send(), send()]);
    const d = await send();
    expect([a, b, c, d].map((answer) => answer?.index)).toEqual([0, 0, 0, 0]);
    expect([a, b, c, d].map((answer) => answer?.duplicate)).toEqual([undefined, true, true, true]);
    expect(d?.leaf).toEqual(a?.leaf);
    expect(d?.loggedAt).toBe(a?.loggedAt);
    expect(log.size()).toBe(1);
  });

  test("the same event twice in one request is logged once", async () => {
    const log = await (await createSite()).open();
    const answers = await log.appendEvents({ writer: "app", events: [login(0), login(1), login(0)] });
    expect(answers.map(({ index, duplicate }) => [index, duplicate])).toEqual([
      [0, undefined],
      [1, undefined],
      [0, true],
    ]);
  });

  test("another writer's id is another event", async () => {
    const log = await (await createSite()).open();
    const [a] = await log.appendEvents({ writer: "app", events: [login(0)] });
    const [b] = await log.appendEvents({ writer: "other", events: [login(0)] });
    expect([a?.index, b?.index]).toEqual([0, 1]);
  });

  test("an id with other contents is refused, with the index where it stands, and nothing of its request is logged", async () => {
    const log = await (await createSite()).open();
    await log.appendEvents({ writer: "app", events: [login(0)] });
    const events = [login(1), login(0, { outcome: "failure" })];
    await expect(log.appendEvents({ writer: "app", events })).rejects.toMatchObject({
      code: "id-conflict",
      details: { entry: 1, index: 0 },
    });
    const twice = [login(2), login(2, { outcome: "failure" })];
    await expect(log.appendEvents({ writer: "app", events: twice })).rejects.toMatchObject({
      code: "id-conflict",
      details: { entry: 1 },
    });
    expect(log.size()).toBe(1);
    const [again] = await log.appendEvents({ writer: "app", events: [login(1)] });
    expect(again).toMatchObject({ index: 1 });
  });

  test.each([
    ["log.read", { actor: { type: "credential", id: "a" }, context: {} }],
    ["log.head", { context: {} }],
    ["stream.start", {}],
    ["stream.beat", {}],
  ])("%s is not taken from a writer", async (type, fields) => {
    const log = await (await createSite()).open();
    const events = [login(0), event(1, { type, outcome: "success", ...fields })];
    expect(await rejectionCode(log.appendEvents({ writer: "app", events }))).toBe("event-refused");
    expect(log.size()).toBe(0);
  });

  test.each([
    ["auth.login", "log"],
    ["auth.login", "hold-0123abcd"],
    ["hold-0123abcd.note", undefined],
  ])("%s of retention class %s is not taken from a writer: the rules could not end it", async (type, retention) => {
    const log = await (await createSite()).open();
    const events = [login(0), event(1, { type, outcome: "success", retention, actor: { type: "user", id: "u1" } })];
    expect(await rejectionCode(log.appendEvents({ writer: "app", events }))).toBe("event-refused");
    expect(log.size()).toBe(0);
    await log.appendEvents({ writer: "app", events: [login(2, { retention: "hold-of-cargo" })] });
  });

  test("an event that its type does not allow is refused, and says which it is", async () => {
    const log = await (await createSite()).open();
    const wrong = { ...login(1), actor: undefined };
    await expect(log.appendEvents({ writer: "app", events: [login(0), wrong] })).rejects.toMatchObject({
      code: "event-invalid",
      details: { entry: 1 },
    });
  });

  test("a session id is hashed under a secret of the log, and two events of a session have one tag", async () => {
    const site = await createSite();
    const log = await site.open();
    const session = { id: "sid-123" };
    await log.appendEvents({ writer: "app", events: [login(0, { session }), login(1, { session })] });
    const other = await (await createSite()).open();
    await other.appendEvents({ writer: "app", events: [login(0, { session })] });
    const [a, b] = [decodeLeaf(await log.readLeaf(0)).session, decodeLeaf(await log.readLeaf(1)).session];
    expect(a).toMatchObject({ n: 0, prev: null });
    expect(b).toMatchObject({ tag: a?.tag, n: 1, prev: 0 });
    expect(decodeLeaf(await other.readLeaf(0)).session?.tag).not.toEqual(a?.tag);
    const { event } = await log.readEvent({ index: 0, reader: "auditor" });
    expect(event.session?.id).toMatch(/^[0-9a-f]{64}$/);
  });

  test("n and prev of every chain are those of a replay from the first leaf", async () => {
    const site = await createSite();
    const log = await site.open();
    const kinds = ["user", "user", "unverified", "anonymous"];
    const events = Array.from({ length: 120 }, (_, n) => {
      const subject = n % 4 === 0 ? { type: "user", id: `u${(n * 7) % 5}` } : undefined;
      return login(n, {
        time: START_MS - (n % 3) * 86_400_000,
        actor: { type: kinds[n % 4], id: `u${n % 5}` },
        session: { id: `s${n % 11}` },
        ...(subject === undefined ? {} : { subject }),
        ...(n % 5 === 0 ? { tenant: `t${n % 2}` } : {}),
      });
    });
    for (let from = 0; from < events.length; from += 7) {
      await log.appendEvents({ writer: "app", events: events.slice(from, from + 7) });
    }
    const audit = await replay(log);
    expect(audit.counts.unsigned).toBe(120);
    expect(audit.tags).toBeGreaterThan(20);
    await expectWhole(site);
  });

  test("nobody who did not prove to be the one gets a tag or a key", async () => {
    const log = await (await createSite()).open();
    const events = [
      login(0, { actor: { type: "anonymous", id: "x" } }),
      login(1, { actor: { type: "unverified", id: "root" } }),
      login(2, { actor: { type: "user", id: "u" }, subject: { type: "user", id: "u" } }),
    ];
    await log.appendEvents({ writer: "app", events });
    const leaves = await Promise.all([0, 1, 2].map(async (index) => decodeLeaf(await log.readLeaf(index))));
    expect(leaves.map(({ actor, subject }) => [actor !== null, subject !== null])).toEqual([
      [false, false],
      [false, false],
      [true, false],
    ]);
  });

  test("the contents open to the bytes that were committed to", async () => {
    const log = await (await createSite()).open();
    const sent = login(0, { reason: "first login", source: { ip: "192.0.2.7" } });
    const [answer] = await log.appendEvents({ writer: "app", events: [sent] });
    const { opening, event, leaf } = await log.readEvent({ index: 0, reader: "auditor" });
    expect(equalBytes(leaf, answer?.leaf ?? new Uint8Array())).toBe(true);
    const opened = verifyOpening({ opening, commitment: decodeLeaf(leaf).commitment });
    expect(encodeHex(opened.event)).toBe(encodeHex(encodeEvent(sent)));
    expect(decodeOpening(opening).salt).toHaveLength(32);
    expect(event).toMatchObject({ reason: "first login", actor: { id: "u0" } });
  });

  test("no personal datum and no session id is in what is stored outside of the key store", async () => {
    const storage = new WatchedStorage(createMemoryStorage());
    const site = await createSite({ storage });
    const log = await site.open();
    const events = [
      login(0, { actor: { type: "user", id: "alice-7f3a" }, session: { id: "sess-9c1d" }, tenant: "ten-4e" }),
    ];
    await log.appendEvents({ writer: "app", events });
    const written = Buffer.concat(storage.written.map((bytes) => Buffer.from(bytes))).toString("latin1");
    for (const secret of ["alice-7f3a", "sess-9c1d", "ten-4e"]) expect(written).not.toContain(secret);
    expect(written.length).toBeGreaterThan(200);
  });

  test("C-259 a full queue refuses whole and at once, says when to come back, and what was taken gets its answer", async () => {
    const storage = new WatchedStorage(createMemoryStorage());
    const site = await createSite({ storage });
    const log = await site.open({ queueEntriesMax: 10 });
    await until(() => log.status().state === "ok");
    const release = storage.hold();
    const first = log.appendEvents({ writer: "app", events: [login(0)] });
    await until(() => storage.held > 0);
    const waiting = log.appendEvents({ writer: "app", events: Array.from({ length: 8 }, (_, n) => login(n + 1)) });
    const three = [login(20), login(21), login(22)];
    await expect(log.appendEvents({ writer: "app", events: three })).rejects.toMatchObject({
      code: "log-overloaded",
      details: { retryAfterSeconds: 1 },
    });
    expect(log.status().queuedEntries).toBe(8);
    release();
    await Promise.all([first, waiting]);
    expect(log.size()).toBe(9);
    expect(log.counters()).toMatchObject({ overloaded: 1, refused: 0 });
    const [answer] = await log.appendEvents({ writer: "app", events: [login(20)] });
    expect(answer).toMatchObject({ index: 9 });
  });

  test("the queue is bounded in bytes too", async () => {
    const storage = new WatchedStorage(createMemoryStorage());
    const log = await (await createSite({ storage })).open({ queueBytesMax: 20_000 });
    await until(() => log.status().state === "ok");
    const release = storage.hold();
    const first = log.appendEvents({ writer: "app", events: [login(0)] });
    await until(() => storage.held > 0);
    const big = login(1, { context: { text: "x".repeat(10_000) } });
    expect(await rejectionCode(log.appendEvents({ writer: "app", events: [big] }))).toBe("log-overloaded");
    release();
    await first;
  });

  test("C-262 logged-at never decreases, and a clock that jumps ahead stops sequencing until it is back", async () => {
    const site = await createSite();
    const log = await site.open();
    await log.appendEvents({ writer: "app", events: [login(0)] });
    site.clock.nowMs -= 86_400_000;
    const [back] = await log.appendEvents({ writer: "app", events: [login(1)] });
    expect(back?.loggedAt).toBe(START_MS);
    site.clock.nowMs = START_MS + 365 * 86_400_000;
    expect(await rejectionCode(log.appendEvents({ writer: "app", events: [login(2)] }))).toBe("clock-jumped");
    expect(log.status()).toMatchObject({ state: "stopped", reasons: [{ code: "clock-jumped" }] });
    site.clock.nowMs = START_MS + 1000;
    const [on] = await log.appendEvents({ writer: "app", events: [login(2)] });
    expect(on).toMatchObject({ index: 2, loggedAt: START_MS + 1000 });
    await replay(log);
  });

  test("more entries than a tile, in requests of many sizes, make one whole log", async () => {
    const site = await createSite();
    const log = await site.open({ commitEntriesMax: 100 });
    const sizes = [1, 255, 1, 256, 300, 7];
    let n = 0;
    const requests = sizes.map(async (size) =>
      log.appendEvents({ writer: "app", events: Array.from({ length: size }, () => login(n++)) }),
    );
    const indexes = (await Promise.all(requests)).flat().map(({ index }) => index);
    expect(indexes).toEqual(Array.from({ length: n }, (_, index) => index));
    expect(log.counters().commits).toBeGreaterThan(3);
    await replay(log);
    await expectWhole(site);
  });

  test("slips of the caller are named", async () => {
    const log = await (await createSite()).open();
    await expect(log.appendEvents({ writer: "app", events: [] })).rejects.toThrow(RangeError);
    await expect(log.appendEvents({ writer: "", events: [login(0)] })).rejects.toThrow("writer");
    expect(() => log.stateOf(0)).toThrow("index 0: the log has 0 entries");
  });
});
