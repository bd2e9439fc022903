/** The audit rule: every entry opens, or a certificate of an erasure covers it. */
import { encodeHex, parsePolicy, sha256, utf8 } from "@tallystick/core";
import { type Certificate, type Finding, LeafAudit, type PromisedDays, decodeLeaf } from "@tallystick/events";
import { beforeEach, describe, expect, test } from "vitest";
import { type AuditOptions, type AuditReport, type OpeningsOf, auditLog, createHttpLogReader } from "../src/verify.ts";
import { ContentsAudit } from "../src/audit-contents.ts";
import { DAY, DAY_MS, ErasedLog, START, doneOf, orderOf, requestOf } from "./support/erased-log.ts";

let log: ErasedLog;

beforeEach(async () => {
  log = new ErasedLog();
  // Three logins of each, three of their sessions, and what an admin did to anna.
  for (const id of ["anna", "bob", "anna", "bob", "anna", "bob"]) await log.login(id);
  await log.report({ type: "session.activity", actor: { type: "user", id: "bob" }, session: { id: "ab".repeat(32) } });
  await log.report({ type: "session.activity", actor: { type: "user", id: "bob" }, session: { id: "ab".repeat(32) } });
  await log.report({
    type: "access.read",
    actor: { type: "user", id: "admin" },
    subject: { id: "anna" },
    targets: [{ type: "file", id: "f" }],
  });
});

async function audit(options: Partial<AuditOptions> = {}): Promise<AuditReport> {
  const reader = createHttpLogReader({ url: log.log.url, fetch: log.log.fetch });
  return auditLog({ reader, policy: parsePolicy(log.log.policyText), openingOf: log.openingOf, ...options });
}

function codes(report: AuditReport): string[] {
  return report.findings.map(({ code, index }) => (index === undefined ? code : `${code} ${index}`));
}

/** Erases anna as the log does: every entry about her names the certificate. */
async function eraseAnna(changes: Partial<Certificate> = {}): Promise<{ order: Certificate; ordered: number }> {
  const tags = [log.tagOf("anna"), log.tagOf("anna", "subject")];
  const order = orderOf(log, { tags: tags.map((tag) => log.chainOf(tag)) }, changes);
  const ordered = await log.certify(order);
  log.erase(
    tags.flatMap((tag) => log.about(tag)),
    ordered,
  );
  return { order, ordered };
}

/** Destroys the day of class `session`, on the day after. */
async function expireSessions(changes: Partial<Certificate> = {}): Promise<{ order: Certificate; ordered: number }> {
  log.now = START + DAY_MS;
  const order = orderOf(
    log,
    { classDay: { class: "session", day: DAY, first: 6, last: 7, count: 2 } },
    { ground: "retention", ...changes },
  );
  const ordered = await log.certify(order);
  log.erase([6, 7], ordered);
  return { order, ordered };
}

