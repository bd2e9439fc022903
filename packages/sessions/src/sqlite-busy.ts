/** SQLite lets one write at a time: waiting for the others without blocking the process. */
import { setTimeout as sleep } from "node:timers/promises";

const RETRY_MS = 5;
const GIVE_UP_MS = 5000;

/** Asks again while somebody else has the lock, and lets this process go on with other work in between. */
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

/** SQLITE_BUSY and its kinds, as node:sqlite and better-sqlite3 say it. */
function isBusy(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if ("errcode" in error) return (Number(error.errcode) & 0xff) === 5;
  return "code" in error && String(error.code).startsWith("SQLITE_BUSY");
}
