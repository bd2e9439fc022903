import { join } from "node:path";
import { Level } from "level";

/** The database of a store that is closed, past all checks. */
export async function withDatabase(
  path: string,
  use: (database: Level<string, Uint8Array>) => Promise<void>,
): Promise<void> {
  const database = new Level<string, Uint8Array>(join(path, "leveldb"), {
    keyEncoding: "utf8",
    valueEncoding: "view",
    compression: false,
  });
  await database.open();
  await use(database);
  await database.close();
}