describe("an erasure", () => {
  test("of a person keeps the audit green, ordered and done", async () => {
    const { order, ordered } = await eraseAnna();
    expect(await audit()).toMatchObject({
      verdict: "VERIFIED",
      findings: [],
      counts: { opened: log.size - 4, erased: 4, withheld: 0, erasuresOrdered: 1, erasuresDone: 0 },
    });
    await log.certify(doneOf(order, ordered));
    expect(await audit()).toMatchObject({ verdict: "VERIFIED", findings: [], counts: { erased: 4, erasuresDone: 1 } });
  });

  test("of a class-day keeps the audit green", async () => {
    const { order, ordered } = await expireSessions();
    await log.certify(doneOf(order, ordered));
    expect(await audit()).toMatchObject({ verdict: "VERIFIED", findings: [], counts: { erased: 2 } });
  });

  test("in parts is covered by all of them, whichever the log names", async () => {
    const tags = [log.tagOf("anna"), log.tagOf("anna", "subject")].map((tag) => log.chainOf(tag));
    const [one, other] = tags.map((tag, at) => orderOf(log, { tags: [tag] }, { part: at + 1, parts: 2 }));
    if (one === undefined || other === undefined) throw new Error("two parts");
    const first = await log.certify(one);
    await log.certify(other);
    for (const [tag] of tags) log.erase(log.about(tag), first);
    await log.certify(doneOf(one, first));
    expect(await audit()).toMatchObject({ verdict: "VERIFIED", findings: [], counts: { erased: 4, erasuresDone: 1 } });
  });

  test("is found without the log's help too: it need not name a certificate", async () => {
    const { ordered } = await eraseAnna();
    for (const named of [undefined, { certificate: 0 }, { certificate: ordered - 1 }]) {
      for (const index of log.gone.keys()) log.gone.set(index, named);
      expect(await audit()).toMatchObject({ verdict: "VERIFIED", counts: { erased: 4 } });
    }
  });

  test("of one of whom much is kept under a duty is right as long as no more opens than was kept", async () => {
    const { order, ordered } = await eraseAnna({ kept: [["access", 1]] });
    await log.certify(doneOf(order, ordered));
    log.gone.delete(8);
    expect(await audit()).toMatchObject({ verdict: "VERIFIED", counts: { erased: 3 } });
  });

  test("asks for each certificate but twice, however many entries it covers", async () => {
    const { ordered } = await eraseAnna();
    const asked: number[] = [];
    await audit({
      openingOf: async (index) => {
        asked.push(index);
        return log.openingOf(index);
      },
    });
    expect(asked.filter((index) => index === ordered)).toHaveLength(2);
    expect(asked).toHaveLength(log.size + 1);
  });

  test("that is ordered while the audit runs leaves contents unknown, and no word of destroyed evidence", async () => {
    const published = log.size;
    const { ordered } = await eraseAnna();
    log.log.publish(published);
    expect(await audit()).toMatchObject({
      verdict: "CONTENTS-WITHHELD",
      size: published,
      findings: [],
      counts: { withheld: 4, erased: 0 },
      withheld: [0, 2, 4, 8],
    });
    log.log.publish();
    expect(await audit()).toMatchObject({ verdict: "VERIFIED", counts: { withheld: 0, erased: 4 } });
    // What it shows there has to be a certificate, and to cover the entry.
    log.log.publish(published);
    log.gone.set(1, { certificate: ordered });
    log.gone.set(3, { certificate: ordered + 7 });
    expect(codes(await audit())).toEqual(["contents-destroyed 1", "contents-destroyed 3"]);
  });

  test("is judged anew at the end where its certificate was not there yet", async () => {
    const published = log.size;
    await eraseAnna();
    log.log.publish(published);
    let asked = 0;
    const report = await audit({
      openingOf: async (index) => {
        if (index !== 2) return log.openingOf(index);
        asked += 1;
        return asked === 1 ? undefined : log.openingOf(index);
      },
    });
    expect(report).toMatchObject({ verdict: "CONTENTS-WITHHELD", findings: [], withheld: [0, 4, 8, 2] });
  });

  test("is checked by its certificates alone, where the log's own entries only are opened", async () => {
    const { order, ordered } = await eraseAnna();
    await log.certify(doneOf({ ...order, before: order.before + 1 }, ordered));
    const asked: number[] = [];
    const report = await audit({
      ownEntriesOnly: true,
      openingOf: async (index) => {
        asked.push(index);
        return log.openingOf(index);
      },
    });
    expect(asked).toEqual([ordered, ordered + 1]);
    expect(codes(report)).toContain(`certificate-before-grown ${ordered + 1}`);
  });
});

