/** What the LevelDB driver notices of its own files. */
import { spawnSync } from "node:child_process";
import { copyFileSync, cpSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as fc from "fast-check";
import { describe, expect, test, vi } from "vitest";
import {
  type FileSystem,
  type StorageError,
  createMemoryStorage,
  indexKey,
  type LevelStorageOptions,
  nodeFileSystem,
  openLevelStorage,
  scrubTables,
} from "../src/index.ts";
import { LEVEL_ORDER } from "../src/level-order.ts";
import type { HeadName, LogStorage } from "../src/storage.ts";
import { collect } from "./collect.ts";
import { expectCode } from "./expect-code.ts";
import { createFaultyFileSystem } from "./faulty-file-system.ts";
import { toFormerOrder } from "./former-order.ts";
import { withDatabase } from "./raw-database.ts";
import { type ReadReport, readStore } from "./read-store.ts";
import { temporaryFolder } from "../../../test/support/temporary-folder.ts";

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
const ENTRIES = 40;
const FLIPS_PER_FILE = 24;

async function withStorage(
  path: string,
  use: (storage: LogStorage) => Promise<void>,
  options: Partial<LevelStorageOptions> = {},
): Promise<void> {
  const storage = await openLevelStorage({ path, ...options });
  try {
    await use(storage);
  } finally {
    await storage.close();
  }
}

async function commitHead(storage: LogStorage, name: HeadName, text = name as string): Promise<void> {
  const expected = (await storage.readHead(name))?.version ?? 0;
  const index = indexKey(expected);
  await storage.commit({
    head: { name, expected, bytes: bytesOf(`${text} ${expected + 1}`) },
    rows: name === "integrated" ? [{ table: "leaf", key: index, value: bytesOf(`leaf ${expected}`) }] : [],
    blobs: name === "integrated" ? [{ key: `tile/${index}`, bytes: bytesOf(`tile ${expected}`) }] : [],
  });
}

/** A store whose marks are written when the test says so. */
async function openMarking(): Promise<{
  readonly path: string;
  readonly storage: LogStorage;
  /** What the marks wait for that are under way, or were. */
  readonly marks: readonly PromiseWithResolvers<void>[];
  /** Commits whose mark need not be waited for by the next one. */
  readonly written: readonly number[];
  readonly commit: (expected: number) => Promise<void>;
}> {
  const path = temporaryFolder();
  await fill(path, 0);
  const [marks, written]: [PromiseWithResolvers<void>[], number[]] = [[], []];
  const fileSystem: FileSystem = {
    ...nodeFileSystem,
    write: async (...call) => {
      const mark = Promise.withResolvers<void>();
      marks.push(mark);
      await mark.promise;
      await nodeFileSystem.write(...call);
    },
  };
  const storage = await openLevelStorage({ path, fileSystem });
  const commit = async (expected: number): Promise<void> => {
    const head = { name: "integrated", expected, bytes: bytesOf(`head ${expected + 1}`) } as const;
    await storage.commit({ head }, () => written.push(expected));
  };
  return { path, storage, marks, written, commit };
}

/** Of a copy of the folder, as a crash would leave it: that the database is ahead of its mark by so many commits, and is put right. */
async function expectAhead(path: string, commits: number): Promise<void> {
  const copy = join(temporaryFolder(), "copy");
  const warnings: unknown[] = [];
  const logger = { warn: (_: string, details: unknown) => void warnings.push(details) };
  cpSync(path, copy, { recursive: true });
  await withStorage(copy, async (storage) => expect((await storage.readHead("integrated"))?.version).toBe(commits), {
    logger,
  });
  expect(warnings).toEqual([{ head: "integrated", version: commits }]);
}

async function fill(path: string, commits = ENTRIES): Promise<void> {
  await withStorage(path, async (storage) => {
    for (let at = 0; at < commits; at++) await commitHead(storage, "integrated");
    await commitHead(storage, "signed");
    await commitHead(storage, "published");
  });
}

function filesBelow(path: string): string[] {
  return readdirSync(path, { recursive: true, encoding: "utf8" }).filter((name) => statSync(join(path, name)).isFile());
}

function flipBit(path: string, bit: number): void {
  const bytes = readFileSync(path);
  const at = Math.floor(bit / 8);
  bytes[at] = (bytes[at] ?? 0) ^ (1 << (bit % 8));
  writeFileSync(path, bytes);
}

describe("reopening", () => {
  test("what was committed is there again, and commits go on", async () => {
    const path = temporaryFolder();
    await fill(path);
    await withStorage(path, async (storage) => {
      expect(await storage.readHead("integrated")).toEqual({
        version: ENTRIES,
        bytes: bytesOf(`integrated ${ENTRIES}`),
      });
      expect(await storage.readHead("signed")).toEqual({ version: 1, bytes: bytesOf("signed 1") });
      expect(await storage.getRow("leaf", indexKey(7))).toEqual(bytesOf("leaf 7"));
      await commitHead(storage, "integrated");
      await commitHead(storage, "signed");
    });
    await withStorage(path, async (storage) => expect((await storage.readHead("signed"))?.version).toBe(2));
  });

  test("C-55 a folder is open once at a time", async () => {
    const path = temporaryFolder();
    await withStorage(path, async () => {
      const error = await expectCode("storage-locked", () => openLevelStorage({ path }));
      expect(error.message).toContain(`process ${process.pid}`);
    });
    await withStorage(path, async () => undefined);
  });

  test("a failed opening lets the folder go", async () => {
    const path = temporaryFolder();
    await fill(path, 1);
    copyFileSync(join(path, "high-water"), join(path, "kept"));
    rmSync(join(path, "high-water"));
    await expectCode("storage-rolled-back", () => openLevelStorage({ path }));
    copyFileSync(join(path, "kept"), join(path, "high-water"));
    await withStorage(path, async () => undefined);
  });
});

describe("rollback", () => {
  test.each(["high-water", "head", "published"])("refuses a store whose file %s is missing", async (file) => {
    const path = temporaryFolder();
    await fill(path, 3);
    rmSync(join(path, file));
    const error = await expectCode("storage-rolled-back", () => openLevelStorage({ path }));
    expect(error.message).toContain(file);
    expect(error.message).toContain("backup");
  });

  test("refuses a store whose database is missing", async () => {
    const path = temporaryFolder();
    await fill(path, 3);
    rmSync(join(path, "leveldb"), { recursive: true });
    await expectCode("storage-rolled-back", () => openLevelStorage({ path }));
  });

  test.each(["integrated", "signed", "published"] as const)(
    "refuses a database that is older by one commit of %s",
    async (name) => {
      const path = temporaryFolder();
      await fill(path, 3);
      cpSync(join(path, "leveldb"), join(path, "older"), { recursive: true });
      await withStorage(path, (storage) => commitHead(storage, name));
      rmSync(join(path, "leveldb"), { recursive: true });
      cpSync(join(path, "older"), join(path, "leveldb"), { recursive: true });
      const error = await expectCode("storage-rolled-back", () => openLevelStorage({ path }));
      expect(error.details).toMatchObject({ head: name, markVersion: name === "integrated" ? 4 : 2 });
      expect(error.message).toContain("is behind");
    },
  );

  test.each([
    ["integrated", "high-water", 2],
    ["signed", "head", 1],
    ["published", "published", 1],
  ] as const)(
    "refuses an older file for %s, %s, that is behind by more than %i, and repairs one",
    async (name, file, most) => {
      const path = temporaryFolder();
      await fill(path, 3);
      copyFileSync(join(path, file), join(path, "older"));
      const warnings: unknown[] = [];
      const logger = { warn: (_: string, details: unknown) => void warnings.push(details) };
      let version = name === "integrated" ? 3 : 1;
      for (let behind = 1; behind <= most; behind += 1) {
        await withStorage(path, (storage) => commitHead(storage, name));
        version += 1;
        copyFileSync(join(path, "older"), join(path, file));
        await withStorage(path, async () => undefined, { logger });
        expect(warnings.splice(0)).toEqual([{ head: name, version }]);
      }
      await withStorage(path, (storage) => commitHead(storage, name));
      copyFileSync(join(path, "older"), join(path, file));
      const error = await expectCode("storage-rolled-back", () => openLevelStorage({ path }));
      expect(error.message).toContain("is ahead of");
    },
  );

  test("refuses a head of the same version and other contents", async () => {
    const path = temporaryFolder();
    const other = temporaryFolder();
    await fill(path, 3);
    await fill(other, 2);
    await withStorage(other, (storage) => commitHead(storage, "integrated", "other"));
    copyFileSync(join(other, "high-water"), join(path, "high-water"));
    await expectCode("storage-rolled-back", () => openLevelStorage({ path }));
  });
});

describe("damage", () => {
  test("a value that was changed is refused by table and key, others are read", async () => {
    const path = temporaryFolder();
    await fill(path);
    await withDatabase(path, async (database) => {
      const value = await database.get(`r/leaf/${indexKey(5)}`);
      await database.put(
        `r/leaf/${indexKey(5)}`,
        Uint8Array.from(value ?? [], (byte, at) => (at === 10 ? byte ^ 1 : byte)),
      );
      await database.put(`b/tile/${indexKey(6)}`, bytesOf("short"));
    });
    await withStorage(path, async (storage) => {
      for (const read of [
        () => storage.getRow("leaf", indexKey(5)),
        () => storage.getRows("leaf", [indexKey(4), indexKey(5)]),
        async () => {
          for await (const _ of storage.scanRows("leaf"));
        },
      ]) {
        const error = await expectCode("storage-corrupt", read);
        expect(error.details).toEqual({ table: "leaf", key: indexKey(5) });
        expect(error.message).toContain("fsck");
      }
      const error = await expectCode("storage-corrupt", () => storage.getBlob(`tile/${indexKey(6)}`));
      expect(error.details).toEqual({ blob: `tile/${indexKey(6)}` });
      expect(await storage.getRow("leaf", indexKey(4))).toEqual(bytesOf("leaf 4"));
    });
  });

  test("values that were swapped are refused", async () => {
    const path = temporaryFolder();
    await fill(path);
    await withDatabase(path, async (database) => {
      const [a, b] = await database.getMany([`r/leaf/${indexKey(1)}`, `r/leaf/${indexKey(2)}`]);
      await database.put(`r/leaf/${indexKey(1)}`, b ?? new Uint8Array());
      await database.put(`r/leaf/${indexKey(2)}`, a ?? new Uint8Array());
      await database.put(`r/other/${indexKey(1)}`, a ?? new Uint8Array());
    });
    await withStorage(path, async (storage) => {
      await expectCode("storage-corrupt", () => storage.getRow("leaf", indexKey(1)));
      await expectCode("storage-corrupt", () => storage.getRow("leaf", indexKey(2)));
      await expectCode("storage-corrupt", () => storage.getRow("other", indexKey(1)));
    });
  });

  test("C-256 a damaged record in the middle of the write-ahead log is refused, on the second opening too", async () => {
    const path = temporaryFolder();
    await fill(path);
    const log = join(path, "leveldb", readdirSync(join(path, "leveldb")).find((name) => name.endsWith(".log")) ?? "");
    // The byte of a leaf: the checksum of its record fails, and LevelDB goes on without the rest of the block.
    flipBit(log, 8 * readFileSync(log).indexOf("leaf 20"));
    await expectCode("storage-corrupt", () => openLevelStorage({ path }));
    const error = await expectCode("storage-corrupt", () => openLevelStorage({ path }));
    expect(error.message).toContain("fsck");
  });

  test("C-256 a write-ahead log that was cut is refused", async () => {
    const path = temporaryFolder();
    await fill(path);
    const log = join(path, "leveldb", readdirSync(join(path, "leveldb")).find((name) => name.endsWith(".log")) ?? "");
    const bytes = readFileSync(log);
    for (const size of [bytes.length - 1, bytes.length / 2, 7, 0]) {
      const copy = temporaryFolder();
      cpSync(path, copy, { recursive: true });
      writeFileSync(join(copy, "leveldb", log.slice(log.lastIndexOf("/") + 1)), bytes.subarray(0, size));
      await expectCode("storage-rolled-back", () => openLevelStorage({ path: copy }));
    }
  });

  test.each(["high-water", "head", "published"])(
    "every truncation of %s is refused, or repaired to what it said",
    async (file) => {
      const path = temporaryFolder();
      await fill(path, 3);
      const bytes = readFileSync(join(path, file));
      for (const size of [0, 1, 63, bytes.length - 1].filter((size) => size < bytes.length)) {
        writeFileSync(join(path, file), bytes.subarray(0, size));
        expect(await readStore(path, 3)).toEqual({ missing: 0, wrong: [] });
        writeFileSync(join(path, file), bytes);
      }
    },
  );

  /** A row that LevelDB does not find any more, because its key or an index was hit, is noticed by the scrub alone. */
  test("C-256 a flipped bit in any file gives no wrong value, and the scrub finds what hides one", async () => {
    const path = temporaryFolder();
    await fill(path);
    // Half of the data in a table, half in the write-ahead log.
    await withStorage(path, async (storage) => {
      for (let at = 0; at < 10; at++) await commitHead(storage, "integrated");
    });
    const flips = filesBelow(path).flatMap((file) => flipsOf(path, file));
    expect(flips.length).toBeGreaterThan(150);
    // Before LevelDB rewrites anything.
    const defects = await Promise.all(flips.map(({ copy }) => collect(scrubTables({ path: copy }))));
    const reports = await readInChildren(
      flips.map(({ copy }) => copy),
      ENTRIES + 10,
    );
    for (const [at, { file, bit }] of flips.entries()) {
      const { missing, wrong } = reports[at] ?? { missing: 0, wrong: ["not read"] };
      expect(wrong, `bit ${bit} of ${file}`).toEqual([]);
      expect(missing === 0 || defects[at]?.length === 1, `bit ${bit} of ${file} hides ${missing} values`).toBe(true);
    }
  });
});

interface Flip {
  readonly file: string;
  readonly bit: number;
  /** A copy of the store with this bit flipped. */
  readonly copy: string;
}

function flipsOf(path: string, file: string): Flip[] {
  const bits = statSync(join(path, file)).size * 8;
  const step = Math.max(1, Math.floor(bits / FLIPS_PER_FILE));
  return Array.from({ length: Math.floor(bits / step) }, (_, at) => {
    // One more at a time: so that it is not always the same bit of a byte.
    const bit = at * step + (at % step);
    const copy = temporaryFolder();
    cpSync(path, copy, { recursive: true });
    flipBit(join(copy, file), bit);
    return { file, bit, copy };
  });
}

/** In processes of their own: some damage makes LevelDB abort, which gives no wrong value either. */
async function readInChildren(folders: readonly string[], commits: number): Promise<ReadReport[]> {
  const child = new URL("read-child.ts", import.meta.url).pathname;
  const reports: ReadReport[] = [];
  while (reports.length < folders.length) {
    const args = ["--conditions=ws-source", child, `${commits}`, ...folders.slice(reports.length)];
    const { stdout, signal, status, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
    reports.push(
      ...stdout
        .split("\n")
        .slice(0, -1)
        .map((line) => JSON.parse(line) as ReadReport),
    );
    if (status === 0) break;
    expect({ signal, stderr }).toMatchObject({ signal: "SIGABRT" });
    reports.push({ missing: 0, wrong: [] });
  }
  return reports;
}

describe("failing writes", () => {
  test.each(["before", "after"] as const)(
    "C-258 a mark that fails %s it is written stops the store, and reopening finds the commit",
    async (when) => {
      const path = temporaryFolder();
      const fileSystem = createFaultyFileSystem();
      const storage = await openLevelStorage({ path, fileSystem });
      await commitHead(storage, "integrated");
      fileSystem.fault = { call: "write", when };
      await expectCode("storage-unavailable", () => commitHead(storage, "integrated"));
      fileSystem.fault = undefined;
      await expectCode("storage-unavailable", () => storage.readHead("integrated"));
      await expectCode("storage-unavailable", () => storage.putRows([{ table: "t", key: "k", value: bytesOf("x") }]));
      await expectCode("storage-unavailable", () => storage.getRow("leaf", indexKey(0)));
      await storage.close();
      await withStorage(path, async (storage) => {
        expect((await storage.readHead("integrated"))?.version).toBe(2);
        await commitHead(storage, "integrated");
      });
    },
  );

  test("C-258 every failing step of a signed head stops the store, and reopening finds the commit", async () => {
    for (const call of ["open", "write", "sync", "close", "rename"] as const) {
      for (const when of ["before", "after"] as const) {
        const path = temporaryFolder();
        const fileSystem = createFaultyFileSystem();
        const storage = await openLevelStorage({ path, fileSystem });
        await commitHead(storage, "signed");
        fileSystem.fault = { call, when };
        await expectCode("storage-unavailable", () => commitHead(storage, "signed"));
        fileSystem.fault = undefined;
        await expectCode("storage-unavailable", () => storage.readHead("signed"));
        await storage.close();
        await withStorage(path, async (storage) => expect((await storage.readHead("signed"))?.version).toBe(2));
      }
    }
  });

  test("C-258 a full disk is told apart", async () => {
    const fileSystem = createFaultyFileSystem();
    const storage = await openLevelStorage({ path: temporaryFolder(), fileSystem });
    fileSystem.fault = { call: "write", code: "ENOSPC" };
    await expectCode("storage-full", () => commitHead(storage, "integrated"));
    await expectCode("storage-full", () => storage.readHead("integrated"));
    await storage.close();
  });

  test("C-258 commits that wait behind a failed one are not tried", async () => {
    const fileSystem = createFaultyFileSystem();
    const path = temporaryFolder();
    const storage = await openLevelStorage({ path, fileSystem });
    fileSystem.fault = { call: "write" };
    const commits = [0, 1, 2].map((expected) =>
      storage.commit({ head: { name: "integrated", expected, bytes: bytesOf(`${expected}`) } }),
    );
    expect((await Promise.allSettled(commits)).map(({ status }) => status)).toEqual([
      "rejected",
      "rejected",
      "rejected",
    ]);
    await storage.close();
    await withStorage(path, async (storage) => expect((await storage.readHead("integrated"))?.version).toBe(1));
  });

  test("a commit is written while the mark of the one before is, not of the one before that; each resolves with its own", async () => {
    const { path, storage, marks, written, commit } = await openMarking();
    const order: number[] = [];
    const commits = [0, 1, 2].map(async (expected) => {
      await commit(expected);
      order.push(expected);
    });
    for (const at of commits.keys()) {
      await vi.waitUntil(() => marks.length === at + 1);
      // The one after it is in the database as soon as LevelDB has it, and the one after that is not.
      const inDatabase = Math.min(3, at + 2);
      await vi.waitUntil(async () => (await storage.readHead("integrated"))?.version === inDatabase);
      await new Promise((resolve) => setTimeout(resolve, 20));
      expect((await storage.readHead("integrated"))?.version).toBe(inDatabase);
      await expectAhead(path, inDatabase);
      expect(order).toEqual([0, 1, 2].slice(0, at));
      expect(written).toEqual([0, 1, 2].slice(0, at + 1));
      marks[at]?.resolve();
    }
    await Promise.all(commits);
    expect(order).toEqual([0, 1, 2]);
    await storage.close();
    await withStorage(path, async (storage) => expect((await storage.readHead("integrated"))?.version).toBe(3));
  });

  test("an entry does not wait for a signed head's mark, and no signed head is written before the last one's mark", async () => {
    const { storage, marks, commit } = await openMarking();
    const sign = async (version: number): Promise<void> =>
      storage.commit({ head: { name: "signed", expected: version - 1, bytes: bytesOf(`signed ${version}`) } });
    const second = sign(2);
    await vi.waitUntil(() => marks.length === 1);
    const entry = commit(0);
    await vi.waitUntil(() => marks.length === 2);
    marks[1]?.resolve();
    await entry;
    const third = sign(3);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect((await storage.readHead("signed"))?.version).toBe(2);
    marks[0]?.resolve();
    await second;
    await vi.waitUntil(() => marks.length === 3);
    expect((await storage.readHead("signed"))?.version).toBe(3);
    marks[2]?.resolve();
    await third;
    await storage.close();
  });

  test("C-258 a mark that fails beside the next commit stops the store, and reopening finds both", async () => {
    const { path, storage, marks, commit } = await openMarking();
    const commits = [0, 1, 2].map(async (expected) => commit(expected));
    const settled = Promise.allSettled(commits);
    await vi.waitUntil(async () => marks.length === 1 && (await storage.readHead("integrated"))?.version === 2);
    await expectAhead(path, 2);
    marks[0]?.reject(Object.assign(new Error("EIO"), { code: "EIO" }));
    expect((await settled).map(({ status }) => status)).toEqual(["rejected", "rejected", "rejected"]);
    await expectCode("storage-unavailable", () => storage.readHead("integrated"));
    await storage.close();
    await withStorage(path, async (storage) => {
      expect((await storage.readHead("integrated"))?.version).toBe(2);
      await commitHead(storage, "integrated");
    });
  });

  test("an interrupted creation is made good by the next opening", async () => {
    for (const call of ["open", "write", "sync", "rename"] as const) {
      for (let after = 0; after < 3; after++) {
        const path = temporaryFolder();
        const fileSystem = createFaultyFileSystem();
        fileSystem.fault = { call, after };
        await expectCode("storage-unavailable", () => openLevelStorage({ path, fileSystem }));
        await withStorage(path, (storage) => commitHead(storage, "integrated"));
      }
    }
  });
});

describe("the order of keys", () => {
  const entries = 9000;
  const tiles = Math.floor(entries / 256);
  const tileKeys = Array.from({ length: tiles }, (_, at) => `tile/0/${indexKey(at)}`);

  /** Entries in commits of 1,000, with tiles and ids as a log has them. */
  async function fillLog(path: string): Promise<void> {
    await withStorage(path, async (storage) => {
      for (let first = 0; first < entries; first += 1000) {
        const values = Array.from({ length: 1000 }, (_, at) => bytesOf(`leaf ${first + at}`));
        await storage.commit({
          head: { name: "integrated", expected: first / 1000, bytes: bytesOf(`head ${first}`) },
          runs: [{ table: "leaf", first, values }],
          rows: [{ table: "id", key: `time ${indexKey(first)}`, value: bytesOf(`id ${first}`) }],
          blobs: tileKeys
            .slice(Math.floor(first / 256), Math.floor((first + 1000) / 256))
            .map((key) => ({ key, bytes: bytesOf(key) })),
        });
      }
      await storage.commit({
        head: { name: "signed", expected: 0, bytes: bytesOf("head") },
        blobs: ["tile/1/00000000000000", "a", "z"].map((key) => ({ key, bytes: bytesOf(key) })),
      });
    });
  }

  async function expectLog(storage: LogStorage): Promise<void> {
    const rows = await collect(storage.scanRows("leaf"));
    expect(rows.map(({ key }) => key)).toEqual(Array.from({ length: entries }, (_, at) => indexKey(at)));
    expect(await collect(storage.scanRows("leaf", { reverse: true }))).toEqual(rows.toReversed());
    for (const at of [0, 4095, 4096, 8999])
      expect(await storage.getRow("leaf", indexKey(at))).toEqual(bytesOf(`leaf ${at}`));
    expect((await collect(storage.scanRows("id"))).map(({ value }) => value)).toEqual(
      Array.from({ length: entries / 1000 }, (_, at) => bytesOf(`id ${1000 * at}`)),
    );
    expect(await collect(storage.listBlobs("tile/0/"))).toEqual(tileKeys);
    expect(await collect(storage.listBlobs(`tile/0/0000000000002`))).toEqual(tileKeys.slice(0x20));
    expect(await collect(storage.listBlobs(""))).toEqual(["a", ...tileKeys, "tile/1/00000000000000", "z"]);
    for (const key of tileKeys) expect(await storage.getBlob(key)).toEqual(bytesOf(key));
  }

  async function keysOf(path: string): Promise<string[]> {
    let keys: string[] = [];
    await withDatabase(path, async (database) => {
      keys = await database.keys().all();
    });
    return keys;
  }

  test("what is new lies together, between what is old", async () => {
    const path = join(temporaryFolder(), "log");
    await fillLog(path);
    await withStorage(path, expectLog);
    const keys = await keysOf(path);
    const from = keys.indexOf(`a/id/time ${indexKey(8000)}`);
    const to = keys.indexOf(LEVEL_ORDER.pieceKey("leaf", indexKey(8192)));
    expect(from).toBeGreaterThanOrEqual(0);
    expect(to).toBeGreaterThan(from);
    // Of entries from 8,192 on, or of none: a tile of theirs, heads, and what has no order.
    const between = keys.slice(from + 1, to).filter((key) => key.startsWith("s/") || key.startsWith("a/"));
    expect(between).toEqual(tileKeys.slice(32).map((key) => LEVEL_ORDER.blobKey(key)));
  });

  test("a store of the former order goes on in it", async () => {
    const path = join(temporaryFolder(), "log");
    await fillLog(path);
    await toFormerOrder(path);
    await withStorage(path, async (storage) => {
      await expectLog(storage);
      const value = [bytesOf("leaf 9000")];
      await storage.commit({
        head: { name: "integrated", expected: 9, bytes: bytesOf("head 9000") },
        runs: [{ table: "leaf", first: 9000, values: value }],
        rows: [{ table: "id", key: "time of later", value: bytesOf("id") }],
      });
    });
    const keys = await keysOf(path);
    expect(keys).toContain(`s/leaf/${indexKey(9000)}`);
    expect(keys).toContain("r/id/time of later");
    expect(keys.filter((key) => /^(?:a|head)\/|^s\/[0-9a-f]{11}\//u.test(key))).toEqual([]);
  });

  test("a row under a key that is no index can be read and deleted in a table with runs", async () => {
    const path = join(temporaryFolder(), "log");
    await fillLog(path);
    await withStorage(path, async (storage) => {
      for (const key of ["20000000000000", "ffffffffffffff", "no index"]) {
        expect(await storage.getRow("leaf", key)).toBeUndefined();
        await storage.putRows([{ table: "leaf", key, value: bytesOf(key) }]);
        expect(await storage.getRows("leaf", [key, indexKey(1)])).toEqual([bytesOf(key), bytesOf("leaf 1")]);
        await storage.deleteRows("leaf", [key]);
      }
      await expectLog(storage);
    });
  });

  test("C-256 runs are found where damage hides that a table has any", async () => {
    const path = join(temporaryFolder(), "log");
    await fillLog(path);
    await withDatabase(path, (database) => database.del("runs/leaf"));
    await withStorage(path, expectLog);
  });
});

/** A store with a head, in an order of keys. */
async function begin(path: string, order: "present" | "former"): Promise<void> {
  await withStorage(path, (storage) => commitHead(storage, "integrated"));
  if (order === "former") await toFormerOrder(path);
}

describe("runs", () => {
  const run = (first: number, count: number) => ({
    table: "leaf",
    first,
    values: Array.from({ length: count }, (_, at) => bytesOf(`leaf ${first + at}`)),
  });

  test("C-256 a damaged run is reported, and a scan can go on behind it", async () => {
    const path = join(temporaryFolder(), "log");
    const firsts = [0, 10, 200, 256];
    await withStorage(path, async (storage) => {
      for (const [expected, first] of firsts.entries()) {
        const runs = [run(first, (firsts[expected + 1] ?? 300) - first)];
        await storage.commit({ head: { name: "integrated", expected, bytes: bytesOf("head") }, runs });
      }
    });
    await withDatabase(path, async (database) => {
      for (const first of [10, 256]) {
        const value = await database.get(LEVEL_ORDER.pieceKey("leaf", indexKey(first)));
        if (value === undefined) throw new Error(`no run at ${first}`);
        const damaged = Uint8Array.from(value, (byte, at) => (at === value.length - 1 ? byte ^ 1 : byte));
        await database.put(LEVEL_ORDER.pieceKey("leaf", indexKey(first)), damaged);
      }
    });
    await withStorage(path, async (storage) => {
      for (const index of [10, 199, 256, 299, 10, 199])
        await expectCode("storage-corrupt", async () => storage.getRow("leaf", indexKey(index)));
      expect(await storage.getRow("leaf", indexKey(200))).toEqual(bytesOf("leaf 200"));
      const seen: string[] = [];
      let gt = "";
      for (let tries = 0; tries < 3; tries += 1) {
        try {
          for await (const { key } of storage.scanRows("leaf", { gt })) seen.push(key);
          break;
        } catch (error) {
          gt = String((error as StorageError).details["key"]);
        }
      }
      expect(seen).toEqual([...Array(10).keys(), ...Array.from({ length: 56 }, (_, at) => 200 + at)].map(indexKey));
      expect(gt).toBe(indexKey(511));
    });
  });

  /** Where groups of entries end, and where numbers do. */
  const bases = [0, 2596, 2 ** 40 - 1500, Number.MAX_SAFE_INTEGER - 2000];

  test.each(bases.flatMap((base) => [[base, "present"] as const, [base, "former"] as const]))(
    "any mixture of runs, rows and deletions from %i on reads as it does in memory, in the %s order",
    async (base, order) => {
      const step = fc.oneof(
        fc.record({ count: fc.integer({ min: 1, max: 300 }) }),
        fc.record({ put: fc.nat(1600), value: fc.uint8Array({ maxLength: 40 }) }),
        fc.record({ remove: fc.array(fc.nat(2000), { minLength: 1, maxLength: 5 }) }),
      );
      const keyAt = (index: number) => indexKey(base + index);
      const bound = fc.oneof(
        fc.nat(2000).map(keyAt),
        fc.nat(2000).map((index) => keyAt(index).replace(/.$/u, "")),
        fc.string({ maxLength: 15 }),
      );
      const range = fc
        .tuple(
          fc.oneof(fc.constant({}), fc.record({ gte: bound }), fc.record({ gt: bound })),
          fc.oneof(fc.constant({}), fc.record({ lt: bound }), fc.record({ lte: bound })),
          fc.record({ limit: fc.nat(400), reverse: fc.boolean() }, { requiredKeys: [] }),
        )
        .map(([lower, upper, rest]) => ({ ...lower, ...upper, ...rest }));
      await fc.assert(
        fc.asyncProperty(
          fc.array(step, { maxLength: 12 }),
          fc.array(range, { maxLength: 6 }),
          async (steps, ranges) => {
            const path = join(temporaryFolder(), "log");
            const memory = createMemoryStorage();
            await begin(path, order);
            await commitHead(memory, "integrated");
            await withStorage(path, async (storage) => {
              let [size, expected] = [0, 1];
              for (const each of steps) {
                for (const store of [storage, memory]) {
                  if ("put" in each && each.put < 1000 + size)
                    await store.putRows([{ table: "leaf", key: keyAt(each.put), value: each.value }]);
                  if ("remove" in each) await store.deleteRows("leaf", each.remove.map(keyAt));
                  if ("count" in each && size < 600)
                    await store.commit({
                      head: { name: "integrated", expected, bytes: bytesOf("h") },
                      runs: [freshRun(base + size, each.count)],
                    });
                }
                if ("count" in each && size < 600) {
                  size += each.count;
                  expected += 1;
                }
                // One by one, after each step: what is remembered of one step must not show in the next.
                for (let index = 990; index < 2000; index += 23)
                  expect(await storage.getRow("leaf", keyAt(index))).toEqual(await memory.getRow("leaf", keyAt(index)));
              }
              for (const each of [{}, ...ranges])
                expect(await collect(storage.scanRows("leaf", each))).toEqual(
                  await collect(memory.scanRows("leaf", each)),
                );
              const keys = Array.from({ length: 2000 }, (_, index) => keyAt(index));
              expect(await storage.getRows("leaf", keys)).toEqual(await memory.getRows("leaf", keys));
            });
          },
        ),
        { numRuns: 8 },
      );
    },
  );

  /** Above what single rows are put at: a run stands where nothing is yet. */
  const freshRun = (size: number, count: number) => run(1000 + size, count);
});
