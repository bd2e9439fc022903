import { describe, expect, test } from "vitest";
import { encodeHex } from "@tallystick/core";
import { actorTag, decodeLeaf, subjectTag, tenantTag } from "@tallystick/events";
import { rejectionCode } from "../../../test/support/errors.ts";
import { Sender } from "./sender.ts";
import { type Site, createSite, event, expectWhole, login, replay } from "./site.ts";

const PINNING = { pinFirstSenderKey: true };

async function pinningLog(site?: Site) {
  return (site ?? (await createSite())).open(PINNING);
}

describe("appendBatch", () => {
  test("logs a batch whole and in order, its signature in the last leaf", async () => {
    const site = await createSite();
    const sender = new Sender();
    const log = await site.open({ senderKeys: [{ publicKey: sender.publicKey }] });
    const batch = sender.batch(1, [sender.start(), login(1), login(2)]);
    const { entries } = await log.appendBatch({ writer: "app", batch });
    expect(entries.map(({ index }) => index)).toEqual([0, 1, 2]);
    const leaves = entries.map(({ leaf }) => decodeLeaf(leaf));
    expect(leaves.map(({ sequence }) => sequence)).toEqual([1, 2, 3]);
    expect(leaves.map(({ stream }) => stream.length)).toEqual([48, 16, 16]);
    expect(leaves.map(({ signature }) => signature?.count)).toEqual([undefined, undefined, 3]);
    const audit = await replay(log);
    expect(audit.counts).toEqual({ signed: 3, unsigned: 0, batches: 1 });
    await expectWhole(site);
  });

  test("gives the keys that its tags were made with", async () => {
    const sender = new Sender();
    const log = await pinningLog();
    const events = [sender.start(), login(1, { subject: { type: "user", id: "bob" }, tenant: "acme" }), login(4)];
    const { entries, tagKeys } = await log.appendBatch({ writer: "app", batch: sender.batch(1, events) });
    const leaf = decodeLeaf(entries[1]?.leaf ?? new Uint8Array());
    const keyOf = (id: string) => tagKeys.personDays.find((known) => known.id === id)?.key ?? new Uint8Array();
    expect(tagKeys.personDays.map(({ id }) => id)).toEqual(["u1", "bob"]);
    expect(leaf.actor?.tag).toEqual(actorTag({ personDayKey: keyOf("u1"), id: "u1" }));
    expect(leaf.subject?.tag).toEqual(subjectTag({ personDayKey: keyOf("bob"), id: "bob" }));
    const [tenant] = tagKeys.tenants;
    expect(leaf.tenant?.tag).toEqual(tenantTag({ tenantKey: tenant?.key ?? new Uint8Array(), id: "acme" }));
  });

  test("a batch sent again gets its first answer again, also at the same time and after a restart", async () => {
    const site = await createSite();
    const log = await pinningLog(site);
    const sender = new Sender();
    const batch = sender.batch(1, [sender.start(), login(1)]);
    const [a, b] = await Promise.all([
      log.appendBatch({ writer: "app", batch }),
      log.appendBatch({ writer: "app", batch }),
    ]);
    await log.appendBatch({ writer: "app", batch: sender.batch(3, [login(2)]) });
    const c = await log.appendBatch({ writer: "app", batch });
    await log.close();
    const d = await (await pinningLog(site)).appendBatch({ writer: "app", batch });
    for (const { entries, tagKeys } of [b, c, d]) {
      expect(entries.map(({ index, leaf }) => [index, leaf])).toEqual(
        a.entries.map(({ index, leaf }) => [index, leaf]),
      );
      expect(entries.every(({ duplicate }) => duplicate === true)).toBe(true);
      expect(tagKeys).toEqual(a.tagKeys);
    }
  });

  test("a gap, and a number that is taken by something else, name the sequence that is expected", async () => {
    const log = await pinningLog();
    const sender = new Sender();
    await log.appendBatch({ writer: "app", batch: sender.batch(1, [sender.start(), login(1)]) });
    for (const batch of [
      sender.batch(4, [login(3)]),
      sender.batch(2, [login(9)]),
      sender.batch(2, [login(1), login(2)]),
    ]) {
      await expect(log.appendBatch({ writer: "app", batch })).rejects.toMatchObject({
        code: "sequence-gap",
        details: { expected: 3 },
      });
    }
    const unknown = new Sender("sender-a", "2");
    await expect(log.appendBatch({ writer: "app", batch: unknown.batch(7, [login(7)]) })).rejects.toMatchObject({
      code: "sequence-gap",
      details: { expected: 1 },
    });
  });

  test("a stream begins with stream.start, and has it nowhere else", async () => {
    const log = await pinningLog();
    const sender = new Sender();
    const code = async (batch: Uint8Array) => rejectionCode(log.appendBatch({ writer: "app", batch }));
    expect(await code(sender.batch(1, [login(1)]))).toBe("stream-malformed");
    expect(await code(sender.batch(1, [sender.start(), sender.start(7)]))).toBe("event-refused");
    await log.appendBatch({ writer: "app", batch: sender.batch(1, [sender.start()]) });
    expect(await code(sender.batch(2, [sender.start(8)]))).toBe("stream-malformed");
    const own = event(5, { type: "log.head", outcome: "success", context: {} });
    expect(await code(sender.batch(2, [own]))).toBe("event-refused");
  });

  test("an event of the log's own class, or a hold's, has no place in it", async () => {
    const log = await pinningLog();
    const sender = new Sender();
    for (const retention of ["log", "hold-0123abcd"]) {
      const batch = sender.batch(1, [sender.start(), login(1, { retention })]);
      await expect(log.appendBatch({ writer: "app", batch })).rejects.toMatchObject({
        code: "event-refused",
        details: { entry: 1, type: "auth.login" },
      });
    }
    expect(log.size()).toBe(0);
  });

  test("an id that its sender has used stands for that event, under whichever number and stream", async () => {
    const site = await createSite();
    const log = await pinningLog(site);
    const sender = new Sender();
    await log.appendBatch({ writer: "app", batch: sender.batch(1, [sender.start(), login(1)]) });
    await expect(
      log.appendBatch({ writer: "app", batch: sender.batch(3, [login(2), login(1)]) }),
    ).rejects.toMatchObject({ code: "id-conflict", details: { entry: 1 } });
    const next = new Sender("sender-a", "2");
    await expect(
      log.appendBatch({ writer: "app", batch: next.batch(1, [next.start(7), login(1)]) }),
    ).rejects.toMatchObject({ code: "id-conflict", details: { entry: 1 } });
    const refused = event(3, {
      type: "stream.refused",
      outcome: "failure",
      context: { id: login(1).id, type: "auth.login", code: "id-conflict" },
    });
    const { entries } = await log.appendBatch({ writer: "app", batch: sender.batch(3, [login(2), refused]) });
    expect(entries).toHaveLength(2);
    await replay(log);
    await expectWhole(site);
  });

  test("a changed bit, or another log's batch, is refused before anything is queued", async () => {
    const log = await pinningLog();
    const sender = new Sender();
    const batch = sender.batch(1, [sender.start(), login(1)]);
    const changed = batch.slice();
    const last = changed.length - 1;
    changed[last] = (changed[last] ?? 0) ^ 1;
    expect(await rejectionCode(log.appendBatch({ writer: "app", batch: changed }))).toBe("signature-invalid");
    const foreign = sender.batch(1, [sender.start(), login(1)], "log.example/other");
    expect(await rejectionCode(log.appendBatch({ writer: "app", batch: foreign }))).toBe("signature-invalid");
    expect(await rejectionCode(log.appendBatch({ writer: "app", batch: Uint8Array.of(0x80) }))).toBe("batch-malformed");
    expect(log.size()).toBe(0);
  });

  test("an event that its type does not allow is refused, and says which it is", async () => {
    const log = await pinningLog();
    const sender = new Sender();
    const batch = sender.batch(1, [sender.start(), { ...login(1), actor: undefined }]);
    await expect(log.appendBatch({ writer: "app", batch })).rejects.toMatchObject({
      code: "event-invalid",
      details: { entry: 1 },
    });
  });
});

