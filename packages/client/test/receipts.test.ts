import { readFile, readdir, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { rejectionCode } from "../../../test/support/errors.ts";
import { openReceiptStore } from "../src/receipt-folder.ts";
import { type ReceiptStore, createMemoryReceiptStore } from "../src/receipts.ts";
import { createFolder } from "./support/setup.ts";

function receipt(at: number): { id: string; index: number; proof: string } {
  return { id: `id-${at}`, index: at, proof: `proof ${at} ${"x".repeat(500)}` };
}

const PERSONS: readonly string[] = ["a", "b", "c"].map((digit) => digit.repeat(32));

function numbers(end: number): number[] {
  return Array.from({ length: end }, (_, at) => at);
}

describe("receipts", () => {
  test("take no more disk than they may, and the newest are there, also after a restart", async () => {
    const folder = await createFolder();
    let store = await openReceiptStore(folder, 50_000);
    const sizeOf = async (name: string): Promise<number> => (await stat(join(folder, name))).size;
    for (let at = 0; at < 500; at += 1) {
      await store.keep([receipt(at)]);
      expect(await store.get(`id-${at}`)).toEqual(receipt(at));
      const earlier = Math.max(0, at - 30);
      expect(await store.get(`id-${earlier}`)).toEqual(receipt(earlier));
      expect((await sizeOf("receipts")) + (await sizeOf("receipts.old"))).toBeLessThan(52_000);
      if (at % 100 === 99) {
        await store.close();
        store = await openReceiptStore(folder, 50_000);
      }
    }
    expect(await store.get("id-0")).toBeUndefined();
    await store.close();
  });

  test("can be read while the files take turns", async () => {
    const store = await openReceiptStore(await createFolder(), 20_000);
    await store.keep([receipt(0)]);
    const reads: Promise<unknown>[] = [];
    for (let at = 1; at < 200; at += 1) {
      reads.push(store.get(`id-${at - 1}`).then((kept) => expect(kept).toEqual(receipt(at - 1))));
      await store.keep([receipt(at)]);
    }
    await Promise.all(reads);
    await store.close();
  });

  test("that are damaged are refused", async () => {
    const folder = await createFolder();
    const store = await openReceiptStore(folder, 1e6);
    await store.keep([receipt(1)]);
    await store.keep([receipt(2)]);
    await store.close();
    const path = join(folder, "receipts");
    const bytes = await readFile(path);
    bytes[100] = (bytes[100] ?? 0) ^ 1;
    await writeFile(path, bytes);
    expect(await rejectionCode(openReceiptStore(folder, 1e6))).toBe("outbox-corrupt");
  });

  describe.each(["a folder", "memory"])("in %s", (place) => {
    test("are forgotten by whose data they are: found no more, the others as before", async () => {
      const open = async (): Promise<ReceiptStore> =>
        place === "memory" ? createMemoryReceiptStore(1000) : openReceiptStore(await createFolder(), 30_000);
      const store = await open();
      // Several turns of the files; what is oldest is gone in the folder.
      for (let at = 0; at < 90; at += 1) await store.keep([{ ...receipt(at), person: PERSONS[at % 3] }]);
      const before = new Map<number, unknown>();
      for (const at of numbers(90)) before.set(at, await store.get(`id-${at}`));
      const theirs = numbers(90).filter((at) => at % 3 === 0 && before.get(at) !== undefined);
      expect(theirs.length).toBeGreaterThan(5);
      expect(await store.forget(PERSONS[0] ?? "")).toBe(theirs.length);
      const after = new Map<number, unknown>();
      for (const at of numbers(90)) after.set(at, await store.get(`id-${at}`));
      for (const at of theirs) before.set(at, undefined);
      expect(after).toEqual(before);
      expect(await store.forget(PERSONS[0] ?? "")).toBe(0);
      await store.keep([{ ...receipt(100), person: PERSONS[0] }]);
      expect(await store.get("id-100")).toEqual(receipt(100));
      await store.close();
    });
  });

  test("that were forgotten have left the disk, and do not come back at the next start", async () => {
    const folder = await createFolder();
    let store = await openReceiptStore(folder, 20_000);
    for (let at = 0; at < 60; at += 1) await store.keep([{ ...receipt(at), person: PERSONS[at % 2] }]);
    const onDisk = async (text: string): Promise<boolean> =>
      (
        await Promise.all(["receipts", "receipts.old"].map(async (name) => readFile(join(folder, name), "latin1")))
      ).some((bytes) => bytes.includes(text));
    expect(await onDisk("proof 58 ")).toBe(true);
    await Promise.all([store.forget(PERSONS[0] ?? ""), store.keep([{ ...receipt(61), person: PERSONS[1] }])]);
    for (const at of numbers(31)) expect(await onDisk(`proof ${2 * at} `)).toBe(false);
    expect(await onDisk("proof 59 ")).toBe(true);
    await store.close();
    store = await openReceiptStore(folder, 20_000);
    expect(await store.get("id-58")).toBeUndefined();
    expect(await store.get("id-59")).toEqual(receipt(59));
    expect(await store.get("id-61")).toEqual(receipt(61));
    for (let at = 70; at < 120; at += 1) await store.keep([receipt(at)]);
    expect(await store.get("id-119")).toEqual(receipt(119));
    expect(await readdir(folder)).toEqual(["receipts", "receipts.old"]);
    await store.close();
  });

  test("in memory are the newest ones", async () => {
    const store = createMemoryReceiptStore(3);
    await store.keep([0, 1, 2, 3].map(receipt));
    expect(await store.get("id-0")).toBeUndefined();
    expect(await store.get("id-3")).toEqual(receipt(3));
  });
});
