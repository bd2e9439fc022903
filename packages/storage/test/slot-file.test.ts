import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { type FileSystem, nodeFileSystem } from "../src/index.ts";
import { type Slot, SlotFile } from "../src/slot-file.ts";
import { expectCode } from "./expect-code.ts";
import { temporaryFolder } from "../../../test/support/temporary-folder.ts";

const slotOf = (number: number): Slot => ({ number, digest: new Uint8Array(32).fill(number % 251) });

async function newest(path: string): Promise<Slot | undefined> {
  const file = await SlotFile.open(path, nodeFileSystem);
  await file?.close();
  return file?.newest;
}

async function fileWith(...numbers: number[]): Promise<string> {
  const path = join(temporaryFolder(), "slots");
  await SlotFile.create(path, slotOf(0), nodeFileSystem);
  const file = await SlotFile.open(path, nodeFileSystem);
  for (const number of numbers) await file?.write(slotOf(number));
  await file?.close();
  return path;
}

test("a file gives back what was written last, and does not grow", async () => {
  expect(await newest(join(temporaryFolder(), "none"))).toBeUndefined();
  expect(await newest(await fileWith())).toEqual(slotOf(0));
  const path = await fileWith(1, 2, 3, 10, 12, 2 ** 40);
  expect(await newest(path)).toEqual(slotOf(2 ** 40));
  expect(statSync(path).size).toBe(4096 + 64);
});

test("a torn write leaves what was there before", async () => {
  const path = await fileWith(1, 2);
  const before = readFileSync(path);
  const after = readFileSync(await fileWith(1, 2, 3));
  for (let cut = 0; cut <= 64; cut++) {
    const torn = Buffer.from(before);
    // The third write goes where the first went.
    after.copy(torn, 4096, 4096, 4096 + cut);
    writeFileSync(path, torn);
    const found = await newest(path);
    expect(found).toEqual(cut === 64 ? slotOf(3) : slotOf(2));
  }
});

test("a file that is damaged in both slots is refused", async () => {
  const path = await fileWith(1);
  const bytes = readFileSync(path);
  bytes[20] = 1;
  bytes[4096 + 20] = 77;
  writeFileSync(path, bytes);
  const error = await expectCode("storage-corrupt", () => newest(path));
  expect(error.message).toContain(path);
});

test("what is written at once is there, or said to have failed; a slow disk is handed to another thread", async () => {
  const path = await fileWith(1);
  const calls: string[] = [];
  let slowMs = 0;
  let failing: "before" | "after" | undefined;
  const fileSystem: FileSystem = {
    ...nodeFileSystem,
    write: async (...call) => {
      calls.push("write");
      await nodeFileSystem.write(...call);
    },
    writeNow: (...call) => {
      calls.push("now");
      if (failing === "before") throw new Error("EIO: before");
      nodeFileSystem.writeNow?.(...call);
      for (const began = performance.now(); performance.now() - began < slowMs;);
      if (failing === "after") throw new Error("EIO: after");
    },
  };
  const open = async (): Promise<SlotFile> => {
    const file = await SlotFile.open(path, fileSystem);
    if (file === undefined) throw new Error("it is not there");
    return file;
  };

  const file = await open();
  slowMs = 1;
  for (let number = 2; number < 1300; number += 1) await file.write(slotOf(number));
  // Two, four, eight and so on at least, and never more than 512.
  const handedOver = calls
    .join(" ")
    .split("now")
    .map((part) => part.split("write").length - 1);
  expect(handedOver[0]).toBe(0);
  for (const [at, count] of handedOver.slice(1, -1).entries()) {
    expect(count).toBeGreaterThanOrEqual(Math.min(512, 2 ** (at + 1)));
    expect(count).toBeLessThanOrEqual(512);
  }
  expect(await newest(path)).toEqual(slotOf(1299));
  await file.close();

  for (failing of ["before", "after"] as const) {
    const failed = await open();
    const { number } = failed.newest;
    await expectCode("storage-unavailable", () => failed.write(slotOf(number + 1)));
    expect(failed.newest).toEqual(slotOf(number));
    expect(await newest(path)).toEqual(slotOf(failing === "after" ? number + 1 : number));
    await failed.close();
  }
});
