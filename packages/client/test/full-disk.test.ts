/** A disk that runs full and has room again: what was refused was not taken, what was taken is there, and it goes on. */
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { decodeUtf8, utf8 } from "@tallystick/core";
import { decodeBatch, decodeEvent, decodeLeaf } from "@tallystick/events";
import { describe, expect, test } from "vitest";
import { rejectionCode } from "../../../test/support/errors.ts";
import type { Tallystick } from "../src/index.ts";
import { Journal } from "../src/journal.ts";
import { Outbox } from "../src/outbox.ts";
import { CAN_LIMIT, whileFull } from "./support/file-limit.ts";
import { LogDouble } from "./support/log-double.ts";
import { createFolder, startClient } from "./support/setup.ts";

const STREAM = { publicKey: new Uint8Array(32).fill(1), instance: new Uint8Array(16).fill(2), origin: "log.example/a" };

function eventOf(name: string): { id: string; now: number; salt: Uint8Array; event: Uint8Array } {
  return { id: name, now: 1, salt: new Uint8Array(32), event: utf8(name) };
}

describe.skipIf(!CAN_LIMIT)("a full disk (prlimit is needed to make one)", () => {
  test("a journal takes the next record once there is room, wherever the write before it broke off", async () => {
    for (let room = 0; room < 60; room += 1) {
      const path = join(await createFolder(), "journal");
      const journal = await Journal.open(path, () => undefined);
      await journal.append(utf8("kept"));
      const codes = await whileFull(journal.bytes + room, async () =>
        Promise.all(["refused", "too"].map((text) => rejectionCode(journal.append(utf8(text.padEnd(40)))))),
      );
      expect(codes).toEqual(["audit-unavailable", "audit-unavailable"]);
      if (room % 2 === 0) await journal.append(utf8("next"));
      await journal.close();
      const records: string[] = [];
      await (await Journal.open(path, (bytes) => records.push(decodeUtf8(bytes)))).close();
      expect(records, `room ${room}`).toEqual(room % 2 === 0 ? ["kept", "next"] : ["kept"]);
    }
  });

  test("an outbox gives numbers back, all that were refused, and uses none for two events that are there", async () => {
    const path = join(await createFolder(), "outbox");
    const outbox = new Outbox(1e9);
    const journal = await Journal.open(path, (bytes, position) => outbox.replay(bytes, position));
    outbox.attach(journal);
    await outbox.begin(STREAM);
    await Promise.all(["a", "b"].map((name) => outbox.push(eventOf(name))));
    const waves = await whileFull(journal.bytes, async () => {
      const wave = async (): Promise<unknown> =>
        Promise.all(["c", "d", "e"].map((name) => rejectionCode(outbox.push(eventOf(name)))));
      return [await wave(), await wave()];
    });
    expect(new Set(waves.flat())).toEqual(new Set(["audit-unavailable"]));
    expect(outbox).toMatchObject({ nextSequence: 3, firstUnplaced: 1, size: 2 });
    // The ids are free as well.
    const again = await Promise.all(["d", "c"].map((name) => outbox.push(eventOf(name))));
    expect(again.map(({ entry }) => entry.sequence)).toEqual([3, 4]);
    expect([...outbox.entries()].map(({ id }) => id)).toEqual(["a", "b", "d", "c"]);
    const { bytes } = outbox;
    await outbox.close();
    const reopened = new Outbox(1e9);
    reopened.attach(await Journal.open(path, (record, position) => reopened.replay(record, position)));
    expect([...reopened.entries()].map(({ id, sequence }) => [id, sequence])).toEqual([
      ["a", 1],
      ["b", 2],
      ["d", 3],
      ["c", 4],
    ]);
    expect(reopened.bytes).toBe(bytes);
    await reopened.close();
  });

  test("a client records again without a restart; what it took is in the log once, what it refused is not", async () => {
    const log = new LogDouble();
    const outbox = await createFolder();
    let offline = true;
    const { client } = startClient(log, {
      outbox,
      fetch: async (input, init) => {
        if (offline) throw new TypeError("fetch failed");
        return log.fetch(input, init);
      },
    });
    const taken: string[] = [];
    const refused = new Map<string, number>();
    const record = async (count: number, together: boolean): Promise<void> => {
      const one = async (): Promise<void> => {
        await client
          .record({ type: "app.tick", context: { text: "x".repeat(700) } })
          .then(({ id }) => taken.push(id))
          .catch((error: { code: string }) => refused.set(error.code, (refused.get(error.code) ?? 0) + 1));
      };
      if (together) await Promise.all(Array.from({ length: count }, one));
      else for (let at = 0; at < count; at += 1) await one();
    };
    const sizeOf = async (): Promise<number> => (await stat(join(outbox, "outbox"))).size;
    await record(50, true);
    await whileFull((await sizeOf()) + 20_000, async () => {
      await record(60, false);
      await record(60, true);
    });
    expect(Object.fromEntries(refused)).toEqual({ "audit-unavailable": 170 - taken.length });
    expect(refused.get("audit-unavailable")).toBeGreaterThan(60);
    expectCounts(client, taken.length + 1, 0);
    const before = taken.length;
    await record(20, true);
    expect(taken).toHaveLength(before + 20);
    expectCounts(client, taken.length + 1, 0);
    // Full again, while it delivers: what the log acknowledged cannot be noted, and is sent again.
    await whileFull(await sizeOf(), async () => {
      offline = false;
      while (log.posts.length < 2) await new Promise((resolve) => setTimeout(resolve, 20));
      await record(5, true);
    });
    await client.flush();
    expectCounts(client, 0, 0);
    const sent = new Map<number, string>();
    for (const { first, entries } of log.posts.map(decodeBatch))
      for (const [at, { event }] of entries.entries()) {
        const { id, type } = decodeEvent(event);
        expect(sent.get(first + at) ?? id).toBe(id);
        if (type === "app.tick") sent.set(first + at, id);
      }
    expect([...sent.values()].toSorted()).toEqual(taken.toSorted());
    const leaves = log.leaves.map(decodeLeaf);
    expect(leaves.map(({ sequence }) => sequence)).toEqual(leaves.map((_, at) => at + 1));
  });
});

function expectCounts(client: Tallystick, queued: number, unproved: number): void {
  expect(client.status()).toMatchObject({ queued, unproved });
}
