import { describe, expect, test } from "vitest";
import { dayOf, decodeLeaf, parseCertificate } from "@tallystick/events";
import { indexKey } from "@tallystick/storage";
import type { Hold, Log, LogOptions } from "../../src/index.ts";
import { LogSecrets } from "../../src/keys.ts";
import { START_MS, type Site, createSite, event, expectWhole, login, until } from "../site.ts";
import { WatchedStorage } from "../watched-storage.ts";
import { opens } from "./opens.ts";

const DAY_MS = 86_400_000;
const RULES = `version: 1
classes:
  auth: { keep: 30d, atLeast: 10d }
  access: { keep: 90d }
other: { keep: 400d }
`;

/** A log whose clock may be set as far as one likes between two openings. */
async function openAt(site: Site, nowMs: number, overrides: Partial<LogOptions> = {}): Promise<Log> {
  site.clock.nowMs = nowMs;
  const log = await site.open({ confirmClock: true, proposedRules: async () => RULES, ...overrides });
  await until(() => log.status().state === "ok" && log.disposition.rules().index !== undefined);
  return log;
}

function access(n: number, fields: Readonly<Record<string, unknown>> = {}): ReturnType<typeof event> {
  const targets = [{ type: "invoice", id: "i1" }];
  return event(n, {
    type: "access.read",
    outcome: "success",
    actor: { type: "user", id: `u${n % 3}` },
    targets,
    ...fields,
  });
}

async function append(log: Log, events: readonly ReturnType<typeof event>[]): Promise<number[]> {
  return (await log.appendEvents({ writer: "app", events })).map(({ index }) => index);
}

/** Runs retention until all that it ordered is destroyed, and pruned. */
async function run(log: Log, site: Site): Promise<readonly { class: string; day: number }[]> {
  const { destroyed } = await log.disposition.runRetention();
  await settled(log, site);
  return destroyed.map(({ class: retentionClass, day }) => ({ class: retentionClass, day }));
}

