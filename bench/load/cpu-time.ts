/** The CPU time that a process has taken, all its threads together, as Linux counts it. proc(5) */
import { readFileSync } from "node:fs";

/** USER_HZ: so on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;

/** In seconds; `undefined` where there is no /proc, or no such process. */
export function cpuSecondsOf(pid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    // The name, in brackets, may hold anything; utime and stime are the 12th and 13th field after it.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
  } catch {
    return undefined;
  }
}

/** Bytes of a process in memory. */
export interface Memory {
  readonly resident: number;
  /** The most there ever were. */
  readonly peak: number;
  /** Its own; the rest is pages of files that are mapped, which the system takes back when it needs them. */
  readonly anonymous: number;
}

/** `undefined` where there is no /proc. */
export function memoryOf(pid: number): Memory | undefined {
  try {
    const status = readFileSync(`/proc/${pid}/status`, "latin1");
    const kib = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(status)?.[1]) * 1024;
    return { resident: kib("VmRSS"), peak: kib("VmHWM"), anonymous: kib("RssAnon") };
  } catch {
    return undefined;
  }
}
