/** A real Redis of one's own, where the machine has the server or Debian's packages of it can be fetched. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { environmentOf, findPrograms } from "./debian-programs.ts";
import { exitOf } from "./processes.ts";

/** In Debian the server is another name of the tool that checks its files. */
const PROGRAMS = ["usr/bin/redis-server", "usr/bin/redis-check-rdb"];
const PACKAGES = "redis-tools libhiredis0.14 libjemalloc2 liblua5.1-0 liblzf1 lua-cjson lua-bitop";
const START_MS = 10_000;

export interface RedisServer {
  /** Its Unix socket: it has no port. */
  readonly socket: string;
  stop(): Promise<void>;
}

/** What starts a Redis server, or `undefined` where there is none and none can be had. */
export function findRedis(): ((folder: string) => Promise<RedisServer>) | undefined {
  const place = findPrograms({ name: "redis", packages: PACKAGES, fetchTimeoutMs: 20_000, runs });
  return place === undefined ? undefined : async (folder) => startRedis(place, folder);
}

async function startRedis(place: string, folder: string): Promise<RedisServer> {
  const socket = join(folder, "redis.sock");
  const settings = ["--port", "0", "--unixsocket", socket, "--dir", folder, "--save", "", "--appendonly", "yes"];
  const child = spawn(programOf(place), settings, {
    env: environmentOf(place),
    stdio: "ignore",
    argv0: "redis-server",
  });
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

function programOf(place: string): string {
  return PROGRAMS.map((name) => join(place, name)).find((path) => existsSync(path)) ?? "redis-server";
}

function runs(place: string): boolean {
  if (!PROGRAMS.some((name) => existsSync(join(place, name)))) return false;
  const options = { env: environmentOf(place), argv0: "redis-server", encoding: "utf8" } as const;
  const { stdout } = spawnSync(programOf(place), ["--version"], options);
  return typeof stdout === "string" && stdout.includes("Redis server");
}
