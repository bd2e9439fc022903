/** Backups of a key store: what is in them, who can read them for how long, and that there always is one. */
import { appendFileSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import {
  type KeyBackup,
  KeyBackups,
  type KeyStore,
  finalDay,
  listKeyBackups,
  openKeyStore,
  restoreKeyStore,
} from "../src/index.ts";
import { temporaryFolder } from "../../../test/support/temporary-folder.ts";
import { expectCode } from "./expect-code.ts";
import { createFaultyFileSystem, type Fault } from "./faulty-file-system.ts";

const masterKey = new Uint8Array(32).fill(9);
const origin = "example.com/audit";
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const START = Date.UTC(2026, 0, 5, 7);
const hex = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString("hex");
const names = (count: number): string[] => Array.from({ length: count }, (_, at) => `p${at}`);

/** A key store with its backups, and a clock that the test moves. */
class Site {
  readonly folder: string = temporaryFolder();
  readonly path: string = join(this.folder, "keystore");
  readonly target: string = join(this.folder, "backups");
  readonly keys: string = join(this.folder, "backup-keys");
  now: number = START;
  readonly fileSystem = createFaultyFileSystem();

  backups(intervalMs: number = DAY_MS): KeyBackups {
    const { path, target, keys, fileSystem } = this;
    return new KeyBackups({ path, target, keys, fileSystem, origin, masterKey, intervalMs, now: () => this.now });
  }

  async use<T>(use: (keys: KeyStore) => T | Promise<T>, path: string = this.path): Promise<T> {
    const keys = await openKeyStore({ path, masterKey });
    try {
      return await use(keys);
    } finally {
      await keys.close();
    }
  }

  /** Keys of these persons, made where there are none, in hex. */
  async fill(count: number): Promise<string[]> {
    return this.use((keys) => names(count).map((name) => hex(keys.getOrCreate("person", name))));
  }

  /** What a backup gives back: the keys of so many persons. */
  async restored(from: string, count: number): Promise<string[]> {
    const path = join(temporaryFolder(), "restored");
    await restoreKeyStore({ from, keys: this.keys, path, masterKey, origin });
    return this.use((keys) => names(count).map((name) => hex(keys.get("person", name))), path);
  }

  async readable(): Promise<readonly KeyBackup[]> {
    return (await listKeyBackups(this)).filter(({ isReadable }) => isReadable);
  }
}

describe("a backup", () => {
  test.each([0, 1, 700, 5000])("of %i keys holds every durable key, and restores them", async (count) => {
    const site = new Site();
    const all = await site.fill(count);
    const backup = await site.backups().run();
    expect(backup).toMatchObject({ origin, time: START, epoch: 1, count, keyNumber: 1, isReadable: true });
    expect(await site.restored(backup.path, count)).toEqual(all);
  });

  test("is made of an open key store, and has what was destroyed as destroyed", async () => {
    const site = new Site();
    const all = await site.fill(20);
    await site.use(async (keys) => {
      await keys.destroy([{ kind: "person", name: "p3" }]);
      keys.getOrCreate("person", "unsynced");
      const { path, epoch } = await site.backups().run();
      expect(epoch).toBe(2);
      expect(await site.restored(path, 20)).toEqual(all.with(3, ""));
    });
  });

  test("made while keys are created and destroyed is whole, of one moment", async () => {
    const site = new Site();
    const all = await site.fill(300);
    await site.use(async (keys) => {
      const made: string[] = [];
      const work = (async () => {
        for (let at = 0; at < 10; at++) {
          keys.getOrCreate("person", `more${at}`);
          await keys.destroy([{ kind: "person", name: `p${at}` }]);
        }
      })();
      for (let at = 0; at < 5; at++) {
        site.now += 1000;
        made.push((await site.backups().run()).path);
      }
      await work;
      for (const path of made) {
        const restored = await site.restored(path, 300);
        const destroyed = restored.filter((key) => key === "").length;
        expect(restored).toEqual(all.map((key, at) => (at < destroyed ? "" : key)));
      }
    });
  });

  test("holds no key and no name in the clear, and only its owner may read it", async () => {
    const site = new Site();
    const all = await site.fill(50);
    await site.use((keys) => void keys.getOrCreate("person", "ada.lovelace@example.org"));
    await site.backups().run();
    for (const folder of [site.target, site.keys]) {
      for (const name of readdirSync(folder)) {
        const content = readFileSync(join(folder, name));
        for (const key of all) expect(content.includes(Buffer.from(key, "hex"))).toBe(false);
        expect(content.includes("ada.lovelace")).toBe(false);
        expect(content.includes(Buffer.from(masterKey))).toBe(false);
      }
    }
  });

  test("with any byte changed, one cut off or one too many is refused", async () => {
    const site = new Site();
    await site.fill(3);
    const { path } = await site.backups().run();
    const bytes = readFileSync(path);
    for (let at = 0; at <= bytes.length; at += 3) {
      const copy = join(temporaryFolder(), "copy");
      // At the end: one byte more than there should be.
      const changed =
        at < bytes.length ? bytes.with(at, (bytes[at] ?? 0) ^ 1) : Buffer.concat([bytes, Buffer.alloc(1)]);
      writeFileSync(copy, changed);
      const to = join(temporaryFolder(), "restored");
      const refused = await restoreKeyStore({ from: copy, keys: site.keys, path: to, masterKey, origin }).catch(
        (error: unknown) => error,
      );
      expect(["key-backup-malformed", "key-backup-unreadable"]).toContain((refused as { code?: string }).code);
    }
    writeFileSync(path, bytes.subarray(0, -1));
    await expectCode("key-backup-malformed", () => site.restored(path, 3));
  });

  test("of another log, and under another master key, is refused", async () => {
    const site = new Site();
    await site.fill(3);
    const { path: from } = await site.backups().run();
    const path = join(site.folder, "elsewhere");
    const options = { from, keys: site.keys, path, masterKey };
    await expectCode("key-backup-malformed", () => restoreKeyStore({ ...options, origin: "example.com/other" }));
    await expectCode("master-key-wrong", () =>
      restoreKeyStore({ ...options, masterKey: new Uint8Array(32).fill(8), origin }),
    );
  });

  test("is never restored over what is there", async () => {
    const site = new Site();
    const all = await site.fill(3);
    const { path: from } = await site.backups().run();
    const { keys, path } = site;
    await expectCode("key-store-exists", () => restoreKeyStore({ from, keys, path, masterKey }));
    expect(await site.fill(3)).toEqual(all);
  });

  test("of a damaged key store replaces none, and its key stays", async () => {
    const site = new Site();
    const all = await site.fill(40);
    const good = await site.backups().run();
    const rows = readFileSync(join(site.path, "keys.1"));
    writeFileSync(join(site.path, "keys.1"), rows.with(500, (rows[500] ?? 0) ^ 4));
    site.now += 6.5 * DAY_MS;
    await expectCode("key-store-corrupt", () => site.backups().run());
    expect((await site.readable()).map(({ path }) => path)).toEqual([good.path]);
    expect(await site.restored(good.path, 40)).toEqual(all);
  });
});

describe("backup keys", () => {
  test("are replaced before they are a week old; then no copy of an older backup can be read", async () => {
    const site = new Site();
    const all = await site.fill(5);
    const first = await site.backups().run();
    const copies = temporaryFolder();
    const replaced: number[] = [];
    for (let day = 1; day <= 20; day++) {
      cpSync(site.target, copies, { recursive: true });
      site.now = START + day * DAY_MS;
      const { keyNumber, path } = await site.backups().run();
      if (keyNumber > replaced.length + 1) replaced.push(day);
      expect(readdirSync(site.keys)).toEqual([`backup-key.${keyNumber}`]);
      expect(await site.restored(path, 5)).toEqual(all);
    }
    expect(replaced).toEqual([7, 14]);
    // Whoever kept every backup ever written, and has the backup keys of today and the master key:
    const readable = (await listKeyBackups({ target: copies, keys: site.keys })).filter(({ isReadable }) => isReadable);
    expect(readable.map(({ time }) => (time - START) / DAY_MS)).toEqual([19, 18, 17, 16, 15, 14]);
    await expectCode("key-backup-unreadable", () => site.restored(join(copies, first.path.split("/").at(-1) ?? ""), 5));
  });

  test("what is destroyed is in no readable backup from the day that was named for it", async () => {
    for (const hours of [0, 5, 16, 17, 24, 100, 167, 168, 169]) {
      const site = new Site();
      await site.fill(3);
      const copies = temporaryFolder();
      let destroyedAt: number | undefined;
      for (let hour = 0; hour <= 24 * 20; hour++) {
        site.now = START + hour * HOUR_MS;
        if (hour % 24 === 0) await site.backups().run();
        if (hour === hours) {
          destroyedAt = site.now;
          await site.use((keys) => keys.destroy([{ kind: "person", name: "p1" }]));
        }
        if (hour % 24 === 0) cpSync(site.target, copies, { recursive: true });
        if (destroyedAt === undefined || new Date(site.now).toISOString().slice(0, 10) < finalDay(destroyedAt))
          continue;
        const readable = (await listKeyBackups({ target: copies, keys: site.keys })).filter((one) => one.isReadable);
        for (const { path } of readable) expect((await site.restored(path, 3))[1]).toBe("");
        expect(readable.length).toBeGreaterThan(0);
        break;
      }
    }
  });

  test("are replaced with the next backup once the master key was", async () => {
    const site = new Site();
    await site.fill(3);
    await site.backups().run();
    const other = new Uint8Array(32).fill(7);
    const { path, target, keys: folder } = site;
    const wrong = new KeyBackups({ path, target, keys: folder, origin, masterKey: other, now: () => site.now });
    await expectCode("master-key-wrong", () => wrong.run());
    expect(readdirSync(site.keys)).toEqual(["backup-key.1"]);
    await site.use((keys) => keys.rotateMasterKey(other));
    site.now += HOUR_MS;
    expect((await wrong.run()).keyNumber).toBe(2);
    expect(readdirSync(site.keys)).toEqual(["backup-key.2"]);
  });

  test("that are damaged or of the future are replaced", async () => {
    const site = new Site();
    const all = await site.fill(5);
    await site.backups().run();
    const path = join(site.keys, "backup-key.1");
    const bytes = readFileSync(path);
    writeFileSync(path, bytes.with(50, (bytes[50] ?? 0) ^ 1));
    expect(await site.backups().dueAt()).toBe(0);
    expect(await site.restored((await site.backups().run()).path, 5)).toEqual(all);
    expect(readdirSync(site.keys)).toEqual(["backup-key.2"]);
    site.now -= 8 * DAY_MS;
    expect((await site.backups().run()).keyNumber).toBe(3);
  });
});

test("of two processes that back up at once, at least one does, and its backup can be read", async () => {
  const site = new Site();
  const all = await site.fill(3);
  const outcomes = await Promise.allSettled([site.backups().run(), site.backups().run()]);
  expect(outcomes.some(({ status }) => status === "fulfilled")).toBe(true);
  const [newest] = await site.readable();
  expect(await site.restored(newest?.path ?? "", 3)).toEqual(all);
});

describe("backups in their folder", () => {
  test("are few: eight at most, and files of others are left alone", async () => {
    const site = new Site();
    await site.fill(2);
    mkdirSync(site.target);
    for (const name of ["notes.txt", "keys-2020-01-01T00-00-00.000Z.backup"])
      appendFileSync(join(site.target, name), "not ours");
    for (let hour = 0; hour < 12; hour++) {
      site.now = START + hour * HOUR_MS;
      await site.backups(HOUR_MS).run();
    }
    expect(await site.readable()).toHaveLength(8);
    expect(readdirSync(site.target)).toHaveLength(10);
  });

  test("cannot be where a folder of theirs is none", async () => {
    const site = new Site();
    await site.fill(1);
    writeFileSync(site.target, "");
    await expectCode("storage-unavailable", () => site.backups().newest());
    await expectCode("storage-unavailable", () => site.backups().run());
  });

  test("are due at once where there is none that can be read, else an interval after the newest", async () => {
    const site = new Site();
    await site.fill(2);
    expect(await site.backups().dueAt()).toBe(0);
    await site.backups().run();
    expect(await site.backups().dueAt()).toBe(START + DAY_MS);
    expect(await site.backups(HOUR_MS).dueAt()).toBe(START + HOUR_MS);
  });

  test.each([2, 400])(
    "is due at once, under a new key, where the clock was %i days ahead and is right again",
    async (days) => {
      const site = new Site();
      await site.fill(3);
      await site.backups().run();
      site.now = START + days * DAY_MS;
      const ahead = await site.backups().run();
      site.now = START + DAY_MS;
      expect(await site.backups().dueAt()).toBe(0);
      const all = await site.fill(5);
      const right = await site.backups().run();
      expect(await site.readable()).toMatchObject([{ path: right.path, time: START + DAY_MS }]);
      expect(existsSync(ahead.path)).toBe(false);
      expect(await site.restored(right.path, 5)).toEqual(all);
      expect(await site.backups().dueAt()).toBe(START + 2 * DAY_MS);
    },
  );

  test("stays where the clock was ahead by what clocks differ by", async () => {
    const site = new Site();
    await site.fill(3);
    const { keyNumber } = await site.backups().run();
    site.now -= 300_000;
    expect(await site.backups().dueAt()).toBe(START + DAY_MS);
    expect(await site.backups().run()).toMatchObject({ keyNumber });
  });
});

describe("a run that fails at any step", () => {
  test.each(["open", "write", "sync", "close", "link", "rename", "unlink"] as const)(
    "of kind %s leaves a backup that can be read, and is completed by the next one",
    async (call) => {
      const { base, all } = await aWeekLater();
      for (const when of ["before", "after"] as const) {
        for (let after = 0; await runWithFault(base, all, { call, when, after }); after++);
      }
    },
  );
});

describe("a restoration that fails at any step", () => {
  test.each(["open", "write", "sync", "rename", "makeFolder"] as const)(
    "of kind %s leaves no key store or a whole one, and can be done again",
    async (call) => {
      const site = new Site();
      const all = await site.fill(3);
      const { path: from } = await site.backups().run();
      for (const when of ["before", "after"] as const) {
        for (let after = 0; await restoreWithFault(site, { from, all, fault: { call, when, after } }); after++);
      }
    },
  );
});

/** Whether it came to the fault. */
async function restoreWithFault(
  site: Site,
  { from, all, fault }: { readonly from: string; readonly all: readonly string[]; readonly fault: Fault },
): Promise<boolean> {
  const path = join(temporaryFolder(), "restored");
  const options = { from, keys: site.keys, path, masterKey, origin };
  const fileSystem = createFaultyFileSystem();
  fileSystem.fault = fault;
  const failed = await restoreKeyStore({ ...options, fileSystem }).then(
    () => false,
    () => true,
  );
  if (!existsSync(path)) await restoreKeyStore(options);
  const read = await site.use((keys) => names(3).map((name) => hex(keys.get("person", name))), path);
  expect([JSON.stringify(fault), read]).toEqual([JSON.stringify(fault), all]);
  return failed;
}

/** A key store of four keys, and a backup of a week ago with three of them; gives these three. */
async function aWeekLater(): Promise<{ readonly base: Site; readonly all: readonly string[] }> {
  const base = new Site();
  const all = await base.fill(3);
  await base.backups().run();
  await base.fill(4);
  return { base, all };
}

/** A run in which the backup key is replaced, with a fault in it; whether it came to that fault. */
async function runWithFault(base: Site, all: readonly string[], fault: Fault): Promise<boolean> {
  const site = new Site();
  cpSync(base.folder, site.folder, { recursive: true });
  site.now += 7 * DAY_MS;
  site.fileSystem.fault = fault;
  const failed = await site
    .backups()
    .run()
    .then(
      () => false,
      () => true,
    );
  site.fileSystem.fault = undefined;
  const [newest] = await site.readable();
  const restored = await site.restored(newest?.path ?? "", 3);
  expect([JSON.stringify(fault), restored]).toEqual([JSON.stringify(fault), all]);
  site.now += HOUR_MS;
  if (failed) await site.backups().run();
  expect(readdirSync(site.keys)).toHaveLength(1);
  expect(readdirSync(site.target).filter((name) => name.endsWith(".next"))).toEqual([]);
  expect(await site.readable()).toContainEqual(expect.objectContaining({ count: 4, keyNumber: 2 }));
  return failed;
}
