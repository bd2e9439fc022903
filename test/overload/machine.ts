/**
 * Gives a process another machine: a clock that can be set, and a disk that is slow. Preloaded by `node --import`, so that
 * the command itself is as it is shipped; threads that it starts get it too.
 *
 * The disk is that of the files which this process writes itself. Each commit of a log waits for one of them.
 */
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import { promisify } from "node:util";

/** What the file at TALLYSTICK_TEST_MACHINE says, as JSON. */
export interface Machine {
  /** By how much the clock is ahead. */
  readonly clockMs: number;
  /** What each write and each sync takes longer. */
  readonly diskMs: number;
}

const LOOK_MS = 20;
const path = process.env["TALLYSTICK_TEST_MACHINE"] ?? "";
const realNow = Date.now;
let machine: Machine = { clockMs: 0, diskMs: 0 };

function look(): void {
  try {
    machine = JSON.parse(fs.readFileSync(path, "utf8")) as Machine;
  } catch {
    // Just being written.
  }
}

const CLOCK = { now: () => realNow() + machine.clockMs };
Object.assign(Date, CLOCK);

type Call = (...args: readonly unknown[]) => unknown;

for (const name of ["write", "fsync", "fdatasync"] as const) {
  const real = fs[name] as unknown as Call;
  const promised = promisify(fs[name]) as unknown as Call;
  const slow = (...args: readonly unknown[]): void => {
    if (machine.diskMs === 0) real(...args);
    else setTimeout(() => real(...args), machine.diskMs);
  };
  const slowPromised = async (...args: readonly unknown[]): Promise<unknown> => {
    if (machine.diskMs > 0) await new Promise((resolve) => setTimeout(resolve, machine.diskMs));
    return promised(...args);
  };
  Object.assign(fs, { [name]: Object.assign(slow, { [promisify.custom]: slowPromised }) });
  const realSync = fs[`${name}Sync`] as unknown as Call;
  const slowSync = (...args: readonly unknown[]): unknown => {
    if (machine.diskMs > 0) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, machine.diskMs);
    return realSync(...args);
  };
  Object.assign(fs, { [`${name}Sync`]: slowSync });
}
syncBuiltinESMExports();
look();
setInterval(look, LOOK_MS).unref();
