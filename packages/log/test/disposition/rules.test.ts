/** Rules as the log itself keeps them, and what they promised: whoever can write to the disk changes nothing unnoticed. */
import { describe, expect, onTestFinished, test } from "vitest";
import { dayOf, encodeCbor } from "@tallystick/events";
import { type LogStorage, indexKey } from "@tallystick/storage";
import { classDayKey, decodeClassDay, encodeClassDay } from "../../src/disposition/ledger.ts";
import { Promises } from "../../src/disposition/promises.ts";
import { approvedRow } from "../../src/disposition/rules-in-force.ts";
import { type Log, type LogOptions, type RepairReport, fsckLog, repairLog } from "../../src/index.ts";
import { TABLE } from "../../src/rows.ts";
import { ORIGIN, START_MS, type Site, createSite, expectWhole, login, until } from "../site.ts";
import { opens } from "./opens.ts";

const DAY_MS = 86_400_000;
const TODAY = dayOf(START_MS);
const LONG = "version: 1\nclasses:\n  auth: { keep: 30d, atLeast: 10d }\nother: { keep: 400d }\n";
const SHORT = "version: 1\nclasses:\n  auth: { keep: 1d }\nother: { keep: 400d }\n";
const KEY = classDayKey("auth", TODAY);

async function openAt(site: Site, nowMs: number, overrides: Partial<LogOptions> = {}): Promise<Log> {
  site.clock.nowMs = nowMs;
  const log = await site.open({ confirmClock: true, proposedRules: async () => LONG, ...overrides });
  await until(() => log.status().state === "ok" && log.disposition.rules().index !== undefined);
  return log;
}

async function apply(log: Log, text: string): Promise<number> {
  return (await log.disposition.applyRules({ text, by: "officer-1" })).index;
}

async function append(log: Log, ...numbers: readonly number[]): Promise<number> {
  const answers = await log.appendEvents({ writer: "app", events: numbers.map((n) => login(n)) });
  return answers[0]?.index ?? -1;
}

async function rulesRows(storage: LogStorage): Promise<{ readonly key: string; readonly value: Uint8Array }[]> {
  const rows = [];
  for await (const row of storage.scanRows(TABLE.rules)) rows.push(row);
  return rows;
}

async function promiseOf(storage: LogStorage): Promise<number | undefined> {
  const row = await storage.getRow(TABLE.classDay, KEY);
  return row === undefined ? undefined : decodeClassDay(row).atLeastDays;
}

async function promise(storage: LogStorage, changes: Partial<ReturnType<typeof decodeClassDay>>): Promise<void> {
  const row = decodeClassDay((await storage.getRow(TABLE.classDay, KEY)) ?? new Uint8Array());
  await storage.putRows([{ table: TABLE.classDay, key: KEY, value: encodeClassDay({ ...row, ...changes }) }]);
}

function fsckOptions({ storage, keyStore, keys }: Site): Parameters<typeof fsckLog>[0] {
  return { storage, keyStore, origin: ORIGIN, verifiers: keys.signers.map(({ verifier }) => verifier) };
}

async function codesOf(site: Site): Promise<string[]> {
  return (await fsckLog(fsckOptions(site))).findings.map(({ code }) => code);
}

async function repair(site: Site, rulesTexts: readonly string[] = []): Promise<RepairReport> {
  return repairLog({ ...fsckOptions(site), rulesTexts });
}

test("the rules of a file are the first entry behind the start of the log's stream: nothing is logged before they are", async () => {
  const site = await createSite();
  const log = await site.open({ proposedRules: async () => LONG });
  const index = await until(() => log.status().state !== "starting").then(async () => append(log, 1));
  expect(log.disposition.rules().index).toBeLessThan(index);
  expect(await promiseOf(site.storage)).toBe(10);
});

test("the row of an older version of this program, which had the last text alone, is taken over; fsck finds its text", async () => {
  const site = await createSite();
  const log = await openAt(site, START_MS);
  const { index = -1 } = log.disposition.rules();
  await log.close();
  const older = encodeCbor([index, new Uint8Array(Buffer.from(LONG))]);
  const toOlder = async (): Promise<void> =>
    site.storage.putRows([
      { table: TABLE.rules, key: indexKey(index), value: null },
      { table: TABLE.rules, key: "current", value: older },
    ]);
  const rows = [{ key: indexKey(index), value: new Uint8Array(Buffer.from(LONG)) }];
  await toOlder();
  const again = await openAt(site, START_MS, { proposedRules: async () => undefined });
  expect(again.disposition.rules()).toMatchObject({ index, text: LONG });
  await again.close();
  expect(await rulesRows(site.storage)).toEqual(rows);
  await toOlder();
  expect(await codesOf(site)).toEqual(["rules-row-mismatch", "rules-row-mismatch"]);
  await repair(site);
  expect(await rulesRows(site.storage)).toEqual(rows);
  await expectWhole(site);
});

