/** A person with a million events is erased by destroying one key: how long that takes does not grow with the events. */
import { join } from "node:path";
import { openKeyStore, openLevelStorage } from "@tallystick/storage";
import { expect, test } from "vitest";
import { temporaryFolder } from "../../../../test/support/temporary-folder.ts";
import { createSite, login, seed, until } from "../site.ts";

const EVENTS = 1_000_000;
const BATCH = 1000;
const DAY_MS = 86_400_000;

test(`a person with ${EVENTS} events is erased, and none of them opens`, async () => {
  const folder = temporaryFolder();
  const storage = await openLevelStorage({ path: join(folder, "data") });
  const keyStore = await openKeyStore({ path: join(folder, "keys"), masterKey: seed("master key") });
  const site = await createSite();
  const log = await site.open({ storage, keyStore });
  await until(() => log.status().state === "ok");
  for (let first = 0; first < EVENTS; first += BATCH) {
    const events = Array.from({ length: BATCH }, (_, at) =>
      login(first + at, {
        actor: { type: "user", id: "u1" },
        time: site.clock.nowMs - ((first / BATCH) % 365) * DAY_MS,
      }),
    );
    await log.appendEvents({ writer: "app", events });
  }
  // Heads of the log's own stand between the events.
  const [other] = await log.appendEvents({
    writer: "app",
    events: [login(EVENTS, { actor: { type: "user", id: "u2" } })],
  });
  const began = performance.now();
  const { request } = await log.disposition.erase({ subject: "u1", ground: "asked", by: "officer-1" });
  const ordered = performance.now();
  expect((await log.disposition.waitForDestruction(request, 60_000)).state).toBe("done");
  const done = performance.now();
  process.stdout.write(
    `unreadable after ${Math.round(ordered - began)} ms, destroyed after ${Math.round(done - began)} ms\n`,
  );
  for (const index of [0, 1, 500_000])
    await expect(log.readEvent({ index, reader: "auditor" })).rejects.toMatchObject({ code: "erased" });
  expect((await log.readEvent({ index: other?.index ?? -1, reader: "auditor" })).event.actor?.id).toBe("u2");
  await log.close();
  await keyStore.close();
  await storage.close();
});
