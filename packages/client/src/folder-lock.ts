/**
 * One process at a time in a folder. The lock names its process; that of a dead one is taken over.
 *
 * A number alone does not name a process: it is used again, and in a container it is always the same. So the lock says
 * when the process started and in which space its number counts; where that is another one, a lock is alive for as long
 * as its holder keeps touching it.
 */
import { randomBytes } from "node:crypto";
import { readFileSync, readlinkSync } from "node:fs";
import { link, realpath, rename, rm, stat, utimes } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { ClientError } from "./error.ts";
import { codeOf, createFile, readIfThere } from "./files.ts";

const TOUCH_INTERVAL_MS = 2000;
/** A lock of another space that was not touched for so long has no holder. */
const SILENT_MS = 10_000;

/** Folders that this process holds. */
const held = new Set<string>();

/**
 * Takes a folder; gives what lets it go.
 *
 * @throws {ClientError} `outbox-locked`: another process, or another client of this one, uses it.
 */
export async function lockFolder(folder: string): Promise<() => Promise<void>> {
  const name = await realpath(folder);
  if (held.has(name)) throw locked(folder, `this process (${process.pid}) already`);
  held.add(name);
  try {
    const path = join(folder, "lock");
    await take(folder, path);
    const touching = setInterval(
      () => void utimes(path, new Date(), new Date()).catch(() => undefined),
      TOUCH_INTERVAL_MS,
    );
    touching.unref();
    return async () => {
      clearInterval(touching);
      await rm(path, { force: true });
      held.delete(name);
    };
  } catch (error) {
    held.delete(name);
    throw error;
  }
}

async function take(folder: string, path: string): Promise<void> {
  const deadline = performance.now() + SILENT_MS + TOUCH_INTERVAL_MS;
  while (!(await createFile(path, formatHolder(self())))) {
    const text = await readIfThere(path);
    if (text === undefined) continue;
    const life = await lifeOf(path, text);
    if (life === "alive" || (life === "unknown" && performance.now() > deadline)) {
      throw locked(folder, `process ${text.split(" ", 1)[0] ?? "?"}`);
    }
    if (life === "dead") await removeStale(path, text);
    else await sleep(500);
  }
}

interface Holder {
  readonly pid: number;
  /** When the process started, in ticks since the machine did; "?" where that cannot be known. */
  readonly started: string;
  /** Where process numbers mean the same. */
  readonly space: string;
}

function formatHolder({ pid, started, space }: Holder): string {
  return `${pid} ${started} ${space}\n`;
}

function self(): Holder {
  return { pid: process.pid, started: startOf(process.pid) ?? "?", space: spaceOfNumbers() };
}

function spaceOfNumbers(): string {
  try {
    const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
    return `${boot}/${readlinkSync("/proc/self/ns/pid")}`;
  } catch {
    return hostname();
  }
}

/** Field 22 of /proc/<pid>/stat; the name in field 2 may hold spaces and brackets. */
function startOf(pid: number): string | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    return text.slice(text.lastIndexOf(")") + 2).split(" ")[19];
  } catch {
    return undefined;
  }
}

async function lifeOf(path: string, text: string): Promise<"alive" | "dead" | "unknown"> {
  const [number = "", started = "?", space = ""] = text.trim().split(" ");
  if (space !== spaceOfNumbers()) return (await isTouched(path)) ? "unknown" : "dead";
  const pid = Number(number);
  if (!Number.isSafeInteger(pid) || pid <= 0 || !isRunning(pid)) return "dead";
  // Without a start time our own number tells of a process before us: another client of this one would be in `held`.
  if (started === "?") return pid === process.pid ? "dead" : "alive";
  return started === startOf(pid) ? "alive" : "dead";
}

async function isTouched(path: string): Promise<boolean> {
  try {
    return Date.now() - (await stat(path)).mtimeMs < SILENT_MS;
  } catch (error) {
    if (codeOf(error) === "ENOENT") return false;
    throw error;
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return codeOf(error) === "EPERM";
  }
}

/** Removes a lock that was found to be stale, unless somebody else has taken it over in the meantime. */
async function removeStale(path: string, text: string): Promise<void> {
  const aside = `${path}.${randomBytes(6).toString("hex")}`;
  try {
    await rename(path, aside);
  } catch (error) {
    if (codeOf(error) === "ENOENT") return;
    throw error;
  }
  if ((await readIfThere(aside)) !== text) await link(aside, path).catch(() => undefined);
  await rm(aside, { force: true });
}

function locked(folder: string, holder: string): ClientError {
  const text = `${folder}: ${holder} uses this outbox; give each process a folder of its own`;
  return new ClientError("outbox-locked", text, { details: { folder, holder } });
}
