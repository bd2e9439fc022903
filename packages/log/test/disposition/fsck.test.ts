/** The rows of retention, erasure and holds, altered one by one: fsck names them, repair mends what it can. */
import { beforeEach, describe, expect, test } from "vitest";
import { dayOf, decodeLeaf, encodeCbor } from "@tallystick/events";
import { type LogStorage, createMemoryStorage, indexKey } from "@tallystick/storage";
import { classDayKey, dayKey, decodeClassDay, encodeClassDay } from "../../src/disposition/ledger.ts";
import { holdClass } from "../../src/disposition/holds.ts";
import { type FsckReport, type Log, LogError, type RepairReport, fsckLog, repairLog } from "../../src/index.ts";
import { TABLE } from "../../src/rows.ts";
import { ORIGIN, START_MS, type Site, createSite, event, login, until } from "../site.ts";

const DAY_MS = 86_400_000;
const TODAY = dayOf(START_MS);
const LATER_MS = START_MS + 40 * DAY_MS;
const RULES = `version: 1
classes:
  auth: { keep: 30d, atLeast: 10d }
  access: { keep: 90d, atLeast: 60d }
other: { keep: 400d }
`;

/** A log of which much was destroyed, and what there is to know about it. */
interface Filled {
  readonly site: Site;
  /** Of a person, in force: what it covers was sealed anew. */
  readonly personHold: string;
  /** Of a class, lifted. */
  readonly liftedHold: string;
  readonly erasure: string;
  readonly expiry: string;
  /** An entry whose sealed event was removed from the disk, and what that was. */
  readonly expired: { readonly index: number; readonly sealed: Uint8Array };
}

async function openAt(site: Site, nowMs: number, storage: LogStorage = site.storage): Promise<Log> {
  site.clock.nowMs = Math.max(site.clock.nowMs, nowMs);
  const log = await site.open({ storage, confirmClock: true, proposedRules: async () => RULES });
  await until(() => log.status().state === "ok" && log.disposition.rules().index !== undefined);
  return log;
}

function access(n: number): ReturnType<typeof event> {
  const targets = [{ type: "invoice", id: "i1" }];
  return event(n, { type: "access.read", outcome: "success", actor: { type: "user", id: `u${n % 3}` }, targets });
}

