import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { rejectionCode } from "../../../test/support/errors.ts";
import { Journal } from "../src/journal.ts";
import { createMemoryJournal } from "../src/memory-journal.ts";
import { Outbox, type OutboxEntry } from "../src/outbox.ts";
import { createFolder } from "./support/setup.ts";

const STREAM = { publicKey: new Uint8Array(32).fill(1), instance: new Uint8Array(16).fill(2), origin: "log.example/a" };

async function open(path: string, bytesMax = 1e9, rewriteBytesMin = 1): Promise<Outbox> {
  const outbox = new Outbox(bytesMax, rewriteBytesMin);
  outbox.attach(await Journal.open(path, (bytes, position) => outbox.replay(bytes, position)));
  return outbox;
}

function event(at: number): { id: string; now: number; salt: Uint8Array; event: Uint8Array } {
  const salt = new Uint8Array(32).fill(at % 256);
  return { id: `id-${at}`, now: 1000 + at, salt, event: new Uint8Array(100).fill((at * 7) % 256) };
}

/** Everything that has to come back. */
async function stateOf(outbox: Outbox): Promise<unknown> {
  const entries: unknown[] = [];
  for (const entry of outbox.entries()) {
    const { position: _position, bytes: _bytes, ...known } = entry;
    entries.push({ ...known, ...(await outbox.read(entry)) });
  }
  const { stream, batch, head, nextSequence, firstUnplaced, ended, size } = outbox;
  return { stream, batch, head, nextSequence, firstUnplaced, ended, size, entries };
}

function placed(first: number, count: number): { index: number; leaf: Uint8Array }[] {
  return Array.from({ length: count }, (_, at) => ({
    index: 100 + first + at,
    leaf: new Uint8Array(200).fill(first + at),
  }));
}