describe("the audit names", () => {
  test("a sealed event that was deleted, whatever the log answers for it", async () => {
    const { ordered } = await eraseAnna();
    for (const answer of [undefined, {}, { certificate: ordered }, { certificate: 0 }, { certificate: 3 }]) {
      log.gone.set(5, answer);
      const report = await audit();
      expect(report.verdict).toBe("REFUTED");
      expect(codes(report)).toEqual(["contents-destroyed 5"]);
    }
  });

  test("a certificate of another class than that of the entries that are gone", async () => {
    log.now = START + DAY_MS;
    const order = orderOf(log, { classDay: { class: "account", day: DAY, first: 6, last: 7, count: 2 } });
    const ordered = await log.certify(order);
    log.erase([6, 7], ordered);
    expect(codes(await audit())).toEqual([
      `certificate-scope-wrong ${ordered}`,
      "contents-destroyed 6",
      "contents-destroyed 7",
    ]);
  });

  test.each([
    ["day", { day: DAY + 1 }],
    ["first", { first: 5 }],
    ["last", { last: 8 }],
    ["count", { first: 5, last: 8, count: 3 }],
  ])("a class-day of which %s is not that of the leaves", async (_, changes) => {
    log.now = START + DAY_MS;
    const classDay = { class: "session", day: DAY, first: 6, last: 7, count: 2, ...changes };
    const ordered = await log.certify(orderOf(log, { classDay }));
    expect(codes(await audit())).toEqual([`certificate-scope-wrong ${ordered}`]);
  });

  test("a class-day that was certified before it was over", async () => {
    const classDay = { class: "session", day: DAY, first: 6, last: 7, count: 2 };
    const ordered = await log.certify(orderOf(log, { classDay }));
    expect(codes(await audit())).toEqual([]);
    await log.report({ type: "session.start", actor: { type: "user", id: "bob" }, session: { id: "cd".repeat(32) } });
    expect(codes(await audit())).toEqual([`certificate-scope-wrong ${ordered}`]);
  });

  test.each<[string, (tag: string) => [string, number, number]]>([
    ["more leaves than there are", (tag) => [tag, 4, 4]],
    ["fewer leaves than there are", (tag) => [tag, 2, 4]],
    ["another last leaf", (tag) => [tag, 3, 5]],
    ["leaves where there are none", () => ["0".repeat(32), 3, 4]],
  ])("a tag that says %s", async (_, change) => {
    const ordered = await log.certify(orderOf(log, { tags: [change(log.tagOf("anna"))] }));
    expect(codes(await audit())).toEqual([`certificate-scope-wrong ${ordered}`]);
  });

  test("an order that is never done, once it is a day old, or seven in an idle log", async () => {
    const { ordered } = await eraseAnna();
    const overdue = [`erasure-not-done ${ordered}`];
    expect(codes(await audit({ now: log.now + DAY_MS }))).toEqual([]);
    expect(codes(await audit({ now: log.now + 7 * DAY_MS + 1 }))).toEqual(overdue);
    log.now += DAY_MS;
    await log.login("bob");
    expect(codes(await audit())).toEqual([]);
    log.now += 1;
    await log.login("bob");
    expect(codes(await audit())).toEqual(overdue);
  });

  test("an order that is not done on the day on which it should be final", async () => {
    const { ordered } = await eraseAnna({ finalOn: new Date(log.now + 2 * DAY_MS).toISOString().slice(0, 10) });
    expect(codes(await audit({ now: log.now + 3 * DAY_MS }))).toEqual([`erasure-not-done ${ordered}`]);
  });

  test("what is said to be done and was not ordered, or not there", async () => {
    const tag = log.chainOf(log.tagOf("anna"));
    const order = orderOf(log, { tags: [tag] });
    const at = await log.certify(doneOf(order, log.size));
    expect(codes(await audit())).toEqual([`erasure-not-ordered ${at}`]);
    const ordered = await log.certify({ ...order, before: log.size });
    const again = await log.certify(doneOf({ ...order, before: ordered }, ordered + 1));
    expect(codes(await audit())).toEqual([`erasure-not-ordered ${at}`, `erasure-not-ordered ${again}`]);
  });

  test("a before that grew: of an order beyond its own index, of what is done, or of an order that is repeated", async () => {
    const tag = log.chainOf(log.tagOf("anna"));
    const early = await log.certify(orderOf(log, { tags: [tag] }, { before: log.size + 1 }));
    expect(codes(await audit())).toEqual([`certificate-before-grown ${early}`]);

    const bob = log.tagOf("bob");
    const order = orderOf(log, { tags: [log.chainOf(bob)] }, { request: requestOf(2), keys: ["0".repeat(64)] });
    const ordered = await log.certify(order);
    log.erase(log.about(bob), ordered);
    const repeated = await log.certify({ ...order, before: log.size });
    expect(codes(await audit())).toContain(`certificate-before-grown ${repeated}`);
    const done = await log.certify({ ...doneOf(order, ordered), before: order.before + 1 });
    expect(codes(await audit())).toContain(`certificate-before-grown ${done}`);
  });

  test("entries that a before which grew would cover", async () => {
    const { order, ordered } = await eraseAnna();
    const late = await log.login("anna");
    log.gone.set(late, { certificate: ordered });
    await log.certify(doneOf(order, ordered));
    expect(codes(await audit())).toEqual([`contents-destroyed ${late}`]);
  });

  test.each<[string, number, number | undefined, boolean]>([
    ["before", 5, 5, true],
    ["when", 6, 5, false],
    ["by rules that the log does not show, before", 5, undefined, false],
  ])("what is destroyed %s its promised time is over (day %i)", async (_, day, promised, isFound) => {
    const digest = "ab".repeat(32);
    await log.say({ type: "log.rules", context: { digest } });
    const last = await log.report({
      type: "session.activity",
      actor: { type: "user", id: "bob" },
      session: { id: "ab".repeat(32) },
    });
    log.now = (DAY + day) * DAY_MS;
    const scope = { classDay: { class: "session", day: DAY, first: 6, last, count: 3 } };
    const order = orderOf(log, scope, { ground: "retention" });
    const ordered = await log.certify(order);
    log.erase([6, 7, last], ordered);
    await log.certify(doneOf(order, ordered));
    const asked: string[] = [];
    const promisedBy = async (rules: string): Promise<PromisedDays | undefined> => {
      asked.push(rules);
      return promised === undefined ? undefined : (name) => (name === "session" ? promised : 0);
    };
    for (const ownEntriesOnly of [false, true])
      expect(codes(await audit({ promisedBy, ownEntriesOnly }))).toEqual(
        isFound ? [`erasure-before-promise ${ordered}`] : [],
      );
    expect(asked).toEqual([digest, digest]);
    expect(codes(await audit())).toEqual([]);
  });

  test.each<[string, string, string]>([
    ["that the log does not show", "ab".repeat(32), "ab".repeat(32)],
    ["without a digest", "none of your business", "unknown"],
  ])("whether what was destroyed was promised longer cannot be told of rules %s", async (_, digest, named) => {
    await log.say({ type: "log.rules", context: { digest } });
    const last = await log.report({
      type: "session.activity",
      actor: { type: "user", id: "bob" },
      session: { id: "ab".repeat(32) },
    });
    const promisedBy = async (asked: string): Promise<undefined> => {
      expect(asked).toBe(digest);
      return undefined;
    };
    expect(await audit({ promisedBy })).toMatchObject({ verdict: "VERIFIED", rulesWithheld: [] });
    log.now = (DAY + 5) * DAY_MS;
    const scope = { classDay: { class: "session", day: DAY, first: 6, last, count: 3 } };
    const order = orderOf(log, scope, { ground: "retention" });
    const ordered = await log.certify(order);
    log.erase([6, 7, last], ordered);
    await log.certify(doneOf(order, ordered));
    const rulesWithheld = [named];
    for (const ownEntriesOnly of [false, true])
      expect(await audit({ promisedBy, ownEntriesOnly })).toMatchObject({ verdict: "RULES-WITHHELD", rulesWithheld });
    expect(await audit()).toMatchObject({ verdict: "VERIFIED", rulesWithheld: [] });
  });

  test("what was logged before rules that promise it more is not promised it, nor what stands behind others", async () => {
    await log.say({ type: "log.rules", context: { digest: "ab".repeat(32) } });
    await log.say({ type: "log.rules", context: { digest: "cd".repeat(32) } });
    const { order, ordered } = await expireSessions();
    await log.certify(doneOf(order, ordered));
    const promisedBy = async (): Promise<PromisedDays> => () => 5;
    expect(codes(await audit({ promisedBy }))).toEqual([]);
  });

  test("a key that two erasures list", async () => {
    await eraseAnna();
    const { ordered } = await expireSessions({ request: requestOf(2) });
    expect(codes(await audit())).toEqual([`certificate-key-repeated ${ordered}`]);
  });

  test.each<[string, Partial<Certificate>]>([
    ["ground", { ground: "another" }],
    ["keys", { keys: ["0".repeat(64)] }],
    ["scope", { scope: { tags: [["0".repeat(32), 1, 2]] } }],
    ["kept", { kept: [["access", 1]] }],
    ["by", { by: "somebody-else" }],
  ])("what is done with another %s than was ordered", async (_, changes) => {
    const { order, ordered } = await eraseAnna();
    const done = await log.certify({ ...doneOf(order, ordered), ...changes });
    expect(codes(await audit())).toEqual([`certificate-inconsistent ${done}`]);
  });

  test("an order of which a part is missing, or there twice", async () => {
    const tags = [log.tagOf("anna"), log.tagOf("anna", "subject")].map((tag) => log.chainOf(tag));
    const [one = log.chainOf(""), other = one] = tags;
    const order = orderOf(log, { tags: [one] }, { part: 1, parts: 2 });
    const first = await log.certify(order);
    expect(codes(await audit())).toEqual([`certificate-inconsistent ${first}`]);
    const second = await log.certify({ ...order, scope: { tags: [other] } });
    expect(codes(await audit())).toEqual([`certificate-inconsistent ${second}`, `certificate-inconsistent ${first}`]);
  });

  test("more that opens than was kept, once the keys are said to be destroyed", async () => {
    const { order, ordered } = await eraseAnna();
    log.gone.delete(8);
    expect(codes(await audit())).toEqual([]);
    await log.certify(doneOf(order, ordered));
    expect(codes(await audit())).toEqual([`erased-contents-open ${ordered}`]);
  });

  test("more that opens of a class-day than a hold kept", async () => {
    const { order, ordered } = await expireSessions({ kept: [["session", 1]] });
    await log.certify(doneOf(order, ordered));
    log.gone.delete(6);
    expect(codes(await audit())).toEqual([]);
    log.gone.delete(7);
    expect(codes(await audit())).toEqual([`erased-contents-open ${ordered}`]);
  });

  test("what a hold kept of a class-day and does not open, though no hold was lifted", async () => {
    const { order, ordered } = await expireSessions({ kept: [["session", 1]] });
    await log.certify(doneOf(order, ordered));
    log.gone.delete(6);
    expect(codes(await audit())).toEqual([]);
    expect(codes(await audit({ ownEntriesOnly: true }))).toEqual([]);
    for (const named of [undefined, {}, { certificate: ordered }]) {
      log.gone.set(6, named);
      expect(codes(await audit())).toEqual([`contents-destroyed ${ordered}`]);
    }
    // Lifted while the audit runs.
    await log.holdAndLift("0123abcd");
    const published = log.size;
    const classDay = { class: "hold-0123abcd", day: DAY, first: 6, last: 6, count: 1 };
    const ended = await log.certify(orderOf(log, { classDay }, { request: requestOf(2), keys: ["0".repeat(64)] }));
    log.log.publish(published);
    log.erase([6], ended);
    expect(await audit()).toMatchObject({ verdict: "CONTENTS-WITHHELD", findings: [], withheld: [6] });
    log.log.publish();
    expect(await audit()).toMatchObject({ verdict: "VERIFIED", counts: { erased: 2 } });
  });

  test("a certificate that says something else than one can, and what rests on it", async () => {
    const ordered = await log.say({ type: "log.erasure", context: { ground: "none of your business" } });
    log.erase([0], ordered);
    expect(codes(await audit())).toEqual([`certificate-malformed ${ordered}`, "contents-destroyed 0"]);
  });

  test("a day of the log's own entries, whatever certificate names it: who read what is there for ever", async () => {
    const read = await log.say({ type: "log.read", actor: { type: "credential", id: "auditor-1" } });
    log.now = START + DAY_MS;
    const classDay = { class: "log", day: DAY, first: read, last: read, count: 1 };
    const order = orderOf(log, { classDay }, { ground: "retention" });
    const ordered = await log.certify(order);
    log.erase([read], ordered);
    await log.certify(doneOf(order, ordered));
    for (const named of [{ certificate: ordered }, undefined]) {
      log.gone.set(read, named);
      for (const ownEntriesOnly of [false, true])
        expect(codes(await audit({ ownEntriesOnly }))).toEqual([`contents-destroyed ${read}`]);
    }
  });

  test("a certificate that is filed under another class than the log's own", async () => {
    const tag = log.chainOf(log.tagOf("anna"));
    const ordered = await log.certify(orderOf(log, { tags: [tag] }), { retention: "short" });
    log.erase(log.about(tag[0]), ordered);
    expect(codes(await audit())).toEqual([`certificate-malformed ${ordered}`, "contents-destroyed 0"]);
  });

  test("a certificate that the log shows ahead and that is not the one that is there", async () => {
    const { ordered } = await eraseAnna();
    const other = new ErasedLog();
    await other.certify(orderOf(log, { tags: [log.chainOf(log.tagOf("bob"))] }));
    for (const index of [1, 3]) log.gone.set(index, { certificate: ordered });
    log.gone.delete(0);
    let asked = 0;
    const report = await audit({
      openingOf: async (index) => {
        if (index === ordered) asked += 1;
        return index === ordered && asked === 1 ? other.openings[0] : log.openingOf(index);
      },
    });
    expect(codes(report)).toEqual(["contents-destroyed 1"]);
  });

  test("everything, where the log shows nothing at all", async () => {
    const openingOf = async (): Promise<undefined> => undefined;
    const report = await audit({ openingOf });
    expect(codes(report)).toEqual(Array.from({ length: log.size }, (_, index) => `contents-destroyed ${index}`));
  });
});

