/** Databases that tell one of those who come at the same moment to come again: doing so without blocking the process. */
import { setTimeout as sleep } from "node:timers/promises";

const RETRY_MS = 5;
const GIVE_UP_MS = 5000;
/** PostgreSQL: a statement that was first in no order of all, where transactions are serializable; and a deadlock. */
const POSTGRES_AGAIN = new Set(["40001", "40P01"]);

/** Asks again while somebody else has the lock or was faster, and lets this process go on with other work in between. */
export async function unblocked<Result>(work: () => Result | Promise<Result>): Promise<Result> {
  for (const startMs = performance.now(); ;) {
    try {
      return await work();
    } catch (error) {
      if (!isBusy(error) || performance.now() - startMs > GIVE_UP_MS) throw error;
    }
    await sleep(RETRY_MS * (1 + Math.random()));
  }
}

/** SQLITE_BUSY and its kinds, as node:sqlite and better-sqlite3 say it, and PostgreSQL's. Nothing was changed then. */
function isBusy(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if ("errcode" in error) return (Number(error.errcode) & 0xff) === 5;
  if (!("code" in error)) return false;
  const code = String(error.code);
  return code.startsWith("SQLITE_BUSY") || POSTGRES_AGAIN.has(code);
}
