import { expect, test } from "vitest";
import { indexKey } from "@tallystick/storage";
import { scrub } from "../src/scrub.ts";
import { LogSecrets } from "../src/keys.ts";
import { TABLE } from "../src/rows.ts";
import { tileKey } from "../src/tree.ts";
import { type Site, createSite, login, published, until } from "./site.ts";

const SIZE = 600;
const FAST = 1_000_000;

async function filled(): Promise<Site> {
  const site = await createSite();
  const log = await site.open({ scrubEntriesPerSecond: 0 });
  const events = Array.from({ length: SIZE }, (_, n) => login(n));
  for (let from = 0; from < SIZE; from += 100)
    await log.appendEvents({ writer: "w", events: events.slice(from, from + 100) });
  await published(log);
  await log.close();
  return site;
}

/** Walks until an error ends it, or for a while; gives the error. */
async function walk({ storage, keyStore }: Site, timeoutMs = 20_000): Promise<unknown> {
  const secrets = new LogSecrets(keyStore);
  const signal = AbortSignal.timeout(timeoutMs);
  return scrub({ storage, secrets, size: () => SIZE, entriesPerSecond: FAST, signal }).then(
    () => undefined,
    (error: unknown) => error,
  );
}

async function flip(site: Site, table: string, key: string): Promise<void> {
  const value = (await site.storage.getRow(table, key))?.slice() ?? new Uint8Array(1);
  value[value.length - 1] = (value.at(-1) ?? 0) ^ 1;
  await site.storage.putRows([{ table, key, value }]);
}

test("finds nothing in a log that is whole", async () => {
  expect(await walk(await filled(), 400)).toBeUndefined();
});

test.each([0, 63, 64, 300, 599])("names index %i, whose entry or sealed event was altered", async (index) => {
  for (const table of [TABLE.leaf, TABLE.sealed]) {
    const site = await filled();
    await flip(site, table, indexKey(index));
    expect(await walk(site)).toMatchObject({ code: "log-corrupt", details: { index } });
  }
});

test("notices a tile that does not lead to the one above it, and one that is missing", async () => {
  const site = await filled();
  await flip(site, TABLE.edge, "1/0");
  expect(await walk(site)).toMatchObject({ code: "log-corrupt", details: { index: 511 } });
  await site.storage.deleteBlobs([tileKey(0, 0)]);
  expect(await walk(site)).toMatchObject({ code: "log-corrupt", message: expect.stringContaining("tile/0/000") });
});

test("rule 4: damage on the disk stops a log that is open, and what is whole is served", async () => {
  const site = await filled();
  await flip(site, TABLE.sealed, indexKey(130));
  const log = await site.open({ scrubEntriesPerSecond: FAST });
  await until(() => log.status().state === "stopped");
  expect(log.status().reasons).toMatchObject([{ code: "log-corrupt", message: expect.stringContaining("index 130") }]);
  expect((await log.readLeaf(130)).length).toBeGreaterThan(0);
  await log.close();
});

test("a log closes at once although the scrub has not come to an end", async () => {
  const site = await filled();
  const log = await site.open({ scrubEntriesPerSecond: 1 });
  await until(() => log.status().state === "ok");
  const began = performance.now();
  await log.close();
  expect(performance.now() - began).toBeLessThan(20_000);
});
