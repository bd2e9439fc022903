import { describe, expect, test } from "vitest";
import type { OwnEvent } from "../src/candidate.ts";
import type { Log, ReadFilter } from "../src/index.ts";
import { Reads } from "../src/reads.ts";
import { createSite, login, until } from "./site.ts";

const NOBODY: ReadFilter = { name: "nobody", admits: () => false };

/** Admits the events of one session. */
function ofSession(name: string, id: string): ReadFilter {
  return { name, admits: ({ session }) => session?.id === id };
}

/** The log.read entries that are there, read under one more name. */
async function readsOf(log: Log): Promise<unknown[]> {
  const reads: unknown[] = [];
  for (let index = 0, size = log.size(); index < size; index += 1) {
    const { event } = (await log.readEvent({ index, reader: "who looks" }).catch(() => undefined)) ?? {};
    if (event?.type === "log.read" && event.actor?.id !== "who looks") {
      const { actor, outcome, reason, context } = event;
      reads.push({ reader: actor?.id, outcome, context, ...(reason === undefined ? {} : { reason }) });
    }
  }
  return reads;
}

async function openLog(): Promise<Log> {
  const site = await createSite();
  const log = await site.open();
  await until(() => log.status().state === "ok");
  return log;
}

describe("readEvent with a filter", () => {
  test("gives what it admits, recorded as any read", async () => {
    const log = await openLog();
    await log.appendEvents({ writer: "app", events: [login(0)] });
    const filter: ReadFilter = { name: "mine", admits: ({ type }) => type === "auth.login" };
    const read = await log.readEvent({ index: 0, reader: "reader-1", purpose: "my own", filter });
    expect(read.event.type).toBe("auth.login");
    expect(await readsOf(log)).toEqual([
      { reader: "reader-1", outcome: "success", reason: "my own", context: { indexes: [0], count: 1 } },
    ]);
  });

  test("refuses the rest with forbidden, and that it was denied is an entry first", async () => {
    const log = await openLog();
    await log.appendEvents({ writer: "app", events: [login(0)] });
    const asked = log.readEvent({ index: 0, reader: "reader-1", filter: NOBODY });
    await expect(asked).rejects.toMatchObject({ code: "forbidden" });
    expect(log.counters().reads).toBe(0);
    expect(await readsOf(log)).toEqual([
      { reader: "reader-1", outcome: "denied", context: { indexes: [0], count: 1, kinds: ["event"] } },
    ]);
  });

  test("a thousand denied reads are one entry now, and one more when the log closes", async () => {
    const site = await createSite();
    const log = await site.open();
    await log.appendEvents({ writer: "app", events: [login(0)] });
    const deny = async (): Promise<unknown> =>
      log.readEvent({ index: 0, reader: "reader-1", filter: NOBODY }).catch(() => undefined);
    await deny();
    const size = log.size();
    for (let n = 1; n < 1000; n += 1) await deny();
    expect(log.size()).toBe(size);
    await log.close();
    const again = await site.open();
    await until(() => again.status().state === "ok");
    expect(await readsOf(again)).toEqual([
      { reader: "reader-1", outcome: "denied", context: { indexes: [0], count: 1, kinds: ["event"] } },
      { reader: "reader-1", outcome: "denied", context: { indexes: [0], count: 999, kinds: ["event"] } },
    ]);
  });
});

describe("readEvent of what does not open", () => {
  test("is recorded as a failure that gave nothing, with the purpose it had, and is no read in the counters", async () => {
    const log = await openLog();
    await log.appendEvents({ writer: "app", events: [login(0)] });
    await log.disposition.erase({ subject: "u0", ground: "g", by: "o" });
    const before = log.counters().reads;
    const asked = log.readEvent({ index: 0, reader: "auditor-1", purpose: "review" });
    await expect(asked).rejects.toMatchObject({ code: "erased" });
    expect(log.counters().reads).toBe(before);
    const context = { indexes: [0], count: 1, codes: ["erased"] };
    expect(await readsOf(log)).toEqual([{ reader: "auditor-1", outcome: "failure", reason: "review", context }]);
  });
});

describe("tail with a filter", () => {
  /** The first indexes that a tail from the beginning gives. */
  async function take(log: Log, count: number, options: { filter: ReadFilter; purpose?: string }): Promise<number[]> {
    const found: number[] = [];
    const { signal } = new AbortController();
    for await (const item of log.tail({ from: 0, reader: "reader-1", signal, ...options })) {
      if (item.kind === "entry") found.push(item.index);
      if (found.length === count) break;
    }
    return found;
  }

  test("gives what it admits and nothing of the rest; one log.read for each filter and purpose", async () => {
    const log = await openLog();
    const [mine, other] = ["aa".repeat(32), "bb".repeat(32)];
    const sessions = [mine, other, mine, other, other, mine];
    await log.appendEvents({ writer: "app", events: sessions.map((id, n) => ({ ...login(n), session: { id } })) });
    expect(await take(log, 3, { filter: ofSession("mine", mine) })).toEqual([0, 2, 5]);
    expect(await take(log, 3, { filter: ofSession("mine", mine) })).toEqual([0, 2, 5]);
    expect(await take(log, 3, { filter: ofSession("other", other) })).toEqual([1, 3, 4]);
    expect(await take(log, 3, { filter: ofSession("mine", mine), purpose: "claim 7" })).toEqual([0, 2, 5]);
    const context = { tail: true, filtered: true };
    expect(await readsOf(log)).toEqual([
      { reader: "reader-1", outcome: "success", context },
      { reader: "reader-1", outcome: "success", context },
      { reader: "reader-1", outcome: "success", context, reason: "claim 7" },
    ]);
  });
});

describe("recordDenied", () => {
  function place(fails = false): { reads: Reads; reported: OwnEvent[] } {
    const reported: OwnEvent[] = [];
    const report = async (event: OwnEvent): Promise<void> => {
      if (fails) throw new Error("the log stopped");
      reported.push(event);
    };
    return { reads: new Reads({ report, deniedIntervalMs: 20 }), reported };
  }

  test("the first at once; those within the minute after it in one entry, for each reader apart", async () => {
    const { reads, reported } = place();
    for (let index = 0; index < 100; index += 1)
      await reads.recordDenied({ reader: "a", kind: "event", indexes: [index] });
    await reads.recordDenied({ reader: "a", kind: "tail" });
    await reads.recordDenied({ reader: "b", kind: "export" });
    expect(reported.map(({ actor, context }) => [actor?.id, context])).toEqual([
      ["a", { indexes: [0], count: 1, kinds: ["event"] }],
      ["b", { count: 1, kinds: ["export"] }],
    ]);
    await until(() => reported.length === 3);
    const indexes = Array.from({ length: 32 }, (_, at) => at + 1);
    expect(reported[2]).toMatchObject({
      outcome: "denied",
      context: { indexes, count: 100, kinds: ["event", "tail"] },
    });
    reads.close();
  });

  test("a log that takes nothing does not turn a refusal into another error", async () => {
    const { reads } = place(true);
    await expect(reads.recordDenied({ reader: "a", kind: "event", indexes: [0] })).resolves.toBeUndefined();
    reads.close();
  });
});
