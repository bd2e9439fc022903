import { describe, expect, test } from "vitest";
import type { LogStorage } from "@tallystick/storage";
import type { Log, TailItem } from "../src/index.ts";
import { TABLE } from "../src/rows.ts";
import { createSite, hanging, login, published, until } from "./site.ts";

/** Follows a log in the background. */
function follow(log: Log, from?: number): { items: TailItem[]; stop: () => Promise<void> } {
  const abort = new AbortController();
  const items: TailItem[] = [];
  const done = (async () => {
    const options = { reader: "auditor", signal: abort.signal, ...(from === undefined ? {} : { from }) };
    for await (const item of log.tail(options)) items.push(item);
  })();
  return {
    items,
    stop: async () => {
      abort.abort();
      await done;
    },
  };
}

const entries = (items: readonly TailItem[]) => items.filter((item) => item.kind === "entry");
const heads = (items: readonly TailItem[]) => items.filter((item) => item.kind === "checkpoint");

describe("tail", () => {
  test("ends without an error when the log closes while it reads", async () => {
    const site = await createSite();
    const held = Promise.withResolvers<void>();
    let reading = false;
    const getRow = site.storage.getRow.bind(site.storage);
    const storage: LogStorage = Object.assign(Object.create(site.storage) as LogStorage, {
      getRow: async (table: string, key: string) => {
        if (table === TABLE.sealed && reading) {
          reading = false;
          await held.promise;
        }
        return getRow(table, key);
      },
    });
    for (const name of ["readHead", "commit", "getRows", "scanRows", "putRows", "getBlob"] as const)
      Object.assign(storage, { [name]: (site.storage[name] as () => unknown).bind(site.storage) });
    const log = await site.open({ storage });
    await until(() => log.status().state === "ok");
    await log.appendEvents({ writer: "app", events: [login(0), login(1)] });
    const tail = log.tail({ from: 0, reader: "auditor", signal: new AbortController().signal });
    const items = tail[Symbol.asyncIterator]();
    expect((await items.next()).value).toMatchObject({ index: 0 });
    reading = true;
    const step = items.next();
    await until(() => !reading);
    await log.close();
    await site.keyStore.close();
    held.resolve();
    expect(await step).toEqual({ done: true, value: undefined });
  });

  test("gives entries in order with their events, and heads as they are published", async () => {
    const site = await createSite({ witnesses: 1 });
    const log = await site.open();
    await until(() => log.status().state === "ok" && log.checkpoint() !== undefined);
    await log.appendEvents({ writer: "app", events: [login(0), login(1)] });
    const { items, stop } = follow(log, 0);
    await until(() => entries(items).length === 4);
    await log.appendEvents({ writer: "app", events: [login(2)] });
    await until(() => entries(items).length === 5);
    await published(log);
    await until(() => heads(items).at(-1)?.size === 5);
    expect(entries(items).map(({ index }) => index)).toEqual([0, 1, 2, 3, 4]);
    expect(entries(items).map(({ event }) => event?.type)).toEqual([
      "auth.login",
      "auth.login",
      "stream.start",
      "log.read",
      "auth.login",
    ]);
    const sizes = heads(items).map(({ size }) => size);
    expect(sizes).toEqual(sizes.toSorted((a, b) => a - b));
    await stop();
  });

  test("rule 9: one log.read an hour and reader, before the first contents", async () => {
    const site = await createSite();
    const log = await site.open();
    await until(() => log.status().state === "ok");
    await log.appendEvents({ writer: "app", events: [login(0)] });
    for (let n = 1; n < 4; n += 1) {
      const { items, stop } = follow(log, 0);
      await until(() => entries(items).length === log.size());
      await log.appendEvents({ writer: "app", events: [login(n)] });
      await until(() => entries(items).length === log.size());
      await stop();
    }
    const { items, stop } = follow(log, 0);
    await until(() => entries(items).length === log.size());
    await stop();
    const reads = entries(items).filter(({ event }) => event?.type === "log.read");
    expect(reads).toHaveLength(1);
    expect(reads[0]?.event).toMatchObject({ actor: { id: "auditor" }, context: { tail: true } });
  });

  test("begins with the next entry where no index is given", async () => {
    const site = await createSite();
    const log = await site.open();
    await until(() => log.status().state === "ok");
    await log.appendEvents({ writer: "app", events: [login(0), login(1)] });
    const { items, stop } = follow(log);
    await until(() => entries(items).length === 2);
    expect(entries(items)[0]?.index).toBe(2);
    await stop();
  });

  test("a reader has 16 tails at most, so that one cannot keep out all others", async () => {
    const site = await createSite();
    const log = await site.open();
    await until(() => log.status().state === "ok");
    await log.appendEvents({ writer: "app", events: [login(0)] });
    const begin = async (reader: string) => {
      const tail = log.tail({ from: 0, reader, signal: new AbortController().signal })[Symbol.asyncIterator]();
      await tail.next();
      return tail;
    };
    const [first] = await Promise.all(Array.from({ length: 16 }, async () => begin("a")));
    await expect(begin("a")).rejects.toMatchObject({ code: "log-overloaded" });
    await (await begin("b")).return?.();
    await first?.return?.();
    await (await begin("a")).return?.();
  });

  test("a long tail lets others in between its entries", async () => {
    const site = await createSite();
    const log = await site.open();
    await until(() => log.status().state === "ok");
    await log.appendEvents({ writer: "app", events: Array.from({ length: 50 }, (_, n) => login(n)) });
    let turns = 0;
    const turn = (): void => {
      turns += 1;
      immediate = setImmediate(turn);
    };
    let immediate = setImmediate(turn);
    const { items, stop } = follow(log, 0);
    await until(() => entries(items).length >= 50);
    clearImmediate(immediate);
    await stop();
    expect(turns).toBeGreaterThanOrEqual(50);
  });

  test("fails where the read cannot be recorded, and for an index that is none", async () => {
    const site = await createSite({ witnesses: 1 });
    site.network.hosts.set("w1.example", hanging);
    const log = await site.open();
    const read = async (from: number) => {
      for await (const item of log.tail({ from, reader: "a", signal: new AbortController().signal })) return item;
      return undefined;
    };
    await expect(read(0)).rejects.toMatchObject({ code: "log-starting" });
    await expect(read(-1)).rejects.toThrow(RangeError);
  });
});
