/** On what a figure was taken: nothing that names the machine or a place on it. */
import { readFileSync } from "node:fs";
import { cpus, release, totalmem, type } from "node:os";

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly kernel: string;
  readonly node: string;
}

export function describeMachine(): Machine {
  return {
    cpu: cpus()[0]?.model.trim().replaceAll(/\s+/g, " ") ?? "unknown",
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    kernel: `${type()} ${release()}`,
    node: process.version,
  };
}

/** For the name of a file: `intel-xeon-2-80ghz-2-cores`. */
export function machineSlug({ cpu, cores }: Machine): string {
  const words =
    cpu
      .toLowerCase()
      .replaceAll(/\((?:r|tm)\)|processor|cpu/g, " ")
      .match(/[a-z0-9]+/g) ?? [];
  return [...words, cores, "cores"].join("-");
}

/** The share of time that the hypervisor gave to others since `before`, in percent; proc(5), "steal". */
export function stolenPercent(before: CpuJiffies, after: CpuJiffies): number {
  const total = after.total - before.total;
  return total === 0 ? 0 : Math.round(((after.stolen - before.stolen) / total) * 1000) / 10;
}

export interface CpuJiffies {
  readonly total: number;
  readonly stolen: number;
}

/** Of all cores since the machine started; zeros where there is no /proc. */
export function cpuJiffies(): CpuJiffies {
  try {
    const [line = ""] = readFileSync("/proc/stat", "latin1").split("\n", 1);
    const fields = line.split(/\s+/).slice(1, 9).map(Number);
    return { total: fields.reduce((sum, field) => sum + field, 0), stolen: fields[7] ?? 0 };
  } catch {
    return { total: 0, stolen: 0 };
  }
}
