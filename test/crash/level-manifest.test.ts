import { copyFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { openLevelStorage } from "@tallystick/storage";
import { expect, test } from "vitest";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { fileName, readFilesInUse } from "./level-manifest.ts";

test("a table that the MANIFEST does not name is read by nobody: the next start removes it", async () => {
  const path = temporaryFolder();
  const folder = join(path, "leveldb");
  // Each opening moves what was written before it to a table; from some number of these on LevelDB merges them.
  for (let round = 0; round < 8; round += 1) {
    const storage = await openLevelStorage({ path });
    const rows = Array.from({ length: 500 }, (_, at) => ({ table: "t", key: `${at}`, value: new Uint8Array(100) }));
    await storage.putRows(rows);
    await storage.close();
  }
  const inUse = await readFilesInUse(folder);
  expect((await readdir(folder)).filter((name) => /\.(ldb|log)$/.test(name))).toEqual(
    expect.arrayContaining([...inUse].filter((name) => /\.(ldb|log)$/.test(name))),
  );
  const [table = expect.fail("no table")] = [...inUse].filter((name) => name.endsWith(".ldb"));
  const replaced = fileName(2, "ldb");
  await copyFile(join(folder, table), join(folder, replaced));
  expect(inUse.has(replaced)).toBe(false);
  await (await openLevelStorage({ path })).close();
  expect(await readdir(folder)).not.toContain(replaced);
  expect(await readdir(folder)).toEqual(expect.arrayContaining([...(await readFilesInUse(folder))]));
});
