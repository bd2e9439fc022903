import { describe, expect, test } from "vitest";
import { verifyCheckpoint, parsePolicy } from "@tallystick/core";
import { StorageError, createUnavailableKeyStore } from "@tallystick/storage";
import { createSite, login, published, until } from "./site.ts";

const missing = new StorageError("master-key-wrong", "another master key wraps this store");

describe("a log whose master key is missing or wrong", () => {
  test("serves heads, proofs and receipts, takes nothing in, shows no contents, and says why", async () => {
    const site = await createSite({ witnesses: 3 });
    const before = await site.open();
    await until(() => before.status().state === "ok");
    const events = Array.from({ length: 5 }, (_, n) => login(n));
    await before.appendEvents({ writer: "app", events });
    await published(before);
    const head = before.checkpoint() ?? "";
    await before.close();
    const log = await site.open({ keyStore: createUnavailableKeyStore(missing) });
    expect(log.status()).toMatchObject({ state: "stopped", reasons: [{ code: "keys-unavailable" }] });
    expect(log.status().reasons[0]?.message).toContain("another master key wraps this store");
    expect(log.checkpoint()).toBe(head);
    verifyCheckpoint({ note: head, policy: parsePolicy(site.policyText) });
    expect(await log.receipt(2)).toContain("index 2\n");
    expect((await log.inclusionProof({ index: 1 })).hashes).toHaveLength(3);
    await expect(log.appendEvents({ writer: "app", events: [login(9)] })).rejects.toMatchObject({
      code: "keys-unavailable",
    });
    await expect(log.readEvent({ index: 1, reader: "auditor" })).rejects.toMatchObject({ code: "keys-unavailable" });
    const erase = log.disposition.erase({ subject: "u1", ground: "asked", by: "o" });
    await expect(erase).rejects.toMatchObject({ code: "keys-unavailable" });
    await log.close();
    const again = await site.open();
    await until(() => again.status().state === "ok");
    expect((await again.appendEvents({ writer: "app", events }))[0]).toMatchObject({ index: 0, duplicate: true });
  });
});
