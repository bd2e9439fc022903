import { describe, expect, test, vi } from "vitest";
import { encodeHex, hashLeaf } from "@tallystick/core";
import {
  type TallyEvent,
  decodeEvent,
  decodeLeaf,
  decodeOpening,
  parseCertificate,
  parseEvent,
} from "@tallystick/events";
import type { Destruction, Log } from "../../src/index.ts";
import { LogSecrets } from "../../src/keys.ts";
import { Sender } from "../sender.ts";
import { WatchedStorage } from "../watched-storage.ts";
import { type Site, createSite, event, expectWhole, login, published, replay, until, uuid } from "../site.ts";
import { opens } from "./opens.ts";

const REQUEST = "01890a5d-ac96-774b-bcce-b302099a8057";

/** Nine logins of three persons, and one event in which one person acts upon another. */
async function filled(site: Site): Promise<Log> {
  const log = await site.open();
  await until(() => log.status().state === "ok");
  await log.appendEvents({ writer: "app", events: Array.from({ length: 9 }, (_, n) => login(n)) });
  const byOther = {
    type: "account.disable",
    outcome: "success",
    actor: { type: "user", id: "u1" },
    subject: { id: "u2" },
  };
  await log.appendEvents({ writer: "app", events: [event(9, byOther)] });
  return log;
}

async function erased(log: Log, subject: string): Promise<Destruction> {
  const { request } = await log.disposition.erase({ subject, ground: "GDPR Art. 17", by: "officer-1" });
  return log.disposition.waitForDestruction(request, 10_000);
}

async function certificateAt(log: Log, index: number): Promise<ReturnType<typeof parseCertificate>> {
  return parseCertificate((await log.readEvent({ index, reader: "auditor" })).event);
}

/** Indexes of those of the first ten entries that open. */
async function readable(log: Log): Promise<number[]> {
  const indexes: number[] = [];
  for (let index = 0; index < 10; index += 1) {
    if (await opens(log, index)) indexes.push(index);
  }
  return indexes;
}

