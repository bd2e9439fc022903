/** Contents of many entries in one answer, and the one entry that records it. */
import { computeCommitment, decodeEvent, decodeLeaf, decodeOpening } from "@tallystick/events";
import { StorageError, createUnavailableKeyStore, indexKey } from "@tallystick/storage";
import { describe, expect, test } from "vitest";
import { rejectionCode } from "../../../test/support/errors.ts";
import type { Log, ReadFilter, ReadOpening } from "../src/index.ts";
import { TABLE } from "../src/rows.ts";
import { type Site, createSite, event, login, published, until } from "./site.ts";

const WHOLE_ANSWER = 256;

async function place(count: number): Promise<{ readonly site: Site; readonly log: Log }> {
  const site = await createSite();
  const log = await site.open();
  await until(() => log.status().state === "ok");
  const events = Array.from({ length: count }, (_, n) => login(n));
  for (let from = 0; from < count; from += 100)
    await log.appendEvents({ writer: "app", events: events.slice(from, from + 100) });
  return { site, log };
}

/** Of the log.read entries from an index on, what they say. */
async function recorded(log: Log, from: number): Promise<unknown[]> {
  const found: unknown[] = [];
  for (let index = from, size = log.size(); index < size; index += 1) {
    const { event } = await log.readEvent({ index, reader: "who looks" });
    if (event.type !== "log.read" || event.actor?.id === "who looks") continue;
    const { actor, outcome, reason, context } = event;
    found.push({ reader: actor?.id, outcome, context, ...(reason === undefined ? {} : { reason }) });
  }
  return found;
}

/** Of each entry how it came out. */
function codesOf(entries: readonly ReadOpening[]): string[] {
  return entries.map((entry) => ("opening" in entry ? "opened" : entry.code));
}

function onlyOf(person: string): ReadFilter {
  return { name: person, admits: ({ actor }) => actor?.id === person };
}

describe("readOpenings", () => {
  test("gives what each leaf of a range commits to, and one entry records all of it before", async () => {
    const { log } = await place(10);
    const size = log.size();
    const entries = await log.readOpenings({ from: 2, limit: 5, reader: "auditor-1", purpose: "review" });
    expect(entries.map(({ index }) => index)).toEqual([2, 3, 4, 5, 6]);
    for (const entry of entries) {
      if (!("opening" in entry)) throw new Error(entry.code);
      const { commitment } = decodeLeaf(await log.readLeaf(entry.index));
      expect(computeCommitment(decodeOpening(entry.opening))).toEqual(commitment);
    }
    expect(log.counters().reads).toBe(5);
    expect(await recorded(log, size)).toEqual([
      { reader: "auditor-1", outcome: "success", reason: "review", context: { from: 2, to: 7, count: 5 } },
    ]);
  });

  test("ends at the log's end, at 256 entries whatever is asked for, and takes no index that is not there", async () => {
    const { log } = await place(300);
    const at = async (from: number, limit?: number): Promise<number> =>
      (await log.readOpenings({ from, reader: "r", ...(limit === undefined ? {} : { limit }) })).length;
    expect(await at(0)).toBe(WHOLE_ANSWER);
    expect(await at(0, 100_000)).toBe(WHOLE_ANSWER);
    expect(await at(299, 1)).toBe(1);
    const size = log.size();
    expect(await at(size - 1)).toBe(1);
    for (const from of [log.size(), -1, 0.5])
      expect(await rejectionCode(log.readOpenings({ from, reader: "r" }))).toBe("index-unknown");
    for (const limit of [0, -1, 0.5, Number.NaN])
      await expect(log.readOpenings({ from: 0, limit, reader: "r" })).rejects.toThrow(RangeError);
  });

  test("ends with the opening by which it reaches a MiB, and goes on from there", async () => {
    const { log } = await place(0);
    const text = "x".repeat(1000);
    const context = Object.fromEntries(Array.from({ length: 30 }, (_, n) => [`text${n}`, text]));
    for (let n = 0; n < 60; n += 1) await log.appendEvents({ writer: "app", events: [login(n, { context })] });
    const first = await log.readOpenings({ from: 0, limit: 60, reader: "r" });
    expect(first.length).toBeGreaterThan(30);
    expect(first.length).toBeLessThan(40);
    const bytes = first.map((entry) => ("opening" in entry ? entry.opening.length : 0));
    const total = bytes.reduce((sum, each) => sum + each, 0);
    expect([total >= 1_048_576, total - (bytes.at(-1) ?? 0) < 1_048_576]).toEqual([true, true]);
    const rest = await log.readOpenings({ from: first.length, limit: 60 - first.length, reader: "r" });
    expect([...first, ...rest].map(({ index }) => index)).toEqual(Array.from({ length: 60 }, (_, index) => index));
  });

  test("a range of reads alone records nothing, and reads among others are not counted", async () => {
    const { log } = await place(1);
    for (let n = 0; n < 3; n += 1) await log.readOpenings({ from: 0, limit: 1, reader: "a" });
    const size = log.size();
    const all = await log.readOpenings({ from: 0, reader: "b" });
    const types = all.map((entry) => "opening" in entry && decodeEvent(decodeOpening(entry.opening).event).type);
    const reads = all.filter((_, at) => types[at] === "log.read").map(({ index }) => index);
    expect(reads).toHaveLength(3);
    const after = log.size();
    for (const from of reads)
      expect(codesOf(await log.readOpenings({ from, limit: 1, reader: "c" }))).toEqual(["opened"]);
    expect(log.size()).toBe(after);
    expect(await recorded(log, size)).toEqual([
      { reader: "b", outcome: "success", context: { from: 0, to: size, count: size - reads.length } },
    ]);
  });

  test("says of erased entries under which certificate, and where nothing else is there the record says failure", async () => {
    const { log } = await place(6);
    const { ordered } = await log.disposition.erase({ subject: "u0", ground: "g", by: "o" });
    const size = log.size();
    const entries = await log.readOpenings({ from: 0, limit: 6, reader: "a" });
    expect(codesOf(entries)).toEqual(["erased", "opened", "opened", "erased", "opened", "opened"]);
    expect(entries[0]).toEqual({ index: 0, code: "erased", certificate: ordered?.[0] });
    await log.readOpenings({ from: 3, limit: 1, reader: "a" });
    expect(await recorded(log, size)).toEqual([
      { reader: "a", outcome: "success", context: { from: 0, to: 6, count: 4 } },
      { reader: "a", outcome: "failure", context: { from: 3, to: 4, count: 1, codes: ["erased"] } },
    ]);
  });

  test("one entry that is damaged hides no other", async () => {
    // Far from the right edge, which is read again before every head, and stops the log where it is damaged.
    const { site, log } = await place(300);
    await published(log);
    for (const [table, index] of [
      [TABLE.sealed, 1],
      [TABLE.leaf, 4],
    ] as const) {
      const value = (await site.storage.getRow(table, indexKey(index)))?.slice() ?? new Uint8Array(1);
      value[value.length - 1] = (value.at(-1) ?? 0) ^ 1;
      await site.storage.putRows([{ table, key: indexKey(index), value }]);
    }
    const entries = await log.readOpenings({ from: 0, limit: 6, reader: "a" });
    expect(codesOf(entries)).toEqual(["opened", "log-corrupt", "opened", "opened", "log-corrupt", "opened"]);
  });

  test("says, as readEvent does, that the log cannot use its keys", async () => {
    const { site, log } = await place(3);
    await log.close();
    const missing = new StorageError("master-key-wrong", "another master key wraps this store");
    const without = await site.open({ keyStore: createUnavailableKeyStore(missing) });
    const asked = [without.readOpenings({ from: 0, reader: "a" }), without.readEvent({ index: 0, reader: "a" })];
    expect(await Promise.all(asked.map(rejectionCode))).toEqual(["keys-unavailable", "keys-unavailable"]);
  });

  test("gives nothing where the read cannot be recorded", async () => {
    const { site, log } = await place(1);
    await log.close();
    expect(await rejectionCode(log.readOpenings({ from: 0, reader: "a" }))).toBe("log-closed");
    await expect(site.storage.getRow(TABLE.sealed, indexKey(0))).resolves.toBeDefined();
  });
});

