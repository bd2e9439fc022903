/** A real Redis of one's own, where the machine has the server or Debian's packages of it can be fetched. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { exitOf } from "./processes.ts";

const CACHE = new URL("../../node_modules/.cache/redis", import.meta.url).pathname;
/** In Debian the server is another name of the tool that checks its files. */
const PROGRAMS = ["usr/bin/redis-server", "usr/bin/redis-check-rdb"];
const PACKAGES = "redis-tools libhiredis0.14 libjemalloc2 liblua5.1-0 liblzf1 lua-cjson lua-bitop";
const FETCH_MS = 20_000;
const START_MS = 10_000;

export interface RedisServer {
  /** Its Unix socket: it has no port. */
  readonly socket: string;
  stop(): Promise<void>;
}

/** What starts a Redis server, or `undefined` where there is none and none can be had. */
export function findRedis(): ((folder: string) => Promise<RedisServer>) | undefined {
  const place = ["/", CACHE].find(runs) ?? fetchRedis();
  return place === undefined ? undefined : async (folder) => startRedis(place, folder);
}

async function startRedis(place: string, folder: string): Promise<RedisServer> {
  const socket = join(folder, "redis.sock");
  const settings = ["--port", "0", "--unixsocket", socket, "--dir", folder, "--save", "", "--appendonly", "yes"];
  const { program, env } = commandOf(place);
  const child = spawn(program, settings, { env, stdio: "ignore", argv0: "redis-server" });
  const stop = async (): Promise<void> => {
    child.kill("SIGTERM");
    await exitOf(child);
  };
  await ready(child, socket);
  return { socket, stop };
}

async function ready(child: ChildProcess, socket: string): Promise<void> {
  for (const startMs = performance.now(); !existsSync(socket);) {
    if (child.exitCode !== null || performance.now() - startMs > START_MS)
      throw new Error("redis-server does not start");
    await sleep(20);
  }
}

function commandOf(place: string): { program: string; env: NodeJS.ProcessEnv } {
  const program = PROGRAMS.map((name) => join(place, name)).find((path) => existsSync(path)) ?? "redis-server";
  const libraries = join(place, "usr/lib", `${machine()}-linux-gnu`);
  return { program, env: { ...process.env, LD_LIBRARY_PATH: libraries } };
}

function machine(): string {
  return process.arch === "arm64" ? "aarch64" : "x86_64";
}

function runs(place: string): boolean {
  if (!PROGRAMS.some((name) => existsSync(join(place, name)))) return false;
  const { program, env } = commandOf(place);
  const { stdout } = spawnSync(program, ["--version"], { env, argv0: "redis-server", encoding: "utf8" });
  return typeof stdout === "string" && stdout.includes("Redis server");
}

/** Unpacks the packages beside the cache and renames, since two test files may come at once. Needs no rights. */
function fetchRedis(): string | undefined {
  const folder = `${CACHE}.${process.pid}`;
  try {
    mkdirSync(folder, { recursive: true });
    const script = `apt-get download ${PACKAGES} && for each in *.deb; do dpkg-deb -x "$each" .; done`;
    const { status } = spawnSync("sh", ["-c", script], { cwd: folder, timeout: FETCH_MS, stdio: "ignore" });
    if (status === 0 && runs(folder)) renameSync(folder, CACHE);
  } catch {
    // Somebody else was first, or it is not to be had.
  }
  rmSync(folder, { recursive: true, force: true });
  return existsSync(CACHE) && runs(CACHE) ? CACHE : undefined;
}
