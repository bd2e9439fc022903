/** Folders on a disk, altered by somebody who can write to them: what the start, the witnesses, the reads and fsck say. */
import { cp, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { decodeLeaf } from "@tallystick/events";
import { type KeyStore, type LogStorage, openKeyStore, openLevelStorage, scrubTables } from "@tallystick/storage";
import { rejectionCode } from "../../../test/support/errors.ts";
import { type FsckReport, type Log, fsckLog } from "../src/index.ts";
import { LogSecrets } from "../src/keys.ts";
import { scrub } from "../src/scrub.ts";
import { ORIGIN, type Site, createSite, login, published, seed, until } from "./site.ts";
import { temporaryFolder } from "../../../test/support/temporary-folder.ts";

const MASTER_KEY = seed("master key");

interface Disk {
  readonly data: string;
  readonly keys: string;
}

interface Opened {
  readonly storage: LogStorage;
  readonly keyStore: KeyStore;
}

function newDisk(): Disk {
  const folder = temporaryFolder();
  return { data: join(folder, "data"), keys: join(folder, "keys") };
}

/** Opens both folders for a while. */
async function withDisk<T>({ data, keys }: Disk, work: (opened: Opened) => Promise<T>): Promise<T> {
  const storage = await openLevelStorage({ path: data });
  try {
    const keyStore = await openKeyStore({ path: keys, masterKey: MASTER_KEY });
    try {
      return await work({ storage, keyStore });
    } finally {
      await keyStore.close();
    }
  } finally {
    await storage.close();
  }
}

/** Runs a log on the disk for a while. */
async function withLog<T>(site: Site, disk: Disk, work: (log: Log) => Promise<T>): Promise<T> {
  return withDisk(disk, async (opened) => {
    const log = await site.open(opened);
    try {
      return await work(log);
    } finally {
      await log.close();
    }
  });
}

/** Logs events `from` to `to`, and waits until they are published. */
async function fill(site: Site, disk: Disk, { from, to }: { from: number; to: number }): Promise<void> {
  await withLog(site, disk, async (log) => {
    await until(() => log.status().state !== "starting");
    const events = Array.from({ length: to - from }, (_, n) =>
      login(from + n, { actor: { type: "user", id: `user ${from}` } }),
    );
    await log.appendEvents({ writer: "w", events });
    await published(log);
  });
}

async function fsck({ keys }: Site, disk: Disk): Promise<FsckReport> {
  const verifiers = keys.signers.map(({ verifier }) => verifier);
  return withDisk(disk, async (opened) => fsckLog({ ...opened, origin: ORIGIN, verifiers }));
}

async function copyOf(disk: Disk): Promise<Disk> {
  const copy = newDisk();
  await cp(disk.data, copy.data, { recursive: true });
  await cp(disk.keys, copy.keys, { recursive: true });
  return copy;
}

test("C-257 a data folder of an hour ago is refused by what the witnesses hold, and nothing is signed", async () => {
  const site = await createSite({ witnesses: 3 });
  const disk = newDisk();
  await fill(site, disk, { from: 0, to: 20 });
  const backup = await copyOf(disk);
  await fill(site, disk, { from: 20, to: 40 });
  const asked = site.network.requests.length;
  await withLog(site, { data: backup.data, keys: disk.keys }, async (log) => {
    await until(() => log.status().state === "stopped");
    expect(log.status()).toMatchObject({ size: 20, publishedSize: 20, reasons: [{ code: "log-rolled-back" }] });
    expect(await rejectionCode(log.appendEvents({ writer: "w", events: [login(90)] }))).toBe("log-rolled-back");
  });
  expect(site.network.requests.slice(asked).filter((request) => request.startsWith("POST"))).toEqual([]);
  // The folder is whole; only the witnesses can tell that it is old.
  expect(await fsck(site, { data: backup.data, keys: disk.keys })).toMatchObject({ ok: true, size: 20 });
});

test("an older copy of the key store is refused where the newest entry needs a key that it lacks", async () => {
  const site = await createSite();
  const disk = newDisk();
  await fill(site, disk, { from: 0, to: 20 });
  const backup = await copyOf(disk);
  await fill(site, disk, { from: 20, to: 40 });
  const mixed = { data: disk.data, keys: backup.keys };
  expect(await rejectionCode(withLog(site, mixed, async () => undefined))).toBe("log-corrupt");
  const report = await fsck(site, mixed);
  expect(report.findings.map(({ code, index }) => [code, index])).toEqual(
    Array.from({ length: 20 }, (_, n) => ["key-missing", 20 + n]),
  );
});

test("a key store that is gone is refused, and not replaced by an empty one", async () => {
  const site = await createSite();
  const disk = newDisk();
  await fill(site, disk, { from: 0, to: 5 });
  await rm(disk.keys, { recursive: true });
  expect(await rejectionCode(withLog(site, disk, async () => undefined))).toBe("log-corrupt");
  expect((await fsck(site, disk)).findings[0]).toMatchObject({ code: "key-missing", index: 0 });
});

test("C-256 a flipped bit in a table file is never served: read, fsck and the walk over the tables name it", async () => {
  const { site, disk, leaves } = await filledTables();
  for (const index of [0, 130, 255]) {
    const copy = await copyOf(disk);
    const path = await flipIn(copy, commitmentOf(leaves[index]));
    const defects: string[] = [];
    for await (const defect of scrubTables({ path: copy.data })) defects.push(defect.path);
    expect(defects).toEqual([path]);
    await withLog(site, copy, async (log) => {
      expect(await rejectionCode(log.readLeaf(index))).toBe("storage-corrupt");
      // Another window of 256: no run of rows reaches from one into the next.
      expect(await log.readLeaf(256)).toEqual(leaves[256]);
    });
    const { findings } = await fsck(site, copy);
    expect(findings.map(({ code, index: at, message }) => [code, at ?? message])).toEqual([
      ["storage-corrupt", expect.stringContaining(path)],
      ["storage-corrupt", expect.any(Number)],
    ]);
    // The run of rows that has it begins at or before it.
    expect(findings[1]?.index).toBeLessThanOrEqual(index);
    expect(findings[1]?.index).toBeGreaterThan(index - 256);
  }
});

test("C-256 a block on which LevelDB would end the process is told by fsck, and refused at the start after such an end", async () => {
  const { site, disk } = await filledTables();
  const path = await zeroBlock(disk);
  const report = await fsck(site, disk);
  expect(report).toMatchObject({ ok: false, findings: [{ code: "storage-corrupt" }] });
  expect(report.findings[0]?.message).toContain(path);
  // What a process leaves that ended by a signal.
  await writeFile(join(disk.data, "lock", "holder"), "process 1");
  expect(await rejectionCode(withLog(site, disk, async () => undefined))).toBe("storage-corrupt");
});

test("C-256 the scrub of an open log reads the tables first", async () => {
  const { disk } = await filledTables();
  const path = await zeroBlock(disk);
  await withDisk(disk, async ({ storage, keyStore }) => {
    const walk = scrub({
      storage,
      secrets: new LogSecrets(keyStore),
      size: () => 0,
      entriesPerSecond: 1,
      signal: AbortSignal.timeout(10_000),
    });
    await expect(walk).rejects.toMatchObject({ code: "log-corrupt", message: expect.stringContaining(path) });
  });
});

test("C-256 a flipped bit at the right edge stops the start", async () => {
  const { site, disk, leaves } = await filledTables();
  await flipIn(disk, commitmentOf(leaves[300]));
  expect(await rejectionCode(withLog(site, disk, async () => undefined))).toBe("storage-corrupt");
});

/** A log whose entries are in a table file, not in the write-ahead log only: that takes to be opened again. */
async function filledTables(): Promise<{ site: Site; disk: Disk; leaves: readonly Uint8Array[] }> {
  const site = await createSite();
  const disk = newDisk();
  await fill(site, disk, { from: 0, to: 310 });
  const leaves = await withLog(site, disk, async (log) =>
    Promise.all(Array.from({ length: 310 }, async (_, index) => log.readLeaf(index))),
  );
  return { site, disk, leaves };
}

/** Writes zeros over a few pages of the largest table file, whole blocks among them, and gives its path. */
async function zeroBlock({ data }: Disk): Promise<string> {
  const folder = join(data, "leveldb");
  const paths = (await readdir(folder)).filter((name) => name.endsWith(".ldb")).map((name) => join(folder, name));
  const files = await Promise.all(paths.map(async (path) => ({ path, bytes: await readFile(path) })));
  const [largest] = files.toSorted((a, b) => b.bytes.length - a.bytes.length);
  if (largest === undefined) throw new Error("there is no table file");
  const middle = Math.floor(largest.bytes.length / 2);
  await writeFile(largest.path, largest.bytes.fill(0, middle, middle + 16_384));
  return largest.path;
}

/** Flips a bit within the stored value; gives the file. */
async function flipIn({ data }: Disk, value: Uint8Array): Promise<string> {
  const folder = join(data, "leveldb");
  for (const name of (await readdir(folder)).filter((each) => each.endsWith(".ldb"))) {
    const path = join(folder, name);
    const bytes = await readFile(path);
    const at = bytes.indexOf(value);
    if (at === -1) continue;
    bytes[at + 20] = (bytes[at + 20] ?? 0) ^ 1;
    await writeFile(path, bytes);
    return path;
  }
  throw new Error("no table file holds this value");
}

test("a data folder without its mark file, or with its end cut off, is refused", async () => {
  const site = await createSite();
  const disk = newDisk();
  await fill(site, disk, { from: 0, to: 20 });
  const backup = await copyOf(disk);
  await fill(site, disk, { from: 20, to: 30 });
  const unmarked = await copyOf(disk);
  await rm(join(unmarked.data, "high-water"));
  expect(await rejectionCode(withLog(site, unmarked, async () => undefined))).toBe("storage-rolled-back");
  // The database alone put back.
  await rm(join(disk.data, "leveldb"), { recursive: true });
  await cp(join(backup.data, "leveldb"), join(disk.data, "leveldb"), { recursive: true });
  expect(await rejectionCode(withLog(site, disk, async () => undefined))).toBe("storage-rolled-back");
});

/** What of a leaf is in no other one: what leaves begin alike with is stored once. */
function commitmentOf(leaf: Uint8Array | undefined): Uint8Array {
  return decodeLeaf(leaf ?? new Uint8Array()).commitment;
}
