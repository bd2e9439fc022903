/** A real Chromium without a screen, where the machine has one or Debian's packages of it can be fetched. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { type Browser, chromium } from "playwright-core";

const CACHE = new URL("../../node_modules/.cache/chromium", import.meta.url).pathname;
const PROGRAM = "usr/lib/chromium/chromium";
/** The packages that the machine lacks, whatever those are: a hundred megabytes at most. Simulating needs no rights. */
const FETCH = `
  names=$(apt-get -s --no-install-recommends install chromium | awk '/^Inst/ { print $2 }') &&
  apt-get download $names && for each in *.deb; do dpkg-deb -x "$each" . && rm "$each"; done`;
const FETCH_MS = 90_000;

/** What starts a browser, or `undefined` where there is none and none can be had. */
export function findChromium(): (() => Promise<Browser>) | undefined {
  const place = ["/", CACHE].find(runs) ?? fetchChromium();
  if (place === undefined) return undefined;
  const { program, env } = commandOf(place);
  const isRoot = process.getuid?.() === 0;
  // A page that one comes back to sleeps in between, as it does for people.
  const ignoreDefaultArgs = ["--disable-back-forward-cache"];
  return async () => chromium.launch({ executablePath: program, env, chromiumSandbox: !isRoot, ignoreDefaultArgs });
}

/** The program itself, not the script around it, which knows no other place. */
function commandOf(place: string): { program: string; env: Record<string, string> } {
  const libraries = join(place, "usr/lib", `${process.arch === "arm64" ? "aarch64" : "x86_64"}-linux-gnu`);
  const libraryPath = `${libraries}:${join(libraries, "pulseaudio")}`;
  const inherited = Object.entries(process.env).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, value]],
  );
  return {
    program: join(place, PROGRAM),
    env: { ...(Object.fromEntries(inherited) as Record<string, string>), LD_LIBRARY_PATH: libraryPath },
  };
}

function runs(place: string): boolean {
  const { program, env } = commandOf(place);
  if (!existsSync(program)) return false;
  const { stdout } = spawnSync(program, ["--version"], { env, encoding: "utf8" });
  return typeof stdout === "string" && stdout.includes("Chromium");
}

/** Unpacks the packages beside the cache and renames, since two test files may come at once. */
function fetchChromium(): string | undefined {
  const folder = `${CACHE}.${process.pid}`;
  try {
    mkdirSync(folder, { recursive: true });
    const { status } = spawnSync("sh", ["-c", FETCH], { cwd: folder, timeout: FETCH_MS, stdio: "ignore" });
    if (status === 0 && runs(folder)) renameSync(folder, CACHE);
  } catch {
    // Somebody else was first, or it is not to be had.
  }
  rmSync(folder, { recursive: true, force: true });
  return runs(CACHE) ? CACHE : undefined;
}
