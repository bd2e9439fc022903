import { readdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Level } from "level";
import { beforeEach, describe, expect, test } from "vitest";
import { crc32c } from "../src/crc32c.ts";
import { scrubTables } from "../src/index.ts";
import { collect } from "./collect.ts";
import { temporaryFolder } from "../../../test/support/temporary-folder.ts";

test("crc32c gives the values of RFC 3720 B.4", () => {
  expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa);
  expect(crc32c(new Uint8Array(32).fill(0xff))).toBe(0x62a8ab43);
  expect(crc32c(Uint8Array.from({ length: 32 }, (_, at) => at))).toBe(0x46dd794e);
  expect(crc32c(new TextEncoder().encode("123456789"))).toBe(0xe3069283);
});

describe("scrubTables", () => {
  let path: string;
  let table: string;

  beforeEach(async () => {
    path = temporaryFolder();
    const options = { valueEncoding: "view", compression: false } as const;
    const database = new Level<string, Uint8Array>(join(path, "leveldb"), options);
    await database.batch(
      Array.from({ length: 60 }, (_, at) => ({ type: "put", key: `key ${at}`, value: new Uint8Array(200).fill(at) })),
    );
    await database.close();
    // Opening moves what the write-ahead log holds to a table.
    await database.open();
    await database.close();
    const names = readdirSync(join(path, "leveldb")).filter((name) => name.endsWith(".ldb"));
    expect(names).toHaveLength(1);
    table = join(path, "leveldb", names[0] ?? "");
  });

  const scrub = () => collect(scrubTables({ path }));

  test("finds nothing in whole tables", async () => {
    expect(await scrub()).toEqual([]);
  });

  test("C-256 finds a flipped bit anywhere", async () => {
    const original = readFileSync(table);
    const unnoticed: number[] = [];
    for (let at = 0; at < original.length; at += at < original.length - 400 ? 13 : 1) {
      const bytes = Buffer.from(original);
      bytes[at] = (bytes[at] ?? 0) ^ (1 << (at % 8));
      writeFileSync(table, bytes);
      if ((await scrub()).length === 0) unnoticed.push(at);
    }
    expect(unnoticed).toEqual([]);
  });

  test("finds every truncation", async () => {
    for (const size of [readFileSync(table).length - 1, 5000, 48, 47, 0]) {
      truncateSync(table, size);
      expect(await scrub()).toMatchObject([{ path: table }]);
    }
  });

  test("can be stopped between two megabytes", async () => {
    const large = new Level<string, Uint8Array>(join(path, "leveldb"), { valueEncoding: "view", compression: false });
    await large.batch(
      Array.from({ length: 600 }, (_, at) => ({ type: "put", key: `large ${at}`, value: new Uint8Array(5000) })),
    );
    await large.close();
    await large.open();
    await large.close();
    const pause = () => Promise.reject(new Error("stopped"));
    await expect(collect(scrubTables({ path, pause }))).rejects.toThrow("stopped");
  });
});
