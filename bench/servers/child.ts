/** Processes that the benchmarks start: servers under test and the generator. */
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { endWithUs } from "./clean-up.ts";

export interface Child {
  readonly process: ChildProcess;
  /** The next line on its stdout. @throws {Error} It ended before; with what it wrote to stderr. */
  line(): Promise<string>;
  /** Asks it to end, and waits until it has. */
  stop(): Promise<void>;
}

export interface ChildOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

/** So much of what it complained of is kept. */
const COMPLAINT_CHARS = 4000;
/** For a server to end by itself. */
const STOP_TIMEOUT_MS = 60_000;

export function startChild(command: string, args: readonly string[], options: ChildOptions = {}): Child {
  const { INIT_CWD: _, npm_lifecycle_event: __, ...inherited } = process.env;
  const child = spawn(command, args, {
    stdio: ["pipe", "pipe", "pipe"],
    env: { ...inherited, ...options.env },
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });
  endWithUs(child);
  let complaint = "";
  child.stderr.on("data", (part: Buffer) => (complaint = (complaint + part.toString()).slice(-COMPLAINT_CHARS)));
  // One that has ended breaks the pipe; what became of it, its exit says.
  child.stdin.on("error", () => undefined);
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  ended.catch(() => undefined);
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    process: child,
    async line() {
      const next = await lines.next();
      if (next.done !== true) return next.value;
      throw new Error(`${command} ended with ${await ended}: ${complaint}`);
    },
    async stop() {
      child.kill("SIGTERM");
      const force = setTimeout(() => child.kill("SIGKILL"), STOP_TIMEOUT_MS);
      await ended.catch(() => undefined);
      clearTimeout(force);
    },
  };
}

/** Flags of Node under which the workspace's sources run unbuilt. */
export const SOURCE_FLAGS: readonly string[] = ["--conditions=ws-source"];

const GENERATOR = new URL("../generator.ts", import.meta.url).pathname;

/** A generator that is ready to begin with what `plan` says. */
export async function startGenerator<Report>(plan: object): Promise<{ run(): Promise<Report> }> {
  const child = startChild(process.execPath, [...SOURCE_FLAGS, GENERATOR, JSON.stringify(plan)]);
  const first = await child.line();
  if (first !== "ready") throw new Error(`the generator said ${first}`);
  return {
    async run() {
      child.process.stdin?.write("go\n");
      const report = JSON.parse(await child.line()) as Report;
      await child.stop();
      return report;
    },
  };
}
