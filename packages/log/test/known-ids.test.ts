import { expect, test } from "vitest";
import { encodeCbor } from "@tallystick/events";
import { TABLE, formerIdKey, idKey } from "../src/rows.ts";
import { rejectionCode } from "../../../test/support/errors.ts";
import { type Site, createSite, login, replay, until } from "./site.ts";

async function idKeysOn({ storage }: Site): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of storage.scanRows(TABLE.id)) keys.push(key);
  return keys;
}

/** Makes of a log's storage what one of before would have left. */
async function toFormer(site: Site): Promise<void> {
  const rows = [];
  for await (const { key, value } of site.storage.scanRows(TABLE.id)) {
    rows.push({ table: TABLE.id, key, value: null }, { table: TABLE.id, key: formerIdKey(key), value });
  }
  await site.storage.putRows([...rows, { table: TABLE.formerIds, key: "log", value: null }]);
}

test("rows lie in the order of the times in their ids, whoever sent them", () => {
  const times = ["0199aa00-0000", "0199aa00-0001", "0199aa01-0000"];
  const keys = times.map((time) =>
    ["writer:a", "key:b", "writer:c"].map((sender) => idKey(sender, `${time}-7fff-bfff-000000000001`)).sort(),
  );
  expect(keys.flat()).toEqual(keys.flat().sort());
  expect(new Set(keys.flat()).size).toBe(9);
});

test("a log that begins says that no row lies as before; one that went on from before says nothing of it", async () => {
  const site = await createSite();
  await (await site.open()).close();
  expect(await site.storage.getRow(TABLE.formerIds, "log")).toEqual(encodeCbor([0]));
  await toFormer(site);
  await (await site.open()).close();
  expect(await site.storage.getRow(TABLE.formerIds, "log")).toBeUndefined();
});

test("a log of before knows its ids, and goes on with new keys", async () => {
  const site = await createSite();
  const first = await site.open();
  const [sent] = await first.appendEvents({ writer: "app", events: [login(0), login(1)] });
  await first.close();
  await toFormer(site);

  for (let opened = 0; opened < 2; opened += 1) {
    const log = await site.open();
    const [again] = await log.appendEvents({ writer: "app", events: [login(0)] });
    expect(again).toMatchObject({ index: sent?.index, duplicate: true });
    const other = { ...login(1), reason: "another" };
    expect(await rejectionCode(log.appendEvents({ writer: "app", events: [other] }))).toBe("id-conflict");
    // New ones are found too, and stand beside those of before.
    const [fresh] = await log.appendEvents({ writer: "app", events: [login(2 + opened), login(0)] });
    expect(fresh).toMatchObject({ index: log.size() - 1 });
    expect((await log.appendEvents({ writer: "app", events: [login(2 + opened)] }))[0]).toMatchObject({
      duplicate: true,
    });
    await until(() => log.publishedSize() === log.size());
    await replay(log);
    await log.close();
  }
  expect((await idKeysOn(site)).map(({ length }) => length).sort((a, b) => a - b)).toEqual([16, 16, 28, 28]);
});
