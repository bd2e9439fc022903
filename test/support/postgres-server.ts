/** A real PostgreSQL of one's own, where the machine has the server or Debian's packages of it can be fetched. */
import { type ChildProcess, execFile, spawn, spawnSync } from "node:child_process";
import { chmodSync, chownSync, existsSync, globSync, mkdirSync, readFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { environmentOf, findPrograms } from "./debian-programs.ts";
import { exitOf } from "./processes.ts";

const PACKAGES = "postgresql-15 postgresql-client-15 libpq5 libicu72 libldap-2.5-0 libsasl2-2 libxml2 libsystemd0";
const PORT = 5432;
const START_MS = 20_000;
/** Nothing here outlives the machine. What a kill leaves in the system's cache is there after it. */
const SETTINGS = ["listen_addresses=", "fsync=off", "shared_buffers=16MB", "max_wal_senders=0", "autovacuum=off"];

export interface PostgresServer {
  /** The folder of its Unix socket, which clients take for a host: it has no port of the network. */
  readonly host: string;
  /** Ends it as kill -9 does. */
  kill(): Promise<void>;
  /** Starts it again over what it has. */
  restart(): Promise<void>;
  /** Lets it and all its connections hang, or go on. */
  signal(signal: "SIGSTOP" | "SIGCONT"): void;
  stop(): Promise<void>;
}

/** What starts a PostgreSQL server, or `undefined` where there is none and none can be had. */
export function findPostgres(): ((folder: string) => Promise<PostgresServer>) | undefined {
  const place = findPrograms({ name: "postgres", packages: PACKAGES, fetchTimeoutMs: 40_000, runs });
  return place === undefined ? undefined : async (folder) => startPostgres(place, folder);
}

async function startPostgres(place: string, folder: string): Promise<PostgresServer> {
  const host = join(folder, "postgres");
  mkdirSync(host, { recursive: true });
  const { uid, gid } = serverUser();
  if (uid !== undefined && gid !== undefined) {
    // The server must not be root, and has to get through to its own.
    chmodSync(folder, 0o711);
    chownSync(host, uid, gid);
  }
  const data = join(host, "data");
  const options = { ...asServerUser(place), cwd: host };
  const cluster = ["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions"];
  await promisify(execFile)(programOf(place, "initdb"), ["-D", data, ...cluster], options);
  const args = ["-D", data, "-k", host, "-p", `${PORT}`, ...SETTINGS.flatMap((setting) => ["-c", setting])];
  const start = async (): Promise<ChildProcess> => {
    const child = spawn(programOf(place, "postgres"), args, { ...options, stdio: "ignore" });
    await ready(child, join(host, `.s.PGSQL.${PORT}`));
    return child;
  };
  let child = await start();
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    child.kill(signal);
    await exitOf(child);
  };
  return {
    host,
    kill: async () => end("SIGKILL"),
    restart: async () => {
      child = await untilFree(start);
    },
    signal: (signal) => {
      child.kill(signal);
      for (const pid of childrenOf(child)) {
        try {
          process.kill(pid, signal);
        } catch {
          // It ended meanwhile.
        }
      }
    },
    // Fast: it waits for no client.
    stop: async () => end("SIGINT"),
  };
}

/** A process for each connection, and some more. */
function childrenOf({ pid = 0 }: ChildProcess): number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
  return text === "" ? [] : text.split(" ").map(Number);
}

/** What the killed one left running ends by itself, and until then it has the data. */
async function untilFree(start: () => Promise<ChildProcess>): Promise<ChildProcess> {
  for (const startMs = performance.now(); ;) {
    try {
      return await start();
    } catch (error) {
      if (performance.now() - startMs > START_MS) throw error;
      await sleep(50);
    }
  }
}

async function ready(child: ChildProcess, socket: string): Promise<void> {
  for (const startMs = performance.now(); !(await answers(socket));) {
    if (child.exitCode !== null || performance.now() - startMs > START_MS) throw new Error("postgres does not start");
    await sleep(20);
  }
}

/** Whether it lets somebody in: while it starts, it says that it does not yet. */
async function answers(socket: string): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const client = connect(socket);
  client.on("error", () => resolve(false));
  client.on("close", () => resolve(false));
  // The message that begins, of protocol 3.0. "R" asks for no password, or for one.
  const text = Buffer.from("user\0postgres\0database\0postgres\0\0");
  client.write(Buffer.concat([uint32(8 + text.length), uint32(0x0003_0000), text]));
  client.on("data", (answer: Buffer) => resolve(answer.toString("latin1", 0, 1) === "R"));
  try {
    return await promise;
  } finally {
    client.destroy();
  }
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function runs(place: string): boolean {
  const programs = ["initdb", "postgres"].map((name) => programOf(place, name));
  return programs.every((program) => {
    if (!existsSync(program)) return false;
    const { stdout } = spawnSync(program, ["--version"], { ...asServerUser(place), encoding: "utf8" });
    return typeof stdout === "string" && stdout.includes("PostgreSQL");
  });
}

/** Of the latest version that is there. */
function programOf(place: string, name: string): string {
  const folders = globSync(join(place, "usr/lib/postgresql/*/bin")).toSorted((one, other) =>
    one.localeCompare(other, "en", { numeric: true }),
  );
  return join(folders.at(-1) ?? join(place, "usr/lib/postgresql/0/bin"), name);
}

function asServerUser(place: string): { env: NodeJS.ProcessEnv; uid?: number; gid?: number } {
  return { env: environmentOf(place), ...serverUser() };
}

/** PostgreSQL refuses to run as root: then its own user has it, or nobody. */
function serverUser(): { uid?: number; gid?: number } {
  if (process.getuid?.() !== 0) return {};
  const users = readFileSync("/etc/passwd", "utf8").split("\n");
  const line = users.find((each) => each.startsWith("postgres:")) ?? users.find((each) => each.startsWith("nobody:"));
  const [, , uid, gid] = (line ?? "").split(":");
  return uid === undefined || gid === undefined ? {} : { uid: Number(uid), gid: Number(gid) };
}
