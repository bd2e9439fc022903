/** What a legal hold keeps is destroyed under no certificate, as far as the log's own entries tell what it keeps. */
import { parsePolicy } from "@tallystick/core";
import type { Context } from "@tallystick/events";
import { beforeEach, expect, test } from "vitest";
import { auditLog, createHttpLogReader } from "../src/verify.ts";
import { DAY, DAY_MS, ErasedLog, START, doneOf, holdIdOf, orderOf, requestOf } from "./support/erased-log.ts";

const HOLD = holdIdOf("0123abcd");

let log: ErasedLog;

beforeEach(async () => {
  log = new ErasedLog();
  for (const id of ["anna", "bob"]) await log.login(id);
});

async function codes(ownEntriesOnly: boolean): Promise<string[]> {
  const reader = createHttpLogReader({ url: log.log.url, fetch: log.log.fetch });
  const policy = parsePolicy(log.log.policyText);
  const { findings } = await auditLog({ reader, policy, openingOf: log.openingOf, ownEntriesOnly });
  return findings.map(({ code, index }) => `${code} ${index}`);
}

/** Destroys the day of class `auth`; gives the index of the order. */
async function expire(): Promise<number> {
  log.now = START + DAY_MS;
  const order = orderOf(log, { classDay: { class: "auth", day: DAY, first: 0, last: 1, count: 2 } });
  const ordered = await log.certify(order);
  log.erase([0, 1], ordered);
  await log.certify(doneOf(order, ordered));
  return ordered;
}

test.each<[string, Context, boolean]>([
  ["all there is", {}, true],
  ["its class", { class: "auth" }, true],
  ["its time", { from: START - DAY_MS, to: (DAY + 1) * DAY_MS }, true],
  ["all since its day began", { from: DAY * DAY_MS }, true],
  ["another class", { class: "access" }, false],
  ["a part of its day", { from: DAY * DAY_MS, to: (DAY + 1) * DAY_MS - 1 }, false],
  ["a part of its day, too", { from: DAY * DAY_MS + 1 }, false],
  ["a person, whom nobody can tell", { class: "auth", subject: true }, false],
  ["an operation", { class: "auth", operation: "op-1" }, false],
])("a class-day that is destroyed while a hold keeps %s", async (_, selectors, isFound) => {
  await log.hold(HOLD, "set", selectors);
  const ordered = await expire();
  for (const ownEntriesOnly of [false, true])
    expect(await codes(ownEntriesOnly)).toEqual(isFound ? [`erasure-while-held ${ordered}`] : []);
});

test("a hold whose selectors are none keeps all there is, too", async () => {
  await log.say({ type: "log.hold", context: { hold: HOLD, state: "set", selectors: null } });
  const ordered = await expire();
  expect(await codes(false)).toEqual([`erasure-while-held ${ordered}`]);
});

test("a class-day that is destroyed before a hold is set, or after it was lifted, is no finding", async () => {
  await log.hold(HOLD, "set", { class: "auth" });
  await log.hold(HOLD, "lifted");
  await expire();
  await log.hold(holdIdOf("89abcdef"), "set", { class: "auth" });
  expect(await codes(false)).toEqual([]);
});

test("the keys of a hold are destroyed when it was lifted, and not before, or under the name of one that was never set", async () => {
  await log.hold(HOLD, "set", { subject: true });
  log.now = START + DAY_MS;
  const day = { day: DAY, first: 0, last: 0, count: 1 };
  const order = orderOf(log, { classDay: { class: "auth", ...day, last: 1, count: 2 } }, { kept: [["auth", 1]] });
  const ordered = await log.certify(order);
  log.erase([0, 1], ordered);
  await log.certify(doneOf(order, ordered));
  const end = async (name: string, nth: number): Promise<number> =>
    log.certify(
      orderOf(log, { classDay: { class: name, ...day } }, { request: requestOf(nth), keys: [`${nth}`.repeat(64)] }),
    );
  const early = await end("hold-0123abcd", 2);
  const invented = await end("hold-ffffffff", 3);
  await log.hold(HOLD, "lifted");
  await end("hold-0123abcd", 4);
  expect(await codes(false)).toEqual([`erasure-while-held ${early}`, `erasure-while-held ${invented}`]);
});
