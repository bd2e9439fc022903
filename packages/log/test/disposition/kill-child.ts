/**
 * A log in which much is due, to be killed while it destroys it. Says `pruned` after each removal of sealed events from
 * the disk, and `settled` when nothing is left to do.
 */
import { writeSync } from "node:fs";
import { join } from "node:path";
import { type LogStorage, openKeyStore, openLevelStorage } from "@tallystick/storage";
import { openLog } from "../../src/index.ts";
import { KEYS, MASTER_KEY, ORIGIN, POLICY } from "../kill-load.ts";

const [folder = "", nowMs = "0"] = process.argv.slice(2);

function say(line: string): void {
  writeSync(1, `${line}\n`);
}

/** The same storage, which says when sealed events are removed. */
function observed(storage: LogStorage): LogStorage {
  const deleteRows: LogStorage["deleteRows"] = async (table, keys) => {
    await storage.deleteRows(table, keys);
    if (table === "sealed") say("pruned");
  };
  return new Proxy(storage, {
    get(target, name) {
      if (name === "deleteRows") return deleteRows;
      const value: unknown = Reflect.get(target, name);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

const storage = observed(await openLevelStorage({ path: join(folder, "data") }));
const keyStore = await openKeyStore({ path: join(folder, "keys"), masterKey: MASTER_KEY });
const log = await openLog({
  origin: ORIGIN,
  storage,
  keyStore,
  keys: KEYS,
  policyText: POLICY,
  witnesses: [],
  publishIntervalMs: 5,
  confirmClock: true,
  now: () => Number(nowMs),
});
while (log.status().state === "starting") await new Promise((resolve) => setTimeout(resolve, 1));
await log.disposition.runRetention();
for (let pending = true; pending; await new Promise((resolve) => setTimeout(resolve, 5))) {
  pending = false;
  for await (const _row of storage.scanRows("pending")) pending = true;
}
await log.close();
await keyStore.close();
await storage.close();
say("settled");
