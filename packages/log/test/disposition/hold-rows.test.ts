/** Legal holds on the disk: whoever can write there ends none of them unnoticed. */
import { dayOf } from "@tallystick/events";
import { expect, test } from "vitest";
import { type HoldRecord, decodeHold, holdRow } from "../../src/disposition/holds.ts";
import { type Log, repairLog } from "../../src/index.ts";
import { TABLE } from "../../src/rows.ts";
import { ORIGIN, START_MS, type Site, createSite, expectWhole, login, until } from "../site.ts";
import { opens } from "./opens.ts";

const DAY_MS = 86_400_000;
const RULES = "version: 1\nclasses:\n  auth: { keep: 1d }\nother: { keep: 400d }\n";

async function openAt(site: Site, nowMs: number): Promise<Log> {
  site.clock.nowMs = nowMs;
  const log = await site.open({ confirmClock: true, proposedRules: async () => RULES });
  await until(() => log.status().state === "ok" && log.disposition.rules().index !== undefined);
  return log;
}

test.each<[string, (auth: number) => Partial<HoldRecord>]>([
  ["lifted", () => ({ liftedAt: START_MS, liftedBy: "officer-1" })],
  ["lifted, by the entry that set it", () => ({ liftedAt: START_MS, liftedBy: "officer-1", liftedIndex: 2 })],
  ["lifted, by somebody else's event", (auth) => ({ liftedAt: START_MS, liftedBy: "officer-1", liftedIndex: auth })],
  ["for another class", () => ({ class: "access" })],
  ["for another time", () => ({ to: START_MS })],
  ["for one person", () => ({ person: "00".repeat(16) })],
  ["for one operation", () => ({ operation: "op-1" })],
  ["by somebody else's event", (auth) => ({ setIndex: auth })],
])("a log does not open with a hold that is changed to be %s; fsck repairs it, and it holds", async (_, changes) => {
  const site = await createSite();
  const log = await openAt(site, START_MS);
  const [{ index: auth } = { index: -1 }] = await log.appendEvents({ writer: "app", events: [login(1)] });
  const { id } = await log.disposition.setHold({ by: "officer-1", case: "c-1", selectors: { class: "auth" } });
  await log.close();
  const before = (await site.storage.getRow(TABLE.hold, id)) ?? new Uint8Array();
  await site.storage.putRows([holdRow({ ...decodeHold(before), ...changes(auth) })]);
  await expect(site.open({ confirmClock: true })).rejects.toMatchObject({ code: "log-corrupt" });
  const verifiers = site.keys.signers.map(({ verifier }) => verifier);
  await repairLog({ storage: site.storage, keyStore: site.keyStore, origin: ORIGIN, verifiers });
  const late = await openAt(site, START_MS + 5 * DAY_MS);
  expect((await late.disposition.runRetention()).destroyed).toEqual([]);
  expect(await opens(late, auth)).toBe(true);
  await late.disposition.liftHold({ id, by: "officer-1" });
  const [gone] = await late.disposition.destructions();
  expect(gone?.scope).toMatchObject({ class: "auth", day: dayOf(START_MS) });
  await late.disposition.waitForDestruction(gone?.request ?? "", 20_000);
  await late.close();
  await expectWhole(site);
});