describe("erasing a person", () => {
  test("makes all that is about them unreadable, and nothing else; tree, proofs, receipts and fsck stay whole", async () => {
    const site = await createSite({ witnesses: 3 });
    const log = await filled(site);
    await published(log);
    const before = await Promise.all([0, 2, 9].map(async (index) => log.receipt(index)));
    const leaves = await Promise.all([0, 2, 9].map(async (index) => encodeHex(hashLeaf(await log.readLeaf(index)))));
    const done = await erased(log, "u2");
    expect(done).toMatchObject({ kind: "person", state: "done", ground: "GDPR Art. 17" });
    // Entry 9 is about u2, whoever acted.
    expect(await readable(log)).toEqual([0, 1, 3, 4, 6, 7]);
    await expect(log.readEvent({ index: 2, reader: "auditor" })).rejects.toMatchObject({
      code: "erased",
      details: { index: 2, certificate: done.ordered?.[0] },
    });
    await published(log);
    for (const [at, index] of [0, 2, 9].entries()) {
      expect(encodeHex(hashLeaf(await log.readLeaf(index)))).toBe(leaves[at]);
      expect(before[at]).not.toBe("");
      expect(await log.receipt(index)).toContain("c2sp.org/tlog-proof@v1\n");
    }
    await replay(log);
    await log.close();
    await expectWhole(site);
  });

  test("leaves a certificate that names tags, keys and indexes, and nobody", async () => {
    const site = await createSite({ witnesses: 3 });
    const log = await filled(site);
    const { ordered = [], done = 0 } = await erased(log, "u2");
    const certificate = await certificateAt(log, ordered[0] ?? 0);
    expect(certificate).toMatchObject({ state: "ordered", before: 10, ground: "GDPR Art. 17", by: "officer-1" });
    const leaf = decodeLeaf(await log.readLeaf(9));
    const tags = "tags" in certificate.scope ? certificate.scope.tags : [];
    expect(tags).toHaveLength(2);
    expect(tags).toContainEqual([encodeHex(leaf.subject?.tag ?? new Uint8Array()), 1, 9]);
    expect(certificate.keys).toHaveLength(1);
    expect(await certificateAt(log, done)).toMatchObject({
      state: "done",
      ordered: ordered[0],
      keys: certificate.keys,
    });
    for (const index of [...ordered, done]) {
      const { opening } = await log.readEvent({ index, reader: "auditor" });
      expect(Buffer.from(decodeOpening(opening).event).includes("u2")).toBe(false);
    }
  });

  test("is carried out only once the order is witnessed", async () => {
    const site = await createSite({ witnesses: 3 });
    const log = await filled(site);
    await published(log);
    const hosts = [...site.network.hosts];
    site.network.hosts.clear();
    const { request, state } = await log.disposition.erase({ subject: "u0", ground: "asked", by: "officer-1" });
    expect(state).toBe("ordered");
    await expect(log.readEvent({ index: 0, reader: "auditor" })).rejects.toMatchObject({ code: "erased" });
    expect((await log.disposition.waitForDestruction(request, 100)).state).toBe("ordered");
    for (const [name, handler] of hosts) site.network.hosts.set(name, handler);
    expect((await log.disposition.waitForDestruction(request, 20_000)).state).toBe("done");
  });

  test("a person who comes back has another key: what is new opens, what was erased does not", async () => {
    const site = await createSite();
    const log = await filled(site);
    const before = decodeLeaf(await log.readLeaf(2)).actor;
    await erased(log, "u2");
    const [again] = await log.appendEvents({ writer: "app", events: [login(11)] });
    const { index = 0 } = again ?? {};
    expect((await log.readEvent({ index, reader: "auditor" })).event.actor?.id).toBe("u2");
    const { actor } = decodeLeaf(await log.readLeaf(index));
    expect(actor).toMatchObject({ n: 0, prev: null });
    expect(encodeHex(actor?.tag ?? new Uint8Array())).not.toBe(encodeHex(before?.tag ?? new Uint8Array()));
    await expect(log.readEvent({ index: 2, reader: "auditor" })).rejects.toMatchObject({ code: "erased" });
    const second = await erased(log, "u2");
    expect(await certificateAt(log, second.ordered?.[0] ?? 0)).toMatchObject({ before: expect.any(Number) });
    await expect(log.readEvent({ index, reader: "auditor" })).rejects.toMatchObject({ code: "erased" });
    await log.close();
    await expectWhole(site);
  });

  test("a batch that is sent again is refused where anybody in it was erased: there are no keys to check its tags with", async () => {
    const site = await createSite();
    const rules = "version: 1\nclasses:\n  account: { keep: 6y, erase: at-expiry }\nother: { keep: 1y }\n";
    const log = await site.open({ pinFirstSenderKey: true, proposedRules: async () => rules });
    await until(() => log.disposition.rules().index !== undefined);
    const sender = new Sender();
    const byOther = {
      type: "auth.unlock",
      outcome: "success",
      actor: { type: "user", id: "u1" },
      subject: { id: "u2" },
    };
    const kept = { type: "account.create", outcome: "success", actor: { type: "user", id: "u1" } };
    const batches = [
      sender.batch(1, [sender.start()]),
      sender.batch(2, [event(1, byOther)]),
      sender.batch(3, [event(2, kept)]),
    ];
    for (const batch of batches) await log.appendBatch({ writer: "app", batch });
    const { ordered: [certificate] = [] } = await erased(log, "u1");
    const size = log.size();
    for (const batch of batches.slice(1))
      await expect(log.appendBatch({ writer: "app", batch })).rejects.toMatchObject({
        code: "erased",
        details: { entry: 0, certificate },
      });
    const person = new LogSecrets(site.keyStore).existingReference("u1");
    expect(site.keyStore.state("person", encodeHex(person ?? new Uint8Array()))).toBe("destroyed");
    expect(log.size()).toBe(size);
    await expect(log.appendBatch({ writer: "app", batch: sender.batch(1, [sender.start()]) })).resolves.toMatchObject({
      entries: [{ duplicate: true }],
    });
  });

  test("an erased event that is sent again is refused with its certificate, and logged no second time", async () => {
    const site = await createSite();
    const log = await filled(site);
    const { ordered } = await erased(log, "u2");
    const size = log.size();
    await expect(log.appendEvents({ writer: "app", events: [login(2)] })).rejects.toMatchObject({
      code: "erased",
      details: { index: 2, certificate: ordered?.[0] },
    });
    expect(log.size()).toBe(size);
  });

  test("of a credential is refused: the record of who read stays", async () => {
    const log = await filled(await createSite());
    await log.readEvent({ index: 0, reader: "officer-1" });
    const erase = log.disposition.erase({ subject: "officer-1", ground: "asked", by: "officer-1" });
    await expect(erase).rejects.toMatchObject({ code: "subject-refused" });
    const { event: read } = await log.readEvent({ index: log.size() - 1, reader: "auditor" });
    expect(read).toMatchObject({ type: "log.read", actor: { id: "officer-1" } });
  });

  test("one request is one erasure, however often it is sent", async () => {
    const log = await filled(await createSite());
    const input = { subject: "u1", ground: "asked", by: "officer-1", request: REQUEST };
    const [first, second] = await Promise.all([log.disposition.erase(input), log.disposition.erase(input)]);
    expect(second.ordered).toEqual(first.ordered);
    const done = await log.disposition.waitForDestruction(REQUEST, 10_000);
    expect(done.state).toBe("done");
    expect(await log.disposition.erase(input)).toEqual(done);
    expect((await log.disposition.destructions()).map(({ request }) => request)).toEqual([REQUEST]);
  });

  test("of somebody nobody knows is refused, and makes no key", async () => {
    const log = await filled(await createSite());
    const size = log.size();
    await expect(erased(log, "nobody")).rejects.toMatchObject({ code: "subject-unknown" });
    await erased(log, "u1");
    await expect(erased(log, "u1")).rejects.toMatchObject({ code: "subject-unknown" });
    // The start of the log's own stream, the order, and that it is done.
    expect(log.size()).toBe(size + 3);
    await expect(log.disposition.destruction(REQUEST)).rejects.toMatchObject({ code: "destruction-unknown" });
  });

  test("a ground that is empty, too long or of two lines is refused", async () => {
    const log = await filled(await createSite());
    for (const ground of ["", " ", "x".repeat(1025), "two\nlines"])
      await expect(log.disposition.erase({ subject: "u1", ground, by: "o" })).rejects.toThrow(RangeError);
  });

  test("a person with more tags than fit into an event has a certificate in parts", async () => {
    const site = await createSite();
    const log = await site.open();
    const day = 86_400_000;
    const events = Array.from({ length: 900 }, (_, n) => login(3 * n, { time: site.clock.nowMs - n * day }));
    await log.appendEvents({ writer: "app", events });
    const { ordered = [], done = 0 } = await erased(log, "u0");
    expect(ordered).toHaveLength(3);
    const parts = await Promise.all(ordered.map(async (index) => certificateAt(log, index)));
    expect(parts.map(({ part, parts: of }) => [part, of])).toEqual([
      [1, 3],
      [2, 3],
      [3, 3],
    ]);
    const tags = parts.flatMap(({ scope }) => ("tags" in scope ? scope.tags : []));
    expect(new Set(tags.map(([tag]) => tag)).size).toBe(900);
    expect(await certificateAt(log, done)).toMatchObject({ state: "done", scope: { tags: [] } });
    for (const index of [0, 450, 899])
      await expect(log.readEvent({ index, reader: "auditor" })).rejects.toMatchObject({ code: "erased" });
  });

  test("what a duty keeps is sealed anew without the person's key, counted, and still opens", async () => {
    const site = await createSite();
    const rules =
      "version: 1\nclasses:\n  account: { keep: 6y, erase: at-expiry, basis: a duty }\nother: { keep: 1y }\n";
    const log = await site.open({ proposedRules: async () => rules });
    await until(() => log.disposition.rules().index !== undefined);
    const events = [
      login(0),
      event(1, { type: "account.create", outcome: "success", actor: { type: "user", id: "u0" } }),
    ];
    const [first = 0, second = 0] = (await log.appendEvents({ writer: "app", events })).map(({ index }) => index);
    const done = await erased(log, "u0");
    expect(done.kept).toEqual([["account", 1]]);
    await expect(log.readEvent({ index: first, reader: "auditor" })).rejects.toMatchObject({ code: "erased" });
    expect((await log.readEvent({ index: second, reader: "auditor" })).event.actor?.id).toBe("u0");
    expect(await certificateAt(log, done.ordered?.[0] ?? 0)).toMatchObject({ kept: [["account", 1]] });
    await log.close();
    await expectWhole(site);
  });
});