test("every version that was approved is kept, under the index of its entry, and found by its digest", async () => {
  const site = await createSite();
  const log = await openAt(site, START_MS);
  const { index = -1, digest } = log.disposition.rules();
  const next = await apply(log, SHORT);
  expect(await rulesRows(site.storage)).toEqual([
    { key: indexKey(index), value: new Uint8Array(Buffer.from(LONG)) },
    { key: indexKey(next), value: new Uint8Array(Buffer.from(SHORT)) },
  ]);
  expect(await log.disposition.rulesOf(digest)).toEqual({ index, digest, text: LONG });
  await expect(log.disposition.rulesOf("00".repeat(32))).rejects.toMatchObject({ code: "rules-unknown" });
  await site.storage.putRows([approvedRow({ index, text: SHORT })]);
  await expect(log.disposition.rulesOf(digest)).rejects.toMatchObject({ code: "log-corrupt" });
});

describe("rules that hold are those that were approved last", () => {
  test("a log whose rules are changed on the disk while it runs destroys nothing, and logs that they are", async () => {
    const site = await createSite();
    const log = await openAt(site, START_MS);
    const auth = await append(log, 1);
    await log.close();
    const late = await openAt(site, START_MS + 20 * DAY_MS);
    const { index = -1 } = late.disposition.rules();
    await site.storage.putRows([approvedRow({ index, text: SHORT })]);
    expect(await late.disposition.checkRules(LONG)).toBe(false);
    const { event: check } = await late.readEvent({ index: late.size() - 1, reader: "auditor" });
    expect(check).toMatchObject({ type: "log.check", outcome: "failure", context: { check: "rules", held: false } });
    await expect(late.disposition.rulesOf(late.disposition.rules().digest)).rejects.toMatchObject({
      code: "log-corrupt",
    });
    site.clock.nowMs += 20 * DAY_MS;
    await late.close();
    await site.storage.putRows([approvedRow({ index, text: LONG })]);
    const again = await openAt(site, site.clock.nowMs, { proposedRules: async () => undefined });
    await again.disposition.runRetention();
    expect(await opens(again, auth)).toBe(false);
  });

  test.each<[string, (storage: LogStorage, rows: readonly { readonly key: string }[], auth: number) => Promise<void>]>([
    ["its text changed", async (storage, rows) => alter(storage, rows.at(-1)?.key, LONG)],
    ["an older one put back", async (storage, rows) => storage.deleteRows(TABLE.rules, [rows.at(-1)?.key ?? ""])],
    ["one of before removed", async (storage, rows) => storage.deleteRows(TABLE.rules, [rows[1]?.key ?? ""])],
    [
      "two of before removed",
      async (storage, rows) =>
        storage.deleteRows(
          TABLE.rules,
          [1, 2].map((at) => rows[at]?.key ?? ""),
        ),
    ],
    ["one of before changed", async (storage, rows) => alter(storage, rows[0]?.key, SHORT)],
    [
      "all of them removed",
      async (storage, rows) =>
        storage.deleteRows(
          TABLE.rules,
          rows.map(({ key }) => key),
        ),
    ],
    ["one put behind all", async (storage) => alter(storage, indexKey(1000), SHORT)],
    [
      "one put at an event of somebody else, behind all",
      async (storage, _, auth) => alter(storage, indexKey(auth), SHORT),
    ],
    ["one put before all", async (storage) => alter(storage, indexKey(0), SHORT)],
    ["one that no entry could approve", async (storage) => alter(storage, "current", SHORT)],
  ])("a log does not open with %s; fsck names it, and repairs it", async (_, change) => {
    const site = await createSite();
    const log = await openAt(site, START_MS);
    // Text and digest of the one before are the same, whether those between are there or not.
    for (const text of [SHORT, LONG, SHORT]) await apply(log, text);
    const auth = await append(log, 1, 2);
    await log.close();
    const rows = await rulesRows(site.storage);
    await change(site.storage, rows, auth);
    await expect(site.open({ confirmClock: true })).rejects.toMatchObject({ code: "log-corrupt" });
    const { before, after } = await repair(site, [LONG, SHORT]);
    expect(new Set(before.findings.map(({ code }) => code))).toEqual(new Set(["rules-row-mismatch"]));
    expect(after.findings).toEqual([]);
    expect(await rulesRows(site.storage)).toEqual(rows);
    await openAt(site, START_MS);
  });

  async function alter(storage: LogStorage, key: string | undefined, text: string): Promise<void> {
    await storage.putRows([{ table: TABLE.rules, key: key ?? "", value: new Uint8Array(Buffer.from(text)) }]);
  }

  test("a check that is logged while others are approved names those that it stands behind", async () => {
    const site = await createSite();
    const log = await openAt(site, START_MS);
    for (const text of [SHORT, LONG, SHORT]) {
      const { disposition } = log;
      await Promise.all([disposition.checkRules(text), apply(log, text), disposition.checkRules(text)]);
    }
    const approved: unknown[] = [];
    for (let index = 0, last: number | null = null, size = log.size(); index < size; index += 1) {
      const { event } = await log.readEvent({ index, reader: "auditor" });
      if (event.type === "log.rules") last = index;
      if (event.type === "log.check") approved.push([event.context?.["approved"], last]);
    }
    expect(approved.length).toBeGreaterThan(5);
    expect(approved).toEqual(approved.map((pair) => [(pair as unknown[])[1], (pair as unknown[])[1]]));
    await log.close();
    await openAt(site, START_MS);
  });

  test("an older one put back in a log that has grown since stops it, before anything is destroyed", async () => {
    const site = await createSite();
    const log = await openAt(site, START_MS);
    await apply(log, SHORT);
    const index = await apply(log, LONG);
    for (let from = 0; from < 5000; from += 1000)
      await append(log, ...Array.from({ length: 1000 }, (_, at) => from + at));
    await log.close();
    await site.storage.deleteRows(TABLE.rules, [indexKey(index)]);
    site.clock.nowMs += 15 * DAY_MS;
    const late = await site.open({ confirmClock: true });
    await until(() => late.status().state === "stopped");
    expect(late.status().reasons).toMatchObject([{ code: "log-corrupt" }]);
    await expect(late.disposition.runRetention()).rejects.toMatchObject({ code: "log-corrupt", details: { index } });
    expect(await late.disposition.destructions()).toEqual([]);
  });
});

