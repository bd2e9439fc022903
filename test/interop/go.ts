/**
 * Go programs for tests: other people's implementations, built from source by the tests themselves.
 *
 * The sources are those of a module folder in this tree (go.mod and go.sum say what else is needed, the Go module proxy
 * serves it); the binaries lie in node_modules/.cache under a hash of that folder, so that they are built once.
 */
import { execFile, spawnSync } from "node:child_process";
import { createHash, randomUUID } from "node:crypto";
import { access, link, mkdir, readFile, readdir, rename, rm, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, test } from "vitest";

const CACHE = fileURLToPath(new URL("../../node_modules/.cache/interop", import.meta.url));
const LOCK_POLL_MS = 200;

/** For a hook that builds: with nothing downloaded and nothing compiled it takes a minute or two. */
export const GO_BUILD_TIMEOUT_MS = 600_000;

/** Of Go 1: what the modules ask for. */
const GO_MINOR_MIN = 25;

let version: string | undefined;

/** What `go version` says, or undefined where there is no Go that is new enough. */
export function goToolchain(): string | undefined {
  version ??= spawnSync("go", ["version"], { encoding: "utf8" }).stdout?.trim() ?? "";
  const [, minor = "0"] = / go1\.(\d+)/.exec(version) ?? [];
  return Number(minor) >= GO_MINOR_MIN ? version : undefined;
}

/** A `describe` whose tests may build Go programs. Without Go `define` is not run, and a line says so. */
export function describeWithGo(name: string, define: () => void): void {
  const found = goToolchain() !== undefined;
  if (!found) process.stderr.write(`skipped, for want of Go 1.${GO_MINOR_MIN} or newer on the PATH: ${name}\n`);
  describe(name, () => {
    test.runIf(found)(`finds Go 1.${GO_MINOR_MIN} or newer`, () => {});
    if (found) define();
  });
}

/**
 * Builds a command, and gives the path of its binary.
 *
 * @param moduleFolder - Holds go.mod and a complete go.sum.
 * @param pkg - The command: a folder of this module ("./reader"), or a package of another one that go.mod names
 *   ("github.com/transparency-dev/tessera/cmd/fsck", for which it has a `tool` line).
 */
export async function buildGo(moduleFolder: string, pkg: string = "."): Promise<string> {
  const key = await hashFolder(moduleFolder, [goToolchain() ?? "", pkg]);
  const folder = join(CACHE, key);
  const binary = join(folder, basename(pkg === "." ? moduleFolder : pkg));
  await mkdir(folder, { recursive: true });
  return locked(join(folder, "lock"), async () => {
    if (await exists(binary)) return binary;
    const env = { ...process.env, CGO_ENABLED: "0", GOFLAGS: "-mod=readonly -buildvcs=false", GOWORK: "off" };
    await promisify(execFile)("go", ["build", "-o", `${binary}.new`, pkg], { cwd: moduleFolder, env });
    await rename(`${binary}.new`, binary);
    return binary;
  });
}

/** Runs a command to its end; gives what it printed. @throws {Error} With what it complained of, where it failed. */
export async function runGo(
  binary: string,
  args: readonly string[],
  input: string = "",
): Promise<{ stdout: string; stderr: string }> {
  const running = promisify(execFile)(binary, args, { maxBuffer: 64 * 1024 * 1024 });
  // A command that ends before it has read its input breaks the pipe; what it thought of it, its exit code says.
  running.child.stdin?.on("error", () => undefined).end(input);
  return running;
}

/** The module with programs that use Tessera v1.0.4, and with its own commands as tools. */
export const TESSERA: string = fileURLToPath(new URL("go/tessera", import.meta.url));
/** The module with programs that use the Go checksum database's code and transparency-dev's notes and proofs. */
export const TLOG: string = fileURLToPath(new URL("go/tlog", import.meta.url));
/** The module with the witness of transparency-dev. */
export const WITNESS: string = fileURLToPath(new URL("go/witness", import.meta.url));

async function hashFolder(folder: string, more: readonly string[]): Promise<string> {
  const hash = createHash("sha256").update(JSON.stringify(more));
  const names = (await readdir(folder, { recursive: true })).filter((name) => /\.(?:go|mod|sum)$/.test(name)).sort();
  for (const name of names) hash.update(JSON.stringify([name, await readFile(join(folder, name), "utf8")]));
  return hash.digest("hex").slice(0, 32);
}

/**
 * Runs `work` while no other process runs it. The lock of a process that is gone is taken over; if two take it over at
 * the same time, both build, and the last rename wins with the same bytes.
 */
async function locked<T>(lock: string, work: () => Promise<T>): Promise<T> {
  while (!(await takeLock(lock))) await new Promise((resolve) => setTimeout(resolve, LOCK_POLL_MS));
  try {
    return await work();
  } finally {
    await rm(lock, { force: true });
  }
}

async function takeLock(lock: string): Promise<boolean> {
  // Written first and linked then, so that a lock always names its holder.
  const own = `${lock}.${randomUUID()}`;
  await writeFile(own, String(process.pid));
  try {
    await link(own, lock);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  } finally {
    await rm(own);
  }
  const holder = Number(await readFile(lock, "utf8").catch(() => ""));
  if (holder > 0 && !isRunning(holder)) await rm(lock, { force: true });
  return false;
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