test("looking for holds on somebody of whom much is held lets others in all the while", async () => {
  const log = await (await createSite()).open();
  await until(() => log.status().state === "ok");
  const entries = 5120;
  const events = Array.from({ length: entries }, (_, n) => login(3 * n));
  for (let at = 0; at < entries; at += 1024)
    await log.appendEvents({ writer: "app", events: events.slice(at, at + 1024) });
  await log.disposition.setHold({ by: "o", case: "c", selectors: { operation: "nobody's" } });
  const ended = new AbortController();
  const erasing = log.disposition.erase({ subject: "u0", ground: "asked", by: "o" }).finally(() => ended.abort());
  let turns = 0;
  for (; !ended.signal.aborted; turns += 1) await new Promise((resolve) => setImmediate(resolve));
  expect((await erasing).state).toBe("ordered");
  expect(turns).toBeGreaterThan(entries / 256);
});

test("however many days events say they are of, an erasure lets others in, and takes what they log meanwhile", async () => {
  const log = await (await createSite()).open();
  await until(() => log.status().state === "ok");
  const days = 3000;
  const ofDay = (n: number, day: number, id: string): ReturnType<typeof login> =>
    parseEvent({
      id: uuid(n),
      time: (10_000 + day) * 86_400_000,
      type: "auth.login",
      outcome: "success",
      actor: { type: "user", id },
    });
  for (let at = 0; at < days; at += 1000) {
    const events = Array.from({ length: 1000 }, (_, n) => ofDay(at + n, at + n, "somebody else"));
    await log.appendEvents({ writer: "app", events });
  }
  const indexes: number[] = [];
  const append = async (n: number, day: number): Promise<void> => {
    const [answer] = await log.appendEvents({ writer: "app", events: [ofDay(days + n, day, "u0")] });
    indexes.push(answer?.index ?? -1);
  };
  await append(0, 7);
  const ended = new AbortController();
  const erasing = log.disposition.erase({ subject: "u0", ground: "asked", by: "o" }).finally(() => ended.abort());
  // Of a day that has a tag, of one that has none yet, and of one that nobody's events were of.
  for (let n = 1; !ended.signal.aborted; n += 1) await append(n, [7, n, days + n][n % 3] ?? 0);
  const { request } = await erasing;
  expect(await log.disposition.waitForDestruction(request, 20_000)).toMatchObject({ state: "done" });
  const { before, scope } = await certificateAt(log, (await log.disposition.destruction(request)).ordered?.[0] ?? 0);
  const covered = indexes.filter((index) => index < before);
  expect(covered.length).toBeGreaterThan(1);
  const counts = "tags" in scope ? scope.tags.map(([, count]) => count) : [];
  expect(counts.reduce((sum, count) => sum + count, 0)).toBe(covered.length);
  for (const index of covered)
    await expect(log.readEvent({ index, reader: "auditor" })).rejects.toMatchObject({ code: "erased" });
});

