/** Reads all of a store that may be damaged. */
import { StorageError } from "../src/error.ts";
import { indexKey, openLevelStorage } from "../src/index.ts";
import type { LogStorage } from "../src/storage.ts";

export interface ReadReport {
  /** Values that were not found. */
  readonly missing: number;
  /** Values that were found and are not what was written. There must be none, ever. */
  readonly wrong: readonly string[];
}

/** Opens the store of `commits` commits and reads it; what is refused by an error of ours is neither missing nor wrong. */
export async function readStore(path: string, commits: number): Promise<ReadReport> {
  const wrong: string[] = [];
  let missing = 0;

  async function readOne(read: () => Promise<Uint8Array | undefined>, expected: string): Promise<void> {
    const value = await read().catch(refused);
    if (value === undefined) missing++;
    else if (value !== "refused" && Buffer.from(value).toString() !== expected) wrong.push(expected);
  }

  async function readAll(storage: LogStorage): Promise<void> {
    const head = `integrated ${commits}`;
    await readOne(async () => (await storage.readHead("integrated"))?.bytes, head);
    for (let at = 0; at < commits; at++) {
      await readOne(() => storage.getRow("leaf", indexKey(at)), `leaf ${at}`);
      await readOne(() => storage.getBlob(`tile/${indexKey(at)}`), `tile ${at}`);
    }
  }

  const storage = await openLevelStorage({ path }).catch(refused);
  if (storage === "refused") return { missing, wrong };
  await readAll(storage);
  await storage.close();
  return { missing, wrong };
}

function refused(error: unknown): "refused" {
  if (error instanceof StorageError) return "refused";
  throw error;
}
