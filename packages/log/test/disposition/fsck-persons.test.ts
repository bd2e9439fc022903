/** The rows that name persons and credentials, altered one by one: fsck names them, and repair mends them. */
import { expect, test } from "vitest";
import { encodeCbor } from "@tallystick/events";
import { type LogStorage, StorageError, createMemoryStorage, indexKey } from "@tallystick/storage";
import { type FsckReport, type Log, fsckLog, repairLog } from "../../src/index.ts";
import { TABLE } from "../../src/rows.ts";
import { ORIGIN, START_MS, type Site, createSite, event, login, until } from "../site.ts";
import { WatchedStorage } from "../watched-storage.ts";

const DAY_MS = 86_400_000;
const RULES = "version: 1\nclasses:\n  account: { keep: 30d, erase: at-expiry }\nother: { keep: 400d }\n";

interface Filled {
  readonly site: Site;
  readonly storage: LogStorage;
  /** An entry that a duty keeps of a person who was erased. */
  readonly index: number;
}

/** A person was erased of whom a duty keeps an entry, and an auditor has read that. */
async function fill(storage: LogStorage = createMemoryStorage()): Promise<Filled> {
  const site = await createSite({ storage });
  const log = await openAt(site, START_MS);
  const account = { type: "account.create", outcome: "success", actor: { type: "user", id: "u0" } };
  const [kept] = await log.appendEvents({ writer: "app", events: [event(7, account), login(0), login(1)] });
  const { request } = await log.disposition.erase({ subject: "u0", ground: "asked", by: "o" });
  await log.disposition.waitForDestruction(request, 20_000);
  const index = kept?.index ?? -1;
  await log.readEvent({ index, reader: "auditor" });
  await log.close();
  return { site, storage, index };
}

async function openAt(site: Site, nowMs: number, storage: LogStorage = site.storage): Promise<Log> {
  site.clock.nowMs = nowMs;
  const log = await site.open({ storage, confirmClock: true, proposedRules: async () => RULES });
  await until(() => log.status().state === "ok" && log.disposition.rules().index !== undefined);
  return log;
}

function options({ site: { keyStore, keys }, storage }: Filled): Parameters<typeof fsckLog>[0] {
  return { storage, keyStore, origin: ORIGIN, verifiers: keys.signers.map(({ verifier }) => verifier) };
}

function codes({ findings }: FsckReport): string[] {
  return findings.map(({ code }) => code);
}

async function keysOf(storage: LogStorage, table: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of storage.scanRows(table)) keys.push(key);
  return keys;
}

test.each([
  ["an entry that a duty keeps", TABLE.kept],
  ["a credential that the log names", TABLE.credential],
])("the row of %s is named where it is gone, and rebuilt", async (_, table) => {
  const filled = await fill();
  const { storage } = filled;
  expect(codes(await fsckLog(options(filled)))).toEqual([]);
  const before = await keysOf(storage, table);
  expect(before).toHaveLength(1);
  await storage.deleteRows(table, before);
  const { before: found, written, after } = await repairLog(options(filled));
  expect([codes(found), written, codes(after)]).toEqual([["erased-row-mismatch"], { [table]: 1 }, []]);
  expect(await keysOf(storage, table)).toEqual(before);
});

test.each<[string, string, (index: number) => string]>([
  ["another person's entry", TABLE.kept, (index) => `${indexKey(index)} ${"ab".repeat(16)}`],
  ["an entry that no duty keeps", TABLE.kept, (index) => `${indexKey(index + 1)} ${"ab".repeat(16)}`],
  ["an entry that there is not", TABLE.kept, () => `${indexKey(10_000)} ${"ab".repeat(16)}`],
  ["no entry", TABLE.kept, () => "of nobody"],
  ["a credential that no entry names", TABLE.credential, () => "ab".repeat(16)],
  ["no credential", TABLE.credential, () => "auditor"],
])("a row of %s is named, and removed", async (_, table, keyOf) => {
  const filled = await fill();
  const { storage, index } = filled;
  const before = await keysOf(storage, table);
  await storage.putRows([{ table, key: keyOf(index), value: encodeCbor([]) }]);
  const { before: found, after } = await repairLog(options(filled));
  expect([codes(found), codes(after)]).toEqual([["erased-row-mismatch"], []]);
  expect(await keysOf(storage, table)).toEqual(before);
});

test("rows of entries that do not open are believed, and without keys nothing is said of them", async () => {
  const filled = await fill();
  const { keyStore: _, ...withoutKeys } = options(filled);
  expect(codes(await fsckLog(withoutKeys))).toEqual([]);
});

/** Dies at one of the calls that remove rows. */
class Dying extends WatchedStorage {
  /** Calls until then. */
  left = Infinity;

  override async deleteRows(table: string, keys: readonly string[]): Promise<void> {
    this.left -= 1;
    if (this.left < 0) throw new StorageError("storage-unavailable", "the storage died");
    await super.deleteRows(table, keys);
  }
}

test.each([0, 1])(
  "what a duty kept is forgotten with its class-day, also after dying before removal %i",
  async (left) => {
    const inner = createMemoryStorage();
    const dying = new Dying(inner);
    const filled = { ...(await fill(dying)), storage: inner };
    expect(await keysOf(inner, TABLE.kept)).toHaveLength(1);
    dying.left = left;
    const late = await openAt(filled.site, START_MS + 32 * DAY_MS);
    await late.disposition.runRetention();
    await until(() => dying.left < 0);
    await late.close();
    const again = await openAt(filled.site, START_MS + 32 * DAY_MS, inner);
    const deadline = performance.now() + 20_000;
    while ((await keysOf(inner, TABLE.pending)).length > 0 && performance.now() < deadline)
      await new Promise((resolve) => setTimeout(resolve, 5));
    await again.close();
    expect(await keysOf(inner, TABLE.kept)).toEqual([]);
    expect(codes(await fsckLog(options(filled)))).toEqual([]);
  },
);
