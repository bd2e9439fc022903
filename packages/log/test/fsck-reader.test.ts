import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openLevelStorage } from "@tallystick/storage";
import { expect, test } from "vitest";
import { temporaryFolder } from "../../../test/support/temporary-folder.ts";
import { DamagedReader } from "../src/fsck/reader.ts";
import { Findings } from "../src/fsck/report.ts";

const ROWS = 40;
const keyOf = (at: number): string => `z${String(at).padStart(4, "0")}z`;

/** A store whose rows are in a table file, with one bit of the text flipped there. */
async function storeWithFlip(
  text: string,
  { at, bit }: { readonly at: number; readonly bit: number },
): Promise<string> {
  const path = temporaryFolder();
  const storage = await openLevelStorage({ path });
  const value = new Uint8Array(20);
  await storage.putRows(Array.from({ length: ROWS }, (_, row) => ({ table: "t", key: keyOf(row), value })));
  await storage.close();
  // Opening moves what the write-ahead log holds to a table.
  await (await openLevelStorage({ path })).close();
  const folder = join(path, "leveldb");
  const file = join(folder, readdirSync(folder).find((name) => name.endsWith(".ldb")) ?? "");
  const bytes = readFileSync(file);
  const place = bytes.indexOf(text) + at;
  bytes[place] = (bytes[place] ?? 0) ^ (1 << bit);
  writeFileSync(file, bytes);
  return path;
}

test("a scan ends where a damaged key is no text any more: behind which place to go on cannot be said", async () => {
  // Whole keys are at every sixteenth place. The damaged byte sorts behind what stands for it in a text.
  const storage = await openLevelStorage({ path: await storeWithFlip(keyOf(16), { at: 0, bit: 7 }) });
  const findings = new Findings();
  const keys: string[] = [];
  for await (const { key } of new DamagedReader(storage, findings).scan("t")) keys.push(key);
  await storage.close();
  expect(keys).toEqual(Array.from({ length: 16 }, (_, at) => keyOf(at)));
  expect(findings.list.map(({ code }) => code)).toEqual(["storage-corrupt"]);
});
