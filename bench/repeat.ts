/**
 * Work on one thread, by the CPU time that it takes: on a machine that others share, the time on the wall is that of the
 * others too. Threads that help (garbage collection, compiler) count as well.
 */

/** For the compiler: what it takes is no part of what the work takes. */
const WARM_UP_MS = 1000;

/** Calls `work`, which does so many things and says how many, until `seconds` are over; gives how many a CPU second. */
export function perCpuSecond(seconds: number, work: () => number): number {
  const warm = performance.now() + WARM_UP_MS;
  do work();
  while (performance.now() < warm);
  let done = 0;
  const end = performance.now() + seconds * 1000;
  const began = process.cpuUsage();
  do done += work();
  while (performance.now() < end);
  return done / cpuSecondsSince(began);
}

/** The same for work that waits: once. */
export async function onceByCpu(work: () => Promise<number>): Promise<number> {
  const began = process.cpuUsage();
  const done = await work();
  return done / cpuSecondsSince(began);
}

function cpuSecondsSince(began: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(began);
  return (user + system) / 1e6;
}
