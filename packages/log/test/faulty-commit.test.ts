import { join } from "node:path";
import { expect, test } from "vitest";
import type { TallyEvent } from "@tallystick/events";
import { createMemoryStorage, openLevelStorage } from "@tallystick/storage";
import { rejectionCode } from "../../../test/support/errors.ts";
import type { Acknowledgement, Log } from "../src/index.ts";
import { Sender } from "./sender.ts";
import { type Site, createSite, event, expectWhole, login, published, until } from "./site.ts";
import { temporaryFolder } from "../../../test/support/temporary-folder.ts";
import { type Fault, WatchedStorage } from "./watched-storage.ts";

const EVENTS: readonly TallyEvent[] = Array.from({ length: 12 }, (_, n) => login(n));
const sender = new Sender();
const BATCH = sender.batch(1, [sender.start(), event(50, { type: "shop.order", outcome: "success" })]);

interface Told {
  readonly acknowledged: ReadonlyMap<string, Acknowledgement>;
  readonly codes: readonly string[];
}

/** Sends everything once, a batch in the middle, and notes what was answered. */
async function sendAll(log: Log): Promise<Told> {
  const acknowledged = new Map<string, Acknowledgement>();
  const codes: string[] = [];
  const send = async (work: () => Promise<readonly Acknowledgement[]>): Promise<void> => {
    const sent = work().then((answers) => {
      for (const answer of answers) acknowledged.set(answer.id, answer);
    });
    const code = await rejectionCode(sent);
    if (code !== undefined) codes.push(code);
  };
  for (const [at, each] of EVENTS.entries()) {
    if (at === 5) await send(async () => (await log.appendBatch({ writer: "app", batch: BATCH })).entries);
    await send(async () => log.appendEvents({ writer: "w", events: [each] }));
  }
  return { acknowledged, codes };
}

/** Opens the log again, sends everything again, and holds the answers against those before. */
async function expectRecovered(site: Site, before: Told): Promise<void> {
  const log = await site.open({ pinFirstSenderKey: true });
  await until(() => log.status().state !== "starting");
  const { acknowledged, codes } = await sendAll(log);
  expect(codes).toEqual([]);
  for (const [id, { index, leafHash }] of before.acknowledged) {
    expect(acknowledged.get(id)).toMatchObject({ id, index, leafHash, duplicate: true });
  }
  const indexes = [...acknowledged.values()].map(({ index }) => index);
  expect(new Set(indexes).size).toBe(EVENTS.length + 2);
  // The log's own: the start of its stream and the pinned key.
  expect(log.size()).toBe(EVENTS.length + 4);
  await published(log);
  await log.close();
  await expectWhole(site);
}

test("C-258 what waits behind a commit that fails is refused at once, and was not taken", async () => {
  const inner = createMemoryStorage();
  const site = await createSite({ storage: inner });
  const storage = new WatchedStorage(inner);
  const log = await site.open({ storage });
  await until(() => log.status().state === "ok");
  const release = storage.hold();
  const first = rejectionCode(log.appendEvents({ writer: "w", events: [login(0)] }));
  await until(() => storage.held === 1);
  const second = rejectionCode(log.appendEvents({ writer: "w", events: [login(1)] }));
  storage.failCommit("integrated", "after");
  release();
  expect(await Promise.all([first, second])).toEqual(["outcome-unknown", "log-stopped"]);
  await log.close();
  const again = await site.open();
  const [known] = await again.appendEvents({ writer: "w", events: [login(0)] });
  expect(known).toMatchObject({ index: 0, duplicate: true });
  const [fresh] = await again.appendEvents({ writer: "w", events: [login(1)] });
  expect(fresh).toMatchObject({ index: 1 });
  expect(fresh?.duplicate).toBeUndefined();
});

test.each<Fault>(["before", "after"])(
  "C-255 C-258 a folder on disk recovers from a commit that fails %s it lands",
  async (fault) => {
    const path = join(temporaryFolder(), "data");
    const first = await openLevelStorage({ path });
    const site = await createSite({ storage: first });
    const storage = new WatchedStorage(first);
    storage.failCommit("integrated", fault, 3);
    const log = await site.open({ storage, pinFirstSenderKey: true });
    const told = await sendAll(log);
    expect(told.codes[0]).toBe("outcome-unknown");
    await log.close();
    await first.close();
    const second = await openLevelStorage({ path });
    try {
      await expectRecovered(
        { ...site, storage: second, open: async (rest) => site.open({ ...rest, storage: second }) },
        told,
      );
    } finally {
      await second.close();
    }
  },
);
