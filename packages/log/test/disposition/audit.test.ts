/** An outsider's audit and the operator's fsck of a log that erases: green after all that is ordered, and after nothing else. */
import { parsePolicy } from "@tallystick/core";
import { dayOf, decodeLeaf } from "@tallystick/events";
import { indexKey } from "@tallystick/storage";
import { describe, expect, test } from "vitest";
import { type AuditReport, type ErasedContents, type LogReader, auditLog } from "../../../client/src/verify.ts";
import { type Destruction, type Log, LogError, type LogOptions, fsckLog } from "../../src/index.ts";
import { sealAnew } from "../../src/disposition/sealing.ts";
import { LogSecrets } from "../../src/keys.ts";
import { TABLE } from "../../src/rows.ts";
import { ORIGIN, type Site, createSite, event, expectWhole, login, published, until } from "../site.ts";

const DAY_MS = 86_400_000;

/** What a log shows, without a server in between. */
function readerOf(log: Log): LogReader {
  return {
    checkpoint: async () => log.checkpoint() ?? "",
    tile: async (tile) => (await log.readTile(tile)) ?? new Uint8Array(),
    entryBundle: async (bundle) => (await log.readBundle(bundle)) ?? new Uint8Array(),
  };
}

async function openingIn(log: Log, index: number): Promise<Uint8Array | ErasedContents | undefined> {
  try {
    return (await log.readEvent({ index, reader: "auditor" })).opening;
  } catch (error) {
    if (!(error instanceof LogError)) throw error;
    const { certificate } = error.details;
    if (error.code === "erased") return typeof certificate === "number" ? { certificate } : {};
    if (error.code === "log-corrupt") return undefined;
    throw error;
  }
}

async function audit(site: Site, log: Log): Promise<AuditReport> {
  await published(log);
  const policy = parsePolicy(site.policyText);
  return auditLog({
    reader: readerOf(log),
    policy,
    openingOf: async (index) => openingIn(log, index),
    now: site.clock.nowMs,
  });
}

async function expectVerified(site: Site, log: Log): Promise<AuditReport["counts"]> {
  const { verdict, findings, counts } = await audit(site, log);
  expect({ verdict, findings }).toEqual({ verdict: "VERIFIED", findings: [] });
  return counts;
}

/** Codes and indexes of what an audit and a fsck find. */
async function findings(site: Site, log: Log): Promise<{ audit: string[]; fsck: string[] }> {
  const { findings: audited } = await audit(site, log);
  await log.close();
  const { storage, keyStore, keys } = site;
  const verifiers = keys.signers.map(({ verifier }) => verifier);
  const checked = await fsckLog({ storage, keyStore, origin: ORIGIN, verifiers });
  const shown = ({ code, index = -1 }: { code: string; index?: number }): string => `${code} ${index}`;
  return { audit: audited.map(shown), fsck: checked.findings.map(shown) };
}

async function opened(site: Site, overrides: Partial<LogOptions> = {}): Promise<Log> {
  const log = await site.open({ confirmClock: true, ...overrides });
  await until(() => log.status().state === "ok");
  return log;
}

/** Nine logins of three persons. */
async function filled(site: Site, overrides: Partial<LogOptions> = {}): Promise<Log> {
  const log = await opened(site, overrides);
  await log.appendEvents({ writer: "app", events: Array.from({ length: 9 }, (_, n) => login(n)) });
  return log;
}

async function erase(log: Log, subject: string): Promise<Destruction> {
  const { request } = await log.disposition.erase({ subject, ground: "GDPR Art. 17", by: "officer-1" });
  return log.disposition.waitForDestruction(request, 20_000);
}

/** Starts the log again some days later; what is due by then is destroyed. */
async function daysLater(site: Site, log: Log, days: number): Promise<Log> {
  await log.close();
  site.clock.nowMs += days * DAY_MS;
  const again = await opened(site, UNDER_RULES);
  await again.disposition.runRetention();
  await destroyed(again);
  return again;
}

async function destroyed(log: Log): Promise<void> {
  for (const { request, state } of await log.disposition.destructions())
    if (state !== "held") await log.disposition.waitForDestruction(request, 20_000);
}

