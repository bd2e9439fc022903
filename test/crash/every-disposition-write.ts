/**
 * Each write of a scripted run of erasure, retention and holds goes wrong once. What is on disk then never says `done` of
 * a key that is still there; opened again, the log completes what it had begun, and what opens is what the rules say.
 */
import type { Log } from "@tallystick/log";
import { createMemoryKeyStore, createMemoryStorage, nodeFileSystem } from "@tallystick/storage";
import { decodeCbor } from "@tallystick/events";
import { expect } from "vitest";
import { START_MS, type Site, createSite, event, expectWhole, login, until } from "../../packages/log/test/site.ts";
import { removeFolder, temporaryFolder } from "../support/processes.ts";
import type { Points } from "./every-write.ts";
import { FaultPlan, faultyFileSystem, faultyStorage } from "./faulty-writes.ts";
import { type Stores, lasting, openStores } from "./stores.ts";

const DAY_MS = 86_400_000;
const REQUEST = "01890a5d-ac96-774b-bcce-b302099a8057";
const RULES = "version: 1\nclasses:\n  auth: { keep: 30d }\nother: { keep: 6y }\n";

/** Logins, which fall due, and accesses, which do not; of three persons, one of whom a hold covers. */
const EVENTS = [
  ...[0, 1, 2].map((n) => login(n)),
  ...[3, 4, 5].map((n) => {
    const targets = [{ type: "invoice", id: "i1" }];
    return event(n, { type: "access.read", outcome: "success", actor: { type: "user", id: `u${n % 3}` }, targets });
  }),
];
/** After all of it: the logins expired, u1 was erased, and the hold on u2 was lifted. */
const READABLE = [false, false, false, true, false, true];

/** What the run did so far, whichever attempt it was. */
interface Progress {
  hold: string | undefined;
}

/** Runs a log through the script; gives whether all of it was done. */
async function script(site: Site, open: () => Promise<Stores>, progress: Progress): Promise<boolean> {
  const filled = await session(site, open, START_MS, async (log) => {
    for (const sent of EVENTS) await appendOnce(log, sent);
    const [known] = await log.disposition.holds();
    const selectors = { subject: "u2" };
    progress.hold ??= (known ?? (await log.disposition.setHold({ by: "o", case: "c", selectors }))).id;
  });
  // What a fault stopped is done again by the next attempt, since time only goes on.
  if (!filled) return false;
  const ended = await session(site, open, START_MS + 40 * DAY_MS, async (log) => {
    await log.disposition.erase({ subject: "u1", ground: "asked", by: "o", request: REQUEST });
    await log.disposition.runRetention();
    await untilDone(log);
    if (progress.hold !== undefined) await log.disposition.liftHold({ id: progress.hold, by: "o" });
    await settled(log);
  });
  return ended;
}

/** An attempt before may have logged it, and erased it. */
async function appendOnce(log: Log, sent: (typeof EVENTS)[number]): Promise<void> {
  await log.appendEvents({ writer: "app", events: [sent] }).catch((error: { readonly code?: string }) => {
    if (error.code !== "erased") throw error;
  });
}

async function session(
  site: Site,
  open: () => Promise<Stores>,
  nowMs: number,
  work: (log: Log) => Promise<void>,
): Promise<boolean> {
  let stores: Stores | undefined;
  let log: Log | undefined;
  let isWhole = true;
  site.clock.nowMs = Math.max(site.clock.nowMs, nowMs);
  try {
    stores = await open();
    const opened = await site.open({ ...stores, confirmClock: true, proposedRules: async () => RULES });
    log = opened;
    await until(() => opened.disposition.rules().index !== undefined || opened.status().state === "stopped", 1000);
    await work(opened);
  } catch {
    isWhole = false;
  }
  for (const end of [log?.close({ graceMs: 100 }), stores?.keyStore.close(), stores?.storage.close()])
    await end?.catch(() => (isWhole = false));
  return isWhole;
}