describe("what a duty keeps", () => {
  const RULES = "version: 1\nclasses:\n  account: { keep: 6y, erase: at-expiry, basis: a duty }\nother: { keep: 1y }\n";

  test("a hold on the person finds it all the same, and stops the next erasure", async () => {
    const site = await createSite();
    const log = await site.open({ proposedRules: async () => RULES });
    await until(() => log.disposition.rules().index !== undefined);
    const account = { type: "account.create", outcome: "success", actor: { type: "user", id: "u0" } };
    const answers = await log.appendEvents({ writer: "app", events: [event(1, account)] });
    const index = answers[0]?.index ?? -1;
    await erased(log, "u0");
    await log.appendEvents({ writer: "app", events: [login(0)] });
    await log.disposition.setHold({ by: "o", case: "c", selectors: { subject: "u0" } });
    const { request, state } = await log.disposition.erase({ subject: "u0", ground: "asked again", by: "o" });
    expect(state).toBe("held");
    expect((await log.disposition.destruction(request)).state).toBe("held");
    expect((await log.readEvent({ index, reader: "auditor" })).event.type).toBe("account.create");
  });

  test("of more classes than a certificate names, the smallest are counted together", async () => {
    const site = await createSite();
    const log = await site.open({ proposedRules: async () => "version: 1\nother: { keep: 6y, erase: at-expiry }\n" });
    await until(() => log.disposition.rules().index !== undefined);
    const retention = (n: number): string => (n < 4 ? "many" : `class-${n}`);
    const events = Array.from({ length: 74 }, (_, n) => login(3 * n, { retention: retention(n) }));
    await log.appendEvents({ writer: "app", events });
    const { kept = [], ordered: [ordered = 0] = [] } = await erased(log, "u0");
    expect(kept).toHaveLength(64);
    expect(kept.reduce((sum, [, count]) => sum + count, 0)).toBe(74);
    expect(kept[0]).toEqual(["many", 4]);
    expect(kept.at(-1)).toEqual(["other", 8]);
    expect(await certificateAt(log, ordered)).toMatchObject({ kept });
    await log.close();
    await expectWhole(site);
  });

  test("is kept too where it is logged while the person is erased", async () => {
    const site = await createSite();
    const log = await site.open({ proposedRules: async () => RULES });
    await until(() => log.disposition.rules().index !== undefined);
    const account = (n: number): TallyEvent =>
      event(n, { type: "account.create", outcome: "success", actor: { type: "user", id: "u0" } });
    await log.appendEvents({ writer: "app", events: Array.from({ length: 600 }, (_, n) => account(n)) });
    await log.disposition.setHold({ by: "o", case: "c", selectors: { operation: "nobody's" } });
    const append = async (n: number): Promise<number | undefined> => {
      for (let turns = 0; turns < n; turns += 1) await new Promise((resolve) => setImmediate(resolve));
      return (await log.appendEvents({ writer: "app", events: [account(1000 + n)] }))[0]?.index;
    };
    const [done, ...indexes] = await Promise.all([
      erased(log, "u0"),
      ...Array.from({ length: 60 }, async (_, n) => append(n)),
    ]);
    const { before } = await certificateAt(log, done.ordered?.[0] ?? 0);
    for (const index of indexes) expect([index, await opens(log, index ?? -1)]).toEqual([index, true]);
    const earlier = indexes.filter((index) => index !== undefined && index < before);
    expect(done.kept).toEqual([["account", 600 + earlier.length]]);
    await log.close();
    await expectWhole(site);
  });

  test("is exported as what is held about the person, until its class-day is destroyed", async () => {
    const site = await createSite();
    const log = await site.open({ proposedRules: async () => RULES });
    await until(() => log.disposition.rules().index !== undefined);
    const account = { type: "account.create", outcome: "success", actor: { type: "user", id: "u0" } };
    const answers = await log.appendEvents({ writer: "app", events: [event(1, account), login(0)] });
    await erased(log, "u0");
    const exported: number[] = [];
    for await (const { index } of log.disposition.exportSubject({ subject: "u0", reader: "dpo" })) exported.push(index);
    expect(exported).toEqual([answers[0]?.index]);
    const again = log.disposition.erase({ subject: "u0", ground: "asked", by: "o" });
    await expect(again).rejects.toMatchObject({ code: "subject-unknown", details: { kept: 1 } });
    await log.close();
    site.clock.nowMs += 3000 * 86_400_000;
    const late = await site.open({ confirmClock: true, proposedRules: async () => RULES });
    await until(() => late.status().state === "ok");
    await late.disposition.runRetention();
    const kept = async (): Promise<number> => {
      let rows = 0;
      for await (const _row of site.storage.scanRows("kept")) rows += 1;
      return rows;
    };
    await vi.waitFor(async () => expect(await kept()).toBe(0), { timeout: 20_000 });
    const none = late.disposition.exportSubject({ subject: "u0", reader: "dpo" })[Symbol.asyncIterator]().next();
    await expect(none).rejects.toMatchObject({ code: "subject-unknown" });
  });

  test("goes with the person where the duty is over when the erasure is carried out", async () => {
    const site = await createSite();
    const log = await site.open({ proposedRules: async () => RULES });
    await until(() => log.disposition.rules().index !== undefined);
    const account = { type: "account.create", outcome: "success", actor: { type: "user", id: "u0" } };
    const events = Array.from({ length: 300 }, (_, n) => event(n, account));
    const indexes = (await log.appendEvents({ writer: "app", events })).map(({ index }) => index);
    // While it seals anew for the duty, a hold comes: so it waits, and all of it goes on being there.
    const erasing = log.disposition.erase({ subject: "u0", ground: "asked", by: "o", request: REQUEST });
    const hold = await log.disposition.setHold({ by: "o", case: "c", selectors: { subject: "u0" } });
    expect((await erasing).state).toBe("held");
    expect(await opens(log, indexes[0] ?? -1)).toBe(true);
    await log.disposition.applyRules({ text: "version: 1\nother: { keep: 1y }\n", by: "o" });
    await log.disposition.liftHold({ id: hold.id, by: "o" });
    const done = await log.disposition.waitForDestruction(REQUEST, 10_000);
    expect(done).toMatchObject({ state: "done" });
    expect(done.kept).toBeUndefined();
    for (const index of indexes) expect([index, await opens(log, index)]).toEqual([index, false]);
    await log.close();
    await expectWhole(site);
  });

  test("an erasure that ends while that is sealed anew is carried out by the next start", async () => {
    const site = await createSite();
    const storage = new WatchedStorage(site.storage);
    const log = await site.open({ storage });
    await until(() => log.status().state === "ok");
    await log.disposition.applyRules({ text: RULES, by: "o" });
    const account = { type: "account.create", outcome: "success", actor: { type: "user", id: "u0" } };
    const answers = await log.appendEvents({ writer: "app", events: [event(1, account), login(0)] });
    const [kept = 0, gone = 0] = answers.map(({ index }) => index);
    // The start of the log's stream, the rules, and that they were compared with the file: nothing else is on its way.
    await until(() => log.size() === 5);
    storage.failCommit("integrated", "before");
    const request = REQUEST;
    await expect(log.disposition.erase({ subject: "u0", ground: "asked", by: "o", request })).rejects.toMatchObject({
      code: "outcome-unknown",
    });
    await log.close();
    const again = await site.open({ proposedRules: async () => RULES });
    await until(() => again.status().state === "ok");
    const done = await again.disposition.waitForDestruction(request, 10_000);
    expect(done).toMatchObject({ state: "done", kept: [["account", 1]] });
    expect((await again.readEvent({ index: kept, reader: "auditor" })).event.actor?.id).toBe("u0");
    await expect(again.readEvent({ index: gone, reader: "auditor" })).rejects.toMatchObject({ code: "erased" });
    await again.close();
    await expectWhole(site);
  });
});