describe("a promise that was made shorter on the disk", () => {
  /** Logged under a promise of ten days; then other rules promise nothing, and keep a day. */
  async function shortened(changes: Parameters<typeof promise>[1]): Promise<{ site: Site; auth: number }> {
    const site = await createSite();
    const log = await openAt(site, START_MS);
    const auth = await append(log, 1);
    await apply(log, SHORT);
    await append(log, 2);
    await log.close();
    expect(await codesOf(site)).toEqual([]);
    await promise(site.storage, changes);
    return { site, auth };
  }

  test.each([
    ["alone", { atLeastDays: 0 }],
    ["with the entries that the row is of", { atLeastDays: 9, first: 1_000_000, last: 1_000_000, count: 1 }],
  ])("%s destroys nothing, is told, named by fsck and repaired", async (_, changes) => {
    const { site, auth } = await shortened(changes);
    const late = await openAt(site, START_MS + 11 * DAY_MS + DAY_MS, { proposedRules: async () => SHORT });
    expect((await late.disposition.runRetention()).destroyed).toEqual([]);
    expect(late.status()).toMatchObject({ state: "degraded", reasons: [{ code: "retention-row-mismatch" }] });
    expect(await opens(late, auth)).toBe(true);
    await late.close();
    expect(await codesOf(site)).toEqual(["retention-row-mismatch"]);
    expect((await repair(site)).after.findings).toEqual([]);
    expect(await promiseOf(site.storage)).toBe(10);
    const again = await openAt(site, site.clock.nowMs, { proposedRules: async () => SHORT });
    await again.disposition.runRetention();
    expect(await opens(again, auth)).toBe(false);
  });

  test("destroyed all the same by a log whose code was changed too, is named by fsck", async () => {
    const { site } = await shortened({ atLeastDays: 0 });
    const code = Object.getOwnPropertyDescriptor(Promises.prototype, "beyond") ?? {};
    onTestFinished(() => void Object.defineProperty(Promises.prototype, "beyond", code));
    Object.defineProperty(Promises.prototype, "beyond", { ...code, value: async () => undefined });
    const late = await openAt(site, START_MS + 3 * DAY_MS, { proposedRules: async () => SHORT });
    await late.disposition.runRetention();
    const [found] = await late.disposition.destructions();
    expect(found?.scope).toMatchObject({ class: "auth", day: TODAY });
    await late.disposition.waitForDestruction(found?.request ?? "", 20_000);
    await late.close();
    expect(await codesOf(site)).toEqual(["erasure-before-promise"]);
  });

  test("rules that held while nothing of the class was logged promised it nothing", async () => {
    const site = await createSite();
    const log = await openAt(site, START_MS, { proposedRules: async () => SHORT });
    const before = await append(log, 1);
    await apply(log, LONG);
    await apply(log, SHORT);
    const after = await append(log, 2);
    await log.close();
    expect([await codesOf(site), await promiseOf(site.storage)]).toEqual([[], 0]);
    const late = await openAt(site, START_MS + 3 * DAY_MS);
    await late.disposition.runRetention();
    expect([await opens(late, before), await opens(late, after)]).toEqual([false, false]);
    await late.close();
    await expectWhole(site);
  });

  test("what was logged before any rules were approved is not promised what the first ones promise", async () => {
    const site = await createSite();
    const log = await site.open();
    await until(() => log.status().state === "ok");
    await append(log, 1);
    await apply(log, LONG);
    await log.close();
    expect([await codesOf(site), await promiseOf(site.storage)]).toEqual([[], 0]);
  });
});