describe("openings in ranges", () => {
  /** What the log shows, as many at a time as it likes; from `until` on it gives no ranges any more. */
  function inRanges(most: number, until = Infinity): { readonly openingsOf: OpeningsOf; readonly froms: number[] } {
    const froms: number[] = [];
    const openingsOf: OpeningsOf = async ({ from, limit }) => {
      froms.push(from);
      if (from >= until) return undefined;
      const count = Math.min(most, limit, until - from);
      return Promise.all(Array.from({ length: count }, async (_, at) => log.openingOf(from + at)));
    };
    return { openingsOf, froms };
  }

  /** States of a log in which the audit has something to say of its contents. */
  const STATES: Readonly<Record<string, () => Promise<unknown>>> = {
    whole: async () => undefined,
    erased: async () => eraseAnna(),
    "erased and done": async () => {
      const { order, ordered } = await eraseAnna();
      await log.certify(doneOf(order, ordered));
    },
    expired: async () => expireSessions(),
    "erased behind the head": async () => {
      const published = log.size;
      await eraseAnna();
      log.log.publish(published);
    },
    "erased, and not gone": async () => {
      await eraseAnna();
      log.gone.delete(0);
    },
    destroyed: async () => log.erase([1, 2]),
    "destroyed under another's certificate": async () => {
      const { ordered } = await eraseAnna();
      log.erase([5], ordered);
    },
    "shown nothing of": async () => {
      for (let index = 0; index < log.size; index += 1) log.gone.set(index, undefined);
    },
    "shown another's contents of": async () => void log.openings.reverse(),
  };

  test.each(Object.entries(STATES))(
    "say the same of a log that is %s, whatever comes at a time",
    async (_what, make) => {
      await make();
      const alone = await audit();
      for (const most of [1, 2, 3, 256]) expect(await audit(inRanges(most))).toEqual(alone);
      for (const until of [0, 1, 5]) expect(await audit(inRanges(2, until))).toEqual(alone);
    },
  );

  test("spare an audit all requests but those for certificates ahead", async () => {
    const { ordered } = await eraseAnna();
    const asked: number[] = [];
    const { openingsOf, froms } = inRanges(256);
    const openingOf = async (index: number): ReturnType<typeof log.openingOf> => {
      asked.push(index);
      return log.openingOf(index);
    };
    expect(await audit({ openingsOf, openingOf })).toMatchObject({ verdict: "VERIFIED", counts: { erased: 4 } });
    expect([asked, froms]).toEqual([[ordered], [0]]);
  });

  test("are asked for from where the last one ended, and no more once the log gives none", async () => {
    const { openingsOf, froms } = inRanges(3);
    await audit({ openingsOf });
    expect(froms).toEqual([0, 3, 6]);
    const broken = inRanges(3, 6);
    await audit(broken);
    expect(broken.froms).toEqual([0, 3, 6]);
  });

  test("of which one comes too late for a certificate do not make it destroyed: it is asked for again, alone", async () => {
    const published = log.size;
    await eraseAnna();
    log.log.publish(published);
    const openingsOf: OpeningsOf = async ({ from, limit }) =>
      Promise.all(
        Array.from({ length: limit }, async (_, at) => {
          const shown = await log.openingOf(from + at);
          return shown instanceof Uint8Array ? shown : undefined;
        }),
      );
    const report = await audit({ openingsOf });
    expect(report).toMatchObject({ verdict: "CONTENTS-WITHHELD", findings: [], withheld: [0, 2, 4, 8] });
  });

  test("are not asked for where the log's own entries only are opened", async () => {
    const { openingsOf, froms } = inRanges(256);
    await audit({ ownEntriesOnly: true, openingsOf });
    expect(froms).toEqual([]);
  });

  test("that are nothing, or more than were asked for, harm nobody", async () => {
    const alone = await audit();
    expect(await audit({ openingsOf: async () => [] })).toEqual(alone);
    const all = async (): Promise<Uint8Array[]> => [...log.openings, ...log.openings];
    expect(await audit({ openingsOf: all })).toEqual(alone);
  });
});

