/** Programs of Debian's packages: the machine's, or unpacked into a cache where they can be fetched. That needs no rights. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";

const CACHE = new URL("../../node_modules/.cache/", import.meta.url).pathname;

export interface DebianPrograms {
  /** What its folder in the cache is called. */
  readonly name: string;
  readonly packages: string;
  readonly fetchTimeoutMs: number;
  /** Whether what is wanted runs from there: "/" or the folder in the cache. */
  readonly runs: (place: string) => boolean;
}

/** Where they are, or `undefined` where there are none and none can be had. */
export function findPrograms(wanted: DebianPrograms): string | undefined {
  return ["/", CACHE + wanted.name].find((place) => wanted.runs(place)) ?? fetchPrograms(wanted);
}

/** What a program from there needs to find its libraries. */
export function environmentOf(place: string): NodeJS.ProcessEnv {
  if (place === "/") return process.env;
  const machine = process.arch === "arm64" ? "aarch64" : "x86_64";
  return { ...process.env, LD_LIBRARY_PATH: join(place, "usr/lib", `${machine}-linux-gnu`) };
}

/** Unpacks the packages beside the cache and renames, since two test files may come at once. */
function fetchPrograms({ name, packages, fetchTimeoutMs, runs }: DebianPrograms): string | undefined {
  const cache = CACHE + name;
  const folder = `${cache}.${process.pid}`;
  try {
    mkdirSync(folder, { recursive: true });
    const script = `apt-get download ${packages} && for each in *.deb; do dpkg-deb -x "$each" . && rm "$each"; done`;
    const { status } = spawnSync("sh", ["-c", script], { cwd: folder, timeout: fetchTimeoutMs, stdio: "ignore" });
    if (status === 0 && runs(folder)) renameSync(folder, cache);
  } catch {
    // Somebody else was first, or it is not to be had.
  }
  rmSync(folder, { recursive: true, force: true });
  return existsSync(cache) && runs(cache) ? cache : undefined;
}