async function settled(log: Log, site: Site): Promise<void> {
  const pending = async (): Promise<boolean> => {
    for await (const _row of site.storage.scanRows("pending")) return true;
    return false;
  };
  const deadline = performance.now() + 20_000;
  while (await pending()) {
    if (performance.now() > deadline) throw new Error("something is still pending after 20 s");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  expect((await log.disposition.destructions()).every(({ state }) => state === "done")).toBe(true);
}

async function held(log: Log, selectors: Parameters<Log["disposition"]["setHold"]>[0]["selectors"]): Promise<Hold> {
  return log.disposition.setHold({ by: "officer-1", case: "case-7", reason: "a lawsuit", selectors });
}

const today = dayOf(START_MS);

describe("retention", () => {
  test("destroys a class-day at the end of its last day, not a millisecond before, and prunes it", async () => {
    const site = await createSite();
    const log = await openAt(site, START_MS);
    const [auth = 0, read = 0] = await append(log, [login(0), access(1)]);
    const dueAt = (today + 31) * DAY_MS;
    const classDays = [];
    for await (const classDay of log.disposition.classDays()) classDays.push(classDay);
    expect(classDays).toContainEqual(
      expect.objectContaining({ class: "auth", day: today, count: 1, dueAt, atLeastDays: 10 }),
    );
    expect(classDays).toContainEqual(expect.objectContaining({ class: "log", dueAt: undefined }));
    await log.close();
    const early = await openAt(site, dueAt - 1);
    expect(await run(early, site)).toEqual([]);
    expect(await opens(early, auth)).toBe(true);
    await early.close();
    const late = await openAt(site, dueAt);
    await late.disposition.runRetention();
    await settled(late, site);
    expect([await opens(late, auth), await opens(late, read)]).toEqual([false, true]);
    expect(await site.storage.getRow("sealed", indexKey(auth))).toBeUndefined();
    expect(await site.storage.getRow("sealed", indexKey(read))).toBeDefined();
    const [destruction] = await late.disposition.destructions();
    expect(destruction).toMatchObject({
      kind: "class-day",
      state: "done",
      ground: "retention",
      scope: { class: "auth", day: today, first: auth, last: auth, count: 1 },
    });
    const { event: certificate } = await late.readEvent({ index: destruction?.ordered?.[0] ?? 0, reader: "auditor" });
    expect(parseCertificate(certificate)).toMatchObject({
      state: "ordered",
      scope: { classDay: { class: "auth", day: today } },
    });
    await late.close();
    await expectWhole(site);
  });

  test("a promise binds: shorter rules shorten nothing that was promised when it was logged", async () => {
    const site = await createSite();
    const log = await openAt(site, START_MS);
    const [promised = 0] = await append(log, [login(0)]);
    await log.disposition.applyRules({
      text: "version: 1\nclasses:\n  auth: { keep: 1d }\nother: { keep: 1d }\n",
      by: "officer-1",
    });
    await log.close();
    const between = await openAt(site, (today + 3) * DAY_MS);
    const [unpromised = 0] = await append(between, [login(1)]);
    await between.close();
    const before = await openAt(site, (today + 11) * DAY_MS - 1);
    await run(before, site);
    expect([await opens(before, promised), await opens(before, unpromised)]).toEqual([true, false]);
    await before.close();
    const after = await openAt(site, (today + 11) * DAY_MS);
    await run(after, site);
    expect(await opens(after, promised)).toBe(false);
  });

  test("rules that nobody approved change nothing, are told, and are logged as a failed check", async () => {
    const site = await createSite();
    const first = await openAt(site, START_MS);
    const approved = first.disposition.rules();
    await first.close();
    const other = await site.open({ proposedRules: async () => "version: 1\nother: { keep: 1d }\n" });
    await until(() => other.status().reasons.some(({ code }) => code === "rules-not-approved"));
    expect(other.disposition.rules()).toEqual(approved);
    const { event: check } = await other.readEvent({ index: other.size() - 1, reader: "auditor" });
    expect(check).toMatchObject({ type: "log.check", outcome: "failure", context: { check: "rules", held: false } });
    const text = "version: 1\nother: { keep: 1d }\n";
    await other.disposition.applyRules({ text, by: "officer-1", approvedBy: "officer-2" });
    await until(() => other.status().state === "ok");
    expect(await other.disposition.checkRules(text)).toBe(true);
  });

  test("a clock that is not believed destroys nothing", async () => {
    const site = await createSite();
    const log = await openAt(site, START_MS);
    const [auth = 0] = await append(log, [login(0)]);
    site.clock.nowMs += 1000 * DAY_MS;
    await expect(log.disposition.runRetention()).rejects.toMatchObject({ code: "clock-jumped" });
    site.clock.nowMs = START_MS;
    expect(await opens(log, auth)).toBe(true);
  });
});

describe("a legal hold", () => {
  test("of a class keeps its class-days whole until it is lifted, and what is overdue goes at once", async () => {
    const site = await createSite();
    const log = await openAt(site, START_MS);
    const [auth = 0] = await append(log, [login(0)]);
    const hold = await held(log, { class: "auth" });
    await log.close();
    const late = await openAt(site, START_MS + 100 * DAY_MS);
    expect(await run(late, site)).not.toContainEqual(expect.objectContaining({ class: "auth", day: today }));
    expect(await opens(late, auth)).toBe(true);
    const lifted = await late.disposition.liftHold({ id: hold.id, by: "officer-2" });
    expect(lifted).toMatchObject({ setBy: "officer-1", liftedBy: "officer-2", case: "case-7" });
    expect(await opens(late, auth)).toBe(false);
    await settled(late, site);
    expect(await late.disposition.holds()).toEqual([]);
    expect(await late.disposition.holds({ lifted: true })).toHaveLength(1);
    await late.close();
    await expectWhole(site);
  });

  test.each([true, false])(
    "is of somebody about whom something is held, whoever comes first (the erasure: %s)",
    async (first) => {
      const site = await createSite();
      const log = await openAt(site, START_MS);
      for (let n = 0; n < 5; n += 1) {
        await append(log, [login(3 * n)]);
        const erase = async (): Promise<string> =>
          log.disposition.erase({ subject: "u0", ground: "g", by: "o" }).then(({ state }) => state);
        const hold = async (): Promise<string> =>
          held(log, { subject: "u0" }).then(
            ({ id }) => id,
            (error: unknown) => (error as { code: string }).code,
          );
        const [one, other] = await Promise.all(first ? [erase(), hold()] : [hold(), erase()]);
        const [erasure, id] = first ? [one, other] : [other, one];
        // Never a hold of somebody of whom nothing is left.
        expect([erasure, id !== "subject-unknown"]).toEqual([erasure, erasure === "held"]);
        if (erasure === "held") await log.disposition.liftHold({ id, by: "o" });
      }
    },
  );

  test.each([
    ["a person", { subject: "u1" }],
    ["an operation", { operation: "op-1" }],
  ])("of %s keeps just what it covers, sealed anew, and the rest of the class-day goes", async (_, selectors) => {
    const site = await createSite();
    const log = await openAt(site, START_MS);
    const indexes = await append(log, [login(0), login(1, { operation: "op-1" }), login(2)]);
    const hold = await held(log, selectors);
    expect(JSON.stringify((await log.readEvent({ index: hold.setIndex, reader: "auditor" })).event)).not.toContain(
      "u1",
    );
    await log.close();
    const late = await openAt(site, START_MS + 40 * DAY_MS);
    await run(late, site);
    expect(await Promise.all(indexes.map(async (index) => opens(late, index)))).toEqual([false, true, false]);
    const destructions = await late.disposition.destructions();
    expect(destructions).toContainEqual(expect.objectContaining({ kept: [["auth", 1]] }));
    await late.disposition.liftHold({ id: hold.id, by: "officer-1" });
    expect(await Promise.all(indexes.map(async (index) => opens(late, index)))).toEqual([false, false, false]);
    await settled(late, site);
    for (const index of indexes) expect(await site.storage.getRow("sealed", indexKey(index))).toBeUndefined();
    await late.close();
    await expectWhole(site);
  });

  test("two holds over one entry: it goes with the second that is lifted", async () => {
    const site = await createSite();
    const log = await openAt(site, START_MS);
    const [index = 0, other = 0] = await append(log, [login(1, { operation: "op-1" }), login(2)]);
    const first = await held(log, { subject: "u1" });
    const second = await held(log, { operation: "op-1" });
    await log.close();
    const late = await openAt(site, START_MS + 40 * DAY_MS);
    await run(late, site);
    expect([await opens(late, index), await opens(late, other)]).toEqual([true, false]);
    await late.disposition.liftHold({ id: first.id, by: "o" });
    await settled(late, site);
    expect(await opens(late, index)).toBe(true);
    await late.disposition.liftHold({ id: second.id, by: "o" });
    await settled(late, site);
    expect(await opens(late, index)).toBe(false);
    await late.close();
    await expectWhole(site);
  });

  test("that was lifted when the log died keeps nothing: the next start destroys what it kept", async () => {
    const site = await createSite();
    const log = await openAt(site, START_MS);
    const [index = 0] = await append(log, [login(1), login(2)]);
    const hold = await held(log, { subject: "u1" });
    await log.close();
    const storage = new WatchedStorage(site.storage);
    const late = await openAt(site, START_MS + 40 * DAY_MS, { storage });
    await run(late, site);
    expect(await opens(late, index)).toBe(true);
    storage.failCommit("integrated", "after");
    await expect(late.disposition.liftHold({ id: hold.id, by: "o" })).rejects.toMatchObject({
      code: "outcome-unknown",
    });
    await late.close();
    const again = await openAt(site, START_MS + 40 * DAY_MS);
    expect(await again.disposition.holds()).toEqual([]);
    const deadline = performance.now() + 10_000;
    while ((await opens(again, index)) && performance.now() < deadline) await settled(again, site);
    expect(await opens(again, index)).toBe(false);
    await settled(again, site);
    expect(await site.storage.getRow("sealed", indexKey(index))).toBeUndefined();
    await again.close();
    await expectWhole(site);
  });

  test.each([
    ["the person", { subject: "u1" }],
    ["a class", { class: "access" }],
    ["a time", { from: START_MS - 1, to: START_MS + 1 }],
  ])("of %s stops an erasure, which is carried out when it is lifted, also after a restart", async (_, selectors) => {
    const site = await createSite();
    const log = await openAt(site, START_MS);
    const [index = 0] = await append(log, [login(1), access(4)]);
    const hold = await held(log, selectors);
    const { request, state } = await log.disposition.erase({ subject: "u1", ground: "asked", by: "officer-1" });
    expect(state).toBe("held");
    expect(await opens(log, index)).toBe(true);
    await log.close();
    const again = await openAt(site, START_MS);
    expect((await again.disposition.destruction(request)).state).toBe("held");
    await again.disposition.liftHold({ id: hold.id, by: "officer-1" });
    expect((await again.disposition.waitForDestruction(request, 10_000)).state).toBe("done");
    expect(await opens(again, index)).toBe(false);
    await again.close();
    await expectWhole(site);
  });

  test("that is lifted while its person is erased keeps nothing: a duty that is over seals nothing under a key that is gone", async () => {
    const rules = "version: 1\nclasses:\n  access: { keep: 30d, erase: at-expiry }\nother: { keep: 400d }\n";
    const site = await createSite();
    const log = await openAt(site, START_MS, { proposedRules: async () => rules });
    const [overdue = 0, other = 0] = await append(log, [access(1), login(4)]);
    const { id } = await held(log, { subject: "u1" });
    await log.close();
    const late = await openAt(site, START_MS + 40 * DAY_MS, { proposedRules: async () => rules });
    await run(late, site);
    expect(await opens(late, overdue)).toBe(true);
    const [, { request }] = await Promise.all([
      late.disposition.liftHold({ id, by: "o" }),
      late.disposition.erase({ subject: "u1", ground: "asked", by: "o" }),
    ]);
    expect(await late.disposition.waitForDestruction(request, 10_000)).toMatchObject({ state: "done" });
    await settled(late, site);
    expect([await opens(late, overdue), await opens(late, other)]).toEqual([false, false]);
    const secrets = new LogSecrets(site.keyStore);
    for (const index of [overdue, other]) {
      const row = await site.storage.getRow("sealed", indexKey(index));
      const { commitment } = decodeLeaf(await late.readLeaf(index));
      expect(row === undefined ? "pruned" : secrets.examine({ row, commitment }).kind).not.toBe("opened");
    }
    await late.close();
    await expectWhole(site);
  });

  test("that is lifted ends, whatever becomes of an erasure that another one stops", async () => {
    const site = await createSite();
    const log = await openAt(site, START_MS);
    // As many as it takes for the first of them to be far from the right edge, which is read whenever a head is signed.
    const others = Array.from({ length: 300 }, (_, n) => login(3 * n + 3));
    const [damaged = 0, due = 0] = await append(log, [access(1), login(2), ...others]);
    const { id } = await held(log, { class: "auth" });
    await held(log, { class: "access" });
    expect((await log.disposition.erase({ subject: "u1", ground: "asked", by: "o" })).state).toBe("held");
    await log.close();
    const late = await openAt(site, START_MS + 40 * DAY_MS);
    await late.disposition.runRetention();
    expect(await opens(late, due)).toBe(true);
    await site.storage.deleteRows("leaf", [indexKey(damaged)]);
    await expect(late.disposition.liftHold({ id, by: "o" })).rejects.toMatchObject({ code: "log-corrupt" });
    expect(await opens(late, due)).toBe(false);
  });

  test("lifted twice at once carries out what it stopped once, and the order is not forgotten", async () => {
    const site = await createSite();
    const log = await openAt(site, START_MS);
    await append(log, [login(1)]);
    const { id } = await held(log, { subject: "u1" });
    const { request } = await log.disposition.erase({ subject: "u1", ground: "asked", by: "officer-1" });
    await Promise.all([1, 2, 3].map(async () => log.disposition.liftHold({ id, by: "officer-1" })));
    expect(await log.disposition.waitForDestruction(request, 10_000)).toMatchObject({
      state: "done",
      ordered: [expect.any(Number)],
      done: expect.any(Number),
    });
    await log.close();
    await expectWhole(site);
  });

  test("that covers nothing of a person stops no erasure", async () => {
    const site = await createSite();
    const log = await openAt(site, START_MS);
    await append(log, [login(1), access(2)]);
    await held(log, { class: "access" });
    await held(log, { subject: "u2" });
    expect((await log.disposition.erase({ subject: "u1", ground: "asked", by: "o" })).state).toBe("ordered");
  });

  test("without any selector is refused, and so is lifting one that is not there", async () => {
    const log = await openAt(await createSite(), START_MS);
    await expect(held(log, {})).rejects.toThrow(RangeError);
    await expect(log.disposition.liftHold({ id: "none", by: "o" })).rejects.toMatchObject({ code: "hold-unknown" });
  });
});