describe("exporting all that is held about a person", () => {
  test("gives every entry in order, with proof, and says so in the log before", async () => {
    const site = await createSite();
    const log = await filled(site);
    await published(log);
    const found: number[] = [];
    for await (const { index, opening, receipt } of log.disposition.exportSubject({ subject: "u2", reader: "dpo-1" })) {
      found.push(index);
      expect(receipt).toContain(`index ${index}\n`);
      const { actor, subject } = decodeEvent(decodeOpening(opening).event);
      expect([actor?.id, subject?.id]).toContain("u2");
    }
    expect(found).toEqual([2, 5, 8, 9]);
    const index = log.size() - 1;
    const { event: logged } = await log.readEvent({ index, reader: "auditor" });
    expect(logged).toMatchObject({ type: "log.export", actor: { id: "dpo-1" }, context: { count: 4 } });
    expect(JSON.stringify(logged)).not.toContain("u2");
    await expect(
      log.disposition.exportSubject({ subject: "x", reader: "r" })[Symbol.asyncIterator]().next(),
    ).rejects.toMatchObject({
      code: "subject-unknown",
    });
  });

  test("misses none and gives none twice, whether they lie near each other or far away", async () => {
    const site = await createSite();
    const log = await site.open();
    const rare = [0, 1, 254, 255, 256, 257, 511, 512, 690];
    const idOf = (n: number): string => (rare.includes(n) ? "rare" : n % 2 === 0 ? "often" : `u${n}`);
    const events = Array.from({ length: 700 }, (_, n) => login(n, { actor: { type: "user", id: idOf(n) } }));
    await log.appendEvents({ writer: "app", events });
    for (const subject of ["rare", "often", "u699"]) {
      const expected = events.flatMap((_, n) => (idOf(n) === subject ? [n] : []));
      const found: number[] = [];
      for await (const { index } of log.disposition.exportSubject({ subject, reader: "dpo-1" })) found.push(index);
      expect([subject, found]).toEqual([subject, expected]);
    }
  });
});
