/** A drill: the key store is lost, and restored from a backup that is older than the newest entries. */
import type { TallyEvent } from "@tallystick/events";
import { createMemoryStorage, readRestorationNote } from "@tallystick/storage";
import { describe, expect, test } from "vitest";
import { rejectionCode } from "../../../test/support/errors.ts";
import type { Log } from "../src/index.ts";
import { lostRangesOf } from "../src/lost-keys.ts";
import { KeyStoreDrill } from "./key-store-drill.ts";
import { START_MS, createSite, event, login, until } from "./site.ts";

function by(person: string, n: number): TallyEvent {
  return event(n, { type: "auth.login", outcome: "success", actor: { type: "user", id: person } });
}

async function append(log: Log, ...events: TallyEvent[]): Promise<number[]> {
  return (await log.appendEvents({ writer: "app", events })).map(({ index }) => index);
}

async function idOfActor(log: Log, index: number): Promise<string | undefined> {
  return (await log.readEvent({ index, reader: "test" })).event.actor?.id;
}

/** What the log says of its restoration. */
async function restorations(log: Log): Promise<TallyEvent[]> {
  return (await ownEvents(log)).filter(({ context }) => context?.["change"] === "restored");
}

/** All events that can be read. */
async function ownEvents(log: Log): Promise<TallyEvent[]> {
  const found: TallyEvent[] = [];
  for (let index = 0, size = log.size(); index < size; index += 1) {
    const read = await log.readEvent({ index, reader: "test" }).catch(() => undefined);
    if (read !== undefined) found.push(read.event);
  }
  return found;
}

describe("a key store that is restored from a backup", () => {
  test("old contents are read, entries whose keys are lost are named, and events are taken", async () => {
    const drill = new KeyStoreDrill(await createSite({ storage: createMemoryStorage() }));
    const { clock } = drill.site;
    const log = await drill.start();
    await append(log, login(0), by("old", 1));
    const from = await drill.backUp();
    const [known, fresh] = await append(log, by("old", 2), by("new", 3));
    await drill.stop();
    clock.nowMs += 86_400_000;
    const tomorrow = await drill.start();
    const [nextDay] = await append(tomorrow, by("old", 4));
    await drill.stop();
    await drill.loseAndRestore(from);

    const again = await drill.start();
    await until(() => again.size() > 5);
    expect([await idOfActor(again, 1), await idOfActor(again, known ?? -1)]).toEqual(["old", "old"]);
    for (const index of [fresh, nextDay])
      expect(await rejectionCode(again.readEvent({ index: index ?? -1, reader: "test" }))).toBe("key-lost");
    const [told, ...more] = await restorations(again);
    expect(more).toEqual([]);
    expect(told?.context).toMatchObject({ change: "restored", takenAt: START_MS, epoch: 1, count: 2 });
    expect(told && lostRangesOf(told)).toEqual([{ first: fresh, last: nextDay }]);
    const [after, afterToo] = await append(again, by("new", 5), by("old", 6));
    expect([await idOfActor(again, after ?? -1), await idOfActor(again, afterToo ?? -1)]).toEqual(["new", "old"]);
    // Sent again, one whose contents are lost cannot be compared.
    expect(await rejectionCode(append(again, by("new", 3)))).toBe("log-corrupt");
    expect(await idOfActor(again, 1)).toBe("old");
    await drill.stop();

    const third = await drill.start();
    expect(third.status().state).toBe("ok");
    expect(await restorations(third)).toHaveLength(1);
    expect(await rejectionCode(third.readEvent({ index: fresh ?? -1, reader: "test" }))).toBe("key-lost");
    await drill.stop();
    const report = await drill.fsck();
    expect(report.findings).toEqual([]);
    expect(report.counts).toMatchObject({ lost: 2, opened: report.size - 2 });
  });

  test("without the note of its restoration it is an older copy, and nothing is taken", async () => {
    const drill = new KeyStoreDrill(await createSite({ storage: createMemoryStorage() }));
    const log = await drill.start();
    await append(log, by("old", 1));
    const from = await drill.backUp();
    await append(log, by("new", 2));
    await drill.stop();
    await drill.loseAndRestore(from);
    await (await readRestorationNote(drill.path))?.noted();
    expect(await rejectionCode(drill.start())).toBe("log-corrupt");
  });

  test("whose newest backup has every key, the log notes that nothing was lost", async () => {
    const drill = new KeyStoreDrill(await createSite({ storage: createMemoryStorage() }));
    const log = await drill.start();
    await append(log, by("old", 1));
    const from = await drill.backUp();
    await drill.stop();
    await drill.loseAndRestore(from);
    const again = await drill.start();
    await until(() => again.size() > 1);
    const [told] = await restorations(again);
    expect(told?.context).toMatchObject({ change: "restored", lost: [], count: 0 });
    expect(await readRestorationNote(drill.path)).toBeUndefined();
  });

  test("brings back a key that was destroyed since; the log destroys it again, and says so", async () => {
    const drill = new KeyStoreDrill(await createSite({ storage: createMemoryStorage() }));
    const log = await drill.start();
    const [erased] = await append(log, by("gone", 1));
    const [kept] = await append(log, by("old", 2));
    const from = await drill.backUp();
    const { request } = await log.disposition.erase({ subject: "gone", ground: "a request", by: "officer-1" });
    expect((await log.disposition.waitForDestruction(request, 20_000)).state).toBe("done");
    await drill.stop();
    await drill.loseAndRestore(from);
    const again = await drill.start();
    await until(() => again.status().state === "ok");
    expect(await rejectionCode(again.readEvent({ index: erased ?? -1, reader: "test" }))).toBe("erased");
    expect(await idOfActor(again, kept ?? -1)).toBe("old");
    await expect
      .poll(async () => (await ownEvents(again)).find(({ type }) => type === "log.alert")?.context, { timeout: 20_000 })
      .toMatchObject({ alert: "key-store-rolled-back", keys: 1, requests: [request] });
    const [told] = await restorations(again);
    expect(told?.context).toMatchObject({ epoch: 1 });
  });

  test("that was made before the log had any entry loses all, by name, and the log goes on", async () => {
    const drill = new KeyStoreDrill(await createSite({ storage: createMemoryStorage() }));
    await drill.start();
    const from = await drill.backUp();
    await drill.stop();
    const log = await drill.start();
    await append(log, by("old", 1), by("old", 2));
    await drill.stop();
    await drill.loseAndRestore(from);
    const again = await drill.start();
    await until(() => again.size() > 2);
    const [told] = await restorations(again);
    expect(told && lostRangesOf(told)).toEqual([{ first: 0, last: 1 }]);
    const [index] = await append(again, by("old", 3));
    expect(await idOfActor(again, index ?? -1)).toBe("old");
  });
});
