/** Writes to a store and a key store as fast as it can, and says after each step what it was told is durable. */
import { writeSync } from "node:fs";
import { join } from "node:path";
import { indexKey, openKeyStore, openLevelStorage } from "../src/index.ts";

const folder = process.argv[2] ?? "";
const storage = await openLevelStorage({ path: join(folder, "log") });
const keys = await openKeyStore({ path: join(folder, "keys"), masterKey: new Uint8Array(32).fill(9) });

let version = (await storage.readHead("integrated"))?.version ?? 0;
let signed = (await storage.readHead("signed"))?.version ?? 0;
for (;;) {
  const key = keys.getOrCreate("person", indexKey(version));
  await keys.sync();
  const rows = Array.from({ length: 20 }, (_, at) => ({
    table: "leaf",
    key: `${indexKey(version)}-${at}`,
    value: key,
  }));
  await storage.commit({
    head: { name: "integrated", expected: version, bytes: new TextEncoder().encode(`${version + 1}`) },
    rows,
  });
  version++;
  if (version % 3 === 0) {
    await storage.commit({ head: { name: "signed", expected: signed, bytes: new TextEncoder().encode(`${version}`) } });
    signed++;
  }
  if (version % 10 === 0) await keys.destroy([{ kind: "person", name: indexKey(version - 10) }]);
  writeSync(1, `${version} ${signed}\n`);
}
