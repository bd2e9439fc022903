/** What a sync costs on the disk that the servers write to: 4 KiB appended to a file and fdatasync, over and over. */
import { closeSync, fdatasyncSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Latencies, type LatencySummary } from "./load/latencies.ts";
import { removeFolder, temporaryFolder } from "./servers/clean-up.ts";

const WRITE_BYTES = 4096;

export interface ProbeOptions {
  /** Between two syncs; 0 for none. */
  readonly intervalMs: number;
  readonly signal: AbortSignal;
}

/** Syncs until `signal` says stop. The time of the write itself is not in it. */
export async function probeDisk({ intervalMs, signal }: ProbeOptions): Promise<LatencySummary> {
  const folder = await temporaryFolder();
  const file = openSync(join(folder, "probe"), "a");
  const bytes = new Uint8Array(WRITE_BYTES);
  const latencies = new Latencies();
  try {
    while (!signal.aborted) {
      writeSync(file, bytes);
      const began = performance.now();
      fdatasyncSync(file);
      latencies.add(performance.now() - began);
      await sleep(intervalMs);
    }
  } finally {
    closeSync(file);
    await removeFolder(folder);
  }
  return latencies.summary();
}

/** While `work` goes on. */
export async function probeDiskDuring<T>(work: () => Promise<T>, intervalMs: number): Promise<[T, LatencySummary]> {
  const stop = new AbortController();
  const probing = probeDisk({ intervalMs, signal: stop.signal });
  try {
    const result = await work();
    stop.abort();
    return [result, await probing];
  } finally {
    stop.abort();
    await probing.catch(() => undefined);
  }
}
