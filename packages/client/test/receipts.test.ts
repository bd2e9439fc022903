import { stat, writeFile, readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { rejectionCode } from "../../../test/support/errors.ts";
import { openReceiptStore } from "../src/receipt-folder.ts";
import { createMemoryReceiptStore } from "../src/receipts.ts";
import { createFolder } from "./support/setup.ts";

function receipt(at: number): { id: string; index: number; proof: string } {
  return { id: `id-${at}`, index: at, proof: `proof ${at} ${"x".repeat(500)}` };
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

  test("in memory are the newest ones", async () => {
    const store = createMemoryReceiptStore(3);
    await store.keep([0, 1, 2, 3].map(receipt));
    expect(await store.get("id-0")).toBeUndefined();
    expect(await store.get("id-3")).toEqual(receipt(3));
  });
});
