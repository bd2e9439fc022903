/** A copy of the key store from before an erasure is put back: what was destroyed stays so, and it is told. */
import { cpSync, rmSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { type TallyEvent, dayOf, decodeLeaf } from "@tallystick/events";
import { type KeyStore, createMemoryStorage, indexKey, openKeyStore } from "@tallystick/storage";
import { temporaryFolder } from "../../../../test/support/temporary-folder.ts";
import { decodeRecord } from "../../src/disposition/record.ts";
import { type Log, type LogOptions, fsckLog } from "../../src/index.ts";
import { TABLE } from "../../src/rows.ts";
import { ORIGIN, START_MS, type Site, createSite, event, login, seed, until } from "../site.ts";

const DAY_MS = 86_400_000;
const LATER_MS = START_MS + 40 * DAY_MS;
const RULES = "version: 1\nclasses:\n  auth: { keep: 30d }\nother: { keep: 6y }\n";
const masterKey = seed("master key");

/** A log whose key store lies in a folder that can be copied, and put back. */
class Drill {
  readonly site: Site;
  readonly #folder: string = temporaryFolder();
  keyStore: KeyStore | undefined;
  #log: Log | undefined;

  constructor(site: Site) {
    this.site = site;
    onTestFinished(async () => this.stop());
  }

  async start(nowMs: number, overrides: Partial<LogOptions> = {}): Promise<Log> {
    this.site.clock.nowMs = nowMs;
    const keyStore = await this.openKeys();
    const log = await this.site.open({ keyStore, confirmClock: true, proposedRules: async () => RULES, ...overrides });
    this.#log = log;
    return log;
  }

  async openKeys(): Promise<KeyStore> {
    this.keyStore = await openKeyStore({ path: join(this.#folder, "keys"), masterKey });
    return this.keyStore;
  }

  async stop(): Promise<void> {
    await this.#log?.close({ graceMs: 0 });
    await this.keyStore?.close();
  }

  copyKeys(): void {
    cpSync(join(this.#folder, "keys"), join(this.#folder, "older"), { recursive: true });
  }

  putBack(): void {
    rmSync(join(this.#folder, "keys"), { recursive: true });
    cpSync(join(this.#folder, "older"), join(this.#folder, "keys"), { recursive: true });
  }

  /** How many keys that were destroyed the key store has. */
  async keysBack(): Promise<number> {
    const back = new Set<string>();
    for await (const { value } of this.site.storage.scanRows(TABLE.destruction)) {
      const { keys, person } = decodeRecord(value);
      for (const { kind, name } of keys) if (this.keyStore?.get(kind, name) !== undefined) back.add(`${kind} ${name}`);
      if (person !== undefined && this.keyStore?.get("person", person) !== undefined) back.add(`person ${person}`);
    }
    return back.size;
  }

  async fsck(): ReturnType<typeof fsckLog> {
    const keyStore = await this.openKeys();
    const verifiers = this.site.keys.signers.map(({ verifier }) => verifier);
    const report = await fsckLog({ storage: this.site.storage, keyStore, origin: ORIGIN, verifiers });
    await keyStore.close();
    return report;
  }
}

function by(person: string, n: number): TallyEvent {
  return event(n, { type: "auth.login", outcome: "success", actor: { type: "user", id: person } });
}

async function append(log: Log, ...events: TallyEvent[]): Promise<number[]> {
  return (await log.appendEvents({ writer: "app", events })).map(({ index }) => index);
}

async function codeOf(work: Promise<unknown>): Promise<string | undefined> {
  return work.then(
    () => undefined,
    (error: { readonly code?: string }) => error.code,
  );
}

async function read(log: Log, index: number): ReturnType<Log["readEvent"]> {
  return log.readEvent({ index, reader: "auditor" });
}

async function alerts(log: Log, from: number): Promise<TallyEvent[]> {
  const found: TallyEvent[] = [];
  for (let index = from, size = log.size(); index < size; index += 1) {
    if (decodeLeaf(await log.readLeaf(index)).class !== "log") continue;
    const { event: read } = await log.readEvent({ index, reader: "auditor" });
    if (read.type === "log.alert") found.push(read);
  }
  return found;
}

/** Waits until there is one. */
async function alerted(log: Log, from: number): Promise<TallyEvent[]> {
  const deadline = performance.now() + 20_000;
  for (;;) {
    const found = await alerts(log, from);
    if (found.length > 0 || performance.now() > deadline) return found;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

describe("a copy of the key store from before a destruction", () => {
  let drill: Drill;
  /** Entries whose contents were destroyed after the copy was made. */
  let destroyed: number[];
  let size: number;

  beforeEach(async () => {
    drill = new Drill(await createSite({ storage: createMemoryStorage() }));
    const log = await drill.start(START_MS);
    await until(() => log.disposition.rules().index !== undefined);
    const expired = await append(log, login(0), login(1));
    const hold = await log.disposition.setHold({ by: "o", case: "c", selectors: { class: "auth" } });
    await drill.stop();
    const late = await drill.start(LATER_MS);
    await until(() => late.status().state === "ok");
    const erased = await append(late, by("u2", 2), by("u2", 3));
    await append(late, by("u0", 4));
    await drill.stop();
    drill.copyKeys();
    const again = await drill.start(LATER_MS);
    await until(() => again.status().state === "ok");
    await again.disposition.liftHold({ id: hold.id, by: "o" });
    const { request } = await again.disposition.erase({ subject: "u2", ground: "asked", by: "o" });
    expect((await again.disposition.waitForDestruction(request, 10_000)).state).toBe("done");
    await until(() => again.size() > 0);
    destroyed = [...expired, ...erased];
    await drill.stop();
    size = again.size();
    drill.putBack();
  });

  test("has its keys destroyed again, which the log says once; nothing of it is readable in between", async () => {
    await drill.openKeys();
    expect(await drill.keysBack()).toBe(2);
    expect(drill.keyStore?.state("class-day", `auth ${dayOf(START_MS)}`)).toBe("live");
    await drill.keyStore?.close();
    const told: unknown[] = [];
    const logger = { info: () => {}, warn: (message: string, details?: unknown) => void told.push([message, details]) };
    const log = await drill.start(LATER_MS, { logger });
    const over = new AbortController();
    const attempts = (async () => {
      const codes = new Set<string | undefined>();
      while (!over.signal.aborted) for (const index of destroyed) codes.add(await codeOf(read(log, index)));
      return codes;
    })();
    const [alert, ...more] = await alerted(log, size);
    expect(await drill.keysBack()).toBe(0);
    over.abort();
    expect(await attempts).toEqual(new Set(["erased"]));
    expect(more).toEqual([]);
    // Whoever runs the server hears of it without reading entries.
    expect(told).toContainEqual([
      expect.stringContaining("an older copy was put back"),
      expect.objectContaining({ code: "key-store-rolled-back", keys: 2 }),
    ]);
    expect(alert).toMatchObject({ outcome: "failure", context: { alert: "key-store-rolled-back", keys: 2 } });
    await drill.stop();
    const [before, again] = [log.size(), await drill.start(LATER_MS)];
    await until(() => again.status().state === "ok");
    await append(again, by("u0", 5));
    expect(await alerts(again, before)).toEqual([]);
    await drill.stop();
    expect((await drill.fsck()).findings).toEqual([]);
  });

  test("seals nothing new: a person who was erased has another key from the first event on", async () => {
    const log = await drill.start(LATER_MS);
    const [index = 0] = await append(log, by("u2", 6));
    expect(await alerted(log, size)).toHaveLength(1);
    expect((await read(log, index)).event.actor?.id).toBe("u2");
    expect(decodeLeaf(await log.readLeaf(index)).actor?.n).toBe(0);
    await drill.stop();
    expect((await drill.fsck()).findings).toEqual([]);
  });
});

test("a copy that lacks keys of what was logged since is refused; restored as a backup, the log names what is lost", async () => {
  const drill = new Drill(await createSite({ storage: createMemoryStorage() }));
  const log = await drill.start(START_MS);
  const [mine = 0] = await append(log, by("u2", 1));
  await drill.stop();
  drill.copyKeys();
  const again = await drill.start(START_MS);
  const { request } = await again.disposition.erase({ subject: "u2", ground: "asked", by: "o" });
  expect((await again.disposition.waitForDestruction(request, 10_000)).state).toBe("done");
  const [fresh = 0] = await append(again, by("new", 2));
  await drill.stop();
  drill.putBack();
  expect(await codeOf(drill.start(START_MS))).toBe("log-corrupt");
  await drill.keyStore?.close();
  let isNoted = false;
  const restored = { takenAt: START_MS, epoch: 1, noted: async (): Promise<void> => void (isNoted = true) };
  const last = await drill.start(START_MS, { restored });
  expect(await codeOf(read(last, mine))).toBe("erased");
  await until(() => isNoted && last.status().state === "ok");
  expect([await codeOf(read(last, mine)), await codeOf(read(last, fresh))]).toEqual(["erased", "key-lost"]);
  await alerted(last, fresh + 1);
  expect(await drill.keysBack()).toBe(0);
  await drill.stop();
  expect((await drill.fsck()).findings).toEqual([]);
  await drill.site.storage.deleteRows(TABLE.lost, [indexKey(fresh)]);
  expect((await drill.fsck()).findings).toMatchObject([{ code: "lost-row-mismatch", index: fresh }]);
});
