/** The next commit is written while the last one's mark is. docs/decisions/0071-marks-beside-the-next-commit.md */
import { expect, test } from "vitest";
import { createMemoryStorage } from "@tallystick/storage";
import { rejectionCode } from "../../../test/support/errors.ts";
import type { Log, LogOptions } from "../src/index.ts";
import { type Site, createSite, expectWhole, login, published, until } from "./site.ts";
import { WatchedStorage } from "./watched-storage.ts";

interface Slow {
  readonly site: Site;
  readonly storage: WatchedStorage;
  readonly log: Log;
  /** Of the log. */
  readonly base: number;
}

/** A log whose commits land, and are whole when the test says so. */
async function openSlow(options: Partial<LogOptions> = {}): Promise<Slow> {
  const inner = createMemoryStorage();
  const site = await createSite({ storage: inner });
  const storage = new WatchedStorage(inner);
  const log = await site.open({ ...options, storage });
  await until(() => log.status().state === "ok");
  // What a log does by itself when it starts is over by then.
  await send(log, 100);
  await published(log);
  await aWhile();
  storage.holdsRests = true;
  return { site, storage, log, base: log.size() };
}

async function send(log: Log, n: number): Promise<number | undefined> {
  const [answer] = await log.appendEvents({ writer: "w", events: [login(n)] });
  return answer?.index;
}

/** Sends an event, until its commit is written and not whole. */
async function write({ log, storage }: Slow, n: number): Promise<{ readonly answer: Promise<number | undefined> }> {
  const written = storage.rests.length;
  const answer = send(log, n);
  answer.catch(() => undefined);
  await until(() => storage.rests.length > written);
  return { answer };
}

/** Notes in which order promises resolve. */
function orderOf(promises: readonly Promise<number | undefined>[]): (number | undefined)[] {
  const order: (number | undefined)[] = [];
  for (const each of promises) void each.then((index) => order.push(index));
  return order;
}

/** Long enough for all that could happen without the storage. */
async function aWhile(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

test("rule 4: what is written is answered once its commit is whole, in order, though the next one is written before", async () => {
  const slow = await openSlow();
  const { site, storage, log, base } = slow;
  const { commits } = log.counters();
  const sent = [(await write(slow, 0)).answer, (await write(slow, 1)).answer];
  const order = orderOf(sent);
  await aWhile();
  expect(order).toEqual([]);
  // Nor does anybody else hear of it.
  expect([log.size(), log.counters().commits]).toEqual([base, commits]);
  expect(await rejectionCode(log.readLeaf(base))).toBe("index-unknown");
  for (const [at, { resolve }] of storage.rests.entries()) {
    resolve();
    await sent[at];
    await aWhile();
    expect(order).toEqual([base, base + 1].slice(0, at + 1));
    expect(log.size()).toBe(base + at + 1);
  }

  storage.holdsRests = false;
  expect(await send(log, 2)).toBe(base + 2);
  await published(log);
  await log.close();
  await expectWhole(site);
});

test("what is sent again is not called logged before it is whole", async () => {
  const slow = await openSlow();
  const { storage, log, base } = slow;
  const first = (await write(slow, 0)).answer;
  const again = log.appendEvents({ writer: "w", events: [login(0)] });
  const order = orderOf([first, again.then(([answer]) => answer?.index)]);
  await aWhile();
  expect(order).toEqual([]);
  storage.rests[0]?.resolve();
  expect((await again)[0]).toMatchObject({ index: base, duplicate: true });
  await aWhile();
  expect(order).toEqual([base, base]);
  await log.close();
});

test("C-258 what is sent again is not called logged where the rest of the first fails", async () => {
  const slow = await openSlow();
  const { storage, log } = slow;
  const first = rejectionCode((await write(slow, 0)).answer);
  const again = rejectionCode(send(log, 0));
  await aWhile();
  storage.rests[0]?.reject(new Error("the disk does not answer"));
  expect(await Promise.all([first, again])).toEqual(["outcome-unknown", "outcome-unknown"]);
  await log.close();
});

test("C-259 what is sent again and again while a commit is not whole is refused once the queue is full", async () => {
  const slow = await openSlow({ queueEntriesMax: 100 });
  const { storage, log } = slow;
  const first = (await write(slow, 0)).answer;
  const codes: (string | undefined)[] = [];
  const all: Promise<void>[] = [];
  for (let n = 0; n < 1000; n += 1) {
    all.push(rejectionCode(send(log, 0)).then((code) => void codes.push(code)));
    await new Promise((resolve) => setImmediate(resolve));
  }
  // All but a queue, and what was taken from it before.
  expect(codes.length).toBeGreaterThan(1000 - 2 * 100);
  expect(new Set(codes)).toEqual(new Set(["log-overloaded"]));
  storage.rests[0]?.resolve();
  await Promise.all([first, ...all]);
  expect(codes.filter((code) => code === undefined).length).toBeGreaterThanOrEqual(100);
  await log.close();
});

test("C-258 where the rest of a commit fails, its outcome and that of the next are unknown, and the next start finds both", async () => {
  const slow = await openSlow();
  const { site, storage, log, base } = slow;
  const first = rejectionCode((await write(slow, 0)).answer);
  const second = rejectionCode((await write(slow, 1)).answer);
  const third = rejectionCode(send(log, 2));
  storage.rests[0]?.reject(new Error("the disk does not answer"));
  storage.rests[1]?.resolve();
  // Not tried, or tried in vain: that is a matter of time.
  expect(await Promise.all([first, second])).toEqual(["outcome-unknown", "outcome-unknown"]);
  expect(["outcome-unknown", "log-stopped"]).toContain(await third);
  expect(log.status().state).toBe("stopped");
  await log.close();

  const reopened = await site.open();
  for (const n of [0, 1]) {
    const [known] = await reopened.appendEvents({ writer: "w", events: [login(n)] });
    expect(known).toMatchObject({ index: base + n, duplicate: true });
  }
  expect(await send(reopened, 2)).toBe(base + 2);
  await published(reopened);
  await reopened.close();
  await expectWhole(site);
});

test("a log that closes waits for what is written and not whole, however short its grace", async () => {
  const slow = await openSlow();
  const { storage, log, base } = slow;
  const { answer } = await write(slow, 0);
  let isClosed = false;
  const closing = log.close({ graceMs: 0 }).then(() => (isClosed = true));
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(isClosed).toBe(false);
  storage.rests[0]?.resolve();
  expect(await answer).toBe(base);
  await closing;
});
