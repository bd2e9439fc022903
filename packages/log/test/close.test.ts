import { describe, expect, test } from "vitest";
import { createMemoryStorage } from "@tallystick/storage";
import { createSite, expectWhole, hanging, login, until } from "./site.ts";
import { WatchedStorage } from "./watched-storage.ts";

describe("close", () => {
  test("C-260 under load every request gets one definite outcome", async () => {
    const site = await createSite({ witnesses: 1 });
    const log = await site.open({ commitEntriesMax: 7 });
    await until(() => log.status().state === "ok");
    const requests = Array.from({ length: 300 }, async (_, n) =>
      log.appendEvents({ writer: "app", events: [login(n)] }),
    );
    await new Promise((resolve) => setTimeout(resolve, 10));
    const [results] = await Promise.all([Promise.allSettled(requests), log.close({ graceMs: 2000 })]);
    const refused = results.flatMap((result): unknown[] => (result.status === "rejected" ? [result.reason] : []));
    expect(results.length - refused.length).toBe(log.size());
    for (const reason of refused) expect(reason).toMatchObject({ code: "log-closed" });
    await expect(log.appendEvents({ writer: "app", events: [login(999)] })).rejects.toMatchObject({
      code: "log-closed",
    });
    await expectWhole(site);
  });

  test("C-260 index 0 alone in the queue is logged", async () => {
    const site = await createSite();
    const log = await site.open();
    await until(() => log.status().state === "ok");
    const append = log.appendEvents({ writer: "app", events: [login(0)] });
    await log.close();
    expect((await append)[0]).toMatchObject({ index: 0 });
  });

  test("C-260 what is left when the grace is over is refused, and the commit under way still ends", async () => {
    const storage = new WatchedStorage(createMemoryStorage());
    const site = await createSite({ storage });
    const log = await site.open();
    await until(() => log.status().state === "ok");
    const release = storage.hold();
    const first = log.appendEvents({ writer: "app", events: [login(0)] });
    await until(() => storage.held > 0);
    const second = log.appendEvents({ writer: "app", events: [login(1)] });
    const closed = log.close({ graceMs: 20 });
    await expect(second).rejects.toMatchObject({ code: "log-closed" });
    release();
    expect((await first)[0]).toMatchObject({ index: 0 });
    await closed;
    expect(log.size()).toBe(1);
  });

  test("witnesses that hang do not hold it up, and nothing is written afterwards", async () => {
    const storage = new WatchedStorage(createMemoryStorage());
    const site = await createSite({ witnesses: 1, storage });
    const log = await site.open({ witnessTimeoutMs: 60_000 });
    await until(() => log.status().state === "ok" && log.checkpoint() !== undefined);
    site.network.hosts.set("w1.example", hanging);
    await log.appendEvents({ writer: "app", events: [login(0)] });
    await until(() => site.network.requests.filter((line) => line.startsWith("POST")).length > 1);
    const began = performance.now();
    await log.close();
    expect(performance.now() - began).toBeLessThan(4500);
    const written = storage.heads.length;
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(storage.heads.length).toBe(written);
  });

  test("ends waits and tails", async () => {
    const site = await createSite({ witnesses: 1 });
    const log = await site.open();
    await until(() => log.status().state === "ok" && log.checkpoint() !== undefined);
    site.network.hosts.clear();
    await log.appendEvents({ writer: "app", events: [login(0)] });
    const wait = log.waitFor({ index: 0, state: "witnessed", timeoutMs: 60_000 });
    const tail = (async () => {
      const items: unknown[] = [];
      for await (const item of log.tail({ from: 0, reader: "a", signal: new AbortController().signal }))
        items.push(item);
      return items.length;
    })();
    await until(() => log.size() === 3);
    await log.close();
    expect(await wait).toBe("durable");
    expect(await tail).toBeGreaterThan(0);
  });

  test("a log that still waits for its witnesses closes at once", async () => {
    const site = await createSite({ witnesses: 1 });
    site.network.hosts.set("w1.example", hanging);
    const log = await site.open({ witnessTimeoutMs: 60_000 });
    const began = performance.now();
    await log.close();
    expect(performance.now() - began).toBeLessThan(4500);
  });
});