describe("Outbox", () => {
  test("comes back as it was, at every stage of its events, before and after a rewrite", async () => {
    const path = join(await createFolder(), "outbox");
    let outbox = await open(path);
    const stages: (() => Promise<unknown>)[] = [
      () => outbox.begin(STREAM),
      () => Promise.all(Array.from({ length: 20 }, (_, at) => outbox.push(event(at)))),
      () => outbox.seal({ first: 1, count: 5, signature: new Uint8Array(64).fill(5) }),
      () =>
        outbox.replace(
          3,
          { salt: new Uint8Array(32), event: new Uint8Array(9) },
          { code: "event-invalid", message: "no" },
        ),
      () => outbox.seal({ first: 1, count: 8, signature: new Uint8Array(64).fill(6) }),
      () => outbox.place(1, placed(1, 8)),
      () => outbox.seal({ first: 9, count: 4, signature: new Uint8Array(64).fill(7) }),
      () => outbox.release(2, "head 1\n"),
      () => outbox.release(6, "head 2\n"),
      () => outbox.push(event(20)),
      () => outbox.place(9, placed(9, 4)),
      () => outbox.release(12, "head 3\n"),
      () => outbox.place(13, placed(13, 9)),
      () => outbox.release(21, "head 4\n"),
      () => outbox.end(),
    ];
    for (const [at, stage] of stages.entries()) {
      await stage();
      const before = await stateOf(outbox);
      await outbox.close();
      outbox = await open(path);
      expect(await stateOf(outbox), `stage ${at}`).toEqual(before);
      await outbox.compact();
      expect(await stateOf(outbox), `stage ${at}, rewritten`).toEqual(before);
      await outbox.close();
      outbox = await open(path);
      expect(await stateOf(outbox), `stage ${at}, rewritten and opened`).toEqual(before);
    }
    await outbox.close();
  });

  test("is rewritten while events enter, and loses, doubles or swaps none", async () => {
    const path = join(await createFolder(), "outbox");
    const outbox = await open(path);
    await outbox.begin(STREAM);
    const pushing: Promise<unknown>[] = [];
    const compacting: Promise<unknown>[] = [];
    for (let round = 0; round < 30; round += 1) {
      for (let at = 0; at < 20; at += 1) pushing.push(outbox.push(event(round * 20 + at)));
      await (round % 3 === 0 ? Promise.all(pushing) : undefined);
      const { firstUnplaced } = outbox;
      const count = [...outbox.entries()].filter(
        ({ index, position }) => index === undefined && position !== undefined,
      ).length;
      if (count > 10) {
        await outbox.place(firstUnplaced, placed(firstUnplaced, 10));
        await outbox.release(firstUnplaced + 8, `head ${round}\n`);
      }
      compacting.push(outbox.compact());
    }
    await Promise.all([...pushing, ...compacting]);
    const before = await stateOf(outbox);
    const sequences = [...outbox.entries()].map(({ sequence }) => sequence);
    expect(sequences).toEqual(sequences.map((_, at) => (sequences[0] ?? 0) + at));
    expect(sequences.at(-1)).toBe(600);
    for (const entry of outbox.entries())
      expect((await outbox.read(entry)).event).toEqual(event(entry.sequence - 1).event);
    await outbox.close();
    const again = await open(path);
    expect(await stateOf(again)).toEqual(before);
    await again.close();
  });

  test("does not grow on disk with what has left", async () => {
    const path = join(await createFolder(), "outbox");
    const journal = await Journal.open(path, () => undefined);
    const outbox = new Outbox(1e9, 20_000);
    outbox.attach(journal);
    await outbox.begin(STREAM);
    for (let round = 0; round < 50; round += 1) {
      await Promise.all(Array.from({ length: 40 }, (_, at) => outbox.push(event(round * 40 + at))));
      await outbox.place(outbox.firstUnplaced, placed(outbox.firstUnplaced, 40));
      await outbox.release(outbox.nextSequence - 1, "head\n");
      await outbox.compact();
      expect(journal.bytes).toBeLessThan(60_000);
    }
    await outbox.close();
  });

  test.each(["a file", "memory"])("in %s numbers follow the order of the calls, through a rewrite", async (where) => {
    const outbox = where === "memory" ? new Outbox(1e9, 1) : await open(join(await createFolder(), "outbox"));
    if (where === "memory") outbox.attach(createMemoryJournal());
    await outbox.begin(STREAM);
    await Promise.all([outbox.push(event(0)), outbox.push(event(1))]);
    await outbox.place(1, placed(1, 2));
    await outbox.release(2, "head\n");
    const compacting = outbox.compact();
    const pushed = Promise.all([2, 3, 4].map((at) => outbox.push(event(at))));
    await compacting;
    const late = await outbox.push(event(5));
    expect((await pushed).map(({ entry }) => entry.sequence)).toEqual([3, 4, 5]);
    expect(late.entry.sequence).toBe(6);
    const read = async (entry: OutboxEntry): Promise<Uint8Array> => (await outbox.read(entry)).event;
    const entries = [...outbox.entries()];
    expect(await Promise.all(entries.map(read))).toEqual([2, 3, 4, 5].map((at) => event(at).event));
    await outbox.close();
  });

  test("counts small events too, and takes no number when it is full", async () => {
    const outbox = await open(join(await createFolder(), "outbox"), 10_000);
    await outbox.begin(STREAM);
    let code: string | undefined;
    for (let at = 0; code === undefined; at += 1) code = await rejectionCode(outbox.push(event(at)));
    expect(code).toBe("outbox-full");
    expect(outbox.size).toBe(Math.floor(10_000 / (132 + 512)));
    expect(outbox.nextSequence).toBe(outbox.size + 1);
    await outbox.close();
  });

  test("frees the id of an event that was refused", async () => {
    const outbox = await open(join(await createFolder(), "outbox"));
    await outbox.begin(STREAM);
    await outbox.push(event(0));
    await outbox.replace(1, { salt: new Uint8Array(32), event: new Uint8Array(9) }, { code: "x", message: "y" });
    const { entry } = await outbox.push({ ...event(0), event: new Uint8Array(50) });
    expect(entry.sequence).toBe(2);
    await outbox.close();
  });
});