test("a hold's own keys are certified by its day, and cover nothing", async () => {
  const { order, ordered } = await expireSessions({ kept: [["session", 1]] });
  await log.certify(doneOf(order, ordered));
  log.gone.delete(6);
  await log.holdAndLift("0123abcd");
  const classDay = { class: "hold-0123abcd", day: DAY, first: 6, last: 6, count: 1 };
  const lifted = { request: requestOf(2), keys: [encodeHex(sha256(utf8("another key")))] };
  const end = orderOf(log, { classDay }, lifted);
  const ended = await log.certify(end);
  await log.certify(doneOf(end, ended));
  log.erase([6], ordered);
  expect(codes(await audit())).toEqual([]);
  log.erase([5], ended);
  expect(codes(await audit())).toEqual(["contents-destroyed 5"]);
  const wrong = { ...end, request: requestOf(3), keys: ["0".repeat(64)], before: log.size };
  const at = await log.certify({ ...wrong, scope: { classDay: { ...classDay, day: DAY + 9 } } });
  expect(codes(await audit())).toContain(`certificate-scope-wrong ${at}`);
});

test("entries wait for a certificate one by one, and by class and day once too many do", async () => {
  const check = async (waitingMax: number): Promise<string[]> => {
    const leaves = new LeafAudit(log.log.origin);
    const found: Finding[] = [];
    const { openingOf, size } = log;
    const contents = new ContentsAudit({
      openingOf,
      leaves,
      size,
      ownOnly: false,
      waitingMax,
      add: (one) => found.push(one),
    });
    for (const [index, bytes] of log.log.leaves.entries()) {
      const leaf = decodeLeaf(bytes);
      leaves.check(index, leaf);
      await contents.check(index, leaf);
    }
    await contents.finish(undefined);
    return found.map(({ code, index = -1 }) => `${code} ${index}`);
  };
  await expireSessions();
  for (const index of [6, 7]) log.gone.set(index, undefined);
  for (const waitingMax of [0, 1, 2]) expect(await check(waitingMax)).toEqual([]);
  log.erase([1, 2, 3]);
  expect(await check(10)).toEqual(["contents-destroyed 1", "contents-destroyed 2", "contents-destroyed 3"]);
  expect(await check(1)).toEqual(["contents-destroyed 1", "contents-destroyed 2"]);
  expect(await check(0)).toEqual(["contents-destroyed 1"]);
});