describe("readOpenings with a filter", () => {
  test("gives what it admits and names it; the rest is forbidden, erased or not, and recorded as denied", async () => {
    const { log } = await place(6);
    await log.disposition.erase({ subject: "u2", ground: "g", by: "o" });
    const size = log.size();
    const entries = await log.readOpenings({ from: 0, limit: 6, reader: "reader-1", filter: onlyOf("u1") });
    expect(codesOf(entries)).toEqual(["forbidden", "opened", "forbidden", "forbidden", "opened", "forbidden"]);
    expect(entries[2]).toEqual({ index: 2, code: "forbidden" });
    const persons = entries.flatMap((entry) =>
      "opening" in entry ? [decodeEvent(decodeOpening(entry.opening).event).actor?.id] : [],
    );
    expect(persons).toEqual(["u1", "u1"]);
    const denied = { indexes: [0, 2, 3, 5], count: 4, kinds: ["event"] };
    expect(await recorded(log, size)).toEqual([
      { reader: "reader-1", outcome: "denied", context: denied },
      { reader: "reader-1", outcome: "success", context: { indexes: [1, 4], count: 2 } },
    ]);
  });

  test("refuses a range of which it admits nothing", async () => {
    const { log } = await place(6);
    const size = log.size();
    const asked = log.readOpenings({ from: 0, reader: "reader-1", filter: onlyOf("nobody") });
    expect(await rejectionCode(asked)).toBe("forbidden");
    expect(log.counters().reads).toBe(0);
    const [denied, ...more] = await recorded(log, size);
    expect([denied, more]).toMatchObject([{ outcome: "denied", context: { count: size } }, []]);
  });

  test("can name each of a whole answer", async () => {
    const { log } = await place(0);
    const events = Array.from({ length: 256 }, (_, n) =>
      event(n, { type: "auth.login", outcome: "success", actor: { type: "user", id: "u1" } }),
    );
    await log.appendEvents({ writer: "app", events });
    await published(log);
    const size = log.size();
    await log.readOpenings({ from: 0, reader: "reader-1", filter: onlyOf("u1") });
    const indexes = Array.from({ length: 256 }, (_, index) => index);
    expect(await recorded(log, size)).toMatchObject([{ outcome: "success", context: { indexes, count: 256 } }]);
  });
});
