/** A disk that is full for a while: this process may write no file beyond so many bytes. */
import { spawnSync } from "node:child_process";

function limit(bytes: number | "unlimited"): boolean {
  return spawnSync("prlimit", ["--pid", String(process.pid), `--fsize=${bytes}:`]).status === 0;
}

/** Whether the limit can be set, and lifted again, here. */
export const CAN_LIMIT: boolean = limit(2 ** 40) && limit("unlimited");

/** Runs `work` while no file may grow beyond `bytes`: what would is written in part, and then refused. */
export async function whileFull<T>(bytes: number, work: () => Promise<T>): Promise<T> {
  if (!limit(bytes)) throw new Error("the limit could not be set");
  try {
    return await work();
  } finally {
    limit("unlimited");
  }
}