const RULES =
  "version: 1\nclasses:\n  auth: { keep: 30d }\n  account: { keep: 1y, erase: at-expiry }\nother: { keep: 1y }\n";
const UNDER_RULES = { proposedRules: async (): Promise<string> => RULES };

describe("audit and fsck", () => {
  test("stay green while persons are erased, come back and are erased again", async () => {
    const site = await createSite({ witnesses: 3 });
    const log = await filled(site);
    expect(await expectVerified(site, log)).toMatchObject({ erased: 0, erasuresOrdered: 0 });
    await erase(log, "u2");
    expect(await expectVerified(site, log)).toMatchObject({ erased: 3, erasuresOrdered: 1, erasuresDone: 1 });
    await log.appendEvents({ writer: "app", events: [login(11), login(14)] });
    expect(await expectVerified(site, log)).toMatchObject({ erased: 3 });
    await erase(log, "u2");
    await erase(log, "u0");
    expect(await expectVerified(site, log)).toMatchObject({ erased: 8, erasuresOrdered: 3, erasuresDone: 3 });
    await log.close();
    await expectWhole(site);
  });

  test("stay green where a person has more tags than one certificate takes", async () => {
    const site = await createSite({ witnesses: 3 });
    const log = await opened(site);
    const events = Array.from({ length: 401 }, (_, n) => login(3 * n, { time: site.clock.nowMs - n * DAY_MS }));
    await log.appendEvents({ writer: "app", events });
    await erase(log, "u0");
    expect(await expectVerified(site, log)).toMatchObject({ erased: 401, erasuresOrdered: 1, erasuresDone: 1 });
    await log.close();
    await expectWhole(site);
  });

  test("stay green while what a duty keeps is kept, and what a hold keeps, till it is lifted", async () => {
    const site = await createSite({ witnesses: 3 });
    const first = await filled(site, UNDER_RULES);
    const disabled = {
      type: "account.disable",
      outcome: "success",
      actor: { type: "user", id: "u1" },
      subject: { id: "u2" },
    };
    await first.appendEvents({ writer: "app", events: [event(20, disabled)] });
    await erase(first, "u2");
    // Of the three logins and what was done to them, the latter is kept.
    expect(await expectVerified(site, first)).toMatchObject({ erased: 3 });
    const { id } = await first.disposition.setHold({ by: "officer-1", case: "c-1", selectors: { subject: "u1" } });
    const second = await daysLater(site, first, 40);
    expect(await expectVerified(site, second)).toMatchObject({ erased: 6 });
    const { storage, keys } = site;
    const verifiers = keys.signers.map(({ verifier }) => verifier);
    // Without keys, what was removed from the disk is what the rows say was erased.
    const blind = await fsckLog({ storage, origin: ORIGIN, verifiers });
    expect(blind).toMatchObject({ findings: [], counts: { opened: 0, erased: 6 } });
    await second.disposition.liftHold({ id, by: "officer-1" });
    await destroyed(second);
    expect(await expectVerified(site, second)).toMatchObject({ erased: 9 });
    const third = await daysLater(site, second, 400);
    // And the start of the log's own stream, which is of a class that is kept for a year.
    expect(await expectVerified(site, third)).toMatchObject({ erased: 11 });
    await third.close();
    await expectWhole(site);
  });

  test("stay green while a hold stops the erasure of a person of whom a duty keeps something", async () => {
    const site = await createSite({ witnesses: 3 });
    const log = await filled(site, UNDER_RULES);
    const created = { type: "account.create", outcome: "success", actor: { type: "user", id: "u0" } };
    const [{ index } = { index: 0 }] = await log.appendEvents({ writer: "app", events: [event(21, created)] });
    await log.disposition.setHold({ by: "officer-1", case: "c-1", selectors: { subject: "u0" } });
    const held = await log.disposition.erase({ subject: "u0", ground: "asked", by: "officer-1" });
    expect(held.state).toBe("held");
    expect(await expectVerified(site, log)).toMatchObject({ erased: 0 });
    const later = await daysLater(site, log, 400);
    // What is held is found by its person. Six logins of others went, and the start of the log's own stream.
    expect(await expectVerified(site, later)).toMatchObject({ erased: 7 });
    expect(await openingIn(later, index)).toBeInstanceOf(Uint8Array);
    await later.close();
    await expectWhole(site);
  });

  test("stay green where an erasure is refused that no certificate could tell of", async () => {
    const site = await createSite({ witnesses: 3 });
    const log = await filled(site);
    for (const wrong of [{ by: "" }, { by: "b".repeat(257) }, { approvedBy: "two\nlines" }]) {
      const input = { subject: "u0", ground: "asked", by: "officer-1", ...wrong };
      await expect(log.disposition.erase(input)).rejects.toMatchObject({ code: "certificate-malformed" });
    }
    expect(await expectVerified(site, log)).toMatchObject({ erased: 0, erasuresOrdered: 0 });
    expect(await log.disposition.destructions()).toEqual([]);
    await log.close();
    await expectWhole(site);
  });

  test("name a sealed event that root deleted, and no other", async () => {
    const site = await createSite({ witnesses: 3 });
    const log = await filled(site);
    await erase(log, "u2");
    await site.storage.deleteRows(TABLE.sealed, [indexKey(4)]);
    expect(await findings(site, log)).toEqual({ audit: ["contents-destroyed 4"], fsck: ["sealed-missing 4"] });
  });

  test("name what root deleted of an erased person though a duty keeps it, until its day is over", async () => {
    const site = await createSite({ witnesses: 3 });
    const log = await filled(site, UNDER_RULES);
    const created = { type: "account.create", outcome: "success", actor: { type: "user", id: "u2" } };
    const [{ index } = { index: 0 }] = await log.appendEvents({ writer: "app", events: [event(21, created)] });
    const { ordered: [ordered] = [], kept } = await erase(log, "u2");
    expect(kept).toEqual([["account", 1]]);
    expect(await expectVerified(site, log)).toMatchObject({ erased: 3 });
    await site.storage.deleteRows(TABLE.sealed, [indexKey(index)]);
    const { findings: found } = await audit(site, log);
    expect(found.map(({ code, index: at }) => `${code} ${at}`)).toEqual([`contents-destroyed ${ordered}`]);
    // The logins fall due, which excuses nothing; then what was to be kept does.
    const between = await daysLater(site, log, 40);
    expect((await audit(site, between)).findings).toHaveLength(1);
    const later = await daysLater(site, between, 400);
    expect(await expectVerified(site, later)).toMatchObject({ erased: 11 });
  });

  test("name what lost its key without a certificate", async () => {
    const site = await createSite({ witnesses: 3 });
    const log = await filled(site);
    await erase(log, "u2");
    await published(log);
    await log.close();
    await site.keyStore.destroy([{ kind: "class-day", name: `auth ${dayOf(site.clock.nowMs)}` }]);
    const again = await opened(site);
    const lost = [0, 1, 3, 4, 6, 7].map((index) => `contents-destroyed ${index}`);
    expect(await findings(site, again)).toEqual({ audit: lost, fsck: lost });
  });

  test("name an entry that is sealed anew, as for a hold or a duty, where no certificate covers it", async () => {
    const site = await createSite({ witnesses: 3 });
    const log = await filled(site);
    await erase(log, "u2");
    const secrets = new LogSecrets(site.keyStore);
    for (const [index, name, keepPerson] of [
      [0, "hold-0123abcd", true],
      [1, "auth", false],
      [3, "hold-0123abcd", false],
      [4, "hold-x", true],
    ] as const) {
      const key = indexKey(index);
      const row = (await site.storage.getRow(TABLE.sealed, key)) ?? new Uint8Array();
      const leaf = decodeLeaf(await log.readLeaf(index));
      const random = (bytes: number): Uint8Array => new Uint8Array(bytes).fill(index);
      const value = sealAnew({ secrets, random, row, leaf, class: name, keepPerson });
      if (value === undefined) throw new Error("it opens");
      await site.storage.putRows([{ table: TABLE.sealed, key, value }]);
    }
    const { audit: audited, fsck } = await findings(site, log);
    expect(audited).toEqual([]);
    const malformed = fsck.filter((found) => found.startsWith("sealed-malformed"));
    expect(malformed.toSorted()).toEqual([0, 1, 3, 4].map((index) => `sealed-malformed ${index}`));
  });
});