describe("sender keys", () => {
  test("one that no rule names is refused", async () => {
    const log = await (await createSite()).open();
    const sender = new Sender();
    expect(await rejectionCode(log.appendBatch({ writer: "app", batch: sender.batch(1, [sender.start()]) }))).toBe(
      "sender-key-unknown",
    );
    expect(log.size()).toBe(0);
  });

  test("a writer pins the first that it presents: a log.key entry stands before the batch, and no other key is taken", async () => {
    const site = await createSite();
    const log = await pinningLog(site);
    const [sender, other] = [new Sender(), new Sender("sender-b")];
    const { entries } = await log.appendBatch({ writer: "app", batch: sender.batch(1, [sender.start()]) });
    expect(entries[0]?.index).toBe(2);
    const start = await log.readEvent({ index: 0, reader: "auditor" });
    const pin = await log.readEvent({ index: 1, reader: "auditor" });
    expect(start.event.type).toBe("stream.start");
    expect(pin.event).toMatchObject({
      type: "log.key",
      context: { writer: "app", publicKey: encodeHex(sender.publicKey), change: "pinned" },
    });
    expect(await rejectionCode(log.appendBatch({ writer: "app", batch: other.batch(1, [other.start()]) }))).toBe(
      "sender-key-unknown",
    );
    await log.appendBatch({ writer: "app-2", batch: other.batch(1, [other.start()]) });
    await log.close();
    const again = await pinningLog(site);
    expect(
      await rejectionCode(
        again.appendBatch({ writer: "app", batch: new Sender("sender-c").batch(1, [sender.start(9)]) }),
      ),
    ).toBe("sender-key-unknown");
    await again.appendBatch({ writer: "app", batch: sender.batch(2, [login(2)]) });
    await replay(again);
    await expectWhole(site);
  });

  test("a batch that another writer sends again is refused: the keys of its tags are its sender's", async () => {
    const site = await createSite();
    const log = await pinningLog(site);
    const [sender, other] = [new Sender(), new Sender("sender-b")];
    const batch = sender.batch(1, [sender.start(), login(1, { tenant: "acme" })]);
    const [own, atOnce] = await Promise.allSettled([
      log.appendBatch({ writer: "app", batch }),
      log.appendBatch({ writer: "thief", batch }),
    ]);
    expect([own.status, atOnce.status]).toEqual(["fulfilled", "rejected"]);
    await log.appendBatch({ writer: "app-2", batch: other.batch(1, [other.start()]) });
    for (const writer of ["thief", "app-2"]) {
      expect(await rejectionCode(log.appendBatch({ writer, batch }))).toBe("sender-key-unknown");
    }
    expect((await log.appendBatch({ writer: "app", batch })).tagKeys.tenants).toHaveLength(1);
    await log.close();
    const ruled = await site.open({ senderKeys: [{ publicKey: sender.publicKey, to: 4 }] });
    expect((await ruled.appendBatch({ writer: "app-3", batch })).entries.map(({ index }) => index)).toEqual([2, 3]);
    await ruled.close();
    const late = await site.open({ senderKeys: [{ publicKey: sender.publicKey, from: 4 }] });
    expect(await rejectionCode(late.appendBatch({ writer: "app-3", batch }))).toBe("sender-key-unknown");
    expect((await late.appendBatch({ writer: "app", batch })).entries[0]?.duplicate).toBe(true);
  });

  test("two first batches of one writer at the same time pin one key", async () => {
    const log = await pinningLog();
    const [a, b] = [new Sender("sender-a"), new Sender("sender-b")];
    const results = await Promise.allSettled([
      log.appendBatch({ writer: "app", batch: a.batch(1, [a.start(1)]) }),
      log.appendBatch({ writer: "app", batch: b.batch(1, [b.start(2)]) }),
    ]);
    expect(results.map(({ status }) => status)).toEqual(["fulfilled", "rejected"]);
  });

  test("while one sender key replaces another both are taken, and each only from and to its index", async () => {
    const site = await createSite();
    const [old, next] = [new Sender("sender-old"), new Sender("sender-next")];
    const senderKeys = [
      { publicKey: old.publicKey, to: 4 },
      { publicKey: next.publicKey, from: 2 },
    ];
    const log = await site.open({ senderKeys });
    const send = async (batch: Uint8Array): Promise<number | undefined> =>
      (await log.appendBatch({ writer: "app", batch })).entries[0]?.index;
    const begun = next.batch(1, [next.start(1002)]);
    expect(await rejectionCode(send(begun))).toBe("sender-key-unknown");
    expect(await send(old.batch(1, [old.start(1001)]))).toBe(0);
    expect(await send(old.batch(2, [login(1)]))).toBe(1);
    // The overlap.
    expect(await send(begun)).toBe(2);
    expect(await send(old.batch(3, [login(2)]))).toBe(3);
    expect(await rejectionCode(send(old.batch(4, [login(3)])))).toBe("sender-key-unknown");
    expect(await send(next.batch(2, [login(4)]))).toBe(4);
  });

  test("a rule holds from an index to an index, for batches that lie in it whole", async () => {
    const site = await createSite();
    const sender = new Sender();
    const log = await site.open({ senderKeys: [{ publicKey: sender.publicKey, from: 2, to: 4 }] });
    const start = sender.batch(1, [sender.start()]);
    expect(await rejectionCode(log.appendBatch({ writer: "app", batch: start }))).toBe("sender-key-unknown");
    await log.appendEvents({ writer: "other", events: [login(50), login(51)] });
    await log.appendBatch({ writer: "app", batch: start });
    const two = sender.batch(2, [login(1), login(2)]);
    expect(await rejectionCode(log.appendBatch({ writer: "app", batch: two }))).toBe("sender-key-unknown");
    await log.appendBatch({ writer: "app", batch: sender.batch(2, [login(3)]) });
    const last = sender.batch(3, [login(4)]);
    await expect(log.appendBatch({ writer: "app", batch: last })).rejects.toMatchObject({
      code: "sender-key-unknown",
      message: expect.stringContaining("no rule of this log takes it at index 4"),
    });
  });
});