async function untilDone(log: Log): Promise<void> {
  while ((await log.disposition.waitForDestruction(REQUEST, 20)).state !== "done") {
    if (log.status().state === "stopped") throw new Error("the log stopped");
  }
}

/** Waits until nothing is left to do; a log that stopped does nothing any more. */
async function settled(log: Log): Promise<void> {
  const deadline = performance.now() + 10_000;
  for (;;) {
    if (log.status().state === "stopped") throw new Error("the log stopped");
    const all = await log.disposition.destructions();
    if (all.every(({ state }) => state === "done")) return;
    if (performance.now() > deadline) throw new Error("not settled within 10 s");
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** Nothing on disk says that a key is destroyed that is still there. */
async function expectNoFalseDone({ storage, keyStore }: Stores): Promise<void> {
  for await (const { value } of storage.scanRows("destruction")) {
    const record = decodeCbor(value, { itemsMax: 1_000_000 }) as unknown as {
      readonly state: string;
      readonly keys: readonly { readonly kind: "person" | "class-day"; readonly name: string }[];
    };
    if (record.state !== "done") continue;
    for (const { kind, name } of record.keys) expect(keyStore.get(kind, name)).toBeUndefined();
  }
}

async function expectRecovered(site: Site, open: () => Promise<Stores>, progress: Progress): Promise<void> {
  const found = await open();
  await expectNoFalseDone(found);
  await found.keyStore.close();
  await found.storage.close();
  expect(await script(site, open, progress)).toBe(true);
  const stores = await open();
  await expectNoFalseDone(stores);
  const log = await site.open({ ...stores, confirmClock: true, proposedRules: async () => RULES });
  await until(() => log.status().state === "ok");
  const { indexes, opens } = await readAll(log);
  expect(indexes).toHaveLength(EVENTS.length);
  expect(opens).toEqual(READABLE);
  await log.close();
  await expectWhole({ ...site, keyStore: stores.keyStore }, stores.storage);
  await stores.keyStore.close();
  await stores.storage.close();
}

async function readAll(log: Log): Promise<{ indexes: number[]; opens: boolean[] }> {
  const indexes: number[] = [];
  const opens: boolean[] = [];
  for (const sent of EVENTS) {
    // Sent again, an event answers where it is, and whether it was erased.
    const answer = await log.appendEvents({ writer: "app", events: [sent] }).then(
      ([again]) => again?.index,
      (error: { details?: { index?: number } }) => error.details?.index,
    );
    if (answer === undefined) continue;
    indexes.push(answer);
    opens.push(
      await log.readEvent({ index: answer, reader: "auditor" }).then(
        () => true,
        (error: unknown) => {
          expect(error).toMatchObject({ code: "erased", details: { certificate: expect.any(Number) } });
          return false;
        },
      ),
    );
  }
  return { indexes, opens };
}

/** Makes writes to the storage go wrong, one a run; gives how many runs there were. */
export async function failDispositionStorageWrites({ fault, from, step }: Points): Promise<number> {
  for (let runs = 0; ; runs += 1) {
    const site = await createSite();
    const storage = lasting(createMemoryStorage());
    const keyStore = lasting(createMemoryKeyStore());
    const plan = new FaultPlan(fault, from + step * runs);
    const progress: Progress = { hold: undefined };
    await script(site, async () => ({ storage: faultyStorage(storage, plan), keyStore }), progress);
    await expectRecovered(site, async () => ({ storage, keyStore }), progress);
    if (!plan.isOver) return runs;
  }
}

/** Makes writes to files go wrong, one a run; gives how many runs there were. */
export async function failDispositionFileWrites({ fault, from, step }: Points): Promise<number> {
  for (let runs = 0; ; runs += 1) {
    const site = await createSite();
    const folder = await temporaryFolder();
    const plan = new FaultPlan(fault, from + step * runs, { dies: true });
    const progress: Progress = { hold: undefined };
    await script(site, async () => openStores(folder, faultyFileSystem(plan)), progress);
    await expectRecovered(site, async () => openStores(folder, nodeFileSystem), progress);
    await removeFolder(folder);
    if (!plan.isOver) return runs;
  }
}
