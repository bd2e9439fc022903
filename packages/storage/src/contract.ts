/**
 * What every driver of the storage port must do, as checks that any test runner can run.
 *
 * @example
 * for (const { statement, check } of storageContract) test(statement, () => check(() => openMyStorage()));
 */
import assert from "node:assert/strict";
import { StorageError, type StorageErrorCode } from "./error.ts";
import { indexKey } from "./index-key.ts";
import type { Commit, LogStorage, Run, StoredRow } from "./storage.ts";

export interface StorageContractCase {
  /** What is checked, as a statement. */
  readonly statement: string;
  /** Rejects where the statement does not hold. `openEmpty` gives a new, empty store; the check closes it. */
  readonly check: (openEmpty: () => Promise<LogStorage>) => Promise<void>;
}

function contractCase(statement: string, check: (storage: LogStorage) => Promise<void>): StorageContractCase {
  return {
    statement,
    async check(openEmpty) {
      const storage = await openEmpty();
      try {
        await check(storage);
      } finally {
        await storage.close();
      }
    },
  };
}

export const storageContract: readonly StorageContractCase[] = [
  contractCase("an empty store has no heads, rows or blobs", async (storage) => {
    assert.equal(await storage.readHead("integrated"), undefined);
    assert.equal(await storage.getRow("leaf", "a"), undefined);
    assert.deepEqual(await storage.getRows("leaf", ["a", "b"]), [undefined, undefined]);
    assert.equal(await storage.getBlob("tile/0/0"), undefined);
    assert.deepEqual(await collect(storage.scanRows("leaf")), []);
    assert.deepEqual(await collect(storage.listBlobs("")), []);
  }),

  contractCase("a commit writes head, rows and blobs, and counts the head's versions from 1", async (storage) => {
    await storage.commit(commitOf(0, { a: "one" }, { "tile/0/0": "full" }));
    assert.deepEqual(await storage.readHead("integrated"), { version: 1, bytes: utf8("head 1") });
    assert.deepEqual(await storage.getRow("leaf", "a"), utf8("one"));
    assert.deepEqual(await storage.getBlob("tile/0/0"), utf8("full"));
    await storage.commit(commitOf(1, { a: "two" }));
    assert.deepEqual(await storage.readHead("integrated"), { version: 2, bytes: utf8("head 2") });
    assert.deepEqual(await storage.getRow("leaf", "a"), utf8("two"));
  }),

  contractCase("heads move independently of each other", async (storage) => {
    await storage.commit(commitOf(0, {}));
    await storage.commit({ head: { name: "signed", expected: 0, bytes: utf8("signed") } });
    await storage.commit({ head: { name: "published", expected: 0, bytes: utf8("published") } });
    await storage.commit({ head: { name: "signed", expected: 1, bytes: new Uint8Array() } });
    assert.deepEqual(await storage.readHead("integrated"), { version: 1, bytes: utf8("head 1") });
    assert.deepEqual(await storage.readHead("signed"), { version: 2, bytes: new Uint8Array() });
    assert.deepEqual(await storage.readHead("published"), { version: 1, bytes: utf8("published") });
  }),

  contractCase("a commit at another version is refused, and none of its rows is applied", async (storage) => {
    await storage.commit(commitOf(0, { a: "one" }));
    for (const expected of [0, 2, 7]) {
      await assertCode("head-conflict", () => storage.commit(commitOf(expected, { a: "changed", b: "new" })));
    }
    assert.deepEqual(await storage.readHead("integrated"), { version: 1, bytes: utf8("head 1") });
    assert.deepEqual(await storage.getRow("leaf", "a"), utf8("one"));
    assert.equal(await storage.getRow("leaf", "b"), undefined);
    await storage.commit(commitOf(1, { b: "new" }));
  }),

  contractCase("of many commits at once for one version exactly one wins", async (storage) => {
    const commits = Array.from({ length: 20 }, (_, at) =>
      storage.commit(commitOf(0, { [`from${at}`]: "x", winner: `${at}` })),
    );
    const outcomes = await Promise.allSettled(commits);
    const won = outcomes.flatMap(({ status }, at) => (status === "fulfilled" ? [at] : []));
    assert.equal(won.length, 1);
    assert.deepEqual(await storage.getRow("leaf", "winner"), utf8(`${won[0]}`));
    const rows = await collect(storage.scanRows("leaf"));
    assert.deepEqual(
      rows.map(({ key }) => key),
      [`from${won[0]}`, "winner"],
    );
  }),

  contractCase("commits are taken in the order of the calls", async (storage) => {
    await Promise.all(
      Array.from({ length: 50 }, (_, at) => storage.commit(commitOf(at, { [indexKey(at)]: `${at}`, last: `${at}` }))),
    );
    assert.equal((await storage.readHead("integrated"))?.version, 50);
    assert.deepEqual(await storage.getRow("leaf", "last"), utf8("49"));
    assert.equal((await collect(storage.scanRows("leaf", { lt: "l" }))).length, 50);
  }),

  contractCase("what is said to be written is read, and resolves after what was written before it", async (storage) => {
    const [written, resolved]: [number[], number[]] = [[], []];
    const commits: Promise<unknown>[] = [];
    for (let version = 1; version <= 50; version += 1) {
      const { promise: next, resolve, reject } = Promise.withResolvers<void>();
      const commit = storage.commit(commitOf(version - 1, { last: `${version}` }), () => {
        assert.ok(!resolved.includes(version));
        written.push(version);
        resolve();
      });
      commits.push(commit.then(() => resolved.push(version)));
      // A driver that has no more to do than to write only resolves.
      commit.then(resolve, reject);
      await next;
      assert.equal((await storage.readHead("integrated"))?.version, version);
      assert.deepEqual(await storage.getRow("leaf", "last"), utf8(`${version}`));
    }
    await Promise.all(commits);
    assert.deepEqual(
      resolved,
      Array.from(commits, (_, at) => at + 1),
    );
    // Each once, if at all.
    assert.equal(new Set(written).size, written.length);
  }),

  contractCase("of two rows of one commit under one key the later one counts", async (storage) => {
    const row = (value: string | null) => ({ table: "leaf", key: "a", value: value === null ? null : utf8(value) });
    await storage.commit({ ...commitOf(0, {}), rows: [row("first"), row("second")] });
    assert.deepEqual(await storage.getRow("leaf", "a"), utf8("second"));
    await storage.commit({ ...commitOf(1, {}), rows: [row("third"), row(null)] });
    assert.equal(await storage.getRow("leaf", "a"), undefined);
  }),

  contractCase("a row of null is deleted with the commit, one that is not there is passed over", async (storage) => {
    await storage.commit(commitOf(0, { a: "one", b: "two" }));
    const rows = ["a", "never"].map((key) => ({ table: "leaf", key, value: null }));
    await storage.commit({ ...commitOf(1, {}), rows });
    assert.deepEqual(
      (await collect(storage.scanRows("leaf"))).map(({ key }) => key),
      ["b"],
    );
  }),

  contractCase("tables do not see each other, not even where one name begins with the other", async (storage) => {
    const tables = ["id", "id-2", "id2", "i", "id-"];
    await storage.putRows(tables.map((table) => ({ table, key: "k", value: utf8(table) })));
    for (const table of tables) {
      assert.deepEqual(await collect(storage.scanRows(table)), [{ key: "k", value: utf8(table) }]);
      assert.deepEqual(await storage.getRow(table, "k"), utf8(table));
    }
  }),

  contractCase("getRows gives the values in the order of the keys, repetitions included", async (storage) => {
    await storage.commit(commitOf(0, { a: "one", b: "two" }));
    assert.deepEqual(await storage.getRows("leaf", ["b", "no", "a", "b"]), [
      utf8("two"),
      undefined,
      utf8("one"),
      utf8("two"),
    ]);
    assert.deepEqual(await storage.getRows("leaf", []), []);
  }),

  contractCase(
    "getRows reads no key as of before one in front of it, whatever is committed meanwhile",
    async (storage) => {
      const keys = Array.from({ length: 17 }, (_, at) => `k${at}`);
      const reads: Promise<(Uint8Array | undefined)[]>[] = [];
      for (let n = 0; n < 40; n += 1) {
        const committing = storage.commit(commitOf(n, Object.fromEntries(keys.map((key) => [key, String(1000 + n)]))));
        for (let read = 0; read < 4; read += 1) {
          reads.push(storage.getRows("leaf", keys));
          await new Promise((resolve) => setImmediate(resolve));
        }
        await committing;
      }
      for (const values of await Promise.all(reads)) {
        const seen = values.map((value) => (value === undefined ? "" : Buffer.from(value).toString()));
        assert.deepEqual(seen, seen.toSorted());
      }
    },
  ),

  contractCase("a scan follows the bytes of the keys and keeps to its range", async (storage) => {
    const keys = ["\u{1f600}", "\uffee", "é", "z", "a/b", "a", "A", " ", "~"];
    await storage.putRows(keys.map((key) => ({ table: "t", key, value: utf8(key) })));
    const sorted = [" ", "A", "a", "a/b", "z", "~", "é", "\uffee", "\u{1f600}"];
    const keysIn = async (range?: Parameters<LogStorage["scanRows"]>[1]): Promise<string[]> =>
      (await collect(storage.scanRows("t", range))).map(({ key }) => key);
    assert.deepEqual(await keysIn(), sorted);
    assert.deepEqual(await keysIn({ reverse: true }), sorted.toReversed());
    assert.deepEqual(await keysIn({ gt: "a", lt: "~" }), ["a/b", "z"]);
    assert.deepEqual(await keysIn({ gte: "a", lte: "~" }), ["a", "a/b", "z", "~"]);
    assert.deepEqual(await keysIn({ gte: "a", limit: 2 }), ["a", "a/b"]);
    assert.deepEqual(await keysIn({ lte: "z", reverse: true, limit: 2 }), ["z", "a/b"]);
    assert.deepEqual(await keysIn({ gt: "z", lt: "a" }), []);
    assert.deepEqual(await keysIn({ limit: 0 }), []);
  }),

  contractCase(
    "the rows of runs are read and scanned like all others, wherever runs begin and end",
    async (storage) => {
      const sizes = [1, 3, 250, 1, 600, 2];
      let first = 0;
      for (const [at, count] of sizes.entries()) {
        await storage.commit({
          ...commitOf(at, {}),
          runs: [runOf("leaf", first, count), runOf("sealed", first, count)],
        });
        first += count;
      }
      for (const table of ["leaf", "sealed"]) {
        const keys = Array.from({ length: first }, (_, index) => indexKey(index));
        const rows = keys.map((key, index) => ({ key, value: runValue(table, index) }));
        assert.deepEqual(await collect(storage.scanRows(table)), rows);
        assert.deepEqual(await collect(storage.scanRows(table, { reverse: true })), rows.toReversed());
        assert.deepEqual(
          await storage.getRows(table, keys),
          rows.map(({ value }) => value),
        );
        for (const index of [0, 1, 3, 4, 253, 254, 255, 256, 511, 512, 854, 856])
          assert.deepEqual(await storage.getRow(table, indexKey(index)), rows[index]?.value);
        assert.equal(await storage.getRow(table, indexKey(first)), undefined);
        assert.deepEqual(await storage.getRows(table, [indexKey(700), indexKey(9999), "none", indexKey(2)]), [
          rows[700]?.value,
          undefined,
          undefined,
          rows[2]?.value,
        ]);
        for (const [from, to] of [
          [0, 1],
          [2, 260],
          [255, 256],
          [300, 300],
          [599, 857],
          [512, 2000],
        ] as const) {
          const range = { gte: indexKey(from), lt: indexKey(to) };
          assert.deepEqual(await collect(storage.scanRows(table, range)), rows.slice(from, to));
          const reversed = { gt: indexKey(from), lte: indexKey(to), reverse: true, limit: 7 };
          assert.deepEqual(
            await collect(storage.scanRows(table, reversed)),
            rows
              .slice(from + 1, to + 1)
              .toReversed()
              .slice(0, 7),
          );
        }
      }
    },
  ),

  contractCase("rows of runs are replaced and deleted one by one", async (storage) => {
    await storage.commit({ ...commitOf(0, {}), runs: [runOf("leaf", 10, 300)] });
    await storage.putRows([{ table: "leaf", key: indexKey(20), value: utf8("other") }]);
    await storage.deleteRows("leaf", [indexKey(10), indexKey(21), indexKey(9), indexKey(309), "none"]);
    await storage.commit({ ...commitOf(1, {}), rows: [{ table: "leaf", key: indexKey(22), value: null }] });
    await storage.deleteRows("leaf", [indexKey(21)]);
    assert.deepEqual(await storage.getRow("leaf", indexKey(20)), utf8("other"));
    assert.equal(await storage.getRow("leaf", indexKey(21)), undefined);
    const expected = Array.from({ length: 300 }, (_, at) => 10 + at)
      .filter((index) => ![10, 21, 22, 309].includes(index))
      .map((index) => ({ key: indexKey(index), value: index === 20 ? utf8("other") : runValue("leaf", index) }));
    assert.deepEqual(await collect(storage.scanRows("leaf")), expected);
    await storage.deleteRows("leaf", [indexKey(20)]);
    assert.equal(await storage.getRow("leaf", indexKey(20)), undefined);
    await storage.deleteRows(
      "leaf",
      expected.map(({ key }) => key),
    );
    assert.deepEqual(await collect(storage.scanRows("leaf")), []);
    await storage.putRows([{ table: "leaf", key: indexKey(11), value: utf8("again") }]);
    assert.deepEqual(await collect(storage.scanRows("leaf")), [{ key: indexKey(11), value: utf8("again") }]);
  }),

  contractCase("rows of runs may be long, and empty", async (storage) => {
    const values = [0, 1, 127, 128, 40_000, 0, 70_000, 30_000, 5].map((length) =>
      new Uint8Array(length).fill(length % 251),
    );
    await storage.commit({ ...commitOf(0, {}), runs: [{ table: "leaf", first: 0, values }] });
    assert.deepEqual(
      (await collect(storage.scanRows("leaf"))).map(({ value }) => value),
      values,
    );
    assert.deepEqual(await storage.getRow("leaf", indexKey(6)), values[6]);
    assert.deepEqual(await storage.getRow("leaf", indexKey(5)), values[5]);
  }),

  contractCase("a run without values, or beyond the safe integers, is refused", async (storage) => {
    const run = (first: number, count: number): Run => ({
      table: "leaf",
      first,
      values: Array.from({ length: count }, () => utf8("x")),
    });
    for (const wrong of [run(0, 0), run(-1, 1), run(0.5, 1), run(Number.MAX_SAFE_INTEGER, 2)])
      await assert.rejects(() => storage.commit({ ...commitOf(0, {}), runs: [wrong] }), RangeError);
    assert.equal(await storage.readHead("integrated"), undefined);
  }),

  contractCase("a scan sees one moment of its table", async (storage) => {
    await storage.commit(
      commitOf(0, Object.fromEntries(Array.from({ length: 300 }, (_, at) => [indexKey(at), "old"]))),
    );
    const seen: StoredRow[] = [];
    for await (const row of storage.scanRows("leaf")) {
      if (seen.length === 0) await storage.commit(commitOf(1, { [indexKey(299)]: "new", [indexKey(300)]: "new" }));
      seen.push(row);
    }
    assert.equal(seen.length, 300);
    assert.ok(seen.every(({ value }) => Buffer.from(value).equals(Buffer.from("old"))));
  }),

  contractCase("a scan can be left early", async (storage) => {
    await storage.commit(commitOf(0, { a: "1", b: "2", c: "3" }));
    for await (const { key } of storage.scanRows("leaf")) {
      assert.equal(key, "a");
      break;
    }
  }),

  contractCase("putRows and deleteRows work without a head", async (storage) => {
    await storage.putRows([
      { table: "index", key: "a", value: utf8("1") },
      { table: "index", key: "b", value: new Uint8Array() },
    ]);
    assert.deepEqual(await storage.getRow("index", "b"), new Uint8Array());
    await storage.deleteRows("index", ["a", "never"]);
    assert.deepEqual(await collect(storage.scanRows("index")), [{ key: "b", value: new Uint8Array() }]);
    assert.equal(await storage.readHead("integrated"), undefined);
    await storage.putRows([]);
  }),

  contractCase("blobs are listed by prefix in the order of their bytes, and deleted", async (storage) => {
    const blobs = { "tile/0/02": "a", "tile/0/01": "b", "tile/00/01": "c", "tile/1/01": "d", other: "e" };
    await storage.commit(commitOf(0, {}, blobs));
    assert.deepEqual(await collect(storage.listBlobs("tile/0/")), ["tile/0/01", "tile/0/02"]);
    assert.deepEqual(await collect(storage.listBlobs("")), [
      "other",
      "tile/0/01",
      "tile/0/02",
      "tile/00/01",
      "tile/1/01",
    ]);
    await storage.deleteBlobs(["tile/0/02", "never"]);
    assert.deepEqual(await collect(storage.listBlobs("tile/0/")), ["tile/0/01"]);
    assert.equal(await storage.getBlob("tile/0/02"), undefined);
  }),

  contractCase("a blob may be written again with the same bytes", async (storage) => {
    await storage.commit(commitOf(0, {}, { "tile/0/0": "full" }));
    await storage.commit(commitOf(1, {}, { "tile/0/0": "full" }));
    assert.deepEqual(await storage.getBlob("tile/0/0"), utf8("full"));
  }),

  contractCase("values of any bytes and of 1 MiB come back as they went in, as plain Uint8Array", async (storage) => {
    const every = Uint8Array.from({ length: 256 }, (_, byte) => byte);
    const large = new Uint8Array(1_048_576).fill(7);
    await storage.commit({
      ...commitOf(0, {}),
      rows: [{ table: "leaf", key: "every", value: every }],
      blobs: [{ key: "large", bytes: large }],
    });
    const value = await storage.getRow("leaf", "every");
    assert.deepEqual(value, every);
    assert.equal(Object.getPrototypeOf(value), Uint8Array.prototype);
    assert.ok(Buffer.from((await storage.getBlob("large")) ?? []).equals(Buffer.from(large)));
  }),

  contractCase("arguments outside their bounds are refused before anything is written", async (storage) => {
    const put = (table: string, key: string) => () => storage.putRows([{ table, key, value: utf8("x") }]);
    for (const table of ["", "Leaf", "a/b", "a".repeat(33), "é"]) await assert.rejects(put(table, "k"), RangeError);
    for (const key of ["", "\ud800", "k".repeat(513)]) await assert.rejects(put("t", key), RangeError);
    for (const expected of [-1, 0.5, Number.NaN, 2 ** 53])
      await assert.rejects(storage.commit(commitOf(expected, {})), RangeError);
    for (const blob of ["", "a b", "é", "a".repeat(513)]) await assert.rejects(storage.getBlob(blob), RangeError);
    await assert.rejects(storage.getRow("Leaf", "k"), RangeError);
    assert.equal(await storage.readHead("integrated"), undefined);
  }),

  contractCase("close waits for commits under way, and a closed store answers storage-unavailable", async (storage) => {
    const commits = [storage.commit(commitOf(0, { a: "1" })), storage.commit(commitOf(1, { b: "2" }))];
    await storage.close();
    assert.deepEqual(
      (await Promise.allSettled(commits)).map(({ status }) => status),
      ["fulfilled", "fulfilled"],
    );
    await storage.close();
    const calls: (() => Promise<unknown>)[] = [
      () => storage.readHead("integrated"),
      () => storage.commit(commitOf(2, {})),
      () => storage.getRow("leaf", "a"),
      () => storage.getRows("leaf", ["a"]),
      () => collect(storage.scanRows("leaf")),
      () => storage.putRows([{ table: "t", key: "k", value: null }]),
      () => storage.deleteRows("t", ["k"]),
      () => storage.getBlob("b"),
      () => collect(storage.listBlobs("")),
      () => storage.deleteBlobs(["b"]),
    ];
    for (const call of calls) await assertCode("storage-unavailable", call);
  }),
];

function runOf(table: string, first: number, count: number): Run {
  return { table, first, values: Array.from({ length: count }, (_, at) => runValue(table, first + at)) };
}

function runValue(table: string, index: number): Uint8Array {
  return utf8(`${table} ${index} ${"x".repeat(index % 300)}`);
}

/** The commit that makes version `expected + 1`, with rows in the table "leaf". */
function commitOf(
  expected: number,
  rows: Readonly<Record<string, string>>,
  blobs: Readonly<Record<string, string>> = {},
): Commit {
  return {
    head: { name: "integrated", expected, bytes: utf8(`head ${expected + 1}`) },
    rows: Object.entries(rows).map(([key, value]) => ({ table: "leaf", key, value: utf8(value) })),
    blobs: Object.entries(blobs).map(([key, value]) => ({ key, bytes: utf8(value) })),
  };
}

function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

async function assertCode(code: StorageErrorCode, call: () => Promise<unknown>): Promise<void> {
  await assert.rejects(call, (error) => error instanceof StorageError && error.code === code);
}
