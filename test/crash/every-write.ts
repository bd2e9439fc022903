/**
 * Each write of a scripted run goes wrong once: before it lands, after it, halfway, late. Then the log is opened again,
 * has all that was acknowledged, takes the rest, each once, and fsck finds nothing.
 */
import type { TallyEvent } from "@tallystick/events";
import type { Log } from "@tallystick/log";
import { createMemoryKeyStore, createMemoryStorage, nodeFileSystem } from "@tallystick/storage";
import { expect } from "vitest";
import { Sender } from "../../packages/log/test/sender.ts";
import { type Site, createSite, event, expectWhole, login, until } from "../../packages/log/test/site.ts";
import { removeFolder, temporaryFolder } from "../support/processes.ts";
import { type Fault, FaultPlan, faultyFileSystem, faultyStorage } from "./faulty-writes.ts";
import { type Stores, lasting, openStores } from "./stores.ts";

const sender = new Sender();

/** What was acknowledged: the event's id and its index. */
type Told = Map<string, number>;

type Step = (log: Log) => Promise<readonly { readonly id: string; readonly index: number }[]>;

/** Single events, a batch of several, a signed batch; persons, a tenant, the log's own. */
const STEPS: readonly Step[] = [
  async (log) => append(log, [login(0)]),
  async (log) => append(log, [login(1), login(2, { tenant: "acme" }), login(3)]),
  async (log) => {
    const shopped = event(50, { type: "shop.order", outcome: "success" });
    return (await log.appendBatch({ writer: "app", batch: sender.batch(1, [sender.start(), shopped]) })).entries;
  },
  async (log) => append(log, [login(4)]),
];

async function append(log: Log, events: readonly TallyEvent[]): ReturnType<Step> {
  return log.appendEvents({ writer: "w", events });
}

/** Runs a log through the script; what fails is left out. Gives whether all of it was done. */
async function script(site: Site, open: () => Promise<Stores>, told: Told): Promise<boolean> {
  let isWhole = true;
  const attempt = async <T>(work: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await work();
    } catch {
      isWhole = false;
      return undefined;
    }
  };
  // Twice: what a second opening completes of the first is part of the script.
  for (const steps of [STEPS.slice(0, 2), STEPS]) {
    const stores = await attempt(open);
    if (stores === undefined) continue;
    const log = await attempt(async () => site.open({ ...stores, pinFirstSenderKey: true }));
    if (log !== undefined) {
      for (const step of steps) note(told, (await attempt(async () => step(log))) ?? []);
      await attempt(async () => publishedOrStopped(log));
      await log.close({ graceMs: 100 });
    }
    await attempt(async () => stores.keyStore.close());
    await attempt(async () => stores.storage.close());
  }
  return isWhole;
}

async function publishedOrStopped(log: Log): Promise<void> {
  await until(() => log.publishedSize() === log.size() || log.status().state === "stopped");
  if (log.status().state === "stopped") throw new Error("the log stopped");
}

/** The same event has the same index, whenever it is acknowledged; no two have one. */
function note(told: Told, answers: Awaited<ReturnType<Step>>): void {
  for (const { id, index } of answers) {
    expect(told.get(id) ?? index).toBe(index);
    told.set(id, index);
  }
  expect(new Set(told.values()).size).toBe(told.size);
}

/** Nothing goes wrong any more: everything is there, once. */
async function expectRecovered(site: Site, open: () => Promise<Stores>, told: Told): Promise<void> {
  expect(await script(site, open, told)).toBe(true);
  expect(told.size).toBe(7);
  const { storage, keyStore } = await open();
  // Besides those: the start of the log's own stream, the pinned key, and heads.
  await expectWhole({ ...site, keyStore }, storage);
  await keyStore.close();
  await storage.close();
}

export interface Points {
  readonly fault: Fault;
  /** The first write that goes wrong. */
  readonly from: number;
  /** From one to the next. */
  readonly step: number;
}

/** Makes writes to files go wrong, one a run; gives how many runs there were. */
export async function failFileWrites({ fault, from, step }: Points): Promise<number> {
  const site = await createSite();
  for (let runs = 0; ; runs += 1) {
    const folder = await temporaryFolder();
    const plan = new FaultPlan(fault, from + step * runs);
    const told: Told = new Map();
    const isWhole = await script(site, async () => openStores(folder, faultyFileSystem(plan)), told);
    if (fault === "late") expect(isWhole).toBe(true);
    await expectRecovered(site, async () => openStores(folder, nodeFileSystem), told);
    await removeFolder(folder);
    if (!plan.isOver) return runs;
  }
}

/** Makes every write to the storage go wrong, one a run; gives how many runs there were. */
export async function failStorageWrites(fault: Fault): Promise<number> {
  const site = await createSite();
  for (let at = 0; ; at += 1) {
    const storage = lasting(createMemoryStorage());
    const keyStore = lasting(createMemoryKeyStore());
    const plan = new FaultPlan(fault, at);
    const told: Told = new Map();
    await script(site, async () => ({ storage: faultyStorage(storage, plan), keyStore }), told);
    await expectRecovered(site, async () => ({ storage, keyStore }), told);
    if (!plan.isOver) return at;
  }
}
