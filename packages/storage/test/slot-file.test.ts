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

test("what could not be written is said to have failed, and counts as not there, whatever is on the disk", async () => {
  const path = await fileWith(1);
  for (const failing of ["before", "after"] as const) {
    const fileSystem: FileSystem = {
      ...nodeFileSystem,
      write: async (...call) => {
        if (failing === "after") await nodeFileSystem.write(...call);
        throw new Error(`EIO: ${failing}`);
      },
    };
    const file = await SlotFile.open(path, fileSystem);
    if (file === undefined) throw new Error("it is not there");
    const { number } = file.newest;
    await expectCode("storage-unavailable", () => file.write(slotOf(number + 1)));
    expect(file.newest).toEqual(slotOf(number));
    expect(await newest(path)).toEqual(slotOf(failing === "after" ? number + 1 : number));
    await file.close();
  }
});
