/** A log over LevelDB in which much was destroyed: opened again, scrubbed, checked; and killed while it destroys. */
import { spawn } from "node:child_process";
import { cpSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { decodeLeaf } from "@tallystick/events";
import { type KeyStore, type LogStorage, indexKey, openKeyStore, openLevelStorage } from "@tallystick/storage";
import { type FsckReport, type Log, fsckLog, openLog } from "../../src/index.ts";
import { LogSecrets } from "../../src/keys.ts";
import { TABLE } from "../../src/rows.ts";
import { scrub } from "../../src/scrub.ts";
import { temporaryFolder } from "../../../../test/support/temporary-folder.ts";
import { KEYS, MASTER_KEY, ORIGIN, POLICY, unsignedEvent } from "../kill-load.ts";

const DAY_MS = 86_400_000;
const START_MS = 1_760_000_000_000;
const DAYS = 4;
const EVENTS_A_DAY = 100;
/** Far more than a walk takes. */
const SCRUB_MS = 500;
/** Logins are kept for 365 days: all of them are over. */
const LATER_MS = START_MS + (DAYS + 366) * DAY_MS;
const HELD = "user 1";
const ERASED = "user 2";
const child = new URL("kill-child.ts", import.meta.url).pathname;

interface Stores {
  readonly storage: LogStorage;
  readonly keyStore: KeyStore;
}

async function withStores<T>(folder: string, work: (stores: Stores) => Promise<T>): Promise<T> {
  const storage = await openLevelStorage({ path: join(folder, "data") });
  const keyStore = await openKeyStore({ path: join(folder, "keys"), masterKey: MASTER_KEY });
  try {
    return await work({ storage, keyStore });
  } finally {
    await keyStore.close();
    await storage.close();
  }
}

async function withLog<T>(stores: Stores, nowMs: number, work: (log: Log) => Promise<T>): Promise<T> {
  const options = { origin: ORIGIN, keys: KEYS, policyText: POLICY, witnesses: [], confirmClock: true };
  const log = await openLog({ ...options, ...stores, publishIntervalMs: 5, now: () => nowMs });
  onTestFinished(async () => log.close({ graceMs: 0 }));
  while (log.status().state === "starting") await new Promise((resolve) => setTimeout(resolve, 1));
  expect(log.status().state).toBe("ok");
  const result = await work(log);
  await log.close();
  return result;
}

/** Some days of logins of fifty persons: one is erased, another one held. */
async function fill(folder: string): Promise<void> {
  for (let day = 0; day < DAYS; day += 1) {
    await withStores(folder, async (stores) =>
      withLog(stores, START_MS + day * DAY_MS, async (log) => {
        const numbers = Array.from({ length: EVENTS_A_DAY }, (_, at) => day * EVENTS_A_DAY + at);
        await log.appendEvents({ writer: "w0", events: numbers.map((n) => unsignedEvent("w0", n)) });
        if (day < DAYS - 1) return;
        await log.disposition.setHold({ by: "o", case: "c", selectors: { subject: HELD } });
        const { request } = await log.disposition.erase({ subject: ERASED, ground: "asked", by: "o" });
        expect((await log.disposition.waitForDestruction(request, 10_000)).state).toBe("done");
      }),
    );
  }
}

async function fsck({ storage, keyStore }: Stores): Promise<FsckReport> {
  const verifiers = KEYS.signers.map(({ verifier }) => verifier);
  return fsckLog({ storage, keyStore, origin: ORIGIN, verifiers });
}

/** The scrub walks over all that there is, and finds no damage. */
async function expectScrubbed({ storage, keyStore }: Stores, size: number): Promise<void> {
  const secrets = new LogSecrets(keyStore);
  const signal = AbortSignal.timeout(SCRUB_MS);
  await scrub({ storage, secrets, size: () => size, entriesPerSecond: 1_000_000, signal });
}

/** Kills the child when it has removed sealed events so many times; gives what it said. */
async function runAndKill(folder: string, after: number): Promise<readonly string[]> {
  const args = ["--conditions=ws-source", child, folder, String(LATER_MS)];
  const running = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] });
  let [output, errors] = ["", ""];
  running.stderr.on("data", (text: Buffer) => (errors += text.toString()));
  running.stdout.on("data", (text: Buffer) => {
    output += text.toString();
    if (output.split("\n").length - 1 >= after) running.kill("SIGKILL");
  });
  await new Promise<void>((resolve) => running.on("close", () => resolve()));
  expect(errors).toBe("");
  return output.split("\n").filter((line) => line !== "");
}

async function settled({ storage }: Stores): Promise<void> {
  const pending = async (): Promise<boolean> => {
    for await (const _row of storage.scanRows(TABLE.pending)) return true;
    return false;
  };
  while (await pending()) await new Promise((resolve) => setTimeout(resolve, 5));
}

/** When all is destroyed that is due: logins of the person that is held open, others are nowhere on the disk. */
async function expectDestroyed(stores: Stores): Promise<void> {
  await withLog(stores, LATER_MS, async (log) => {
    await log.disposition.runRetention();
    await settled(stores);
    const held: number[] = [];
    const gone: number[] = [];
    for (let index = 0, n = 0, size = log.size(); index < size; index += 1) {
      if (decodeLeaf(await log.readLeaf(index)).class !== "auth") continue;
      const person = `user ${n % 50}`;
      n += 1;
      const row = await stores.storage.getRow(TABLE.sealed, indexKey(index));
      expect(row !== undefined).toBe(person === HELD);
      if (person === HELD) held.push(index);
      if (n % 40 === 0) gone.push(index);
    }
    expect(held).toHaveLength((DAYS * EVENTS_A_DAY) / 50);
    // Each read is an entry: some are enough.
    for (const index of gone)
      await expect(log.readEvent({ index, reader: "auditor" })).rejects.toMatchObject({ code: "erased" });
    for (const index of [held[0], held.at(-1)]) {
      const { event } = await log.readEvent({ index: index ?? -1, reader: "auditor" });
      expect(event.actor?.id).toBe(HELD);
    }
  });
}

test("with erasures, pruned class-days and holds it opens again, is scrubbed, and is found whole; also after a kill", async () => {
  const root = temporaryFolder();
  const [folder, killed] = [join(root, "log"), join(root, "killed")];
  await fill(folder);
  const filled = await withStores(folder, fsck);
  expect([filled.findings, filled.counts.erased]).toEqual([[], (DAYS * EVENTS_A_DAY) / 50]);
  cpSync(folder, killed, { recursive: true });
  await withStores(folder, expectDestroyed);
  await withStores(folder, async (stores) => {
    const { findings, size, counts } = await fsck(stores);
    expect(findings).toEqual([]);
    expect(counts.opened + counts.erased).toBe(size);
    await expectScrubbed(stores, size);
  });
  // Killed while sealed events are removed, twice: found whole each time, and the next start completes it.
  for (const after of [2, 1]) {
    expect(await runAndKill(killed, after)).not.toContain("settled");
    expect((await withStores(killed, fsck)).findings).toEqual([]);
  }
  await withStores(killed, expectDestroyed);
  expect((await withStores(killed, fsck)).findings).toEqual([]);
}, 60_000);
