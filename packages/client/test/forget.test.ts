/** What this host knows of a person after `receipts.forget`. */
import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { LogDouble } from "./support/log-double.ts";
import { createFolder, login, startClient } from "./support/setup.ts";

async function filesWith(folder: string, text: string): Promise<string[]> {
  const found: string[] = [];
  for (const name of await readdir(folder)) {
    const bytes = await readFile(join(folder, name), "latin1").catch(() => "");
    if (bytes.includes(text)) found.push(name);
  }
  return found;
}

test("removes the receipts about a person, as actor or as subject, and what the journal still held of their events", async () => {
  const outbox = await createFolder();
  const { client } = startClient(new LogDouble(), { outbox });
  const own = await client.record(login("person-of-interest"));
  const about = await client.record({ ...login("somebody-else"), subject: { id: "person-of-interest" } });
  const by = await client.record({ ...login("person-of-interest"), subject: { id: "somebody-else" } });
  const other = await client.record(login("somebody-else"));
  await client.flush();
  expect(await filesWith(outbox, "person-of-interest")).toEqual(["outbox"]);

  expect(await client.receipts.forget({ id: "person-of-interest" })).toEqual({ receipts: 2, waiting: 0 });
  for (const { id } of [own, about])
    await expect(client.receipts.get(id)).rejects.toMatchObject({ code: "receipt-unknown" });
  // The data of another person: theirs to have forgotten.
  for (const { id } of [by, other]) expect((await client.receipts.get(id)).id).toBe(id);
  expect(await filesWith(outbox, "person-of-interest")).toEqual([]);
  expect(await client.receipts.forget("person-of-interest")).toEqual({ receipts: 0, waiting: 0 });
});

test("counts what is still on its way, which is delivered all the same", async () => {
  const log = new LogDouble();
  log.hooks.intercept = () => Promise.reject(new TypeError("fetch failed"));
  const { client } = startClient(log);
  const { id } = await client.record(login("u_1"));
  await client.record(login("u_2"));
  expect(await client.receipts.forget("u_1")).toEqual({ receipts: 0, waiting: 1 });
  delete log.hooks.intercept;
  await client.flush();
  expect((await client.receipts.get(id)).id).toBe(id);
  expect(await client.receipts.forget("u_1")).toEqual({ receipts: 1, waiting: 0 });
});

test("finds after a restart whose receipts there are, and goes on recording", async () => {
  const outbox = await createFolder();
  const log = new LogDouble();
  const first = startClient(log, { outbox }).client;
  const { id } = await first.record(login("u_1"), { until: "witnessed" });
  await first.close();
  const { client } = startClient(log, { outbox });
  expect((await client.receipts.get(id)).id).toBe(id);
  expect(await client.receipts.forget("u_1")).toEqual({ receipts: 1, waiting: 0 });
  expect((await client.record(login("u_1"), { until: "witnessed" })).state).toBe("witnessed");
  await client.close();
  const third = startClient(log, { outbox }).client;
  expect(await third.receipts.forget("u_1")).toEqual({ receipts: 1, waiting: 0 });
});