/** Nothing is left to do. */
async function settled(storage: LogStorage): Promise<void> {
  const deadline = performance.now() + 20_000;
  while ((await keysOf(storage, TABLE.pending)).length > 0) {
    if (performance.now() > deadline) throw new Error("something is still pending after 20 s");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Logins fell due, but for what a hold keeps of them; another person was erased; another hold was lifted. */
async function fill(): Promise<Filled> {
  const site = await createSite();
  const log = await openAt(site, START_MS);
  const by = "officer-1";
  const [first] = await log.appendEvents({ writer: "app", events: [0, 1, 2].map((n) => login(n)) });
  await log.appendEvents({ writer: "app", events: [3, 4, 5].map(access) });
  const { id: personHold } = await log.disposition.setHold({ by, case: "c-1", selectors: { subject: "u1" } });
  const selectors = { class: "shop", from: 0, to: START_MS };
  const { id: liftedHold } = await log.disposition.setHold({ by, case: "c-2", reason: "none", selectors });
  await log.disposition.liftHold({ id: liftedHold, by });
  await log.close();
  const index = first?.index ?? 0;
  const expired = { index, sealed: await rowOf(site.storage, TABLE.sealed, indexKey(index)) };
  const late = await openAt(site, LATER_MS);
  await late.disposition.runRetention();
  const { request } = await late.disposition.erase({ subject: "u2", ground: "asked", by });
  await late.disposition.waitForDestruction(request, 10_000);
  await settled(site.storage);
  await late.appendEvents({ writer: "app", events: [6, 7, 8].map((n) => login(n)) });
  const expiry = (await late.disposition.destructions()).find(({ kind }) => kind === "class-day")?.request ?? "";
  await late.close();
  return { site, personHold, liftedHold, erasure: request, expiry, expired };
}

let filled: Filled;
let filling: Promise<Filled> | undefined;

/** Every test alters a copy of its own. */
beforeEach(async () => {
  filled = await (filling ??= fill());
});

async function copyOf(storage: LogStorage): Promise<LogStorage> {
  const copy = createMemoryStorage();
  for (const table of Object.values(TABLE)) {
    for await (const { key, value } of storage.scanRows(table)) await copy.putRows([{ table, key, value }]);
  }
  for (const name of ["integrated", "signed", "published"] as const) {
    const head = await storage.readHead(name);
    if (head !== undefined) await copy.commit({ head: { name, expected: 0, bytes: head.bytes } });
  }
  return copy;
}

async function keysOf(storage: LogStorage, table: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of storage.scanRows(table)) keys.push(key);
  return keys;
}

/** All rows of the tables that have to be as they were when the log has run again. */
async function picture(storage: LogStorage): Promise<string[]> {
  const rows: string[] = [];
  for (const table of [TABLE.erased, TABLE.destruction, TABLE.pending, TABLE.hold, TABLE.rules]) {
    for await (const { key, value } of storage.scanRows(table))
      rows.push(`${table} ${key} ${Buffer.from(value).toString("hex")}`);
  }
  return rows;
}

async function optionsOf(
  storage: LogStorage,
  { keyStore, keys }: Site = filled.site,
): Promise<Parameters<typeof fsckLog>[0]> {
  return { storage, keyStore, origin: ORIGIN, verifiers: keys.signers.map(({ verifier }) => verifier), rulesTexts: [] };
}

async function check(storage: LogStorage): Promise<FsckReport> {
  return fsckLog(await optionsOf(storage));
}

async function repair(storage: LogStorage, rulesTexts: readonly string[] = [RULES]): Promise<RepairReport> {
  return repairLog({ ...(await optionsOf(storage)), rulesTexts });
}

function codes({ findings }: FsckReport): string[] {
  return findings.map(({ code }) => code);
}

async function rowOf(storage: LogStorage, table: string, key: string): Promise<Uint8Array> {
  const value = await storage.getRow(table, key);
  if (value === undefined) throw new Error(`no row ${key} in ${table}`);
  return value;
}

/** Which of the first six entries open. */
async function readable(log: Log): Promise<boolean[]> {
  return Promise.all(
    [0, 1, 2, 3, 4, 5].map(async (at) => {
      try {
        await log.readEvent({ index: await indexOf(log, at), reader: "auditor" });
        return true;
      } catch (error) {
        if (!(error instanceof LogError) || error.code !== "erased") throw error;
        return false;
      }
    }),
  );
}

/** Where event number `n` is: sent again, it says so. */
async function indexOf(log: Log, n: number): Promise<number> {
  return log.appendEvents({ writer: "app", events: [n < 3 ? login(n) : access(n)] }).then(
    ([known]) => known?.index ?? -1,
    (error: { details?: { index?: number } }) => error.details?.index ?? -1,
  );
}

const READABLE = [false, true, false, true, true, false];

/** The log opens with it, reads what it should, and everything is as it was before the damage. */
async function expectGoesOn(storage: LogStorage): Promise<void> {
  const log = await openAt(filled.site, LATER_MS, storage);
  await log.disposition.runRetention();
  await settled(storage);
  expect(await readable(log)).toEqual(READABLE);
  await log.close();
  expect(await picture(storage)).toEqual(await picture(filled.site.storage));
  expect((await check(storage)).findings).toEqual([]);
}

/** A key of one of the tables, by what it is about. */
type KeyOf = () => Promise<string>;

const accessDay: KeyOf = async () => classDayKey("access", TODAY);
const holdDay: KeyOf = async () => classDayKey(holdClass({ id: filled.personHold }), TODAY);
const eventDay: KeyOf = async () => dayKey(TODAY);
const erasedDay: KeyOf = async () => `day:${classDayKey("auth", TODAY)}`;
const erasedTag: KeyOf = async () =>
  (await keysOf(filled.site.storage, TABLE.erased)).find((key) => key.startsWith("tag:")) ?? "";
const erasure: KeyOf = async () => filled.erasure;
const expiry: KeyOf = async () => filled.expiry;
const liftedHold: KeyOf = async () => filled.liftedHold;
const personHold: KeyOf = async () => filled.personHold;
const current: KeyOf = async () => (await keysOf(filled.site.storage, TABLE.rules))[0] ?? "";

test("finds nothing in a log of which much was destroyed", async () => {
  const storage = await copyOf(filled.site.storage);
  const report = await check(storage);
  expect([report.findings, report.counts.erased]).toEqual([[], 3]);
  const { storage: same, keyStore: _, ...rest } = await optionsOf(storage);
  expect((await fsckLog({ ...rest, storage: same })).findings).toEqual([]);
  await expectGoesOn(storage);
});

describe("a row that is gone is named, and rebuilt", () => {
  test.each<[string, string, KeyOf, string]>([
    ["of a class-day", TABLE.classDay, accessDay, "retention-row-mismatch"],
    ["of what a hold keeps of a day", TABLE.classDay, holdDay, "retention-row-mismatch"],
    ["of a day of events", TABLE.eventDay, eventDay, "erased-row-mismatch"],
    ["of an erased class-day", TABLE.erased, erasedDay, "erased-row-mismatch"],
    ["of an erased tag", TABLE.erased, erasedTag, "erased-row-mismatch"],
    ["of a person's erasure", TABLE.destruction, erasure, "erased-row-mismatch"],
    ["of a class-day's destruction", TABLE.destruction, expiry, "erased-row-mismatch"],
    ["of the rules", TABLE.rules, current, "rules-row-mismatch"],
    ["of a hold that was lifted", TABLE.hold, liftedHold, "hold-row-mismatch"],
  ])("%s", async (_, table, keyOf, code) => {
    const storage = await copyOf(filled.site.storage);
    await storage.deleteRows(table, [await keyOf()]);
    expect(codes(await check(storage))).toContain(code);
    const { written, after } = await repair(storage);
    expect([written[table], after.findings]).toEqual([1, []]);
    await expectGoesOn(storage);
  });
});

test("a class-day's row that was gone has the promise of the rules again", async () => {
  const storage = await copyOf(filled.site.storage);
  const before = await rowOf(storage, TABLE.classDay, await accessDay());
  await storage.deleteRows(TABLE.classDay, [await accessDay()]);
  await repair(storage);
  expect(await rowOf(storage, TABLE.classDay, await accessDay())).toEqual(before);
  expect(decodeClassDay(before).atLeastDays).toBe(60);
});

describe("a row that says something else is named, and mended", () => {
  test.each<[string, string, KeyOf, string]>([
    ["of a class-day", TABLE.classDay, accessDay, "retention-row-mismatch"],
    ["of what a hold keeps of a day", TABLE.classDay, holdDay, "retention-row-mismatch"],
    ["of an erased class-day", TABLE.erased, erasedDay, "erased-row-mismatch"],
    ["of an erased tag", TABLE.erased, erasedTag, "erased-row-mismatch"],
    ["of a person's erasure", TABLE.destruction, erasure, "erased-row-mismatch"],
    ["of a class-day's destruction", TABLE.destruction, expiry, "erased-row-mismatch"],
    ["of the rules", TABLE.rules, current, "rules-row-mismatch"],
  ])("%s", async (_, table, keyOf, code) => {
    const storage = await copyOf(filled.site.storage);
    await storage.putRows([{ table, key: await keyOf(), value: encodeCbor([1, 2, 3, 4]) }]);
    expect(codes(await check(storage))).toContain(code);
    const { written, after } = await repair(storage);
    expect([written[table], after.findings]).toEqual([1, []]);
    await expectGoesOn(storage);
  });

  test.each([
    ["shorter than the rules say", 59, 60],
    ["longer than the rules say", 61, 60],
  ])("of a promise %s", async (_, stored, wanted) => {
    const storage = await copyOf(filled.site.storage);
    const key = await accessDay();
    const row = decodeClassDay(await rowOf(storage, TABLE.classDay, key));
    await storage.putRows([{ table: TABLE.classDay, key, value: encodeClassDay({ ...row, atLeastDays: stored }) }]);
    expect(codes(await check(storage))).toEqual(["retention-row-mismatch"]);
    await repair(storage);
    expect(decodeClassDay(await rowOf(storage, TABLE.classDay, key)).atLeastDays).toBe(wanted);
  });

  test("of a hold in force keeps whose it is", async () => {
    const storage = await copyOf(filled.site.storage);
    const before = await rowOf(storage, TABLE.hold, await personHold());
    const lifted = Buffer.from(before).toString("latin1").replace("c-1", "c-9");
    await storage.putRows([{ table: TABLE.hold, key: await personHold(), value: Buffer.from(lifted, "latin1") }]);
    expect(codes(await check(storage))).toEqual(["hold-row-mismatch"]);
    expect((await repair(storage)).after.findings).toEqual([]);
    expect(await rowOf(storage, TABLE.hold, await personHold())).toEqual(before);
  });
});

describe("a row that nothing asks for is named, and removed", () => {
  const uuid = "01890a5d-ac96-774b-bcce-b302099a8057";
  test.each<[string, string, string, unknown, string]>([
    ["of a class-day without entries", TABLE.classDay, classDayKey("auth", 7), [0, 0, 1, 0], "retention-row-mismatch"],
    [
      "of a class-day that is destroyed",
      TABLE.classDay,
      classDayKey("auth", TODAY),
      [0, 2, 3, 0],
      "retention-row-mismatch",
    ],
    ["that is no class-day", TABLE.classDay, "auth", [0, 0, 1, 0], "retention-row-mismatch"],
    ["of a day that is none", TABLE.eventDay, "today", [], "erased-row-mismatch"],
    [
      "of an erasure of a class-day",
      TABLE.erased,
      `day:${classDayKey("access", TODAY)}`,
      [1, 99],
      "erased-row-mismatch",
    ],
    ["of an erasure of a tag", TABLE.erased, `tag:${"00".repeat(16)}`, [1, 99], "erased-row-mismatch"],
    ["of a hold", TABLE.hold, uuid, { id: uuid, case: "c", setBy: "o", setAt: 1, setIndex: 1 }, "hold-row-mismatch"],
    [
      "of a destruction",
      TABLE.destruction,
      uuid,
      { request: uuid, state: "ordered", ordered: [1] },
      "erased-row-mismatch",
    ],
    ["of keys that were lost", TABLE.lost, indexKey(3), [5], "lost-row-mismatch"],
    ["of other rules", TABLE.rules, "former", [1, new Uint8Array()], "rules-row-mismatch"],
  ])("%s", async (_, table, key, value, code) => {
    const storage = await copyOf(filled.site.storage);
    await storage.putRows([{ table, key, value: encodeCbor(value as Parameters<typeof encodeCbor>[0]) }]);
    expect(codes(await check(storage))).toContain(code);
    const { written, after } = await repair(storage);
    expect([written[table], after.findings]).toEqual([1, []]);
    expect(await storage.getRow(table, key)).toBeUndefined();
    expect(await picture(storage)).toEqual(await picture(filled.site.storage));
  });
});

test("an order that is not carried out yet is carried out, though its rows were gone", async () => {
  const site = await createSite({ witnesses: 3 });
  const log = await openAt(site, START_MS);
  await log.appendEvents({ writer: "app", events: [login(1), access(4)] });
  site.network.hosts.clear();
  const { request, state } = await log.disposition.erase({ subject: "u1", ground: "asked", by: "o" });
  expect(state).toBe("ordered");
  await log.close({ graceMs: 0 });
  for (const table of [TABLE.destruction, TABLE.pending, TABLE.erased, TABLE.eventDay])
    await site.storage.deleteRows(table, await keysOf(site.storage, table));
  const { before, after } = await repairLog({ ...(await optionsOf(site.storage, site)), rulesTexts: [RULES] });
  expect(new Set(codes(before))).toEqual(new Set(["erased-row-mismatch"]));
  expect(after.findings).toEqual([]);
  for (const [at, { name }] of site.witnesses.entries()) {
    const handler = site.handlers[at];
    if (handler !== undefined) site.network.hosts.set(`${name}.example`, handler);
  }
  const again = await openAt(site, START_MS);
  expect(await again.disposition.waitForDestruction(request, 20_000)).toMatchObject({ state: "done" });
  await again.close();
  expect((await fsckLog(await optionsOf(site.storage, site))).findings).toEqual([]);
});

test("an order whose key nothing names any more is told, and is not called mended", async () => {
  const site = await createSite({ witnesses: 3 });
  const log = await openAt(site, START_MS);
  const [sent] = await log.appendEvents({ writer: "app", events: [login(1)] });
  site.network.hosts.clear();
  await log.disposition.erase({ subject: "u1", ground: "asked", by: "o" });
  await log.close({ graceMs: 0 });
  await site.storage.deleteRows(TABLE.destruction, await keysOf(site.storage, TABLE.destruction));
  await site.storage.deleteRows(TABLE.sealed, [indexKey(sent?.index ?? 0)]);
  const { after } = await repairLog({ ...(await optionsOf(site.storage, site)), rulesTexts: [RULES] });
  expect(after.findings).toContainEqual(
    expect.objectContaining({ code: "erased-row-mismatch", message: expect.stringContaining("name of its key") }),
  );
});

test("rules whose text is nowhere are told, and class-days without a row stay kept", async () => {
  const storage = await copyOf(filled.site.storage);
  await storage.deleteRows(TABLE.rules, [await current()]);
  await storage.deleteRows(TABLE.classDay, [await accessDay()]);
  const { written, after } = await repair(storage, ["version: 1\nother: { keep: 1d }\n"]);
  expect([written, codes(after)]).toEqual([{}, ["rules-row-mismatch", "retention-row-mismatch"]]);
});

test("rows on the word of entries that do not open are believed; others are compared all the same", async () => {
  const storage = await copyOf(filled.site.storage);
  for await (const { key, value } of filled.site.storage.scanRows(TABLE.leaf))
    if (decodeLeaf(value).class === "log") await storage.deleteRows(TABLE.sealed, [key]);
  const ofRows = async (): Promise<string[]> =>
    codes(await check(storage)).filter((code) => code.endsWith("-row-mismatch"));
  expect(codes(await check(storage))).toContain("sealed-missing");
  expect(await ofRows()).toEqual([]);
  await storage.deleteRows(TABLE.classDay, [await accessDay()]);
  expect(await ofRows()).toEqual(["retention-row-mismatch"]);
  expect((await repair(storage)).written).toEqual({ "class-day": 1 });
  expect(await picture(storage)).toEqual(await picture(filled.site.storage));
});

test("sealed events that were to be removed from the disk, and are there, are named, and removed by the next start", async () => {
  const { site, expired } = filled;
  const { index, sealed } = expired;
  const storage = await copyOf(site.storage);
  await storage.putRows([{ table: TABLE.sealed, key: indexKey(index), value: sealed }]);
  const { before, after } = await repair(storage);
  expect([codes(before), after.findings]).toEqual([["erased-row-mismatch"], []]);
  await expectGoesOn(storage);
  expect(await storage.getRow(TABLE.sealed, indexKey(index))).toBeUndefined();
});

test("a hold whose person nothing names any more holds all else, until it is set anew and lifted", async () => {
  const site = await createSite();
  const log = await openAt(site, START_MS);
  await log.appendEvents({ writer: "app", events: [0, 1, 2].map((n) => login(n)) });
  const { id } = await log.disposition.setHold({ by: "o", case: "c", selectors: { subject: "u1" } });
  await log.close();
  await site.storage.deleteRows(TABLE.hold, [id]);
  const { before, written, after } = await repairLog(await optionsOf(site.storage, site));
  expect([codes(before), written, codes(after)]).toEqual([["hold-row-mismatch"], { hold: 1 }, ["hold-row-mismatch"]]);
  expect((await repairLog(await optionsOf(site.storage, site))).written).toEqual({});
  const late = await openAt(site, LATER_MS);
  expect((await late.disposition.runRetention()).destroyed).toEqual([]);
  expect(await late.disposition.holds()).toMatchObject([{ id, ofPerson: false }]);
  await late.disposition.setHold({ by: "o", case: "c", selectors: { subject: "u1" } });
  await late.disposition.liftHold({ id, by: "o" });
  await settled(site.storage);
  expect((await readable(late)).slice(0, 3)).toEqual([false, true, false]);
  await late.close();
  expect((await fsckLog(await optionsOf(site.storage, site))).findings).toEqual([]);
});
